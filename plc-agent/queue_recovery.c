/* See queue.h and queue_parts.h (Hop: C5, R1): what a predecessor left behind, as the journal tells it.
 *
 *     RESULT, COMPLETION       remembered by key and request; reported again if the broker may not know them (TOLD)
 *     RESULT of a move alone   the move is watched again; its time runs since it was written
 *     INTENT alone             in doubt: the next reading decides, until the command's deadline
 *     LATCHED, SEGMENT         the latch stays
 *     … `elsewhere`            it went to a PLC at another address: ours is not asked about it, what is open ends as unknown.
 *                              What was answered stands, and so does the latch: it concerns the machine
 *
 * A journal may come late: its disk hung when the agent started, or the predecessor still had it. What this agent has
 * answered by then (without writing anything) stands; what the journal says is merged with it. The records come from a disk:
 * nothing in them may break this process. */
#include "queue_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "must.h"

#define ELSEWHERE_TEXT "the PLC's address has changed"

static struct command_key key_of(const struct journal_record *record)
{
    return (struct command_key){record->worker, record->session, record->serial};
}

static bool same_key(const struct journal_record *a, const struct journal_record *b)
{
    struct command_key key_a = key_of(a), key_b = key_of(b);
    return command_key_equals(&key_a, &key_b);
}

static bool is_position(int64_t argument)
{
    return argument >= 0 && argument <= QUEUE_ARGUMENT_MAX;
}

/* --- reading the journal ----------------------------------------------------------------------------------------- */

static void remember(struct queue *queue, const struct journal_record *record)
{
    uint64_t now = queue_now_ns(queue);
    struct outcome result = note_outcome(record, now);
    if (recent_find(queue->recent, &result.key, now) != NULL)
        return;
    const struct recent_entry *first = recent_find_request(queue->recent, &result, now);
    struct recent_entry before = {.n = 0};
    if (first != NULL)
        before = *first;
    uint64_t noted_ns = record->mono_ns < now ? record->mono_ns : now;
    uint64_t arrived_ns = record->arrived_mono_ns < noted_ns ? record->arrived_mono_ns : noted_ns;
    struct recent_entry *entry = recent_put(queue->recent, &result, 0, arrived_ns, noted_ns);
    entry->n = record->n;
    entry->end = before.end;
    entry->end.n = 0;
}

static void replay_result(struct queue *queue, const struct journal_record *record)
{
    struct recovery *recovery = &queue->recovery;
    remember(queue, record);
    if (record->chain != JOURNAL_COMMANDS || record->repeat)
        return;
    if (recovery->doubt && same_key(&recovery->intent, record))
        recovery->doubt = false;
    bool moves = record->command == COMMAND_MOVE && record->sent && record->code == CODE_NONE;
    if (moves && record->after.known && is_position(record->argument)) {
        recovery->moving = true;
        recovery->move = *record;
    }
}

static void replay_completion(struct queue *queue, const struct journal_record *record)
{
    struct recovery *recovery = &queue->recovery;
    uint64_t now = queue_now_ns(queue);
    struct command_key key = key_of(record);
    struct outcome completion = note_outcome(record, now);
    struct recent_entry *entry = recent_find(queue->recent, &key, now);
    if (entry != NULL) {
        recent_entry_end(entry, &completion);
        entry->end.n = record->n;
    }
    if (recovery->moving && same_key(&recovery->move, record))
        recovery->moving = false;
}

static void replay_intent(struct queue *queue, const struct journal_record *record)
{
    queue->recovery.moving = false;
    queue->recovery.doubt = true;
    queue->recovery.intent = *record;
}

