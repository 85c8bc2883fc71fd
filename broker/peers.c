/* Hop: D6. One fixed table; identities and connections are looked up by hash, and silence by a list in order of hearing. */
#include "peers.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "must.h"

#define RE_HELLO_PERIOD_NS (100 * NS_PER_MS)

static uint64_t identity_hash(const struct peers *peers, const struct bus_identity *identity)
{
    uint64_t h = hash_bytes(identity->bytes, identity->len, peers->seed);
    return h != 0 ? h : 1;
}

static bool same_identity(const struct bus_identity *a, const struct bus_identity *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

enum err_e peers_init(struct peers *peers, uint64_t seed)
{
    *peers = (struct peers){.seed = seed};
    list_init(&peers->by_heard);
    list_init(&peers->free);
    list_init(&peers->tools);
    map_init(&peers->by_identity);
    map_init(&peers->by_connection);
    peers->table = calloc(PEERS_MAX, sizeof *peers->table);
    if (peers->table == NULL || map_reserve(&peers->by_identity, PEERS_MAX) != ERR_OK ||
        map_reserve(&peers->by_connection, PEERS_MAX) != ERR_OK) {
        peers_fini(peers);
        return ERR_MEMORY;
    }
    for (size_t i = 0; i < PEERS_MAX; i++)
        list_append(&peers->free, &peers->table[i].by_heard);
    return ERR_OK;
}

void peers_fini(struct peers *peers)
{
    map_fini(&peers->by_identity);
    map_fini(&peers->by_connection);
    free(peers->table);
    peers->table = NULL;
}

struct peer *peers_find(const struct peers *peers, const struct bus_identity *identity)
{
    struct peer *peer = map_get(&peers->by_identity, identity_hash(peers, identity));
    return peer != NULL && same_identity(&peer->identity, identity) ? peer : NULL;
}

/* The store is counted by who it is. */
static void count(struct peers *peers, enum wire_role_e role, size_t one)
{
    if (role != WIRE_STORE)
        *(role == WIRE_WORKER  ? &peers->workers
          : role == WIRE_AGENT ? &peers->agents
                               : &peers->tool_count) += one;
}

static bool has_room(const struct peers *peers, enum wire_role_e role)
{
    return !list_empty(&peers->free) && (role != WIRE_TOOL || peers->tool_count < PEERS_TOOLS) &&
           (role != WIRE_STORE || peers->store == NULL);
}

struct peer *peers_add(struct peers *peers, const struct bus_identity *identity, enum wire_role_e role,
                       uint64_t now_ns)
{
    uint64_t hash = identity_hash(peers, identity);
    if (!has_room(peers, role) || map_get(&peers->by_identity, hash) != NULL)
        return NULL;
    struct peer *peer = LIST_ENTRY(peers->free.next, struct peer, by_heard);
    list_remove(&peer->by_heard);
    *peer = (struct peer){.identity = *identity,
                          .hash = hash,
                          .connection = -1,
                          .role = role,
                          .slot = PEERS_NO_SLOT,
                          .heard_ns = now_ns};
    list_init(&peer->by_heard);
    list_init(&peer->at_role);
    if (role == WIRE_TOOL)
        list_append(&peers->tools, &peer->at_role);
    if (role == WIRE_STORE)
        peers->store = peer;
    list_append(&peers->by_heard, &peer->by_heard);
    enum err_e err = map_put(&peers->by_identity, hash, peer);
    MUST(err == ERR_OK); /* reserved at init */
    count(peers, role, 1);
    return peer;
}

static uint64_t connection_key(int connection)
{
    return (uint64_t)connection + 1;
}

void peers_set_connection(struct peers *peers, struct peer *peer, int connection)
{
    if (peer->connection >= 0)
        map_remove(&peers->by_connection, connection_key(peer->connection));
    struct peer *before = connection >= 0 ? peers_at_connection(peers, connection) : NULL;
    if (before != NULL)
        before->connection = -1; /* its end was not told; silence will find it */
    peer->connection = connection;
    if (connection >= 0) {
        enum err_e err = map_put(&peers->by_connection, connection_key(connection), peer);
        MUST(err == ERR_OK); /* reserved at init */
    }
}

struct peer *peers_at_connection(const struct peers *peers, int connection)
{
    return connection >= 0 ? map_get(&peers->by_connection, connection_key(connection)) : NULL;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
    MUST(peer->machine == NULL);
    peers_set_connection(peers, peer, -1);
    if (peer->slot != PEERS_NO_SLOT)
        peers->by_slot[peer->slot] = NULL;
    if (peers->store == peer)
        peers->store = NULL;
    count(peers, peer->role, (size_t)-1);
    list_remove(&peer->at_role);
    map_remove(&peers->by_identity, peer->hash);
    list_remove(&peer->by_heard);
    list_append(&peers->free, &peer->by_heard);
}

struct peer *peers_worker(const struct peers *peers, uint64_t incarnation)
{
    for (size_t slot = 0; slot < PEERS_WORKERS; slot++)
        if (peers->by_slot[slot] != NULL && peers->by_slot[slot]->incarnation == incarnation)
            return peers->by_slot[slot];
    return NULL;
}

uint64_t peers_channels_elsewhere(const struct peers *peers, const struct peer *worker)
{
    uint64_t sum = 0;
    for (size_t slot = 0; slot < PEERS_WORKERS; slot++) {
        const struct peer *other = peers->by_slot[slot];
        if (other != NULL && other != worker && __builtin_add_overflow(sum, other->channels, &sum))
            return UINT64_MAX;
    }
    return sum;
}

/* A few at most, and mostly none. */
struct peer *peers_tool(const struct peers *peers, uint64_t incarnation)
{
    LIST_FOREACH (node, &peers->tools) {
        struct peer *tool = LIST_ENTRY(node, struct peer, at_role);
        if (tool->incarnation == incarnation)
            return peers_worker(peers, incarnation) != NULL ? NULL : tool;
    }
    return NULL;
}

void peers_heard(struct peers *peers, struct peer *peer, uint64_t now_ns)
{
    peer->heard_ns = now_ns;
    peer->unheard_bytes = 0;
    list_remove(&peer->by_heard);
    list_append(&peers->by_heard, &peer->by_heard);
}

struct peer *peers_silent(const struct peers *peers, uint64_t now_ns)
{
    if (list_empty(&peers->by_heard))
        return NULL;
    struct peer *peer = LIST_ENTRY(peers->by_heard.next, struct peer, by_heard);
    return now_ns - peer->heard_ns > PEERS_SILENCE_MS * NS_PER_MS ? peer : NULL;
}

static bool is_free(const struct peers *peers, uint64_t slot, uint64_t others)
{
    return slot < PEERS_WORKERS && peers->by_slot[slot] == NULL && (others >> slot & 1) == 0;
}

static uint32_t free_slot(const struct peers *peers, uint64_t wanted, uint64_t others)
{
    if (is_free(peers, wanted, others))
        return (uint32_t)wanted;
    for (uint32_t slot = 0; slot < PEERS_WORKERS; slot++)
        if (is_free(peers, slot, others))
            return slot;
    return PEERS_NO_SLOT;
}

uint32_t peers_lease(struct peers *peers, struct peer *worker, uint64_t wanted, uint64_t others)
{
    MUST(worker->role == WIRE_WORKER);
    if (worker->slot == PEERS_NO_SLOT) {
        worker->slot = free_slot(peers, wanted, others);
        if (worker->slot != PEERS_NO_SLOT)
            peers->by_slot[worker->slot] = worker;
    }
    return worker->slot;
}

bool peers_may_re_hello(struct peers *peers, const struct bus_identity *identity, uint64_t now_ns)
{
    uint64_t hash = identity_hash(peers, identity);
    struct recent *recent = &peers->recent[hash % ARRAY_LEN(peers->recent)];
    if (recent->hash == hash && now_ns - recent->at_ns < RE_HELLO_PERIOD_NS)
        return false;
    *recent = (struct recent){hash, now_ns};
    return true;
}
