/* launcher_replace_test.c — the launcher's family while it runs: successors, drains, planned ends. */
#include "launcher_actor.h"

#include "launch_segments.h"
#include "segment.h"

/* A metric of shm/process.NAME. */
static uint64_t shown(const struct troupe *t, const char *name, const char *metric)
{
    char path[192], found[STATS_NAME_MAX + 1];
    struct segment_view *view;
    struct stats_view stats;
    enum stats_kind_e kind;
    uint64_t value = UINT64_MAX;
    snprintf(path, sizeof path, "%s/process.%s", t->segments, name);
    assert_int_equal(segment_view_open(path, &view), ERR_OK);
    assert_string_equal(segment_view_page(view)->role, "process");
    assert_string_equal(segment_view_page(view)->id, name);
    assert_int_equal(segment_view_stats(view, &stats), ERR_OK);
    for (size_t i = 0; stats_view_metric(&stats, i, found, &kind, &value); i++)
        if (strcmp(found, metric) == 0)
            break;
    assert_string_equal(found, metric);
    segment_view_close(&view);
    return value;
}

/* --- workers ---------------------------------------------------------------------------------------------------- */

static void a_successor_is_ready_before_the_old_one_drains(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    pid_t before = family_pid(t->family, "worker.0"), other = family_pid(t->family, "worker.1");
    uint64_t start = troupe_view(t, "worker.0").start;
    troupe_touch(t, "hold");
    assert_int_equal(family_restart(t->family, "worker.0"), ERR_OK);
    assert_true(troupe_view(t, "worker.0").replacing);
    assert_int_equal(family_restart(t->family, "worker.0"), ERR_BUSY);
    assert_int_equal(family_drain(t->family, "worker.0"), ERR_BUSY);
    assert_int_equal(family_pid(t->family, "worker.0"), before);
    assert_true(family_is_ready(t->family, "worker.0"));
    assert_int_equal(troupe_count(t, "worker.0 drain"), 0);
    troupe_touch(t, "go");
    UNTIL(t, troupe_count(t, "worker.0 drain 3000\n") == 1);
    assert_true(strstr(troupe_log(t), "worker.0 drain") > strstr(troupe_log(t), "worker.0 up"));
    assert_int_equal(troupe_count(t, "worker.0 up"), 2);
    struct family_view view = troupe_view(t, "worker.0");
    assert_true(view.state == MEMBER_READY && !view.replacing && view.leaving == 1);
    assert_int_not_equal(view.pid, before);
    assert_true(view.start > start);
    assert_int_equal(shown(t, "worker.0", "leaving"), 1);
    troupe_touch(t, "end");
    UNTIL(t, troupe_view(t, "worker.0").leaving == 0);
    assert_int_equal(family_tally(t->family).planned_ends, 1);
    assert_int_equal(family_tally(t->family).deaths, 0);
    assert_int_equal(t->deaths_told, 0);
    assert_int_equal(family_pid(t->family, "worker.1"), other);
    assert_int_equal(shown(t, "worker.0", "planned_ends"), 1);
    assert_int_equal(shown(t, "worker.0", "starts"), 2);
    assert_int_equal(shown(t, "worker.0", "pid"), family_pid(t->family, "worker.0"));
    assert_int_equal(shown(t, "worker.0", "state"), MEMBER_READY);
}

static void a_successor_that_fails_changes_nothing(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "worker.0", "test -e $T/go && exit 78; " MARK("up") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    pid_t before = family_pid(t->family, "worker.0");
    troupe_touch(t, "go");
    assert_int_equal(family_restart(t->family, "worker.0"), ERR_OK);
    UNTIL(t, !troupe_view(t, "worker.0").replacing);
    assert_int_equal(family_pid(t->family, "worker.0"), before);
    assert_true(family_is_ready(t->family, "worker.0"));
    assert_int_equal(t->deaths_told, 1);
    assert_string_equal(t->death_told, "nothing");
    assert_string_equal(t->death_next, "the process that it was to succeed goes on");
    troupe_advance(t, 3600 * NS_PER_S); /* it was asked for once */
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).starts, 3);
    assert_int_equal(shown(t, "worker.0", "last_exit"), 78);
    assert_int_equal(shown(t, "worker.0", "state"), MEMBER_READY);
}

