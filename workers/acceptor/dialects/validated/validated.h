/* validated.h — endpoints: paths whose messages are validated against a declared schema, handled by somebody, and answered with a status
 * and a body (Hop: C2; the protocol that clients see is README.md).
 *
 *     client ─ text ─▶ schema ─▶ handler ─ status, value ─▶ envelope ─▶ client
 *                        └─ refused: 400 at once, in its place among the answers
 *
 * Who handles is a table of functions: the pool of processes outside (every endpoint of the configuration), or functions in this
 * process. They may answer within `receive` or any time later; the answers leave in the order of the messages.
 *
 * One thread. Everything may be called from a handler's functions, and from events of the loop.
 */
#pragma once

#include <jansson.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "schema.h"

#define VALIDATED_ANSWER_MAX (1024u * 1024u) /* bytes of an answer as JSON, with its envelope */
#define VALIDATED_NAME_MAX   60u             /* bytes of a topic's name */

extern const struct endpoint_dialect validated_dialect; /* "endpoints" */

/* --- handlers ------------------------------------------------------------------------------------------------------- */

/* A message as a handler gets it; valid during the call. */
struct validated_message {
    json_t *value;    /* what the schema made of it; NULL at a traditional endpoint */
    const char *text; /* as it came; at a traditional endpoint a text is JSON, but bytes may be anything */
    size_t len;
    bool binary;
};

/* None of them may block. */
struct validated_handler {
    /* Not ERR_OK: the connection is closed with 1013, and `disconnect` is not called. */
    enum err_e (*connect)(void *arg, struct endpoint_conn *conn, const struct endpoint_request *request);
    /* ERR_OK: it is answered exactly once with `token`, now or later, unless `disconnect` comes first. Else it is answered by Noria:
     * ERR_TOO_LARGE (more levels than the handler can be told) 400, any other 503. */
    enum err_e (*receive)(void *arg, struct endpoint_conn *conn, const struct validated_message *message,
                          uint64_t token);
    void (*disconnect)(void *arg, struct endpoint_conn *conn); /* after it nothing may name the connection */
};

struct validated_endpoint {
    const char *path;                  /* at most TOPIC_PATH_MAX bytes */
    const struct schema *schema;       /* NULL: traditional */
    const struct schema *reply_schema; /* of an answer's body below 300; NULL: any */
    bool binary, error_object;         /* as in struct conf_endpoint */
    const struct validated_handler *handler;
    void *arg;
};

/* One more endpoint, beside those of the configuration; its path, schemas and arg outlive the dialect. `own` is the dialect's own
 * endpoint, after its start. ERR_EXISTS, ERR_MEMORY. */
enum err_e validated_add(struct endpoint *own, const struct validated_endpoint *endpoint);

/* The handler's own pointer in each connection; NULL at first. */
void validated_set_user(struct endpoint_conn *conn, void *user);
void *validated_user(struct endpoint_conn *conn);

/* --- what handlers do ----------------------------------------------------------------------------------------------- */

struct validated_body { /* one of both, or neither: null */
    const json_t *json;
    const msgpack_object *pack;
};

/* The answer to a message. Status 0: nothing is sent. A status that is none of envelope_status(), a body that JSON cannot show, one
 * beyond VALIDATED_ANSWER_MAX or against reply_schema is the handler's fault: 500, logged and counted. */
void validated_answer(struct endpoint_conn *conn, uint64_t token, uint64_t status,
                      struct validated_body body);

enum validated_failure_e {
    VALIDATED_FAILED,      /* 500 */
    VALIDATED_TIMEOUT,     /* 503 */
    VALIDATED_UNAVAILABLE, /* 503 */
    VALIDATED_TOO_DEEP     /* 400: more levels than its handler can be told */
};
/* There is no answer. */
void validated_fail(struct endpoint_conn *conn, uint64_t token, enum validated_failure_e failure);

/* A message to a connection at any time, in the same form, without waiting for answers that are owed. Faults: nothing is sent. */
void validated_send(struct endpoint_conn *conn, uint64_t status, struct validated_body body);

/* A topic of the endpoint's; "" (which every connection has from the beginning) is a fault. */
void validated_subscribe(struct endpoint_conn *conn, const char *name, size_t len, bool subscribe);

/* 1000, 1001, 1003, 1007 to 1013, 3000 to 4999; any other is a fault, and closes with 1011. So is a reason that is not UTF-8 or
 * longer than 123 bytes. What was answered before is written before, as far as the socket takes it. */
void validated_close(struct endpoint_conn *conn, unsigned code, const char *reason, size_t len);

/* A message to every connection, at whatever worker, of the endpoint at `path` that has this topic (""; all of them); `except`:
 * one of this worker's, or NULL. ERR_NOT_FOUND: no such path; ERR_MALFORMED, ERR_TOO_LARGE (ENDPOINT_PUBLISH_MAX): a fault, and
 * nothing is sent; ERR_FULL, ERR_MEMORY. Ask endpoint_may_publish() first. */
struct validated_publication {
    const char *path, *topic;
    size_t path_len, topic_len;
    uint64_t status;
    struct validated_body body;
    struct endpoint_conn *except;
};
enum err_e validated_publish(struct endpoint *own, const struct validated_publication *publication);

/* --- counters ------------------------------------------------------------------------------------------------------- */

/* What handlers did wrong: X(NAME, name, what the log says) */
#define VALIDATED_FAULTS(X)                                                                                  \
    X(STATUS, status, "a status that it may not answer")                                                     \
    X(BODY, body, "a body that JSON cannot show")                                                            \
    X(LARGE, large, "an answer that is too large")                                                           \
    X(SCHEMA, schema, "a body against its reply_schema")                                                     \
    X(TOPIC, topic, "a topic that cannot be")                                                                \
    X(CLOSE, close, "a close code or reason that cannot be")

enum validated_fault_e {
#define X(NAME, name, text) VALIDATED_FAULT_##NAME,
    VALIDATED_FAULTS(X)
#undef X
        VALIDATED_FAULT_COUNT
};

struct validated_counts {
    uint64_t refused;          /* by validation, invalid JSON among them */
    uint64_t received;         /* given to a handler */
    uint64_t answered, failed; /* by handlers; 500 because of them */
    uint64_t unavailable;      /* 503, timeouts among them */
    uint64_t sent, published;  /* by handlers */
    uint64_t deferred;         /* messages that waited because VALIDATED_UNDER_WAY were under way */
    uint64_t closed_waiting;   /* connections closed because too much waited for earlier answers */
    uint64_t pressed;          /* now: connections not read because too much waits for their handler */
    uint64_t waiting_bytes;    /* now */
    uint64_t faults[VALIDATED_FAULT_COUNT];
};

struct pool_counts;
/* Of the process; NULL where the dialect serves nothing. */
const struct validated_counts *validated_counts(const struct endpoint *own);
const struct pool_counts *validated_pool_counts(const struct endpoint *own);
