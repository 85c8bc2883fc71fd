/* See queue.h and queue_parts.h (Hop: C5): a command comes from the broker. What is known is answered as before; what is
 * new becomes the current command, or is refused. */
#include "queue_parts.h"

#include "must.h"

#define COMMAND_CODE_MAX 255

/* A rearm is told to its asker alone, as repeats are. */
static struct outcome result_for(const struct wire_command *command)
{
    struct outcome result = {
        .kind = OUTCOME_RESULT,
        .key = {command->session_worker, command->session_serial, command->command_serial},
        .dialect = command->dialect,
        .command = command->command,
        .argument = command->argument,
        .repeat = command->command == COMMAND_REARM,
        .position = -1,
    };
    wire_text_copy(command->request_id, result.request_id, sizeof result.request_id);
    wire_text_copy(command->scope, result.scope, sizeof result.scope);
    return result;
}

static int64_t left_ms(const struct queue *queue, const struct wire_command *command)
{
    if (command->deadline_ms != -1)
        return command->deadline_ms < QUEUE_DEADLINE_MAX_MS ? command->deadline_ms : QUEUE_DEADLINE_MAX_MS;
    int64_t limit_ms = (int64_t)(queue->config.deadline_ns / NS_PER_MS);
    return command->age_ms < (uint64_t)limit_ms ? limit_ms - (int64_t)command->age_ms : 0;
}

static struct evidence evidence_for(const struct queue *queue, const struct wire_command *command)
{
    struct evidence evidence = {
        .arrived_ns = queue_now_ns(queue),
        .arrived_wall_ms = clock_wall_ms(loop_clock(queue->config.loop)),
        .deadline_ms = left_ms(queue, command),
        .before = note_image(queue->config.image),
    };
    wire_text_copy(command->who, evidence.who, sizeof evidence.who);
    wire_text_copy(command->from, evidence.from, sizeof evidence.from);
    return evidence;
}

/* --- known? ------------------------------------------------------------------------------------------------------ */

/* True if it was here before: answered now, or to be answered by what is under way. */
static bool is_known(struct queue *queue, const struct command_key *key)
{
    const struct current *current = &queue->current;
    if (queue->stage != STAGE_NONE &&
        (command_key_equals(&current->result.key, key) || askers_have(&current->askers, key))) {
        queue->counts.repeated++;
        return true;
    }
    struct recent_entry *entry = recent_find(queue->recent, key, queue_now_ns(queue));
    if (entry == NULL)
        return false;
    queue->counts.repeated++;
    entry->seq = queue->config.events->report(queue->config.arg, &entry->result, entry->seq);
    return true;
}

/* Refused to this asker; the request keeps the answer that it has, or will have. */
static void refuse_asker(struct queue *queue, struct outcome *asked, const struct evidence *evidence,
                         enum command_code_e code, const char *text)
{
    asked->scope[0] = '\0';
    queue_refuse(queue, asked, evidence, code, text);
}

/* The result as the first was told it, and the completion: now if there is one, else when it comes. */
static void answer_again(struct queue *queue, const struct recent_entry *first, const struct outcome *asked,
                         const struct evidence *evidence)
{
    struct outcome result = asker_outcome(&first->result, &asked->key, asked->dialect);
    struct recent_entry again = *first; /* which may go when the next comes */
    struct recent_entry *entry = queue_answer(queue, &result, evidence, JOURNAL_REFUSALS);
    entry->end = again.end;
    entry->end.n = 0;
    if (entry->end.known) {
        struct outcome completion = recent_completion(entry);
        queue_complete(queue, &completion, evidence, JOURNAL_REFUSALS);
    } else if (watch_has(queue->watch, asked)) {
        askers_add(&queue->watchers, asked, evidence); /* full: the result alone */
    }
}

static bool same_command(const struct outcome *a, const struct outcome *b)
{
    return a->command == b->command && a->argument == b->argument;
}

/* True if the request is known: answered, to be answered with the first asker, or refused. */
static bool is_repeat(struct queue *queue, struct outcome *asked, const struct evidence *evidence)
{
    struct current *current = &queue->current;
    bool under_way = queue->stage != STAGE_NONE && outcome_same_request(&current->result, asked);
    const struct recent_entry *first = recent_find_request(queue->recent, asked, queue_now_ns(queue));
    if (!under_way && first == NULL)
        return false;
    queue->counts.repeated++;
    if (!same_command(under_way ? &current->result : &first->result, asked))
        refuse_asker(queue, asked, evidence, CODE_INVALID_COMMAND, "request_id reused");
    else if (!under_way)
        answer_again(queue, first, asked, evidence);
    else if (!askers_add(&current->askers, asked, evidence))
        refuse_asker(queue, asked, evidence, CODE_BUSY, "too many ask for this request");
    return true;
}

