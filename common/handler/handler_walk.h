/* handler_walk.h — steps over msgpack without decoding it; private to common/handler.
 *
 * What walks through here may be given to msgpack-c: it ends where it says it ends, and holds no more values, and no deeper, than
 * the limits. msgpack-c itself reserves 24 bytes for each element that an array's header claims, before it has seen one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

/* Walks over one value at the beginning of `bytes`; *used: its length. `depth`: arrays and maps that may be within each other.
 * ERR_MALFORMED: it does not end within `len`, or is none. ERR_TOO_LARGE: too deep, or too many values. */
enum err_e handler_walk(const void *bytes, size_t len, unsigned depth, size_t *used);

/* The header of an array: *used, its length, and how many values it holds. False: it begins another kind of value. */
bool handler_walk_array(const void *bytes, size_t len, size_t *used, uint64_t *items);

/* True if an array or a map begins with this byte. */
bool handler_is_container(unsigned char first);
