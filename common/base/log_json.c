/* log_json.c — a log line's fields as members of a JSON object (log_line.h). */
#include <stdio.h>
#include <string.h>

#include "log_line.h"
#include "utf8.h"

#define TAIL 4 /* what closes the string, the object and the line */

/* One character of `text` as JSON writes it; returns the bytes of text it was. No stdio: a signal handler may come by. */
static size_t escape(const char *text, size_t len, char piece[6], size_t *piece_len)
{
    unsigned char c = (unsigned char)*text;
    size_t step = utf8_step(text, len);
    if (step == 0) {
        *piece_len = 3;
        memcpy(piece, "\xef\xbf\xbd", 3); /* U+FFFD */
        return 1;
    }
    if (c == '"' || c == '\\') {
        *piece_len = 2;
        piece[0] = '\\';
        piece[1] = (char)c;
    } else if (c < 0x20 || c == 0x7f) {
        *piece_len = 6;
        memcpy(piece, "\\u00", 4);
        piece[4] = (char)('0' + (c >> 4));
        piece[5] = "0123456789abcdef"[c & 15];
    } else {
        memcpy(piece, text, *piece_len = step);
    }
    return step;
}

size_t log_json_string(const char *text, size_t len, char *out, size_t room)
{
    size_t at = 0, piece_len;
    char piece[6];
    out[at++] = '"';
    while (len > 0) {
        size_t step = escape(text, len, piece, &piece_len);
        if (at + piece_len + 1 > room)
            break;
        memcpy(out + at, piece, piece_len);
        at += piece_len;
        text += step;
        len -= step;
    }
    out[at++] = '"';
    return at;
}

static bool key_is(const struct log_field *field, const char *name)
{
    return field->key_len == strlen(name) && memcmp(field->key, name, field->key_len) == 0;
}

static bool same_key(const struct log_field *a, const struct log_field *b)
{
    return b->key != NULL && a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* How many members before this one have its name. */
static unsigned doubles(const struct log_line *line, unsigned index)
{
    const struct log_field *field = &line->fields[index];
    unsigned n = 0;
    for (unsigned i = 0; i < index; i++)
        n += same_key(field, &line->fields[i]);
    static const char *const taken[] = {"time", "level", "process", "event", "text"};
    for (unsigned i = 0; i < sizeof taken / sizeof taken[0]; i++)
        n += key_is(field, taken[i]);
    return n;
}

static size_t member(const struct log_line *line, unsigned index, char *out, size_t room)
{
    const struct log_field *field = &line->fields[index];
    unsigned before = doubles(line, index);
    size_t need = field->key_len + 32;
    if (need > room)
        return 0;
    size_t at = (size_t)snprintf(out, room, ",\"%.*s", (int)field->key_len, field->key);
    if (before > 0)
        at += (size_t)snprintf(out + at, room - at, "_%u", before + 1);
    at += (size_t)snprintf(out + at, room - at, "\":");
    if (!field->number)
        return at + log_json_string(line->text + field->start, field->len, out + at, room - at - TAIL);
    if (field->len + TAIL > room - at)
        return 0;
    memcpy(out + at, line->text + field->start, field->len);
    return at + field->len;
}

/* All free words of the line, in one member. */
static size_t words(const struct log_line *line, char *out, size_t room)
{
    char text[LOG_LINE_MAX];
    size_t len = 0;
    for (unsigned i = 0; i < line->count; i++) {
        const struct log_field *field = &line->fields[i];
        if (field->key != NULL || len + 1 + field->len > sizeof text)
            continue;
        if (len > 0 && text[len - 1] != ' ')
            text[len++] = ' ';
        memcpy(text + len, line->text + field->start, field->len);
        len += field->len;
    }
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (len == 0 || room < 32)
        return 0;
    size_t at = (size_t)snprintf(out, room, ",\"text\":");
    return at + log_json_string(text, len, out + at, room - at - TAIL);
}

size_t log_line_json(const struct log_line *line, char *out, size_t room)
{
    size_t at = 0;
    for (unsigned i = 0; i < line->count; i++)
        if (line->fields[i].key != NULL)
            at += member(line, i, out + at, room - at);
    return at + words(line, out + at, room - at);
}
