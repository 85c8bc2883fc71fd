/* launcher_members_test.c — the launcher's family while it runs: members that come and go, control packets, sockets of a worker that is away. */
#include "launcher_actor.h"

/* --- coming and going ------------------------------------------------------------------------------------------- */

static void members_come_while_it_runs(void **state)
{
    struct troupe *t = *state;
    char name[] = "agent.b", script[] = MARK("b") SAY_READY WAIT;
    troupe_add(t, FAMILY_BROKER, "broker", "while ! test -e $T/go; do :; done; " SAY_READY WAIT);
    family_start(t->family);
    troupe_add(t, FAMILY_AGENT, "agent.a", MARK("a") SAY_READY WAIT); /* its stage has not begun */
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(family_pid(t->family, "agent.a"), 0);
    troupe_touch(t, "go");
    UNTIL(t, t->ready_told > 0);
    struct family_member late = {.stage = FAMILY_AGENT, .argv = {"/bin/sh", "-c", script}};
    memcpy(late.name, name, sizeof name);
    assert_int_equal(family_add(t->family, &late), ERR_OK);
    assert_int_equal(family_add(t->family, &late), ERR_EXISTS);
    memset(script, '?', sizeof script - 1); /* it keeps texts of its own */
    troupe_add(t, FAMILY_SIM, "plc-sim", MARK("sim") SAY_READY WAIT);
    UNTIL(t, family_is_ready(t->family, "agent.b") && family_is_ready(t->family, "plc-sim"));
    kill(family_pid(t->family, "agent.b"), SIGKILL);
    UNTIL(t, troupe_count(t, "b\n") == 2);
    assert_int_equal(t->ready_told, 1);
}

static void members_go_while_it_runs(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.a", STOPS("a") SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.b", "exit 1");
    troupe_add(t, FAMILY_AGENT, "agent.c", "exit 78");
    family_start(t->family);
    UNTIL(t, family_tally(t->family).deaths == 3 && family_is_ready(t->family, "agent.a"));
    static const char *const names[] = {"agent.a", "agent.b", "agent.c"};
    struct family_view view;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(family_remove(t->family, names[i]), ERR_OK);
        assert_false(family_find(t->family, names[i], &view));
        assert_int_equal(family_remove(t->family, names[i]), ERR_NOT_FOUND);
    }
    assert_true(family_at(t->family, 0, &view));
    assert_string_equal(view.name, "broker");
    assert_false(family_at(t->family, 1, &view));
    UNTIL(t, troupe_marked(t, "stop-a") && family_tally(t->family).planned_ends == 1);
    troupe_advance(t, 60 * NS_PER_S); /* b, which rested, is not started again */
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).starts, 5);
    char path[192];
    snprintf(path, sizeof path, "%s/process.agent.a", t->segments);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Two agents of one machine would fight for it. */
static void a_namesake_waits_for_the_one_that_goes(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.a",
               "trap 'echo told >>$T/log; while ! test -e $T/go; do :; done; exit 0' TERM; " SAY_READY WAIT);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(family_remove(t->family, "agent.a"), ERR_OK);
    troupe_add(t, FAMILY_AGENT, "agent.a", MARK("second") SAY_READY WAIT);
    UNTIL(t, troupe_marked(t, "told"));
    assert_int_equal(troupe_view(t, "agent.a").state, MEMBER_WAITING);
    assert_int_equal(family_restart(t->family, "agent.a"), ERR_OK); /* it is started anyway */
    assert_int_equal(family_pid(t->family, "agent.a"), 0);
    troupe_touch(t, "go");
    UNTIL(t, family_is_ready(t->family, "agent.a"));
    assert_string_equal(troupe_log(t), "told\nsecond\n");
}

