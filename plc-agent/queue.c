/* See queue.h (Hop: C5). The move under way is watch.c's. */
#include "queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "interlock.h"
#include "log.h"
#include "must.h"
#include "recent.h"
#include "watch.h"

#define QUEUE_MAGIC      0x51554555u
#define TRIES_MAX        3
#define DEADLINE_MAX_MS  (24 * 3600 * 1000LL)
#define LOGS_PER_S       10
#define ARGUMENT_MAX     255
#define COMMAND_CODE_MAX 255

enum stage_e { STAGE_NONE, STAGE_WAITING, STAGE_WRITTEN, STAGE_RECONCILING };

struct current {
    struct outcome result; /* whose, and what was asked; the answer when there is one */
    struct askers askers;  /* who else asked for it */
    uint64_t arrived_ns, deadline_ns, written_ns;
    bool asked;  /* WAITING: a poll was begun for it */
    bool looked; /* RECONCILING: a reading was tried */
    unsigned tries;
};

struct queue {
    uint32_t magic;
    struct queue_config config;
    enum stage_e stage;
    struct current current;
    struct loop_timer *deadline;
    struct watch *watch;
    struct askers watchers; /* who else asked for the watched move */
    struct recent *recent;
    bool profile_agrees, stopped;
    struct log_limit drop_log, command_log;
    struct queue_counts counts;
};

static uint64_t now_ns(const struct queue *queue)
{
    return loop_now_ns(queue->config.loop);
}

static bool only_reads(const struct outcome *asked)
{
    return asked->command == COMMAND_STATUS;
}

