/* The bell between real processes: deaths of either side, another uid, and no lost wake-up. */
#include "bell_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "clock.h"

static void expect(struct bell_ear *ear, enum bell_event_e event)
{
    assert_int_equal(bell_ear_take(ear), event);
}

static void another_uid_is_refused(void **state)
{
    if (geteuid() != 0)
        skip();
    struct stage *s = stage_open(state);
    bell_begin(s);
    assert_int_equal(chmod(s->place->dir, 0755) | chmod(s->socket, 0666), 0);
    struct segment *segment = segment_make(s, 0, 1);
    const struct bell_hello hello = {
        .magic = BELL_MAGIC, .version = BELL_VERSION, .slot = 0, .incarnation = 1};
    pid_t child = fork_player();
    if (child == 0) {
        if (setuid(65534) != 0)
            _exit(2);
        int fd = stranger(s);
        ssize_t sent = send(fd, &hello, sizeof hello, MSG_NOSIGNAL); /* or it is cut off already */
        _exit((sent < 0 || readable(fd, DEADLINE_MS)) && cut_off(fd) ? 0 : 1);
    }
    int status;
    while (bell_counts(s->bell).refused == 0 && readable(bell_fd(s->bell), DEADLINE_MS))
        bell_service(s->bell);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(bell_workers(s->bell), 0);
    segment_close(&segment, true);
    bell_close(&s->bell);
}

#define LAST UINT64_MAX

/* A worker without its slow check: a lost wake-up leaves it asleep for good. */
static void worker_main(const struct stage *stage, uint32_t slot)
{
    static struct segment *segment;
    static struct ring_reader *reader;
    static struct bell_ear *ear;
    struct ring_record record = {0};
    uint64_t expected = 1;
    if (ring_reader_open(stage->place->ring, &reader) != ERR_OK)
        _exit(10);
    segment = segment_make(stage, slot, 1000 + slot);
    ear = ear_make(stage, segment, slot, 1000 + slot);
    for (;;) {
        bool slept = false;
        enum ring_status_e status;
        while ((status = ring_reader_next(reader, &record)) == RING_MORE) {
            if (record.source_ns == LAST)
                _exit(0);
            if (record.source_ns != expected++)
                _exit(11);
            atomic_store(&segment_page(segment)->cursor, ring_reader_position(reader));
        }
        if (status != RING_EMPTY)
            _exit(12);
        bell_ear_sleep(ear);
        if (ring_reader_head(reader) == ring_reader_position(reader)) {
            slept = readable(bell_ear_fd(ear), DEADLINE_MS);
            if (!slept)
                _exit(13);
        }
        bell_ear_wake(ear);
        for (enum bell_event_e event = BELL_RANG; slept && event != BELL_NOTHING;)
            if ((event = bell_ear_take(ear)) == BELL_LOST)
                _exit(14);
    }
}

static void publish(struct ring_writer *writer, uint64_t n)
{
    struct ring_entry entry = {.kind = RECORD_EVENT, .dialect = DIALECT_STREAMS, .source_ns = n};
    assert_int_equal(ring_writer_append(writer, &entry), ERR_OK);
    ring_writer_publish(writer);
}

static bool service_until(struct stage *stage, const uint32_t *counter, uint32_t value)
{
    while (*counter < value)
        if (readable(bell_fd(stage->bell), DEADLINE_MS))
            bell_service(stage->bell);
        else
            return false;
    return true;
}

static void wait_cursor(const struct segment_view *view, uint64_t position)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_MS * NS_PER_MS;
    while (atomic_load(&segment_view_page(view)->cursor) < position) {
        assert_true(clock_mono_ns(clock_system()) < deadline);
        sched_yield();
    }
}

