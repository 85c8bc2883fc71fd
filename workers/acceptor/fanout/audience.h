/* audience.h — who gets a frame (Hop: D9).
 *
 *     record ─ topics ─▶ topic_entry ─▶ audiences that contain it ─▶ one append per audience, whatever its size
 *
 * Connections with the same set of topics are one audience. From AUDIENCE_OWN_LOG members on it has a log of its own,
 * into which each wanted frame is copied once, so that a member's backlog is contiguous; smaller ones keep references
 * into the worker's main log, so that ten thousand different subscriptions cost ten thousand short lists and no copy.
 * A member is a cursor: an offset (own log) or an index (references).
 *
 * The lane. A member that lags does not read the log any more. States it reads from the mirror; frames that are never
 * merged must reach it all the same. An audience with such topics therefore notes for each of these frames where it
 * stands in the log, in the ring and in a running count of bytes:
 *
 *      log     s s r s s s s r s s s e s s        s state, r result, e event
 *      lane        r1        r2      e3           (at, position, bytes before)
 *
 * The frames themselves are in the worker's history, once. So a lane costs 24 bytes a frame, whatever the number of
 * members, and it answers exactly how many bytes that cannot be merged a member is owed. It reaches back
 * slow_hard_bytes: who falls off it is over the hard limit. Rejected: a lane with copies of its frames, a mebibyte each for
 * ten thousand audiences.
 *
 * Pressure. Members of passing audiences (streams, endpoints) cannot lag. So what their sockets would take must not fall off a log
 * only because the tail ran ahead of the rounds, and the tail asks: how many bytes of streams are newer than the rounds?
 * A mark in the list of dirty audiences tells. When it comes to the front, everybody who waited when it was put
 * there has been visited; then it goes to the end again, and what was counted before its last turn is forgotten. Above
 * AUDIENCE_PRESSURE the ring waits, which has room for more than any log, and whose writer's senders are held.
 *
 * All memory that grows with a backlog (logs, references, lanes) counts against one budget; the main log has its own
 * bounded share. Where memory is refused, the audience's backlog is given up: its members lag, nobody misses anything.
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
#define AUDIENCE_REFS_KEPT  32768u /* of an audience that cannot lag: the hard limit in frames of 32 bytes */
#define AUDIENCE_MAIN_LOG   (4u * 1024u * 1024u)
#define AUDIENCE_BUDGET     (64u * 1024u * 1024u)
/* A backlog beyond this is given up where it can be had otherwise. 0.2 s at 20,000 states/s; the log is shared, so it
 * costs nothing per client. */
#define AUDIENCE_LAG_BYTES  (1024u * 1024u)
#define AUDIENCE_HARD_BYTES (1024u * 1024u) /* unless the configuration says otherwise */
/* Frames, each with AUDIENCE_FRAME_COST, that are newer than the rounds; a quarter of the hard limit if that is less. */
#define AUDIENCE_PRESSURE   (256u * 1024u)
#define AUDIENCE_FRAME_COST 256u

struct frame_ref {
    uint64_t offset; /* in the main log */
    uint32_t len;
};

struct topic_entry;

struct lane_entry {
    uint64_t at;       /* the log's head before it */
    uint64_t position; /* in the ring */
    uint64_t bytes;    /* of all of the lane's frames before it */
};

struct lane {
    struct lane_entry *entries; /* numbers tail … head - 1 */
    uint64_t tail, head;
    uint64_t bytes; /* of all frames ever */
    uint64_t
        dropped_at; /* `at` of the last entry that was given up, if any was since the lane was last empty */
    uint32_t cap;
    bool dropped;
};

struct audience {
    uint64_t key;                /* of its set of topics */
    struct list_node dirty;      /* in audiences.dirty while some member can be sent to */
    struct topic_entry **topics; /* sorted by hash */
    uint32_t *places;            /* in each topic's list of audiences; same allocation */
    uint32_t topic_count;
    uint32_t names_bytes; /* of all topics' names together */
    bool states;          /* holds a topic of states */
    bool lossless;        /* holds a topic whose frames are never merged */
    bool passing;         /* holds one whose frames are not kept either: its members cannot lag */
    bool all_states;      /* holds "state/#" */
    bool own_log;
    bool pins_main_log; /* counted in audiences.refs_behind */
    struct client **members;
    uint32_t count, cap;
    uint32_t caught_up;              /* members whose cursor is at the head and who do not lag */
    uint32_t lagging;                /* members with client->lag; the rest is behind */
    uint32_t choked;                 /* members with client->choked, those that lag included */
    uint32_t round_next, round_left; /* the running round: next member, members still to visit */
    uint64_t stamp;                  /* last record appended */
    uint64_t behind_since;           /* ring position of the first frame that anybody may be behind with */
    uint64_t source_ns;              /* of the oldest state not yet sent to anybody; 0 none */
    uint64_t round_source_ns;        /* of the state whose round is running; 0 none */
    struct framelog log;             /* own_log */
    struct frame_ref *refs;          /* else: ring of ref_cap entries, indices ref_tail … ref_head */
    uint64_t ref_tail, ref_head;
    uint32_t ref_cap;
    struct lane lane; /* lossless */
};