static void an_expected_end_is_no_death(void **state)
{
    struct troupe *t = *state;
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add(t, FAMILY_AGENT, "agent.a", SAY_READY "while ! test -e $T/go; do :; done; exit 78");
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    assert_int_equal(family_expect_end(t->family, "agent.a"), ERR_OK);
    troupe_touch(t, "go");
    UNTIL(t, troupe_view(t, "agent.a").state == MEMBER_GONE);
    assert_int_equal(t->deaths_told, 0);
    assert_int_equal(family_tally(t->family).planned_ends, 1);
    assert_int_equal(family_tally(t->family).permanent, 0);
    assert_int_equal(family_remove(t->family, "agent.a"), ERR_OK);
}

/* --- control packets -------------------------------------------------------------------------------------------- */

struct ear {
    struct family_listener listener;
    enum control_type_e type;
    uint32_t number;
    char from[FAMILY_NAME_MAX];
    uint64_t start;
    int heard, changed;
};

static void ear_hears(void *arg, const struct family_view *from, const struct control_message *message)
{
    struct ear *ear = arg;
    ear->heard++;
    ear->type = message->type;
    ear->number = message->number;
    ear->start = from->start;
    snprintf(ear->from, sizeof ear->from, "%s", from->name);
}

static void ear_changed(void *arg)
{
    ((struct ear *)arg)->changed++;
}

static void members_are_told_and_heard(void **state)
{
    struct troupe *t = *state;
    two_workers(t);
    struct ear ear = {.listener = {ear_hears, ear_changed, &ear, NULL}}, deaf = {.listener = {.arg = &deaf}};
    family_listen(t->family, &deaf.listener);
    family_listen(t->family, &ear.listener);
    struct control_message message = {.type = CONTROL_RELOAD, .number = 7};
    assert_int_equal(family_send(t->family, "worker.1", &message), ERR_OK);
    assert_int_equal(family_send(t->family, "worker.7", &message), ERR_NOT_FOUND);
    UNTIL(t, ear.heard == 1);
    assert_true(ear.type == CONTROL_PREPARED && ear.number == 7);
    assert_string_equal(ear.from, "worker.1");
    assert_int_equal(ear.start, troupe_view(t, "worker.1").start);
    message.type = CONTROL_COMMIT;
    assert_int_equal(family_send(t->family, "worker.1", &message), ERR_OK);
    UNTIL(t, ear.heard == 2);
    assert_int_equal(ear.type, CONTROL_DONE);
    message.type = CONTROL_ABORT; /* it answers nonsense, and is heard no more */
    assert_int_equal(family_send(t->family, "worker.1", &message), ERR_OK);
    UNTIL(t, family_send(t->family, "worker.1", &message) == ERR_CLOSED);
    assert_int_equal(ear.heard, 2);
    assert_int_equal(ear.changed, 0);
    kill(family_pid(t->family, "worker.1"), SIGKILL);
    UNTIL(t, ear.changed > 0);
    family_unlisten(t->family, &ear.listener);
    family_unlisten(t->family, &deaf.listener);
    int changed = ear.changed;
    UNTIL(t, family_is_ready(t->family, "worker.1"));
    assert_int_equal(ear.changed, changed);
}

/* --- sockets of a worker that is away --------------------------------------------------------------------------- */

static void three_workers(struct troupe *t, int fds[3])
{
    static const char *const names[] = {"worker.0", "worker.1", "worker.2"};
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    for (size_t i = 0; i < 3; i++) {
        fds[i] = actor_socket();
        troupe_add_actor(t, FAMILY_WORKER, names[i], (struct child_sockets){&fds[i], "main", 1});
    }
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
}

