/* outbox_internal.h — between outbox.c (the order of sending, and moving), outbox_entry.c (own frames), outbox_ring.c
 * (frames of the ring in its order), outbox_lag.c (clients that lag) and outbox_round.c (rounds, limits). */
#pragma once

#include "outbox.h"

#define OUTBOX_PIECES 16

enum own_kind_e {
    OWN_REPLY, /* not from the ring */
    OWN_RING,  /* a frame of the ring for this client alone */
    OWN_SKIP,  /* a frame of the log (and lane) that is not for it */
    OWN_REPLAY /* struct replay: frames that the history holds */
};

struct own_entry {
    struct own_entry *next;
    uint64_t at;       /* place in the audience's log; 0 while the client lags */
    uint64_t position; /* RING, SKIP: in the ring */
    uint32_t len;      /* of what follows */
    uint32_t places;   /* SKIP: how far that goes in the audience's log */
    enum own_kind_e kind;
    _Alignas(8) unsigned char bytes[];
};

/* Entries [number, to) of the history that name one of the topics. */
struct replay {
    uint64_t number, to;
    uint32_t count;
    uint8_t dialect;
    bool owed; /* was on its way when the subscriptions changed: losing a frame is no gap but a slow client */
    bool gap_told;
    uint64_t hashes[];
};

static inline struct replay *replay_of(struct own_entry *entry)
{
    return (struct replay *)(void *)entry->bytes;
}

/* --- outbox_entry.c ------------------------------------------------------------------------------------------------ */

enum outbox_reason_e { SLOW_HARD, SLOW_SOFT, SLOW_OWN, SLOW_MEMORY, SLOW_LOST };
/* Closes with 1013, counted. */
void outbox_give_up(struct outbox *outbox, struct client *client, enum outbox_reason_e reason);
void outbox_set_choked(struct client *client, bool choked);
/* Whole frames out; *taken is less than asked if the socket is full now. False: nothing more can be sent. */
bool outbox_write(struct outbox *outbox, struct client *client, const struct iovec *pieces, int count,
                  size_t *taken);

struct own_entry *entry_first(struct own_entry *last);
struct own_entry *entry_next(const struct own_entry *entry,
                             const struct own_entry *last); /* NULL behind it */
void entry_append(struct own_entry **last, struct own_entry *entry);
void entry_prepend(struct own_entry **last, struct own_entry *entry);
struct own_entry *entry_take_first(struct own_entry **last);

/* NULL: the client was given up, because it had more than `limit_bytes` already, or for want of memory. */
struct own_entry *entry_new(struct outbox *outbox, struct client *client, enum own_kind_e kind, size_t len,
                            size_t limit_bytes);
/* Its first bytes were sent. */
void entry_cut(struct outbox *outbox, struct client *client, struct own_entry *entry, uint32_t bytes);
void entry_free(struct outbox *outbox, struct client *client, struct own_entry *entry);
void entry_free_all(struct outbox *outbox, struct client *client, struct own_entry **last);
/* At the end of what the client is owed now. */
void entry_queue(struct client *client, struct own_entry *entry);
struct own_entry *entry_new_replay(struct outbox *outbox, struct client *client,
                                   const struct history_filter *filter, uint64_t number, bool owed);
uint64_t outbox_log_head(const struct client *client);

/* --- outbox_ring.c -------------------------------------------------------------------------------------------------- */

enum ring_result_e {
    RING_SENT,    /* something was done; there may be more */
    RING_CHOKED,  /* the socket is full, or the client closes */
    RING_FINISHED /* nothing more to send */
};
/* Frames of the ring with a position below `limit`, a batch of them, to a client that lags. */
enum ring_result_e outbox_send_ring(struct outbox *outbox, struct client *client, uint64_t limit);
/* A batch of the replay that is the client's first own entry; FINISHED: it is through (and still there). */
enum ring_result_e outbox_send_replay(struct outbox *outbox, struct client *client);
/* Position of the first frame of the ring that a lagging client is still owed; UINT64_MAX: none. */
uint64_t outbox_first_owed(struct outbox *outbox, struct client *client);

/* --- outbox_lag.c ---------------------------------------------------------------------------------------------------- */

/* False: the client was given up. */
bool outbox_start_lag(struct outbox *outbox, struct client *client, uint64_t since);
/* The client is behind and shall not be any more: it lags, or is given up. False: given up. */
bool outbox_abandon_backlog(struct outbox *outbox, struct client *client);
/* One step. False: the socket is full, or nothing is left. */
bool outbox_serve_lag(struct outbox *outbox, struct client *client);
bool outbox_backlog_large(const struct client *client);
/* The client reads its audience's log again; what its lag still has goes to its own entries. */
void outbox_end_lag(struct outbox *outbox, struct client *client);

/* --- outbox_round.c -------------------------------------------------------------------------------------------------- */

/* A client whose socket is full: lag and limits. */
void outbox_check_choked(struct outbox *outbox, struct client *client);
