/* Hop: C2. See validated_text.h. Recursive, at most VALIDATED_LEVELS deep; ends early when something is wrong or does not fit. */
#include "validated_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "utf8.h"

#define TOO_DEEP "more than 200 levels"

/* A tree of Noria's own: what a schema made of a body, or errors by their locs, which go a few levels deeper. */
#define TREE_LEVELS (VALIDATED_LEVELS + 8)

struct writer {
    struct out *out;
    unsigned levels;
};

/* --- numbers -------------------------------------------------------------------------------------------------------- */

static const char *put_double(struct writer *writer, double value)
{
    if (!isfinite(value))
        return "a number that is not finite";
    out_double(writer->out, value);
    return NULL;
}

/* --- msgpack -------------------------------------------------------------------------------------------------------- */

static const char *put_pack(struct writer *writer, const msgpack_object *value);

static const char *put_str(struct writer *writer, const msgpack_object_str *str)
{
    const char *text = str->size > 0 ? str->ptr : ""; /* msgpack-c has NULL there */
    if (!utf8_is_valid(text, str->size))
        return "a text that is not UTF-8";
    out_json_string(writer->out, text, str->size);
    return NULL;
}

static const char *put_array(struct writer *writer, const msgpack_object_array *array)
{
    const char *why = NULL;
    out_char(writer->out, '[');
    for (uint32_t i = 0; i < array->size && why == NULL && !writer->out->overflow; i++) {
        if (i > 0)
            out_char(writer->out, ',');
        why = put_pack(writer, &array->ptr[i]);
    }
    out_char(writer->out, ']');
    return why;
}

static int by_name(const void *a, const void *b)
{
    const msgpack_object_str *x = &(*(const msgpack_object_kv *const *)a)->key.via.str;
    const msgpack_object_str *y = &(*(const msgpack_object_kv *const *)b)->key.via.str;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return x->size > 0 ? memcmp(x->ptr, y->ptr, x->size) : 0;
}

#define FEW_NAMES 16u

static bool few_differ(const msgpack_object_map *map)
{
    for (uint32_t i = 1; i < map->size; i++) {
        const msgpack_object_kv *one = &map->ptr[i];
        for (uint32_t k = 0; k < i; k++) {
            const msgpack_object_kv *other = &map->ptr[k];
            if (one->key.via.str.size == other->key.via.str.size && by_name(&one, &other) == 0)
                return false;
        }
    }
    return true;
}

static const char *many_differ(const msgpack_object_map *map)
{
    const msgpack_object_kv **sorted = malloc(map->size * sizeof *sorted);
    const char *why = sorted == NULL ? "out of memory" : NULL;
    for (uint32_t i = 0; sorted != NULL && i < map->size; i++)
        sorted[i] = &map->ptr[i];
    if (sorted != NULL)
        qsort(sorted, map->size, sizeof *sorted, by_name);
    for (uint32_t i = 1; why == NULL && i < map->size; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            why = "a map with a name twice";
    free(sorted);
    return why;
}

/* What is sorted fits the text, so that its length bounds the work. */
static const char *check_names(struct writer *writer, const msgpack_object_map *map)
{
    struct out *out = writer->out;
    size_t least = 0;
    for (uint32_t i = 0; i < map->size; i++) {
        if (map->ptr[i].key.type != MSGPACK_OBJECT_STR)
            return "a map with a key that is no text";
        least += map->ptr[i].key.via.str.size + sizeof "\"\":0";
        if (least > out->cap - out->len) {
            out->overflow = true;
            return NULL;
        }
    }
    if (map->size <= FEW_NAMES)
        return few_differ(map) ? NULL : "a map with a name twice";
    return many_differ(map);
}

static const char *put_map(struct writer *writer, const msgpack_object_map *map)
{
    const char *why = check_names(writer, map);
    out_char(writer->out, '{');
    for (uint32_t i = 0; i < map->size && why == NULL && !writer->out->overflow; i++) {
        if (i > 0)
            out_char(writer->out, ',');
        why = put_str(writer, &map->ptr[i].key.via.str);
        out_char(writer->out, ':');
        if (why == NULL)
            why = put_pack(writer, &map->ptr[i].val);
    }
    out_char(writer->out, '}');
    return why;
}

static const char *put_level(struct writer *writer, const msgpack_object *value)
{
    if (writer->levels == VALIDATED_LEVELS)
        return TOO_DEEP;
    writer->levels++;
    const char *why = value->type == MSGPACK_OBJECT_MAP ? put_map(writer, &value->via.map)
                                                        : put_array(writer, &value->via.array);
    writer->levels--;
    return why;
}

static const char *put_pack(struct writer *writer, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        out_literal(writer->out, "null");
        return NULL;
    case MSGPACK_OBJECT_BOOLEAN:
        out_text(writer->out, value->via.boolean ? "true" : "false");
        return NULL;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        out_u64(writer->out, value->via.u64);
        return NULL;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        out_i64(writer->out, value->via.i64);
        return NULL;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return put_double(writer, value->via.f64);
    case MSGPACK_OBJECT_STR:
        return put_str(writer, &value->via.str);
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP:
        return put_level(writer, value);
    case MSGPACK_OBJECT_BIN:
        return "bytes (bin) where JSON has nothing for them";
    case MSGPACK_OBJECT_EXT:
        return "an extension type";
    }
    return "an unknown type";
}