void queue_journal_replay(struct queue *queue, const struct journal_record *record)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    switch (record->event) {
    case JOURNAL_SEGMENT:
        if (record->chain == JOURNAL_COMMANDS)
            queue->recovery.latched = record->latched;
        return;
    case JOURNAL_LATCHED:
    case JOURNAL_REARMED:
        queue->recovery.latched = record->event == JOURNAL_LATCHED;
        return;
    case JOURNAL_INTENT:
        replay_intent(queue, record);
        return;
    case JOURNAL_RESULT:
        replay_result(queue, record);
        return;
    case JOURNAL_COMPLETION:
        replay_completion(queue, record);
        return;
    case JOURNAL_TOLD:
        queue->recovery.told[record->chain] = record->upto;
        return;
    case JOURNAL_NONE:
    case JOURNAL_START:
    case JOURNAL_EVENT_COUNT:
        return;
    }
}

/* --- taking it over ---------------------------------------------------------------------------------------------- */

static uint64_t report(struct queue *queue, struct outcome outcome)
{
    outcome.recovered = true;
    return queue->config.events->report(queue->config.arg, &outcome, 0);
}

/* The move's end was noted, and the agent died before it was noted for this one, who had asked besides. */
static void complete_repeat(struct queue *queue, const struct recent_entry *entry)
{
    struct outcome completion = recent_completion(entry);
    struct evidence evidence = {.arrived_ns = entry->arrived_ns};
    queue_complete(queue, &completion, &evidence, JOURNAL_REFUSALS);
}

static void report_untold(struct queue *queue)
{
    uint64_t results = 0;
    for (size_t i = 0; i < recent_count(queue->recent); i++) {
        struct recent_entry *entry = recent_at(queue->recent, i);
        uint64_t told = queue->recovery.told[entry->result.chain];
        if (queue->config.events->room(queue->config.arg) <= QUEUE_ROOM + 2)
            break; /* the broker was away for long, and its deadlines have answered */
        if (entry->n > told) {
            entry->seq = report(queue, entry->result);
            results++;
        }
        if (entry->end.n > told)
            report(queue, recent_completion(entry));
        else if (entry->n != 0 && entry->end.known && entry->end.n == 0)
            complete_repeat(queue, entry);
    }
    queue->counts.recovered += results;
    log_info("journal-replayed", "remembered=%zu reported=%" PRIu64 " in_doubt=%d moving=%d latched=%d",
             recent_count(queue->recent), results, queue->recovery.doubt, queue->recovery.moving,
             queue->latch.set);
}

/* Who had asked for the move that is under way, and has its result already. */
static void find_watchers(struct queue *queue, const struct outcome *move)
{
    queue->watchers.count = 0;
    for (size_t i = 0; i < recent_count(queue->recent); i++) {
        const struct recent_entry *entry = recent_at(queue->recent, i);
        struct evidence evidence = {.arrived_ns = entry->arrived_ns};
        if (entry->result.repeat && outcome_same_request(&entry->result, move))
            askers_add(&queue->watchers, &entry->result, &evidence);
    }
}

/* This agent may have read the PLC while the journal was being read. */
static void look_at_image(struct queue *queue, uint64_t noted_ns)
{
    const struct image *image = queue->config.image;
    struct driver_answer reading = {
        .result = DRIVER_REPLY,
        .sent = DRIVER_SENT,
        .status = image->now.raw_status,
        .position = image->now.position,
        .readable_ns = image->read_ns,
    };
    if (image->now.has_reading && image->read_ns > noted_ns)
        watch_reading(queue->watch, &reading);
}

/* It went to a PLC that this agent does not read. */
static void end_unwatched(struct queue *queue)
{
    const struct journal_record *record = &queue->recovery.move;
    uint64_t now = queue_now_ns(queue);
    struct outcome completion = note_outcome(record, now);
    queue->mover = note_evidence(record, now);
    find_watchers(queue, &completion);
    completion.kind = OUTCOME_COMPLETION;
    completion.code = CODE_OUTCOME_UNKNOWN;
    snprintf(completion.text, sizeof completion.text, ELSEWHERE_TEXT);
    completion.position = -1;
    completion.source_ns = now;
    completion.elapsed_ms = (now - queue->mover.written_ns) / NS_PER_MS;
    log_warn("move-ended", OUTCOME_KEY " target=%" PRId64 " took_ms=%" PRIu64 " reason=\"%s\"",
             OUTCOME_KEY_ARGS(&completion), completion.argument, completion.elapsed_ms, completion.text);
    queue->counts.recovered++;
    queue_move_ended(queue, &completion, (struct journal_reading){.known = false});
}

