/* outcome.h — what became of a command, as the agent keeps it: one result, and after a successful move one completion.
 * The wire's struct wire_outcome with its texts by value. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "command.h"
#include "command_scope.h"
#include "journal_record.h"

/* Names one command of one client for ever: a worker's incarnation, its session, the session's command. */
struct command_key {
    uint64_t worker, session, serial;
};

static inline bool command_key_equals(const struct command_key *a, const struct command_key *b)
{
    return a->worker == b->worker && a->session == b->session && a->serial == b->serial;
}

#define OUTCOME_TEXT_MAX JOURNAL_TEXT_MAX

/* Which command a log line is about. */
#define OUTCOME_KEY "command=%016" PRIx64 ".%" PRIu64 ".%" PRIu64 " request_id=\"%s\""
#define OUTCOME_KEY_ARGS(outcome)                                                                            \
    (outcome)->key.worker, (outcome)->key.session, (outcome)->key.serial, (outcome)->request_id

struct outcome {
    enum outcome_kind_e kind;
    struct command_key key;
    uint64_t dialect;
    char request_id[REQUEST_ID_MAX + 1];
    char scope[COMMAND_SCOPE_MAX + 1]; /* whose request_id; the broker is not told */
    uint64_t command;                  /* as the client asked, in bounds or not */
    int64_t argument;
    enum command_code_e code; /* CODE_NONE: success */
    char text[OUTCOME_TEXT_MAX + 1];
    bool sent;           /* the PLC was written to, or may have been */
    bool repeat;         /* the request had this answer before; only this key is told */
    int64_t position;    /* -1: unknown */
    uint64_t elapsed_ms; /* result: since the agent got the command; completion: since it was written */
    uint64_t source_ns;
    uint64_t noted;             /* its number in the journal: told when that is settled; 0: told at once */
    enum journal_chain_e chain; /* in which it is noted */
    bool recovered;             /* a predecessor's, out of the journal */
};

/* One request, whoever asks and however often: the same scope and request_id. */
static inline bool outcome_same_request(const struct outcome *a, const struct outcome *b)
{
    return a->scope[0] != '\0' && a->request_id[0] != '\0' && strcmp(a->scope, b->scope) == 0 &&
           strcmp(a->request_id, b->request_id) == 0;
}
