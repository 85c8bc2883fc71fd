/* schema_internal.h — the compiled form. Flat vectors, indices instead of pointers, never changed once it is read.
 *
 *     nodes[]   one per type; root is one of them; a REF stands for another (recursion)
 *     members[] of all objects; an object has a stretch of it
 *     choices[] of all enums, likewise
 */
#pragma once

#include "schema_judge.h"
#include "schema_pattern.h"

/* REF is only in the compiled form. */
enum { KIND_REF = SCHEMA_OBJECT + 1 };

struct bounds {
    bool ge, gt, le, lt, multiple_of; /* which of them there are */
    union bound {
        int64_t whole; /* of INT */
        double real;   /* of FLOAT */
    } at_least, above, at_most, below, step;
};

struct node {
    uint8_t kind; /* enum schema_kind_e, KIND_REF */
    bool nullable;
    bool closed;
    bool no_nul;
    bool or_item;          /* of LIST: its item alone, too */
    bool is_const;         /* choices: literal_error instead of enum */
    bool loose;            /* LIST, DICT: items are any: taken over as they are */
    bool nests;            /* there may be objects in it */
    bool checked;          /* there may be objects with checks in it */
    uint32_t item;         /* of LIST, DICT; target of REF */
    uint32_t first, count; /* members of OBJECT */
    uint32_t first_choice, choice_count;
    uint32_t min_length, max_length, max_bytes; /* UINT32_MAX: none */
    struct bounds bounds;
    struct schema_pattern *pattern;
    char *expected; /* "'a', 'b' or 'c'" */
    const struct schema_check *checks;
    uint32_t check_count;
};

struct member {
    char *name;
    uint32_t name_len, node;
    bool required;
    json_t *fallback;
};

struct choice {
    json_t *value;
    struct schema_seen seen; /* its text lies in it */
};

struct schema {
    struct node *nodes;
    struct member *members;
    struct choice *choices;
    uint32_t node_count, node_room, member_count, member_room, choice_count, choice_room;
    uint32_t root;
    bool checked;
    bool strict; /* no coercion */
};

/* The node that a REF leads to; the document's reader has seen to it that there is one. */
static inline const struct node *schema_node(const struct schema *schema, uint32_t index, bool *nullable)
{
    const struct node *node = &schema->nodes[index];
    for (*nullable = node->nullable; node->kind == KIND_REF; *nullable |= node->nullable)
        node = &schema->nodes[node->item];
    return node;
}

/* --- schema_scalar.c ------------------------------------------------------------------------------------------------ */

/* What can be wrong, with Pydantic's type and text; NULL: schema_explain.c writes it. */
#define FAULTS(X)                                                                                            \
    X(NONE, "", NULL)                                                                                        \
    X(MEMORY, "", NULL)                                                                                      \
    X(MISSING, "missing", "Field required")                                                                  \
    X(EXTRA, "extra_forbidden", "Extra inputs are not permitted")                                            \
    X(MODEL_TYPE, "model_type", "Input should be an object")                                                 \
    X(DICT_TYPE, "dict_type", "Input should be an object")                                                   \
    X(LIST_TYPE, "list_type", "Input should be a valid array")                                               \
    X(TOO_SHORT, "too_short", NULL)                                                                          \
    X(TOO_LONG, "too_long", NULL)                                                                            \
    X(NULL, "none_required", "Input should be null")                                                         \
    X(STRING_TYPE, "string_type", "Input should be a valid string")                                          \
    X(STRING_SHORT, "string_too_short", NULL)                                                                \
    X(STRING_LONG, "string_too_long", NULL)                                                                  \
    X(STRING_BYTES, "string_too_long", NULL)                                                                 \
    X(STRING_NUL, "string_nul", "String should not hold a NUL character")                                    \
    X(STRING_PATTERN, "string_pattern_mismatch", NULL)                                                       \
    X(INT_TYPE, "int_type", "Input should be a valid integer")                                               \
    X(INT_PARSING, "int_parsing", "Input should be a valid integer, unable to parse string as an integer")   \
    X(INT_SIZE, "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size")     \
    X(INT_FRACTION, "int_from_float",                                                                        \
      "Input should be a valid integer, got a number with a fractional part")                                \
    X(FLOAT_TYPE, "float_type", "Input should be a valid number")                                            \
    X(FLOAT_PARSING, "float_parsing", "Input should be a valid number, unable to parse string as a number")  \
    X(FINITE, "finite_number", "Input should be a finite number")                                            \
    X(BOOL_TYPE, "bool_type", "Input should be a valid boolean")                                             \
    X(BOOL_PARSING, "bool_parsing", "Input should be a valid boolean, unable to interpret input")            \
    X(MULTIPLE, "multiple_of", NULL)                                                                         \
    X(AT_MOST, "less_than_equal", NULL)                                                                      \
    X(BELOW, "less_than", NULL)                                                                              \
    X(AT_LEAST, "greater_than_equal", NULL)                                                                  \
    X(ABOVE, "greater_than", NULL)                                                                           \
    X(ENUM, "enum", NULL)                                                                                    \
    X(LITERAL, "literal_error", NULL)                                                                        \
    X(DEPTH, "recursion_loop", "Recursion error - cyclic reference detected")

