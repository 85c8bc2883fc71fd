/* tail.h — follows the ring and hands every record on (Hop: D8).
 *
 *     ring ─▶ copy + check ─▶ mirror ─▶ audiences of its topics
 *                                  └──▶ the session it goes back to (R3)
 *
 * The tail's position is the worker's "now": mirror and logs hold exactly what stands before it. When records were
 * lost to this worker (lapped, damaged, a new ring) it seeds the mirror from the last-value table and tells the owner,
 * who conflates state subscribers and tells the others about the gap. It seeds it again, which costs clients nothing, when
 * a machine was added or removed, before that frame goes out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "audience.h"
#include "errcode.h"
#include "history.h"
#include "lvt_reader.h"
#include "mirror.h"
#include "outbox.h"
#include "ring_reader.h"

struct tail_events {
    /* A record that names a session of this worker as its origin; its audiences have got the frame already. */
    void (*origin)(void *arg, const struct ring_record *record);
    /* States from position `since` on are owed to everybody who subscribed to them. `why` says if records were lost too
     * (everything but RING_MORE): then everything else is a gap. */
    void (*lost)(void *arg, uint64_t since, enum ring_status_e why);
    /* A message of this worker's stands in the ring: publish_seq of struct record_stream. NULL: nobody asks. */
    void (*published)(void *arg, uint64_t publish_seq);
};

struct tail_counts {
    uint64_t records, states, states_old, lapped, corrupt, reseeded, slots_unreadable, out_of_memory,
        damaged_words, parts, parts_ignored;
};

/* A stream message of several parts whose further ones are awaited: its frame goes to their topics' audiences, too. */
struct tail_message {
    unsigned char *frame;     /* RECORD_MAX bytes */
    struct ring_record first; /* part 0; its frame is that one, its topics are gone */
    uint64_t publish_seq;
    uint32_t next, parts; /* next 0: none is awaited */
};

struct tail {
    struct ring_reader *ring;
    struct lvt_reader *lvt;
    struct mirror *mirror;
    struct history *history;
    struct audiences *audiences;
    struct outbox *outbox;
    uint64_t incarnation; /* this worker's, as in session_id.worker */
    const struct tail_events *events;
    void *arg;
    const char *ring_path, *lvt_path;
    struct tail_counts counts;
    struct tail_message message;
    bool behind_gone; /* the ring was retired: waits for the owner to attach again */
    bool seed_again; /* a slot could not be read: tail_tick() tries again until the broker has put it right */
};

/* Opens ring and table and seeds the mirror; again after a HELLO_OK, where it keeps the ring if the id is the same.
 * `ring_id` is what the broker said. On an error the old state is kept and the call may be repeated. */
enum err_e tail_attach(struct tail *tail, uint32_t ring_id);
void tail_close(struct tail *tail);

/* Handles up to `budget` records, and the rest of a message that the last one began: between its parts nobody may come or
 * go. Stops early where streams are far enough ahead of the rounds (audiences_pressed()), after one record at least. True:
 * there may be more. */
bool tail_drain(struct tail *tail, unsigned budget);
/* Ten times a second or so. True: the table was read again, and clients may be owed what it said. */
bool tail_tick(struct tail *tail);
/* True if the ring holds something that tail_drain() has not handled (for going to sleep). */
bool tail_has_more(const struct tail *tail);
