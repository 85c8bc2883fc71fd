/* What a message becomes. See schema_internal.h. The common way: a right message is gone through once, and only what its result
 * needs is allocated; the first fault ends it, and what all the faults are is found by a second walk (schema_explain.c), in
 * the order in which they are told. Rejected: gathering errors here, which needs a list of own errors per level (100 times 200
 * of them, with their paths) because those of nested objects come first. */
#include "schema_internal.h"

struct making {
    const struct schema *schema;
    bool keep;
    enum fault_e fault; /* the first one */
    unsigned depth;
};

static json_t *make(struct making *making, uint32_t index, json_t *value);

/* What is wrong stays as it is, or ends it all. */
static json_t *wrong(struct making *making, enum fault_e fault, json_t *value)
{
    if (making->fault == FAULT_NONE || fault == FAULT_MEMORY)
        making->fault = fault;
    return making->keep && fault != FAULT_MEMORY ? json_incref(value) : NULL;
}

static json_t *no_memory(struct making *making, json_t *unfinished)
{
    json_decref(unfinished);
    return wrong(making, FAULT_MEMORY, NULL);
}

/* Defaults that somebody could change are copied. */
static json_t *fallback_of(const struct member *member)
{
    bool container = json_is_object(member->fallback) || json_is_array(member->fallback);
    return container ? json_deep_copy(member->fallback) : json_incref(member->fallback);
}

/* True: go on. */
static bool make_member(struct making *making, const struct member *member, json_t *value, json_t *object)
{
    json_t *given = json_object_getn(value, member->name, member->name_len), *made;
    if (given != NULL) {
        made = make(making, member->node, given);
        if (made == NULL)
            return false;
    } else if (member->fallback != NULL) {
        made = fallback_of(member);
    } else {
        if (member->required)
            wrong(making, FAULT_MISSING, NULL);
        return !member->required || making->keep;
    }
    if (json_object_setn_new_nocheck(object, member->name, member->name_len, made) == 0)
        return true;
    making->fault = FAULT_MEMORY;
    return false;
}

/* Whether a closed object has members that are not declared. */
static bool has_extra(const struct making *making, const struct node *node, const json_t *value)
{
    size_t known = 0;
    const struct member *members = making->schema->members;
    for (uint32_t i = node->first; i < node->first + node->count; i++)
        known += json_object_getn(value, members[i].name, members[i].name_len) != NULL;
    return known < json_object_size(value);
}

static json_t *make_object(struct making *making, const struct node *node, json_t *value)
{
    if (!json_is_object(value))
        return wrong(making, FAULT_MODEL_TYPE, value);
    json_t *object = json_object();
    if (object == NULL)
        return no_memory(making, NULL);
    for (uint32_t i = 0; i < node->count; i++) {
        if (!make_member(making, &making->schema->members[node->first + i], value, object)) {
            json_decref(object);
            return NULL;
        }
    }
    if (node->closed && making->fault == FAULT_NONE && has_extra(making, node, value)) {
        making->fault = FAULT_EXTRA;
        if (!making->keep) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *make_list(struct making *making, const struct node *node, json_t *value)
{
    if (!json_is_array(value))
        return wrong(making, FAULT_LIST_TYPE, value);
    enum fault_e fault = schema_length(node, json_array_size(value));
    if (fault != FAULT_NONE)
        return wrong(making, fault, value);
    if (node->loose)
        return json_incref(value);
    json_t *array = json_array(), *item;
    size_t i;
    if (array == NULL)
        return no_memory(making, NULL);
    json_array_foreach(value, i, item)
    {
        json_t *made = make(making, node->item, item);
        if (made == NULL) {
            json_decref(array);
            return NULL;
        }
        if (json_array_append_new(array, made) != 0)
            return no_memory(making, array);
    }
    return array;
}

static json_t *make_dict(struct making *making, const struct node *node, json_t *value)
{
    if (!json_is_object(value))
        return wrong(making, FAULT_DICT_TYPE, value);
    enum fault_e fault = schema_length(node, json_object_size(value));
    if (fault != FAULT_NONE)
        return wrong(making, fault, value);
    if (node->loose)
        return json_incref(value);
    json_t *object = json_object();
    if (object == NULL)
        return no_memory(making, NULL);
    for (void *at = json_object_iter(value); at != NULL; at = json_object_iter_next(value, at)) {
        json_t *made = make(making, node->item, json_object_iter_value(at));
        if (made == NULL) {
            json_decref(object);
            return NULL;
        }
        if (json_object_setn_new_nocheck(object, json_object_iter_key(at), json_object_iter_key_len(at),
                                         made) != 0)
            return no_memory(making, object);
    }
    return object;
}

static json_t *make_scalar(struct making *making, const struct node *node, json_t *value)
{
    enum fault_e fault;
    json_t *made = schema_scalar(making->schema, node, value, &fault);
    return made != NULL ? made : wrong(making, fault, value);
}

static json_t *make_deeper(struct making *making, const struct node *node, json_t *value)
{
    switch (node->kind) {
    case SCHEMA_OBJECT:
        return make_object(making, node, value);
    case SCHEMA_LIST:
        return make_list(making, node, value);
    case SCHEMA_DICT:
        return make_dict(making, node, value);
    default:
        return make_scalar(making, node, value);
    }
}

static json_t *make(struct making *making, uint32_t index, json_t *value)
{
    bool nullable;
    const struct node *node = schema_node(making->schema, index, &nullable);
    if (nullable && json_is_null(value))
        return json_incref(value);
    if (making->depth > SCHEMA_DEPTH)
        return wrong(making, FAULT_DEPTH, value);
    if (node->or_item && !json_is_array(value) &&
        schema_kind(making->schema, node, schema_see(value).kind) == FAULT_NONE)
        node = schema_node(making->schema, node->item, &nullable);
    making->depth++;
    json_t *made = make_deeper(making, node, value);
    making->depth--;
    return made;
}

json_t *schema_convert(const struct schema *schema, uint32_t node, json_t *value, bool keep,
                       enum fault_e *fault)
{
    struct making making = {.schema = schema, .keep = keep};
    json_t *made = make(&making, node, value);
    *fault = making.fault;
    if (*fault == FAULT_MEMORY) { /* with `keep` it may have gone on */
        json_decref(made);
        return NULL;
    }
    return made;
}
