/* host.h — the worker's side of the endpoint API: what endpoints run on, and how connections and ring records enter
 * them (Hops: C2, R3). Used by the worker's main and nobody else; dialects see endpoint.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "audience.h"
#include "caller.h"
#include "client.h"
#include "clock.h"
#include "conf.h"
#include "endpoint.h"
#include "endpoint_common.h"
#include "history.h"
#include "map.h"
#include "mirror.h"
#include "outbox.h"
#include "pending.h"
#include "publishing.h"
#include "store_calls.h"
#include "tail.h"
#include "wire.h"

struct endpoint_host;

/* A connection; the dialect's own bytes stand behind it. */
struct endpoint_conn {
    struct client client;
    struct endpoint *endpoint;
    const struct identity *identity;
    struct caller caller;
};
_Static_assert(sizeof(struct endpoint_conn) % 8 == 0, "the dialect's bytes are aligned");

struct host_counts {
    uint64_t received, commands, commands_full, commands_resent, commands_failed_here, answers,
        answers_repeated, answers_without_client, gaps;
};

struct endpoint_host {
    const struct conf *conf;
    const struct clock *clock;
    struct mirror mirror;
    struct history history;
    struct audiences audiences;
    struct outbox outbox;
    struct tail tail;
    struct pending pending;
    struct endpoint_commons commons;
    struct surveys surveys;
    struct publishing publishing;
    struct store_calls store_calls;
    struct map sessions; /* serial → struct caller, for those that ever sent a command or published */
    uint32_t ring_id;
    struct endpoint_since lost; /* while `losing`: what this worker has not read */
    bool losing;
    uint64_t incarnation;
    uint64_t read_ns;  /* while a client's message is told: when it was read; 0: none is */
    uint64_t asked_ns; /* while an answer is told: when the message was read that asked; 0: none is */
    uv_loop_t *loop;
    char *scratch;
    bool settles;
    struct topic *topics; /* 2 * AUDIENCE_TOPICS_MAX, for building sets */
    /* Gives a command to the broker; ERR_OK if it was taken. */
    enum err_e (*send_up)(void *arg, const struct pending_entry *entry, bool resent);
    /* Gives any other message to the broker; ERR_OK if it was taken. */
    enum err_e (*send_message)(void *arg, struct wire_message *message);
    void (*peer_name)(void *sink, char from[CALLER_FROM_MAX]);
    void (*hold)(void *sink, bool hold);
    void (*charge)(void *sink, unsigned messages);
    void *arg;
    struct host_counts counts;
};

struct host_config {
    const struct conf *conf;
    const struct clock *clock;
    uint64_t incarnation;
    const char *ring_path, *lvt_path; /* must outlive the host */
    uv_loop_t *loop; /* for dialects (endpoint_loop()): it runs, or will; NULL: there is none */
    const struct outbox_sink *sink;
    enum err_e (*send_up)(void *arg, const struct pending_entry *entry, bool resent);
    enum err_e (*send_message)(void *arg, struct wire_message *message);
    /* Where the connection behind a sink is; asked for by whoever sends its commands up. */
    void (*peer_name)(void *sink, char from[CALLER_FROM_MAX]);
    /* The connection behind a sink is not read, or read again; NULL: senders are never held. */
    void (*hold)(void *sink, bool hold);
    /* The owner calls host_settle() at the end of each read, and before a Close: replies to its messages wait for that. */
    bool settles;
    /* So many messages more on the account of its client's rate; NULL: there are none. */
    void (*charge)(void *sink, unsigned messages);
    void *arg;
};

enum err_e host_init(struct endpoint_host *host, const struct host_config *config);
void host_fini(struct endpoint_host *host); /* every client was closed, host_stop() was called */

/* Bytes of a connection of this dialect. */
size_t host_conn_bytes(const struct endpoint_dialect *dialect);

/* The memory of a new connection (zeroed, host_conn_bytes()) becomes a client; on_connect runs. */
struct client *host_open(struct endpoint *endpoint, void *memory, void *sink, uint64_t serial,
                         const struct endpoint_request *request);
void host_message(struct client *client, const char *text, size_t len, bool binary);
void host_settle(struct client *client);
void host_writable(struct client *client);
void host_close(struct client *client, unsigned code, const char *reason); /* as endpoint_close() */
void host_closed(struct client *client);     /* on_disconnect runs; the memory is free afterwards */
void host_going_away(struct client *client); /* the process stops; the owner closes the connection next */

/* Does the worker still owe it an answer to something that it asked: a command, a message to a handler? */
bool host_is_waiting(struct client *client);
/* Everything it is owed that its socket takes now goes out. True: that was everything. */
bool host_flush(struct client *client);

/* A reload: endpoint.h, of every dialect. `next` lives until it is followed, or the abort. */
enum err_e host_reload_prepare(struct endpoint_host *host, const struct conf *next);
void host_reload_commit(struct endpoint_host *host, const struct conf *next);
void host_reload_abort(struct endpoint_host *host);
/* After a commit: false, and *reason, if the dialect does not let it go on. */
bool host_still_allowed(struct client *client, const char **reason);
const struct identity *host_identity(const struct client *client);

/* The broker answers HELLO_OK: attach to its ring, send pending commands again. An error (logged by the caller) means
 * try again soon. */
enum err_e host_broker_up(struct endpoint_host *host, uint32_t ring_id);

/* Its link is down: surveys and calls of the store under way fail, what clients publish waits. */
void host_broker_down(struct endpoint_host *host);

/* Any other message from the broker. False: it is not for the host. */
bool host_hear(struct endpoint_host *host, const struct wire_message *message);

/* Commands and calls of the store past their time limit are answered here, clients too slow for too long are closed, dialects get their ticks; call a few
 * times a second. */
void host_tick(struct endpoint_host *host);
