/* queue.h — one command at a time, written at most once, and an honest answer to each (Hop: C5).
 *
 *              by the last reading          intent durable, and a reading       reply
 *     ──▶ ADMITTING ───────────▶ PREPARING ────────────────▶ WRITTEN ────▶ result ──▶ a move is watched ──▶ completion
 *             │ refused              │ refused                  │ reply lost
 *             ▼                      ▼                          ▼        reading tells: the same way
 *           result                 result                  RECONCILING ──▶ else OUTCOME_UNKNOWN
 *                                                               ▲
 *                              a predecessor's intent without a result, out of the journal
 *
 * Admission, in this order: it is new (else it gets its old answer again); it is well-formed (INVALID_COMMAND); its deadline
 * has not passed (TIMEOUT); nothing else is under way or in doubt (BUSY); the last exchange brought a reading over this very
 * connection, if need be one poll is made for it, at once (CONNECTION_ERROR); by that reading nothing forbids it (INTERLOCK:
 * unknown profile, stale state, emergency stop, the latch that one leaves, other conditions) and the machine stands (BUSY); and
 * the command journal is up (INTERNAL_ERROR "the command journal is down: WHY").
 *
 * Then two things at once: its INTENT goes to the disk, durably, and a new poll to the PLC. When both are back, all of that
 * is looked at again, deadline first, by a reading that was begun after admission; then it is written. However long disk or
 * poll took, no byte goes out at or after the deadline (send_by_ns of driver.h). A refusal after the intent gets its RESULT
 * (sent = false) like any other end. Command 0 only reads: no intent, no interlocks, a moving machine does not concern it.
 * COMMAND_REARM writes nothing either: it needs a reading begun after its arrival that shows no emergency stop, and lifts
 * the latch (latch.h); its outcome is a `repeat`, for the asker alone. Every other code is treated as a move, except that
 * only command 1 has a target, and so a completion and a way to be reconciled.
 *
 * Never twice. Only a request of which no byte left this process is written again (same intent), at most three times, each
 * after a new reading. Once a byte is out, only reading follows: RUN, which was 0 before, or standing at the target says
 * that the move was taken; a reading that says neither, or none until the deadline, is OUTCOME_UNKNOWN.
 *
 * Told only when safe. Result and completion are noted in the journal before they are reported, and carry their number: the
 * uplink keeps them back until that is settled. A journal that is down delays nobody: what cannot be noted is told all the same,
 * and noted when the journal is up again (owed.h).
 *
 * Over an agent's death. The journal is replayed (queue_recovery.c): results and completions are remembered, by key and by
 * request, and reported again if the broker may not have them; a move under way is watched again; an INTENT without a RESULT is in doubt: the
 * first good reading decides like after a lost reply (except that standing where it stood on admission proves nothing),
 * until the command's deadline; meanwhile other commands are BUSY. The latch stays.
 *
 * Exactly one result. A command's key is remembered with its answer. When it comes again (its worker did not see the
 * answer before the broker died and asks the next one):
 * - still under way: nothing is done, the answer will come;
 * - answered, not acknowledged: the same OUTCOME with its old number. The broker publishes a number once, so that it
 *   either publishes it now or has done so;
 * - acknowledged: it was in the ring, and a broker that starts reads the ring and lets no command through whose answer
 *   is still there. One that comes through all the same has lost its answer (the ring went round, or is a new one): the
 *   answer goes out under a new number, because the old one counts as published. The completion is not repeated: it
 *   answers no one's question;
 * - unknown as a key, but its request is known: see below;
 * - unknown, and accepted by its worker before memory begins (recent.h; with the journal that reaches back over the agent's
 *   start), or sent again while the journal is down: OUTCOME_UNKNOWN, because a predecessor may have written it. (Command 0
 *   and a rearm are simply carried out: twice does no harm.) Else nobody wrote it: it is carried out.
 *
 * One answer per request. A request is a scope and a request_id (command_scope.h); whoever sends it again, from whatever
 * session, is an asker of the same request and is told the same, as `repeat`: the broker gives that to the asker alone.
 * - The same command and argument: under way, the asker waits with the first one (ASKERS_MAX; more are refused BUSY);
 *   answered, it gets the result now. A move's completion follows it as it follows the first: now if the move has ended,
 *   else when it does (ASKERS_MAX; more get the result alone).
 * - Another command or argument: INVALID_COMMAND, "request_id reused". The request keeps the answer it has.
 * Refusals count as answers, also those before anything was written: BUSY today must not become a move a minute later
 * because a proxy or a worker repeated the request after its caller had been told no, and had gone on to something
 * else. Whoever wants to try anew says so by a new request_id. Rejected: to try a refused request again, which would be
 * as safe for the PLC (nothing was sent) but would give one key two answers. What the *broker* refuses (no agent, none
 * that answers) this agent never saw: such a request is new when it comes.
 *
 * Remembered are the last QUEUE_REMEMBER results that may have moved something, as many others, and none for longer than
 * QUEUE_REMEMBER_NS, requests from their last answer on; the journal brings them back after a restart. Not remembered over
 * a restart is what was refused while the journal was down.
 *
 * The journal is seen only as events (note, and the queue_journal_… calls below), so that a test plays it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ages.h"
#include "askers.h"
#include "image.h"
#include "journal.h"
#include "outcome.h"
#include "poller.h"
#include "wire.h"

#define QUEUE_REMEMBER    JOURNAL_REMEMBER
#define QUEUE_REMEMBER_NS JOURNAL_REMEMBER_NS
#define QUEUE_WHY_MAX     63 /* bytes of the reason why the journal is down */
/* Outcomes, and notes, that must fit before a command is taken: result and completion of what is under way, a watched move's
 * completion, each for all who asked, its own intent, result and completion, the latch twice. */
