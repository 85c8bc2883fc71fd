/* See queue.h and queue_parts.h (Hop: C5): the current command, step by step. Each step runs when the PLC is free, or when the
 * journal has settled its intent; it either waits, or asks for a reading, or ends the command, or writes it. */
#include "queue_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "fault_point.h"
#include "interlock.h"

#define TRIES_MAX    3
#define PREPARE_ASKS 2 /* the connection may have ended since the last poll */
#define LOGS_PER_S   10

void queue_unknown(struct queue *queue)
{
    queue->current.evidence.reconciled = true;
    queue_end(queue, CODE_OUTCOME_UNKNOWN, NULL);
}

void queue_journal_refuses(struct queue *queue)
{
    char text[OUTCOME_TEXT_MAX + 1];
    snprintf(text, sizeof text, "the command journal is down: %.*s", (int)(sizeof text - 31),
             queue->journal_why);
    queue_end(queue, CODE_INTERNAL_ERROR, text);
}

void queue_ask_reading(struct queue *queue)
{
    struct current *current = &queue->current;
    if (current->asks == 0 || !poller_poll_now(queue->config.poller))
        queue_end(queue, CODE_CONNECTION_ERROR, NULL);
    else
        current->asks--;
}

/* --- may it be written? ------------------------------------------------------------------------------------------ */

static bool is_stale(const struct queue *queue)
{
    return queue_now_ns(queue) - queue->config.image->read_ns > queue->config.stale_after_ns;
}

/* What is known against it; CODE_NONE: nothing. An emergency stop is named before the latch that it leaves, and the latch
 * before all else. */
static enum command_code_e forbidden(const struct queue *queue, const char **text)
{
    const struct profile *profile = queue->profile_agrees ? queue->config.profile : NULL;
    uint8_t raw = queue->config.image->now.raw_status;
    *text = "stale state";
    if (profile != NULL && is_stale(queue))
        return CODE_INTERLOCK;
    *text = LATCH_TEXT;
    if (profile != NULL && queue->latch.set && !profile_says(profile, raw, MEANING_ESTOP))
        return CODE_INTERLOCK;
    enum command_code_e code = interlock_admits(profile, raw, text);
    return code == CODE_NONE && watch_active(queue->watch) ? CODE_BUSY : code;
}

static void write_command(struct queue *queue)
{
    struct current *current = &queue->current;
    const struct outcome *asked = &current->result;
    bool reads = queue_only_reads(asked);
    struct driver_request request = {
        .command = (uint8_t)asked->command,
        .argument = reads ? DRIVER_NO_ARGUMENT : (int16_t)asked->argument,
        .send_by_ns = current->deadline_ns,
    };
    current->evidence.before = note_image(queue->config.image);
    if (!reads)
        FAULT_POINT(AGENT_WRITING);
    loop_timer_stop(queue->deadline);
    queue->stage = STAGE_WRITTEN;
    current->evidence.written_ns = queue_now_ns(queue);
    poller_command(queue->config.poller, &request);
}

/* --- ADMITTING --------------------------------------------------------------------------------------------------- */

/* Both at once: the intent goes to the disk, and the PLC is asked how things stand. */
static void note_intent(struct queue *queue)
{
    struct current *current = &queue->current;
    current->evidence.before = note_image(queue->config.image);
    if (!queue->journal_up) {
        queue_journal_refuses(queue);
        return;
    }
    FAULT_POINT(AGENT_JOURNAL_QUEUED);
    struct journal_record record =
        note_record(JOURNAL_INTENT, JOURNAL_COMMANDS, &current->result, &current->evidence);
    current->intent = queue_note(queue, &record, JOURNAL_DURABLE);
    if (current->intent == 0) {
        queue_journal_refuses(queue);
        return;
    }
    queue->stage = STAGE_PREPARING;
    current->since = poller_begun(queue->config.poller);
    current->asks = PREPARE_ASKS;
    queue_ask_reading(queue);
}

void queue_admit(struct queue *queue)
{
    const struct outcome *asked = &queue->current.result;
    bool writes = queue_writes(asked);
    const char *text = NULL;
    if (queue_now_ns(queue) >= queue->current.deadline_ns) {
        queue_end(queue, CODE_TIMEOUT, NULL);
    } else if (queue_rearms(asked)) {
        queue_rearm(queue);
    } else if (writes && (queue->config.profile == NULL || !queue->profile_agrees)) {
        queue_end(queue, CODE_INTERLOCK, "unknown profile");
    } else if (!poller_fresh(queue->config.poller)) {
        queue_ask_reading(queue);
    } else if (!writes) {
        write_command(queue);
    } else {
        enum command_code_e code = forbidden(queue, &text);
        if (code != CODE_NONE)
            queue_end(queue, code, text);
        else
            note_intent(queue);
    }
}

