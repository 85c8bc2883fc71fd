/* What only the whole schema shows. See schema_build.h. */
#include "must.h"
#include "schema_build.h"

#define DEFAULT_ROUNDS 8

/* A reference that leads to nothing but references would be followed for ever. */
static bool no_circles(struct builder *builder)
{
    const struct schema *schema = builder->schema;
    for (size_t i = 0; i < json_array_size(builder->names); i++) {
        const char *name = json_string_value(json_array_get(builder->names, i));
        uint32_t index = (uint32_t)json_integer_value(json_object_get(builder->refs, name)), steps = 0;
        while (schema->nodes[index].kind == KIND_REF && steps++ < schema->node_count)
            index = schema->nodes[index].item;
        if (steps > schema->node_count) {
            size_t before = build_enter(builder, "$defs");
            build_refuse_at(builder, name, "the definition is only itself");
            build_leave(builder, before);
            return false;
        }
    }
    return true;
}

/* One round of the flags; true: something changed. */
static bool flags_of(struct schema *schema, struct node *node)
{
    bool nests = node->kind == SCHEMA_OBJECT, checked = node->check_count > 0;
    if (node->kind == SCHEMA_LIST || node->kind == SCHEMA_DICT || node->kind == KIND_REF) {
        const struct node *item = &schema->nodes[node->item];
        nests = item->nests;
        checked = item->checked;
        node->loose = node->kind != KIND_REF && item->kind == SCHEMA_ANY && item->choice_count == 0;
    }
    for (uint32_t i = 0; node->kind == SCHEMA_OBJECT && i < node->count; i++)
        checked = checked || schema->nodes[schema->members[node->first + i].node].checked;
    bool changed = nests != node->nests || checked != node->checked;
    node->nests = nests;
    node->checked = checked;
    return changed;
}

static void set_flags(struct schema *schema)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < schema->node_count; i++)
            changed = flags_of(schema, &schema->nodes[i]) || changed;
    }
    schema->checked = schema->nodes[schema->root].checked;
}

/* A default becomes what it would become in a message, defaults in it included; *changed: it did. */
static bool settle(struct builder *builder, json_t *note, bool *changed)
{
    struct member *member = &builder->schema->members[json_integer_value(json_array_get(note, 0))];
    enum fault_e fault;
    json_t *made = schema_convert(builder->schema, member->node, member->fallback, false, &fault);
    if (fault == FAULT_MEMORY)
        return false;
    if (made == NULL) {
        builder->pointer_len = 0;
        const char *pointer = json_string_value(json_array_get(note, 1));
        size_t len = json_string_length(json_array_get(note, 1));
        MUST(len < sizeof builder->pointer);
        for (size_t i = 0; i <= len; i++)
            builder->pointer[i] = pointer[i];
        return build_refuse(builder, "the default is not valid");
    }
    *changed = *changed || !json_equal(made, member->fallback);
    json_decref(member->fallback);
    member->fallback = json_deep_copy(made);
    json_decref(made);
    return member->fallback != NULL;
}

/* Defaults may hold defaults of others, which settle in their turn. */
static bool settle_defaults(struct builder *builder)
{
    bool changed = true;
    for (int round = 0; changed && round < DEFAULT_ROUNDS; round++) {
        json_t *note;
        size_t i;
        changed = false;
        json_array_foreach(builder->fallbacks, i, note)
        {
            if (!settle(builder, note, &changed))
                return false;
        }
    }
    return !changed || build_refuse(builder, "defaults contain each other");
}

bool schema_link(struct builder *builder)
{
    if (!no_circles(builder))
        return false;
    set_flags(builder->schema);
    return settle_defaults(builder);
}
