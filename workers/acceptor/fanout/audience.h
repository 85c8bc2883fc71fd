/* audience.h — who gets a frame (Hop: D9).
 *
 *     record ─ topics ─▶ topic_entry ─▶ audiences that contain it ─▶ one append per audience, whatever its size
 *
 * Connections with the same set of topics are one audience. From AUDIENCE_OWN_LOG members on it has a log of its own,
 * into which each wanted frame is copied once, so that a member's backlog is contiguous; smaller ones keep references
 * into the worker's main log, so that ten thousand different subscriptions cost ten thousand short lists and no copy.
 * A member is a cursor: an offset (own log) or an index (references).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "errcode.h"
#include "framelog.h"
#include "list.h"
#include "map.h"
#include "topic.h"

#define AUDIENCE_OWN_LOG    8u /* members from which an own log pays; see README for the figure */
#define AUDIENCE_TOPICS_MAX 4096u
#define AUDIENCE_REFS_MAX   4096u
#define AUDIENCE_LOG_LIMIT  (4u * 1024u * 1024u)
#define AUDIENCE_BUDGET     (64u * 1024u * 1024u)

struct frame_ref {
    uint64_t offset; /* in the main log */
    uint32_t len;
};

struct topic_entry;

struct audience {
    uint64_t key;                /* of its set of topics */
    struct list_node dirty;      /* in audiences.dirty while some member can be sent to */
    struct topic_entry **topics; /* sorted by hash */
    uint32_t topic_count;
    bool lossless;   /* holds a topic whose frames are never merged */
    bool all_states; /* holds "state/#" */
    bool own_log;
    struct client **members;
    uint32_t count, cap;
    uint32_t caught_up;              /* members whose cursor is at the head and who do not lag */
    uint32_t lagging;                /* members with client->lag; the rest is behind */
    uint32_t choked;                 /* members with client->choked, those that lag included */
    uint32_t round_next, round_left; /* the running round: next member, members still to visit */
    uint64_t stamp;                  /* last record appended */
    uint64_t source_ns;              /* of the oldest state not yet sent to anybody; 0 none */
    uint64_t round_source_ns;        /* of the state whose round is running; 0 none */
    struct framelog log;             /* own_log */
    struct frame_ref *refs;          /* else: ring of ref_cap entries, indices ref_tail … ref_head */
    uint32_t ref_cap;
    uint64_t ref_tail, ref_head;
    bool pins_main_log; /* counted in audiences.refs_behind */
};

struct audiences {
    struct framelog_budget budget;
    struct framelog main_log;
    uint32_t refs_behind; /* audiences with references that somebody still needs: they pin the main log */
    struct map by_key;    /* set of topics → audience */
    struct map topics;    /* hash → topic_entry */
    struct list_node dirty;
    uint64_t stamp;
    uint64_t main_offset, main_stamp; /* where record `main_stamp` stands in the main log */
    uint64_t appends, promotions;
};

void audiences_init(struct audiences *all);
void audiences_fini(struct audiences *all); /* every client has left */

/* Moves the client, which owes nothing any more (outbox does that first), to the audience of exactly these topics;
 * none: to no audience. Topics need not be sorted or distinct. On an error (ERR_MEMORY, ERR_TOO_LARGE) the client
 * stays where it was. */
enum err_e audience_join(struct audiences *all, struct client *client, const struct topic *topics,
                         uint32_t count);
void audience_leave(struct audiences *all, struct client *client);

/* The union of the client's topics and `topics`, into `out` (2 * AUDIENCE_TOPICS_MAX entries); returns the count, or
 * UINT32_MAX if it exceeds AUDIENCE_TOPICS_MAX. */
uint32_t audience_union(const struct client *client, const struct topic *topics, uint32_t count,
                        struct topic *out);

bool audience_has_topic(const struct audience *audience, uint64_t hash);

/* Starts a record: appends until the next call belong to it. */
void audiences_begin_record(struct audiences *all);
/* Gives the frame to every audience of the topic that has not got it for this record yet. `source_ns`: see
 * struct ring_record. False: out of memory, the audience's members must be told they lost something. */
bool audiences_append(struct audiences *all, uint64_t topic_hash, const char *name, uint8_t name_len,
                      const void *frame, uint32_t len, uint64_t source_ns);
/* True if the client's audience got the current record. */
bool audience_got_record(const struct audiences *all, const struct client *client);

uint64_t audience_head(const struct audience *audience);
uint64_t audience_tail(const struct audiences *all, const struct audience *audience);

/* Backlog from the client's cursor up to `to`, as pieces that start and end at frame boundaries. */
int audience_pieces(const struct audiences *all, const struct client *client, uint64_t to,
                    struct iovec *pieces, int max);
/* Moves the cursor over `bytes` (whole frames) that were sent or are to be skipped. */
void audience_advance(struct audiences *all, struct client *client, size_t bytes);

/* A member either reads the log or lags (reads the mirror); the log is kept only for those who read it. */
void audience_start_lag(struct audiences *all, struct client *client, struct client_lag *lag);
struct client_lag *audience_end_lag(struct audiences *all,
                                    struct client *client); /* its cursor is the head now */
