/* broker: the real noria-broker on a real bus and real shared memory, driven by agents and workers that this process
 * plays. What is expected is read from the ring, the last-value table and shm/broker; "nothing happens" waits for a later
 * marker on the same path. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "bell.h"
#include "clock.h"
#include "command.h"
#include "link.h"
#include "log.h"
#include "lvt_reader.h"
#include "must.h"
#include "ring_reader.h"
#include "segment.h"
#include "topic.h"
#include "wire.h"

#define DEADLINE_MS 20000
#define RECORDS_MAX 4096
#define ENDS_MAX    8

extern char **environ;

/* --- the stage ---------------------------------------------------------------------------------------------------------- */

struct seen_record { /* what the ring said, kept */
    uint64_t position;
    enum record_kind_e kind;
    enum record_origin_e origin_mode;
    struct session_id origin;
    uint32_t topic_count;
    char topics[2][TOPIC_MAX + 1];
    struct record_state state;
    struct record_outcome outcome;
    char frame[1600]; /* the payload, NUL-terminated */
    char text[1300];  /* of a state */
};

struct end { /* an agent or a worker */
    struct link *link;
    enum wire_role_e role;
    uint64_t incarnation, profile_hash, wanted_slot;
    const char *machine;
    int64_t reading_age_ms;
    uint64_t ups, downs, refusals, commands, acks, acked, state_seq;
    uint32_t slot, ring_id;
    bool agrees;
    char reason[256];
    struct wire_command last; /* texts are not kept */
    char last_request_id[65];
    uint64_t serials[1024]; /* of the commands, in order */
};

struct stage {
    char dir[64], conf[96], endpoint[128];
    pid_t broker;
    struct ring_reader *ring;
    struct lvt_reader *lvt;
    struct seen_record records[RECORDS_MAX];
    size_t record_count;
    struct end *ends[ENDS_MAX]; /* of the plays, static: they are closed after a play has failed, too */
    size_t end_count;
};

static uint64_t real_ms(void)
{
    return clock_mono_ns(clock_system()) / NS_PER_MS;
}

static const char *in_dir(const struct stage *stage, const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *here = path[next++ % 4];
    snprintf(here, sizeof path[0], "%s/%s", stage->dir, name);
    return here;
}

static const char demo_machines[] = "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200}\n"
                                    "  - {id: m2, ip: 10.0.0.2, profile: delta-as, simulator: true}\n"
                                    "  - {id: m3, ip: 10.0.0.3, profile: future}\n";

static void write_conf(const struct stage *stage, unsigned ring_mib, const char *machines)
{
    FILE *file = fopen(stage->conf, "w");
    assert_non_null(file);
    fprintf(file,
            "runtime_dir: %s\nlog: {level: warn}\nring: {size_mib: %u}\nmax_machines: 8\n"
            "listeners:\n  - {name: carousel, dialect: carousel, address: 127.0.0.1, port: 0}\n"
            "machine_defaults: {poll_interval_ms: 50, stale_after_ms: 100, command_deadline_ms: 400, "
            "reply_timeout_ms: 100}\n"
            "machines:\n%s",
            stage->dir, ring_mib, machines);
    fclose(file);
}

/* Starts a broker; returns its exit code if it ends instead of becoming ready, else -1. */
static int start_broker(struct stage *stage)
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

static int stop_broker(struct stage *stage, int signo)
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
static void open_shared(struct stage *stage)
{
    ring_reader_close(&stage->ring);
    lvt_reader_close(&stage->lvt);
    stage->record_count = 0;
    assert_int_equal(ring_reader_open(in_dir(stage, "shm/ring"), &stage->ring), ERR_OK);
    assert_int_equal(lvt_reader_open(in_dir(stage, "shm/lvt"), &stage->lvt), ERR_OK);
    assert_int_equal(ring_reader_seek(stage->ring, ring_reader_tail(stage->ring)), ERR_OK);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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
    } else if (record->kind != RECORD_EVENT) {
        memcpy(&seen->outcome, record->meta, sizeof seen->outcome);
    }
}

static void read_ring(struct stage *stage)
{
    struct ring_record record;
    enum ring_status_e status;
    while ((status = ring_reader_next(stage->ring, &record)) == RING_MORE)
        keep(stage, &record);
    assert_int_equal(status, RING_EMPTY);
}

static size_t count_of(const struct stage *stage, enum record_kind_e kind)
{
    size_t count = 0;
    for (size_t i = 0; i < stage->record_count; i++)
        count += stage->records[i].kind == kind;
    return count;
}

/* The n-th record (from 0) of a kind. */
static const struct seen_record *nth(const struct stage *stage, enum record_kind_e kind, size_t n)
{
    for (size_t i = 0; i < stage->record_count; i++)
        if (stage->records[i].kind == kind && n-- == 0)
            return &stage->records[i];
    fail_msg("no such record");
    abort(); /* not reached */
}

/* Services all ends once and reads the ring. */
static void pump(struct stage *stage)
{
    struct pollfd fds[ENDS_MAX];
    for (size_t i = 0; i < stage->end_count; i++)
        fds[i] = (struct pollfd){link_fd(stage->ends[i]->link), POLLIN, 0};
    poll(fds, (nfds_t)stage->end_count, 5);
    for (size_t i = 0; i < stage->end_count; i++)
        link_service(stage->ends[i]->link, 256);
    read_ring(stage);
}

static void wait_for(struct stage *stage, const uint64_t *value, uint64_t at_least)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; *value < at_least; pump(stage))
        if (real_ms() > deadline)
            fail_msg("waited in vain: %llu of %llu", (unsigned long long)*value,
                     (unsigned long long)at_least);
}

static const struct seen_record *wait_record(struct stage *stage, enum record_kind_e kind, size_t n)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; count_of(stage, kind) <= n; pump(stage))
        if (real_ms() > deadline)
            fail_msg("no record %zu of kind %d", n, (int)kind);
    return nth(stage, kind, n);
}

/* A metric of a segment; UINT64_MAX if there is none. */
static uint64_t metric_of(const struct stage *stage, const char *segment, const char *metric)
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

static uint64_t counter(const struct stage *stage, const char *metric)
{
    uint64_t value = metric_of(stage, "shm/broker", metric);
    assert_true(value != UINT64_MAX);
    return value;
}

static void wait_counter(struct stage *stage, const char *metric, uint64_t at_least)
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

static const struct link_events link_events = {on_hello,   on_up,      on_down,
                                               on_refused, on_message, on_heartbeat};

