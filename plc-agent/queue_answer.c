/* See queue.h and queue_parts.h (Hop: C5, R1): results and completions are noted, reported and remembered here.
 *
 * Noted comes first: an outcome carries its number in the journal, and leaves for the broker when that is settled. A note
 * that the journal does not take delays nothing: the outcome is told, and the note owed. */
#include "queue_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "fault_point.h"

static void log_unnoted(struct queue *queue)
{
    uint32_t suppressed;
    queue->counts.unnoted++;
    if (log_limit_ok(&queue->unnoted_log, queue_now_ns(queue), 10 * NS_PER_S, 1, &suppressed))
        log_warn("not-noted", "error=\"%s\" suppressed=%u the journal is down: clients are told all the same",
                 queue->journal_why, suppressed);
}

uint64_t queue_note(struct queue *queue, const struct journal_record *record, enum journal_safety_e safety)
{
    uint64_t number = queue->config.events->note(queue->config.arg, record, safety);
    if (number == 0)
        log_unnoted(queue);
    if (record->chain == JOURNAL_COMMANDS && record->event != JOURNAL_INTENT)
        owed_add(&queue->owed, number, record);
    return number;
}

/* Also a refusal after the intent: without it, a power cut would put into doubt what was refused. */
static enum journal_safety_e safety_of(enum journal_chain_e chain)
{
    return chain == JOURNAL_COMMANDS ? JOURNAL_DURABLE : JOURNAL_WRITTEN;
}

struct recent_entry *queue_answer(struct queue *queue, struct outcome *result,
                                  const struct evidence *evidence, enum journal_chain_e chain)
{
    struct journal_record record = note_record(JOURNAL_RESULT, chain, result, evidence);
    result->chain = chain;
    result->noted = queue_note(queue, &record, safety_of(chain));
    FAULT_POINT(AGENT_RESULT_QUEUED);
    uint64_t seq = queue->config.events->report(queue->config.arg, result, 0);
    return recent_put(queue->recent, result, seq, evidence->arrived_ns, queue_now_ns(queue));
}

static void decide(struct queue *queue, struct outcome *result, const struct evidence *evidence,
                   enum journal_chain_e chain, enum command_code_e code, const char *text)
{
    uint64_t now = queue_now_ns(queue);
    result->code = code;
    snprintf(result->text, sizeof result->text, "%s", text != NULL ? text : command_code_text(code));
    result->elapsed_ms = (now - evidence->arrived_ns) / NS_PER_MS;
    if (result->source_ns == 0)
        result->source_ns = now;
    queue_answer(queue, result, evidence, chain);
}

void queue_refuse(struct queue *queue, struct outcome *result, const struct evidence *evidence,
                  enum command_code_e code, const char *text)
{
    queue->counts.refused++;
    decide(queue, result, evidence, JOURNAL_REFUSALS, code, text);
}

static void answer_askers(struct queue *queue)
{
    const struct current *current = &queue->current;
    for (size_t i = 0; i < current->askers.count; i++) {
        const struct asker *asker = &current->askers.of[i];
        struct outcome result = asker_outcome(&current->result, &asker->key, asker->dialect);
        queue_answer(queue, &result, &asker->evidence, JOURNAL_REFUSALS);
    }
}

void queue_end(struct queue *queue, enum command_code_e code, const char *text)
{
    struct current *current = &queue->current;
    bool before = queue->stage == STAGE_ADMITTING || queue->stage == STAGE_PREPARING;
    bool intent = current->intent != 0 || current->doubt;
    if (before && code != CODE_NONE)
        queue->counts.refused++;
    if (code == CODE_OUTCOME_UNKNOWN)
        log_warn("outcome-unknown", OUTCOME_KEY " code=%" PRIu64 " argument=%" PRId64,
                 OUTCOME_KEY_ARGS(&current->result), current->result.command, current->result.argument);
    queue->counts.recovered += current->doubt;
    loop_timer_stop(queue->deadline);
    queue->stage = STAGE_NONE;
    decide(queue, &current->result, &current->evidence, intent ? JOURNAL_COMMANDS : JOURNAL_REFUSALS, code,
           text);
    answer_askers(queue);
}

void queue_succeed(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    current->result.position = reply->position;
    current->result.source_ns = reply->readable_ns;
    current->evidence.after = note_reply(reply);
    queue_end(queue, CODE_NONE, "");
    if (!queue_is_move(&current->result) ||
        watch_active(queue->watch)) /* both: out of a journal gone wrong */
        return;
    queue->watchers = current->askers;
    queue->mover = current->evidence;
    watch_start(queue->watch, &current->result, current->evidence.written_ns, reply);
}

void queue_complete(struct queue *queue, struct outcome *completion, const struct evidence *evidence,
                    enum journal_chain_e chain)
{
    struct journal_record record = note_record(JOURNAL_COMPLETION, chain, completion, evidence);
    completion->chain = chain;
    completion->noted = queue_note(queue, &record, safety_of(chain));
    queue->config.events->report(queue->config.arg, completion, 0);
}

void queue_move_ended(void *arg, const struct outcome *ended, struct journal_reading reading)
{
    struct queue *queue = arg;
    struct outcome completion = *ended;
    FAULT_POINT(AGENT_COMPLETED);
    queue->mover.after = reading;
    queue_complete(queue, &completion, &queue->mover, JOURNAL_COMMANDS);
    recent_end(queue->recent, &completion, queue_now_ns(queue));
    for (size_t i = 0; i < queue->watchers.count; i++) {
        struct asker *asker = &queue->watchers.of[i];
        struct outcome repeat = asker_outcome(&completion, &asker->key, asker->dialect);
        asker->evidence.after = reading;
        queue_complete(queue, &repeat, &asker->evidence, JOURNAL_REFUSALS);
    }
}
