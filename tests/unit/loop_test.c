/* loop: timers on a clock that the test moves, descriptors, deferred work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop.h"
#include "must.h"

struct stage {
    struct clock_manual clock;
    struct loop *loop;
    int order[64];
    unsigned count;
};

struct mark {
    struct stage *stage;
    int id;
    struct loop_timer *timer;
    uint64_t again_ns;
};

static int stage_open(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    clock_manual_init(&stage->clock, NS_PER_S, 0);
    stage->loop = loop_new(&stage->clock.clock);
    *state = stage;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    loop_free(&stage->loop);
    free(stage);
    return 0;
}

static void on_mark(void *arg)
{
    struct mark *mark = arg;
    mark->stage->order[mark->stage->count++] = mark->id;
    if (mark->again_ns > 0)
        loop_timer_start(mark->timer, mark->again_ns);
}

static void timers_run_in_the_order_of_their_times(void **state)
{
    struct stage *stage = *state;
    static const uint64_t due_ms[] = {30, 10, 20, 10, 40, 0};
    struct mark marks[6];
    for (int i = 0; i < 6; i++) {
        marks[i] = (struct mark){stage, i, NULL, 0};
        marks[i].timer = loop_timer_new(stage->loop, on_mark, &marks[i]);
        loop_timer_start(marks[i].timer, due_ms[i] * NS_PER_MS);
    }
    loop_poll(stage->loop);
    assert_int_equal(stage->count, 1); /* the one due at once */
    clock_manual_advance_ns(&stage->clock, 10 * NS_PER_MS - 1);
    loop_poll(stage->loop);
    assert_int_equal(stage->count, 1); /* never early */
    loop_timer_stop(marks[2].timer);
    clock_manual_advance_ns(&stage->clock, 100 * NS_PER_MS);
    loop_poll(stage->loop);
    static const int expected[] = {5, 1, 3, 0, 4};
    assert_int_equal(stage->count, 5);
    assert_memory_equal(stage->order, expected, sizeof expected);
    for (int i = 0; i < 6; i++) {
        assert_false(loop_timer_active(marks[i].timer));
        loop_timer_free(&marks[i].timer);
    }
}

static void a_timer_that_starts_itself_again_does_not_starve_the_loop(void **state)
{
    struct stage *stage = *state;
    struct mark mark = {stage, 1, NULL, 1};
    mark.timer = loop_timer_new(stage->loop, on_mark, &mark);
    loop_timer_start(mark.timer, 0);
    for (unsigned i = 1; i <= 5; i++) {
        clock_manual_advance_ns(&stage->clock, 10);
        loop_poll(stage->loop);
        assert_int_equal(stage->count, i);
    }
    loop_timer_free(&mark.timer);
}

static void many_timers_against_a_sorted_list(void **state)
{
    struct stage *stage = *state;
    enum { TIMERS = 200 };
    struct mark marks[TIMERS];
    uint64_t due[TIMERS];
    bool running[TIMERS];
    srand(3);
    for (int i = 0; i < TIMERS; i++) {
        marks[i] = (struct mark){stage, i, NULL, 0};
        marks[i].timer = loop_timer_new(stage->loop, on_mark, &marks[i]);
        running[i] = false;
    }
    for (int step = 0; step < 20000; step++) {
        int i = rand() % TIMERS;
        if (rand() % 3 > 0) {
            due[i] = stage->clock.mono_now_ns + (uint64_t)(rand() % 1000);
            loop_timer_start_at(marks[i].timer, due[i]);
            running[i] = true;
        } else {
            loop_timer_stop(marks[i].timer);
            running[i] = false;
        }
        if (step % 10 != 0)
            continue;
        clock_manual_advance_ns(&stage->clock, 30);
        do {
            stage->count = 0;
            loop_poll(stage->loop);
            for (unsigned k = 0; k < stage->count; k++) {
                assert_true(running[stage->order[k]]);
                assert_true(due[stage->order[k]] <= stage->clock.mono_now_ns);
                assert_true(k == 0 || due[stage->order[k - 1]] <= due[stage->order[k]]);
                running[stage->order[k]] = false;
            }
        } while (stage->count > 0);
        for (i = 0; i < TIMERS; i++)
            assert_true(!running[i] || due[i] > stage->clock.mono_now_ns);
    }
    for (int i = 0; i < TIMERS; i++)
        loop_timer_free(&marks[i].timer);
}

static void on_readable(void *arg, unsigned events)
{
    struct mark *mark = arg;
    char byte;
    assert_int_equal(events, LOOP_READ);
    mark->stage->order[mark->stage->count++] = read(mark->id, &byte, 1) == 1 ? byte : -1;
}

static void descriptors(void **state)
{
    struct stage *stage = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct mark mark = {stage, pair[0], NULL, 0};
    struct loop_fd *watch = loop_fd_new(stage->loop, pair[0], LOOP_READ, on_readable, &mark);
    loop_poll(stage->loop);
    assert_int_equal(stage->count, 0);
    assert_int_equal(write(pair[1], "ab", 2), 2);
    loop_poll(stage->loop);
    loop_fd_set(watch, 0);
    loop_poll(stage->loop);
    assert_int_equal(stage->count, 1);
    loop_fd_set(watch, LOOP_READ);
    loop_poll(stage->loop);
    assert_int_equal(stage->order[1], 'b');
    loop_fd_free(&watch);
    close(pair[0]);
    close(pair[1]);
}

static void on_defer(void *arg)
{
    struct mark *mark = arg;
    on_mark(mark);
    if (mark->id-- > 0)
        loop_defer(mark->stage->loop, on_defer, mark);
}

static void deferred_work_runs_once_per_iteration(void **state)
{
    struct stage *stage = *state;
    struct mark mark = {stage, 2, NULL, 0};
    assert_int_equal(loop_defer(stage->loop, on_defer, &mark), ERR_OK);
    for (unsigned i = 1; i <= 5; i++) {
        loop_poll(stage->loop);
        assert_int_equal(stage->count, i < 3 ? i : 3);
    }
}

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static void run_ends_by_stop_from_a_timer_and_from_a_signal(void **state)
{
    (void)state;
    struct loop *loop = loop_new(clock_system());
    struct loop_timer *timer = loop_timer_new(loop, on_stop, loop);
    loop_timer_start(timer, NS_PER_MS);
    loop_run(loop);
    struct loop_signal *signal = loop_signal_new(loop, SIGUSR1, on_stop, loop);
    raise(SIGUSR1);
    loop_run(loop);
    loop_signal_free(&signal);
    loop_timer_free(&timer);
    loop_free(&loop);
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(timers_run_in_the_order_of_their_times),
        PLAY(a_timer_that_starts_itself_again_does_not_starve_the_loop),
        PLAY(many_timers_against_a_sorted_list),
        PLAY(descriptors),
        PLAY(deferred_work_runs_once_per_iteration),
        cmocka_unit_test(run_ends_by_stop_from_a_timer_and_from_a_signal),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