const char *validated_text_pack(struct out *out, const msgpack_object *value)
{
    struct writer writer = {out, 0};
    return put_pack(&writer, value);
}

/* --- jansson -------------------------------------------------------------------------------------------------------- */

static const char *put_json(struct writer *writer, const json_t *value);

static const char *put_elements(struct writer *writer, const json_t *array)
{
    const char *why = NULL;
    out_char(writer->out, '[');
    for (size_t i = 0; i < json_array_size(array) && why == NULL && !writer->out->overflow; i++) {
        if (i > 0)
            out_char(writer->out, ',');
        why = put_json(writer, json_array_get(array, i));
    }
    out_char(writer->out, ']');
    return why;
}

static const char *put_members(struct writer *writer, json_t *object)
{
    const char *name, *why = NULL;
    size_t len, count = 0;
    json_t *value;
    out_char(writer->out, '{');
    json_object_keylen_foreach(object, name, len, value)
    {
        if (count++ > 0)
            out_char(writer->out, ',');
        out_json_string(writer->out, name, len);
        out_char(writer->out, ':');
        why = put_json(writer, value);
        if (why != NULL || writer->out->overflow)
            break;
    }
    out_char(writer->out, '}');
    return why;
}

static const char *put_json_level(struct writer *writer, const json_t *value)
{
    if (writer->levels == TREE_LEVELS)
        return TOO_DEEP;
    writer->levels++;
    const char *why =
        json_is_object(value) ? put_members(writer, (json_t *)(uintptr_t)value) : put_elements(writer, value);
    writer->levels--;
    return why;
}

static const char *put_json(struct writer *writer, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        out_literal(writer->out, "null");
        return NULL;
    case JSON_TRUE:
        out_literal(writer->out, "true");
        return NULL;
    case JSON_FALSE:
        out_literal(writer->out, "false");
        return NULL;
    case JSON_INTEGER:
        out_i64(writer->out, json_integer_value(value));
        return NULL;
    case JSON_REAL:
        return put_double(writer, json_real_value(value));
    case JSON_STRING:
        out_json_string(writer->out, json_string_value(value), json_string_length(value));
        return NULL;
    case JSON_OBJECT:
    case JSON_ARRAY:
        return put_json_level(writer, value);
    }
    MUST_NOT_REACH();
}

const char *validated_text_json(struct out *out, const json_t *value)
{
    struct writer writer = {out, 0};
    return put_json(&writer, value);
}
