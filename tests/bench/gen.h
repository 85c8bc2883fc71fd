/* gen.h — the load generator: many WebSocket clients on one epoll loop, in a process of its own.
 *
 *     scenario (parent) ── struct gen_shared (anonymous shared memory) ── generator (child, one per 18,000 clients)
 *        reads counters, sets `command`                                     writes counters, obeys `command`
 *
 * Counters only grow, so that a phase of a measurement is the difference of two looks, and nothing is ever reset while
 * it runs. A client connects from 127.0.0.2, .3, … in turn (28,232 ports per pair of addresses), says its handshake
 * with a fixed key, sends one text after `welcome` (the subscription), reads the confirmation and the snapshot (or does
 * what else its `dialogue` says), and is live from then on. Live clients count frames (frame_counter.h), gaps and latency (ref_log.h), and answer pings. Some
 * of them (`never_read`) stop reading once they are live.
 *
 * Raw sockets and no library, because a client library would be what is measured: at 20 million deliveries per second
 * the generator has 50 ns for each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench_hist.h"
#include "errcode.h"
#include "ref_log.h"
#include "source_table.h"

#define GEN_CLIENTS_MAX 18000u /* of one process: 20,000 descriptors are all it may hold */
#define GEN_EVENTS_MAX  16384u

enum gen_dialogue_e {
    GEN_BARE,      /* live after the 101 */
    GEN_WELCOME,   /* live after `welcome` */
    GEN_SUBSCRIBE, /* … after `welcome`, own text, confirmation and snapshot */
    GEN_OPEN       /* … after own text, which nobody confirms, and the pong for a ping behind it */
};

enum gen_command_e {
    GEN_HOLD,   /* keep every connection */
    GEN_STORM,  /* once: close all, open all again at the same time; then as GEN_HOLD */
    GEN_RESUME, /* the same; each says in its subscription up to where the generator has seen frames */
    GEN_CHURN,  /* close each connection as soon as it is live, and open another */
    GEN_RETURN, /* whom the server closes comes back at once, and says up to where the generator has seen frames */
    GEN_STOP
};

struct gen_options {
    uint16_t port; /* on 127.0.0.1 */
    uint32_t clients, never_read;
    uint32_t first_address; /* 2: sources from 127.0.0.2 on */
    uint32_t per_address;   /* clients from one source address; 0: 5000 */
    uint32_t burst;         /* handshakes under way at a time while connecting */
    enum gen_dialogue_e dialogue;
    const char *text; /* of GEN_SUBSCRIBE and GEN_OPEN: a JSON object */
    enum ref_text_e frames;
    uint32_t
        sets_of; /* each client asks for its own 1 to 50 of that many machines (gen_text.h), and counts only
                       * deliveries and disorder: the common order says nothing then; 0: all ask for the same */
    int core;    /* -1: any */
    const struct source_table *table; /* when the source sent what, or NULL */
    bool log_events;                  /* fill gen_shared.events */
};

/* One state frame as all clients saw it, for scenarios that compare with the simulator's log. */
struct gen_event {
    uint64_t first_ns, last_ns;
    uint32_t machine, seen;
    uint8_t raw, position;
};

#define GEN_COUNTERS(X)                                                                                      \
    X(opened, "TCP connections begun")                                                                       \
    X(handshakes, "101s received")                                                                           \
    X(lives, "times a connection became live")                                                               \
    X(refused, "answers other than 101")                                                                     \
    X(failed, "connections that ended before they were live")                                                \
    X(closed, "live connections closed by the server")                                                       \
    X(returned, "of those, live again (GEN_RETURN)")                                                         \
    X(closed_slow, "never-reading connections closed by the server")                                         \
    X(reads, "recv calls that gave bytes")                                                                   \
    X(bytes, "received by live connections")                                                                 \
    X(deliveries, "state frames of the common order")                                                        \
    X(messages, "state frames seen for the first time")                                                      \
    X(lost, "messages of the source that nobody received")                                                   \
    X(gaps, "deliveries missed by a connection without a snapshot")                                          \
    X(conflated, "deliveries replaced by a snapshot")                                                        \
    X(snapshots, "snapshots to live connections")                                                            \
    X(disorder, "frames repeated or out of order")                                                           \
    X(others, "text frames of other kinds")                                                                  \
    X(pings, "pings answered")                                                                               \
    X(malformed, "bytes that are no frame of a server")

struct gen_shared {
    _Atomic uint32_t command; /* enum gen_command_e; the parent writes */
    _Atomic uint32_t live;    /* now, without never-readers */
    _Atomic uint32_t live_slow;
    _Atomic uint64_t storm_ns; /* how long the last GEN_STORM took until all were live; 0: not done */
#define X(name, text) _Atomic uint64_t name;
    GEN_COUNTERS(X)
#undef X
    struct hist latency;   /* source to receive, every delivery */
    struct hist first;     /* source to the first client, every message */
    struct hist last;      /* source to the last client */
    struct hist handshake; /* connect to live */
    struct hist away;      /* closed by the server to live again (GEN_RETURN) */
    _Atomic uint32_t event_count;
    struct gen_event events[GEN_EVENTS_MAX];
};

struct gen_shared *gen_shared_new(void); /* NULL: no memory */
void gen_shared_free(struct gen_shared **shared);

/* Body of the child process; returns its exit code (0 after GEN_STOP). */
int gen_run(const struct gen_options *options, struct gen_shared *shared);
