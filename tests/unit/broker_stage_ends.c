/* Agents, workers and tools of the broker's plays; see broker_stage.h. */
#include "broker_stage.h"

static void on_hello(void *arg, struct wire_hello *hello)
{
    struct end *end = arg;
    hello->slot = end->role != WIRE_AGENT ? end->wanted_slot : end->address != 0 ? end->address : UINT32_MAX;
    hello->profile_hash = end->profile_hash;
    hello->machine = wire_text(end->machine);
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct end *end = arg;
    end->ups++;
    end->slot = (uint32_t)ok->slot;
    end->ring_id = (uint32_t)ok->ring_id;
    end->agrees = ok->profile_agrees;
}

static void on_down(void *arg)
{
    ((struct end *)arg)->downs++;
}

static void on_refused(void *arg, const char *reason)
{
    struct end *end = arg;
    end->refusals++;
    snprintf(end->reason, sizeof end->reason, "%s", reason);
}

static void on_message(void *arg, const struct wire_message *message)
{
    struct end *end = arg;
    if (end->hear != NULL)
        end->hear(end, message);
    if (message->type == WIRE_OUTCOME_ACK) {
        end->acks++;
        end->acked = message->outcome_ack.outcome_seq;
    } else if (message->type == WIRE_COMMAND) {
        end->serials[end->commands++ % ARRAY_LEN(end->serials)] = message->command.command_serial;
        end->last = message->command;
        wire_text_copy(message->command.request_id, end->last_request_id, sizeof end->last_request_id);
        wire_text_copy(message->command.scope, end->last_scope, sizeof end->last_scope);
        wire_text_copy(message->command.who, end->last_who, sizeof end->last_who);
        wire_text_copy(message->command.from, end->last_from, sizeof end->last_from);
    } else if (message->type == WIRE_OUTCOME) {
        end->outcomes++;
        end->last_outcome = message->outcome;
        wire_text_copy(message->outcome.text, end->last_text, sizeof end->last_text);
    } else if (message->type == WIRE_SURVEY_WORKERS) {
        end->rolls++;
        end->last_roll = message->survey_workers;
        end->last_roll.workers.at = NULL;
        memcpy(end->workers, message->survey_workers.workers.at, message->survey_workers.workers.len);
    } else if (message->type == WIRE_SURVEY_ASK) {
        end->asks++;
        end->last_ask = message->survey_ask;
    } else if (message->type == WIRE_SURVEY_ROWS) {
        end->rows++;
        end->last_rows = message->survey_rows;
        wire_text_copy(message->survey_rows.rows, end->last_rows_text, sizeof end->last_rows_text);
    }
}

static void on_broker_heartbeat(void *arg, const struct wire_heartbeat *heartbeat)
{
    struct end *end = arg;
    end->beats++;
    end->channels_elsewhere = heartbeat->channels;
}

static void on_heartbeat(void *arg, struct wire_heartbeat *heartbeat)
{
    static const unsigned char metrics[16] = {41, 0, 0, 0, 0, 0, 0, 0, 42};
    const struct end *end = arg;
    heartbeat->reading_age_ms = end->reading_age_ms;
    heartbeat->channels = end->channels;
    heartbeat->metrics =
        (struct wire_text){(const char *)metrics, end->role == WIRE_AGENT ? sizeof metrics : 0};
    heartbeat->histograms = end->histograms;
}

static const struct link_events link_events = {
    on_hello, on_up, on_down, on_refused, on_message, on_broker_heartbeat, on_heartbeat};

void end_open(struct stage *stage, struct end *end)
{
    struct link_config config = {.endpoint = stage->endpoint,
                                 .role = end->role,
                                 .incarnation = end->incarnation,
                                 .clock = end->clock != NULL ? end->clock : clock_system(),
                                 .events = &link_events,
                                 .arg = end};
    assert_int_equal(link_open(&config, &end->link), ERR_OK);
    assert_true(stage->end_count < ENDS_MAX);
    stage->ends[stage->end_count++] = end;
}

void end_close(struct stage *stage, struct end *end)
{
    link_close(&end->link);
    for (size_t i = 0; i < stage->end_count; i++)
        if (stage->ends[i] == end) {
            stage->ends[i] = stage->ends[--stage->end_count];
            return;
        }
}

void end_leaves(struct stage *stage, struct end *end)
{
    uint64_t goodbyes = counter(stage, "goodbyes");
    end_close(stage, end);
    wait_counter(stage, "goodbyes", goodbyes + 1);
}

