/* Hop: R2. See the table in outcomes.h. */
#include "outcomes.h"

#include "fault_point.h"

struct outcome {
    const struct wire_outcome *wire;
    const struct machine *machine;
    const struct peer *tool; /* it asked; NULL: a worker's session did */
    struct command_fate fate;
    bool late;         /* the caller has had its answer, from a broker */
    uint64_t asked_ns; /* a RESULT: when its client's message was read; 0: not known any more */
    char request_id[REQUEST_ID_MAX + 1], text[256];
};

static struct command_key outcome_key(const struct wire_outcome *wire)
{
    return (struct command_key){wire->session_worker, wire->session_serial, wire->command_serial};
}

/* What is for the caller alone is not in the ring if the caller is a tool. */
static enum err_e put(struct broker *broker, const struct outcome *outcome, enum fate_kind_e kind,
                      enum record_origin_e origin_mode)
{
    const struct wire_outcome *wire = outcome->wire;
    if (outcome->tool != NULL && origin_mode == ORIGIN_ONLY)
        return ERR_OK;
    struct fate_record record = {.kind = kind,
                                 .origin_mode = origin_mode,
                                 .origin = {wire->session_worker, wire->session_serial},
                                 .dialect = wire->dialect,
                                 .machine = outcome->machine,
                                 .command_serial = wire->command_serial,
                                 .agent_gen = wire->agent_gen,
                                 .outcome_seq = wire->outcome_seq,
                                 .source_ns = wire->source_ns};
    return publish_fate(&broker->publisher, &record, &outcome->fate);
}

/* Nobody but the caller is to know: whoever asks again is told again, and a rearm moves nothing. */
static bool is_private(const struct wire_outcome *wire)
{
    return wire->repeat || wire->command == COMMAND_REARM;
}

static enum err_e put_success(struct broker *broker, const struct outcome *outcome)
{
    if (is_private(outcome->wire))
        return outcome->late ? ERR_OK : put(broker, outcome, FATE_RESULT, ORIGIN_ONLY);
    broker_count(broker, BROKER_OUTCOMES_RESULTS);
    return put(broker, outcome, FATE_RESULT, outcome->late ? ORIGIN_NOT : ORIGIN_ALSO);
}

static enum err_e put_failure(struct broker *broker, const struct outcome *outcome)
{
    enum err_e err = ERR_OK;
    if (!outcome->late) {
        broker_count(broker, BROKER_REFUSALS_NONE + (unsigned)outcome->fate.code);
        err = put(broker, outcome, FATE_REFUSAL, ORIGIN_ONLY);
    }
    if (err == ERR_OK && outcome->wire->sent && !is_private(outcome->wire)) {
        broker_count(broker, BROKER_OUTCOMES_RESULTS);
        err = put(broker, outcome, FATE_RESULT, ORIGIN_NOT);
    }
    return err;
}

static enum err_e put_completion(struct broker *broker, const struct outcome *outcome)
{
    if (outcome->wire->repeat)
        return put(broker, outcome, FATE_COMPLETION, ORIGIN_ONLY);
    broker_count(broker, BROKER_OUTCOMES_COMPLETIONS);
    return put(broker, outcome, FATE_COMPLETION, ORIGIN_ALSO);
}

/* Has this been made public before, under whatever number and by whichever process of the machine's agent? Else *late tells
 * whether the caller has its answer. */
static bool published_before(struct broker *broker, struct outcome *outcome)
{
    struct command_key key = outcome_key(outcome->wire);
    const struct command_entry *entry = command_table_find(&broker->commands, &key);
    bool completion = outcome->wire->kind == OUTCOME_COMPLETION;
    if (entry == NULL) {
        broker_count(broker, BROKER_OUTCOMES_UNASKED);
        return false;
    }
    outcome->late = !completion && entry->state == COMMAND_ANSWERED;
    outcome->asked_ns = !completion && entry->ask != NULL ? entry->ask->source_ns : 0;
    return completion ? entry->completed : entry->agent_told;
}

static enum err_e put_all(struct broker *broker, const struct outcome *outcome)
{
    if (outcome->wire->kind == OUTCOME_COMPLETION)
        return put_completion(broker, outcome);
    if (outcome->late)
        broker_count(broker, BROKER_OUTCOMES_LATE);
    return outcome->fate.code == CODE_NONE ? put_success(broker, outcome) : put_failure(broker, outcome);
}

/* Has it a record that would be seen twice if it were said twice (command_table.h)? */
static bool went_public(const struct wire_outcome *wire)
{
    bool shown = wire->code == CODE_NONE || wire->sent;
    return wire->kind == OUTCOME_COMPLETION || (shown && !is_private(wire));
}

/* A command is out of the live ones with its RESULT. A COMPLETION follows one: an agent reports in order, so that it tells of an
 * unknown key that the result is public, too; but a key that is live waits for the answer that it was handed over for. */
static void note(struct broker *broker, const struct wire_outcome *wire)
{
    struct command_key key = outcome_key(wire);
    bool completion = wire->kind == OUTCOME_COMPLETION;
    struct command_entry *entry = command_table_find(&broker->commands, &key);
    bool live = entry != NULL && entry->state != COMMAND_ANSWERED;
    if (completion && live) {
        entry->completed = true;
        return;
    }
    entry = command_table_note_answered(&broker->commands, &key, went_public(wire));
    if (entry == NULL)
        return;
    entry->completed |= completion;
    entry->agent_told = true;
}

