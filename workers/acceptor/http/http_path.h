/* http_path.h — paths and queries: percent-decoding and matching. Pure; fuzzed (tests/fuzz/http_path_fuzz.c).
 *
 * Texts come from a head that the gate has judged (every % is followed by two hex digits, none is %00), but nothing here
 * relies on that: a broken % is taken as it stands. Decoding never makes a text longer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "errcode.h"
#include "http.h"

#define HTTP_PATH_MAX 8192u

/* Decodes %XX (and, in forms and queries, '+' to a space) into `out`, which has `cap` bytes; false: it does not fit. */
bool http_decode(const char *text, size_t len, bool form, char *out, size_t cap, size_t *out_len);

struct http_params {
    unsigned count;
    const char *value[HTTP_PARAMS_MAX]; /* in `memory`, ended by NUL */
    size_t used;
    char memory[HTTP_PATH_MAX];
};

/* Does `path` fit the pattern ("/v1/machines/{id}/status")? Segments are compared after decoding, so %2F never separates.
 * *params is filled on true. */
bool http_path_match(const char *pattern, const char *path, struct http_params *params);

/* Is `path` the prefix itself, or below it? "" has every path. Compared as sent. */
bool http_path_below(const char *prefix, const char *path);

/* The first parameter `name` of a query, decoded and ended by NUL. ERR_NOT_FOUND; ERR_TOO_LARGE: above size - 1 bytes;
 * ERR_MALFORMED: a NUL in it. */
enum err_e http_query_find(const char *query, const char *name, char *out, size_t size);
