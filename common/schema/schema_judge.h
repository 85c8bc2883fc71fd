/* schema_judge.h — a message against a strict table, where it stands: no tree is made, nothing is coerced, and only the first thing
 * that is wrong is told. For the messages of Noria's own dialects, which have their own structs, codes and texts.
 *
 *     static const struct schema_member members[] = {{.name = "type", .type = {.kind = SCHEMA_STRING, .choices = "[\"ping\"]"}}, …
 *     static struct schema_kept message = {.table = &(const struct schema_object){.strict = true, …}};
 *
 *     tree    schema_judge(schema, object, found, &wrong)        members in the order of the table, stops at the first fault
 *     tokens  schema_member_index(schema, name, len)             which member a name is
 *             schema_judge_kind(schema, member, kind)            whether such a value may stand there at all; a list may go on
 *             schema_judge_value(schema, member, &seen, &wrong)  all of it
 *             schema_judge_item(schema, member, index, &seen, &wrong)
 *
 *     a fault, told: rows of {member, type} in the dialect's own table, the first that fits (schema_row)
 *
 * Both ways, and schema_validate() with a strict schema, ask the same two functions (schema_fit.c: which kinds, which bounds). A wrong
 * value's type is Pydantic's for strict mode: "missing", "string_type", "int_type" (1.0, "1", true, 2^70 are none), "less_than_equal",
 * "enum", "list_type", "too_long", …; of an enum with a type the kind comes first. Two are Noria's: "string_too_long" of max_bytes and
 * "string_nul".
 *
 * A table for this is flat: scalars, lists of scalars, and values of any kind. Pure; a schema that is kept lives as long as
 * the process.
 */
#pragma once

#include <stdatomic.h>

#include "schema.h"

enum schema_seen_e {
    SCHEMA_SEEN_NULL,
    SCHEMA_SEEN_BOOL,
    SCHEMA_SEEN_INT,
    SCHEMA_SEEN_REAL,    /* a number that is no integer of 64 bits */
    SCHEMA_SEEN_NUMERAL, /* a number whose value nobody has read: only where any value may stand, or none */
    SCHEMA_SEEN_STRING,
    SCHEMA_SEEN_LIST,
    SCHEMA_SEEN_OBJECT
};

/* A value, as whoever read it knows it. */
struct schema_seen {
    enum schema_seen_e kind;
    union {
        bool truth;
        int64_t whole;
        double real;
        const char *text; /* of a string: its content, escapes decoded */
    };
    size_t len; /* of the text; elements of a list */
};

struct schema_seen schema_see(const json_t *value);

#define SCHEMA_NONE UINT32_MAX

struct schema_wrong {
    const char *member; /* its declared name; NULL: there is no object, or no memory (type is then "") */
    uint32_t index;     /* of the element; SCHEMA_NONE: the member itself */
    uint32_t limit;     /* of lengths: the bound */
    const char *type;
};

/* --- trees ---------------------------------------------------------------------------------------------------------- */

struct schema_found {
    const json_t *value; /* NULL: absent, or null where that is the same as absent (nullable) */
    uint32_t choice;     /* of an enum: which */
};

/* The members of `object` into found[], one for each of the table's, in its order. False: *wrong; of found[] those before it count. */
bool schema_judge(const struct schema *schema, const json_t *object, struct schema_found *found,
                  struct schema_wrong *wrong);

/* --- tokens --------------------------------------------------------------------------------------------------------- */

/* SCHEMA_NONE: the table has no such member. */
uint32_t schema_member_index(const struct schema *schema, const char *name, size_t len);

/* `kind`: of the value; SCHEMA_NONE: there is no such member. *wrong says what is missing or of a wrong kind. */
bool schema_judge_kind(const struct schema *schema, uint32_t member, uint32_t kind,
                       struct schema_wrong *wrong);

/* The whole value; of a list its length. *choice (may be NULL): which, of an enum. */
bool schema_judge_value(const struct schema *schema, uint32_t member, const struct schema_seen *seen,
                        uint32_t *choice, struct schema_wrong *wrong);

/* Element `index` of a list; SCHEMA_NONE: the one that stands there alone (or_item). */
bool schema_judge_item(const struct schema *schema, uint32_t member, uint32_t index,
                       const struct schema_seen *seen, struct schema_wrong *wrong);

/* --- a dialect's own words ------------------------------------------------------------------------------------------ */

struct schema_row {
    const char *member; /* NULL: any */
    const char *type;   /* NULL: any */
    int code;
    const char *text, *unit; /* behind the text come the limit and the unit, if there is a unit */
};

/* The first row that fits; NULL: none. */
const struct schema_row *schema_row(const struct schema_row *rows, size_t count,
                                    const struct schema_wrong *wrong);

/* "machine_ids[3]: longer than 64 bytes": the place, the row's text, limit and unit. */
void schema_row_text(const struct schema_row *row, const struct schema_wrong *wrong, char *out, size_t size);

/* --- schemas that are kept ------------------------------------------------------------------------------------------ */

/* A constant table and what it compiles to, once, when it is first asked for: for pure parsers, which have no place to keep it. Any
 * thread may ask. */
struct schema_kept {
    const struct schema_object *table;
    struct schema *_Atomic schema;
};

const struct schema *schema_keep(struct schema_kept *kept);

/* NULL: no memory, this time. A table that is no strict flat schema is a bug. */
static inline const struct schema *schema_of(struct schema_kept *kept)
{
    const struct schema *schema = atomic_load_explicit(&kept->schema, memory_order_acquire);
    return schema != NULL ? schema : schema_keep(kept);
}
