/* Custom checks: an object's own, then those of the objects in it. See schema.h. */
#include <string.h>

#include "schema_internal.h"

struct schema_report {
    struct errors *errors;
};

struct checking {
    const struct schema *schema;
    struct errors *errors;
};

void schema_report(struct schema_report *report, const char *member, const char *type, const char *msg)
{
    const char *name = member != NULL ? member : "__model__";
    schema_errors_add(report->errors, name, strlen(name), type, msg);
}

static void check(struct checking *walk, uint32_t index, json_t *value);

static void check_at(struct checking *walk, const char *name, size_t len, uint32_t node, json_t *value)
{
    struct errors *errors = walk->errors;
    errors->path[errors->depth++] = (struct step){name, len};
    check(walk, node, value);
    errors->depth--;
}

static void check_object(struct checking *walk, const struct node *node, json_t *value)
{
    struct schema_report report = {walk->errors};
    for (uint32_t i = 0; i < node->check_count && !schema_errors_stop(walk->errors); i++)
        node->checks[i].check(value, &report, node->checks[i].arg);
    for (uint32_t i = 0; i < node->count && !schema_errors_stop(walk->errors); i++) {
        const struct member *member = &walk->schema->members[node->first + i];
        json_t *given = json_object_getn(value, member->name, member->name_len);
        if (given != NULL)
            check_at(walk, member->name, member->name_len, member->node, given);
    }
}

static void check_items(struct checking *walk, const struct node *node, json_t *value)
{
    json_t *item;
    size_t i;
    json_array_foreach(value, i, item)
    {
        if (schema_errors_stop(walk->errors))
            return;
        check_at(walk, NULL, i, node->item, item);
    }
    for (void *at = json_object_iter(value); at != NULL && !schema_errors_stop(walk->errors);
         at = json_object_iter_next(value, at))
        check_at(walk, json_object_iter_key(at), json_object_iter_key_len(at), node->item,
                 json_object_iter_value(at));
}

static void check(struct checking *walk, uint32_t index, json_t *value)
{
    bool nullable;
    const struct node *node = schema_node(walk->schema, index, &nullable);
    if (!node->checked || walk->errors->depth > SCHEMA_DEPTH)
        return;
    if (node->kind == SCHEMA_OBJECT && json_is_object(value))
        check_object(walk, node, value);
    else if (node->kind == SCHEMA_LIST ? json_is_array(value)
                                       : node->kind == SCHEMA_DICT && json_is_object(value))
        check_items(walk, node, value);
}

void schema_run_checks(const struct schema *schema, json_t *made, struct errors *errors)
{
    struct checking walk = {schema, errors};
    check(&walk, schema->root, made);
}
