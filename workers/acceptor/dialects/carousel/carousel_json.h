/* carousel_json.h — the JSON of a client's message (Hop: C2). Pure: text in, tree out.
 *
 * Every text that RFC 8259 allows is read, also where jansson alone would refuse the whole message: a number beyond 64 bits
 * or beyond a double (2^63, 1e400) and a NUL inside a string are nothing to complain about in a member that nobody asked
 * for. Two things are refused although the RFC leaves them open, because two readers of such a message could
 * understand it differently: an object that has a member twice, and more than 2,048 levels.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* The tree (json_decref() it), or NULL and *why (static), *line and *column. Integers are integers of 64 bits or, where
 * they do not fit, a real number. Strings may hold NULs. */
json_t *carousel_json_load(const char *text, size_t len, const char **why, int *line, int *column);
