/* command_scope.h — whose request_id is it? Two commands for one machine with equal scope and request_id are one request,
 * however they come: the second gets the answer of the first, and nothing is written twice.
 *
 *     p:NAME                the caller authenticated as NAME: any of its connections
 *     u:                    nobody did, but the request_id is a UUID: any connection that knows it
 *     c:INCARNATION-SERIAL  neither: this connection (worker's incarnation, 16 hex digits, and session's serial)
 *     (empty)               no request_id
 *
 * Pure. The form is part of WIRE.md; an agent compares it as bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_SCOPE_MAX 80u /* bytes without the NUL */

/* A name too long for the scope (over COMMAND_SCOPE_MAX - 2 bytes) keeps its beginning and a hash of all of it. */
void command_scope(char scope[COMMAND_SCOPE_MAX + 1], const char *principal, const char *request_id,
                   uint64_t worker, uint64_t session);

bool command_scope_is_uuid(const char *text);