static void end_open(struct stage *stage, struct end *end)
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

static void end_close(struct stage *stage, struct end *end)
{
    link_close(&end->link);
    for (size_t i = 0; i < stage->end_count; i++)
        if (stage->ends[i] == end) {
            stage->ends[i] = stage->ends[--stage->end_count];
            return;
        }
}

static void agent_open(struct stage *stage, struct end *end, const char *machine, const char *profile,
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

static void worker_open(struct stage *stage, struct end *end, uint64_t incarnation, uint64_t wanted)
{
    *end =
        (struct end){.role = WIRE_WORKER, .incarnation = incarnation, .machine = "", .wanted_slot = wanted};
    end_open(stage, end);
    wait_for(stage, &end->ups, 1);
}

static void say_state(struct end *agent, enum connection_e connection, int raw, int position)
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

static void say_command(struct end *worker, uint64_t serial, const char *machine, int64_t deadline_ms,
                        bool resent)
{
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = worker->incarnation,
                                            .session_serial = 5,
                                            .command_serial = serial,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text(machine),
                                            .request_id = wire_text("req-1"),
                                            .command = COMMAND_MOVE,
                                            .argument = 7,
                                            .deadline_ms = deadline_ms,
                                            .resent = resent};
    assert_int_equal(link_send(worker->link, &message), ERR_OK);
}

static struct wire_message outcome_message(const struct end *agent, uint64_t seq, enum outcome_kind_e kind,
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

static void say_outcome(struct end *agent, uint64_t seq, enum outcome_kind_e kind, const struct end *worker,
                        uint64_t serial)
{
    struct wire_message message = outcome_message(agent, seq, kind, worker->incarnation, serial);
    assert_int_equal(link_send(agent->link, &message), ERR_OK);
}

static void say_failure(struct end *agent, uint64_t seq, const struct end *worker, uint64_t serial,
                        enum command_code_e code, bool sent)
{
    struct wire_message message = outcome_message(agent, seq, OUTCOME_RESULT, worker->incarnation, serial);
    message.outcome.code = code;
    message.outcome.sent = sent;
    assert_int_equal(link_send(agent->link, &message), ERR_OK);
}

/* The table says what the machine's last record says. */
static void table_agrees(struct stage *stage, uint32_t slot, const struct seen_record *record)
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

static void shows(const struct seen_record *record, const char *what)
{
    if (strstr(record->frame, what) == NULL)
        fail_msg("%s\n    is not in\n%s", what, record->frame);
}

/* --- plays: states ------------------------------------------------------------------------------------------------------------ */

static void machines_never_read_are_disconnected_and_empty(void **state)
{
    struct stage *stage = *state;
    static const char *const ids[] = {"m1", "m2", "m3"};
    wait_record(stage, RECORD_STATE, 2);
    for (uint32_t i = 0; i < 3; i++) {
        const struct seen_record *record = nth(stage, RECORD_STATE, i);
        char topic[32];
        snprintf(topic, sizeof topic, "state/%s", ids[i]);
        assert_int_equal(record->state.slot, i);
        assert_int_equal(record->topic_count, 2);
        assert_string_equal(record->topics[0], topic);
        assert_string_equal(record->topics[1], "state/#");
        assert_int_equal(record->origin_mode, ORIGIN_NONE);
        assert_string_equal(record->text, "\"status\":{},\"position\":null,\"raw_status\":null,"
                                          "\"connection_status\":\"disconnected\"");
        table_agrees(stage, i, record);
    }
}

static void a_birth_becomes_a_record_and_the_table_repeats_it(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    assert_true(agent.agrees);
    assert_int_equal(agent.slot, 0);
    assert_int_equal(agent.ring_id, ring_reader_id(stage->ring));
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 3);
    char seq[64];
    snprintf(seq, sizeof seq, "}},\"seq\":\"%08x-%llu\"}", ring_reader_id(stage->ring),
             (unsigned long long)record->position / 64);
    shows(record, "{\"type\":\"status_broadcast\",\"timestamp\":\"20");
    shows(
        record,
        "\"status\":{\"m1\":{\"status\":{\"READY\":\"OK\",\"RUN\":\"Detenido\",\"MODO_OPERACION\":\"Remoto\","
        "\"ALARMA\":\"Desactivada\"},\"position\":15,\"raw_status\":218,\"connection_status\":\"connected\"}"
        "}");
    shows(record, seq);
    assert_true(record->state.agent_gen == 100);
    table_agrees(stage, 0, record);
    assert_int_equal(counter(stage, "ingest_to_publish"), 1);
}

static void only_differences_are_published_and_only_in_order(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15); /* nothing new */
    agent.state_seq = 0;
    say_state(&agent, CONNECTION_CONNECTED, 219, 3); /* number 1 again: old */
    agent.state_seq = 2;
    say_state(&agent, CONNECTION_CONNECTED, 219, 16); /* the marker */
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    assert_int_equal(record->state.position, 16);
    assert_int_equal(nth(stage, RECORD_STATE, 3)->state.position, 15);
    assert_int_equal(counter(stage, "states_unchanged"), 1);
    assert_int_equal(counter(stage, "states_old"), 1);
    table_agrees(stage, 0, record);
}

static void alarms_come_and_go_as_events_behind_their_state(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m2", "delta-as", 100);
    say_state(&agent, CONNECTION_CONNECTED, 0x10, 1); /* no e-stop, no alarm */
    say_state(&agent, CONNECTION_CONNECTED, 0x18, 1); /* alarm */
    say_state(&agent, CONNECTION_CONNECTED, 0x68,
              1); /* alarm stays; e-stop, drive fault, positioning error */
    say_state(&agent, CONNECTION_CONNECTED, 0x10, 1); /* all gone */
    wait_record(stage, RECORD_EVENT, 7);
    static const char *const expected[] = {"\"condition\":\"alarm\",\"active\":true",
                                           "\"condition\":\"estop\",\"active\":true",
                                           "\"condition\":\"drive_fault\",\"active\":true",
                                           "\"condition\":\"positioning_error\",\"active\":true",
                                           "\"condition\":\"alarm\",\"active\":false",
                                           "\"condition\":\"estop\",\"active\":false",
                                           "\"condition\":\"drive_fault\",\"active\":false",
                                           "\"condition\":\"positioning_error\",\"active\":false"};
    for (size_t i = 0; i < 8; i++) {
        shows(nth(stage, RECORD_EVENT, i), expected[i]);
        shows(nth(stage, RECORD_EVENT, i), "{\"type\":\"alarm\",\"machine_id\":\"m2\"");
        assert_string_equal(nth(stage, RECORD_EVENT, i)->topics[0], "event/#");
    }
    assert_true(nth(stage, RECORD_EVENT, 0)->position > nth(stage, RECORD_STATE, 4)->position);
    assert_true(nth(stage, RECORD_EVENT, 0)->position < nth(stage, RECORD_STATE, 5)->position);
    assert_int_equal(counter(stage, "alarm_events"), 8);
}

