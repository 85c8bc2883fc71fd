/* queue.h — one command at a time, written at most once, and an honest answer to each (Hop: C5).
 *
 *              poll in flight, or                    reply
 *     ──▶ WAITING for a fresh reading ──▶ WRITTEN ─────────────▶ result ──▶ a move is watched ──▶ completion
 *            │ refused                       │ reply lost
 *            ▼                               ▼            reading tells: the same way
 *          result                       RECONCILING ──────────▶ else OUTCOME_UNKNOWN
 *
 * Before a command is written, in this order: it is new (else it gets its old answer again); it is well-formed
 * (INVALID_COMMAND); its deadline has not passed (TIMEOUT); nothing else is under way (BUSY); the last exchange brought
 * a reading over this very connection, if need be one poll is made for it, at once (CONNECTION_ERROR); and by that
 * reading nothing forbids it (INTERLOCK) and the machine stands (BUSY). Command 0 only reads, so that interlocks and a
 * moving machine do not concern it. Every other code is treated as a move, except that only command 1 has a target,
 * and so a completion and a way to be reconciled.
 *
 * Never twice. Only a request of which no byte left this process is written again, at most three times, each after a
 * new reading. Once a byte is out, only reading follows: RUN, which was 0 before, or standing at the target says that
 * the move was taken; a reading that says neither, or none until the deadline, is OUTCOME_UNKNOWN.
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
 * - unknown, and accepted by its worker before this agent's memory begins (recent.h): OUTCOME_UNKNOWN, because a
 *   predecessor may have written it. (Command 0 is simply carried out: reading twice does no harm.)
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
 * QUEUE_REMEMBER_NS, requests from their last answer on. They die with the process until there is a journal (issue 4, behind recent.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "askers.h"
#include "image.h"
#include "outcome.h"
#include "poller.h"
#include "wire.h"

#define QUEUE_REMEMBER    1024
#define QUEUE_REMEMBER_NS (600 * NS_PER_S)
/* Outcomes that must fit before a command is taken: result and completion of what is under way, a watched move's completion,
 * each for all who asked, and its own two. */
#define QUEUE_ROOM (3 * (1 + ASKERS_MAX) + 2)

struct queue;

struct queue_events {
    /* Takes an outcome to the broker and returns its number. `earlier` is the number it was reported under before,
     * 0: never. */
    uint64_t (*report)(void *arg, const struct outcome *outcome, uint64_t earlier);
    /* How many outcomes can be reported before acknowledgements are needed. */
    size_t (*room)(void *arg);
};

struct queue_config {
    struct loop *loop;
    struct poller *poller;
    const struct image *image;
    const struct profile *profile; /* NULL: read-only */
    uint64_t deadline_ns;          /* where the client names none */
    uint64_t stale_after_ns;
    uint64_t move_timeout_ns;
    const struct queue_events *events;
    void *arg;
};

struct queue_counts {
    uint64_t commands, refused, written, repeated;
    uint64_t dropped; /* no room for their outcomes: the broker's deadline answers */
};

enum err_e queue_new(const struct queue_config *config, struct queue **queue); /* ERR_MEMORY */
void queue_free(struct queue **queue);

/* A command from the broker; answered by `report`, now or later. */
void queue_command(struct queue *queue, const struct wire_command *command);
/* To be called from the poller's event of that name, after the image has taken the reading. */
void queue_turn(struct queue *queue, const struct poller_turn *turn);
/* The broker shows this machine by another profile than ours: moves are refused. True until told otherwise. */
void queue_profile_agrees(struct queue *queue, bool agrees);

/* Takes no further commands and refuses one that waits. A written one goes on: see queue_settled(). */
void queue_stop(struct queue *queue);
bool queue_settled(const struct queue *queue); /* no command is written and unanswered */
void queue_give_up(struct queue *queue);       /* answers such a one OUTCOME_UNKNOWN */

const struct queue_counts *queue_counts(const struct queue *queue);
