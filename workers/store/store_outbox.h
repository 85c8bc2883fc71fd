/* store_outbox.h — from committed events to the broker, each into the ring exactly once (Hop: R1).
 *
 *     HELLO_OK ─▶ SOURCE ─▶ EVENT_ACK: the last one in the ring ─▶ EVENT, EVENT, … ─▶ EVENT_ACK each ─▶ noted beside the event
 *     DOWN        ASKING      │ above what this database ever had: an older copy           (a later transaction, or an idle timer)
 *                             └▶ a new source; ASKING again
 *
 * Events go in the order of their numbers; a repeat does no harm, because the broker knows the last number of every source and
 * acknowledges repeats with their true address. So a lost acknowledgement, a killed broker and a killed store have one remedy: send
 * again what is not known to be published.
 *
 * `settled` is false until a broker has answered SOURCE for the first time in this process. Until then nothing may be written: an older copy that
 * took new numbers first would be told from the original no more, and its events would be taken for repeats.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "db.h"
#include "event_window.h"
#include "stats.h"

#define OUTBOX_BUDGET   64u            /* events sent in one go */
#define OUTBOX_AGAIN_NS (2 * NS_PER_S) /* nothing is acknowledged for so long: again */
#define OUTBOX_NOTE_NS                                                                                       \
    (100 * NS_PER_MS) /* no group comes to take the notes along: a transaction of their own */
#define OUTBOX_RETRY_NS (1 * NS_PER_S) /* … after that failed */

enum outbox_state_e { OUTBOX_DOWN, OUTBOX_ASKING, OUTBOX_SENDING };

struct store_outbox {
    struct db *db;
    struct stats *stats;
    const struct clock *clock;
    enum err_e (*send)(void *arg, struct wire_message *message); /* link_send() */
    uint64_t (*new_source)(void *arg);                           /* random, not 0 */
    void *arg;

    enum outbox_state_e state;
    bool settled;
    uint64_t known;       /* no higher number of this source can be in a ring */
    uint64_t progress_ns; /* SOURCE was sent, or the last acknowledgement came, or the first event was sent */
    uint64_t note_due_ns; /* 0: none */
    uint64_t
        inherited; /* events up to this one were made by a process before this one; 0: all of them are noted */
    bool notes_fail; /* the last transaction of notes did */
    struct event_window window;
};

/* The first six members are set; the database is open. */
void store_outbox_init(struct store_outbox *outbox);

void store_outbox_up(struct store_outbox *outbox); /* after HELLO_OK */
void store_outbox_down(struct store_outbox *outbox);
void store_outbox_acked(struct store_outbox *outbox, const struct wire_event_ack *ack);

/* Sends what may be sent; after commits and acknowledgements. True: there is more, and room for it. */
bool store_outbox_pump(struct store_outbox *outbox);

/* True: more events wait to be sent than OUTBOX_BEHIND. Who makes many waits then, so that an event of somebody else has so many before it, and
 * what he makes in one go, at most. */
#define OUTBOX_BEHIND 256u
bool store_outbox_is_behind(const struct store_outbox *outbox);

/* In a transaction: puts the notes into it, and says how many they were; after its commit they are forgotten. */
enum err_e store_outbox_note(struct store_outbox *outbox, unsigned *count);
void store_outbox_noted(struct store_outbox *outbox, unsigned count);

/* True if the database knows the places of the events in the ring, but for those that got there a moment ago. False: after a start, until what
 * a process before this one left unpublished is noted, and while the disk takes no notes; an answer about events in order would be short of some, and
 * not say so. */
bool store_outbox_is_complete(struct store_outbox *outbox);

/* What is due now: notes, repetitions. Call it then, and at store_outbox_due_ns() (UINT64_MAX: nothing is). */
void store_outbox_tick(struct store_outbox *outbox);
uint64_t store_outbox_due_ns(const struct store_outbox *outbox);