#define QUEUE_ROOM (3 * (1 + ASKERS_MAX) + 5)

struct queue;

struct queue_events {
    /* Takes an outcome to the broker and returns its number. `earlier` is the number it was reported under before,
     * 0: never. */
    uint64_t (*report)(void *arg, const struct outcome *outcome, uint64_t earlier);
    /* How many outcomes can be reported before acknowledgements are needed, and noted before the disk is needed. */
    size_t (*room)(void *arg);
    /* journal_append(): the number that queue_journal_settled() will name; 0: not noted. */
    uint64_t (*note)(void *arg, const struct journal_record *record, enum journal_safety_e safety);
};

struct queue_config {
    struct loop *loop;
    struct poller *poller;
    const struct image *image;
    const struct profile *profile; /* NULL: read-only */
    uint64_t deadline_ns;          /* where the client names none */
    uint64_t stale_after_ns;
    uint64_t move_timeout_ns;
    bool rearm_manual; /* after an emergency stop: refused until a rearm */
    struct ages *ages; /* of commands; NULL: nobody wants them */
    const struct queue_events *events;
    void *arg;
};

struct queue_counts {
    uint64_t commands, refused, written, repeated;
    uint64_t dropped;    /* no room for their outcomes: the broker's deadline answers */
    uint64_t reconciled; /* no reply, and a later reading told */
    uint64_t recovered;  /* a predecessor's */
    uint64_t unnoted;    /* notes that the journal did not take */
};

enum err_e queue_new(const struct queue_config *config, struct queue **queue); /* ERR_MEMORY */
void queue_free(struct queue **queue);

/* A command from the broker; answered by `report`, now or later. */
void queue_command(struct queue *queue, const struct wire_command *command);
/* To be called from the poller's event of that name, after the image has taken the reading. */
void queue_turn(struct queue *queue, const struct poller_turn *turn);
/* The broker shows this machine by another profile than ours: moves are refused. True until told otherwise. */
void queue_profile_agrees(struct queue *queue, bool agrees);

/* The journal's events (journal.h). First `replay` for what it remembers, then `state`. Until it is up nothing is written.
 * `since_ns`: journal_since_ns(). Not from within `note`. */
void queue_journal_replay(struct queue *queue, const struct journal_record *record);
void queue_journal_state(struct queue *queue, bool up, const char *why, uint64_t since_ns);
void queue_journal_settled(struct queue *queue, uint64_t upto, bool ok);

bool queue_rearm_needed(const struct queue *queue); /* the latch is set */

/* Takes no further commands and refuses one that waits. A written one goes on: see queue_idle(). What a predecessor left in
 * doubt stays in the journal for the next agent. */
void queue_stop(struct queue *queue);
bool queue_rests(
    const struct queue *queue); /* nothing is under way, and no move of which the end is to be told */
bool queue_idle(const struct queue *queue); /* no command of this agent's is written and unanswered */
void queue_give_up(struct queue *queue);    /* answers such a one OUTCOME_UNKNOWN */

const struct queue_counts *queue_counts(const struct queue *queue);
