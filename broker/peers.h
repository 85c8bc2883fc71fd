/* peers.h — who is on the bus: workers with their slots, agents with their machines, tools, the store (part of Hop D6).
 *
 * A peer exists from a HELLO that was accepted until its connection closes, it says GOODBYE, nothing is heard of it for
 * 3 s, or, for an agent, another agent of its machine is accepted. Whoever else speaks is told RE_HELLO. A table of
 * fixed size, taken at init. It knows the bus only by `struct bus_identity`; sending is the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "errcode.h"
#include "list.h"
#include "map.h"
#include "wire.h"

#define PEERS_MAX        8192u
#define PEERS_WORKERS    64u /* slots: at most so many workers */
#define PEERS_TOOLS      32u /* at most so many at once; each asks one thing and ends */
#define PEERS_SILENCE_MS 3000u
#define PEERS_NO_SLOT    UINT32_MAX

struct machine;

struct peer {
    struct bus_identity identity;
    uint64_t hash;  /* of the identity */
    int connection; /* that its last HELLO came by; -1: none */
    enum wire_role_e role;
    uint64_t incarnation;
    uint32_t slot;           /* workers */
    uint64_t channels;       /* workers: open stream channels, as they said last */
    struct machine *machine; /* agents */
    uint64_t heard_ns;
    uint64_t unheard_bytes;    /* workers: of the store's replies, sent since */
    struct list_node by_heard; /* longest silent first; or the free list */
    struct list_node at_role;  /* tools: all of them */
};

struct peers {
    struct peer *table;
    struct peer *by_slot[PEERS_WORKERS];
    struct map by_identity, by_connection;
    struct list_node by_heard, free;
    struct list_node tools;
    struct peer *store; /* NULL: none */
    size_t workers, agents, tool_count;
    uint64_t seed;
    struct
        recent { /* peers that were told RE_HELLO a moment ago: a small cache, so that a flood costs no flood */
        uint64_t hash, at_ns;
    } recent[256];
};

enum err_e peers_init(struct peers *peers, uint64_t seed); /* ERR_MEMORY */
void peers_fini(struct peers *peers);

struct peer *peers_find(const struct peers *peers, const struct bus_identity *identity);
/* NULL: the table is full, or there are PEERS_TOOLS tools, or a store already. The identity is not in it. */
struct peer *peers_add(struct peers *peers, const struct bus_identity *identity, enum wire_role_e role,
                       uint64_t now_ns);
/* Frees the place and the worker's slot; what it meant to a machine was undone before. */
void peers_remove(struct peers *peers, struct peer *peer);

/* Which transport connection the peer is at; one connection has one peer. */
void peers_set_connection(struct peers *peers, struct peer *peer, int connection);
struct peer *peers_at_connection(const struct peers *peers, int connection); /* NULL: none */

/* The tool of this incarnation, which is the session_worker of its commands; NULL: none, as a rule because it is a worker's.
 * One that calls itself as a worker does is none: agents know workers' incarnations, and must not get their answers so. */
struct peer *peers_tool(const struct peers *peers, uint64_t incarnation);

/* The worker of this incarnation; NULL: none is introduced. */
struct peer *peers_worker(const struct peers *peers, uint64_t incarnation);
/* Channels of all workers but this one. */
uint64_t peers_channels_elsewhere(const struct peers *peers, const struct peer *worker);

void peers_heard(struct peers *peers, struct peer *peer, uint64_t now_ns);
struct peer *peers_silent(const struct peers *peers,
                          uint64_t now_ns); /* one that is silent for too long, or NULL */

/* Leases the slot that is wanted if it is free, else the lowest free one. PEERS_NO_SLOT: all are taken. A worker that
 * has a slot keeps it. Bit N of `others`: slot N is not free, whoever is introduced (slot_file.h). */
uint32_t peers_lease(struct peers *peers, struct peer *worker, uint64_t wanted, uint64_t others);

/* True if a RE_HELLO may be sent to the identity now (once per 100 ms). */
bool peers_may_re_hello(struct peers *peers, const struct bus_identity *identity, uint64_t now_ns);