static void resume_move(struct queue *queue)
{
    const struct journal_record *record = &queue->recovery.move;
    uint64_t now = queue_now_ns(queue);
    if (!queue->recovery.moving || watch_active(queue->watch))
        return;
    if (record->elsewhere) {
        end_unwatched(queue);
        return;
    }
    if (queue->config.profile == NULL)
        return;
    struct outcome result = note_outcome(record, now);
    struct driver_answer first = {
        .result = DRIVER_REPLY,
        .sent = DRIVER_SENT,
        .status = record->after.raw,
        .position = record->after.position,
        .readable_ns = now,
    };
    queue->mover = note_evidence(record, now);
    find_watchers(queue, &result);
    queue->counts.recovered++;
    watch_start(queue->watch, &result, queue->mover.written_ns, &first);
    look_at_image(queue, record->mono_ns);
}

/* An answer that this agent gave before it could read the journal stands; the journal learns of it. */
static bool is_answered(struct queue *queue, const struct outcome *intent)
{
    const struct recent_entry *entry = recent_find(queue->recent, &intent->key, queue_now_ns(queue));
    if (entry == NULL)
        return false;
    struct evidence evidence = note_evidence(&queue->recovery.intent, queue_now_ns(queue));
    struct journal_record record = note_record(JOURNAL_RESULT, JOURNAL_COMMANDS, &entry->result, &evidence);
    queue_note(queue, &record, JOURNAL_DURABLE);
    return true;
}

static uint64_t deadline_of(const struct evidence *evidence)
{
    int64_t ms =
        evidence->deadline_ms < QUEUE_DEADLINE_MAX_MS ? evidence->deadline_ms : QUEUE_DEADLINE_MAX_MS;
    return evidence->arrived_ns + (ms > 0 ? (uint64_t)ms * NS_PER_MS : 0);
}

static void doubt(struct queue *queue)
{
    const struct journal_record *record = &queue->recovery.intent;
    struct current *current = &queue->current;
    uint64_t now = queue_now_ns(queue);
    struct outcome result = note_outcome(record, now);
    bool has_target = queue_is_move(&result) && is_position(result.argument);
    queue->recovery.doubt = false;
    if (is_answered(queue, &result))
        return;
    queue->stage = STAGE_RECONCILING;
    *current = (struct current){
        .result = result,
        .evidence = note_evidence(record, now),
        .doubt = true,
        .looked = true,
    };
    current->evidence.written_ns = result.source_ns; /* not before its intent was noted */
    current->deadline_ns = deadline_of(&current->evidence);
    current->result.sent = true;
    current->result.source_ns = 0;
    if (record->elsewhere) {
        current->evidence.reconciled = true;
        queue_end(queue, CODE_OUTCOME_UNKNOWN, ELSEWHERE_TEXT);
        return;
    }
    if (!has_target || queue->config.profile == NULL || now >= current->deadline_ns) {
        queue_unknown(queue);
        return;
    }
    loop_timer_start_at(queue->deadline, current->deadline_ns);
    if (poller_idle(queue->config.poller))
        poller_poll_now(queue->config.poller);
}

void queue_recovery_go_on(struct queue *queue)
{
    if (queue->stage == STAGE_NONE && queue->recovery.done && queue->recovery.doubt)
        doubt(queue);
}

void queue_recover(struct queue *queue, uint64_t since_ns)
{
    queue->recovery.done = true;
    recent_cover(queue->recent, since_ns);
    latch_recover(&queue->latch, queue->recovery.latched);
    report_untold(queue);
    resume_move(queue);
    queue_recovery_go_on(queue);
}
