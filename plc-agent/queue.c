/* See queue.h and queue_parts.h (Hop: C5): the queue's life, and which room an event goes to. */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "queue_parts.h"

/* --- events ------------------------------------------------------------------------------------------------------ */

static void on_deadline(void *arg)
{
    struct queue *queue = arg;
    MUST_MAGIC(queue, QUEUE_MAGIC);
    queue_on_deadline(queue);
    queue_recovery_go_on(queue);
}

void queue_turn(struct queue *queue, const struct poller_turn *turn)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    if (turn->answer.result == DRIVER_REPLY) {
        queue_latch_reading(queue, &turn->answer);
        watch_reading(queue->watch, &turn->answer);
    }
    switch (queue->stage) {
    case STAGE_NONE:
        break;
    case STAGE_ADMITTING:
        queue_admit(queue);
        break;
    case STAGE_PREPARING:
        queue_prepare(queue);
        break;
    case STAGE_WRITTEN:
        queue_after_exchange(queue, &turn->answer);
        break;
    case STAGE_RECONCILING:
        queue_after_look(queue, &turn->answer);
        break;
    }
    queue_recovery_go_on(queue);
}

void queue_journal_settled(struct queue *queue, uint64_t upto, bool ok)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    struct current *current = &queue->current;
    owed_settled(&queue->owed, upto, ok);
    if (queue->stage != STAGE_PREPARING || current->settled || current->intent > upto)
        return;
    current->settled = ok;
    if (!ok)
        queue_journal_refuses(queue);
    else if (poller_idle(queue->config.poller))
        queue_prepare(queue);
}

static uint64_t offer(void *arg, const struct journal_record *record)
{
    struct queue *queue = arg;
    return queue->config.events->note(queue->config.arg, record, JOURNAL_DURABLE);
}

void queue_journal_state(struct queue *queue, bool up, const char *why, uint64_t since_ns)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    queue->journal_up = up;
    if (!up) {
        const char *what = strstr(why, ": "); /* after the path, which is no client's business */
        snprintf(queue->journal_why, sizeof queue->journal_why, "%s", what != NULL ? what + 2 : why);
        return;
    }
    if (!queue->recovery.done)
        queue_recover(queue, since_ns);
    owed_offer(&queue->owed, offer, queue);
}

void queue_profile_agrees(struct queue *queue, bool agrees)
{
    queue->profile_agrees = agrees;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

void queue_stop(struct queue *queue)
{
    queue->stopped = true;
    if (queue->stage == STAGE_ADMITTING || queue->stage == STAGE_PREPARING)
        queue_end(queue, CODE_CONNECTION_ERROR, "The agent is stopping");
}

bool queue_rests(const struct queue *queue)
{
    return queue_idle(queue) && !watch_active(queue->watch);
}

bool queue_idle(const struct queue *queue)
{
    return queue->stage == STAGE_NONE || queue->current.doubt;
}

void queue_give_up(struct queue *queue)
{
    if (queue_idle(queue))
        return;
    queue->current.result.sent = true; /* bytes may be out, whether or not the driver has told yet */
    queue_unknown(queue);
}

bool queue_rearm_needed(const struct queue *queue)
{
    return queue->latch.set;
}

const struct queue_counts *queue_counts(const struct queue *queue)
{
    return &queue->counts;
}

enum err_e queue_new(const struct queue_config *config, struct queue **queue)
{
    struct queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ERR_MEMORY;
    q->magic = QUEUE_MAGIC;
    q->config = *config;
    q->profile_agrees = true;
    q->latch.manual = config->rearm_manual;
    snprintf(q->journal_why, sizeof q->journal_why, "not read yet");
    q->deadline = loop_timer_new(config->loop, on_deadline, q);
    enum err_e err = recent_new(QUEUE_REMEMBER, QUEUE_REMEMBER_NS, queue_now_ns(q), &q->recent);
    if (err == ERR_OK)
        err = watch_new(config, queue_move_ended, q, &q->watch);
    if (q->deadline == NULL || err != ERR_OK) {
        queue_free(&q);
        return ERR_MEMORY;
    }
    *queue = q;
    return ERR_OK;
}

void queue_free(struct queue **queue)
{
    struct queue *q = *queue;
    if (q == NULL)
        return;
    MUST_MAGIC(q, QUEUE_MAGIC);
    watch_free(&q->watch);
    recent_free(&q->recent);
    loop_timer_free(&q->deadline);
    q->magic = 0;
    free(q);
    *queue = NULL;
}
