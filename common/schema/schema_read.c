/* JSON Schema → nodes. See schema.h for the subset, schema_build.h for what it is made with. Definitions are read when they are met
 * by name, one after the other and not within each other, so that chains of them cost no stack. */
#include <string.h>

#include "must.h"
#include "schema_alloc.h"
#include "schema_build.h"

static const char *const annotations[] = {"title",     "description", "examples", "deprecated", "readOnly",
                                          "writeOnly", "$comment",    "$schema",  "$id"};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Everything that stands here is understood: `allowed` (up to 8), annotations, and what the place permits. */
static bool only(struct builder *builder, const json_t *document, enum place_e place,
                 const char *const allowed[8])
{
    const char *name;
    size_t len;
    json_t *value;
    json_object_keylen_foreach((json_t *)document, name, len, value)
    {
        if (strlen(name) != len)
            return build_refuse(builder, "a keyword with NUL in it");
        if (is_one_of(name, allowed, 8) || is_one_of(name, annotations, ARRAY_LEN(annotations)) ||
            (place == PLACE_PROPERTY && strcmp(name, "default") == 0) ||
            (place == PLACE_ROOT && strcmp(name, "$defs") == 0))
            continue;
        return build_refuse_at(builder, name, "this keyword is not supported here");
    }
    return true;
}

/* --- references ----------------------------------------------------------------------------------------------------- */

/* The node that stands for a definition: it is filled later. */
static uint32_t definition(struct builder *builder, const char *name)
{
    json_t *known = json_object_get(builder->refs, name);
    if (known != NULL)
        return (uint32_t)json_integer_value(known);
    if (json_object_get(json_object_get(builder->document, "$defs"), name) == NULL) {
        build_refuse_at(builder, "$ref", "there is no such definition");
        return UINT32_MAX;
    }
    uint32_t node = build_node(builder, SCHEMA_ANY);
    if (node != UINT32_MAX && (json_array_append_new(builder->names, json_string(name)) != 0 ||
                               json_object_set_new(builder->refs, name, json_integer(node)) != 0))
        return UINT32_MAX;
    return node;
}

/* JSON pointer's ~0 and ~1 and a URI fragment's %HH are not in the names that Pydantic writes. */
static uint32_t read_ref(struct builder *builder, const json_t *document, enum place_e place)
{
    static const char *const allowed[8] = {"$ref"}, prefix[] = "#/$defs/";
    const char *text = json_string_value(json_object_get(document, "$ref"));
    if (!only(builder, document, place, allowed))
        return UINT32_MAX;
    if (text == NULL || strlen(text) != json_string_length(json_object_get(document, "$ref")) ||
        strncmp(text, prefix, sizeof prefix - 1) != 0 || strpbrk(text + sizeof prefix - 1, "/~%") != NULL) {
        build_refuse_at(builder, "$ref", "expected \"#/$defs/NAME\"");
        return UINT32_MAX;
    }
    uint32_t target = definition(builder, text + sizeof prefix - 1);
    uint32_t node = target != UINT32_MAX ? build_node(builder, KIND_REF) : UINT32_MAX;
    if (node != UINT32_MAX)
        builder->schema->nodes[node].item = target;
    return node;
}

/* --- unions --------------------------------------------------------------------------------------------------------- */

static bool is_null_type(const json_t *document)
{
    const char *type = json_string_value(json_object_get(document, "type"));
    return type != NULL && strcmp(type, "null") == 0 && json_object_size(document) == 1;
}

static uint32_t read_element(struct builder *builder, const json_t *array, size_t index, const char *name,
                             unsigned nest)
{
    size_t before = build_enter(builder, name);
    build_enter_index(builder, index);
    uint32_t node = build_type(builder, json_array_get(array, index), PLACE_INNER, nest);
    build_leave(builder, before);
    return node;
}

/* A strict table's list or its item; the item's type is read twice, and the second one used by nobody. */
static uint32_t read_list_or_item(struct builder *builder, const json_t *types, unsigned nest)
{
    uint32_t node = read_element(builder, types, 0, "anyOf", nest);
    uint32_t item = node != UINT32_MAX ? read_element(builder, types, 1, "anyOf", nest) : UINT32_MAX;
    if (item == UINT32_MAX)
        return UINT32_MAX;
    struct node *nodes = builder->schema->nodes;
    MUST(nodes[node].kind == SCHEMA_LIST && nodes[nodes[node].item].kind == nodes[item].kind);
    nodes[node].or_item = true;
    nodes[node].nullable = json_array_size(types) == 3;
    return node;
}