static void a_successor_that_is_not_ready_in_time_is_killed(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    pid_t before = family_pid(t->family, "worker.0");
    troupe_touch(t, "hold");
    assert_int_equal(family_restart(t->family, "worker.0"), ERR_OK);
    troupe_advance(t, READY_NS - 1);
    assert_true(troupe_view(t, "worker.0").replacing);
    troupe_advance(t, 1);
    UNTIL(t, !troupe_view(t, "worker.0").replacing);
    assert_int_equal(family_pid(t->family, "worker.0"), before);
    assert_int_equal(family_tally(t->family).not_ready, 1);
    assert_string_equal(t->death_told, "SIGKILL, because it was not ready in time");
    assert_int_equal(troupe_count(t, "worker.0 drain"), 0);
}

static void a_successor_takes_over_from_one_that_dies(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    pid_t before = family_pid(t->family, "worker.0");
    troupe_touch(t, "hold");
    assert_int_equal(family_restart(t->family, "worker.0"), ERR_OK);
    kill(before, SIGKILL);
    UNTIL(t, t->deaths_told == 1);
    assert_string_equal(t->death_next, "its successor takes its place");
    assert_int_equal(troupe_view(t, "worker.0").state, MEMBER_STARTING);
    troupe_touch(t, "go");
    UNTIL(t, family_is_ready(t->family, "worker.0"));
    assert_int_equal(family_tally(t->family).starts, 4);
}

static void a_drained_worker_is_replaced_at_once(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    pid_t before = family_pid(t->family, "worker.1");
    assert_int_equal(family_drain(t->family, "broker"), ERR_NOT_FOUND);
    assert_int_equal(family_drain(t->family, "worker.9"), ERR_NOT_FOUND);
    assert_int_equal(family_drain(t->family, "worker.1"), ERR_OK);
    assert_int_equal(troupe_view(t, "worker.1").state, MEMBER_STARTING);
    assert_int_equal(troupe_view(t, "worker.1").leaving, 1);
    UNTIL(t, family_is_ready(t->family, "worker.1") && troupe_count(t, "worker.1 drain 3000\n") == 1);
    assert_int_not_equal(family_pid(t->family, "worker.1"), before);
    troupe_touch(t, "end");
    UNTIL(t, troupe_view(t, "worker.1").leaving == 0);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

static void a_worker_that_says_it_drains_is_replaced(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    pid_t before = family_pid(t->family, "worker.1");
    kill(before, SIGUSR1);
    UNTIL(t, family_pid(t->family, "worker.1") != before && family_is_ready(t->family, "worker.1"));
    assert_int_equal(troupe_count(t, "worker.1 drain"), 1); /* it is not told what it says itself */
    troupe_touch(t, "end");
    UNTIL(t, troupe_view(t, "worker.1").leaving == 0);
    assert_int_equal(family_tally(t->family).planned_ends, 1);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

static void one_that_drains_too_long_is_stopped(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    assert_int_equal(family_drain(t->family, "worker.0"), ERR_OK);
    UNTIL(t, family_is_ready(t->family, "worker.0") && troupe_count(t, "worker.0 drain") == 1);
    troupe_advance(t, DRAIN_NS + FAMILY_LEAVE_NS - 1);
    assert_int_equal(troupe_view(t, "worker.0").leaving, 1);
    troupe_advance(t, 1);
    assert_int_equal(troupe_view(t, "worker.0").leaving, 0); /* nobody waits for it any more */
    UNTIL(t, family_tally(t->family).planned_ends == 1);
    assert_int_equal(troupe_count(t, "worker.0 term"), 1);
    assert_int_equal(family_tally(t->family).deaths, 0);
    assert_int_equal(family_tally(t->family).killed, 0);
}

static void one_that_neither_drains_nor_stops_is_killed(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "worker.0", "trap 'echo deaf >>$T/log' TERM; " MARK("up") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(family_drain(t->family, "worker.0"), ERR_OK);
    UNTIL(t, family_is_ready(t->family, "worker.0"));
    troupe_advance(t, DRAIN_NS + FAMILY_LEAVE_NS);
    UNTIL(t, troupe_marked(t, "deaf"));
    troupe_advance(t, STOP_NS - 1);
    assert_int_equal(family_tally(t->family).killed, 0);
    troupe_advance(t, 1);
    UNTIL(t, family_tally(t->family).planned_ends == 1);
    assert_int_equal(family_tally(t->family).killed, 1);
    assert_int_equal(t->deaths_told, 0);
}

/* Whatever a worker's user does with SIGUSR1: processes that drain are bounded. */
static void those_that_drain_are_bounded(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(family_drain(t->family, "worker.0"), ERR_OK);
        UNTIL(t, family_is_ready(t->family, "worker.0") && troupe_count(t, "worker.0 drain") == i + 1);
        assert_int_equal(troupe_view(t, "worker.0").leaving, i + 1);
    }
    assert_int_equal(family_drain(t->family, "worker.0"), ERR_OK);
    UNTIL(t, troupe_count(t, "worker.0 term") == 1 && family_is_ready(t->family, "worker.0"));
    assert_int_equal(troupe_view(t, "worker.0").leaving, 4);
    troupe_touch(t, "end");
    UNTIL(t, troupe_view(t, "worker.0").leaving == 0 && family_tally(t->family).planned_ends == 5);
}

static void a_stop_ends_successors_and_those_that_drain(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    assert_int_equal(family_drain(t->family, "worker.0"), ERR_OK);
    UNTIL(t, family_is_ready(t->family, "worker.0") && troupe_count(t, "worker.0 drain") == 1);
    troupe_touch(t, "hold");
    assert_int_equal(family_restart(t->family, "worker.1"), ERR_OK);
    family_stop(t->family);
    assert_int_equal(family_restart(t->family, "worker.0"), ERR_CLOSED);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(family_tally(t->family).deaths, 0);
    assert_int_equal(family_tally(t->family).killed, 0);
    assert_int_equal(family_tally(t->family).starts, 5);
}

/* --- others ----------------------------------------------------------------------------------------------------- */

static void another_is_stopped_and_started_at_once(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.a", STOPS("a") MARK("a") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    for (size_t i = 1; i <= 3; i++) { /* no back-off: these are no deaths */
        uint64_t start = troupe_view(t, "agent.a").start;
        assert_int_equal(family_restart(t->family, "agent.a"), ERR_OK);
        assert_int_equal(troupe_view(t, "agent.a").state, MEMBER_STOPPING);
        assert_int_equal(family_restart(t->family, "agent.a"), ERR_BUSY);
        UNTIL(t, family_is_ready(t->family, "agent.a") && troupe_view(t, "agent.a").start != start);
        assert_int_equal(family_tally(t->family).planned_ends, i);
    }
    assert_int_equal(family_tally(t->family).deaths, 0);
    assert_string_equal(troupe_log(t), "a\nstop-a\na\nstop-a\na\nstop-a\na\n");
    assert_int_equal(family_restart(t->family, "agent.b"), ERR_NOT_FOUND);
}

