/* launcher_family_test.c — the launcher's family with shell scripts for processes: order, readiness, restarts, permanent
 * failure, bounded stop. */
#include "launcher_fixture.h"

#include <poll.h>
#include <sys/syscall.h>

#include "proc.h"
#include "restart.h"

/* --- the policy alone ------------------------------------------------------------------------------------------- */

static void restarts_are_paced(void **state)
{
    (void)state;
    struct restart r = {0};
    uint64_t now = 5 * NS_PER_S;
    static const unsigned expected_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000};
    for (size_t i = 0; i < ARRAY_LEN(expected_ms); i++) {
        uint64_t delay = restart_after_death(&r, now);
        assert_int_equal(delay / NS_PER_MS, expected_ms[i]);
        now += delay + NS_PER_MS;
    }
    now += RESTART_FORGET_NS - 1 - 10 * NS_PER_S -
           NS_PER_MS; /* one ns less than a minute after the last death */
    assert_int_equal(restart_after_death(&r, now), 10 * NS_PER_S);
    now += RESTART_FORGET_NS;
    assert_int_equal(restart_after_death(&r, now), 0);
    assert_int_equal(restart_after_death(&r, now), 100 * NS_PER_MS);
    assert_int_equal(r.deaths, 14);
}

/* --- start ------------------------------------------------------------------------------------------------------ */

static void stages_start_in_order(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_WORKER, "w", MARK("worker") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a2", MARK("agent") SAY_READY WAIT);
    troupe_add(t, FAMILY_BROKER, "b",
               MARK("broker") "while ! test -e $T/go; do :; done; " MARK("broker-up") SAY_READY WAIT);
    troupe_add(t, FAMILY_SIM, "s", MARK("sim") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a1", MARK("agent") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, troupe_marked(t, "broker\n"));
    assert_true(family_is_ready(t->family, "s"));
    assert_int_equal(family_pid(t->family, "a1"), 0);
    assert_int_equal(family_pid(t->family, "w"), 0);
    troupe_touch(t, "go");
    UNTIL(t, t->ready_told > 0);
    assert_string_equal(troupe_log(t), "sim\nbroker\nbroker-up\nagent\nagent\nworker\n");
    assert_int_equal(t->ready_told, 1);
    assert_int_equal(family_tally(t->family).starts, 5);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

/* It may have gigabytes to check first. */
static void no_stage_waits_for_the_store(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_WORKER, "w", MARK("worker") SAY_READY WAIT);
    troupe_add(t, FAMILY_BROKER, "b", MARK("broker") SAY_READY WAIT);
    struct family_member store = {
        .stage = FAMILY_STORE,
        .name = "store",
        .argv = {"/bin/sh", "-c", MARK("store") "while ! test -e $T/go; do :; done; " SAY_READY WAIT},
        .ready_ns = 3 * READY_NS};
    assert_int_equal(family_add(t->family, &store), ERR_OK);
    family_start(t->family);
    UNTIL(t, family_is_ready(t->family, "w") && troupe_marked(t, "store\n"));
    assert_ptr_equal(strstr(troupe_log(t), "broker\n"), troupe_log(t));
    assert_int_equal(t->ready_told, 0);
    troupe_advance(t, 3 * READY_NS - 1); /* it has a time of its own */
    loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).not_ready, 0);
    troupe_touch(t, "go");
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

static void a_store_gone_for_good_stops_nothing(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", STOPS("broker") SAY_READY WAIT);
    troupe_add(t, FAMILY_STORE, "store", MARK("store") "exit 78");
    troupe_add(t, FAMILY_AGENT, "a", STOPS("agent") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w", STOPS("worker") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    troupe_advance(t, 3600 * NS_PER_S);
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_string_equal(troupe_log(t), "store\n");
    assert_int_equal(t->stopped_told, 0);
    assert_true(family_is_ready(t->family, "w") && family_is_ready(t->family, "a"));
}

static void who_is_not_ready_in_time_is_killed(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", "test -e $T/go && " SAY_READY ":; " MARK("up") WAIT);
    family_start(t->family);
    UNTIL(t, troupe_marked(t, "up"));
    pid_t first = family_pid(t->family, "b");
    troupe_advance(t, READY_NS - 1);
    loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).killed, 0);
    troupe_touch(t, "go");
    troupe_advance(t, 1);
    UNTIL(t, family_is_ready(t->family, "b"));
    assert_int_not_equal(family_pid(t->family, "b"), first);
    assert_int_equal(family_tally(t->family).killed, 1);
    assert_int_equal(family_tally(t->family).not_ready, 1);
    assert_int_equal(family_tally(t->family).deaths, 1);
    troupe_advance(t, 2 * READY_NS); /* no deadline for who is ready */
    loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).deaths, 1);
}

