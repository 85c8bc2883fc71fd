/* One value that is no container: coerced, or what is wrong with it. See schema_internal.h.
 *
 * The rules are pydantic-core's for JSON input in lax mode (src/input/input_json.rs, src/validators/int.rs, float.rs,
 * string.rs, literal.rs, enum_.rs). What comes of it is judged in schema_fit.c. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "must.h"
#include "schema_internal.h"
#include "schema_json.h"
#include "schema_number.h"

/* --- coercion ------------------------------------------------------------------------------------------------------- */

static enum fault_e int_fault(enum number_e found)
{
    static const enum fault_e faults[] = {
        [NUMBER_OK] = FAULT_NONE,         [NUMBER_NONE] = FAULT_INT_PARSING,
        [NUMBER_LARGE] = FAULT_INT_SIZE,  [NUMBER_FRACTION] = FAULT_INT_FRACTION,
        [NUMBER_INFINITE] = FAULT_FINITE,
    };
    return faults[found];
}

static enum fault_e to_int(const json_t *value, int64_t *out)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        *out = json_integer_value(value);
        return FAULT_NONE;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = json_is_true(value);
        return FAULT_NONE;
    case JSON_REAL:
        return int_fault(schema_float_to_int(json_real_value(value), out));
    case JSON_STRING:
        return int_fault(schema_text_to_int(json_string_value(value), json_string_length(value), out));
    default:
        return FAULT_INT_TYPE;
    }
}

static enum fault_e text_to_float(const json_t *value, double *out)
{
    switch (schema_text_to_float(json_string_value(value), json_string_length(value), out)) {
    case NUMBER_OK:
        return FAULT_NONE;
    case NUMBER_INFINITE:
        return FAULT_FINITE;
    default:
        return FAULT_FLOAT_PARSING;
    }
}

static enum fault_e to_float(const json_t *value, double *out)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        *out = (double)json_integer_value(value);
        return FAULT_NONE;
    case JSON_REAL:
        *out = json_real_value(value);
        return fabs(*out) >= SCHEMA_JSON_HUGE ? FAULT_FINITE : FAULT_NONE;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = json_is_true(value);
        return FAULT_NONE;
    case JSON_STRING:
        return text_to_float(value, out);
    default:
        return FAULT_FLOAT_TYPE;
    }
}

static enum fault_e text_to_bool(const json_t *value, bool *out)
{
    static const char *const words[] = {"0", "f", "n", "no", "off", "false",
                                        "1", "t", "y", "on", "yes", "true"};
    size_t len = json_string_length(value);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (len == strlen(words[i]) && strncasecmp(json_string_value(value), words[i], len) == 0) {
            *out = i >= ARRAY_LEN(words) / 2;
            return FAULT_NONE;
        }
    }
    return FAULT_BOOL_PARSING;
}

static enum fault_e to_bool(const json_t *value, bool *out)
{
    int64_t number;
    switch (json_typeof(value)) {
    case JSON_TRUE:
    case JSON_FALSE:
        *out = json_is_true(value);
        return FAULT_NONE;
    case JSON_STRING:
        return text_to_bool(value, out);
    case JSON_INTEGER:
    case JSON_REAL:
        if (to_int(value, &number) != FAULT_NONE)
            return FAULT_BOOL_TYPE;
        *out = number == 1;
        return number == 0 || number == 1 ? FAULT_NONE : FAULT_BOOL_PARSING;
    default:
        return FAULT_BOOL_TYPE;
    }
}

/* --- all ------------------------------------------------------------------------------------------------------------ */

/* A new value of the node's type; strings and what is right already stay what they are. */
static enum fault_e coerce(const struct node *node, json_t *value, json_t **out)
{
    enum fault_e fault = FAULT_NONE;
    int64_t whole;
    double real;
    bool truth;
    *out = NULL;
    switch (node->kind) {
    case SCHEMA_INT:
        fault = to_int(value, &whole);
        if (fault == FAULT_NONE)
            *out = json_is_integer(value) ? json_incref(value) : json_integer(whole);
        break;
    case SCHEMA_FLOAT:
        fault = to_float(value, &real);
        if (fault == FAULT_NONE)
            *out = json_is_real(value) ? json_incref(value) : json_real(real);
        break;
    case SCHEMA_BOOL:
        fault = to_bool(value, &truth);
        if (fault == FAULT_NONE)
            *out = json_boolean(truth);
        break;
    case SCHEMA_STRING:
    case SCHEMA_NULL:
        if (node->kind == SCHEMA_STRING ? !json_is_string(value) : !json_is_null(value))
            return node->kind == SCHEMA_STRING ? FAULT_STRING_TYPE : FAULT_NULL;
        *out = json_incref(value);
        break;
    default:
        *out = json_incref(value);
    }
    return fault == FAULT_NONE && *out == NULL ? FAULT_MEMORY : fault;
}

/* With choices, whatever does not become one of them is told in the choice's words. */
static enum fault_e choose(const struct schema *schema, const struct node *node, json_t **out)
{
    uint32_t found = SCHEMA_NONE;
    if (*out != NULL) {
        struct schema_seen seen = schema_see(*out);
        found = schema_choice(schema, node, &seen);
    }
    json_decref(*out);
    *out = found != SCHEMA_NONE ? json_incref(schema->choices[node->first_choice + found].value) : NULL;
    return found != SCHEMA_NONE ? FAULT_NONE : node->is_const ? FAULT_LITERAL : FAULT_ENUM;
}

static enum fault_e check_bounds(const struct node *node, const json_t *value)
{
    struct schema_seen seen = schema_see(value);
    return schema_bounds(node, &seen);
}

json_t *schema_scalar(const struct schema *schema, const struct node *node, json_t *value,
                      enum fault_e *fault)
{
    json_t *out;
    *fault = schema->strict ? schema_kind(schema, node, schema_see(value).kind) : FAULT_NONE;
    if (*fault != FAULT_NONE)
        return NULL;
    *fault = coerce(node, value, &out);
    if (*fault == FAULT_MEMORY)
        return NULL;
    if (node->choice_count > 0)
        *fault = choose(schema, node, &out);
    if (*fault == FAULT_NONE)
        *fault = check_bounds(node, out);
    if (*fault != FAULT_NONE) {
        json_decref(out);
        return NULL;
    }
    return out;
}
