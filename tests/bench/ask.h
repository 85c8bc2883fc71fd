/* ask.h — the generator of round trips: WebSocket clients that ask an endpoint and compare what they are answered, on one epoll loop,
 * in a process of its own.
 *
 *     scenario (parent) ── struct ask_shared (anonymous shared memory) ── asker (child)
 *
 * Two ways to ask. Closed: each client keeps `depth` messages under way, and sends as many new ones, in one write, as one read
 * brought answers; depth 1 and one client is a round trip on an idle system. Open (`rate`): messages are due at fixed times,
 * answered or not, by the clients in turn, so that a system that stands still is asked on; a client with ASK_DEPTH_MAX under way is
 * passed over (counted as skipped).
 *
 * The answer must be, byte for byte, head + message + tail (ask_text.h) with the number of the oldest message under way: exact order
 * and content at the price of a memcmp. Only `loose` askers, who provoke what a handler does wrong, take any answer.
 * Latency runs from before the write to after the read. Counters only grow; a phase is the difference of two looks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_hist.h"
#include "child.h"

#define ASK_DEPTH_MAX   16u /* under way per client; more than that a worker does not read either */
#define ASK_CLIENTS_MAX 4096u

enum ask_command_e { ASK_PAUSE, ASK_RUN, ASK_STOP };

struct ask_options {
    uint16_t port; /* on 127.0.0.1 */
    const char *path;
    uint32_t clients, depth;
    uint32_t rate; /* messages per second of all clients together; 0: closed */
    const char *text;
    size_t len;
    const char *head, *tail; /* around the text in an answer */
    const char *ignore;      /* what begins so is no answer (published by the handler); NULL: nothing */
    bool loose;
    int core; /* -1: any */
};

#define ASK_COUNTERS(X)                                                                                      \
    X(sent, "messages")                                                                                      \
    X(answers, "answers, right ones; any if loose")                                                          \
    X(wrong, "answers with other bytes than expected")                                                       \
    X(refusals, "answers of a loose asker that are no 200")                                                  \
    X(ignored, "messages that are no answers")                                                               \
    X(skipped, "messages not sent because too many were under way")                                          \
    X(closed, "connections that ended")                                                                      \
    X(bytes, "received")

struct ask_shared {
    _Atomic uint32_t command; /* enum ask_command_e; the parent writes */
    _Atomic uint32_t live;    /* connections; all from the start on */
    _Atomic uint64_t under_way;
#define X(name, text) _Atomic uint64_t name;
    ASK_COUNTERS(X)
#undef X
    struct hist latency;
    char first_wrong[256]; /* the first wrong answer, cut */
};

struct asker {
    struct ask_options options;
    struct ask_shared *shared;
    struct child child;
};

/* Connects all clients and pauses. ERR_TIMEOUT: not all are live after ten seconds; ERR_CLOSED: refused. */
enum err_e asker_start(struct asker *asker, const char *name, const struct ask_options *options);
void asker_set(struct asker *asker, enum ask_command_e command);
/* Pauses, and waits until nothing is under way any more; false: something still is. */
bool asker_drain(struct asker *asker, uint32_t timeout_ms);
/* True if every connection stood until now and the process ended cleanly. */
bool asker_stop(struct asker *asker);

/* Body of the child; returns its exit code. */
int ask_run(const struct ask_options *options, struct ask_shared *shared);
