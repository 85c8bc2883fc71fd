/* See queue.h and latch.h (Hop: C5): emergency stops as readings show them, and COMMAND_REARM. */
#include "queue_parts.h"

#include <inttypes.h>

void queue_latch_reading(struct queue *queue, const struct driver_answer *reading)
{
    if (!latch_reading(&queue->latch, queue->config.profile, reading->status))
        return;
    log_warn("latched", "an emergency stop was seen: moves are refused until a rearm");
    struct journal_record record = {.event = JOURNAL_LATCHED, .chain = JOURNAL_COMMANDS};
    queue_note(queue, &record, JOURNAL_DURABLE);
}

static bool is_stopped(const struct queue *queue)
{
    const struct profile *profile = queue->config.profile;
    return profile != NULL && profile_says(profile, queue->config.image->now.raw_status, MEANING_ESTOP);
}

static void lift(struct queue *queue)
{
    struct current *current = &queue->current;
    if (!latch_lift(&queue->latch))
        return;
    log_warn("rearmed", OUTCOME_KEY " who=\"%s\" peer=\"%s\"", OUTCOME_KEY_ARGS(&current->result),
             current->evidence.who, current->evidence.from);
    struct journal_record record =
        note_record(JOURNAL_REARMED, JOURNAL_COMMANDS, &current->result, &current->evidence);
    current->intent = queue_note(queue, &record, JOURNAL_DURABLE);
}

void queue_rearm(struct queue *queue)
{
    struct current *current = &queue->current;
    const struct image *image = queue->config.image;
    if (!poller_fresh(queue->config.poller) || poller_begun(queue->config.poller) <= current->since) {
        queue_ask_reading(queue);
        return;
    }
    current->evidence.before = note_image(image);
    if (is_stopped(queue)) {
        queue_end(queue, CODE_INTERLOCK, "emergency stop");
        return;
    }
    lift(queue);
    current->result.position = image->now.position;
    queue_end(queue, CODE_NONE, "");
}