static uint32_t read_any_of(struct builder *builder, const json_t *document, enum place_e place,
                            unsigned nest)
{
    static const char *const allowed[8] = {"anyOf"};
    const json_t *types = json_object_get(document, "anyOf");
    if (!only(builder, document, place, allowed))
        return UINT32_MAX;
    bool first = is_null_type(json_array_get(types, 0)), second = is_null_type(json_array_get(types, 1));
    if (builder->schema->strict && !first && !second)
        return read_list_or_item(builder, types, nest);
    if (json_array_size(types) != 2 || first == second) {
        build_refuse_at(builder, "anyOf",
                        "expected [TYPE, {\"type\":\"null\"}]: other unions are not supported");
        return UINT32_MAX;
    }
    uint32_t node = read_element(builder, types, first, "anyOf", nest);
    if (node != UINT32_MAX)
        builder->schema->nodes[node].nullable = true;
    return node;
}

static uint32_t read_all_of(struct builder *builder, const json_t *document, enum place_e place,
                            unsigned nest)
{
    static const char *const allowed[8] = {"allOf"};
    const json_t *types = json_object_get(document, "allOf");
    if (!only(builder, document, place, allowed))
        return UINT32_MAX;
    if (json_array_size(types) != 1) {
        build_refuse_at(builder, "allOf", "expected an array of one type");
        return UINT32_MAX;
    }
    return read_element(builder, types, 0, "allOf", nest);
}

/* --- objects -------------------------------------------------------------------------------------------------------- */

/* Names and defaults of all members, whose types are read afterwards. */
static bool read_names(struct builder *builder, uint32_t first, const json_t *properties)
{
    const char *name;
    json_t *property;
    json_object_foreach((json_t *)properties, name, property)
    {
        struct member *member = &builder->schema->members[first++];
        size_t len = json_object_iter_key_len(json_object_key_to_iter(name));
        if (len == 0 || len > SCHEMA_NAME_MAX || strlen(name) != len) {
            build_enter(builder, "properties");
            return build_refuse_at(builder, name, "expected a name of 1 to 256 bytes without NUL");
        }
        member->name = schema_grow(NULL, 0, len + 1);
        if (member->name == NULL)
            return false;
        memcpy(member->name, name, len + 1);
        member->name_len = (uint32_t)len;
    }
    return true;
}

static bool note_fallback(struct builder *builder, uint32_t index, json_t *fallback)
{
    size_t before = build_enter(builder, "default");
    bool ok = json_array_append_new(builder->fallbacks, json_pack("[is]", (int)index, builder->pointer)) == 0;
    build_leave(builder, before);
    builder->schema->members[index].fallback = json_deep_copy(fallback);
    return ok && builder->schema->members[index].fallback != NULL;
}

static bool read_properties(struct builder *builder, uint32_t first, const json_t *properties, unsigned nest)
{
    const char *name;
    json_t *property, *fallback;
    bool ok = true;
    size_t before = build_enter(builder, "properties");
    json_object_foreach((json_t *)properties, name, property)
    {
        size_t outside = build_enter(builder, name);
        uint32_t node = build_type(builder, property, PLACE_PROPERTY, nest);
        ok = node != UINT32_MAX;
        builder->schema->members[first].node = node;
        fallback = json_object_get(property, "default");
        ok = ok && (fallback == NULL || note_fallback(builder, first, fallback));
        build_leave(builder, outside);
        first++;
        if (!ok)
            break;
    }
    build_leave(builder, before);
    return ok;
}

static bool read_required(struct builder *builder, const struct node *node, const json_t *names)
{
    if (names != NULL && !json_is_array(names))
        return build_refuse_at(builder, "required", "expected an array of names");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct member *members = builder->schema->members, *found = NULL;
        for (uint32_t k = node->first; name != NULL && k < node->first + node->count; k++)
            found = strcmp(members[k].name, name) == 0 ? &members[k] : found;
        if (found == NULL)
            return build_refuse_at(builder, "required", "a name is no property");
        if (found->fallback != NULL)
            return build_refuse_at(builder, "required", "a property is required and has a default");
        found->required = true;
    }
    return true;
}

