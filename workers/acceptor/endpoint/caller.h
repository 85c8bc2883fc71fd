/* caller.h — who sent a command up and is owed its answer: a connection, or an HTTP request (Hops: C3, R3).
 *
 *     caller_send ─▶ pending ─▶ broker … ring ─▶ caller_hear ─▶ ops.record       the answer, encoded by the broker
 *                      └─ time limit ──────────────────────────▶ ops.failed       the worker must answer itself
 *
 * With the worker's incarnation, the serial names the caller to the whole installation (struct session_id). Every
 * command is answered exactly once, by one of the two; a move's completion comes afterwards, also by `record`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "errcode.h"

struct caller;
struct endpoint_command;
struct endpoint_host;
struct ring_record;

#define CALLER_FROM_MAX 64u /* bytes with the NUL */

#define CALLER_HTTP (1ULL << 63) /* set in the serials of HTTP requests, not in those of connections */

struct caller_ops {
    /* A record that names this caller as its origin. `due`: it is an answer that the caller has not had yet, or a
     * completion, and the record's origin mode gives it to the origin. Its audiences have got the frame already. */
    void (*record)(struct caller *caller, const struct ring_record *record, bool due);
    /* No broker took the command, or none answered in time. The command is good during the call. */
    void (*failed)(struct caller *caller, const struct endpoint_command *command, enum command_code_e code);
    /* Where it is, for the audit: "127.0.0.1:43210". Asked for whenever one of its commands is sent up. */
    void (*from)(const struct caller *caller, char from[CALLER_FROM_MAX]);
};

struct caller {
    const struct caller_ops *ops;
    uint64_t serial;
    const char *principal;   /* who it authenticated as; "" nobody. Lives as long as the configuration */
    unsigned record_dialect; /* enum record_dialect_e of the answers it understands */
    uint32_t command_serial; /* of its last command */
    uint16_t pending;        /* commands without an answer yet */
    bool registered;         /* in host->sessions */
    bool held_by_dialect;    /* endpoint_hold() */
    uint32_t held;           /* publishing.h: 1 + its place among those that are held; 0: it is not */
};

/* From here on records that name it as their origin reach it. ERR_MEMORY. */
enum err_e caller_register(struct endpoint_host *host, struct caller *caller);

/* ERR_OK: it is answered exactly once. ERR_FULL: too many commands of this caller or worker wait; nothing was sent. */
enum err_e caller_send(struct endpoint_host *host, struct caller *caller,
                       const struct endpoint_command *command);

/* The caller is gone: its commands go on, their answers have nobody to go to. */
void caller_drop(struct endpoint_host *host, struct caller *caller);

/* A record whose origin is a session of this worker. */
void caller_hear(struct endpoint_host *host, const struct ring_record *record);

/* Sends up again what waits, to a new broker. */
void caller_resend_all(struct endpoint_host *host);
/* Fails what is past its time limit, and tries again what the bus did not take. Call a few times a second. */
void caller_expire_all(struct endpoint_host *host);
