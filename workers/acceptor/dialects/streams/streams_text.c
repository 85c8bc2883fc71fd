/* Hop: C2. See streams_text.h. */
#include "streams_text.h"

#include <string.h>

#include "must.h"
#include "utf8.h"

/* --- strings -------------------------------------------------------------------------------------------------------- */

static uint32_t unit(const char *digits)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

/* What the escape at `p` stands for, into `bytes`; *step is its own length. */
static size_t unescape(const char *p, char bytes[4], size_t *step)
{
    static const char codes[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *code = strchr(codes, p[1]);
    *step = p[1] == 'u' ? 6 : 2;
    if (p[1] != 'u') {
        bytes[0] = code != NULL ? values[code - codes] : p[1];
        return 1;
    }
    uint32_t point = unit(p + 2);
    if (point >= 0xd800 && point <= 0xdbff) {
        point = 0x10000 + ((point - 0xd800) << 10) + (unit(p + 8) - 0xdc00);
        *step = 12;
    }
    return utf8_put(point, bytes);
}

static const char *next_backslash(const char *p, const char *end)
{
    const char *found = memchr(p, '\\', (size_t)(end - p));
    return found != NULL ? found : end;
}

void streams_text_bare(const struct streams_text *string, struct out *out)
{
    const char *p = string->at, *end = p + string->len;
    while (string->escaped && p < end) {
        const char *plain = p;
        p = next_backslash(p, end);
        out_bytes(out, plain, (size_t)(p - plain));
        if (p < end) {
            char bytes[4];
            size_t step, len = unescape(p, bytes, &step);
            out_bytes(out, bytes, len);
            p += step;
        }
    }
    out_bytes(out, p, (size_t)(end - p));
}

bool streams_text_is(const struct streams_text *string, const char *text)
{
    const char *p = string->at, *end = p + string->len;
    size_t left = strlen(text);
    if (!string->escaped)
        return string->len == left && memcmp(p, text, left) == 0;
    while (p < end) {
        char bytes[4] = {*p};
        size_t step = 1, len = *p == '\\' ? unescape(p, bytes, &step) : 1;
        if (len > left || memcmp(bytes, text, len) != 0)
            return false;
        text += len;
        left -= len;
        p += step;
    }
    return left == 0;
}

/* --- compact JSON --------------------------------------------------------------------------------------------------- */

/* A string in single quotes: \' becomes ', and " becomes \"; other escapes stay. */
static void put_requoted(const struct streams_text *string, struct out *out)
{
    const char *p = string->at, *end = p + string->len, *plain = p;
    for (; p < end; p++) {
        if (*p == '"' || (*p == '\\' && p[1] == '\'')) {
            out_bytes(out, plain, (size_t)(p - plain));
            if (*p == '"')
                out_char(out, '\\');
            else
                p++;
            plain = p;
        } else if (*p == '\\') {
            p++;
        }
    }
    out_bytes(out, plain, (size_t)(end - plain));
}

static void put_string(const struct streams_text *string, struct out *out)
{
    out_char(out, '"');
    if (string->quote == '\'')
        put_requoted(string, out);
    else
        out_bytes(out, string->at, string->len);
    out_char(out, '"');
}

static void put_scalar(const struct streams_text *value, struct out *out)
{
    if (value->kind == STREAMS_STRING)
        put_string(value, out);
    else
        out_bytes(out, value->at, value->len);
}

static void put_levels(const struct streams_text *value, struct out *out)
{
    struct streams_scan scan;
    enum streams_scan_e token;
    bool comma = false;
    streams_scan_init(&scan, value->at, value->len, STREAMS_SCAN_LENIENT | STREAMS_SCAN_UTF8);
    while ((token = streams_scan_next(&scan)) > STREAMS_SCAN_DONE) {
        if (comma && token != STREAMS_SCAN_CLOSE)
            out_char(out, ',');
        put_scalar(&scan.token, out);
        if (token == STREAMS_SCAN_NAME)
            out_char(out, ':');
        comma = token == STREAMS_SCAN_VALUE || token == STREAMS_SCAN_CLOSE;
    }
    MUST(token == STREAMS_SCAN_DONE);
}

void streams_text_compact(const struct streams_text *value, struct out *out)
{
    if (value->kind == STREAMS_ARRAY || value->kind == STREAMS_OBJECT)
        put_levels(value, out);
    else
        put_scalar(value, out);
}

/* --- the message ---------------------------------------------------------------------------------------------------- */

static struct streams_member *find(struct streams_member *members, unsigned count,
                                   const struct streams_text *name)
{
    for (unsigned i = 0; i < count; i++)
        if (streams_text_is(name, members[i].name))
            return &members[i];
    return NULL;
}

static bool scan_value(struct streams_scan *scan)
{
    enum streams_scan_e token = streams_scan_next(scan);
    return token == STREAMS_SCAN_OPEN ? streams_scan_skip(scan) : token != STREAMS_SCAN_ERROR;
}

static bool scan_members(struct streams_scan *scan, struct streams_member *members, unsigned count)
{
    enum streams_scan_e token;
    while ((token = streams_scan_next(scan)) == STREAMS_SCAN_NAME) {
        struct streams_member *member = find(members, count, &scan->token);
        if (member != NULL && member->value.kind != STREAMS_ABSENT) {
            streams_scan_refuse(scan, scan->token.at, "Duplicate member");
            return false;
        }
        if (!scan_value(scan))
            return false;
        if (member != NULL)
            member->value = scan->token;
    }
    return token != STREAMS_SCAN_ERROR;
}

bool streams_text_scan(struct streams_scan *scan, struct streams_member *members, unsigned count,
                       enum streams_kind_e *kind)
{
    for (unsigned i = 0; i < count; i++)
        members[i].value = (struct streams_text){.kind = STREAMS_ABSENT};
    enum streams_scan_e token = streams_scan_next(scan);
    *kind = (enum streams_kind_e)scan->token.kind;
    bool ok = token != STREAMS_SCAN_ERROR;
    if (token == STREAMS_SCAN_OPEN)
        ok = *kind == STREAMS_OBJECT ? scan_members(scan, members, count) : streams_scan_skip(scan);
    return ok && streams_scan_next(scan) == STREAMS_SCAN_DONE;
}
