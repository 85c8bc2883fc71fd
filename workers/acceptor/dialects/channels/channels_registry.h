/* channels_registry.h — who is connected here to which channel (Hop: C2).
 *
 *     order   #3 #7 – #9 #12      channels by their birth: a survey that goes on after others came and went finds its
 *                 │               place again by number, and tells each that stayed exactly once
 *                 └─▶ connections, and of those that have a name a list in the order in which they came
 *
 * A channel is here as long as somebody is connected to it. Bounded by the number of connections: a channel costs 250 bytes, a named
 * connection 40 and its name, any other nothing (its state lies in the connection).
 *
 * Rejected: a list of all connections per channel. Nobody asks for those that have no name.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "list.h"
#include "map.h"
#include "topic.h"

struct channels_user { /* a connection that has a name */
    struct list_node node;
    uint64_t serial, connected_ms;
    uint8_t len;
    char id[]; /* without a NUL */
};

struct channels_channel {
    uint64_t born; /* running number, from 1 */
    uint32_t connections, users;
    uint32_t word;          /* channels_word() */
    struct list_node named; /* struct channels_user */
    const char *name;       /* in `topic`; without a NUL */
    size_t len;
    struct topic topic;
};

struct channels_place {
    uint64_t born;
    struct channels_channel *channel; /* NULL: it is gone */
};

struct channels_registry {
    struct channels_place *order;
    uint32_t used, cap, holes;
    struct map by_name; /* seeded hash: names are the clients' choice */
    uint64_t seed, born, connections, users;
};

struct channels_guest { /* who comes */
    const char *channel, *user_id;
    size_t channel_len, user_len; /* user_len 0: nameless */
    uint64_t serial, wall_ms;     /* serials ascend */
};

void channels_registry_init(struct channels_registry *registry, uint64_t seed);
void channels_registry_fini(struct channels_registry *registry);

/* ERR_MEMORY; ERR_EXISTS: another name has this one's hash. *user NULL: nameless. */
enum err_e channels_registry_enter(struct channels_registry *registry, const struct channels_guest *guest,
                                   struct channels_channel **channel, struct channels_user **user);
void channels_registry_leave(struct channels_registry *registry, struct channels_channel *channel,
                             struct channels_user *user);

uint32_t channels_registry_count(const struct channels_registry *registry); /* channels */
/* The first channel whose birth is `born` or later; NULL: none. */
const struct channels_channel *channels_registry_next(const struct channels_registry *registry,
                                                      uint64_t born);

/* A name as a survey's question, the same in every process; never 0. */
uint32_t channels_word(const char *name, size_t len);
