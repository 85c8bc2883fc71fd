/* validated_text.h — values as compact JSON text: what handlers answer in msgpack, what Noria itself has in jansson's trees
 * (Hop: C2). Pure; allocates only to look through the names of a large map.
 *
 *     map            object; names are strings, no two the same (two readers could take different ones): else a fault
 *     str            string; UTF-8: else a fault. Not ASCII-escaped
 *     int            exact, -2^63 to 2^64-1
 *     float          shortest digits that read as the same double again: 0.1, 21.5, 3.0, 1e+22; nan and inf are faults
 *     bin, ext       faults: JSON has nothing for them
 *     200 levels     more are a fault
 *
 * Straight from msgpack to text: through a tree of jansson's and json_dumpb() it takes 3 to 7 times as long, 0.1 becomes
 * 0.10000000000000001, and integers beyond 2^63 are lost (figures: README.md). Rejected: schema_float_to_repr() for doubles, which looks for
 * the digits from one up, 2 to 8 us each, where few places cost 10 ns here, and 15 digits 300.
 */
#pragma once

#include <jansson.h>
#include <msgpack.h>
#include <stdbool.h>

#include "bytes.h"

#define VALIDATED_LEVELS 200u

/* Appends the value. NULL, or what is wrong with it (static text); what was written then is worth nothing. out->overflow: it does
 * not fit, whatever is returned. */
const char *validated_text_pack(struct out *out, const msgpack_object *value);

/* The same for a tree, whose strings are UTF-8. */
const char *validated_text_json(struct out *out, const json_t *value);
