/* Vectors that grow while a schema is made, and where in its document it is. See schema_build.h. */
#include "schema_build.h"

#include <stdio.h>
#include <string.h>

#include "schema_alloc.h"

/* --- where ---------------------------------------------------------------------------------------------------------- */

static void append(struct builder *builder, char c)
{
    if (builder->pointer_len + 1 < sizeof builder->pointer)
        builder->pointer[builder->pointer_len++] = c;
    builder->pointer[builder->pointer_len] = '\0';
}

size_t build_enter(struct builder *builder, const char *name)
{
    size_t before = builder->pointer_len;
    append(builder, '/');
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/')
            append(builder, '~');
        append(builder, *name == '~' ? '0' : *name == '/' ? '1' : *name);
    }
    return before;
}

size_t build_enter_index(struct builder *builder, size_t index)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", index);
    return build_enter(builder, text);
}

void build_leave(struct builder *builder, size_t before)
{
    builder->pointer_len = before;
    builder->pointer[before] = '\0';
}

bool build_refuse(struct builder *builder, const char *why)
{
    if (!builder->refused) {
        snprintf(builder->problem->pointer, sizeof builder->problem->pointer, "%s", builder->pointer);
        snprintf(builder->problem->why, sizeof builder->problem->why, "%s", why);
    }
    builder->refused = true;
    return false;
}

bool build_refuse_at(struct builder *builder, const char *name, const char *why)
{
    size_t before = build_enter(builder, name);
    build_refuse(builder, why);
    build_leave(builder, before);
    return false;
}

/* --- vectors -------------------------------------------------------------------------------------------------------- */

/* Room for `count` more elements of `size` bytes, zeroed. */
static bool make_room(void **vector, uint32_t have, uint32_t *room, size_t count, size_t size)
{
    if (have + count <= *room)
        return true;
    uint32_t want = 2 * *room > have + count ? 2 * *room : (uint32_t)(have + count) + 8;
    void *more = schema_grow(*vector, have * size, want * size);
    if (more == NULL)
        return false;
    memset((char *)more + have * size, 0, (want - have) * size);
    *vector = more;
    *room = want;
    return true;
}

uint32_t build_node(struct builder *builder, int kind)
{
    struct schema *schema = builder->schema;
    if (schema->node_count == SCHEMA_NODES_MAX) {
        build_refuse(builder, "the schema has too many types");
        return UINT32_MAX;
    }
    void *nodes = schema->nodes;
    if (!make_room(&nodes, schema->node_count, &schema->node_room, 1, sizeof *schema->nodes))
        return UINT32_MAX;
    schema->nodes = nodes;
    struct node *node = &schema->nodes[schema->node_count];
    node->kind = (uint8_t)kind;
    node->max_length = node->max_bytes = UINT32_MAX;
    return schema->node_count++;
}

uint32_t build_members(struct builder *builder, size_t count)
{
    struct schema *schema = builder->schema;
    if (count > SCHEMA_MEMBERS_MAX - schema->member_count) {
        build_refuse(builder, "the schema has too many members");
        return UINT32_MAX;
    }
    void *members = schema->members;
    if (!make_room(&members, schema->member_count, &schema->member_room, count, sizeof *schema->members))
        return UINT32_MAX;
    schema->members = members;
    schema->member_count += (uint32_t)count;
    return schema->member_count - (uint32_t)count;
}

bool build_choice(struct builder *builder, json_t *value)
{
    struct schema *schema = builder->schema;
    if (schema->choice_count == SCHEMA_CHOICES_MAX)
        return build_refuse(builder, "the schema has too many choices");
    void *choices = schema->choices;
    if (!make_room(&choices, schema->choice_count, &schema->choice_room, 1, sizeof *schema->choices))
        return false;
    schema->choices = choices;
    json_t *copy = json_deep_copy(value);
    if (copy == NULL)
        return false;
    schema->choices[schema->choice_count++] = (struct choice){copy, schema_see(copy)};
    return true;
}

/* --- begin and end -------------------------------------------------------------------------------------------------- */

void schema_read_fini(struct builder *builder)
{
    json_decref(builder->refs);
    json_decref(builder->names);
    json_decref(builder->fallbacks);
    builder->refs = builder->names = builder->fallbacks = NULL;
}

enum err_e schema_finish(struct builder *builder, bool ok, struct schema **out)
{
    schema_read_fini(builder);
    if (!ok)
        schema_free(&builder->schema);
    *out = builder->schema;
    return ok ? ERR_OK : builder->refused ? ERR_CONFIG : ERR_MEMORY;
}