/* Sent before, and nothing is known of it: can it have been written? What the journal remembers would tell. Without the
 * journal, another agent may have had it a moment ago. */
static bool maybe_written(const struct queue *queue, const struct outcome *asked,
                          const struct wire_command *command)
{
    uint64_t since_horizon_ns = queue_now_ns(queue) - recent_horizon_ns(queue->recent);
    bool forgotten = !queue->journal_up || command->age_ms >= since_horizon_ns / NS_PER_MS;
    return queue_writes(asked) && command->resent && forgotten;
}

/* --- in order, and free? ----------------------------------------------------------------------------------------- */

/* NULL: well-formed. A move without a target is refused, because the PLC would take the next poll for its argument. */
static const char *malformed(const struct wire_command *command)
{
    if (command->command > COMMAND_CODE_MAX && command->command != COMMAND_REARM)
        return "command is not in 0..255";
    if (command->argument < -1 || command->argument > QUEUE_ARGUMENT_MAX)
        return "argument is not in 0..255";
    if (command->command == COMMAND_MOVE && command->argument == -1)
        return "a move needs a position";
    if (command->command == COMMAND_REARM && command->argument != -1)
        return "a rearm has no argument";
    return NULL;
}

static bool is_busy(const struct queue *queue, const struct outcome *asked)
{
    bool doubt = queue->recovery.done && queue->recovery.doubt;
    return queue->stage != STAGE_NONE || doubt || (watch_active(queue->watch) && queue_writes(asked));
}

static void begin(struct queue *queue, const struct outcome *result, const struct evidence *evidence,
                  uint64_t asked_ns)
{
    queue->stage = STAGE_ADMITTING;
    queue->current = (struct current){
        .result = *result,
        .evidence = *evidence,
        .deadline_ns = evidence->arrived_ns + (uint64_t)evidence->deadline_ms * NS_PER_MS,
        .asked_ns = asked_ns,
        .since = poller_begun(queue->config.poller),
        .asks = 1,
    };
    if (queue->config.ages != NULL)
        ages_observe_since(queue->config.ages, AGE_HOP_C5, asked_ns, evidence->arrived_ns);
    loop_timer_start_at(queue->deadline, queue->current.deadline_ns);
    if (poller_idle(queue->config.poller))
        queue_admit(queue);
}

static void drop(struct queue *queue)
{
    uint32_t suppressed;
    queue->counts.dropped++;
    if (log_limit_ok(&queue->drop_log, queue_now_ns(queue), NS_PER_S, 1, &suppressed))
        log_error("outcomes-full", "suppressed=%u a command was dropped: broker or disk are too far behind",
                  suppressed);
}

void queue_command(struct queue *queue, const struct wire_command *command)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    queue->counts.commands++;
    struct outcome result = result_for(command);
    struct evidence evidence = evidence_for(queue, command);
    if (is_known(queue, &result.key))
        return;
    if (queue->config.events->room(queue->config.arg) < QUEUE_ROOM) {
        drop(queue);
        return;
    }
    if (is_repeat(queue, &result, &evidence))
        return;
    const char *wrong = malformed(command);
    if (maybe_written(queue, &result, command)) {
        result.sent = true;
        queue_refuse(queue, &result, &evidence, CODE_OUTCOME_UNKNOWN, NULL);
    } else if (wrong != NULL) {
        queue_refuse(queue, &result, &evidence, CODE_INVALID_COMMAND, wrong);
    } else if (queue->stopped) {
        queue_refuse(queue, &result, &evidence, CODE_CONNECTION_ERROR, "The agent is stopping");
    } else if (evidence.deadline_ms <= 0) {
        queue_refuse(queue, &result, &evidence, CODE_TIMEOUT, NULL);
    } else if (is_busy(queue, &result)) {
        queue_refuse(queue, &result, &evidence, CODE_BUSY, NULL);
    } else {
        begin(queue, &result, &evidence, command->source_ns);
    }
}