void agent_open(struct stage *stage, struct end *end, const char *machine, const char *profile,
                uint64_t incarnation)
{
    const struct profile *known = profile_builtin(profile);
    *end = (struct end){.role = WIRE_AGENT,
                        .incarnation = incarnation,
                        .machine = machine,
                        .profile_hash = known != NULL ? profile_hash(known) : 99,
                        .wanted_slot = UINT32_MAX};
    end_open(stage, end);
    wait_for(stage, &end->ups, 1);
}

void worker_open(struct stage *stage, struct end *end, uint64_t incarnation, uint64_t wanted)
{
    *end =
        (struct end){.role = WIRE_WORKER, .incarnation = incarnation, .machine = "", .wanted_slot = wanted};
    end_open(stage, end);
    wait_for(stage, &end->ups, 1);
}

void tool_open(struct stage *stage, struct end *end, uint64_t incarnation)
{
    *end =
        (struct end){.role = WIRE_TOOL, .incarnation = incarnation, .machine = "", .wanted_slot = UINT32_MAX};
    end_open(stage, end);
    wait_for(stage, &end->ups, 1);
}

void say_state(struct end *agent, enum connection_e connection, int raw, int position)
{
    struct wire_message message = {.type = WIRE_STATE};
    message.state = (struct wire_state){.agent_gen = agent->incarnation,
                                        .state_seq = ++agent->state_seq,
                                        .machine = wire_text(agent->machine),
                                        .connection = connection,
                                        .has_reading = raw >= 0,
                                        .raw_status = raw >= 0 ? (uint64_t)raw : 0,
                                        .position = raw >= 0 ? (uint64_t)position : 0,
                                        .read_wall_ms = raw >= 0 ? 1700000000000u : 0,
                                        .source_ns = clock_mono_ns(clock_system())};
    assert_int_equal(link_send(agent->link, &message), ERR_OK);
}

struct wire_message command_message(const struct end *worker, uint64_t serial, int64_t deadline_ms)
{
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = worker->incarnation,
                                            .session_serial = 5,
                                            .command_serial = serial,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text("m1"),
                                            .request_id = wire_text("req-1"),
                                            .scope = wire_text(""),
                                            .who = wire_text("wms"),
                                            .from = wire_text("127.0.0.1:4321"),
                                            .command = COMMAND_MOVE,
                                            .argument = 7,
                                            .deadline_ms = deadline_ms};
    return message;
}

void say_command(struct end *worker, uint64_t serial, const char *machine, int64_t deadline_ms, bool resent)
{
    struct wire_message message = command_message(worker, serial, deadline_ms);
    message.command.machine = wire_text(machine);
    message.command.resent = resent;
    assert_int_equal(link_send(worker->link, &message), ERR_OK);
}

struct wire_message outcome_message(const struct end *agent, uint64_t seq, enum outcome_kind_e kind,
                                    uint64_t session_worker, uint64_t serial)
{
    struct wire_message message = {.type = WIRE_OUTCOME};
    message.outcome = (struct wire_outcome){.agent_gen = agent->incarnation,
                                            .outcome_seq = seq,
                                            .kind = kind,
                                            .session_worker = session_worker,
                                            .session_serial = 5,
                                            .command_serial = serial,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text(agent->machine),
                                            .request_id = wire_text("req-1"),
                                            .command = COMMAND_MOVE,
                                            .argument = 7,
                                            .text = wire_text(""),
                                            .sent = true,
                                            .position = 7,
                                            .elapsed_ms = 12};
    return message;
}

void say_outcome(struct end *agent, uint64_t seq, enum outcome_kind_e kind, const struct end *worker,
                 uint64_t serial)
{
    struct wire_message message = outcome_message(agent, seq, kind, worker->incarnation, serial);
    assert_int_equal(link_send(agent->link, &message), ERR_OK);
}

void say_fate(struct end *agent, uint64_t seq, enum command_code_e code, const char *text)
{
    struct wire_message message =
        outcome_message(agent, seq, OUTCOME_RESULT, agent->last.session_worker, agent->last.command_serial);
    message.outcome.session_serial = agent->last.session_serial;
    message.outcome.request_id = wire_text(agent->last_request_id);
    message.outcome.command = agent->last.command;
    message.outcome.argument = agent->last.argument;
    message.outcome.code = code;
    message.outcome.text = wire_text(text);
    message.outcome.sent = code == CODE_NONE && agent->last.command != COMMAND_REARM;
    assert_int_equal(link_send(agent->link, &message), ERR_OK);
}

void say_failure(struct end *agent, uint64_t seq, const struct end *worker, uint64_t serial,
                 enum command_code_e code, bool sent)
{
    struct wire_message message = outcome_message(agent, seq, OUTCOME_RESULT, worker->incarnation, serial);
    message.outcome.code = code;
    message.outcome.sent = sent;
    assert_int_equal(link_send(agent->link, &message), ERR_OK);
}
