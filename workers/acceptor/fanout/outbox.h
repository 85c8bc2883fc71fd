/* outbox.h — what each client is owed, and the rounds that send it (Hops: D10, R4).
 *
 * A client is owed, in this order: its own frames (replies, results, replays) at the place in its audience's log where
 * they were made, and the log. A round visits the members of one audience and gives each everything it is owed with one
 * write; frames that arrive meanwhile wait for the next round and go together. So batches grow with load by
 * themselves, and a lone change waits for nobody. Rounds run in slices, so that the loop serves accepts, pings and
 * commands in between.
 *
 * Lagging. A client whose socket is full is skipped until `writable`. If its backlog falls off the log, grows past
 * AUDIENCE_LAG_BYTES, or is still there when its subscriptions change, the backlog is given up and the client lags,
 * which costs a few words however long it lasts. Then, until nothing is owed any more:
 *
 *     a  replies go at once
 *     b  a pass over the mirror: the newest state of each machine that changed since `since`
 *     c  frames of the ring that stand before the pass's beginning, in the ring's order: its lane, results for it
 *        alone, replays; the next pass has the beginning of this one as its `since`
 *
 * So per machine no state is older than one sent before, and no frame that cannot be merged is left out. "seq" remains a
 * promise that everything before was sent: states of a pass carry none (position 0) but for the last portion, which
 * carries the lower of the pass's beginning and the first frame of the ring that is still to be sent. Everything in (c)
 * carries its own and stands behind that; so it never goes back.
 *
 * Limits on what cannot be merged (lane, own frames): beyond hard_bytes, or beyond soft_bytes for soft_ms, the client
 * is closed with 1013; rounds and a sweep once a second look. So is one who is given more own frames with OUTBOX_OWN_MAX
 * bytes waiting, or whose lane's frames have left the history. Clients with passing topics (streams, endpoints) cannot lag: their
 * log is what they have, and falling off it is the hard limit.
 *
 * Replies to the messages of one read, to a client that is owed nothing else, are kept until the read is through (outbox_begin_read(),
 * outbox_settle()) and leave with one write: a system call costs more than all else that a reply does. They go before anything else that
 * the client is sent, and before it is closed. Rejected: the same until the end of the loop's turn, for whoever is answered; answers
 * that come one by one from elsewhere only come later for it (README.md).
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
#include "history.h"
#include "mirror.h"
#include "stats.h"

/* Beyond this, another own frame closes. Four thousand machines make a snapshot of half a mebibyte, and a client may ask
 * for status, machines and snapshot in one breath; so a frame is refused for what waits before it, not for its size. */
#define OUTBOX_OWN_MAX     (1024u * 1024u)
#define OUTBOX_KEPT_MAX    (32u * 1024u) /* bytes of replies that wait for the end of a read */
#define OUTBOX_PORTION     32u           /* machines in one frame of a pass */
#define OUTBOX_PORTION_MAX (OUTBOX_PORTION * (MACHINE_TEXT_MAX + 160u) + 256u) /* bytes of that frame */

struct outbox_sink {
    /* As ws_writev() and ws_can_write(). */
    enum err_e (*writev)(void *sink, const struct iovec *pieces, int count, size_t *taken);
    bool (*can_write)(void *sink);
    /* Starts closing; the owner calls outbox_drop() when the connection is gone. */
    void (*close)(void *sink, unsigned code, const char *reason);
};

struct outbox_dialect {
    /* Writes a whole frame with the current states of `machines` in the client's dialect; returns its length.
     * `position`: everything before it was sent or is in the states; 0: that cannot be said. */
    size_t (*states)(void *arg, struct client *client, const struct mirror_machine *const *machines,
                     uint32_t count, uint64_t position, void *frame, size_t cap);
    /* Frames of a replay have left the ring meanwhile: tell the client (outbox_own_frame()). */
    void (*gap)(void *arg, struct client *client);
};

struct outbox_limits {
    uint32_t soft_bytes, soft_ms, hard_bytes; /* hard_bytes are the audiences' too */
};

#define OUTBOX_LIMITS_DEFAULT ((struct outbox_limits){256 * 1024, 10000, AUDIENCE_HARD_BYTES})

struct outbox_counts {
    uint64_t writes, bytes, frames_own, frames_replayed, rounds, slices, lags, lag_portions, own_bytes;
    /* Closed with 1013, in all and by reason. */
    uint64_t closed_slow, closed_hard, closed_soft, closed_own, closed_memory, closed_lost;
};

