/* reloader: the process's side of a reload. The test is the launcher, at the other end of the control socket, and the files' author. */
#include "conf_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "control.h"
#include "reloader.h"
#include "scratch_dir.h"

#define FILE_NAME "noria.yaml"

static char file[128], current[128], next[128];

static struct conf *in_force;
static struct reloader *reloader;
static int launcher, child;
static unsigned prepared, committed, aborted;
static const char *prepare_fault;

static struct conf *load(void)
{
    struct conf *conf;
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_OK);
    return conf;
}

static enum err_e prepare(void *arg, const struct conf *now, const struct conf *after,
                          char why[RELOADER_WHY_MAX])
{
    assert_ptr_equal(arg, &prepared);
    assert_ptr_equal(now, in_force);
    assert_non_null(after);
    prepared++;
    if (prepare_fault == NULL)
        return ERR_OK;
    snprintf(why, RELOADER_WHY_MAX, "%s", prepare_fault);
    return ERR_FULL;
}

static void commit(void *arg, struct conf *conf)
{
    assert_ptr_equal(arg, &prepared);
    committed++;
    conf_free(&in_force);
    in_force = conf;
}

static void forget(void *arg)
{
    assert_ptr_equal(arg, &prepared);
    aborted++;
}

static void begin(bool threaded, bool with_launcher)
{
    assert_int_equal(scratch_make("reloader_test"), 0);
    snprintf(file, sizeof file, "%s", scratch_file(FILE_NAME));
    snprintf(current, sizeof current, "%s", scratch_file("current"));
    snprintf(next, sizeof next, "%s", scratch_file("next"));
    prepared = committed = aborted = 0;
    prepare_fault = NULL;
    scratch_write(FILE_NAME, "log: {level: error}\n");
    in_force = load();
    launcher = child = -1;
    if (with_launcher) {
        assert_int_equal(control_pair(&launcher, &child), ERR_OK);
        assert_int_equal(conf_copy_write(in_force, current), ERR_OK);
        setenv(CONF_COPY_VARIABLE, current, 1);
    }
    const struct reloader_options options = {.file = file,
                                             .control = child,
                                             .threaded = threaded,
                                             .prepare = prepare,
                                             .commit = commit,
                                             .abort = forget,
                                             .arg = &prepared};
    reloader = reloader_new(&options, in_force);
    assert_non_null(reloader);
}

static void end(void)
{
    reloader_free(&reloader);
    conf_free(&in_force);
    if (launcher >= 0)
        close(launcher);
    if (child >= 0)
        close(child);
    unsetenv(CONF_COPY_VARIABLE);
    conf_copy_remove(current);
    conf_copy_remove(next);
    unlink(file);
    assert_int_equal(scratch_remove(), 0);
}

static uint64_t write_next(const char *text)
{
    unsetenv(CONF_COPY_VARIABLE);
    scratch_write(FILE_NAME, text);
    struct conf *conf = load();
    uint64_t digest = conf->digest;
    assert_int_equal(conf_copy_write(conf, next), ERR_OK);
    conf_free(&conf);
    setenv(CONF_COPY_VARIABLE, current, 1);
    return digest;
}

static void say(enum control_type_e type, uint32_t number, uint64_t digest)
{
    const struct control_message message = {.type = type, .number = number, .digest = digest};
    assert_int_equal(control_send(launcher, &message), ERR_OK);
    assert_int_equal(reloader_read(reloader), ERR_OK);
}