static uint32_t read_object(struct builder *builder, const json_t *document, enum place_e place,
                            unsigned nest)
{
    static const char *const allowed[8] = {"type", "properties", "required", "additionalProperties"};
    const json_t *properties = json_object_get(document, "properties");
    const json_t *extra = json_object_get(document, "additionalProperties");
    if (!only(builder, document, place, allowed))
        return UINT32_MAX;
    if (!json_is_object(properties) || (extra != NULL && !json_is_false(extra))) {
        build_refuse_at(builder, extra != NULL ? "additionalProperties" : "properties",
                        extra != NULL ? "only false is supported beside properties" : "expected an object");
        return UINT32_MAX;
    }
    uint32_t node = build_node(builder, SCHEMA_OBJECT);
    uint32_t first = node != UINT32_MAX ? build_members(builder, json_object_size(properties)) : UINT32_MAX;
    if (first == UINT32_MAX || !read_names(builder, first, properties))
        return UINT32_MAX;
    builder->schema->nodes[node].first = first;
    builder->schema->nodes[node].count = (uint32_t)json_object_size(properties);
    builder->schema->nodes[node].closed = extra != NULL;
    if (!read_properties(builder, first, properties, nest) ||
        !read_required(builder, &builder->schema->nodes[node], json_object_get(document, "required")))
        return UINT32_MAX;
    return node;
}

/* --- lists and dictionaries ----------------------------------------------------------------------------------------- */

static uint32_t read_items(struct builder *builder, const json_t *document, const char *name, unsigned nest)
{
    const json_t *items = json_object_get(document, name);
    if (items == NULL || (json_is_true(items) && strcmp(name, "items") != 0))
        return build_node(builder, SCHEMA_ANY);
    size_t before = build_enter(builder, name);
    uint32_t node = build_type(builder, items, PLACE_INNER, nest);
    build_leave(builder, before);
    return node;
}

static uint32_t read_container(struct builder *builder, const json_t *document, enum place_e place,
                               unsigned nest, bool list)
{
    static const char *const of_list[8] = {"type", "items", "minItems", "maxItems"};
    static const char *const of_dict[8] = {"type", "additionalProperties", "minProperties", "maxProperties"};
    if (!only(builder, document, place, list ? of_list : of_dict))
        return UINT32_MAX;
    uint32_t node = build_node(builder, list ? SCHEMA_LIST : SCHEMA_DICT);
    if (node == UINT32_MAX || !build_lengths(builder, node, document, list ? "minItems" : "minProperties",
                                             list ? "maxItems" : "maxProperties"))
        return UINT32_MAX;
    uint32_t item = read_items(builder, document, list ? "items" : "additionalProperties", nest);
    if (item == UINT32_MAX)
        return UINT32_MAX;
    builder->schema->nodes[node].item = item;
    return node;
}

/* --- scalars -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int kind;
    const char *allowed[8];
} scalars[] = {
    {"string", SCHEMA_STRING, {"type", "minLength", "maxLength", "pattern"}},
    {"integer",
     SCHEMA_INT,
     {"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
    {"number",
     SCHEMA_FLOAT,
     {"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
    {"boolean", SCHEMA_BOOL, {"type"}},
    {"null", SCHEMA_NULL, {"type"}},
};

static int scalar_of(const char *type)
{
    for (int i = 0; type != NULL && i < (int)ARRAY_LEN(scalars); i++) {
        if (strcmp(scalars[i].name, type) == 0)
            return i;
    }
    return -1;
}

static uint32_t read_scalar(struct builder *builder, const json_t *document, enum place_e place, int which)
{
    static const char *const of_strict[8] = {"type",    "minLength", "maxLength",
                                             "pattern", "maxBytes",  "noNul"};
    bool strict_text = builder->schema->strict && scalars[which].kind == SCHEMA_STRING;
    if (!only(builder, document, place, strict_text ? of_strict : scalars[which].allowed))
        return UINT32_MAX;
    uint32_t node = build_node(builder, scalars[which].kind);
    bool ok = node != UINT32_MAX;
    if (ok && scalars[which].kind == SCHEMA_STRING)
        ok = build_lengths(builder, node, document, "minLength", "maxLength") &&
             build_text(builder, node, document) && build_pattern(builder, node, document);
    if (ok && (scalars[which].kind == SCHEMA_INT || scalars[which].kind == SCHEMA_FLOAT))
        ok = build_bounds(builder, node, document);
    return ok ? node : UINT32_MAX;
}

/* enum is coerced to its type first, const is not: IntEnum takes "1", Literal[1] does not. */
static uint32_t read_choices(struct builder *builder, const json_t *document, enum place_e place)
{
    static const char *const allowed[8] = {"type", "enum"}, *const allowed_const[8] = {"type", "const"};
    json_t *constant = json_object_get(document, "const"), *type = json_object_get(document, "type");
    int which = scalar_of(json_string_value(type));
    if (!only(builder, document, place, constant != NULL ? allowed_const : allowed))
        return UINT32_MAX;
    if (type != NULL && which < 0) {
        build_refuse_at(builder, "type", "expected string, integer, number, boolean or null");
        return UINT32_MAX;
    }
    uint32_t node = build_node(builder, which >= 0 ? scalars[which].kind : SCHEMA_ANY);
    json_t *values = constant != NULL ? json_array() : json_incref(json_object_get(document, "enum"));
    bool ok = node != UINT32_MAX && (constant == NULL || json_array_append(values, constant) == 0) &&
              build_choices(builder, node, values, constant != NULL ? "const" : "enum");
    json_decref(values);
    if (!ok)
        return UINT32_MAX;
    if (constant != NULL)
        builder->schema->nodes[node].kind = SCHEMA_ANY;
    builder->schema->nodes[node].is_const = constant != NULL;
    return node;
}

