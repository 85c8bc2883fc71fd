#include "broker_stage.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
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

/* In the broker to be. */
static void inherit(const struct stage *stage, int ready, int control)
{
    dup2(ready, 9);
    setenv("NORIA_READY_FD", "9", 1);
    if (stage->with_control) {
        dup2(control, 10);
        setenv("NORIA_CONTROL_FD", "10", 1);
    }
    if (stage->fault != NULL)
        setenv("NORIA_FAULT", stage->fault, 1);
}

static void open_control(struct stage *stage, int *child)
{
    if (stage->control > 0)
        close(stage->control);
    stage->control = 0;
    if (stage->with_control)
        assert_int_equal(control_pair(&stage->control, child), ERR_OK);
}

/* Starts a broker; returns its exit code if it ends instead of becoming ready, else -1. */
int start_broker(struct stage *stage)
{
    int ready[2], control = -1;
    char byte[8];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    open_control(stage, &control);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        inherit(stage, ready[1], control);
        execl(NORIA_BROKER, "noria-broker", "-c", stage->conf, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    if (control >= 0)
        close(control);
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
    if (stage->control > 0)
        close(stage->control);
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
                                 .dialect = record->dialect,
                                 .source_ns = record->source_ns,
                                 .origin_mode = record->origin_mode,
                                 .origin = record->origin,
                                 .topic_count = record->topic_count};
    for (uint32_t i = 0; i < record->topic_count && i < 2; i++)
        memcpy(seen->topics[i], record->topics[i].name, record->topics[i].len);
    for (uint32_t i = 0; i < record->topic_count; i++)
        seen->topics_hash += record->topics[i].hash;
    const unsigned char *frame = record->frame;
    seen->frame_len = record->frame_len;
    if (record->frame_len > 0) {
        size_t header = (frame[1] & 0x7f) < 126 ? 2 : (frame[1] & 0x7f) == 126 ? 4 : 10;
        size_t len = record->frame_len - header;
        seen->opcode = frame[0];
        bool any_length = record->kind == RECORD_STREAM || record->kind == RECORD_CHANNEL;
        assert_true(frame[0] == 0x81 || record->kind == RECORD_STREAM);
        assert_true(any_length || len < sizeof seen->frame);
        memcpy(seen->frame, frame + header, len < sizeof seen->frame ? len : sizeof seen->frame - 1);
    }
    if (record->kind == RECORD_STATE) {
        memcpy(&seen->state, record->meta, sizeof seen->state);
        memcpy(seen->text, frame + seen->state.text_offset, seen->state.text_len);
    } else if (record->kind == RECORD_STREAM) {
        memcpy(&seen->stream, record->meta, sizeof seen->stream);
    } else if (record->kind == RECORD_CHANNEL || record->kind == RECORD_FLOOR) {
        memcpy(&seen->source, record->meta, sizeof seen->source);
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

void wait_gauge(struct stage *stage, const char *metric, uint64_t value)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; counter(stage, metric) != value; pump(stage))
        if (real_ms() > deadline)
            fail_msg("%s stays at %llu", metric, (unsigned long long)counter(stage, metric));
}

/* --- what is expected -------------------------------------------------------------------------------------------- */

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
