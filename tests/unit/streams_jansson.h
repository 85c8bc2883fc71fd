/* The streams dialect's scanner against jansson: the same verdict on every text but for the documented differences, and
 * the same content. Used by streams_scan_test and streams_scan_fuzz. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "streams_text.h"

static inline struct streams_scan scan_all(const char *text, size_t len, unsigned flags, bool *ok)
{
    struct streams_scan scan;
    enum streams_kind_e kind;
    streams_scan_init(&scan, text, len, flags);
    *ok = streams_text_scan(&scan, NULL, 0, &kind);
    return scan;
}

static inline void expect_text(const struct streams_text *string, const char *text, size_t len)
{
    char *memory = malloc(string->len + 1);
    MUST(memory != NULL && string->kind == STREAMS_STRING);
    struct out out = out_init(memory, string->len);
    streams_text_bare(string, &out);
    MUST(!out.overflow && out.len == len && memcmp(out.at, text, len) == 0);
    if (memchr(text, '\0', len) == NULL) {
        memory[out.len] = '\0';
        MUST(streams_text_is(string, memory));
        if (len > 0) {
            memory[len - 1]++;
            MUST(!streams_text_is(string, memory));
        }
    }
    free(memory);
}

static inline void agree_scalar(const struct streams_text *token, const json_t *value)
{
    static const enum streams_kind_e kinds[] = {
        [JSON_NULL] = STREAMS_NULL,      [JSON_FALSE] = STREAMS_FALSE, [JSON_TRUE] = STREAMS_TRUE,
        [JSON_INTEGER] = STREAMS_NUMBER, [JSON_REAL] = STREAMS_NUMBER, [JSON_STRING] = STREAMS_STRING};
    MUST(token->kind == kinds[json_typeof(value)]);
    if (json_is_string(value))
        expect_text(token, json_string_value(value), json_string_length(value));
    if (json_is_number(value)) {
        char *text = calloc(1, token->len + 1); /* strtod() wants an end, strndup() looks for one */
        MUST(text != NULL);
        memcpy(text, token->at, token->len);
        MUST(strtod(text, NULL) == json_number_value(value));
        free(text);
    }
}

/* The scan's next value is this one; the tree has no member twice. */
static inline void agree_value(struct streams_scan *scan, const json_t *value, int levels)
{
    const char *name;
    json_t *member;
    enum streams_scan_e token = streams_scan_next(scan);
    if (!json_is_array(value) && !json_is_object(value)) {
        MUST(token == STREAMS_SCAN_VALUE);
        agree_scalar(&scan->token, value);
        return;
    }
    MUST(token == STREAMS_SCAN_OPEN && levels > 0);
    MUST(scan->token.kind == (json_is_array(value) ? STREAMS_ARRAY : STREAMS_OBJECT));
    for (size_t i = 0; i < json_array_size(value); i++)
        agree_value(scan, json_array_get(value, i), levels - 1);
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        MUST(streams_scan_next(scan) == STREAMS_SCAN_NAME);
        expect_text(&scan->token, name, strlen(name));
        agree_value(scan, member, levels - 1);
    }
    MUST(streams_scan_next(scan) == STREAMS_SCAN_CLOSE);
}

static inline void agree_content(const char *text, size_t len, unsigned flags)
{
    struct streams_scan scan;
    json_t *tree = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    if (tree == NULL)
        return;
    streams_scan_init(&scan, text, len, flags);
    agree_value(&scan, tree, STREAMS_SCAN_DEPTH);
    MUST(streams_scan_next(&scan) == STREAMS_SCAN_DONE);
    json_decref(tree);
}

/* What jansson refuses and RFC 8259 does not, or where it would go deeper. */
static inline bool is_known_difference(enum json_error_code code, const struct streams_scan *scan, bool ok)
{
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_stack_overflow || (!ok && strcmp(scan->why, "JSON nested too deeply") == 0);
}

/* True: it is strict JSON. */
static inline bool expect_like_jansson(const char *text, size_t len)
{
    bool ok;
    json_error_t error;
    struct streams_scan scan = scan_all(text, len, 0, &ok);
    if (memchr(text, '\0', len) != NULL) { /* jansson 2.14 overlooks some of them */
        MUST(!ok);
        return false;
    }
    json_t *tree = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!is_known_difference(tree == NULL ? json_error_code(&error) : json_error_unknown, &scan, ok))
        MUST(ok == (tree != NULL));
    if (ok && tree != NULL) {
        agree_content(text, len, 0);
        agree_content(text, len, STREAMS_SCAN_UTF8 | STREAMS_SCAN_LENIENT);
    }
    json_decref(tree);
    return ok;
}

/* As the message layer writes a value that is no string; the text was accepted. Free it. */
static inline struct out compacted(const char *text, size_t len, unsigned flags)
{
    struct streams_scan scan;
    size_t cap = 2 * len + 2;
    streams_scan_init(&scan, text, len, flags);
    enum streams_scan_e token = streams_scan_next(&scan);
    MUST(token == STREAMS_SCAN_VALUE || (token == STREAMS_SCAN_OPEN && streams_scan_skip(&scan)));
    struct out out = out_init(malloc(cap), cap);
    MUST(out.at != NULL);
    streams_text_compact(&scan.token, &out);
    MUST(!out.overflow);
    return out;
}

/* What is written of an accepted text is strict JSON, and written again it is the same. */
static inline void expect_compact(const char *text, size_t len, unsigned flags)
{
    struct out once = compacted(text, len, flags);
    MUST(expect_like_jansson(once.at, once.len));
    struct out twice = compacted(once.at, once.len, 0);
    MUST(once.len == twice.len && memcmp(once.at, twice.at, once.len) == 0);
    free(once.at);
    free(twice.at);
}
