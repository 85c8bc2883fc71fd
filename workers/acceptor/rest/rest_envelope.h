/* rest_envelope.h — the one form of every answer, and what status a code has. Pure.
 *
 *     {"success":true,"data":{…},"error":null,"code":null,"timestamp":"…","machine_id":"…"}
 *     {"success":false,"data":null,"error":"Machine is busy","code":"BUSY","timestamp":"…","machine_id":"…"}
 *
 * The first five members are always there, in this order; machine_id where the path names a machine.
 */
#pragma once

#include <stdint.h>

#include "bytes.h"
#include "command.h"

/* Begins an answer; `data` is to be written next (a JSON value), then rest_envelope_end(). */
void rest_envelope_begin(struct out *out);
void rest_envelope_end(struct out *out, uint64_t wall_ms, const char *machine); /* "": no machine_id */
/* The whole answer of a failure. */
void rest_envelope_error(struct out *out, const char *code, const char *text, uint64_t wall_ms,
                         const char *machine);

/* Of a command's fate. */
unsigned rest_status_of_code(enum command_code_e code);
const char *
rest_name_of_code(enum command_code_e code); /* as in command.h, but INVALID_JSON for an unreadable body */

/* Of a status that http answers with by itself. */
const char *rest_name_of_status(unsigned status);
