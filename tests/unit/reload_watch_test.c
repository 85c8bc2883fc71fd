/* reload_watch: a reloader on the loop. The test is the launcher, at the other end of the control socket, and who sends SIGHUP; what a reload
 * does with files and answers is reloader_test's. */
#include "conf_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "reload_watch.h"
#include "scratch_dir.h"

#define DEADLINE_NS (20 * NS_PER_S)

#define FILE_NAME "noria.yaml"

static char file[128];
static struct conf *in_force;
static struct loop *loop;
static struct loop_timer *deadline;
static struct reload_watch *watch;
static int launcher, child;
static unsigned committed;

static struct conf *load(void)
{
    struct conf *conf;
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_OK);
    return conf;
}

static void commit(void *arg, struct conf *conf)
{
    assert_ptr_equal(arg, &committed);
    committed++;
    conf_free(&in_force);
    in_force = conf;
}

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("nothing came in %llu s", (unsigned long long)(DEADLINE_NS / NS_PER_S));
}

static void begin(bool threaded, bool with_launcher)
{
    assert_int_equal(scratch_make("reload_watch_test"), 0);
    snprintf(file, sizeof file, "%s", scratch_file(FILE_NAME));
    scratch_write(FILE_NAME, "log: {level: error}\n");
    in_force = load();
    committed = 0;
    watch = NULL;
    launcher = child = -1;
    if (with_launcher)
        assert_int_equal(control_pair(&launcher, &child), ERR_OK);
    loop = loop_new(clock_system());
    assert_non_null(loop);
    deadline = loop_timer_new(loop, on_deadline, NULL);
    assert_non_null(deadline);
    loop_timer_start(deadline, DEADLINE_NS);
    const struct reloader_options options = {
        .file = file, .control = child, .threaded = threaded, .commit = commit, .arg = &committed};
    assert_int_equal(reload_watch_open(loop, &options, in_force, &watch), ERR_OK);
}

static void end(void)
{
    reload_watch_close(&watch);
    assert_null(watch);
    loop_timer_free(&deadline);
    loop_free(&loop);
    conf_free(&in_force);
    if (launcher >= 0)
        close(launcher);
    if (child >= 0)
        close(child);
    unlink(file);
    assert_int_equal(scratch_remove(), 0);
}

static void say(enum control_type_e type, uint64_t digest)
{
    const struct control_message message = {.type = type, .number = 7, .digest = digest};
    assert_int_equal(control_send(launcher, &message), ERR_OK);
}

static void await_answer(enum control_type_e type)
{
    struct control_message message;
    enum err_e err;
    while ((err = control_receive(launcher, &message)) == ERR_BUSY)
        loop_step(loop);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(message.type, type);
    assert_int_equal(message.number, 7);
}

static void await_commit(void)
{
    while (committed == 0)
        loop_step(loop);
    assert_int_equal(committed, 1);
    assert_int_equal(in_force->drain_ms, 77);
}

static uint64_t write_next(void)
{
    scratch_write(FILE_NAME, "workers: {drain_ms: 77}\nlog: {level: error}\n");
    struct conf *conf = load();
    uint64_t digest = conf->digest;
    conf_free(&conf);
    return digest;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

static void test_the_launcher_is_heard_and_answered(void **state)
{
    (void)state;
    for (int threaded = 0; threaded < 2; threaded++) {
        begin(threaded, true);
        say(CONTROL_RELOAD, write_next());
        await_answer(CONTROL_PREPARED);
        assert_int_equal(committed, 0);
        say(CONTROL_COMMIT, 0);
        await_answer(CONTROL_DONE);
        await_commit();
        end();
    }
}

static void test_sighup_is_a_reload_where_no_launcher_is(void **state)
{
    (void)state;
    for (int threaded = 0; threaded < 2; threaded++) {
        begin(threaded, false);
        write_next();
        raise(SIGHUP);
        await_commit();
        end();
    }
}

static void test_a_sighup_held_while_starting_is_not_lost(void **state)
{
    (void)state;
    reloader_hold_signal(true);
    raise(SIGHUP);
    begin(false, false);
    write_next();
    await_commit();
    end();
}

static void on_later(void *arg)
{
    *(bool *)arg = true;
}

/* A socket at its end is readable for ever: a loop that went on watching it would never wait again. */
static void test_a_launcher_that_is_gone_is_watched_no_more(void **state)
{
    (void)state;
    begin(false, true);
    close(launcher);
    launcher = -1;
    loop_step(loop);
    bool later = false;
    struct loop_timer *timer = loop_timer_new(loop, on_later, &later);
    assert_non_null(timer);
    loop_timer_start(timer, 100 * NS_PER_MS);
    for (int i = 0; i < 10 && !later; i++)
        loop_step(loop);
    assert_true(later);
    loop_timer_free(&timer);
    end();
}

static void test_what_is_prepared_is_forgotten_at_the_end(void **state)
{
    (void)state;
    begin(true, true);
    say(CONTROL_RELOAD, write_next());
    await_answer(CONTROL_PREPARED);
    end();
    assert_int_equal(committed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_launcher_is_heard_and_answered),
        cmocka_unit_test(test_sighup_is_a_reload_where_no_launcher_is),
        cmocka_unit_test(test_a_sighup_held_while_starting_is_not_lost),
        cmocka_unit_test(test_a_launcher_that_is_gone_is_watched_no_more),
        cmocka_unit_test(test_what_is_prepared_is_forgotten_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