static void one_that_does_not_stop_is_killed_and_started(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.a", "trap 'echo deaf >>$T/log' TERM; " SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    uint64_t start = troupe_view(t, "agent.a").start;
    assert_int_equal(family_restart(t->family, "agent.a"), ERR_OK);
    UNTIL(t, troupe_marked(t, "deaf"));
    troupe_advance(t, STOP_NS);
    UNTIL(t, family_is_ready(t->family, "agent.a") && troupe_view(t, "agent.a").start != start);
    assert_int_equal(family_tally(t->family).killed, 1);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

static void who_rests_or_is_gone_is_started_when_asked(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "gone", "test -e $T/go || exit 78; " SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "rests", "test -e $T/go || exit 1; " SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, family_tally(t->family).deaths == 3);
    assert_int_equal(troupe_view(t, "gone").state, MEMBER_GONE);
    assert_int_equal(troupe_view(t, "rests").state, MEMBER_RESTING);
    assert_int_equal(shown(t, "gone", "permanent"), 1);
    assert_true(shown(t, "rests", "restart_due_wall_ms") > 0);
    troupe_touch(t, "go");
    assert_int_equal(family_restart(t->family, "gone"), ERR_OK);
    assert_int_equal(family_restart(t->family, "rests"), ERR_OK);
    UNTIL(t, family_is_ready(t->family, "gone") && family_is_ready(t->family, "rests"));
    assert_int_equal(shown(t, "rests", "restart_due_wall_ms"), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "actor") == 0)
        return actor_main(argv[2]);
    const struct CMUnitTest tests[] = {
        PLAY(a_successor_is_ready_before_the_old_one_drains),
        PLAY(a_successor_that_fails_changes_nothing),
        PLAY(a_successor_that_is_not_ready_in_time_is_killed),
        PLAY(a_successor_takes_over_from_one_that_dies),
        PLAY(a_drained_worker_is_replaced_at_once),
        PLAY(a_worker_that_says_it_drains_is_replaced),
        PLAY(one_that_drains_too_long_is_stopped),
        PLAY(one_that_neither_drains_nor_stops_is_killed),
        PLAY(those_that_drain_are_bounded),
        PLAY(a_stop_ends_successors_and_those_that_drain),
        PLAY(another_is_stopped_and_started_at_once),
        PLAY(one_that_does_not_stop_is_killed_and_started),
        PLAY(who_rests_or_is_gone_is_started_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
