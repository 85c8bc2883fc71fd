/* outbox.h — what each client is owed, and the rounds that send it (Hops: D10, R4).
 *
 * A client is owed, in this order: its own frames (replies, results) at the place in its audience's log where they
 * were made, and the log. A round visits the members of one audience and gives each everything it is owed with one
 * write; frames that arrive meanwhile wait for the next round and go together. So batches grow with load by
 * themselves, and a lone change waits for nobody. Rounds run in slices, so that the loop serves accepts, pings and
 * commands in between.
 *
 * Slow clients. A client whose socket is full is skipped until `writable`. If it only subscribes to states and its
 * backlog grows past OUTBOX_LAG_BYTES or falls off the log, the backlog is given up: it then gets the newest state of
 * every machine that changed, in passes over the mirror, which costs a few words of memory however long it lags. A
 * client with topics that are never merged (results, events) is closed with 1013 instead, once frames are lost to it;
 * so is one whose own frames exceed OUTBOX_OWN_MAX.
 *
 * Loop-agnostic and socket-agnostic: the owner passes an outbox_sink, so that tests play the sockets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "audience.h"
#include "client.h"
#include "clock.h"
#include "errcode.h"
#include "mirror.h"
#include "stats.h"

#define OUTBOX_LAG_BYTES                                                                                     \
    (1024u * 1024u) /* 0.2 s at 20,000 states/s; the log is shared, so it costs nothing per client */
#define OUTBOX_OWN_MAX     (256u * 1024u)
#define OUTBOX_PORTION     32u /* machines in one frame of a pass */
#define OUTBOX_PORTION_MAX (OUTBOX_PORTION * (MACHINE_TEXT_MAX + 160u) + 256u) /* bytes of that frame */

struct outbox_sink {
    /* As ws_writev() and ws_can_write(). */
    enum err_e (*writev)(void *sink, const struct iovec *pieces, int count, size_t *taken);
    bool (*can_write)(void *sink);
    /* Starts closing; the owner calls outbox_drop() when the connection is gone. */
    void (*close)(void *sink, unsigned code, const char *reason);
};

/* Writes a whole frame with the current states of `machines` in the client's dialect; returns its length. `position`:
 * everything before it is in the states. */
typedef size_t outbox_states_f(void *arg, struct client *client, const struct mirror_machine *const *machines,
                               uint32_t count, uint64_t position, void *frame, size_t cap);

struct outbox_counts {
    uint64_t writes, bytes, frames_own, rounds, slices, lags, lag_portions, closed_slow, own_bytes;
};

struct outbox {
    struct audiences *audiences;
    const struct mirror *mirror;
    const struct outbox_sink *sink;
    outbox_states_f *states;
    void *arg;
    const struct clock *clock;
    struct stats *stats; /* NULL, or observed with the two metrics below */
    size_t metric_first, metric_last;
    uint64_t position; /* of the tail: everything before it is in logs and mirror */
    struct outbox_counts counts;
};

/* Gives the client one frame of its own (complete, unmasked), after everything that it is owed at this moment. The
 * bytes are copied if they cannot be sent now. */
void outbox_own_frame(struct outbox *outbox, struct client *client, const void *frame, size_t len);

/* The last `len` bytes appended to the client's audience are not for it (ORIGIN_NOT). Call right after the append. */
void outbox_skip(struct outbox *outbox, struct client *client, size_t len);

/* Moves the client to another set of topics; what it is still owed from the old one stays in order before. */
enum err_e outbox_move(struct outbox *outbox, struct client *client, const struct topic *topics,
                       uint32_t count);

/* The client's states from position `since` on come from the mirror now (frames were lost to this worker). */
void outbox_conflate(struct outbox *outbox, struct client *client, uint64_t since);

/* Sends as much of what the client is owed as its socket takes. */
void outbox_flush(struct outbox *outbox, struct client *client);
/* The socket has room again. */
void outbox_writable(struct outbox *outbox, struct client *client);

/* Runs rounds for up to `budget_ns`; true: more to do, call again soon. */
bool outbox_slice(struct outbox *outbox, uint64_t budget_ns);

/* Frees all that the client holds here; it is gone. */
void outbox_drop(struct outbox *outbox, struct client *client);
