/* noria front: descriptors run out, places run out, workers die by the thousand. */
#include "front_guest.h"

#include <sys/resource.h>

/* No descriptor can be had any more but `spare` ones. */
static void leave_descriptors(struct rlimit *before, rlim_t spare)
{
    assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
    int next = dup(0); /* the lowest that is free */
    close(next);
    struct rlimit few = {(rlim_t)next + spare, before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static void without_descriptors_sockets_are_refused(void **state)
{
    (void)state;
    struct rlimit before;
    struct control_message got;
    int worker = come_in();
    leave_descriptors(&before, 2);
    say(worker, CONTROL_SOCKETS, "444");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    refused(worker, "Too many open files");
    drop(served("444", &got), &got);
}

static void without_descriptors_nobody_comes_in_until_there_are_some(void **state)
{
    (void)state;
    struct rlimit before;
    struct control_message got;
    int workers[2] = {knock(), knock()};
    leave_descriptors(&before, 0);
    turn();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    turn();
    assert_int_equal(front_count(front), 0); /* it is not asked again and again */
    clock_manual_advance_ns(&manual, FRONT_PAUSE_NS);
    turn();
    assert_int_equal(front_count(front), 2);
    for (size_t i = 0; i < 2; i++) {
        say(workers[i], CONTROL_SOCKETS, "4");
        assert_int_equal(control_receive(workers[i], &got), ERR_OK);
        drop(workers[i], &got);
    }
}

static void one_worker_too_many_is_hung_up_on(void **state)
{
    (void)state;
    static int workers[FRONT_WORKERS_MAX];
    struct control_message got;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * FRONT_WORKERS_MAX + 64)
        skip();
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        workers[i] = come_in();
    assert_int_equal(front_count(front), FRONT_WORKERS_MAX);
    int late = come_in();
    assert_true(has_ended(late));
    close(late);
    close(workers[17]);
    turn();
    workers[17] = served("4", &got);
    control_drop_fds(&got);
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        close(workers[i]);
    for (size_t i = 0; i < FRONT_WORKERS_MAX / 8 && front_count(front) > 0; i++)
        turn();
    assert_int_equal(front_count(front), 0);
}

/* Every way to die: before asking, with the answer unread, with the sockets. */
static void a_thousand_workers_die_and_leave_nothing(void **state)
{
    (void)state;
    struct control_message got;
    size_t before = descriptors();
    for (unsigned i = 0; i < 1000; i++) {
        if (i % 3 == 0) {
            close(i % 2 == 0 ? knock() : come_in());
        } else if (i % 3 == 1) {
            int fd = come_in();
            say(fd, CONTROL_SOCKETS, "4646");
            close(fd);
        } else {
            drop(served("46", &got), &got);
        }
        turn();
    }
    assert_int_equal(front_count(front), 0);
    assert_int_equal(descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_descriptors_sockets_are_refused),
        TEST(without_descriptors_nobody_comes_in_until_there_are_some),
        TEST(one_worker_too_many_is_hung_up_on),
        TEST(a_thousand_workers_die_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
