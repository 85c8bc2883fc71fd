#include "broker_stage.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment.h"

uint64_t real_ms(void)
{
    return clock_mono_ns(clock_system()) / NS_PER_MS;
}

const char *in_dir(const struct stage *stage, const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *here = path[next++ % 4];
    snprintf(here, sizeof path[0], "%s/%s", stage->dir, name);
    return here;
}

const char demo_machines[] = "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200}\n"
                             "  - {id: m2, ip: 10.0.0.2, profile: delta-as, simulator: true}\n"
                             "  - {id: m3, ip: 10.0.0.3, profile: future}\n";

void write_conf(const struct stage *stage, unsigned ring_mib, const char *machines)
{
    FILE *file = fopen(stage->conf, "w");
    assert_non_null(file);
    fprintf(file,
            "runtime_dir: %s\nlog: {level: warn}\nring: {size_mib: %u}\nmax_machines: 8\n"
            "listeners:\n  - {name: carousel, dialects: [carousel], address: 127.0.0.1, port: 0}\n"
            "machine_defaults: {poll_interval_ms: 50, stale_after_ms: 100, command_deadline_ms: 400, "
            "reply_timeout_ms: 100}\n"
            "machines:\n%s",
            stage->dir, ring_mib, machines);
    fclose(file);
}

/* Starts a broker; returns its exit code if it ends instead of becoming ready, else -1. */
int start_broker(struct stage *stage)
{
    int ready[2];
    char fd_text[48], byte[8];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ready[1], 9);
        snprintf(fd_text, sizeof fd_text, "9");
        setenv("NORIA_READY_FD", fd_text, 1);
        execl(NORIA_BROKER, "noria-broker", "-c", stage->conf, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    ssize_t n = read(ready[0], byte, sizeof byte);
    close(ready[0]);
    if (n > 0) {
        stage->broker = pid;
        return -1;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int stop_broker(struct stage *stage, int signo)
{
    int status;
    if (stage->broker == 0)
        return 0;
    kill(stage->broker, signo);
    assert_int_equal(waitpid(stage->broker, &status, 0), stage->broker);
    stage->broker = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Opens the ring at its oldest record and the table. */
void open_shared(struct stage *stage)
{
    ring_reader_close(&stage->ring);
    lvt_reader_close(&stage->lvt);
    stage->record_count = 0;
    assert_int_equal(ring_reader_open(in_dir(stage, "shm/ring"), &stage->ring), ERR_OK);
    assert_int_equal(lvt_reader_open(in_dir(stage, "shm/lvt"), &stage->lvt), ERR_OK);
    assert_int_equal(ring_reader_seek(stage->ring, ring_reader_tail(stage->ring)), ERR_OK);
}

int stage_set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    snprintf(stage->dir, sizeof stage->dir, "/tmp/broker_test.XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->conf, sizeof stage->conf, "%s/noria.yaml", stage->dir);
    snprintf(stage->endpoint, sizeof stage->endpoint, "ipc://%s/bus/broker.sock", stage->dir);
    write_conf(stage, 1, demo_machines);
    assert_int_equal(start_broker(stage), -1);
    open_shared(stage);
    *state = stage;
    return 0;
}

static void remove_all(const struct stage *stage)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", stage->dir);
    assert_int_equal(system(command), 0);
}

int stage_tear_down(void **state)
{
    struct stage *stage = *state;
    for (size_t i = 0; i < stage->end_count; i++)
        link_close(&stage->ends[i]->link);
    ring_reader_close(&stage->ring);
    lvt_reader_close(&stage->lvt);
    int code = stop_broker(stage, SIGTERM);
    remove_all(stage);
    free(stage);
    return code; /* a sanitizer's report makes it fail */
}

/* --- the ring ------------------------------------------------------------------------------------------------------------ */

static void keep(struct stage *stage, const struct ring_record *record)
{
    assert_true(stage->record_count < RECORDS_MAX);
    struct seen_record *seen = &stage->records[stage->record_count++];
    *seen = (struct seen_record){.position = record->position,
                                 .kind = record->kind,
                                 .origin_mode = record->origin_mode,
                                 .origin = record->origin,
                                 .topic_count = record->topic_count};
    for (uint32_t i = 0; i < record->topic_count && i < 2; i++)
        memcpy(seen->topics[i], record->topics[i].name, record->topics[i].len);
    const unsigned char *frame = record->frame;
    size_t header = (frame[1] & 0x7f) < 126 ? 2 : 4;
    assert_int_equal(frame[0], 0x81);
    assert_true(record->frame_len - header < sizeof seen->frame);
    memcpy(seen->frame, frame + header, record->frame_len - header);
    if (record->kind == RECORD_STATE) {
        memcpy(&seen->state, record->meta, sizeof seen->state);
        memcpy(seen->text, frame + seen->state.text_offset, seen->state.text_len);
    } else if (record->meta_len == sizeof seen->outcome) {
        memcpy(&seen->outcome, record->meta, sizeof seen->outcome);
    }
}

void read_ring(struct stage *stage)
{
    struct ring_record record;
    enum ring_status_e status;
    while ((status = ring_reader_next(stage->ring, &record)) == RING_MORE)
        keep(stage, &record);
    assert_int_equal(status, RING_EMPTY);
}

size_t count_of(const struct stage *stage, enum record_kind_e kind)
{
    size_t count = 0;
    for (size_t i = 0; i < stage->record_count; i++)
        count += stage->records[i].kind == kind;
    return count;
}

/* The n-th record (from 0) of a kind. */
const struct seen_record *nth(const struct stage *stage, enum record_kind_e kind, size_t n)
{
    for (size_t i = 0; i < stage->record_count; i++)
        if (stage->records[i].kind == kind && n-- == 0)
            return &stage->records[i];
    fail_msg("no such record");
    abort(); /* not reached */
}

/* Services all ends once and reads the ring. */
void pump(struct stage *stage)
{
    struct pollfd fds[ENDS_MAX];
    for (size_t i = 0; i < stage->end_count; i++)
        fds[i] = (struct pollfd){link_fd(stage->ends[i]->link), POLLIN, 0};
    poll(fds, (nfds_t)stage->end_count, 5);
    for (size_t i = 0; i < stage->end_count; i++)
        link_service(stage->ends[i]->link, 256);
    read_ring(stage);
}

void wait_for(struct stage *stage, const uint64_t *value, uint64_t at_least)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; *value < at_least; pump(stage))
        if (real_ms() > deadline)
            fail_msg("waited in vain: %llu of %llu", (unsigned long long)*value,
                     (unsigned long long)at_least);
}