static void a_machine_turns_stale_and_recovers(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    agent.reading_age_ms = 60000; /* its readings have stopped */
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"stale\"");
    table_agrees(stage, 0, record);
    assert_int_equal(counter(stage, "stale"), 1);
    agent.reading_age_ms = 5;
    record = wait_record(stage, RECORD_STATE, 5);
    shows(record, "\"connection_status\":\"connected\"");
    agent.reading_age_ms = 60000;
    wait_record(stage, RECORD_STATE, 6);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15); /* a fresh reading, unchanged */
    record = wait_record(stage, RECORD_STATE, 7);
    shows(record, "\"connection_status\":\"connected\"");
}

static void an_agent_that_leaves_disconnects_its_machine_and_the_reading_stays(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    end_close(stage, &agent);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"disconnected\"");
    assert_int_equal(counter(stage, "goodbyes"), 1);
    table_agrees(stage, 0, record);

    agent_open(stage, &agent, "m1", "standard",
               101); /* another process: born without a reading, then with one */
    say_state(&agent, CONNECTION_DISCONNECTED, -1, 0);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    record = wait_record(stage, RECORD_STATE, 5);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"connected\"");
    assert_true(record->state.agent_gen == 101);
}

static void senseless_states_are_dropped(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_STALE, 218, 15);
    say_state(&agent, (enum connection_e)77, 218, 15);
    say_state(&agent, CONNECTION_CONNECTED, 300, 15);
    agent.machine = "m2";
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    agent.machine = "m1";
    say_command(&agent, 1, "m2", -1, false); /* not an agent's word */
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    assert_int_equal(wait_record(stage, RECORD_STATE, 3)->state.position, 1);
    assert_int_equal(counter(stage, "invalid"), 5);
    assert_int_equal(agent.downs, 0);
}

/* --- plays: peers --------------------------------------------------------------------------------------------------------------- */

static void strangers_are_asked_to_introduce_themselves(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER);
    unsigned char buffer[WIRE_MAX];
    struct wire_message message = {.type = WIRE_HEARTBEAT, .broker_gen = 4711};
    message.heartbeat.metrics = wire_text("");
    assert_int_equal(zmq_connect(raw, stage->endpoint), 0);
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    int len = zmq_recv(raw, buffer, sizeof buffer, 0);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_RE_HELLO);
    uint64_t gen = message.broker_gen;

    /* One that is known, but speaks to a broker that is dead. */
    message = (struct wire_message){.type = WIRE_HELLO};
    message.hello = (struct wire_hello){
        1, WIRE_AGENT, 55, UINT32_MAX, profile_hash(profile_builtin("standard")), wire_text("m1")};
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    len = zmq_recv(raw, buffer, sizeof buffer, 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_HELLO_OK);
    assert_true(message.broker_gen == gen);
    message = (struct wire_message){.type = WIRE_STATE, .broker_gen = gen + 1};
    message.state =
        (struct wire_state){.agent_gen = 55, .state_seq = 1, .machine = wire_text("m1"), .connection = 1};
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    wait_counter(stage, "other_gen", 1);
    zmq_send(raw, "garbage", 7, 0);
    wait_counter(stage, "malformed", 1);
    assert_int_equal(counter(stage, "unknown_peer"), 1);
    assert_true(counter(stage, "re_hellos") + counter(stage, "re_hellos_suppressed") == 2);

    int zero = 0; /* it vanishes without a word */
    zmq_setsockopt(raw, ZMQ_LINGER, &zero, sizeof zero);
    zmq_close(raw);
    zmq_ctx_term(context);
    wait_counter(stage, "peers_closed", 1);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    assert_int_equal(wait_record(stage, RECORD_STATE, 3)->state.position,
                     1); /* nothing came from the stranger */
}

static void who_must_not_come_in_is_refused(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent = (struct end){.role = WIRE_AGENT, .incarnation = 9, .machine = "nowhere"};
    end_open(stage, &agent);
    wait_for(stage, &agent.refusals, 1);
    assert_string_equal(agent.reason, "the machine is not configured");

    void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER);
    unsigned char buffer[WIRE_MAX];
    struct wire_message message = {.type = WIRE_HELLO};
    message.hello = (struct wire_hello){2, WIRE_WORKER, 55, UINT32_MAX, 0, wire_text("")};
    assert_int_equal(zmq_connect(raw, stage->endpoint), 0);
    for (int i = 0; i < 2; i++) { /* another version; another role */
        zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
        int len = zmq_recv(raw, buffer, sizeof buffer, 0);
        assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
        assert_int_equal(message.type, WIRE_REFUSED);
        message = (struct wire_message){.type = WIRE_HELLO};
        message.hello = (struct wire_hello){1, 7, 55, UINT32_MAX, 0, wire_text("")};
    }
    zmq_close(raw);
    zmq_ctx_term(context);
    assert_int_equal(counter(stage, "hellos_refused"), 3);
}

