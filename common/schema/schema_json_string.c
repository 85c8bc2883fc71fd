/* Strings of JSON: what stands between two quotes, escapes decoded. See schema_json.h. Eight bytes at a time. */
#include "schema_json_internal.h"

#include <stdint.h>
#include <string.h>

#include "schema_alloc.h"
#include "utf8.h"

/* Four hex digits at *at, which moves behind them. */
static bool read_hex(struct reader *reader, const char **at, uint32_t *out)
{
    if (reader->end - *at < 4) {
        json_reader_fail(reader, reader->end, "EOF while parsing a string");
        return false;
    }
    *out = 0;
    for (int i = 0; i < 4; i++, ++*at) {
        char c = **at, lower = (char)(c | 0x20);
        if (!json_is_digit(c) && (lower < 'a' || lower > 'f')) {
            json_reader_fail(reader, *at, "invalid escape");
            return false;
        }
        *out = *out << 4 | (uint32_t)(json_is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    return true;
}

/* The second half of a pair, behind \uD8xx. */
static bool read_pair(struct reader *reader, const char **at, uint32_t *code)
{
    uint32_t low;
    if (*at == reader->end || (**at == '\\' && *at + 1 == reader->end)) {
        json_reader_fail(reader, reader->end, "EOF while parsing a string");
        return false;
    }
    if ((*at)[0] != '\\' || (*at)[1] != 'u') {
        json_reader_fail(reader, *at + (**at == '\\'), "unexpected end of hex escape");
        return false;
    }
    *at += 2;
    if (!read_hex(reader, at, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff) {
        json_reader_fail(reader, *at - 1, "lone leading surrogate in hex escape");
        return false;
    }
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static bool read_code(struct reader *reader, const char **at, char **out)
{
    uint32_t code;
    if (!read_hex(reader, at, &code))
        return false;
    if (code >= 0xdc00 && code <= 0xdfff) {
        json_reader_fail(reader, *at - 1, "lone leading surrogate in hex escape");
        return false;
    }
    if (code >= 0xd800 && code <= 0xdbff && !read_pair(reader, at, &code))
        return false;
    *out += utf8_put(code, *out);
    return true;
}

/* One escape at *at, which points behind the backslash. */
static bool read_escape(struct reader *reader, const char **at, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *found;
    if (*at == reader->end) {
        json_reader_fail(reader, *at, "EOF while parsing a string");
        return false;
    }
    if (**at == 'u') {
        ++*at;
        return read_code(reader, at, out);
    }
    if (**at == '\0' || (found = strchr(names, **at)) == NULL) {
        json_reader_fail(reader, *at, "invalid escape");
        return false;
    }
    *(*out)++ = values[found - names];
    ++*at;
    return true;
}

/* The first quote, backslash or control character at or behind `at`; end: none. */
static const char *scan_string(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (; end - at >= 8; at += 8) {
        uint64_t word, quote, slash;
        memcpy(&word, at, sizeof word);
        quote = word ^ ones * '"';
        slash = word ^ ones * '\\';
        if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word)) & highs)
            break;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static bool string_goes_on(struct reader *reader, const char *at)
{
    if (at < reader->end && (*at == '"' || *at == '\\'))
        return true;
    json_reader_fail(reader, at,
                     at == reader->end ? "EOF while parsing a string"
                                       : "control character (\\u0000-\\u001F) found while parsing a string");
    return false;
}

/* Room for everything up to the closing quote; decoding never lengthens. */
static char *scratch_for(struct reader *reader, const char *at)
{
    const char *end = at;
    while (end < reader->end && *end != '"')
        end = scan_string(end + 1 + (*end == '\\' && end + 1 < reader->end), reader->end);
    size_t want = (size_t)(end - at) + 8;
    if (want > reader->scratch_size) {
        char *more = schema_grow(reader->scratch, 0, want);
        if (more == NULL)
            return NULL;
        reader->scratch = more;
        reader->scratch_size = want;
    }
    return reader->scratch;
}

/* The rest of a string whose first backslash is at `at`. */
static bool read_escaped(struct reader *reader, const char *start, const char *at, struct piece *piece)
{
    char *room = scratch_for(reader, start), *out = room;
    if (room == NULL)
        return false;
    for (;;) {
        memcpy(out, start, (size_t)(at - start));
        out += at - start;
        if (*at == '"')
            break;
        at++;
        if (!read_escape(reader, &at, &out))
            return false;
        start = at;
        at = scan_string(at, reader->end);
        if (!string_goes_on(reader, at))
            return false;
    }
    *piece = (struct piece){room, (size_t)(out - room), true};
    reader->at = at + 1;
    return true;
}

bool json_read_piece(struct reader *reader, struct piece *piece)
{
    const char *start = reader->at + 1, *at = scan_string(start, reader->end);
    if (!string_goes_on(reader, at))
        return false;
    if (*at == '\\')
        return read_escaped(reader, start, at, piece);
    *piece = (struct piece){start, (size_t)(at - start), false};
    reader->at = at + 1;
    return true;
}