static void other_words_are_no_readiness(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b",
               "test -e $T/go && " SAY_READY "test -e $T/go || echo READILY >&$NORIA_READY_FD; " MARK("up")
                   WAIT);
    family_start(t->family);
    UNTIL(t, troupe_marked(t, "up"));
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_false(family_is_ready(t->family, "b"));
    troupe_touch(t, "go");
    troupe_advance(t, READY_NS);
    UNTIL(t, family_is_ready(t->family, "b"));
    assert_int_equal(family_tally(t->family).not_ready, 1);
}

static void a_broken_agent_keeps_nobody_away(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "good", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "bad", "test -e $T/go && " SAY_READY "test -e $T/go || exit 3; " WAIT);
    troupe_add(t, FAMILY_WORKER, "w", SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, family_is_ready(t->family, "w") && family_tally(t->family).deaths == 2);
    assert_int_equal(t->ready_told, 0); /* not all are */
    troupe_touch(t, "go");
    troupe_advance(t, 100 * NS_PER_MS);
    UNTIL(t, t->ready_told > 0);
}

/* --- death ------------------------------------------------------------------------------------------------------ */

static void deaths_are_answered_with_growing_pauses(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY "exit 1");
    family_start(t->family);
    static const unsigned pauses_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    UNTIL(t, family_tally(t->family).deaths == 2); /* the first was answered at once */
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        troupe_advance(t, pauses_ms[i] * NS_PER_MS - 1);
        assert_int_equal(family_tally(t->family).starts, 2 + i);
        troupe_advance(t, 1);
        assert_int_equal(family_tally(t->family).starts, 3 + i);
        UNTIL(t, family_tally(t->family).deaths == 3 + i);
    }
}

static void the_brokers_death_restarts_nobody_else(void **state)
{
    struct troupe *t = *state;
    static const char *const others[] = {"s", "a", "w0", "w1"};
    troupe_add(t, FAMILY_SIM, "s", SAY_READY WAIT);
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w0", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w1", SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    pid_t before[ARRAY_LEN(others)], broker = family_pid(t->family, "b");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        before[i] = family_pid(t->family, others[i]);
    kill(broker, SIGKILL);
    UNTIL(t, family_tally(t->family).deaths == 1 && family_is_ready(t->family, "b"));
    assert_int_not_equal(family_pid(t->family, "b"), broker);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(family_pid(t->family, others[i]), before[i]);
    assert_int_equal(family_tally(t->family).starts, 6);
    assert_int_equal(t->ready_told, 1);
}

/* Readable when the process has ended, whoever is to reap it. */
static bool is_gone(int pidfd)
{
    return poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, 0) == 1;
}

static void what_a_process_started_dies_with_it(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b",
               "test -e $T/go || { (" WAIT ") & echo child $! >>$T/log; }; " SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    const char *mark = strstr(troupe_log(t), "child ");
    assert_non_null(mark);
    pid_t grandchild = (pid_t)atoi(mark + strlen("child "));
    int end = (int)syscall(SYS_pidfd_open, grandchild, 0);
    assert_true(end >= 0 && !is_gone(end));
    troupe_touch(t, "go");
    kill(family_pid(t->family, "b"), SIGKILL);
    UNTIL_ON(t, end, is_gone(end));
    close(end);
}

/* --- permanent failure ------------------------------------------------------------------------------------------ */

static void a_permanent_failure_is_not_retried(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a", MARK("agent") "exit 78");
    troupe_add(t, FAMILY_AGENT, "quitter", "exit 0");
    troupe_add(t, FAMILY_WORKER, "w0", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w1", MARK("worker") SAY_READY "while ! test -e $T/go; do :; done; exit 78");
    family_start(t->family);
    UNTIL(t, family_is_ready(t->family, "w0") && family_is_ready(t->family, "w1"));
    troupe_touch(t, "go");
    UNTIL(t, family_pid(t->family, "w1") == 0);
    troupe_advance(t, 3600 * NS_PER_S);
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    const char *log = troupe_log(t);
    assert_ptr_equal(strstr(log, "agent"), log);
    assert_null(strstr(log + 1, "agent"));
    assert_string_equal(strstr(log, "worker"), "worker\n");
    assert_int_equal(t->stopped_told, 0); /* one worker is left */
}

static void a_program_that_is_missing_is_not_retried(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY WAIT);
    struct family_member member = {.stage = FAMILY_AGENT, .name = "a", .argv = {"/nonexistent/plc-agent"}};
    assert_int_equal(family_add(t->family, &member), ERR_OK);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(family_tally(t->family).starts, 2);
    assert_int_equal(family_tally(t->family).deaths, 1);
}

static void without_a_broker_for_good_all_stop(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_SIM, "s", STOPS("sim") SAY_READY WAIT);
    troupe_add(t, FAMILY_BROKER, "b", "exit 78");
    troupe_add(t, FAMILY_WORKER, "w", SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(t->exit_code, PROC_EXIT_PERMANENT);
    assert_string_equal(troupe_log(t), "stop-sim\n");
    assert_int_equal(t->ready_told, 0);
}