static void the_newer_of_two_agents_of_a_machine_stays(void **state)
{
    struct stage *stage = *state;
    static struct end first, second;
    agent_open(stage, &first, "m1", "standard", 100);
    say_state(&first, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    agent_open(stage, &second, "m1", "standard", 200);
    wait_for(stage, &first.refusals, 1);
    assert_string_equal(first.reason, "replaced by another agent of this machine");
    say_state(&second, CONNECTION_CONNECTED, 219, 16);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    assert_true(record->state.agent_gen == 200); /* and no "disconnected" in between */
    assert_int_equal(record->state.position, 16);
    end_close(stage, &first); /* its end says nothing about the machine */
    say_state(&second, CONNECTION_CONNECTED, 218, 17);
    record = wait_record(stage, RECORD_STATE, 5);
    assert_int_equal(record->state.position, 17);
    assert_int_equal(counter(stage, "agents_replaced"), 1);
    assert_int_equal(counter(stage, "disconnected"), 0);
}

static void workers_lease_slots_and_get_theirs_back(void **state)
{
    struct stage *stage = *state;
    static struct end a, b, c;
    worker_open(stage, &a, 1, UINT32_MAX);
    worker_open(stage, &b, 2, UINT32_MAX);
    assert_int_equal(a.slot, 0);
    assert_int_equal(b.slot, 1);
    worker_open(stage, &c, 3, 7);
    assert_int_equal(c.slot, 7);
    end_close(stage, &a);
    wait_counter(stage, "goodbyes", 1);
    worker_open(stage, &a, 4, 1); /* taken: the lowest free one */
    assert_int_equal(a.slot, 0);
    wait_counter(stage, "workers", 3);
}

static void agents_metrics_are_shown_in_shared_memory(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m2", "delta-as", 100);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; metric_of(stage, "shm/agent.1", "polls") != 41;
         pump(stage))
        assert_true(real_ms() < deadline);
    assert_int_equal(metric_of(stage, "shm/agent.1", "poll_failures"), 42);
    struct segment_view *view;
    assert_int_equal(segment_view_open(in_dir(stage, "shm/agent.1"), &view), ERR_OK);
    assert_string_equal(segment_view_page(view)->id, "m2");
    segment_view_close(&view);
}

/* --- raw peers: DEALERs without link.h's manners -------------------------------------------------------------------------- */

struct raw {
    void *context, *socket;
    uint64_t broker_gen;
};

static void raw_say(struct raw *raw, struct wire_message *message)
{
    unsigned char buffer[WIRE_MAX];
    message->broker_gen = raw->broker_gen;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    zmq_send(raw->socket, buffer, len, 0);
}

static void raw_open(const struct stage *stage, struct raw *raw, enum wire_role_e role, const char *machine)
{
    unsigned char buffer[WIRE_MAX];
    int zero = 0;
    struct wire_message message = {.type = WIRE_HELLO};
    *raw = (struct raw){.context = zmq_ctx_new()};
    raw->socket = zmq_socket(raw->context, ZMQ_DEALER);
    zmq_setsockopt(raw->socket, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(raw->socket, stage->endpoint), 0);
    message.hello = (struct wire_hello){
        1, role, 55, UINT32_MAX, profile_hash(profile_builtin("standard")), wire_text(machine)};
    raw_say(raw, &message);
    int len = zmq_recv(raw->socket, buffer, sizeof buffer, 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_HELLO_OK);
    raw->broker_gen = message.broker_gen;
}

static void raw_close(struct raw *raw)
{
    zmq_close(raw->socket);
    zmq_ctx_term(raw->context);
}

static void a_peer_that_hangs_is_given_up_after_three_seconds(void **state)
{
    struct stage *stage = *state;
    struct raw agent;
    struct wire_message message = {.type = WIRE_STATE};
    raw_open(stage, &agent, WIRE_AGENT, "m1");
    message.state = (struct wire_state){
        .agent_gen = 55, .state_seq = 1, .machine = wire_text("m1"), .connection = CONNECTION_CONNECTED};
    raw_say(&agent, &message);
    wait_record(stage, RECORD_STATE, 3);
    uint64_t start_ms = real_ms();
    wait_counter(stage, "peers_silent", 1);
    assert_true(real_ms() - start_ms > 2500);
    shows(wait_record(stage, RECORD_STATE, 5), "\"connection_status\":\"disconnected\"");
    shows(nth(stage, RECORD_STATE, 4), "\"connection_status\":\"stale\"");
    raw_close(&agent);
}

/* A broker that stood still must not take its peers for dead. */
static void a_broker_that_was_stopped_judges_nobody(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    kill(stage->broker, SIGSTOP);
    wait_for(stage, &agent.downs, 1); /* three seconds of silence */
    kill(stage->broker, SIGCONT);
    wait_for(stage, &agent.ups, 2);
    say_state(&agent, CONNECTION_CONNECTED, 218, 16);
    shows(wait_record(stage, RECORD_STATE, 4),
          "\"position\":16,\"raw_status\":218,\"connection_status\":\"connected\"");
    assert_int_equal(counter(stage, "stalls"), 1);
    assert_int_equal(counter(stage, "peers_silent"), 0);
    assert_int_equal(counter(stage, "disconnected") + counter(stage, "stale"), 0);
}

/* Well-formed messages with any content, from peers that were let in. */
static uint64_t any_number(void)
{
    static const uint64_t edges[] = {0, 1, 2, 7, 255, 256, 55, UINT32_MAX, 1ull << 32, INT64_MAX, UINT64_MAX};
    return rand() % 3 == 0 ? (uint64_t)rand() : edges[(size_t)rand() % ARRAY_LEN(edges)];
}

static struct wire_text any_text(uint32_t max)
{
    static char noise[512];
    static const char *const words[] = {"m1", "m2", "m3", "ghost", "", "req-1", "\xff", "\"\\\n"};
    if (rand() % 4 != 0) {
        struct wire_text text = wire_text(words[(size_t)rand() % ARRAY_LEN(words)]);
        return text.len <= max ? text : wire_text("");
    }
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)rand();
    return (struct wire_text){noise, (uint32_t)rand() % (max + 1)};
}

#define ANY_U64(name)       m->name = any_number();
#define ANY_I64(name)       m->name = (int64_t)any_number();
#define ANY_FLAG(name)      m->name = rand() % 2 == 0;
#define ANY_TEXT(name, max) m->name = any_text(max);
#define ANY_BLOB(name, max) m->name = any_text(max);

static void fill_any(struct wire_message *message)
{
    switch (message->type) {
#define X(number, NAME, msg, direction, size, since)                                                         \
    case WIRE_##NAME: {                                                                                      \
        struct wire_##msg *m = &message->msg;                                                                \
        WIRE_##NAME##_FIELDS(ANY_U64, ANY_I64, ANY_FLAG, ANY_TEXT, ANY_BLOB) break;                          \
    }
        WIRE_MESSAGE_TABLE(X)
#undef X
    }
}

