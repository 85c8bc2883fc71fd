/* All that is wrong with a message that schema_convert() refused, in the order of schema.h: an object is gone through twice, first
 * for the objects in it, then for what is its own; no value is looked at more than twice. */
#include <stdio.h>
#include <string.h>

#include "schema_internal.h"
#include "schema_number.h"

enum part_e {
    PART_NESTED, /* what belongs to objects in it */
    PART_OWN     /* what belongs to the object that it lies in */
};

struct explaining {
    const struct schema *schema;
    struct errors *errors;
};

static void explain(struct explaining *walk, uint32_t index, json_t *value, enum part_e part);

/* --- texts ---------------------------------------------------------------------------------------------------------- */

static const char *const fault_types[] = {
#define X(name, type, text) [FAULT_##name] = type,
    FAULTS(X)
#undef X
};
static const char *const fault_texts[] = {
#define X(name, type, text) [FAULT_##name] = text,
    FAULTS(X)
#undef X
};

const char *schema_fault_type(enum fault_e fault)
{
    return fault_types[fault];
}

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

/* The number of a bound, as Rust shows it. */
static void bound_text(const struct node *node, union bound bound, char out[SCHEMA_NUMBER_TEXT])
{
    if (node->kind == SCHEMA_INT)
        snprintf(out, SCHEMA_NUMBER_TEXT, "%lld", (long long)bound.whole);
    else
        schema_float_to_text(bound.real, out);
}

static json_t *bound_message(const struct node *node, enum fault_e fault)
{
    static const char *const words[] = {
        [FAULT_MULTIPLE] = "a multiple of", [FAULT_AT_MOST] = "less than or equal to",
        [FAULT_BELOW] = "less than",        [FAULT_AT_LEAST] = "greater than or equal to",
        [FAULT_ABOVE] = "greater than",
    };
    char number[SCHEMA_NUMBER_TEXT];
    const struct bounds *bounds = &node->bounds;
    bound_text(node,
               fault == FAULT_MULTIPLE   ? bounds->step
               : fault == FAULT_AT_MOST  ? bounds->at_most
               : fault == FAULT_BELOW    ? bounds->below
               : fault == FAULT_AT_LEAST ? bounds->at_least
                                         : bounds->above,
               number);
    return json_sprintf("Input should be %s %s", words[fault], number);
}

static json_t *length_message(const struct node *node, enum fault_e fault, size_t length)
{
    bool least = fault == FAULT_TOO_SHORT || fault == FAULT_STRING_SHORT;
    uint32_t bound = least ? node->min_length : node->max_length;
    const char *most = least ? "least" : "most";
    if (fault == FAULT_STRING_BYTES)
        return json_sprintf("String should have at most %lu byte%s", (unsigned long)node->max_bytes,
                            plural(node->max_bytes));
    if (node->kind == SCHEMA_STRING)
        return json_sprintf("String should have at %s %lu character%s", most, (unsigned long)bound,
                            plural(bound));
    return json_sprintf("%s should have at %s %lu item%s after validation, not %zu",
                        node->kind == SCHEMA_LIST ? "List" : "Dictionary", most, (unsigned long)bound,
                        plural(bound), length);
}

/* A new string; NULL: no memory. */
static json_t *message(const struct node *node, enum fault_e fault, size_t length)
{
    if (fault_texts[fault] != NULL)
        return json_string_nocheck(fault_texts[fault]);
    switch (fault) {
    case FAULT_TOO_SHORT:
    case FAULT_TOO_LONG:
    case FAULT_STRING_SHORT:
    case FAULT_STRING_LONG:
    case FAULT_STRING_BYTES:
        return length_message(node, fault, length);
    case FAULT_STRING_PATTERN:
        return json_sprintf("String should match pattern '%s'", schema_pattern_text(node->pattern));
    case FAULT_ENUM:
    case FAULT_LITERAL:
        return json_sprintf("Input should be %s", node->expected);
    default:
        return bound_message(node, fault);
    }
}

static void tell(struct explaining *walk, const struct node *node, enum fault_e fault, size_t length)
{
    if (schema_errors_stop(walk->errors))
        return;
    json_t *text = fault != FAULT_MEMORY ? message(node, fault, length) : NULL;
    if (text == NULL)
        walk->errors->memory = true;
    else
        schema_errors_add(walk->errors, NULL, 0, fault_types[fault], json_string_value(text));
    json_decref(text);
}

/* --- the walk ------------------------------------------------------------------------------------------------------- */

static void explain_at(struct explaining *walk, const char *name, size_t len, uint32_t node, json_t *value,
                       enum part_e part)
{
    struct errors *errors = walk->errors;
    errors->path[errors->depth++] = (struct step){name, len};
    explain(walk, node, value, part);
    errors->depth--;
}

