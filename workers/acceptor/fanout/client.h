/* client.h — one WebSocket connection as fan-out sees it. It lives in the connection's own memory (ws_user()) and is
 * kept small: at rest it is all that Noria adds to a connection beside libwebsockets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct audience;
struct own_entry;

#define CLIENT_MAGIC 0xc11eu

/* A client whose backlog was given up (outbox.h, "Lagging"). */
struct client_lag {
    uint64_t since;                /* ring position: states from here on are owed */
    uint64_t pass_start;           /* position when the running pass began: the next pass's `since` */
    uint64_t lane;                 /* number of the first entry of the audience's lane that it has not got */
    struct own_entry *ring_last;   /* frames of the ring for it alone, in its order; lists as own_last */
    struct own_entry *replay_last; /* replays */
    uint32_t next_slot;            /* of the running pass */
    bool pass_over;                /* now its frames of the ring, up to pass_start */
};

struct client {
    uint16_t magic;
    bool choked;               /* its socket has not taken everything: waits for `writable` */
    bool closing;              /* nothing is sent any more */
    uint32_t soft_since_ms;    /* since when it is over the soft limit; 0: it is not */
    void *sink;                /* the connection, for outbox_sink */
    struct audience *audience; /* NULL: subscribed to nothing */
    uint32_t member;           /* index in the audience */
    uint32_t own_bytes;
    uint64_t cursor; /* in the audience's log or list of references */
    struct own_entry
        *own_last;          /* of a circular list: frames for this client alone, places to skip, replays */
    struct client_lag *lag; /* NULL: reads its audience's log */
    uint64_t asked_ns;      /* when the message was read whose answer it is owed; 0: none */
};
_Static_assert(sizeof(struct client) == 64, "small");