static void any_message_from_any_peer_does_no_harm(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    struct raw peers[3];
    unsigned char buffer[WIRE_MAX];
    srand(31);
    raw_open(stage, &peers[0], WIRE_WORKER, "");
    raw_open(stage, &peers[1], WIRE_AGENT, "m2");
    raw_open(stage, &peers[2], WIRE_AGENT, "m1");
    for (int i = 0; i < 30000; i++) {
        struct raw *raw = &peers[rand() % 3];
        struct wire_message message = {.type = (enum wire_type_e)(1 + rand() % 10)};
        fill_any(&message);
        if (message.type == WIRE_GOODBYE || (message.type == WIRE_HELLO && rand() % 20 != 0))
            message.type = WIRE_HEARTBEAT, message.heartbeat = (struct wire_heartbeat){55, 0, wire_text("")};
        raw_say(raw, &message);
        while (i % 100 == 0 && zmq_recv(raw->socket, buffer, sizeof buffer, ZMQ_DONTWAIT) > 0)
            ;
    }
    for (int i = 0; i < 3; i++)
        raw_close(&peers[i]);
    wait_counter(stage, "agents", 0);
    ring_reader_seek(stage->ring, ring_reader_head(stage->ring)); /* it may have been lapped */
    stage->record_count = 0;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 42);
    while (wait_record(stage, RECORD_STATE, 0)->state.position != 42)
        stage->record_count = 0;
    assert_true(counter(stage, "invalid") > 0);
    assert_int_equal(counter(stage, "appends_failed"), 0);
}

/* --- plays: commands ---------------------------------------------------------------------------------------------------------------- */

static void a_command_gets_one_result_and_one_completion(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 5000, false);
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.session_worker == 900 && agent.last.session_serial == 5 &&
                agent.last.command_serial == 1);
    assert_true(agent.last.deadline_ms > 4000 && agent.last.deadline_ms <= 5000);
    assert_int_equal(agent.last.command, COMMAND_MOVE);
    assert_int_equal(agent.last.argument, 7);
    assert_string_equal(agent.last_request_id, "req-1");
    say_command(&worker, 1, "m1", 5000, true); /* the same again: not handed over twice */

    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1); /* repeated: only acknowledged */
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 3);
    assert_int_equal(agent.acked, 2);
    const struct seen_record *result = wait_record(stage, RECORD_RESULT, 0);
    shows(result,
          "{\"type\":\"command_result\",\"machine_id\":\"m1\",\"success\":true,\"data\":{\"command_sent\":1,"
          "\"argument\":7,\"result\":\"Comando ejecutado correctamente\"},\"request_id\":\"req-1\"");
    assert_int_equal(result->origin_mode, ORIGIN_ALSO);
    assert_true(result->origin.worker == 900 && result->origin.serial == 5);
    assert_string_equal(result->topics[0], "result/m1");
    assert_string_equal(result->topics[1], "result/#");
    assert_int_equal(result->outcome.command_serial, 1);
    assert_int_equal(result->outcome.slot, 0);
    assert_true(result->outcome.agent_gen == 100 && result->outcome.outcome_seq == 1);
    const struct seen_record *completion = wait_record(stage, RECORD_COMPLETION, 0);
    shows(completion,
          "{\"type\":\"command_completed\",\"machine_id\":\"m1\",\"command\":{\"command\":1,\"argument\":7},"
          "\"success\":true,\"position\":7,\"elapsed_ms\":12");
    assert_int_equal(completion->origin_mode, ORIGIN_ALSO);
    assert_int_equal(count_of(stage, RECORD_RESULT), 1);
    assert_int_equal(counter(stage, "outcomes_repeated"), 1);
    wait_counter(stage, "commands_repeated", 1); /* it came by another connection than the outcomes */
    assert_int_equal(counter(stage, "commands_handed"), 1);
    say_command(&worker, 1, "m1", 5000, true); /* and not after its answer either */
    wait_counter(stage, "commands_repeated", 2);
    wait_counter(stage, "commands_live", 0);
    assert_int_equal(agent.commands, 1);
}

static void an_agent_that_answers_again_under_a_new_number_is_heard_once(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 20000, false);
    wait_for(stage, &agent.commands, 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 3, OUTCOME_COMPLETION, &worker, 1);
    say_outcome(&agent, 4, OUTCOME_COMPLETION, &worker, 1);
    wait_for(stage, &agent.acks, 4);
    assert_int_equal(stop_broker(stage, SIGKILL),
                     1000 + SIGKILL); /* and the next broker knows it from the ring */
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &agent.ups, 2);
    say_outcome(&agent, 5, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 6, OUTCOME_COMPLETION, &worker, 1);
    say_outcome(&agent, 7, OUTCOME_RESULT, &worker, 2); /* the marker */
    wait_record(stage, RECORD_RESULT, 1);
    assert_int_equal(nth(stage, RECORD_RESULT, 1)->outcome.command_serial, 2);
    assert_int_equal(count_of(stage, RECORD_RESULT), 2);
    assert_int_equal(count_of(stage, RECORD_COMPLETION), 1);
    assert_int_equal(counter(stage, "outcomes_repeated"), 2);
}

static const struct seen_record *wait_refusal(struct stage *stage, size_t n, uint64_t serial,
                                              const char *error, const char *code)
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

static void what_cannot_be_done_is_refused_to_the_caller_alone(void **state)
{
    struct stage *stage = *state;
    static struct end agent, other, blind, worker;
    wait_counter(stage, "messages_hello", 0);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "ghost", -1, false);
    wait_refusal(stage, 0, 1, "Machine not found", "MACHINE_NOT_FOUND");
    assert_int_equal(nth(stage, RECORD_REFUSAL, 0)->outcome.slot, UINT32_MAX);
    say_command(&worker, 2, "m1", 60000, false); /* held for an agent that may come back, then answered */
    wait_refusal(stage, 1, 2, "No connection to the PLC", "CONNECTION_ERROR");
    say_command(&worker, 3, "m3", -1, false);
    wait_refusal(stage, 2, 3, "unknown profile", "INTERLOCK");
    agent_open(stage, &blind, "m3", "future", 300);
    assert_false(blind.agrees);
    say_command(&worker, 4, "m3", -1, false);
    wait_refusal(stage, 3, 4, "unknown profile", "INTERLOCK");
    agent_open(stage, &other, "m2", "standard", 200); /* decodes otherwise than the broker */
    assert_false(other.agrees);
    say_command(&worker, 5, "m2", -1, false);
    wait_refusal(stage, 4, 5, "unknown profile", "INTERLOCK");
    agent_open(stage, &agent, "m1", "standard", 100);
    say_command(&worker, 6, "m1", 0, false);
    wait_refusal(stage, 5, 6, "Deadline passed before the command was sent", "TIMEOUT");

    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = 900,
                                            .session_serial = 5,
                                            .command_serial = 7,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text("m1"),
                                            .request_id = wire_text("req-1"),
                                            .command = 256,
                                            .argument = -1,
                                            .deadline_ms = -1};
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_refusal(stage, 6, 7, "Invalid command", "INVALID_COMMAND");
    message.command.command = COMMAND_STATUS; /* reading is no acting: an unknown profile does not matter */
    message.command.command_serial = 8;
    message.command.machine = wire_text("m3");
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    wait_for(stage, &blind.commands, 1);
    assert_int_equal(agent.commands + other.commands, 0);
    assert_int_equal(counter(stage, "refusals_interlock"), 3);
    assert_int_equal(count_of(stage, RECORD_RESULT), 0);
}