enum fault_e {
#define X(name, type, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};

/* A value of a node that is no container (ANY among them): what it becomes, a new reference; NULL and *fault. */
json_t *schema_scalar(const struct schema *schema, const struct node *node, json_t *value,
                      enum fault_e *fault);

/* --- schema_fit.c --------------------------------------------------------------------------------------------------- */

/* Whether a value of this kind may stand there, with nothing coerced; FAULT_NONE: it may. */
enum fault_e schema_kind(const struct schema *schema, const struct node *node, enum schema_seen_e kind);

/* Which of the node's choices it is, as Python compares; SCHEMA_NONE: none of them. */
uint32_t schema_choice(const struct schema *schema, const struct node *node, const struct schema_seen *seen);

/* Whether the value, which has the right type already, is within the bounds; FAULT_NONE: it is. */
enum fault_e schema_bounds(const struct node *node, const struct schema_seen *seen);

/* The length of a list or dictionary; FAULT_NONE: as declared. */
enum fault_e schema_length(const struct node *node, size_t length);

/* The three together, of a scalar, with nothing coerced. */
enum fault_e schema_fit(const struct schema *schema, const struct node *node, const struct schema_seen *seen,
                        uint32_t *choice);

/* --- schema_convert.c ----------------------------------------------------------------------------------------------- */

/* The message as the schema makes it. A fault ends it with NULL (FAULT_MEMORY: there was no memory), unless `keep`: then what is wrong
 * stays as it was received, and *fault says that there was something. */
json_t *schema_convert(const struct schema *schema, uint32_t node, json_t *value, bool keep,
                       enum fault_e *fault);

/* --- schema_explain.c, schema_checks.c ------------------------------------------------------------------------------ */

/* Where in a message: names and indices. */
struct step {
    const char *name; /* NULL: index */
    size_t len;       /* of the name; the index */
};

struct errors {
    json_t *list;
    size_t bytes;
    bool full;   /* the last one is too_many_errors */
    bool memory; /* was missing: the list means nothing */
    unsigned depth;
    struct step path[SCHEMA_DEPTH + 2];
};

/* Adds an error at the path, and a last name if not NULL. */
void schema_errors_add(struct errors *errors, const char *name, size_t name_len, const char *type,
                       const char *msg);
bool schema_errors_stop(const struct errors *errors);

/* Pydantic's name of a fault. */
const char *schema_fault_type(enum fault_e fault);

/* All that is wrong with a message, in the order of schema.h, behind what is in the list already. */
void schema_explain(const struct schema *schema, json_t *message, struct errors *errors);

/* Runs the checks over what schema_convert(keep) made of a message. */
void schema_run_checks(const struct schema *schema, json_t *made, struct errors *errors);
