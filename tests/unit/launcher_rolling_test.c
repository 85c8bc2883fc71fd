/* launcher_rolling_test.c — restarts and drains that somebody asked for: in which order, one at a time, and how they end. */
#include "launcher_actor.h"

#include "launch_rolling.h"

struct order {
    char lines[4096], problem[512];
    int done;
};

static void on_line(void *arg, const char *line)
{
    struct order *order = arg;
    assert_int_equal(order->done, 0);
    snprintf(order->lines + strlen(order->lines), sizeof order->lines - strlen(order->lines), "%s\n", line);
}

static void on_done(void *arg, const char *problem)
{
    struct order *order = arg;
    order->done++;
    snprintf(order->problem, sizeof order->problem, "%s", problem != NULL ? problem : "");
}

static struct order order;
static struct rolling *rolling;

static int setup(void **state)
{
    troupe_setup(state);
    struct troupe *t = *state;
    rolling = rolling_new(t->family);
    memset(&order, 0, sizeof order);
    return 0;
}

static int teardown(void **state)
{
    rolling_free(&rolling);
    return troupe_teardown(state);
}

static void go(struct troupe *t, size_t workers)
{
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    for (size_t i = 0; i < workers; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker.%zu", i);
        struct family_member member = {.stage = FAMILY_WORKER, .argv = {"/proc/self/exe", "actor", name}};
        memcpy(member.name, name, sizeof name);
        assert_int_equal(family_add(t->family, &member), ERR_OK);
    }
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
}

static enum err_e restart(const char *const *what, size_t count)
{
    return rolling_restart(rolling, what, count, NULL, on_line, on_done, &order);
}

#define RESTART(...)                                                                                         \
    restart((const char *const[]){__VA_ARGS__},                                                              \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void workers_are_replaced_one_after_the_other(void **state)
{
    struct troupe *t = *state;
    go(t, 3);
    assert_int_equal(RESTART("workers"), ERR_OK);
    assert_true(rolling_busy(rolling));
    assert_int_equal(RESTART("workers"), ERR_BUSY);
    assert_int_equal(rolling_drain(rolling, "worker.0", on_line, on_done, &order), ERR_BUSY);
    UNTIL(t, troupe_count(t, "worker.0 drain") == 1);
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).starts, 5); /* the next waits until the old one has gone */
    troupe_touch(t, "end");
    UNTIL(t, order.done > 0);
    assert_string_equal(order.problem, "");
    assert_false(rolling_busy(rolling));
    const char *log = troupe_log(t), *first = strstr(log, "worker.0 drain"),
               *second = strstr(log, "worker.1 drain"), *third = strstr(log, "worker.2 drain");
    assert_true(first != NULL && first < second && second < third);
    assert_int_equal(family_tally(t->family).planned_ends, 3);
    assert_int_equal(family_tally(t->family).deaths, 0);
    assert_non_null(strstr(order.lines, "worker.0: restarted (pid "));
    assert_non_null(strstr(order.lines, "worker.2: restarted (pid "));
}

static void one_that_drains_too_long_holds_up_nobody(void **state)
{
    struct troupe *t = *state;
    go(t, 2);
    assert_int_equal(RESTART("workers"), ERR_OK);
    UNTIL(t, troupe_count(t, "worker.0 drain") == 1);
    troupe_advance(t, DRAIN_NS + FAMILY_LEAVE_NS);
    UNTIL(t, troupe_count(t, "worker.1 drain") == 1);
    troupe_touch(t, "end");
    UNTIL(t, order.done > 0);
    assert_string_equal(order.problem, "");
}

static void a_failure_leaves_the_rest(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "worker.0", "test -e $T/go && exit 3; " MARK("up") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "worker.1", MARK("up") SAY_READY WAIT);
    troupe_add(t, FAMILY_WORKER, "worker.2", MARK("up") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    troupe_touch(t, "go");
    pid_t before = family_pid(t->family, "worker.0");
    assert_int_equal(RESTART("workers"), ERR_OK);
    UNTIL(t, order.done > 0);
    char expected[256];
    snprintf(
        expected, sizeof expected,
        "worker.0: its successor failed; the process that was there goes on (pid %d); 2 left as they are",
        (int)before);
    assert_string_equal(order.problem, expected);
    assert_int_equal(family_tally(t->family).starts, 5);
    assert_int_equal(RESTART("worker.1"), ERR_OK); /* it may be asked again */
    UNTIL(t, troupe_count(t, "up") == 4);
    assert_int_equal(order.done, 1);
    rolling_forget(rolling, &order);
}