static void failures_reach_the_caller_and_if_sent_the_subscribers(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t serial = 1; serial <= 2; serial++) {
        say_command(&worker, serial, "m1", 5000, false);
        wait_for(stage, &agent.commands, serial);
    }
    say_failure(&agent, 1, &worker, 1, CODE_BUSY, false);
    wait_refusal(stage, 0, 1, "Machine is busy", "BUSY");
    say_failure(&agent, 2, &worker, 2, CODE_OUTCOME_UNKNOWN, true);
    wait_refusal(stage, 1, 2, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
    const struct seen_record *result = wait_record(stage, RECORD_RESULT, 0);
    shows(result, "{\"type\":\"command_result\",\"machine_id\":\"m1\",\"success\":false");
    shows(result, "\"code\":\"OUTCOME_UNKNOWN\"");
    assert_int_equal(result->origin_mode, ORIGIN_NOT);
    assert_int_equal(result->outcome.command_serial, 2);
    assert_int_equal(count_of(stage, RECORD_RESULT), 1);
    wait_for(stage, &agent.acks, 2);
}

static void a_silent_agent_means_outcome_unknown_and_a_late_result_is_not_the_callers(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", -1, false); /* the machine's default: 400 ms */
    wait_for(stage, &agent.commands, 1);
    assert_true(agent.last.deadline_ms <= 400);
    wait_refusal(stage, 0, 1, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    say_outcome(&agent, 2, OUTCOME_COMPLETION, &worker, 1);
    assert_int_equal(wait_record(stage, RECORD_RESULT, 0)->origin_mode, ORIGIN_NOT);
    assert_int_equal(wait_record(stage, RECORD_COMPLETION, 0)->origin_mode, ORIGIN_ALSO);
    assert_int_equal(counter(stage, "outcomes_late"), 1);
}

static void senseless_outcomes_are_acknowledged_and_not_shown(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    struct wire_message message = outcome_message(&agent, 1, OUTCOME_RESULT, 900, 1);
    message.outcome.dialect = 99;
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    message = outcome_message(&agent, 2, (enum outcome_kind_e)9, 900, 1);
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    wait_for(stage, &agent.acks, 2);
    message = outcome_message(&agent, 3, OUTCOME_RESULT, 900, 1);
    message.outcome.text = wire_text("not \xff UTF-8");
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    message = outcome_message(&agent, 4, OUTCOME_RESULT, 900, 1);
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    const struct seen_record *record = wait_record(stage, RECORD_RESULT, 0);
    assert_true(record->outcome.outcome_seq == 4);
    assert_int_equal(counter(stage, "invalid"), 3);
    assert_int_equal(counter(stage, "outcomes_unasked"), 1);
}

/* --- plays: kill -9 ------------------------------------------------------------------------------------------------------------------ */

static void restart(struct stage *stage)
{
    assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
    assert_int_equal(start_broker(stage), -1);
}

static void a_broker_restart_is_seen_by_nobody_and_nothing_is_said_twice(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, 3);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_command(&worker, 1, "m1", 20000, false);
    say_command(&worker, 2, "m1", 20000, false);
    wait_for(stage, &agent.commands, 2);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1);
    wait_for(stage, &agent.acks, 1);
    wait_record(stage, RECORD_STATE, 3);
    size_t records = stage->record_count;
    uint32_t ring_id = agent.ring_id;

    restart(stage);
    wait_for(stage, &agent.ups, 2);
    wait_for(stage, &worker.ups, 2);
    assert_int_equal(agent.ring_id, ring_id);
    assert_int_equal(worker.slot, 3);
    assert_int_equal(counter(stage, "ring_continued"), 1);
    agent.state_seq = 0; /* its birth */
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    say_command(&worker, 1, "m1", 18000, true); /* had its answer: it is in the ring */
    say_command(&worker, 2, "m1", 18000, true); /* has not: the agent knows it */
    wait_for(stage, &agent.commands, 3);
    assert_true(agent.last.resent);
    assert_int_equal(agent.last.command_serial, 2);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1); /* sent again: published before */
    say_outcome(&agent, 2, OUTCOME_RESULT, &worker, 2);
    say_outcome(&agent, 3, OUTCOME_COMPLETION, &worker, 2);
    wait_for(stage, &agent.acks, 4);
    wait_record(stage, RECORD_COMPLETION, 0);
    assert_int_equal(count_of(stage, RECORD_RESULT), 2);
    assert_int_equal(nth(stage, RECORD_RESULT, 0)->outcome.command_serial, 1);
    assert_int_equal(nth(stage, RECORD_RESULT, 1)->outcome.command_serial, 2);
    assert_int_equal(counter(stage, "outcomes_repeated"), 1);
    assert_int_equal(stage->record_count, records + 2); /* no state among them */
    table_agrees(stage, 0, nth(stage, RECORD_STATE, 3));
}

static void an_agent_that_does_not_come_back_is_disconnected_after_a_restart(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    table_agrees(stage, 0, nth(stage, RECORD_STATE, 3));
    assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
    end_close(stage, &agent);
    uint64_t start_ms = real_ms();
    assert_int_equal(start_broker(stage), -1);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 100,
                true); /* a dead broker may have handed it over, and its agent does not come back */
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    shows(record, "\"position\":15,\"raw_status\":218,\"connection_status\":\"disconnected\"");
    assert_true(real_ms() - start_ms >= 900);
    wait_refusal(stage, 0, 1, "The command was sent; whether it was carried out is unknown",
                 "OUTCOME_UNKNOWN");
}

static void a_command_is_held_while_its_agent_may_come_back(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    assert_int_equal(stop_broker(stage, SIGKILL), 1000 + SIGKILL);
    end_close(stage, &agent);
    assert_int_equal(start_broker(stage), -1);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 60000, false);
    say_command(&worker, 2, "m1", 60000, true);
    wait_counter(stage, "commands_held", 2);
    agent_open(stage, &agent, "m1", "standard", 101);
    wait_for(stage, &agent.commands, count_of(stage, RECORD_REFUSAL) == 0 ? 2 : 1);
}