static bool is_move(const struct outcome *asked)
{
    return asked->command == COMMAND_MOVE;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static struct recent_entry *answer(struct queue *queue, const struct outcome *result, uint64_t arrived_ns)
{
    uint64_t seq = queue->config.events->report(queue->config.arg, result, 0);
    return recent_put(queue->recent, result, seq, arrived_ns, now_ns(queue));
}

static void decide(struct queue *queue, struct outcome *result, uint64_t arrived_ns, enum command_code_e code,
                   const char *text)
{
    uint64_t now = now_ns(queue);
    result->code = code;
    snprintf(result->text, sizeof result->text, "%s", text != NULL ? text : command_code_text(code));
    result->elapsed_ms = (now - arrived_ns) / NS_PER_MS;
    if (result->source_ns == 0)
        result->source_ns = now;
    answer(queue, result, arrived_ns);
}

static void refuse(struct queue *queue, struct outcome *result, enum command_code_e code, const char *text)
{
    queue->counts.refused++;
    decide(queue, result, now_ns(queue), code, text);
}

/* The current command ends here; a refusal means that nothing of it was written. */
static void end(struct queue *queue, enum command_code_e code, const char *text)
{
    struct current *current = &queue->current;
    if (queue->stage == STAGE_WAITING)
        queue->counts.refused++;
    if (code == CODE_OUTCOME_UNKNOWN)
        log_warn("outcome-unknown", "command=%" PRIu64 " argument=%" PRId64, current->result.command,
                 current->result.argument);
    loop_timer_stop(queue->deadline);
    queue->stage = STAGE_NONE;
    decide(queue, &current->result, current->arrived_ns, code, text);
    for (size_t i = 0; i < current->askers.count; i++) {
        const struct asker *asker = &current->askers.of[i];
        struct outcome result = asker_outcome(&current->result, &asker->key, asker->dialect);
        answer(queue, &result, asker->arrived_ns);
    }
}

static void succeed(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    current->result.position = reply->position;
    current->result.source_ns = reply->readable_ns;
    end(queue, CODE_NONE, "");
    if (!is_move(&current->result))
        return;
    queue->watchers = current->askers;
    watch_start(queue->watch, &current->result, current->written_ns, reply);
}

static void on_move_end(void *arg, const struct outcome *completion)
{
    struct queue *queue = arg;
    queue->config.events->report(queue->config.arg, completion, 0);
    recent_end(queue->recent, completion, now_ns(queue));
    for (size_t i = 0; i < queue->watchers.count; i++) {
        const struct asker *asker = &queue->watchers.of[i];
        struct outcome repeat = asker_outcome(completion, &asker->key, asker->dialect);
        queue->config.events->report(queue->config.arg, &repeat, 0);
    }
}

static void unknown(struct queue *queue)
{
    end(queue, CODE_OUTCOME_UNKNOWN, NULL);
}

/* --- WAITING ----------------------------------------------------------------------------------------------------- */

static bool is_stale(const struct queue *queue)
{
    return now_ns(queue) - queue->config.image->read_ns > queue->config.stale_after_ns;
}

/* What the last reading says against it; CODE_NONE: nothing. */
static enum command_code_e forbidden(const struct queue *queue, const char **text)
{
    uint8_t raw = queue->config.image->now.raw_status;
    if (is_stale(queue)) {
        *text = "stale state";
        return CODE_INTERLOCK;
    }
    enum command_code_e code = interlock_admits(queue->config.profile, raw, text);
    return code == CODE_NONE && watch_active(queue->watch) ? CODE_BUSY : code;
}

static void write_command(struct queue *queue)
{
    struct current *current = &queue->current;
    const struct outcome *asked = &current->result;
    struct driver_request request = {
        .command = (uint8_t)asked->command,
        .argument = only_reads(asked) ? DRIVER_NO_ARGUMENT : (int16_t)asked->argument,
        .send_by_ns = current->deadline_ns,
    };
    loop_timer_stop(queue->deadline);
    queue->stage = STAGE_WRITTEN;
    current->written_ns = now_ns(queue);
    poller_command(queue->config.poller, &request);
}

/* One step of a waiting command, whenever the PLC is free. */
static void step(struct queue *queue)
{
    struct current *current = &queue->current;
    bool moves = !only_reads(&current->result);
    const char *text = NULL;
    if (now_ns(queue) >= current->deadline_ns) {
        end(queue, CODE_TIMEOUT, NULL);
    } else if (moves && (queue->config.profile == NULL || !queue->profile_agrees)) {
        end(queue, CODE_INTERLOCK, "unknown profile");
    } else if (!poller_fresh(queue->config.poller)) {
        if (current->asked || !poller_poll_now(queue->config.poller))
            end(queue, CODE_CONNECTION_ERROR, NULL);
        current->asked = true;
    } else {
        enum command_code_e code = moves ? forbidden(queue, &text) : CODE_NONE;
        if (code != CODE_NONE)
            end(queue, code, text);
        else
            write_command(queue);
    }
}

/* --- WRITTEN and RECONCILING ------------------------------------------------------------------------------------- */

static void not_sent(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    queue->stage = STAGE_WAITING; /* nothing was written: what follows is a refusal, or another try */
    if (reply->result == DRIVER_TIMEOUT) {
        end(queue, CODE_TIMEOUT, NULL);
    } else if (++current->tries == TRIES_MAX) {
        end(queue, CODE_CONNECTION_ERROR, NULL);
    } else {
        current->asked = false;
        loop_timer_start_at(queue->deadline, current->deadline_ns);
        step(queue);
    }
}

static void log_written(struct queue *queue, const struct driver_answer *reply)
{
    const struct outcome *asked = &queue->current.result;
    uint32_t suppressed;
    if (!only_reads(asked) &&
        log_limit_ok(&queue->command_log, now_ns(queue), NS_PER_S, LOGS_PER_S, &suppressed))
        log_info("command-written", "command=%" PRIu64 " argument=%" PRId64 " replied=%d suppressed=%u",
                 asked->command, asked->argument, reply->result == DRIVER_REPLY, suppressed);
}

static void after_exchange(struct queue *queue, const struct driver_answer *reply)
{
    struct current *current = &queue->current;
    if (reply->sent == DRIVER_NOT_SENT) {
        not_sent(queue, reply);
        return;
    }
    queue->counts.written++;
    current->result.sent = true;
    log_written(queue, reply);
    if (reply->result == DRIVER_REPLY) {
        succeed(queue, reply);
    } else if (is_move(&current->result) || only_reads(&current->result)) {
        queue->stage = STAGE_RECONCILING; /* the poller tries again at once by itself */
        current->looked = false;
        loop_timer_start_at(queue->deadline, current->deadline_ns);
    } else {
        unknown(queue);
    }
}

static bool was_taken(const struct queue *queue, const struct driver_answer *reply)
{
    const struct outcome *asked = &queue->current.result;
    return only_reads(asked) || reply->position == asked->argument ||
           profile_says(queue->config.profile, reply->status, MEANING_MOVING);
}

static void after_look(struct queue *queue, const struct driver_answer *reply)
{
    queue->current.looked = true;
    if (reply->result == DRIVER_REPLY && was_taken(queue, reply))
        succeed(queue, reply);
    else if (reply->result == DRIVER_REPLY || now_ns(queue) >= queue->current.deadline_ns)
        unknown(queue);
}

static void on_deadline(void *arg)
{
    struct queue *queue = arg;
    MUST_MAGIC(queue, QUEUE_MAGIC);
    if (queue->stage == STAGE_WAITING)
        end(queue, CODE_TIMEOUT, NULL);
    else if (queue->current.looked && poller_idle(queue->config.poller))
        unknown(queue);
}

void queue_turn(struct queue *queue, const struct poller_turn *turn)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    if (turn->answer.result == DRIVER_REPLY)
        watch_reading(queue->watch, &turn->answer);
    switch (queue->stage) {
    case STAGE_NONE:
        return;
    case STAGE_WAITING:
        step(queue);
        return;
    case STAGE_WRITTEN:
        after_exchange(queue, &turn->answer);
        return;
    case STAGE_RECONCILING:
        after_look(queue, &turn->answer);
        return;
    }
}

