/* schema_json.h — JSON text to jansson's tree, as Pydantic reads it. Pure; one pass, linear, bounded memory.
 *
 * RFC 8259 to the letter, in UTF-8. What the RFC leaves open:
 *
 *     a member twice           the last one wins, at the place of the first (json.loads, Pydantic); with `unique` refused, as
 *                              this reader's own "this member stands here twice", at the second one's name
 *     levels                   200 arrays and objects within each other (jiter's limit; "recursion limit exceeded")
 *     values in all            `max_values`: a value takes 3 bytes of text and up to 250 of memory
 *     integers                 exact in 64 bits; beyond, the nearest double (so it is still known to be no fraction)
 *     beyond a double (1e400)  ±SCHEMA_JSON_HUGE, the largest double, which schemas take for "not finite"
 *     4,300 characters         the longest number ("number out of range")
 *     NaN, Infinity            refused, though jiter takes them: no JSON, and nothing here could show them
 *     \ud800 alone             refused: no character
 *
 * Errors have jiter's texts (pydantic/jiter, errors.rs and parse.rs), which are serde_json's: "EOF while parsing a list at line 1
 * column 1". Promised are the texts and, except for invalid UTF-8, where jiter counts otherwise, lines and columns (in bytes).
 *
 * Rejected: json_loadb(), which refuses the whole message for one large number and says neither text nor column so, and costs
 * 14 ns per byte of a usual message where this costs 3.5 (long texts: 11 and 0.3); jansson's tree stays,
 * because everything that reads a message here knows it.
 */
#pragma once

#include <float.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SCHEMA_JSON_DEPTH   200u
#define SCHEMA_JSON_NUMBER  4300u
#define SCHEMA_JSON_HUGE    DBL_MAX
#define SCHEMA_JSON_WHY_MAX 96

struct schema_json_rules {
    size_t max_values;
    unsigned depth;    /* 0: SCHEMA_JSON_DEPTH */
    bool unique;       /* an object that has a member twice is refused, */
    bool no_nul_names; /* and a member whose name has a NUL in it */
    bool long_numbers; /* of any length */
};

enum schema_json_e {
    SCHEMA_JSON_SYNTAX, /* everything else */
    SCHEMA_JSON_UTF8,
    SCHEMA_JSON_TWICE,
    SCHEMA_JSON_NUL_NAME,
    SCHEMA_JSON_TOO_DEEP
};

struct schema_json_fault {
    const char *why; /* static; NULL: no memory */
    enum schema_json_e kind;
    size_t line, column;
    size_t at,
        token; /* offsets: where it is wrong; where the string, number, word or sign begins that is wrong or not expected */
};

/* The tree (json_decref() it), or NULL and *fault. */
json_t *schema_json_read(const char *text, size_t len, const struct schema_json_rules *rules,
                         struct schema_json_fault *fault);

/* The same without `unique`; why[] is "expected value at line 1 column 3", and empty if there is no memory. */
json_t *schema_json_load(const char *text, size_t len, size_t max_values, char why[SCHEMA_JSON_WHY_MAX]);