/* --- all ------------------------------------------------------------------------------------------------------------ */

static uint32_t read_typed(struct builder *builder, const json_t *document, enum place_e place, unsigned nest)
{
    const json_t *type = json_object_get(document, "type");
    const char *name = json_string_value(type);
    if (type == NULL) {
        static const char *const nothing[8] = {NULL};
        return only(builder, document, place, nothing) ? build_node(builder, SCHEMA_ANY) : UINT32_MAX;
    }
    if (name != NULL && strcmp(name, "object") == 0 && json_object_get(document, "properties") != NULL)
        return read_object(builder, document, place, nest);
    if (name != NULL && (strcmp(name, "object") == 0 || strcmp(name, "array") == 0))
        return read_container(builder, document, place, nest, strcmp(name, "array") == 0);
    if (scalar_of(name) >= 0)
        return read_scalar(builder, document, place, scalar_of(name));
    build_refuse_at(builder, "type", "expected string, integer, number, boolean, null, array or object");
    return UINT32_MAX;
}

uint32_t build_type(struct builder *builder, const json_t *document, enum place_e place, unsigned nest)
{
    if (!json_is_object(document) || nest == SCHEMA_NEST_MAX) {
        build_refuse(builder, nest == SCHEMA_NEST_MAX ? "types are nested too deeply" : "expected an object");
        return UINT32_MAX;
    }
    if (json_object_get(document, "$ref") != NULL)
        return read_ref(builder, document, place);
    if (json_object_get(document, "anyOf") != NULL)
        return read_any_of(builder, document, place, nest + 1);
    if (json_object_get(document, "allOf") != NULL)
        return read_all_of(builder, document, place, nest + 1);
    if (json_object_get(document, "enum") != NULL || json_object_get(document, "const") != NULL)
        return read_choices(builder, document, place);
    return read_typed(builder, document, place, nest + 1);
}

/* A definition's type moves into the node that stands for it; the one that it was read into stays behind, used by nobody. */
static bool fill_definition(struct builder *builder, const char *name)
{
    uint32_t into = (uint32_t)json_integer_value(json_object_get(builder->refs, name));
    size_t before = build_enter(builder, "$defs");
    build_enter(builder, name);
    uint32_t from = build_type(builder, json_object_get(json_object_get(builder->document, "$defs"), name),
                               PLACE_INNER, 0);
    build_leave(builder, before);
    if (from == UINT32_MAX)
        return false;
    struct node *nodes = builder->schema->nodes, unused = nodes[into];
    nodes[into] = nodes[from];
    nodes[from] = unused;
    return true;
}

static bool fill_definitions(struct builder *builder)
{
    for (size_t i = 0; i < json_array_size(builder->names); i++) { /* grows meanwhile */
        if (!fill_definition(builder, json_string_value(json_array_get(builder->names, i))))
            return false;
    }
    return true;
}

enum err_e schema_read(struct builder *builder, const json_t *document, bool strict,
                       struct schema_problem *problem)
{
    *problem = (struct schema_problem){"", ""};
    *builder = (struct builder){.document = document, .problem = problem};
    builder->refs = json_object();
    builder->names = json_array();
    builder->fallbacks = json_array();
    builder->schema = schema_alloc(sizeof *builder->schema);
    bool ok = builder->refs != NULL && builder->names != NULL && builder->fallbacks != NULL;
    ok = ok && builder->schema != NULL;
    if (builder->schema != NULL) {
        memset(builder->schema, 0, sizeof *builder->schema);
        builder->schema->strict = strict;
        uint32_t root = ok ? build_type(builder, document, PLACE_ROOT, 0) : UINT32_MAX;
        builder->schema->root = root;
        ok = root != UINT32_MAX && fill_definitions(builder);
    }
    struct schema *none;
    return ok ? ERR_OK : schema_finish(builder, false, &none);
}

enum err_e schema_from_json(const json_t *document, struct schema **out, struct schema_problem *problem)
{
    struct builder builder;
    *out = NULL;
    enum err_e err = schema_read(&builder, document, false, problem);
    return err == ERR_OK ? schema_finish(&builder, schema_link(&builder), out) : err;
}
