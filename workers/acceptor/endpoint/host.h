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
#include "history.h"
#include "map.h"
#include "mirror.h"
#include "outbox.h"
#include "pending.h"
#include "tail.h"

struct endpoint_host;

struct endpoint {
    struct endpoint_host *host;
    const struct endpoint_dialect *dialect;
    const char *listener; /* name from the configuration */
};

/* A connection; the dialect's own bytes stand behind it. */
struct endpoint_conn {
    struct client client;
    struct endpoint *endpoint;
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
    struct map sessions; /* serial → struct caller, for those that ever sent a command */
    uint32_t ring_id;
    uint64_t incarnation;
    char *scratch;
    struct topic *topics; /* 2 * AUDIENCE_TOPICS_MAX, for building sets */
    /* Gives a command to the broker; ERR_OK if it was taken. */
    enum err_e (*send_up)(void *arg, const struct pending_entry *entry, bool resent);
    void (*peer_name)(void *sink, char from[CALLER_FROM_MAX]);
    void *arg;
    struct host_counts counts;
};

struct host_config {
    const struct conf *conf;
    const struct clock *clock;
    uint64_t incarnation;
    const char *ring_path, *lvt_path; /* must outlive the host */
    const struct outbox_sink *sink;
    enum err_e (*send_up)(void *arg, const struct pending_entry *entry, bool resent);
    /* Where the connection behind a sink is; asked for by whoever sends its commands up. */
    void (*peer_name)(void *sink, char from[CALLER_FROM_MAX]);
    void *arg;
};

enum err_e host_init(struct endpoint_host *host, const struct host_config *config);
void host_fini(struct endpoint_host *host); /* every client was closed */

/* Bytes of a connection of this dialect. */
size_t host_conn_bytes(const struct endpoint_dialect *dialect);

/* The memory of a new connection (zeroed, host_conn_bytes()) becomes a client; on_connect runs. */
struct client *host_open(struct endpoint *endpoint, void *memory, void *sink, uint64_t serial,
                         const struct endpoint_request *request);
void host_message(struct client *client, const char *text, size_t len, bool binary);
void host_writable(struct client *client);
void host_closed(struct client *client); /* on_disconnect runs; the memory is free afterwards */

/* The broker answers HELLO_OK: attach to its ring, send pending commands again. An error (logged by the caller) means
 * try again soon. */
enum err_e host_broker_up(struct endpoint_host *host, uint32_t ring_id);

/* Commands past their time limit are answered here, clients too slow for too long are closed; call a few times a
 * second. */
void host_tick(struct endpoint_host *host);
