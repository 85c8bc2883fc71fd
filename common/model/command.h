/* command.h — the vocabulary of commands: fates, codes and limits that every process and dialect shares. */
#pragma once

#include <stdint.h>

#define REQUEST_ID_MAX 64u /* bytes of a client's request_id */

/* Why a command was refused or failed; the names are what clients see, the texts the default explanation. */
#define COMMAND_CODE_TABLE(X)                                                                                \
    X(NONE, "")                                                                                              \
    X(MACHINE_NOT_FOUND, "Machine not found")                                                                \
    X(INVALID_COMMAND, "Invalid command")                                                                    \
    X(CONNECTION_ERROR, "No connection to the PLC")                                                          \
    X(BUSY, "Machine is busy")                                                                               \
    X(INVALID_MESSAGE_FORMAT, "Invalid message format")                                                      \
    X(INTERLOCK, "Interlock")                                                                                \
    X(TIMEOUT, "Deadline passed before the command was sent")                                                \
    X(OUTCOME_UNKNOWN, "The command was sent; whether it was carried out is unknown")                        \
    X(UNAUTHORIZED, "Unauthorized")                                                                          \
    X(FORBIDDEN, "Forbidden")                                                                                \
    X(RATE_LIMITED, "Rate limited")                                                                          \
    X(INTERNAL_ERROR, "Internal error")

enum command_code_e {
#define X(name, text) CODE_##name,
    COMMAND_CODE_TABLE(X)
#undef X
        CODE_COUNT
};

const char *command_code_name(enum command_code_e code); /* "BUSY"; CODE_NONE and unknown: "INTERNAL_ERROR" */
const char *command_code_text(enum command_code_e code); /* the default text */

/* What an outcome tells about its command. A command has exactly one RESULT; a move whose result was a success has
 * exactly one COMPLETION after it. */
enum outcome_kind_e { OUTCOME_RESULT = 1, OUTCOME_COMPLETION = 2 };

/* Command codes of the PLC protocol that Noria itself gives a meaning. */
#define COMMAND_STATUS 0u
#define COMMAND_MOVE   1u
/* No code of the PLC's: lifts the latch that an emergency stop leaves (interlock.h). Nothing is written. */
#define COMMAND_REARM 256u
