/* Keywords of JSON Schema that restrict a type, into its node. See schema_build.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "schema_alloc.h"
#include "schema_build.h"
#include "schema_number.h"
#include "utf8.h"

/* --- lengths and patterns ------------------------------------------------------------------------------------------- */

static bool read_length(struct builder *builder, const json_t *document, const char *name, uint32_t *out)
{
    const json_t *value = json_object_get(document, name);
    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= UINT32_MAX)
        return build_refuse_at(builder, name, "expected an integer from 0 to 4294967294");
    *out = (uint32_t)json_integer_value(value);
    return true;
}

bool build_lengths(struct builder *builder, uint32_t node, const json_t *document, const char *least,
                   const char *most)
{
    struct node *into = &builder->schema->nodes[node];
    return read_length(builder, document, least, &into->min_length) &&
           read_length(builder, document, most, &into->max_length);
}

bool build_text(struct builder *builder, uint32_t node, const json_t *document)
{
    struct node *into = &builder->schema->nodes[node];
    into->no_nul = json_is_true(json_object_get(document, "noNul"));
    return read_length(builder, document, "maxBytes", &into->max_bytes);
}

bool build_pattern(struct builder *builder, uint32_t node, const json_t *document)
{
    const json_t *value = json_object_get(document, "pattern");
    const char *why;
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return build_refuse_at(builder, "pattern", "expected a string");
    struct schema_pattern *pattern =
        schema_pattern_new(json_string_value(value), json_string_length(value), &why);
    builder->schema->nodes[node].pattern = pattern;
    if (pattern == NULL && why != NULL)
        return build_refuse_at(builder, "pattern", why);
    return pattern != NULL;
}

/* --- numbers -------------------------------------------------------------------------------------------------------- */

static bool read_bound(struct builder *builder, const json_t *document, const char *name, bool whole,
                       bool *there, union bound *out)
{
    const json_t *value = json_object_get(document, name);
    *there = value != NULL;
    if (value == NULL)
        return true;
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return build_refuse_at(builder, name, "expected a number");
    if (!whole)
        out->real = json_number_value(value);
    else if (json_is_integer(value))
        out->whole = json_integer_value(value);
    else if (schema_float_to_int(json_real_value(value), &out->whole) != NUMBER_OK)
        return build_refuse_at(builder, name, "expected an integer of 64 bits");
    return true;
}

bool build_bounds(struct builder *builder, uint32_t node, const json_t *document)
{
    struct bounds *bounds = &builder->schema->nodes[node].bounds;
    bool whole = builder->schema->nodes[node].kind == SCHEMA_INT;
    if (!read_bound(builder, document, "minimum", whole, &bounds->ge, &bounds->at_least) ||
        !read_bound(builder, document, "exclusiveMinimum", whole, &bounds->gt, &bounds->above) ||
        !read_bound(builder, document, "maximum", whole, &bounds->le, &bounds->at_most) ||
        !read_bound(builder, document, "exclusiveMaximum", whole, &bounds->lt, &bounds->below) ||
        !read_bound(builder, document, "multipleOf", whole, &bounds->multiple_of, &bounds->step))
        return false;
    if (bounds->multiple_of && (whole ? bounds->step.whole <= 0 : !(bounds->step.real > 0)))
        return build_refuse_at(builder, "multipleOf", "expected a number above 0");
    return true;
}

/* --- choices -------------------------------------------------------------------------------------------------------- */

/* What an error says of the choices grows in this. */
struct text {
    char *at;
    size_t len, room;
    bool memory;
};

static void put(struct text *text, const char *more, size_t len)
{
    if (text->len + len + 1 > text->room) {
        size_t want = 2 * (text->len + len + 1);
        char *grown = schema_grow(text->at, text->len, want);
        text->memory = text->memory || grown == NULL;
        if (grown == NULL)
            return;
        text->at = grown;
        text->room = want;
    }
    memcpy(text->at + text->len, more, len);
    text->len += len;
    text->at[text->len] = '\0';
}

static void put_text(struct text *text, const char *more)
{
    put(text, more, strlen(more));
}

/* One character as Python's repr() has it; of what is not ASCII it is taken that it can be shown. */
static void put_char(struct text *text, const char *at, size_t bytes, char quote)
{
    char escape[8];
    if (*at == quote || *at == '\\')
        snprintf(escape, sizeof escape, "\\%c", *at);
    else if (*at == '\n' || *at == '\r' || *at == '\t')
        snprintf(escape, sizeof escape, "\\%c", *at == '\n' ? 'n' : *at == '\r' ? 'r' : 't');
    else if ((unsigned char)*at < ' ' || *at == 0x7f)
        snprintf(escape, sizeof escape, "\\x%02x", (unsigned)*at);
    else {
        put(text, at, bytes);
        return;
    }
    put_text(text, escape);
}

static void put_string(struct text *text, const json_t *value)
{
    const char *at = json_string_value(value), *end = at + json_string_length(value);
    size_t len = (size_t)(end - at), bytes;
    char quote = memchr(at, '\'', len) != NULL && memchr(at, '"', len) == NULL ? '"' : '\'';
    put(text, &quote, 1);
    for (; at < end; at += bytes) {
        bytes = utf8_step(at, (size_t)(end - at));
        bytes += bytes == 0;
        put_char(text, at, bytes, quote);
    }
    put(text, &quote, 1);
}

static void put_value(struct text *text, const json_t *value)
{
    char number[32];
    switch (json_typeof(value)) {
    case JSON_STRING:
        put_string(text, value);
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        put_text(text, number);
        break;
    case JSON_REAL:
        schema_float_to_repr(json_real_value(value), number);
        put_text(text, number);
        break;
    default:
        put_text(text, json_is_null(value) ? "None" : json_is_true(value) ? "True" : "False");
    }
}

/* "'a', 'b' or 'c'" */
static char *expected_text(const json_t *values)
{
    struct text text = {0};
    size_t count = json_array_size(values), i;
    const json_t *value;
    json_array_foreach(values, i, value)
    {
        put_text(&text, i == 0 ? "" : i + 1 < count ? ", " : " or ");
        put_value(&text, value);
    }
    if (text.memory) {
        schema_release(text.at);
        return NULL;
    }
    return text.at;
}

static bool fits_kind(int kind, const json_t *value)
{
    switch (kind) {
    case SCHEMA_STRING:
        return json_is_string(value);
    case SCHEMA_INT:
        return json_is_integer(value);
    case SCHEMA_FLOAT:
        return json_is_number(value);
    case SCHEMA_BOOL:
        return json_is_boolean(value);
    case SCHEMA_NULL:
        return json_is_null(value);
    default:
        return !json_is_object(value) && !json_is_array(value);
    }
}

bool build_choices(struct builder *builder, uint32_t node, const json_t *values, const char *keyword)
{
    struct schema *schema = builder->schema;
    size_t i;
    json_t *value;
    if (!json_is_array(values) || json_array_size(values) == 0)
        return build_refuse_at(builder, keyword, "expected an array with something in it");
    schema->nodes[node].first_choice = schema->choice_count;
    json_array_foreach(values, i, value)
    {
        if (!fits_kind(schema->nodes[node].kind, value))
            return build_refuse_at(builder, keyword, "a value is not of the type");
        if (!build_choice(builder, value))
            return false;
    }
    schema->nodes[node].choice_count = (uint32_t)json_array_size(values);
    schema->nodes[node].expected = expected_text(values);
    return schema->nodes[node].expected != NULL;
}
