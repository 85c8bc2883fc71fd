/* schema_stage.h — what tests of whole messages share: schemas from both kinds of declaration, answers as one line of text. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema.h"

static inline struct schema *read_json(const char *text)
{
    struct schema *schema;
    struct schema_problem problem;
    json_error_t error;
    json_t *document = json_loads(text, 0, &error);
    if (document == NULL)
        fail_msg("%s: %s", text, error.text);
    if (schema_from_json(document, &schema, &problem) != ERR_OK)
        fail_msg("%s: %s", problem.pointer, problem.why);
    json_decref(document);
    return schema;
}

static inline struct schema *read_table(const struct schema_object *table)
{
    struct schema *schema;
    struct schema_problem problem;
    if (schema_from_table(table, &schema, &problem) != ERR_OK)
        fail_msg("%s: %s", problem.pointer, problem.why);
    return schema;
}

static inline void put(char **out, const char *end, const char *text)
{
    size_t len = strlen(text), room = (size_t)(end - *out) - 1;
    memcpy(*out, text, len < room ? len : room);
    *out += len < room ? len : room;
    **out = '\0';
}

/* The value, or errors as `["a",1] type; ["b"] type`. */
static inline void show(enum err_e err, struct schema_result *result, char *out, size_t size)
{
    char *end = out + size, *text;
    *out = '\0';
    if (err == ERR_OK) {
        text = json_dumps(result->value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
        put(&out, end, text);
        free(text);
    }
    for (size_t i = 0; i < json_array_size(result->errors); i++) {
        json_t *error = json_array_get(result->errors, i);
        text = json_dumps(json_object_get(error, "loc"), JSON_COMPACT);
        put(&out, end, i > 0 ? "; " : "");
        put(&out, end, text);
        put(&out, end, " ");
        put(&out, end, json_string_value(json_object_get(error, "type")));
        free(text);
    }
    json_decref(result->value);
    json_decref(result->errors);
}

static inline void see(const struct schema *schema, const char *message, const char *expected)
{
    static char got[65536];
    struct schema_result result;
    enum err_e err = schema_validate_text(schema, message, strlen(message), &result);
    show(err, &result, got, sizeof got);
    assert_string_equal(got, expected);
}

/* --- tables --------------------------------------------------------------------------------------------------------- */

static const struct schema_member chat_members[] = {
    {.name = "message", .type = {.kind = SCHEMA_STRING}},
    {.name = "user", .type = {.kind = SCHEMA_STRING}, .fallback = "\"System\""},
};
static const struct schema_object chat = {.name = "Chat", .members = chat_members, .member_count = 2};

static const struct schema_object tree;
static const struct schema_type a_tree = {.kind = SCHEMA_OBJECT, .object = &tree};
static const struct schema_member tree_members[] = {
    {.name = "v", .type = {.kind = SCHEMA_INT}},
    {.name = "kids", .type = {.kind = SCHEMA_LIST, .items = &a_tree}, .fallback = "[]"},
    {.name = "next", .type = {.kind = SCHEMA_OBJECT, .object = &tree, .nullable = true}, .fallback = "null"},
};
static const struct schema_object tree = {.name = "Tree", .members = tree_members, .member_count = 3};