const struct seen_record *wait_record(struct stage *stage, enum record_kind_e kind, size_t n)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; count_of(stage, kind) <= n; pump(stage))
        if (real_ms() > deadline)
            fail_msg("no record %zu of kind %d", n, (int)kind);
    return nth(stage, kind, n);
}

/* A metric of a segment; UINT64_MAX if there is none. */
uint64_t metric_of(const struct stage *stage, const char *segment, const char *metric)
{
    struct segment_view *view;
    struct stats_view stats;
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value, found = UINT64_MAX;
    if (segment_view_open(in_dir(stage, segment), &view) != ERR_OK)
        return found;
    assert_int_equal(segment_view_stats(view, &stats), ERR_OK);
    for (size_t i = 0; stats_view_metric(&stats, i, name, &kind, &value); i++)
        if (strcmp(name, metric) == 0)
            found = value;
    segment_view_close(&view);
    return found;
}

uint64_t counter(const struct stage *stage, const char *metric)
{
    uint64_t value = metric_of(stage, "shm/broker", metric);
    assert_true(value != UINT64_MAX);
    return value;
}

void wait_counter(struct stage *stage, const char *metric, uint64_t at_least)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; counter(stage, metric) < at_least; pump(stage))
        if (real_ms() > deadline)
            fail_msg("%s stays at %llu", metric, (unsigned long long)counter(stage, metric));
}

/* --- agents and workers ---------------------------------------------------------------------------------------------------- */

static void on_hello(void *arg, struct wire_hello *hello)
{
    struct end *end = arg;
    hello->slot = end->wanted_slot;
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
    }
}

static void on_heartbeat(void *arg, struct wire_heartbeat *heartbeat)
{
    static const unsigned char metrics[16] = {41, 0, 0, 0, 0, 0, 0, 0, 42};
    const struct end *end = arg;
    heartbeat->reading_age_ms = end->reading_age_ms;
    heartbeat->metrics =
        (struct wire_text){(const char *)metrics, end->role == WIRE_AGENT ? sizeof metrics : 0};
}

static const struct link_events link_events = {on_hello,   on_up, on_down,     on_refused,
                                               on_message, NULL,  on_heartbeat};

void end_open(struct stage *stage, struct end *end)
{
    struct link_config config = {.endpoint = stage->endpoint,
                                 .role = end->role,
                                 .incarnation = end->incarnation,
                                 .clock = clock_system(),
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

/* The table says what the machine's last record says. */
void table_agrees(struct stage *stage, uint32_t slot, const struct seen_record *record)
{
    struct lvt_machine machine = {0};
    for (uint64_t deadline = real_ms() + DEADLINE_MS;; pump(stage)) { /* it is written after the head */
        if (lvt_reader_get(stage->lvt, slot, &machine) == LVT_OK &&
            machine.record_position == record->position)
            break;
        if (real_ms() > deadline)
            fail_msg("the table does not follow");
    }
    assert_int_equal(machine.text_len, strlen(record->text));
    assert_memory_equal(machine.text, record->text, machine.text_len);
    assert_int_equal(machine.state.connection, record->state.connection);
    assert_int_equal(machine.state.position, record->state.position);
    assert_true(machine.agent_gen == record->state.agent_gen);
}

void shows(const struct seen_record *record, const char *what)
{
    if (strstr(record->frame, what) == NULL)
        fail_msg("%s\n    is not in\n%s", what, record->frame);
}

const struct seen_record *wait_refusal(struct stage *stage, size_t n, uint64_t serial, const char *error,
                                       const char *code)
{
    char expected[160];
    const struct seen_record *record = wait_record(stage, RECORD_REFUSAL, n);
    snprintf(expected, sizeof expected,
             "{\"type\":\"error\",\"error\":\"%s\",\"code\":\"%s\",\"machine_id\":\"", error, code);
    shows(record, expected);
    shows(record, "\"request_id\":\"req-1\"");
    assert_int_equal(record->origin_mode, ORIGIN_ONLY);
    assert_int_equal(record->topic_count, 0);
    assert_int_equal(record->outcome.command_serial, serial);
    assert_true(record->origin.worker == 900);
    return record;
}

void restart(struct stage *stage)
{
    assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
    assert_int_equal(start_broker(stage), -1);
}