/* A list that is too long is told alone; every other length only where no item is wrong, as pydantic-core does it. */
static void explain_items(struct explaining *walk, const struct node *node, json_t *value, enum part_e part)
{
    bool list = json_is_array(value);
    size_t length = list ? json_array_size(value) : json_object_size(value), i;
    size_t before = json_array_size(walk->errors->list);
    enum fault_e fault = schema_length(node, length);
    json_t *item;
    if (!(list && fault == FAULT_TOO_LONG) && !node->loose) {
        json_array_foreach(value, i, item)
        {
            if (schema_errors_stop(walk->errors))
                return;
            explain_at(walk, NULL, i, node->item, item, part);
        }
        for (void *at = json_object_iter(value); at != NULL && !schema_errors_stop(walk->errors);
             at = json_object_iter_next(value, at))
            explain_at(walk, json_object_iter_key(at), json_object_iter_key_len(at), node->item,
                       json_object_iter_value(at), part);
    }
    if (part == PART_OWN && fault != FAULT_NONE && json_array_size(walk->errors->list) == before)
        tell(walk, node, fault, length);
}

static void explain_container(struct explaining *walk, const struct node *node, json_t *value,
                              enum part_e part)
{
    bool list = node->kind == SCHEMA_LIST;
    if (list ? json_is_array(value) : json_is_object(value))
        explain_items(walk, node, value, part);
    else if (part == PART_OWN)
        tell(walk, node, list ? FAULT_LIST_TYPE : FAULT_DICT_TYPE, 0);
}

static void explain_members(struct explaining *walk, const struct node *node, json_t *value, enum part_e part)
{
    for (uint32_t i = 0; i < node->count && !schema_errors_stop(walk->errors); i++) {
        const struct member *member = &walk->schema->members[node->first + i];
        json_t *given = json_object_getn(value, member->name, member->name_len);
        if (given != NULL)
            explain_at(walk, member->name, member->name_len, member->node, given, part);
        else if (part == PART_OWN && member->required)
            schema_errors_add(walk->errors, member->name, member->name_len, fault_types[FAULT_MISSING],
                              fault_texts[FAULT_MISSING]);
    }
}

static bool is_declared(const struct schema *schema, const struct node *node, const char *name, size_t len)
{
    for (uint32_t i = 0; i < node->count; i++) {
        const struct member *member = &schema->members[node->first + i];
        if (member->name_len == len && memcmp(member->name, name, len) == 0)
            return true;
    }
    return false;
}

static void explain_extra(struct explaining *walk, const struct node *node, json_t *value)
{
    for (void *at = json_object_iter(value); at != NULL && !schema_errors_stop(walk->errors);
         at = json_object_iter_next(value, at)) {
        const char *name = json_object_iter_key(at);
        size_t len = json_object_iter_key_len(at);
        if (!is_declared(walk->schema, node, name, len))
            schema_errors_add(walk->errors, name, len, fault_types[FAULT_EXTRA], fault_texts[FAULT_EXTRA]);
    }
}

static void explain_object(struct explaining *walk, const struct node *node, json_t *value, enum part_e part)
{
    if (!json_is_object(value)) {
        if (part == PART_OWN)
            tell(walk, node, FAULT_MODEL_TYPE, 0);
        return;
    }
    if (part == PART_OWN)
        return;
    explain_members(walk, node, value, PART_NESTED);
    explain_members(walk, node, value, PART_OWN);
    if (node->closed)
        explain_extra(walk, node, value);
}

static void explain_scalar(struct explaining *walk, const struct node *node, json_t *value)
{
    enum fault_e fault;
    json_t *made = schema_scalar(walk->schema, node, value, &fault);
    if (made == NULL)
        tell(walk, node, fault, 0);
    json_decref(made);
}

static void explain(struct explaining *walk, uint32_t index, json_t *value, enum part_e part)
{
    bool nullable;
    const struct node *node = schema_node(walk->schema, index, &nullable);
    if ((nullable && json_is_null(value)) || (part == PART_NESTED && !node->nests))
        return;
    if (walk->errors->depth > SCHEMA_DEPTH) {
        if (part == PART_OWN)
            tell(walk, node, FAULT_DEPTH, 0);
        return;
    }
    if (node->or_item && !json_is_array(value) &&
        schema_kind(walk->schema, node, schema_see(value).kind) == FAULT_NONE)
        node = schema_node(walk->schema, node->item, &nullable);
    if (node->kind == SCHEMA_OBJECT)
        explain_object(walk, node, value, part);
    else if (node->kind == SCHEMA_LIST || node->kind == SCHEMA_DICT)
        explain_container(walk, node, value, part);
    else if (part == PART_OWN)
        explain_scalar(walk, node, value);
}

void schema_explain(const struct schema *schema, json_t *message, struct errors *errors)
{
    struct explaining walk = {schema, errors};
    explain(&walk, schema->root, message, PART_NESTED);
    explain(&walk, schema->root, message, PART_OWN);
}