static enum err_e publish(struct broker *broker, struct outcome *outcome)
{
    if (published_before(broker, outcome)) {
        broker_count(broker, BROKER_OUTCOMES_REPEATED);
        return ERR_OK;
    }
    if (outcome->wire->repeat)
        broker_count(broker, BROKER_OUTCOMES_FOR_ONE);
    enum err_e err = put_all(broker, outcome);
    FAULT_POINT(BROKER_OUTCOME_APPENDED);
    publish_flush(&broker->publisher);
    if (err != ERR_OK)
        return err;
    note(broker, outcome->wire);
    broker_observe_age(broker, BROKER_HOP_R2, outcome->asked_ns);
    return ERR_OK;
}

/* --- tools -------------------------------------------------------------------------------------------------------- */

void outcomes_tell_tool(struct broker *broker, const struct peer *tool, const struct wire_outcome *outcome)
{
    struct wire_message message = {.type = WIRE_OUTCOME, .outcome = *outcome};
    if (broker_send(broker, &tool->identity, &message) == ERR_OK)
        broker_count(broker, BROKER_OUTCOMES_TO_TOOLS);
}

/* --- from an agent ------------------------------------------------------------------------------------------------ */

static bool is_command(const struct wire_outcome *wire)
{
    if (wire->command == COMMAND_REARM) /* and it is done at once: no completion follows */
        return wire->argument == -1 && wire->kind == OUTCOME_RESULT;
    return wire->command <= UINT8_MAX && wire->argument >= -1 && wire->argument <= UINT8_MAX;
}

static bool sane(const struct wire_outcome *wire, const struct machine *machine)
{
    return wire_text_equals(wire->machine, machine->conf->info.id) && wire->agent_gen != 0 &&
           wire->outcome_seq != 0 && (wire->kind == OUTCOME_RESULT || wire->kind == OUTCOME_COMPLETION) &&
           wire->code < CODE_COUNT && is_command(wire) && wire->command_serial <= UINT32_MAX &&
           wire->position >= -1 && wire->position <= UINT8_MAX && dialect_frames(wire->dialect) != NULL;
}

static void acknowledge(struct broker *broker, const struct peer *agent, const struct wire_outcome *wire)
{
    struct wire_message message = {.type = WIRE_OUTCOME_ACK,
                                   .outcome_ack = {wire->agent_gen, wire->outcome_seq}};
    broker_send(broker, &agent->identity, &message);
}

/* An outcome nobody can be told of is acknowledged, or its agent would send it for ever. */
static void drop(struct broker *broker, const struct peer *agent, const struct wire_outcome *wire)
{
    uint32_t suppressed;
    broker_count(broker, BROKER_INVALID);
    if (broker_may_log(broker, &broker->logs.outcome, &suppressed))
        log_warn("outcome-invalid", "machine=%s kind=%llu code=%llu suppressed=%u",
                 agent->machine->conf->info.id, (unsigned long long)wire->kind,
                 (unsigned long long)wire->code, suppressed);
    acknowledge(broker, agent, wire);
}

static void make_public(struct broker *broker, const struct peer *agent, const struct wire_outcome *wire)
{
    struct outcome outcome = {
        .wire = wire, .machine = agent->machine, .tool = peers_tool(&broker->peers, wire->session_worker)};
    wire_text_copy(wire->request_id, outcome.request_id, sizeof outcome.request_id);
    wire_text_copy(wire->text, outcome.text, sizeof outcome.text);
    outcome.fate = (struct command_fate){.machine_id = agent->machine->conf->info.id,
                                         .request_id = outcome.request_id,
                                         .command = (uint16_t)wire->command,
                                         .argument = (int)wire->argument,
                                         .code = (enum command_code_e)wire->code,
                                         .text = outcome.text,
                                         .position = (int)wire->position,
                                         .elapsed_ms = wire->elapsed_ms};
    if (publish(broker, &outcome) != ERR_OK)
        return; /* counted; the agent sends it again after its next HELLO */
    if (outcome.tool != NULL)
        outcomes_tell_tool(broker, outcome.tool, wire);
    FAULT_POINT(BROKER_OUTCOME_PUBLISHED);
    seq_floors_raise(&broker->floors, wire->agent_gen, wire->outcome_seq);
    acknowledge(broker, agent, wire);
    FAULT_POINT(BROKER_OUTCOME_ACKED);
}

void outcomes_receive(struct broker *broker, struct peer *agent, const struct wire_message *message)
{
    const struct wire_outcome *wire = &message->outcome;
    FAULT_POINT(BROKER_OUTCOME_RECEIVED);
    if (!sane(wire, agent->machine)) {
        drop(broker, agent, wire);
        return;
    }
    uint64_t floor = seq_floors_get(&broker->floors, wire->agent_gen);
    if (wire->outcome_seq <= floor) {
        broker_count(broker, BROKER_OUTCOMES_REPEATED);
        acknowledge(broker, agent, wire);
        return;
    }
    if (floor != 0 && wire->outcome_seq != floor + 1)
        broker_count(broker, BROKER_OUTCOMES_GAPS);
    make_public(broker, agent, wire);
}