/* --- arrival ----------------------------------------------------------------------------------------------------- */

static struct outcome result_for(const struct wire_command *command)
{
    struct outcome result = {
        .kind = OUTCOME_RESULT,
        .key = {command->session_worker, command->session_serial, command->command_serial},
        .dialect = command->dialect,
        .command = command->command,
        .argument = command->argument,
        .position = -1,
    };
    wire_text_copy(command->request_id, result.request_id, sizeof result.request_id);
    wire_text_copy(command->scope, result.scope, sizeof result.scope);
    return result;
}

/* True if it was here before: answered now, or to be answered by what is under way. */
static bool is_known(struct queue *queue, const struct command_key *key)
{
    const struct current *current = &queue->current;
    if (queue->stage != STAGE_NONE &&
        (command_key_equals(&current->result.key, key) || askers_have(&current->askers, key))) {
        queue->counts.repeated++;
        return true;
    }
    struct recent_entry *entry = recent_find(queue->recent, key, now_ns(queue));
    if (entry == NULL)
        return false;
    queue->counts.repeated++;
    entry->seq = queue->config.events->report(queue->config.arg, &entry->result, entry->seq);
    return true;
}

/* Refused to this asker; the request keeps the answer that it has, or will have. */
static void refuse_asker(struct queue *queue, struct outcome *asked, enum command_code_e code,
                         const char *text)
{
    asked->scope[0] = '\0';
    refuse(queue, asked, code, text);
}

static void answer_again(struct queue *queue, const struct recent_entry *first, const struct outcome *asked)
{
    struct outcome result = asker_outcome(&first->result, &asked->key, asked->dialect);
    struct recent_entry again = *first; /* which may go when the next comes */
    struct recent_entry *entry = answer(queue, &result, now_ns(queue));
    entry->end = again.end;
    if (entry->end.known) {
        struct outcome completion = recent_completion(entry);
        queue->config.events->report(queue->config.arg, &completion, 0);
    } else if (watch_has(queue->watch, asked)) {
        askers_add(&queue->watchers, asked, now_ns(queue)); /* full: the result alone */
    }
}

static bool same_command(const struct outcome *a, const struct outcome *b)
{
    return a->command == b->command && a->argument == b->argument;
}

/* True if the request is known: answered, to be answered with the first asker, or refused. */
static bool is_repeat(struct queue *queue, struct outcome *asked)
{
    struct current *current = &queue->current;
    bool under_way = queue->stage != STAGE_NONE && outcome_same_request(&current->result, asked);
    const struct recent_entry *first = recent_find_request(queue->recent, asked, now_ns(queue));
    if (!under_way && first == NULL)
        return false;
    queue->counts.repeated++;
    if (!same_command(under_way ? &current->result : &first->result, asked))
        refuse_asker(queue, asked, CODE_INVALID_COMMAND, "request_id reused");
    else if (!under_way)
        answer_again(queue, first, asked);
    else if (!askers_add(&current->askers, asked, now_ns(queue)))
        refuse_asker(queue, asked, CODE_BUSY, "too many ask for this request");
    return true;
}