static void a_command_is_handed_again_to_the_same_agent_only(void **state)
{
    struct stage *stage = *state;
    static struct end agent, worker;
    agent_open(stage, &agent, "m1", "standard", 100);
    worker_open(stage, &worker, 900, UINT32_MAX);
    say_command(&worker, 1, "m1", 60000, false);
    wait_for(stage, &agent.commands, 1);
    end_close(stage, &agent);
    wait_counter(stage, "agents", 0);
    agent_open(stage, &agent, "m1", "standard", 100); /* as after a lost connection */
    wait_for(stage, &agent.commands, 1);
    end_close(stage, &agent);
    wait_counter(stage, "agents", 0);
    agent_open(stage, &agent, "m1", "standard", 101); /* another process: it might move the machine twice */
    say_command(&worker, 2, "m1", 60000, false);
    wait_for(stage, &agent.commands, 1);
    assert_int_equal(agent.last.command_serial, 2);
    assert_int_equal(counter(stage, "commands_again"), 1);
    say_outcome(&agent, 1, OUTCOME_RESULT, &worker, 1); /* its journal may still tell */
    assert_int_equal(wait_record(stage, RECORD_RESULT, 0)->origin_mode, ORIGIN_ALSO);
}

static void a_second_broker_keeps_its_hands_off(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    pid_t first = stage->broker;
    assert_int_equal(start_broker(stage), 78);
    assert_int_equal(stage->broker, first);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
}

static void slots_outlive_changes_of_the_configuration(void **state)
{
    struct stage *stage = *state;
    struct lvt_machine machine;
    wait_record(stage, RECORD_STATE, 2);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    write_conf(stage, 1,
               "  - {id: m9, ip: 10.0.0.9}\n"
               "  - {id: m3, name: Three, ip: 10.0.0.3, profile: future}\n"
               "  - {id: m1, name: One, ip: 10.0.0.1, port: 3200}\n");
    assert_int_equal(start_broker(stage), -1);
    wait_record(stage, RECORD_STATE, 4); /* m9 and the renamed m3 */
    assert_int_equal(lvt_reader_get(stage->lvt, 0, &machine), LVT_OK);
    assert_string_equal(machine.info.id, "m1");
    assert_int_equal(lvt_reader_get(stage->lvt, 1, &machine), LVT_EMPTY);
    assert_int_equal(lvt_reader_get(stage->lvt, 2, &machine), LVT_OK);
    assert_string_equal(machine.info.id, "m3");
    assert_string_equal(machine.info.name, "Three");
    assert_int_equal(lvt_reader_get(stage->lvt, 3, &machine), LVT_OK);
    assert_string_equal(machine.info.id, "m9");
    assert_int_equal(counter(stage, "states_restored"), 2);
    write_conf(stage, 1, demo_machines);
}

static void a_ring_of_another_size_is_replaced(void **state)
{
    struct stage *stage = *state;
    struct ring_record record;
    uint32_t before = ring_reader_id(stage->ring);
    read_ring(stage);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    write_conf(stage, 2, demo_machines);
    assert_int_equal(start_broker(stage), -1);
    enum ring_status_e status;
    for (uint64_t deadline = real_ms() + DEADLINE_MS;
         (status = ring_reader_next(stage->ring, &record)) != RING_GONE;)
        assert_true(real_ms() < deadline);
    open_shared(stage);
    assert_int_not_equal(ring_reader_id(stage->ring), before);
    wait_record(stage, RECORD_STATE, 2);
    assert_int_equal(counter(stage, "ring_continued"), 0);
}

static void a_clean_stop_leaves_no_socket_and_keeps_what_the_next_one_needs(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    assert_int_equal(stop_broker(stage, SIGTERM), 0);
    assert_int_not_equal(access(in_dir(stage, "bus/broker.sock"), F_OK), 0);
    assert_int_not_equal(access(in_dir(stage, "bus/bell.sock"), F_OK), 0);
    assert_int_not_equal(access(in_dir(stage, "shm/broker"), F_OK), 0);
    assert_int_not_equal(access(in_dir(stage, "shm/agent.0"), F_OK), 0);
    assert_int_equal(access(in_dir(stage, "shm/ring"), F_OK), 0);
    assert_int_equal(access(in_dir(stage, "shm/lvt"), F_OK), 0);
}

/* --- play: kill -9 in the middle of everything, again and again ------------------------------------------------------ */

#define STORM_KILLS    40
#define STORM_COMMANDS (STORM_KILLS * 4)

/* An agent and a worker that keep what link.h's owners must keep: unacknowledged outcomes, unanswered commands, the
 * newest state. Outcome 2n-1 is the result, 2n the completion of the n-th command that the agent carried out. */
struct storm {
    struct end agent, worker;
    uint64_t carried_out[STORM_COMMANDS], carried_count; /* serials, in order */
    uint64_t agent_ups, worker_ups, said_outcomes;
    uint64_t sent_commands, number; /* of the newest state */
};

static void storm_outcomes(struct storm *storm)
{
    while (storm->said_outcomes < 2 * storm->carried_count) {
        uint64_t seq = storm->said_outcomes + 1;
        struct wire_message message =
            outcome_message(&storm->agent, seq, seq % 2 == 1 ? OUTCOME_RESULT : OUTCOME_COMPLETION,
                            storm->worker.incarnation, storm->carried_out[(seq - 1) / 2]);
        if (link_send(storm->agent.link, &message) != ERR_OK)
            return;
        storm->said_outcomes = seq;
    }
}

static void storm_carry_out(struct storm *storm, uint64_t serial)
{
    for (uint64_t i = 0; i < storm->carried_count; i++)
        if (storm->carried_out[i] == serial)
            return; /* known: never twice */
    storm->carried_out[storm->carried_count++] = serial;
}

static void storm_state(struct storm *storm)
{
    struct wire_message message = {.type = WIRE_STATE};
    message.state = (struct wire_state){.agent_gen = storm->agent.incarnation,
                                        .state_seq = ++storm->agent.state_seq,
                                        .machine = wire_text("m1"),
                                        .connection = CONNECTION_CONNECTED,
                                        .has_reading = true,
                                        .raw_status = 218,
                                        .position = storm->number % 256,
                                        .read_wall_ms = storm->number};
    link_send(storm->agent.link, &message);
}

