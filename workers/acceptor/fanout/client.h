/* client.h — one WebSocket connection as fan-out sees it. It lives in the connection's own memory (ws_user()) and is
 * kept small: at rest it is all that Noria adds to a connection beside libwebsockets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct audience;
struct own_entry;

#define CLIENT_MAGIC 0xc11e47u

/* A state subscriber whose backlog was given up: it gets the newest state of each machine that changed, in passes over
 * the mirror, until a pass finds nothing. */
struct client_lag {
    uint64_t since;      /* ring position: states from here on are owed */
    uint64_t pass_start; /* position when the running pass began: the next pass's `since` */
    uint32_t next_slot;
    bool found_any; /* in the running pass: it took time, so another pass follows */
};

struct client {
    uint32_t magic;
    bool choked;               /* its socket has not taken everything: waits for `writable` */
    bool closing;              /* nothing is sent any more */
    void *sink;                /* the connection, for outbox_sink */
    struct audience *audience; /* NULL: subscribed to nothing */
    uint32_t member;           /* index in the audience */
    uint32_t own_bytes;
    uint64_t cursor;                        /* in the audience's log or list of references */
    struct own_entry *own_first, *own_last; /* frames for this client alone, and places to skip */
    struct client_lag *lag;                 /* NULL: reads its audience's log */
};