static void close_three(const int fds[3])
{
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void a_missing_workers_sockets_are_adopted(void **state)
{
    struct troupe *t = *state;
    int fds[3];
    three_workers(t, fds);
    troupe_touch(t, "hold");
    kill(family_pid(t->family, "worker.1"), SIGKILL);
    UNTIL(t, troupe_view(t, "worker.1").state == MEMBER_STARTING && family_tally(t->family).starts == 5);
    troupe_advance(t, FAMILY_ABSENT_NS - 1);
    assert_int_equal(family_tally(t->family).adoptions, 0);
    troupe_advance(t, 1);
    UNTIL(t, troupe_count(t, "adopt") == 1);
    assert_int_equal(troupe_count(t, "worker.0 adopt 1 main 1\n"), 1);
    assert_int_equal(family_tally(t->family).adoptions, 1);
    troupe_touch(t, "go");
    UNTIL(t, troupe_count(t, "worker.0 disown 1\n") == 1);
    assert_true(family_is_ready(t->family, "worker.1"));
    troupe_advance(t, 60 * NS_PER_S);
    for (int i = 0; i < 20; i++)
        loop_poll(t->loop);
    assert_int_equal(family_tally(t->family).adoptions, 1);
    close_three(fds);
}

static void another_adopts_when_the_adopter_goes(void **state)
{
    struct troupe *t = *state;
    int fds[3];
    three_workers(t, fds);
    troupe_touch(t, "hold");
    kill(family_pid(t->family, "worker.1"), SIGKILL);
    UNTIL(t, troupe_view(t, "worker.1").state == MEMBER_STARTING && family_tally(t->family).starts == 5);
    troupe_advance(t, FAMILY_ABSENT_NS);
    UNTIL(t, troupe_count(t, "worker.0 adopt 1") == 1);
    assert_int_equal(family_drain(t->family, "worker.0"), ERR_OK);
    UNTIL(t, troupe_count(t, "worker.2 adopt 1 main 1\n") == 1); /* no second wait */
    assert_int_equal(troupe_count(t, "worker.2 adopt 0"), 0);
    troupe_advance(t, FAMILY_ABSENT_NS); /* worker.0's successor is held, too */
    UNTIL(t, troupe_count(t, "worker.2 adopt 0 main 1\n") == 1);
    kill(family_pid(t->family, "worker.2"), SIGKILL);
    UNTIL(t, troupe_view(t, "worker.2").state == MEMBER_STARTING && family_tally(t->family).starts == 7);
    troupe_touch(t, "go"); /* all come back */
    UNTIL(t, family_is_ready(t->family, "worker.0") && family_is_ready(t->family, "worker.1") &&
                 family_is_ready(t->family, "worker.2"));
    troupe_touch(t, "end");
    UNTIL(t, troupe_view(t, "worker.0").leaving == 0);
    close_three(fds);
}

static void the_one_with_the_fewest_adopts(void **state)
{
    struct troupe *t = *state;
    int fds[3];
    three_workers(t, fds);
    int fourth = actor_socket();
    troupe_add_actor(t, FAMILY_WORKER, "worker.3", (struct child_sockets){&fourth, "main", 1});
    UNTIL(t, family_is_ready(t->family, "worker.3"));
    troupe_touch(t, "hold");
    kill(family_pid(t->family, "worker.1"), SIGKILL);
    kill(family_pid(t->family, "worker.3"), SIGKILL);
    UNTIL(t, family_tally(t->family).starts == 7);
    troupe_advance(t, FAMILY_ABSENT_NS);
    UNTIL(t, troupe_count(t, "adopt") == 2);
    assert_int_equal(troupe_count(t, "worker.0 adopt"), 1);
    assert_int_equal(troupe_count(t, "worker.2 adopt"), 1);
    close(fourth);
    close_three(fds);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "actor") == 0)
        return actor_main(argv[2]);
    const struct CMUnitTest tests[] = {
        PLAY(members_come_while_it_runs),
        PLAY(members_go_while_it_runs),
        PLAY(a_namesake_waits_for_the_one_that_goes),
        PLAY(an_expected_end_is_no_death),
        PLAY(members_are_told_and_heard),
        PLAY(a_missing_workers_sockets_are_adopted),
        PLAY(another_adopts_when_the_adopter_goes),
        PLAY(the_one_with_the_fewest_adopts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