static void agents_are_restarted_a_few_at_a_time(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    for (size_t i = 0; i < ROLLING_AGENTS + 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "agent.%zu", i);
        troupe_add(
            t, FAMILY_AGENT, name,
            "trap 'echo told >>$T/log; while ! test -e $T/go; do :; done; exit 0' TERM; " SAY_READY WAIT);
    }
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(RESTART("agents"), ERR_OK);
    UNTIL(t, troupe_count(t, "told") == ROLLING_AGENTS);
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(troupe_count(t, "told"), ROLLING_AGENTS);
    troupe_touch(t, "go");
    UNTIL(t, order.done > 0);
    assert_string_equal(order.problem, "");
    assert_int_equal(family_tally(t->family).planned_ends, ROLLING_AGENTS + 3);
    assert_int_equal(family_tally(t->family).deaths, 0);
}

static void without_names_all_go_in_the_order_of_their_start(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_WORKER, "worker.0", "trap 'exit 0' USR1; " MARK("worker") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.a", MARK("agent") SAY_READY WAIT);
    troupe_add(t, FAMILY_BROKER, "broker", MARK("broker") SAY_READY WAIT);
    troupe_add(t, FAMILY_SIM, "plc-sim", MARK("sim") SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(restart(NULL, 0), ERR_OK);
    UNTIL(t, troupe_count(t, "worker") == 2);
    assert_string_equal(troupe_log(t), "sim\nbroker\nagent\nworker\nsim\nbroker\nagent\nworker\n");
    UNTIL(t, troupe_view(t, "worker.0").leaving == 1);
    kill(family_pid(t->family, "plc-sim"), SIGKILL); /* what dies meanwhile is another matter */
    troupe_advance(t, DRAIN_NS + FAMILY_LEAVE_NS);
    UNTIL(t, order.done > 0);
    assert_string_equal(order.problem, "");
}

static void names_are_checked_first(void **state)
{
    struct troupe *t = *state;
    go(t, 2);
    static const char *const what[] = {"worker.0", "worker.7"};
    const char *unknown = NULL;
    assert_int_equal(rolling_restart(rolling, what, 2, &unknown, on_line, on_done, &order), ERR_NOT_FOUND);
    assert_string_equal(unknown, "worker.7");
    assert_int_equal(RESTART("agents"), ERR_NOT_FOUND);
    assert_int_equal(rolling_drain(rolling, "broker", on_line, on_done, &order), ERR_NOT_FOUND);
    assert_int_equal(order.done, 0);
    assert_int_equal(family_tally(t->family).starts, 3);
    assert_int_equal(RESTART("worker.1", "workers", "worker.1"), ERR_OK); /* nobody twice */
    troupe_touch(t, "end");
    UNTIL(t, order.done > 0);
    assert_int_equal(family_tally(t->family).starts, 5);
    assert_ptr_equal(strstr(order.lines, "worker.1: restarted"), order.lines);
}

static void a_drain_ends_when_the_worker_has_gone(void **state)
{
    struct troupe *t = *state;
    go(t, 2);
    assert_int_equal(rolling_drain(rolling, "worker.1", on_line, on_done, &order), ERR_OK);
    UNTIL(t, family_is_ready(t->family, "worker.1") && troupe_count(t, "worker.1 drain") == 1);
    assert_int_equal(order.done, 0);
    troupe_touch(t, "end");
    UNTIL(t, order.done > 0);
    assert_non_null(strstr(order.lines, "worker.1: drained (pid "));
}

static void a_stop_ends_it(void **state)
{
    struct troupe *t = *state;
    go(t, 2);
    assert_int_equal(RESTART("workers"), ERR_OK);
    family_stop(t->family);
    UNTIL(t, order.done > 0 && t->stopped_told > 0);
    assert_non_null(strstr(order.problem, "Noria stops"));
    assert_int_equal(RESTART("workers"), ERR_CLOSED);
}

static void who_asked_may_go(void **state)
{
    struct troupe *t = *state;
    go(t, 1);
    assert_int_equal(RESTART("workers"), ERR_OK);
    rolling_forget(rolling, &order);
    troupe_touch(t, "end");
    UNTIL(t, !rolling_busy(rolling));
    assert_int_equal(order.done, 0);
    assert_int_equal(family_tally(t->family).planned_ends, 1);
}

#define ORDERED_PLAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "actor") == 0)
        return actor_main(argv[2]);
    const struct CMUnitTest tests[] = {
        ORDERED_PLAY(workers_are_replaced_one_after_the_other),
        ORDERED_PLAY(one_that_drains_too_long_holds_up_nobody),
        ORDERED_PLAY(a_failure_leaves_the_rest),
        ORDERED_PLAY(agents_are_restarted_a_few_at_a_time),
        ORDERED_PLAY(without_names_all_go_in_the_order_of_their_start),
        ORDERED_PLAY(names_are_checked_first),
        ORDERED_PLAY(a_drain_ends_when_the_worker_has_gone),
        ORDERED_PLAY(a_stop_ends_it),
        ORDERED_PLAY(who_asked_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
