#include "http_path.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The next byte of an encoded text; *at moves behind it. */
static char next_byte(const char **at, const char *end, bool form)
{
    const char *c = *at;
    if (*c == '%' && end - c > 2 && hex_value(c[1]) >= 0 && hex_value(c[2]) >= 0) {
        *at = c + 3;
        return (char)(hex_value(c[1]) << 4 | hex_value(c[2]));
    }
    *at = c + 1;
    return form && *c == '+' ? ' ' : *c;
}

bool http_decode(const char *text, size_t len, bool form, char *out, size_t cap, size_t *out_len)
{
    size_t n = 0;
    for (const char *at = text, *end = text + len; at < end;) {
        char c = next_byte(&at, end, form);
        if (n == cap)
            return false;
        out[n++] = c;
    }
    *out_len = n;
    return true;
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

static size_t segment_len(const char *at)
{
    return strcspn(at, "/");
}

static bool same_segment(const char *pattern, size_t pattern_len, const char *text, size_t text_len)
{
    const char *at = text, *end = text + text_len;
    size_t i = 0;
    while (i < pattern_len && at < end)
        if (next_byte(&at, end, false) != pattern[i++])
            return false;
    return i == pattern_len && at == end;
}

static bool take_param(struct http_params *params, const char *text, size_t len)
{
    size_t room = sizeof params->memory - params->used, decoded;
    char *out = params->memory + params->used;
    if (len == 0 || params->count == HTTP_PARAMS_MAX || room == 0 ||
        !http_decode(text, len, false, out, room - 1, &decoded) || memchr(out, '\0', decoded) != NULL)
        return false;
    out[decoded] = '\0';
    params->value[params->count++] = out;
    params->used += decoded + 1;
    return true;
}

static bool match_segment(const char *pattern, size_t pattern_len, const char *text, size_t text_len,
                          struct http_params *params)
{
    if (pattern_len > 0 && pattern[0] == '{')
        return take_param(params, text, text_len);
    return same_segment(pattern, pattern_len, text, text_len);
}

bool http_path_match(const char *pattern, const char *path, struct http_params *params)
{
    params->count = 0;
    params->used = 0;
    while (*pattern == '/' && *path == '/') {
        size_t pattern_len = segment_len(++pattern), path_len = segment_len(++path);
        if (!match_segment(pattern, pattern_len, path, path_len, params))
            return false;
        pattern += pattern_len;
        path += path_len;
    }
    return *pattern == '\0' && (*path == '\0' || strcmp(path, "/") == 0);
}

bool http_path_below(const char *prefix, const char *path)
{
    size_t len = strlen(prefix);
    return strncmp(path, prefix, len) == 0 && (len == 0 || path[len] == '\0' || path[len] == '/');
}

/* --- queries ------------------------------------------------------------------------------------------------------ */

static bool same_name(const char *text, size_t len, const char *name)
{
    const char *at = text, *end = text + len;
    while (at < end && *name != '\0')
        if (next_byte(&at, end, true) != *name++)
            return false;
    return at == end && *name == '\0';
}

static enum err_e take_value(const char *text, size_t len, char *out, size_t size)
{
    size_t decoded;
    if (size == 0 || !http_decode(text, len, true, out, size - 1, &decoded))
        return ERR_TOO_LARGE;
    out[decoded] = '\0';
    return memchr(out, '\0', decoded) == NULL ? ERR_OK : ERR_MALFORMED;
}

enum err_e http_query_find(const char *query, const char *name, char *out, size_t size)
{
    for (const char *at = query; *at != '\0';) {
        size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
        if (same_name(at, name_len, name)) {
            size_t skip = name_len < len ? name_len + 1 : len;
            return take_value(at + skip, len - skip, out, size);
        }
        at += len + (at[len] == '&');
    }
    return ERR_NOT_FOUND;
}
