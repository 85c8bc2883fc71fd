/* validated_pack.h — a message on its way to a handler, as msgpack (Hop: C2). Pure but for the buffer's memory. */
#pragma once

#include <jansson.h>
#include <msgpack.h>
#include <stdbool.h>

#include "errcode.h"

/* Append. ERR_TOO_LARGE: more levels than the handlers' protocol carries (HANDLER_DEPTH_MAX); ERR_MEMORY. The buffer's content is worth
 * nothing then. Integers are packed as such, floats as float 64, objects as maps in their order. */
enum err_e validated_pack_json(msgpack_sbuffer *out, const json_t *value);
enum err_e validated_pack_text(msgpack_sbuffer *out, const char *text, size_t len);   /* str */
enum err_e validated_pack_bytes(msgpack_sbuffer *out, const void *bytes, size_t len); /* bin */