/* Numbers of its histograms in the owner's table: how old a reading is when its record is read, when it is written to the first and to the last
 * client of an audience; how long an answer took, from reading the message that asked for it. */
struct outbox_metrics {
    size_t hop_d8, hop_d11_first, hop_d11_last, hop_r4;
};

struct outbox {
    struct audiences *audiences;
    const struct mirror *mirror;
    struct history *history;
    const struct outbox_sink *sink;
    const struct outbox_dialect *dialect;
    void *arg;
    const struct clock *clock;
    struct outbox_limits limits;
    struct stats *stats; /* NULL: nothing is observed */
    struct outbox_metrics metrics;
    uint64_t position; /* of the tail: everything before it is in logs, mirror and history */
    uint64_t now_ns;   /* of the running slice or sweep */
    uint64_t swept_ns;
    struct client *flushing; /* whose frames are being sent: what it is given now is only queued */
    struct client *reading;  /* whose messages are being told; NULL: nobody's */
    size_t kept_len;         /* its replies until now */
    unsigned char kept[OUTBOX_KEPT_MAX];
    struct outbox_counts counts;
};

/* Gives the client one frame of its own (complete, unmasked), after everything that it is owed at this moment; if it
 * lags, before everything but its other replies. The bytes are copied if they cannot be sent now. */
void outbox_own_frame(struct outbox *outbox, struct client *client, const void *frame, size_t len);
/* A message of the client's is told now; its read, which may bring more, ends with outbox_settle(). */
void outbox_begin_read(struct outbox *outbox, struct client *client);
/* What was kept for it goes. */
void outbox_settle(struct outbox *outbox, struct client *client);
/* As outbox_own_frame(), with a frame of the ring that is for it alone; it keeps its place among the ring's frames. */
void outbox_own_record(struct outbox *outbox, struct client *client, uint64_t position, const void *frame,
                       size_t len);

/* The current record, the last `len` bytes appended to the client's audience, is not for it (ORIGIN_NOT). Call right after
 * the append. */
void outbox_skip(struct outbox *outbox, struct client *client, size_t len);

/* Moves the client to another set of topics. What it is still owed from the old one arrives as before; states of
 * topics that it gives up while it lags do not. ERR_CLOSED, ERR_MEMORY, ERR_TOO_LARGE. */
enum err_e outbox_move(struct outbox *outbox, struct client *client, const struct topic *topics,
                       uint32_t count);

/* The kept frames of the filter's topics from position `first` up to now go to the client, after everything that it is
 * owed at this moment. ERR_CLOSED, ERR_MEMORY. */
enum err_e outbox_replay(struct outbox *outbox, struct client *client, const struct history_filter *filter,
                         uint64_t first);

/* May a reply made now promise that everything before this moment was sent? */
bool outbox_may_seq(const struct client *client);

/* Frames were lost to this worker (`since`: from this position on): the client lags, or, if it cannot, is closed.
 * `new_ring`: nothing from before has a place in the ring any more. The next slice sends. */
void outbox_conflate(struct outbox *outbox, struct client *client, uint64_t since, bool new_ring);

/* Sends as much of what the client is owed as its socket takes. */
void outbox_flush(struct outbox *outbox, struct client *client);
/* The client is about to be given an answer to a message that was read then; noted (hop_r4) when everything that it is owed is with the
 * kernel. */
void outbox_expect(struct client *client, uint64_t asked_ns);
/* How long ago `since_ns` is; nothing if that is 0, or in the future (another host's clock). */
void outbox_observe(struct outbox *outbox, size_t metric, uint64_t since_ns);
/* The socket has room again. */
void outbox_writable(struct outbox *outbox, struct client *client);

/* Nothing is sent to it any more, and no round waits for it; starts closing. */
void outbox_close(struct outbox *outbox, struct client *client, unsigned code, const char *reason);

/* Runs rounds for up to `budget_ns`; true: more to do, call again soon. */
bool outbox_slice(struct outbox *outbox, uint64_t budget_ns);

/* Call often; once a second it looks at clients whose audience is silent. */
void outbox_tick(struct outbox *outbox);

/* Frees all that the client holds here; it is gone. */
void outbox_drop(struct outbox *outbox, struct client *client);
