/* C tables → JSON Schema, which is then read like any other: so both have one meaning, and a table can be shown. See schema.h. */
#include <stdio.h>
#include <string.h>

#include "schema_build.h"
#include "schema_json.h"

#define OBJECTS_MAX 256u

struct listing {
    const struct schema_object *objects[OBJECTS_MAX];
    unsigned count;
    struct schema_problem *problem;
};

static json_t *refuse(struct listing *listing, const char *name, const char *why)
{
    if (listing->problem->why[0] == '\0') {
        snprintf(listing->problem->pointer, sizeof listing->problem->pointer, "/$defs/%.200s", name);
        snprintf(listing->problem->why, sizeof listing->problem->why, "%s", why);
    }
    return NULL;
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

/* Its name in $defs: its own, unless another has it, too. */
static void name_of(const struct listing *listing, unsigned index, char out[128])
{
    const char *name = listing->objects[index]->name;
    bool unique = name != NULL && name[0] != '\0' && strpbrk(name, "/~%") == NULL;
    for (unsigned i = 0; unique && i < index; i++)
        unique = listing->objects[i]->name == NULL || strcmp(listing->objects[i]->name, name) != 0;
    if (unique)
        snprintf(out, 128, "%.120s", name);
    else
        snprintf(out, 128, "object %u", index);
}

static json_t *reference(struct listing *listing, const struct schema_object *object)
{
    char name[128];
    unsigned index = 0;
    while (index < listing->count && listing->objects[index] != object)
        index++;
    if (index == OBJECTS_MAX)
        return refuse(listing, "", "the table has too many objects");
    if (index == listing->count)
        listing->objects[listing->count++] = object;
    name_of(listing, index, name);
    return json_pack("{so}", "$ref", json_sprintf("#/$defs/%s", name));
}

/* --- types ---------------------------------------------------------------------------------------------------------- */

/* Sets a keyword to the value of a JSON text; NULL: nothing to set. */
static bool set_json(struct listing *listing, json_t *type, const char *keyword, const char *text)
{
    char why[SCHEMA_JSON_WHY_MAX];
    if (text == NULL)
        return true;
    json_t *value = schema_json_load(text, strlen(text), SCHEMA_VALUES_MAX, why);
    if (value == NULL && why[0] != '\0')
        refuse(listing, keyword, why);
    return json_object_set_new(type, keyword, value) == 0;
}

static bool set_length(json_t *type, const char *keyword, uint32_t length)
{
    json_int_t value = length == SCHEMA_EMPTY ? 0 : length;
    return length == 0 || json_object_set_new(type, keyword, json_integer(value)) == 0;
}

static json_t *type_to_json(struct listing *listing, const struct schema_type *type, unsigned nest);

/* What belongs to a kind, by name of its keyword; of every other kind it is NULL and 0. */
static bool set_restrictions(struct listing *listing, json_t *into, const struct schema_type *type)
{
    static const char *const lengths[][2] = {
        [SCHEMA_STRING] = {"minLength", "maxLength"},
        [SCHEMA_LIST] = {"minItems", "maxItems"},
        [SCHEMA_DICT] = {"minProperties", "maxProperties"},
        [SCHEMA_OBJECT] = {"minProperties", "maxProperties"},
    };
    const char *least = lengths[type->kind][0], *most = lengths[type->kind][1];
    return set_length(into, least != NULL ? least : "minLength", type->min_length) &&
           set_length(into, most != NULL ? most : "maxLength", type->max_length) &&
           set_length(into, "maxBytes", type->max_bytes) &&
           (!type->no_nul || json_object_set_new(into, "noNul", json_true()) == 0) &&
           set_json(listing, into, "minimum", type->ge) &&
           set_json(listing, into, "exclusiveMinimum", type->gt) &&
           set_json(listing, into, "maximum", type->le) &&
           set_json(listing, into, "exclusiveMaximum", type->lt) &&
           set_json(listing, into, "multipleOf", type->multiple_of) &&
           (type->pattern == NULL || json_object_set_new(into, "pattern", json_string(type->pattern)) == 0) &&
           set_json(listing, into, "enum", type->choices) && set_json(listing, into, "const", type->constant);
}

static json_t *plain_to_json(struct listing *listing, const struct schema_type *type, unsigned nest)
{
    static const char *const names[] = {
        [SCHEMA_STRING] = "string", [SCHEMA_INT] = "integer", [SCHEMA_FLOAT] = "number",
        [SCHEMA_BOOL] = "boolean",  [SCHEMA_NULL] = "null",   [SCHEMA_LIST] = "array",
        [SCHEMA_DICT] = "object",
    };
    json_t *out = type->kind == SCHEMA_OBJECT && type->object != NULL ? reference(listing, type->object)
                                                                      : json_object();
    const char *name = type->kind < SCHEMA_OBJECT ? names[type->kind] : NULL;
    bool ok = out != NULL && (name == NULL || json_object_set_new(out, "type", json_string(name)) == 0);
    if (ok && type->kind == SCHEMA_OBJECT && type->object == NULL)
        ok = refuse(listing, "", "a member of kind object names none") != NULL;
    if (ok && type->items != NULL)
        ok = json_object_set_new(out, type->kind == SCHEMA_DICT ? "additionalProperties" : "items",
                                 type_to_json(listing, type->items, nest + 1)) == 0;
    ok = ok && set_restrictions(listing, out, type);
    if (!ok) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* A list, or one of its items: both stand side by side. */
static json_t *list_or_item(struct listing *listing, const struct schema_type *type, json_t *list,
                            unsigned nest)
{
    json_t *item = type->items != NULL ? type_to_json(listing, type->items, nest + 1) : json_object();
    json_t *any = json_pack("[oo]", list, item);
    if (any != NULL && type->nullable && json_array_append_new(any, json_pack("{ss}", "type", "null")) != 0) {
        json_decref(any);
        any = NULL;
    }
    return json_pack("{so}", "anyOf", any);
}

static json_t *type_to_json(struct listing *listing, const struct schema_type *type, unsigned nest)
{
    if (nest > SCHEMA_NEST_MAX)
        return refuse(listing, "", "types are nested too deeply");
    json_t *plain = plain_to_json(listing, type, nest);
    if (plain != NULL && type->or_item)
        return list_or_item(listing, type, plain, nest);
    if (plain == NULL || !type->nullable)
        return plain;
    return json_pack("{s[o{ss}]}", "anyOf", plain, "type", "null");
}

/* --- objects -------------------------------------------------------------------------------------------------------- */

static bool member_to_json(struct listing *listing, const struct schema_member *member, json_t *properties,
                           json_t *required)
{
    json_t *type = type_to_json(listing, &member->type, 0);
    if (json_object_get(properties, member->name) != NULL)
        refuse(listing, member->name, "a member stands in the table twice");
    if (type == NULL || !set_json(listing, type, "default", member->fallback) ||
        listing->problem->why[0] != '\0') {
        json_decref(type);
        return false;
    }
    if (json_object_set_new(properties, member->name, type) != 0)
        return false;
    return member->fallback != NULL || member->optional ||
           json_array_append_new(required, json_string(member->name)) == 0;
}

static json_t *object_to_json(struct listing *listing, const struct schema_object *object)
{
    json_t *properties = json_object(), *required = json_array();
    bool ok = properties != NULL && required != NULL;
    for (unsigned i = 0; ok && i < object->member_count; i++)
        ok = member_to_json(listing, &object->members[i], properties, required);
    if (!ok) {
        json_decref(properties);
        json_decref(required);
        return NULL;
    }
    json_t *out = json_pack("{ssso so}", "type", "object", "properties", properties, "required", required);
    if (out != NULL && object->closed &&
        json_object_set_new(out, "additionalProperties", json_false()) != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* Objects are listed as they are met, and written in that order. */
static json_t *listing_to_json(struct listing *listing, const struct schema_object *table)
{
    json_t *root = reference(listing, table), *defs = json_object();
    bool ok = root != NULL && defs != NULL;
    for (unsigned i = 0; ok && i < listing->count; i++) {
        char name[128];
        name_of(listing, i, name);
        ok = json_object_set_new(defs, name, object_to_json(listing, listing->objects[i])) == 0;
    }
    if (!ok || json_object_set(root, "$defs", defs) != 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(defs);
    return root;
}

json_t *schema_table_to_json(const struct schema_object *table, struct schema_problem *problem)
{
    struct listing listing = {.problem = problem};
    *problem = (struct schema_problem){"", ""};
    return listing_to_json(&listing, table);
}

/* --- the schema ----------------------------------------------------------------------------------------------------- */

static void attach_checks(struct builder *builder, const struct listing *listing)
{
    for (unsigned i = 0; i < listing->count; i++) {
        char name[128];
        name_of(listing, i, name);
        json_t *index = json_object_get(builder->refs, name);
        struct node *node = &builder->schema->nodes[json_integer_value(index)];
        node->checks = listing->objects[i]->checks;
        node->check_count = listing->objects[i]->check_count;
    }
}

enum err_e schema_from_table(const struct schema_object *table, struct schema **out,
                             struct schema_problem *problem)
{
    struct listing listing = {.problem = problem};
    struct builder builder;
    *out = NULL;
    *problem = (struct schema_problem){"", ""};
    json_t *document = listing_to_json(&listing, table);
    if (document == NULL)
        return problem->why[0] != '\0' ? ERR_CONFIG : ERR_MEMORY;
    enum err_e err = schema_read(&builder, document, table->strict, problem);
    if (err == ERR_OK) {
        attach_checks(&builder, &listing);
        err = schema_finish(&builder, schema_link(&builder), out);
    }
    json_decref(document);
    return err;
}
