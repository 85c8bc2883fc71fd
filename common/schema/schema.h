/* schema.h — declared messages: a schema, read once; messages, validated against it. Pure: no I/O (but for schema_file.h), no clock.
 *
 *     C tables ─────► JSON Schema ─────► struct schema ◄───── JSON Schema of a configuration, of Pydantic
 *                                            │
 *     text ──► json_t ──► schema_validate() ─┴─► the message: coerced, with defaults, without extra members
 *                                             └─► or all its errors: [{"loc":["subs",1,"n"],"type":"missing","msg":"Field required"}]
 *
 * What is valid, what it becomes, and what is said of the rest is Pydantic 2's, for JSON input in lax mode. The table of
 * coercions, with the place where each fact stands in Pydantic's own sources, is in README.md. Where this library differs:
 *
 *     integers           64 bits; beyond them int_parsing_size, as Pydantic says beyond 4,300 digits
 *     floats             finite: nan, inf, 1e400 are finite_number (allow_inf_nan=False), for JSON cannot show them
 *     a default          is valid itself (Pydantic never looks): what comes out validates again, unchanged
 *     errors             have loc, type and msg; at most SCHEMA_ERRORS_MAX and SCHEMA_ERROR_BYTES of them, then one of type
 *                        too_many_errors with an empty loc; a name in a loc is cut to SCHEMA_NAME_SHOWN bytes and "…"
 *     levels             200 in a message (recursion_loop)
 *
 * Order of the errors (PROTOCOLS: custom checks, then nested ones, then own members in declaration order). An error belongs to the
 * innermost declared object that it lies in: ["subs",1,"n"] to the second sub, ["tags",3] of a list of integers and
 * ["subs",2] for a sub that is no object to the message itself.
 *
 *     1. the checks of the message, then those of the objects in it, in the order of their members and indices;
 *     2. of the message: first all that belongs to objects in it, each of which does the same in turn; then its own, member by member.
 *
 *     {"name":5,"subs":[{"n":"x"},7]} against {name: string, subs: list of {n: int}, age: int}
 *         ["subs",0,"n"] int_parsing        nested first
 *         ["name"]       string_type        then own, as declared
 *         ["subs",1]     model_type
 *         ["age"]        missing
 *
 * JSON Schema, read: what model_json_schema() of Pydantic 2 writes for such models.
 *
 *     "type": "string" (minLength, maxLength, pattern: schema_pattern.h), "integer" and "number" (minimum, maximum,
 *         exclusiveMinimum, exclusiveMaximum, multipleOf), "boolean", "null"
 *     "type": "array" with items (absent: any), minItems, maxItems
 *     "type": "object" with properties (required, default; additionalProperties: false refuses extra members); without properties a
 *         dictionary: additionalProperties (absent, true: any value; or a schema), minProperties, maxProperties
 *     "enum" (with a "type" of string, integer, number: coerced to it first; without: compared as Python compares) and "const",
 *         both of strings, numbers, booleans and null
 *     "anyOf": [X, {"type":"null"}]: nullable; "allOf": [X]: X; {}: any
 *     "$ref": "#/$defs/NAME" with "$defs" at the root; recursion is allowed if an object, list or dictionary lies between
 *     "title", "description", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$schema", "$id": ignored
 *
 * A "default" stands at a property. A property that is neither required nor has one is left out if it is absent. Everything else
 * that a document holds ("format", "patternProperties", other unions, …) is refused with its JSON pointer: ignoring it
 * would change what is valid. Only definitions that nothing refers to are not looked at.
 *
 * Strict tables know three things more, which have keywords of their own in schema_table_to_json() and are not read from configurations:
 * "maxBytes", "noNul" and, for or_item, "anyOf": [the list, its item].
 *
 * A schema is immutable and may be shared by threads as far as jansson's reference counts may (they are atomic in Debian's).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define SCHEMA_DEPTH       200u  /* levels of a message */
#define SCHEMA_NODES_MAX   4096u /* types in a schema */
#define SCHEMA_MEMBERS_MAX 4096u
#define SCHEMA_CHOICES_MAX 1024u /* in all enums together */
#define SCHEMA_NEST_MAX    64u   /* levels of a JSON Schema document's types */
#define SCHEMA_NAME_MAX    256u  /* bytes of a member's name */
#define SCHEMA_ERRORS_MAX  100u
#define SCHEMA_ERROR_BYTES 65536u /* of loc and msg, about */
#define SCHEMA_NAME_SHOWN  128u
#define SCHEMA_VALUES_MAX  262144u /* values in a text (schema_json.h) */

