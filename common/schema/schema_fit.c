/* What a value has to be: the one place that knows kinds, bounds and choices. See schema_internal.h; the order in which bounds are looked
 * at is pydantic-core's (src/validators/int.rs, float.rs, string.rs): of several only the first is told. */
#include <math.h>
#include <string.h>

#include "must.h"
#include "schema_internal.h"
#include "schema_json.h"

struct schema_seen schema_see(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        return (struct schema_seen){.kind = SCHEMA_SEEN_INT, .whole = json_integer_value(value)};
    case JSON_REAL:
        return (struct schema_seen){.kind = SCHEMA_SEEN_REAL, .real = json_real_value(value)};
    case JSON_STRING:
        return (struct schema_seen){
            .kind = SCHEMA_SEEN_STRING, .text = json_string_value(value), .len = json_string_length(value)};
    case JSON_TRUE:
    case JSON_FALSE:
        return (struct schema_seen){.kind = SCHEMA_SEEN_BOOL, .truth = json_is_true(value)};
    case JSON_ARRAY:
        return (struct schema_seen){.kind = SCHEMA_SEEN_LIST, .len = json_array_size(value)};
    case JSON_OBJECT:
        return (struct schema_seen){.kind = SCHEMA_SEEN_OBJECT};
    default:
        return (struct schema_seen){.kind = SCHEMA_SEEN_NULL};
    }
}

/* --- kinds ---------------------------------------------------------------------------------------------------------- */

#define BIT(kind) (1u << SCHEMA_SEEN_##kind)

enum fault_e schema_kind(const struct schema *schema, const struct node *node, enum schema_seen_e kind)
{
    static const struct {
        unsigned takes;
        enum fault_e fault;
    } kinds[] = {
        [SCHEMA_ANY] = {~0u, FAULT_NONE},
        [SCHEMA_STRING] = {BIT(STRING), FAULT_STRING_TYPE},
        [SCHEMA_INT] = {BIT(INT), FAULT_INT_TYPE},
        [SCHEMA_FLOAT] = {BIT(INT) | BIT(REAL), FAULT_FLOAT_TYPE},
        [SCHEMA_BOOL] = {BIT(BOOL), FAULT_BOOL_TYPE},
        [SCHEMA_NULL] = {BIT(NULL), FAULT_NULL},
        [SCHEMA_LIST] = {BIT(LIST), FAULT_LIST_TYPE},
        [SCHEMA_DICT] = {BIT(OBJECT), FAULT_DICT_TYPE},
        [SCHEMA_OBJECT] = {BIT(OBJECT), FAULT_MODEL_TYPE},
    };
    if (kinds[node->kind].takes & 1u << kind)
        return FAULT_NONE;
    if (node->or_item && schema_kind(schema, &schema->nodes[node->item], kind) == FAULT_NONE)
        return FAULT_NONE;
    return kinds[node->kind].fault;
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
    if (fabs(value) >= SCHEMA_JSON_HUGE)
        return FAULT_FINITE;
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

static enum fault_e string_bounds(const struct node *node, const char *text, size_t len)
{
    if (len > node->max_bytes)
        return FAULT_STRING_BYTES;
    if (node->no_nul && len > 0 && memchr(text, '\0', len) != NULL)
        return FAULT_STRING_NUL;
    /* a character has one to four bytes: mostly there is no need to count */
    if ((len + 3) / 4 < node->min_length || len > node->max_length) {
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

enum fault_e schema_length(const struct node *node, size_t length)
{
    if (node->max_length != UINT32_MAX && length > node->max_length)
        return FAULT_TOO_LONG;
    return length < node->min_length ? FAULT_TOO_SHORT : FAULT_NONE;
}

enum fault_e schema_bounds(const struct node *node, const struct schema_seen *seen)
{
    switch (node->kind) {
    case SCHEMA_STRING:
        return string_bounds(node, seen->text, seen->len);
    case SCHEMA_INT:
        return int_bounds(&node->bounds, seen->whole);
    case SCHEMA_FLOAT:
        return float_bounds(&node->bounds, seen->kind == SCHEMA_SEEN_INT ? (double)seen->whole : seen->real);
    default:
        return FAULT_NONE;
    }
}

/* --- choices -------------------------------------------------------------------------------------------------------- */

static bool is_same(const struct schema_seen *a, const struct schema_seen *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case SCHEMA_SEEN_STRING:
        return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
    case SCHEMA_SEEN_INT:
        return a->whole == b->whole;
    case SCHEMA_SEEN_REAL:
        return a->real >= b->real && a->real <= b->real;
    case SCHEMA_SEEN_BOOL:
        return a->truth == b->truth;
    default:
        return a->kind == SCHEMA_SEEN_NULL;
    }
}

/* Numbers and booleans, as Python compares them: 1 == 1.0 == True. */
static bool as_number(const struct schema_seen *seen, double *real)
{
    *real = seen->kind == SCHEMA_SEEN_BOOL  ? seen->truth
            : seen->kind == SCHEMA_SEEN_INT ? (double)seen->whole
                                            : seen->real;
    return seen->kind == SCHEMA_SEEN_BOOL || seen->kind == SCHEMA_SEEN_INT || seen->kind == SCHEMA_SEEN_REAL;
}

static bool is_equal(const struct schema_seen *a, const struct schema_seen *b)
{
    double x, y;
    if (a->kind == SCHEMA_SEEN_INT && b->kind == SCHEMA_SEEN_INT)
        return a->whole == b->whole;
    return as_number(a, &x) && as_number(b, &y) && x <= y && x >= y;
}

uint32_t schema_choice(const struct schema *schema, const struct node *node, const struct schema_seen *seen)
{
    const struct choice *choices = &schema->choices[node->first_choice];
    for (uint32_t i = 0; i < node->choice_count; i++) {
        if (is_same(seen, &choices[i].seen))
            return i;
    }
    if (seen->kind == SCHEMA_SEEN_STRING)
        return SCHEMA_NONE;
    for (uint32_t i = 0; i < node->choice_count; i++) {
        if (is_equal(seen, &choices[i].seen))
            return i;
    }
    return SCHEMA_NONE;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

enum fault_e schema_fit(const struct schema *schema, const struct node *node, const struct schema_seen *seen,
                        uint32_t *choice)
{
    enum fault_e fault = schema_kind(schema, node, seen->kind);
    if (fault != FAULT_NONE)
        return fault;
    if (node->choice_count > 0) {
        MUST(seen->kind != SCHEMA_SEEN_NUMERAL);
        *choice = schema_choice(schema, node, seen);
        if (*choice == SCHEMA_NONE)
            return node->is_const ? FAULT_LITERAL : FAULT_ENUM;
    }
    return schema_bounds(node, seen);
}