static void without_workers_for_good_all_stop(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", STOPS("broker") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w0", "exit 78");
    troupe_add(t, FAMILY_WORKER, "w1", SAY_READY "exit 78");
    family_start(t->family);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(t->exit_code, PROC_EXIT_PERMANENT);
    assert_string_equal(troupe_log(t), "stop-broker\n");
}

/* --- stop ------------------------------------------------------------------------------------------------------- */

static void the_store_stops_between_agents_and_broker(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", STOPS("broker") SAY_READY WAIT);
    troupe_add(t, FAMILY_STORE, "store", STOPS("store") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a", STOPS("agent") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w", STOPS("worker") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    family_stop(t->family);
    UNTIL(t, t->stopped_told > 0);
    assert_string_equal(troupe_log(t), "stop-worker\nstop-agent\nstop-store\nstop-broker\n");
}

static void add_four(struct troupe *t, const char *worker)
{
    troupe_add(t, FAMILY_SIM, "s", STOPS("sim") SAY_READY WAIT);
    troupe_add(t, FAMILY_BROKER, "b", STOPS("broker") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a", STOPS("agent") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "w", worker);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
}

static void stages_stop_in_the_opposite_order(void **state)
{
    struct troupe *t = *state;
    add_four(t, STOPS("worker") SAY_READY WAIT);
    family_stop(t->family);
    assert_int_equal(t->stopped_told, 0);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(t->exit_code, 0);
    assert_string_equal(troupe_log(t), "stop-worker\nstop-agent\nstop-broker\nstop-sim\n");
    assert_int_equal(family_tally(t->family).deaths, 0);
    assert_int_equal(family_tally(t->family).killed, 0);
}

static void a_hanging_process_is_killed_when_its_share_is_over(void **state)
{
    struct troupe *t = *state;
    add_four(t, "trap 'echo deaf >>$T/log' TERM; " SAY_READY WAIT);
    family_stop(t->family);
    UNTIL(t, troupe_marked(t, "deaf"));
    troupe_advance(t, 2 * NS_PER_S - 1);
    loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).killed, 0);
    assert_false(troupe_marked(t, "stop-agent"));
    troupe_advance(t, 1);
    UNTIL(t, t->stopped_told > 0);
    assert_string_equal(strchr(troupe_log(t), '\n'), "\nstop-agent\nstop-broker\nstop-sim\n");
    assert_int_equal(family_tally(t->family).killed, 1);
    assert_int_equal(t->exit_code, 0);
}

static void a_second_signal_kills_all(void **state)
{
    struct troupe *t = *state;
    add_four(t, "trap 'echo deaf >>$T/log' TERM; " SAY_READY WAIT);
    family_stop(t->family);
    UNTIL(t, troupe_marked(t, "deaf"));
    family_kill(t->family); /* the clock stands still */
    UNTIL(t, t->stopped_told > 0);
    assert_null(strstr(troupe_log(t), "stop-"));
    assert_int_equal(family_tally(t->family).killed, 4);
}

static void stopping_while_one_rests_starts_nothing(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "a", "exit 1");
    troupe_add(t, FAMILY_WORKER, "w", SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, family_tally(t->family).deaths == 2 && family_is_ready(t->family, "w"));
    uint64_t starts = family_tally(t->family).starts;
    family_stop(t->family);
    troupe_advance(t, NS_PER_S);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(family_tally(t->family).starts, starts);
}

static void stopping_before_all_have_started(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "b", MARK("up") WAIT);
    troupe_add(t, FAMILY_WORKER, "w", SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, troupe_marked(t, "up"));
    family_stop(t->family);
    UNTIL(t, t->stopped_told > 0);
    assert_int_equal(family_tally(t->family).starts, 1);
}

static void a_family_of_nobody_stops_at_once(void **state)
{
    struct troupe *t = *state;
    family_stop(t->family);
    UNTIL(t, t->stopped_told > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_are_paced),
        PLAY(stages_start_in_order),
        PLAY(no_stage_waits_for_the_store),
        PLAY(a_store_gone_for_good_stops_nothing),
        PLAY(the_store_stops_between_agents_and_broker),
        PLAY(who_is_not_ready_in_time_is_killed),
        PLAY(other_words_are_no_readiness),
        PLAY(a_broken_agent_keeps_nobody_away),
        PLAY(deaths_are_answered_with_growing_pauses),
        PLAY(the_brokers_death_restarts_nobody_else),
        PLAY(what_a_process_started_dies_with_it),
        PLAY(a_permanent_failure_is_not_retried),
        PLAY(a_program_that_is_missing_is_not_retried),
        PLAY(without_a_broker_for_good_all_stop),
        PLAY(without_workers_for_good_all_stop),
        PLAY(stages_stop_in_the_opposite_order),
        PLAY(a_hanging_process_is_killed_when_its_share_is_over),
        PLAY(a_second_signal_kills_all),
        PLAY(stopping_while_one_rests_starts_nothing),
        PLAY(stopping_before_all_have_started),
        PLAY(a_family_of_nobody_stops_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