static void no_wake_up_is_lost(void **state)
{
    struct stage *s = stage_open(state);
    static struct ring_writer *writer; /* static: as stage_open() */
    struct segment_view *views[2] = {NULL, NULL};
    pid_t children[2];
    bool continued;
    assert_int_equal(ring_writer_open(s->place->ring, MIB, &writer, &continued), ERR_OK);
    bell_begin(s);
    for (uint32_t i = 0; i < 2; i++) {
        if ((children[i] = fork_player()) == 0)
            worker_main(s, i);
        while (bell_workers(s->bell) == i && readable(bell_fd(s->bell), DEADLINE_MS))
            bell_service(s->bell);
        assert_int_equal(bell_workers(s->bell), i + 1);
        char path[96];
        snprintf(path, sizeof path, "%s/worker.%u", s->place->dir, i);
        assert_int_equal(segment_view_open(path, &views[i]), ERR_OK);
    }
    /* Most publishes wait for both workers, who then are on their way to sleep; bursts in between. */
    for (uint64_t n = 1; n <= 10000; n++) {
        publish(writer, n);
        bell_ring(s->bell);
        if (n % 16 < 12) {
            wait_cursor(views[0], ring_writer_next(writer));
            wait_cursor(views[1], ring_writer_next(writer));
        }
    }
    assert_true(bell_counts(s->bell).rung > 0);
    publish(writer, LAST);
    bell_ring(s->bell);
    assert_true(service_until(s, &s->gone_count, 2));
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
        segment_view_close(&views[i]);
    }
    assert_int_equal(bell_workers(s->bell), 0);
    bell_close(&s->bell);
    ring_writer_close(&writer);
}

static void a_killed_worker_is_noticed(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    pid_t child = fork_player();
    if (child == 0) {
        static struct segment *segment;
        segment = segment_make(s, 6, 66);
        ear_make(s, segment, 6, 66);
        for (;;)
            pause();
    }
    while (bell_workers(s->bell) == 0 && readable(bell_fd(s->bell), DEADLINE_MS))
        bell_service(s->bell);
    kill(child, SIGKILL);
    assert_true(service_until(s, &s->gone_count, 1));
    assert_true(s->gone_slot == 6 && s->gone_incarnation == 66 && bell_workers(s->bell) == 0);
    assert_false(bell_ring(s->bell));
    assert_int_equal(waitpid(child, NULL, 0), child);
    bell_close(&s->bell);
}

static void a_killed_broker_is_noticed(void **state)
{
    struct stage *s = stage_open(state);
    struct segment *segment = segment_make(s, 0, 1);
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t child = fork_player();
    if (child == 0) {
        bell_begin(s);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        while (readable(bell_fd(s->bell), -1))
            bell_service(s->bell);
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct bell_ear *ear = ear_make(s, segment, 0, 1);
    assert_true(readable(bell_ear_fd(ear), DEADLINE_MS));
    expect(ear, BELL_READY);
    while (bell_ear_take(ear) == BELL_RANG)
        continue;
    kill(child, SIGKILL);
    assert_true(readable(bell_ear_fd(ear), DEADLINE_MS));
    expect(ear, BELL_LOST);
    assert_int_equal(waitpid(child, NULL, 0), child);
    bell_ear_close(&ear);

    bell_begin(s); /* the next broker finds a stale socket, and the worker finds the broker */
    ear = ear_make(s, segment, 0, 1);
    bell_service(s->bell);
    expect(ear, BELL_READY);
    bell_ear_close(&ear);
    bell_close(&s->bell);
    segment_close(&segment, true);
    close(ready[0]);
    close(ready[1]);
}

/* A child that lives on with copies of the descriptors keeps closed connections alive in the kernel; the bell must not
 * hear from them any more (found as a use after free, when the second worker was forked after the first had come). */
static void copies_in_a_child_do_not_revive_a_connection(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    struct segment *segment = segment_make(s, 1, 5);
    const struct bell_hello hello = {
        .magic = BELL_MAGIC, .version = BELL_VERSION, .slot = 1, .incarnation = 5};
    int first = stranger(s), second = stranger(s);
    assert_int_equal(send(first, &hello, sizeof hello, MSG_NOSIGNAL), sizeof hello);
    bell_service(s->bell);
    assert_int_equal(bell_workers(s->bell), 1);
    pid_t child = fork_player();
    if (child == 0)
        for (;;)
            pause();
    assert_int_equal(send(second, &hello, sizeof hello, MSG_NOSIGNAL), sizeof hello);
    bell_service(s->bell); /* the first connection is freed here */
    assert_int_equal(bell_workers(s->bell), 1);
    assert_int_equal(send(first, &hello, sizeof hello, MSG_NOSIGNAL), sizeof hello);
    assert_false(readable(bell_fd(s->bell), 0));
    bell_service(s->bell);
    assert_int_equal(bell_workers(s->bell), 1);
    assert_int_equal(s->gone_count, 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(first);
    close(second);
    segment_close(&segment, true);
    bell_close(&s->bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(another_uid_is_refused),     T(copies_in_a_child_do_not_revive_a_connection),
        T(a_killed_worker_is_noticed), T(a_killed_broker_is_noticed),
        T(no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
