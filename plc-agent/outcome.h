/* outcome.h — what became of a command, as the agent keeps it: one result, and after a successful move one completion.
 * The wire's struct wire_outcome with its texts by value. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "command.h"

/* Names one command of one client for ever: a worker's incarnation, its session, the session's command. */
struct command_key {
    uint64_t worker, session, serial;
};

static inline bool command_key_equals(const struct command_key *a, const struct command_key *b)
{
    return a->worker == b->worker && a->session == b->session && a->serial == b->serial;
}

#define OUTCOME_TEXT_MAX 79

struct outcome {
    enum outcome_kind_e kind;
    struct command_key key;
    uint64_t dialect;
    char request_id[REQUEST_ID_MAX + 1];
    uint64_t command; /* as the client asked, in bounds or not */
    int64_t argument;
    enum command_code_e code; /* CODE_NONE: success */
    char text[OUTCOME_TEXT_MAX + 1];
    bool sent;           /* the PLC was written to, or may have been */
    int64_t position;    /* -1: unknown */
    uint64_t elapsed_ms; /* result: since the agent got the command; completion: since it was written */
    uint64_t source_ns;
};
