/* schema_build.h — a schema while it is made out of a JSON Schema document. */
#pragma once

#include "schema_internal.h"

/* Where a document's type stands decides which keywords it may have besides. */
enum place_e { PLACE_INNER, PLACE_PROPERTY, PLACE_ROOT };

struct builder {
    struct schema *schema;
    const json_t *document;
    json_t *refs;      /* name of a definition → its node */
    json_t *names;     /* of these definitions, in the order in which they were met */
    json_t *fallbacks; /* [member, pointer] of each default */
    struct schema_problem *problem;
    size_t pointer_len;
    char pointer[sizeof((struct schema_problem *)0)->pointer];
    bool refused; /* else a failure is missing memory */
};

/* Goes into a member or element of the document; build_leave() with what it returned goes out again. */
size_t build_enter(struct builder *builder, const char *name);
size_t build_enter_index(struct builder *builder, size_t index);
void build_leave(struct builder *builder, size_t before);

/* Both always false: the document is wrong here, or (at) in its member `name`. */
bool build_refuse(struct builder *builder, const char *why);
bool build_refuse_at(struct builder *builder, const char *name, const char *why);

/* A new node of this kind; UINT32_MAX: there is none (refused or no memory). Other nodes may move. */
uint32_t build_node(struct builder *builder, int kind);
/* `count` new members in a row; UINT32_MAX likewise. */
uint32_t build_members(struct builder *builder, size_t count);
bool build_choice(struct builder *builder, json_t *value);

/* Reads a type: schema_read.c. */
uint32_t build_type(struct builder *builder, const json_t *document, enum place_e place, unsigned nest);

/* Keywords of one type into its node: schema_keyword.c. Absent ones are fine. */
bool build_lengths(struct builder *builder, uint32_t node, const json_t *document, const char *least,
                   const char *most);
bool build_text(struct builder *builder, uint32_t node, const json_t *document); /* of strict tables */
bool build_pattern(struct builder *builder, uint32_t node, const json_t *document);
bool build_bounds(struct builder *builder, uint32_t node, const json_t *document);
bool build_choices(struct builder *builder, uint32_t node, const json_t *values, const char *keyword);

/* Reads a whole document; schema_link() must follow. On failure nothing remains. */
enum err_e schema_read(struct builder *builder, const json_t *document, bool strict,
                       struct schema_problem *problem);
void schema_read_fini(struct builder *builder);
/* Settles what only the whole schema shows: circles of references, flags, defaults: schema_link.c. */
bool schema_link(struct builder *builder);
/* Ends the making: the schema, or nothing and why. */
enum err_e schema_finish(struct builder *builder, bool ok, struct schema **out);