struct audiences {
    struct framelog_budget budget, main_budget;
    struct framelog main_log;
    uint32_t refs_behind; /* audiences with references that somebody still needs: they pin the main log */
    uint32_t hard_bytes;  /* how far back lanes reach */
    struct map by_key;    /* set of topics → audience */
    struct map topics;    /* hash → topic_entry */
    struct list_node dirty;
    uint64_t stamp;
    uint64_t position;                /* of the current record */
    bool never_merged;                /* the current record */
    uint64_t main_offset, main_stamp; /* where record `main_stamp` stands in the main log */
    struct list_node mark;            /* in `dirty` while one of the two is not 0 */
    uint64_t pressure_old, pressure;  /* counted before, since the mark's last turn */
    uint64_t pressure_stamp;          /* the record that was counted last */
    uint64_t appends, promotions, given_up;
};

void audiences_init(struct audiences *all, uint32_t hard_bytes);
/* Another limit, also for audiences that are there: logs and lanes give up what is beyond it with their next frame. */
void audiences_set_hard_bytes(struct audiences *all, uint32_t hard_bytes);
void audiences_fini(struct audiences *all); /* every client has left */

/* --- sets of topics ---------------------------------------------------------------------------------------------- */

/* Moves the client, which is not behind (outbox sees to that first), to the audience of exactly these topics;
 * none: to no audience. One that lags goes on lagging; its lane begins with what comes now. Topics need not be sorted or
 * distinct. On an error (ERR_MEMORY, ERR_TOO_LARGE) the client stays where it was. */
enum err_e audience_join(struct audiences *all, struct client *client, const struct topic *topics,
                         uint32_t count);
void audience_leave(struct audiences *all, struct client *client);

/* The union of the client's topics and `topics`, into `out` (2 * AUDIENCE_TOPICS_MAX entries); returns the count, or
 * UINT32_MAX if it exceeds AUDIENCE_TOPICS_MAX. */
uint32_t audience_union(const struct client *client, const struct topic *topics, uint32_t count,
                        struct topic *out);
/* The client's topics without `topics`, into `out` (AUDIENCE_TOPICS_MAX entries); returns the count. */
uint32_t audience_without(const struct client *client, const struct topic *topics, uint32_t count,
                          struct topic *out);

bool audience_has_topic(const struct audience *audience, uint64_t hash);
/* False if a topic of this hash and another name is known. */
bool audiences_agree(const struct audiences *all, uint64_t hash, const char *name, uint8_t name_len);

/* What becomes of a topic's frames when a client lags, by its name. */
enum audience_class_e {
    AUDIENCE_STATES, /* state/…: only the newest matters, and the mirror has it */
    AUDIENCE_KEPT,   /* result/…, event/…, channel/…: never merged; the history keeps them */
    AUDIENCE_PASSING /* all others: never merged, never kept */
};
enum audience_class_e audience_topic_class(const struct topic *topic);
/* The sorted hashes of the audience's topics that are kept, into `hashes` (topic_count entries); returns the count. */
uint32_t audience_kept_hashes(const struct audience *audience, uint64_t *hashes);

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* Starts a record: appends until the next call belong to it. */
void audiences_begin_record(struct audiences *all, uint64_t position, bool never_merged);
/* Gives the frame to every audience of the topic that has not got it for this record yet. `source_ns`: see
 * struct ring_record. Where memory is short, members are made to lag. */
void audiences_append(struct audiences *all, uint64_t topic_hash, const char *name, uint8_t name_len,
                      const void *frame, uint32_t len, uint64_t source_ns);
/* True if the client's audience got the current record. */
bool audience_got_record(const struct audiences *all, const struct client *client);
/* The tail is far enough ahead of the rounds. */
bool audiences_pressed(const struct audiences *all);
/* The audience that waits longest; NULL: none. */
struct audience *audiences_next_dirty(struct audiences *all);
/* The next rounds visit the audience. */
void audience_wake(struct audiences *all, struct audience *audience);

uint64_t audience_head(const struct audience *audience);
/* True if the log does not hold the client's backlog any more. */
bool audience_lost(const struct audiences *all, const struct client *client);

/* Backlog from the client's cursor up to `to`, as pieces that start and end at frame boundaries. */
int audience_pieces(const struct audiences *all, const struct client *client, uint64_t to,
                    struct iovec *pieces, int max);
/* Moves the cursor over `bytes` (whole frames) that were sent. */
void audience_advance(struct audiences *all, struct client *client, size_t bytes);
/* Moves it over frames that are not for the client, and may be lost: so many bytes of an own log, or references. */
void audience_skip(struct audiences *all, struct client *client, uint32_t places);

/* A member either reads the log or lags (mirror and lane); the log is kept only for those who read it. */
void audience_start_lag(struct audiences *all, struct client *client, struct client_lag *lag);
struct client_lag *audience_end_lag(struct audiences *all,
                                    struct client *client); /* its cursor is the head now */

/* Topic 0 to topic_count - 1, in the order of their hashes. */
const struct topic *audience_topic(const struct audience *audience, uint32_t i);

/* --- the lane ------------------------------------------------------------------------------------------------------ */

/* Number of the first entry that the client has not got; UINT64_MAX: the lane does not reach that far back. */
uint64_t audience_lane_next(const struct client *client);
/* NULL at the head. */
const struct lane_entry *audience_lane_entry(const struct audience *audience, uint64_t number);
/* Bytes of the entries from `number` on. */
uint64_t audience_lane_bytes(const struct audience *audience, uint64_t number);