/* What the thread has to tell. */
static void await_thread(void)
{
    struct pollfd p = {.fd = reloader_fd(reloader), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    reloader_turn(reloader);
}

static struct control_message hear(enum control_type_e type, uint32_t number)
{
    struct control_message message;
    assert_int_equal(control_receive(launcher, &message), ERR_OK);
    assert_int_equal(message.type, type);
    assert_int_equal(message.number, number);
    return message;
}

static void hear_nothing(void)
{
    struct control_message message;
    assert_int_equal(control_receive(launcher, &message), ERR_BUSY);
}

/* --- with a launcher -------------------------------------------------------------------------------------------------- */

static void asked_prepared_and_committed(bool threaded)
{
    begin(threaded, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest);
    if (threaded) {
        hear_nothing();
        assert_int_equal(prepared, 0);
        await_thread();
    }
    hear(CONTROL_PREPARED, 1);
    assert_int_equal(in_force->log_level, LOG_ERROR);
    say(CONTROL_COMMIT, 1, 0);
    hear(CONTROL_DONE, 1);
    assert_int_equal(in_force->log_level, LOG_DEBUG);
    assert_int_equal(prepared * 100 + committed * 10 + aborted, 110);
    end();
}

static void a_reload_is_prepared_and_committed(void **state)
{
    (void)state;
    asked_prepared_and_committed(false);
}

static void also_with_a_thread(void **state)
{
    (void)state;
    asked_prepared_and_committed(true);
}

static void an_abort_changes_nothing(void **state)
{
    (void)state;
    begin(false, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest);
    hear(CONTROL_PREPARED, 1);
    say(CONTROL_ABORT, 1, 0);
    assert_int_equal(prepared * 100 + committed * 10 + aborted, 101);
    say(CONTROL_COMMIT, 1, 0); /* nobody says that, and it would change nothing */
    hear_nothing();
    say(CONTROL_RELOAD, 2, digest);
    hear(CONTROL_PREPARED, 2);
    say(CONTROL_COMMIT, 2, 0);
    hear(CONTROL_DONE, 2);
    end();
}

static void an_abort_reaches_what_is_still_read(void **state)
{
    (void)state;
    begin(true, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest);
    say(CONTROL_ABORT, 1, 0);
    await_thread();
    hear_nothing();
    assert_int_equal(prepared, 0);
    end();
}

static void a_newer_one_replaces_what_is_kept_or_read(void **state)
{
    (void)state;
    begin(true, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest);
    await_thread();
    hear(CONTROL_PREPARED, 1);
    say(CONTROL_RELOAD, 2, digest);
    assert_int_equal(aborted, 1);
    say(CONTROL_RELOAD, 3, digest); /* while 2 is read */
    await_thread();
    hear_nothing();
    await_thread();
    hear(CONTROL_PREPARED, 3);
    say(CONTROL_COMMIT, 3, 0);
    hear(CONTROL_DONE, 3);
    end();
}

static void other_bytes_than_those_meant_are_refused(void **state)
{
    (void)state;
    begin(false, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest + 1);
    struct control_message message = hear(CONTROL_REFUSED, 1);
    assert_non_null(strstr(message.text, "is not what is meant"));
    assert_int_equal(prepared, 0);
    end();
}

static void what_takes_a_restart_is_refused_by_its_name(void **state)
{
    (void)state;
    begin(false, true);
    uint64_t digest = write_next("log: {level: debug}\nring: {size_mib: 32}\n");
    say(CONTROL_RELOAD, 1, digest);
    assert_string_equal(hear(CONTROL_REFUSED, 1).text, "ring.size_mib: 64 → 32: takes a restart");
    end();
}

static void a_copy_that_is_broken_is_refused(void **state)
{
    (void)state;
    begin(false, true);
    char path[160];
    uint64_t digest = write_next("log: {level: debug}\n");
    snprintf(path, sizeof path, "%s/config", next);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("log: {level: loud}", out);
    assert_int_equal(fclose(out), 0);
    say(CONTROL_RELOAD, 1, digest);
    assert_non_null(strstr(hear(CONTROL_REFUSED, 1).text, ":1: log.level: loud is not one of"));
    conf_copy_remove(next);
    say(CONTROL_RELOAD, 2, digest);
    assert_non_null(strstr(hear(CONTROL_REFUSED, 2).text, "cannot be read"));
    end();
}

static void what_cannot_be_prepared_is_refused(void **state)
{
    (void)state;
    begin(false, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    prepare_fault = "no slot is free";
    say(CONTROL_RELOAD, 1, digest);
    assert_string_equal(hear(CONTROL_REFUSED, 1).text, "no slot is free");
    prepare_fault = "";
    say(CONTROL_RELOAD, 2, digest);
    assert_string_equal(hear(CONTROL_REFUSED, 2).text, err_text(ERR_FULL));
    assert_int_equal(prepared * 100 + committed * 10 + aborted, 200);
    end();
}

static void a_launcher_that_is_gone_is_told(void **state)
{
    (void)state;
    begin(false, true);
    close(launcher);
    launcher = -1;
    assert_int_equal(reloader_read(reloader), ERR_CLOSED);
    end();
}

static void other_messages_are_the_processs(void **state)
{
    (void)state;
    begin(false, true);
    assert_false(reloader_take(reloader, &(struct control_message){.type = CONTROL_DRAIN}));
    assert_false(reloader_take(reloader, &(struct control_message){.type = CONTROL_ADOPT}));
    end();
}

static void a_signal_is_left_to_the_launcher(void **state)
{
    (void)state;
    begin(false, true);
    write_next("log: {level: debug}\n");
    reloader_ask(reloader);
    assert_int_equal(prepared, 0);
    hear_nothing();
    end();
}

static void a_process_that_ends_meanwhile_leaves_nothing(void **state)
{
    (void)state;
    begin(true, true);
    uint64_t digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest);
    end(); /* while it is read */
    begin(false, true);
    digest = write_next("log: {level: debug}\n");
    say(CONTROL_RELOAD, 1, digest);
    end(); /* while it is kept */
    assert_int_equal(aborted, 1);
}

/* --- without one -------------------------------------------------------------------------------------------------------- */

static void alone(bool threaded)
{
    begin(threaded, false);
    scratch_write(FILE_NAME, "log: {level: debug}\nwebsocket: {max_connections: 7}\n");
    reloader_ask(reloader);
    if (threaded)
        await_thread();
    assert_int_equal(prepared * 100 + committed * 10 + aborted, 110);
    assert_int_equal(in_force->max_connections, 7);
    scratch_write(FILE_NAME, "log: {level: loud}\n");
    reloader_ask(reloader);
    if (threaded)
        await_thread();
    scratch_write(FILE_NAME, "max_machines: 7\n");
    reloader_ask(reloader);
    if (threaded)
        await_thread();
    prepare_fault = "no";
    scratch_write(FILE_NAME, "log: {level: warn}\n");
    reloader_ask(reloader);
    if (threaded)
        await_thread();
    assert_int_equal(prepared * 100 + committed * 10 + aborted, 210);
    assert_int_equal(in_force->max_connections, 7);
    end();
}

static void without_a_launcher_a_signal_does_it(void **state)
{
    (void)state;
    alone(false);
    alone(true);
}

static void a_signal_while_a_file_is_read_reads_it_again(void **state)
{
    (void)state;
    begin(true, false);
    scratch_write(FILE_NAME, "websocket: {max_connections: 7}\n");
    reloader_ask(reloader);
    reloader_ask(reloader);
    await_thread();
    assert_int_equal(committed, 0);
    await_thread();
    assert_int_equal(committed, 1);
    end();
}

static void nobody(int signal)
{
    (void)signal;
    committed++;
}

static void a_signal_at_the_start_is_kept(void **state)
{
    (void)state;
    committed = 0;
    reloader_hold_signal(true);
    assert_int_equal(raise(SIGHUP), 0); /* would end this program */
    signal(SIGHUP, nobody);
    assert_int_equal(committed, 0);
    reloader_hold_signal(false);
    assert_int_equal(committed, 1);
    signal(SIGHUP, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_is_prepared_and_committed),
        cmocka_unit_test(also_with_a_thread),
        cmocka_unit_test(an_abort_changes_nothing),
        cmocka_unit_test(an_abort_reaches_what_is_still_read),
        cmocka_unit_test(a_newer_one_replaces_what_is_kept_or_read),
        cmocka_unit_test(other_bytes_than_those_meant_are_refused),
        cmocka_unit_test(what_takes_a_restart_is_refused_by_its_name),
        cmocka_unit_test(a_copy_that_is_broken_is_refused),
        cmocka_unit_test(what_cannot_be_prepared_is_refused),
        cmocka_unit_test(a_launcher_that_is_gone_is_told),
        cmocka_unit_test(other_messages_are_the_processs),
        cmocka_unit_test(a_signal_is_left_to_the_launcher),
        cmocka_unit_test(a_process_that_ends_meanwhile_leaves_nothing),
        cmocka_unit_test(without_a_launcher_a_signal_does_it),
        cmocka_unit_test(a_signal_while_a_file_is_read_reads_it_again),
        cmocka_unit_test(a_signal_at_the_start_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