/* --- PREPARING --------------------------------------------------------------------------------------------------- */

/* Everything that admitted it is looked at again, by a reading that was begun after it was admitted. */
void queue_prepare(struct queue *queue)
{
    struct current *current = &queue->current;
    const char *text = NULL;
    if (queue_now_ns(queue) >= current->deadline_ns) {
        queue_end(queue, CODE_TIMEOUT, NULL);
    } else if (!poller_fresh(queue->config.poller) || poller_begun(queue->config.poller) <= current->since) {
        queue_ask_reading(queue);
    } else if (current->settled) {
        enum command_code_e code = forbidden(queue, &text);
        if (code != CODE_NONE)
            queue_end(queue, code, text);
        else if (!queue->journal_up)
            queue_journal_refuses(queue);
        else
            write_command(queue);
    }
}

/* --- WRITTEN and RECONCILING ------------------------------------------------------------------------------------- */

static void not_sent(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    bool writes = queue_writes(&current->result);
    /* Nothing was written: a refusal follows, or another try. */
    queue->stage = writes ? STAGE_PREPARING : STAGE_ADMITTING;
    current->evidence.written_ns = 0;
    if (reply->result == DRIVER_TIMEOUT) {
        queue_end(queue, CODE_TIMEOUT, NULL);
    } else if (++current->tries == TRIES_MAX) {
        queue_end(queue, CODE_CONNECTION_ERROR, NULL);
    } else {
        current->since = poller_begun(queue->config.poller);
        current->asks = writes ? PREPARE_ASKS : 1;
        loop_timer_start_at(queue->deadline, current->deadline_ns);
        if (writes)
            queue_prepare(queue);
        else
            queue_admit(queue);
    }
}

static void log_written(struct queue *queue, const struct driver_answer *reply)
{
    const struct outcome *asked = &queue->current.result;
    uint32_t suppressed;
    if (queue_writes(asked) &&
        log_limit_ok(&queue->command_log, queue_now_ns(queue), NS_PER_S, LOGS_PER_S, &suppressed))
        log_info("command-written",
                 OUTCOME_KEY " code=%" PRIu64 " argument=%" PRId64 " replied=%d suppressed=%u",
                 OUTCOME_KEY_ARGS(asked), asked->command, asked->argument, reply->result == DRIVER_REPLY,
                 suppressed);
}

void queue_after_exchange(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    if (reply->sent == DRIVER_NOT_SENT) {
        not_sent(queue, reply);
        return;
    }
    queue->counts.written++;
    if (queue->config.ages != NULL)
        ages_observe_since(queue->config.ages, AGE_HOP_C6, current->asked_ns,
                           reply->readable_ns - reply->took_ns);
    current->result.sent = true;
    log_written(queue, reply);
    if (reply->result == DRIVER_REPLY) {
        if (queue_writes(&current->result))
            FAULT_POINT(AGENT_REPLIED);
        queue_succeed(queue, reply);
    } else if (queue_is_move(&current->result) || queue_only_reads(&current->result)) {
        queue->stage = STAGE_RECONCILING; /* the poller tries again at once by itself */
        current->looked = false;
        loop_timer_start_at(queue->deadline, current->deadline_ns);
    } else {
        queue_unknown(queue);
    }
}

/* Of what a predecessor meant to write it is not even known that a byte went out: to stand where it stood on admission
 * proves nothing. */
static bool was_taken(const struct queue *queue, const struct driver_answer *reply)
{
    const struct current *current = &queue->current;
    const struct outcome *asked = &current->result;
    const struct journal_reading *before = &current->evidence.before;
    if (queue_only_reads(asked) || profile_says(queue->config.profile, reply->status, MEANING_MOVING))
        return true;
    bool stood_there = before->known && before->position == asked->argument;
    return reply->position == asked->argument && !(current->doubt && stood_there);
}

void queue_after_look(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    bool read = reply->result == DRIVER_REPLY;
    current->looked = true;
    if (read)
        current->evidence.after = note_reply(reply);
    if (read && was_taken(queue, reply)) {
        queue->counts.reconciled++;
        current->evidence.reconciled = true;
        queue_succeed(queue, reply);
    } else if (read || queue_now_ns(queue) >= current->deadline_ns) {
        queue_unknown(queue);
    }
}

void queue_on_deadline(struct queue *queue)
{
    if (queue->stage == STAGE_ADMITTING || queue->stage == STAGE_PREPARING)
        queue_end(queue, CODE_TIMEOUT, NULL);
    else if (queue->current.looked && poller_idle(queue->config.poller))
        queue_unknown(queue);
}