static bool maybe_a_predecessors(const struct queue *queue, const struct wire_command *command)
{
    uint64_t since_horizon_ns = now_ns(queue) - recent_horizon_ns(queue->recent);
    bool writes = command->command != COMMAND_STATUS;
    return writes && command->resent && command->age_ms >= since_horizon_ns / NS_PER_MS;
}

/* NULL: well-formed. A move without a target is refused, because the PLC would take the next poll for its argument. */
static const char *malformed(const struct wire_command *command)
{
    if (command->command > COMMAND_CODE_MAX)
        return "command is not in 0..255";
    if (command->argument < -1 || command->argument > ARGUMENT_MAX)
        return "argument is not in 0..255";
    if (command->command == COMMAND_MOVE && command->argument == -1)
        return "a move needs a position";
    return NULL;
}

static int64_t left_ms(const struct queue *queue, const struct wire_command *command)
{
    if (command->deadline_ms != -1)
        return command->deadline_ms < DEADLINE_MAX_MS ? command->deadline_ms : DEADLINE_MAX_MS;
    int64_t limit_ms = (int64_t)(queue->config.deadline_ns / NS_PER_MS);
    return command->age_ms < (uint64_t)limit_ms ? limit_ms - (int64_t)command->age_ms : 0;
}

static bool is_busy(const struct queue *queue, const struct outcome *asked)
{
    return queue->stage != STAGE_NONE || (watch_active(queue->watch) && !only_reads(asked));
}

static void begin(struct queue *queue, const struct outcome *result, int64_t left)
{
    uint64_t now = now_ns(queue);
    queue->stage = STAGE_WAITING;
    queue->current = (struct current){
        .result = *result,
        .arrived_ns = now,
        .deadline_ns = now + (uint64_t)left * NS_PER_MS,
    };
    loop_timer_start_at(queue->deadline, queue->current.deadline_ns);
    if (poller_idle(queue->config.poller))
        step(queue);
}

static void drop(struct queue *queue)
{
    uint32_t suppressed;
    queue->counts.dropped++;
    if (log_limit_ok(&queue->drop_log, now_ns(queue), NS_PER_S, 1, &suppressed))
        log_error("outcomes-full", "a command was dropped: the broker acknowledges nothing; suppressed=%u",
                  suppressed);
}

void queue_command(struct queue *queue, const struct wire_command *command)
{
    MUST_MAGIC(queue, QUEUE_MAGIC);
    queue->counts.commands++;
    struct outcome result = result_for(command);
    if (is_known(queue, &result.key))
        return;
    if (queue->config.events->room(queue->config.arg) < QUEUE_ROOM) {
        drop(queue);
        return;
    }
    if (is_repeat(queue, &result))
        return;
    const char *wrong = malformed(command);
    int64_t left = left_ms(queue, command);
    if (maybe_a_predecessors(queue, command)) {
        result.sent = true;
        refuse(queue, &result, CODE_OUTCOME_UNKNOWN, NULL);
    } else if (wrong != NULL) {
        refuse(queue, &result, CODE_INVALID_COMMAND, wrong);
    } else if (queue->stopped) {
        refuse(queue, &result, CODE_CONNECTION_ERROR, "The agent is stopping");
    } else if (left <= 0) {
        refuse(queue, &result, CODE_TIMEOUT, NULL);
    } else if (is_busy(queue, &result)) {
        refuse(queue, &result, CODE_BUSY, NULL);
    } else {
        begin(queue, &result, left);
    }
}

/* --- life -------------------------------------------------------------------------------------------------------- */

void queue_profile_agrees(struct queue *queue, bool agrees)
{
    queue->profile_agrees = agrees;
}

void queue_stop(struct queue *queue)
{
    queue->stopped = true;
    if (queue->stage == STAGE_WAITING)
        end(queue, CODE_CONNECTION_ERROR, "The agent is stopping");
}

bool queue_settled(const struct queue *queue)
{
    return queue->stage == STAGE_NONE;
}

void queue_give_up(struct queue *queue)
{
    if (queue->stage == STAGE_NONE)
        return;
    queue->current.result.sent = true; /* bytes may be out, whether or not the driver has told yet */
    unknown(queue);
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
    q->deadline = loop_timer_new(config->loop, on_deadline, q);
    enum err_e err = recent_new(QUEUE_REMEMBER, QUEUE_REMEMBER_NS, now_ns(q), &q->recent);
    if (err == ERR_OK)
        err = watch_new(config, on_move_end, q, &q->watch);
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
