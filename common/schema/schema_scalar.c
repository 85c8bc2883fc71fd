/* One value that is no container: coerced, or what is wrong with it. See schema_internal.h.
 *
 * The rules are pydantic-core's for JSON input in lax mode (src/input/input_json.rs, src/validators/int.rs, float.rs,
 * string.rs, literal.rs, enum_.rs); the order in which bounds are looked at, too: of several only the first is told. */
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

/* --- bounds --------------------------------------------------------------------------------------------------------- */

static enum fault_e int_bounds(const struct bounds *bounds, int64_t value)
{
    if (bounds->multiple_of && value % bounds->step.whole != 0)
        return FAULT_MULTIPLE;
    if (bounds->le && value > bounds->at_most.whole)
        return FAULT_AT_MOST;
    if (bounds->lt && value >= bounds->below.whole)
        return FAULT_BELOW;
    if (bounds->ge && value < bounds->at_least.whole)
        return FAULT_AT_LEAST;
    return bounds->gt && value <= bounds->above.whole ? FAULT_ABOVE : FAULT_NONE;
}

/* Within a billionth, as there. */
static bool is_multiple(double value, double step)
{
    return fabs(value - round(value / step) * step) <= 1e-9;
}

static enum fault_e float_bounds(const struct bounds *bounds, double value)
{
    if (bounds->multiple_of && !is_multiple(value, bounds->step.real))
        return FAULT_MULTIPLE;
    if (bounds->le && value > bounds->at_most.real)
        return FAULT_AT_MOST;
    if (bounds->lt && value >= bounds->below.real)
        return FAULT_BELOW;
    if (bounds->ge && value < bounds->at_least.real)
        return FAULT_AT_LEAST;
    return bounds->gt && value <= bounds->above.real ? FAULT_ABOVE : FAULT_NONE;
}

static size_t characters(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static enum fault_e string_bounds(const struct node *node, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (node->min_length > 0 || node->max_length != UINT32_MAX) {
        size_t count = characters(text, len);
        if (count < node->min_length)
            return FAULT_STRING_SHORT;
        if (node->max_length != UINT32_MAX && count > node->max_length)
            return FAULT_STRING_LONG;
    }
    if (node->pattern != NULL && !schema_pattern_found(node->pattern, text, len))
        return FAULT_STRING_PATTERN;
    return FAULT_NONE;
}

enum fault_e schema_bounds(const struct node *node, const json_t *value)
{
    switch (node->kind) {
    case SCHEMA_STRING:
        return string_bounds(node, value);
    case SCHEMA_INT:
        return int_bounds(&node->bounds, json_integer_value(value));
    case SCHEMA_FLOAT:
        return float_bounds(&node->bounds, json_real_value(value));
    default:
        return FAULT_NONE;
    }
}

enum fault_e schema_length(const struct node *node, size_t length)
{
    if (node->max_length != UINT32_MAX && length > node->max_length)
        return FAULT_TOO_LONG;
    return length < node->min_length ? FAULT_TOO_SHORT : FAULT_NONE;
}

/* --- choices -------------------------------------------------------------------------------------------------------- */

/* Numbers and booleans, as Python compares them: 1 == 1.0 == True. */
static bool as_number(const json_t *value, double *real)
{
    if (json_is_boolean(value))
        *real = json_is_true(value);
    else if (json_is_number(value))
        *real = json_number_value(value);
    return json_is_boolean(value) || json_is_number(value);
}

static bool equal(const json_t *a, const json_t *b, bool loosely)
{
    double x, y;
    if (!loosely || (json_is_integer(a) && json_is_integer(b)))
        return json_equal(a, b);
    return as_number(a, &x) && as_number(b, &y) && x <= y && x >= y;
}

/* The choice itself, not what was given. */
static json_t *find_choice(const struct schema *schema, const struct node *node, const json_t *value)
{
    for (int loosely = 0; loosely <= 1; loosely++) {
        for (uint32_t i = 0; i < node->choice_count; i++) {
            json_t *choice = schema->choices[node->first_choice + i];
            if (equal(value, choice, loosely))
                return choice;
        }
    }
    return NULL;
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
    json_t *choice = *out != NULL ? find_choice(schema, node, *out) : NULL;
    json_decref(*out);
    *out = json_incref(choice);
    return choice != NULL ? FAULT_NONE : node->is_const ? FAULT_LITERAL : FAULT_ENUM;
}

json_t *schema_scalar(const struct schema *schema, const struct node *node, json_t *value,
                      enum fault_e *fault)
{
    json_t *out;
    *fault = coerce(node, value, &out);
    if (*fault == FAULT_MEMORY)
        return NULL;
    if (node->choice_count > 0)
        *fault = choose(schema, node, &out);
    if (*fault == FAULT_NONE)
        *fault = schema_bounds(node, out);
    if (*fault != FAULT_NONE) {
        json_decref(out);
        return NULL;
    }
    return out;
}
