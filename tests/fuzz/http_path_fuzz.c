/* Fuzzes paths and queries of plain HTTP requests: pattern, path, query and a parameter's name, one per line. Checked beside
 * memory: what was matched stands inside its memory and is no longer than it came; a slash at the end of a path
 * changes nothing; decoding never makes a text longer; a value is found with every room that it fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http_path.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line, in memory of its own, so that ASan sees a step beyond its end. */
static char *next_text(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t len = (size_t)((stop ? stop : end) - *at);
    char *text = malloc(len + 1);
    MUST(text != NULL);
    memcpy(text, *at, len);
    text[len] = '\0';
    *at = stop ? stop + 1 : end;
    return text;
}

static void check_params(const struct http_params *params, const char *path)
{
    MUST(params->count <= HTTP_PARAMS_MAX && params->used <= sizeof params->memory);
    for (unsigned i = 0; i < params->count; i++) {
        const char *value = params->value[i];
        MUST(value >= params->memory && value < params->memory + params->used);
        MUST(memchr(value, '\0', (size_t)(params->memory + params->used - value)) != NULL);
        MUST(strlen(value) > 0 && strlen(value) <= strlen(path));
    }
}

static void check_path(const char *pattern, const char *path)
{
    struct http_params params;
    memset(&params, 0xa5, sizeof params);
    if (!http_path_match(pattern, path, &params))
        return;
    check_params(&params, path);
    MUST(http_path_below("", path));
    size_t len = strlen(path);
    char *longer = malloc(len + 2);
    MUST(longer != NULL);
    memcpy(longer, path, len);
    memcpy(longer + len, "/", 2);
    MUST(len == 0 || path[len - 1] == '/' || http_path_match(pattern, longer, &params));
    free(longer);
}

static void check_query(const char *query, const char *name)
{
    size_t len = strlen(query), decoded = 0;
    char *out = malloc(len + 1);
    MUST(out != NULL && http_decode(query, len, true, out, len, &decoded) && decoded <= len);
    MUST(http_decode(query, len, false, out, len, &decoded) && decoded <= len);
    enum err_e err = http_query_find(query, name, out, len + 1);
    MUST(err != ERR_TOO_LARGE);
    if (err == ERR_OK) {
        size_t value = strlen(out);
        MUST(value <= len && http_query_find(query, name, out, value + 1) == ERR_OK);
        MUST(value == 0 || http_query_find(query, name, out, value) == ERR_TOO_LARGE);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data, *end = data + size;
    char *texts[4];
    if (size >= HTTP_PATH_MAX)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        texts[i] = next_text(&at, end);
    if (texts[0][0] == '/' && texts[1][0] == '/')
        check_path(texts[0], texts[1]);
    check_query(texts[2], texts[3]);
    for (unsigned i = 0; i < 4; i++)
        free(texts[i]);
    return 0;
}