/* --- declaring in C ------------------------------------------------------------------------------------------------- */

enum schema_kind_e {
    SCHEMA_ANY,
    SCHEMA_STRING,
    SCHEMA_INT,
    SCHEMA_FLOAT,
    SCHEMA_BOOL,
    SCHEMA_NULL,
    SCHEMA_LIST,
    SCHEMA_DICT,
    SCHEMA_OBJECT
};

#define SCHEMA_EMPTY UINT32_MAX /* as max_length: 0 */

struct schema_object;

/* Numbers and values are JSON texts: .ge = "0", .choices = "[\"a\",\"b\"]". Zero and NULL: not restricted. */
struct schema_type {
    enum schema_kind_e kind;
    bool nullable;
    uint32_t min_length, max_length; /* of strings in characters; of lists and dictionaries */
    uint32_t max_bytes;              /* of strings, … */
    bool no_nul;                     /* … which then fit a text of C; both only of strict tables */
    bool or_item;                    /* of LIST: one item alone may stand there, too; only of strict tables */
    const char *ge, *gt, *le, *lt, *multiple_of;
    const char *pattern;
    const char *choices;                /* enum: an array */
    const char *constant;               /* literal: a value */
    const struct schema_type *items;    /* of LIST and DICT; NULL: any */
    const struct schema_object *object; /* of OBJECT; may lead back here */
};

struct schema_member {
    const char *name;
    struct schema_type type;
    const char *fallback; /* the default, as JSON; NULL: none, and the member is required … */
    bool optional;        /* … unless this */
};

struct schema_report;

/* A custom check. `object` is what the message becomes: right members as validated (coerced, defaults set), wrong ones as they were
 * received, missing ones not there; so look at types. Not called for what is no object. */
typedef void schema_check_f(const json_t *object, struct schema_report *report, void *arg);

/* From a check: an error at a member; NULL: of the object itself, whose loc ends in "__model__". Texts are UTF-8, and copied. */
void schema_report(struct schema_report *report, const char *member, const char *type, const char *msg);

struct schema_check {
    schema_check_f *check;
    void *arg;
};

struct schema_object {
    const char *name; /* for people */
    const struct schema_member *members;
    const struct schema_check *checks;
    unsigned member_count, check_count;
    bool closed; /* extra members are errors (extra_forbidden), else dropped */
    bool strict; /* of the outermost table, for all of it: nothing is coerced (schema_judge.h) */
};

/* --- compiling ------------------------------------------------------------------------------------------------------ */

struct schema;

/* What is wrong with a declaration. */
struct schema_problem {
    char pointer[256]; /* JSON pointer (RFC 6901); "" is the whole document */
    char why[160];
};

/* Both: ERR_OK and *out (schema_free() it), ERR_CONFIG and *problem, or ERR_MEMORY. */
enum err_e schema_from_json(const json_t *document, struct schema **out, struct schema_problem *problem);
enum err_e schema_from_table(const struct schema_object *table, struct schema **out,
                             struct schema_problem *problem);

/* The JSON Schema that says what the table says (not its checks); pointers of its problems refer to it. NULL: ERR_CONFIG with
 * *problem, or no memory with an empty one. */
json_t *schema_table_to_json(const struct schema_object *table, struct schema_problem *problem);

void schema_free(struct schema **schema);

/* --- validating ----------------------------------------------------------------------------------------------------- */

/* One of both. json_decref() what is not NULL. Parts that schemas leave free (any) are shared with the message: change neither. */
struct schema_result {
    json_t *value;
    json_t *errors; /* an array, not empty */
};

/* ERR_OK: value. ERR_MALFORMED: errors. ERR_MEMORY: neither. */
enum err_e schema_validate(const struct schema *schema, json_t *message, struct schema_result *result);

/* The same for a text; one that is no JSON has one error, json_invalid, with an empty loc. */
enum err_e schema_validate_text(const struct schema *schema, const char *text, size_t len,
                                struct schema_result *result);
