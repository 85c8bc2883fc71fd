/* carousel_json.h — the JSON of a client's message (Hop: C2). Pure: text in, tree out.
 *
 * Every text that RFC 8259 allows is read: a number beyond 64 bits or beyond a double (2^63, 1e400), of any length, and a NUL
 * inside a string are nothing to complain about in a member that nobody asked for. Three things are refused although the RFC leaves them open: an
 * object that has a member twice, because two readers of such a message could understand it differently; more than 2,048 levels; and a
 * member's name with a NUL in it.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct carousel_json_fault {
    const char *why; /* static; NULL: no memory */
    size_t line, column;
};

/* The tree (json_decref() it), or NULL and *fault. Integers are integers of 64 bits or, where they do not fit, a real number. Strings may
 * hold NULs. */
json_t *carousel_json_load(const char *text, size_t len, struct carousel_json_fault *fault);
