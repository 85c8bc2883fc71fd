/* queue_parts.h — what the rooms of the queue share; for queue*.c alone (Hop: C5, R1). queue.h is the manual.
 *
 *     queue.c            life, and which room an event goes to
 *     queue_arrival.c    a command comes: known? whose request? in order? free?
 *     queue_stages.c     admitted ─▶ intent and reading ─▶ written ─▶ answered or reconciled
 *     queue_latch.c      emergency stops and rearming
 *     queue_answer.c     results and completions: noted, reported, remembered
 *     queue_recovery.c   what a predecessor left behind
 */
#pragma once

#include "askers.h"
#include "latch.h"
#include "log.h"
#include "note.h"
#include "owed.h"
#include "queue.h"
#include "recent.h"
#include "watch.h"

#define QUEUE_MAGIC           0x51554555u
#define QUEUE_DEADLINE_MAX_MS (24 * 3600 * 1000LL)
#define QUEUE_ARGUMENT_MAX    255

enum stage_e { STAGE_NONE, STAGE_ADMITTING, STAGE_PREPARING, STAGE_WRITTEN, STAGE_RECONCILING };

struct current {
    struct outcome result;    /* whose, and what was asked; the answer when there is one */
    struct evidence evidence; /* written_ns is also the move's beginning */
    struct askers askers;     /* who else asked for it */
    uint64_t deadline_ns;
    uint64_t asked_ns; /* when its client's message was read, by our clock; 0: not known */
    uint64_t since;    /* only a reading of a later exchange counts (poller_begun) */
    uint64_t intent;   /* its number in the journal; 0: none */
    bool settled;      /* the intent is durable */
    bool doubt;        /* a predecessor's: whether it was written is unknown */
    bool looked;       /* RECONCILING: a reading was tried */
    unsigned asks;     /* polls that may still be begun for it */
    unsigned tries;
};

struct recovery {
    bool done;                     /* the journal was replayed */
    bool doubt, moving, latched;   /* what is open so far: */
    struct journal_record intent;  /* … written, perhaps */
    struct journal_record move;    /* … under way */
    uint64_t told[JOURNAL_CHAINS]; /* up to which record the broker knows */
};

struct queue {
    uint32_t magic;
    struct queue_config config;
    enum stage_e stage;
    struct current current;
    struct loop_timer *deadline;
    struct watch *watch;
    struct evidence mover;  /* of the watched move */
    struct askers watchers; /* who else asked for it */
    struct recent *recent;
    struct latch latch;
    struct owed owed;
    struct recovery recovery;
    bool journal_up;
    char journal_why[QUEUE_WHY_MAX + 1];
    bool profile_agrees, stopped;
    struct log_limit drop_log, command_log, unnoted_log;
    struct queue_counts counts;
};

static inline uint64_t queue_now_ns(const struct queue *queue)
{
    return loop_now_ns(queue->config.loop);
}

static inline bool queue_only_reads(const struct outcome *asked)
{
    return asked->command == COMMAND_STATUS;
}

static inline bool queue_rearms(const struct outcome *asked)
{
    return asked->command == COMMAND_REARM;
}

static inline bool queue_is_move(const struct outcome *asked)
{
    return asked->command == COMMAND_MOVE;
}

/* Has an intent, interlocks, and may move something. */
static inline bool queue_writes(const struct outcome *asked)
{
    return !queue_only_reads(asked) && !queue_rearms(asked);
}

/* --- queue_answer.c ---------------------------------------------------------------------------------------------- */

/* Notes the record; its number, or 0. What the next agent must know is kept until it is safe (owed.h). */
uint64_t queue_note(struct queue *queue, const struct journal_record *record, enum journal_safety_e safety);
/* Notes, reports and remembers a result. */
struct recent_entry *queue_answer(struct queue *queue, struct outcome *result,
                                  const struct evidence *evidence, enum journal_chain_e chain);
/* Notes and reports a completion. */
void queue_complete(struct queue *queue, struct outcome *completion, const struct evidence *evidence,
                    enum journal_chain_e chain);
/* A command that does not become the current one; `text` NULL: the code's own. */
void queue_refuse(struct queue *queue, struct outcome *result, const struct evidence *evidence,
                  enum command_code_e code, const char *text);
/* The current command ends here, for all who asked. Before it was written that is a refusal. */
void queue_end(struct queue *queue, enum command_code_e code, const char *text);
/* It was carried out, says this reading; a move is watched from now on. */
void queue_succeed(struct queue *queue, const struct driver_answer *reply);
watch_end_f queue_move_ended;

/* --- queue_stages.c ---------------------------------------------------------------------------------------------- */

/* One step of the current command; the PLC is free. */
void queue_admit(struct queue *queue);
void queue_prepare(struct queue *queue);
void queue_after_exchange(struct queue *queue, const struct driver_answer *reply);
void queue_after_look(struct queue *queue, const struct driver_answer *reply);
void queue_on_deadline(struct queue *queue);
/* Polls for the current command, or ends it: CONNECTION_ERROR. */
void queue_ask_reading(struct queue *queue);
void queue_unknown(struct queue *queue);
void queue_journal_refuses(struct queue *queue);

/* --- queue_latch.c ----------------------------------------------------------------------------------------------- */

void queue_latch_reading(struct queue *queue, const struct driver_answer *reading);
void queue_rearm(struct queue *queue); /* a step of such a command, like queue_admit() */

/* --- queue_recovery.c -------------------------------------------------------------------------------------------- */

void queue_recover(struct queue *queue, uint64_t since_ns);
/* What was in doubt while something else was under way; to be called whenever nothing may be any more. */
void queue_recovery_go_on(struct queue *queue);