static void storm_command(struct storm *storm, uint64_t serial, bool resent)
{
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = storm->worker.incarnation,
                                            .session_serial = 5,
                                            .command_serial = serial,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text("m1"),
                                            .request_id = wire_text("req-1"),
                                            .command = COMMAND_MOVE,
                                            .argument = 7,
                                            .deadline_ms = 60000,
                                            .resent = resent};
    link_send(storm->worker.link, &message);
}

static size_t storm_answers(const struct stage *stage, uint64_t serial)
{
    size_t count = 0;
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        count += (record->kind == RECORD_RESULT || record->kind == RECORD_REFUSAL) &&
                 record->origin_mode != ORIGIN_NOT && record->outcome.command_serial == serial;
    }
    return count;
}

/* One round of servicing, and what the owners of links do after each HELLO_OK. */
static void storm_pump(struct stage *stage, struct storm *storm)
{
    uint64_t commands = storm->agent.commands;
    pump(stage);
    if (storm->agent.ups != storm->agent_ups) {
        storm->agent_ups = storm->agent.ups;
        storm_state(storm);
        storm->said_outcomes = storm->agent.acked;
    }
    for (; commands < storm->agent.commands; commands++)
        storm_carry_out(storm, storm->agent.serials[commands % ARRAY_LEN(storm->agent.serials)]);
    storm_outcomes(storm);
    if (storm->worker.ups != storm->worker_ups) {
        storm->worker_ups = storm->worker.ups;
        for (uint64_t serial = 1; serial <= storm->sent_commands; serial++)
            if (storm_answers(stage, serial) == 0)
                storm_command(storm, serial, true);
    }
}

static bool storm_is_over(struct stage *stage, const struct storm *storm)
{
    const struct seen_record *last = NULL;
    for (size_t i = 0; i < stage->record_count; i++)
        if (stage->records[i].kind == RECORD_STATE && stage->records[i].state.slot == 0)
            last = &stage->records[i];
    for (uint64_t serial = 1; serial <= storm->sent_commands; serial++)
        if (storm_answers(stage, serial) == 0)
            return false;
    return count_of(stage, RECORD_COMPLETION) >= count_of(stage, RECORD_RESULT) && last != NULL &&
           last->state.read_wall_ms == storm->number && storm->agent.acked == 2 * storm->carried_count;
}

static void storm_check(struct stage *stage, const struct storm *storm)
{
    uint64_t number = 0;
    size_t completions[STORM_COMMANDS + 1] = {0};
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        if (record->kind == RECORD_STATE && record->state.slot == 0) {
            assert_true(record->state.read_wall_ms >= number); /* in order, and never disconnected again */
            number = record->state.read_wall_ms;
            assert_int_equal(record->state.connection,
                             number == 0 ? CONNECTION_DISCONNECTED : CONNECTION_CONNECTED);
        }
        if (record->kind == RECORD_COMPLETION)
            completions[record->outcome.command_serial]++;
    }
    for (uint64_t serial = 1; serial <= storm->sent_commands; serial++) {
        assert_int_equal(storm_answers(stage, serial), 1);
        assert_int_equal(completions[serial], 1);
    }
    assert_int_equal(storm->carried_count, storm->sent_commands);
    assert_int_equal(count_of(stage, RECORD_RESULT), storm->sent_commands);
}

static void nothing_is_lost_or_said_twice_however_often_the_broker_is_killed(void **state)
{
    struct stage *stage = *state;
    static struct storm storm;
    storm = (struct storm){0};
    srand(41);
    agent_open(stage, &storm.agent, "m1", "standard", 100);
    worker_open(stage, &storm.worker, 900, 0);
    for (int kills = 0; kills < STORM_KILLS; kills++) {
        for (int i = 0; i < 4; i++) {
            storm.number++;
            storm_state(&storm);
            storm_command(&storm, ++storm.sent_commands, false);
            for (int pumps = rand() % 4; pumps > 0; pumps--)
                storm_pump(stage, &storm);
        }
        restart(stage);
        for (int pumps = rand() % 20; pumps > 0; pumps--) /* sometimes before everybody is back */
            storm_pump(stage, &storm);
    }
    for (uint64_t deadline = real_ms() + DEADLINE_MS; !storm_is_over(stage, &storm);
         storm_pump(stage, &storm))
        if (real_ms() > deadline)
            fail_msg("something was lost");
    storm_check(stage, &storm);
    table_agrees(stage, 0, nth(stage, RECORD_STATE, count_of(stage, RECORD_STATE) - 1));
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(machines_never_read_are_disconnected_and_empty),
        PLAY(a_birth_becomes_a_record_and_the_table_repeats_it),
        PLAY(only_differences_are_published_and_only_in_order),
        PLAY(alarms_come_and_go_as_events_behind_their_state),
        PLAY(a_machine_turns_stale_and_recovers),
        PLAY(an_agent_that_leaves_disconnects_its_machine_and_the_reading_stays),
        PLAY(senseless_states_are_dropped),
        PLAY(strangers_are_asked_to_introduce_themselves),
        PLAY(who_must_not_come_in_is_refused),
        PLAY(a_peer_that_hangs_is_given_up_after_three_seconds),
        PLAY(a_broker_that_was_stopped_judges_nobody),
        PLAY(any_message_from_any_peer_does_no_harm),
        PLAY(the_newer_of_two_agents_of_a_machine_stays),
        PLAY(workers_lease_slots_and_get_theirs_back),
        PLAY(agents_metrics_are_shown_in_shared_memory),
        PLAY(a_command_gets_one_result_and_one_completion),
        PLAY(an_agent_that_answers_again_under_a_new_number_is_heard_once),
        PLAY(what_cannot_be_done_is_refused_to_the_caller_alone),
        PLAY(failures_reach_the_caller_and_if_sent_the_subscribers),
        PLAY(a_silent_agent_means_outcome_unknown_and_a_late_result_is_not_the_callers),
        PLAY(senseless_outcomes_are_acknowledged_and_not_shown),
        PLAY(a_broker_restart_is_seen_by_nobody_and_nothing_is_said_twice),
        PLAY(an_agent_that_does_not_come_back_is_disconnected_after_a_restart),
        PLAY(a_command_is_held_while_its_agent_may_come_back),
        PLAY(a_command_is_handed_again_to_the_same_agent_only),
        PLAY(nothing_is_lost_or_said_twice_however_often_the_broker_is_killed),
        PLAY(a_second_broker_keeps_its_hands_off),
        PLAY(slots_outlive_changes_of_the_configuration),
        PLAY(a_ring_of_another_size_is_replaced),
        PLAY(a_clean_stop_leaves_no_socket_and_keeps_what_the_next_one_needs),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
