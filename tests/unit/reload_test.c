/* reload: the transaction, on a clock of the test's, with processes that the test plays: they answer, refuse, are silent, die, come late. All of them
 * take a configuration, or none does; what is in force is what whoever starts next will read. */
#include "conf_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "reload.h"

#define FIRST "ring: {size_mib: 1}\nlog: {level: error}\nmachines: [{id: a, ip: 10.0.0.1}]\n"

enum { MEMBERS = 4 };

struct player {
    const char *name;
    uint64_t start;
    enum reload_state_e state;
    char heard[8]; /* R(ELOAD), C(OMMIT), A(BORT) */
    unsigned restarts;
    bool deaf;
    uint64_t digest;
};

static char dir[64], file[128], current[128];
static struct clock_manual time;
static struct loop *loop;
static struct player players[MEMBERS];
static struct reload *reload;
static struct conf *in_force;
static unsigned applied, expected_ends;
static const char *impossible;

static char lines[16 * 1024], problem[RELOAD_PROBLEM_MAX];
static unsigned done;

/* --- the family ------------------------------------------------------------------------------------------------------- */

static size_t list_members(void *arg, struct reload_member members[RELOAD_MEMBERS_MAX])
{
    assert_ptr_equal(arg, players);
    for (size_t k = 0; k < MEMBERS; k++)
        members[k] = (struct reload_member){players[k].name, players[k].start, players[k].state};
    return MEMBERS;
}

static struct player *player(const char *name)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(players[i].name, name) == 0)
            return &players[i];
    fail_msg("nobody is called %s", name);
    return NULL;
}

static enum err_e send(void *arg, const char *name, const struct control_message *message)
{
    struct player *who = player(name);
    assert_ptr_equal(arg, players);
    if (who->start == 0)
        return ERR_CLOSED;
    if (who->deaf)
        return ERR_FULL;
    char word = message->type == CONTROL_RELOAD   ? 'R'
                : message->type == CONTROL_COMMIT ? 'C'
                : message->type == CONTROL_ABORT  ? 'A'
                                                  : '?';
    size_t len = strlen(who->heard);
    assert_true(len + 1 < sizeof who->heard);
    who->heard[len] = word;
    who->digest = message->digest;
    return ERR_OK;
}

static void restart(void *arg, const char *name)
{
    assert_ptr_equal(arg, players);
    player(name)->restarts++;
}

static bool possible(void *arg, const struct conf *next, char why[RELOAD_PROBLEM_MAX])
{
    (void)arg;
    assert_non_null(next);
    if (impossible != NULL)
        snprintf(why, RELOAD_PROBLEM_MAX, "%s", impossible);
    return impossible == NULL;
}

static void expect(void *arg, const struct conf *now, const struct conf *after)
{
    (void)arg;
    assert_ptr_equal(now, in_force);
    assert_true(after->digest != 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_true(players[i].heard[0] == '\0' ||
                    players[i].heard[strlen(players[i].heard) - 1] == 'R'); /* not told yet */
    expected_ends++;
}

static void apply(void *arg, const struct conf *was, struct conf *is)
{
    (void)arg;
    assert_int_equal(expected_ends, applied + 1);
    assert_ptr_equal(was, in_force);
    conf_free(&in_force);
    in_force = is;
    applied++;
}

/* --- the stage -------------------------------------------------------------------------------------------------------- */

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fprintf(out, "runtime_dir: %s\nlisteners: [{name: main}]\n%s", dir, text);
    assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
    static const char *const names[MEMBERS] = {"plc-sim", "broker", "store", "worker.0"};
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/reload_test.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/noria.yaml", dir);
    snprintf(current, sizeof current, "%s/" CONF_COPY_CURRENT, dir);
    write_file(FIRST);
    assert_int_equal(conf_load(file, conf_collect, NULL, &in_force), ERR_OK);
    assert_int_equal(reload_first_copy(in_force), ERR_OK);
    for (size_t i = 0; i < MEMBERS; i++)
        players[i] = (struct player){.name = names[i], .start = i + 1, .state = RELOAD_READY};
    clock_manual_init(&time, 1000 * NS_PER_S, 0);
    loop = loop_new(&time.clock);
    const struct reload_family family = {.arg = players,
                                         .members = list_members,
                                         .send = send,
                                         .restart = restart,
                                         .possible = possible,
                                         .expect = expect,
                                         .apply = apply};
    reload = reload_new(loop, &family, file, in_force);
    assert_non_null(reload);
    lines[0] = problem[0] = '\0';
    done = applied = expected_ends = 0;
    impossible = NULL;
    return 0;
}

static int teardown(void **state)
{
    char path[160];
    (void)state;
    reload_free(&reload);
    loop_free(&loop);
    conf_free(&in_force);
    snprintf(path, sizeof path, "%s/" CONF_COPY_NEXT, dir);
    assert_int_not_equal(access(path, F_OK), 0); /* nothing is left of it, either way */
    conf_copy_remove(current);
    snprintf(path, sizeof path, "%s/conf", dir);
    assert_int_equal(rmdir(path), 0);
    unlink(file);
    return rmdir(dir);
}

static void on_line(void *arg, const char *line)
{
    assert_ptr_equal(arg, lines);
    size_t len = strlen(lines);
    snprintf(lines + len, sizeof lines - len, "%s\n", line);
}

static void on_done(void *arg, const char *why)
{
    assert_ptr_equal(arg, lines);
    done++;
    snprintf(problem, sizeof problem, "%s", why != NULL ? why : "");
}

static void begin(const char *text)
{
    write_file(text);
    assert_int_equal(reload_begin(reload, false, on_line, on_done, lines), ERR_OK);
}

static void says(const char *name, enum control_type_e type, uint32_t number, const char *text)
{
    struct control_message message = {.type = type, .number = number};
    snprintf(message.text, sizeof message.text, "%s", text);
    reload_heard(reload, name, player(name)->start, &message);
}

static void all_say(enum control_type_e type, uint32_t number)
{
    for (size_t i = 0; i < MEMBERS; i++)
        says(players[i].name, type, number, "");
}

static void all_heard(const char *words)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(players[i].heard, words) != 0)
            fail_msg("%s heard %s, not %s", players[i].name, players[i].heard, words);
}

static void pass(uint64_t ns)
{
    clock_manual_advance_ns(&time, ns);
    loop_poll(loop);
}

static void dies(const char *name)
{
    player(name)->start = 0;
    player(name)->state = RELOAD_AWAY;
    reload_family_changed(reload);
}

static void starts(const char *name, uint64_t start, enum reload_state_e state)
{
    player(name)->start = start;
    player(name)->state = state;
    reload_family_changed(reload);
}

/* What a process that starts now reads. */
static enum log_level_e level_in_copy(void)
{
    struct conf *conf;
    setenv(CONF_COPY_VARIABLE, current, 1);
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_OK);
    unsetenv(CONF_COPY_VARIABLE);
    enum log_level_e level = conf->log_level;
    conf_free(&conf);
    return level;
}

static void nothing_changed(void)
{
    assert_false(reload_busy(reload));
    assert_int_equal(applied, 0);
    assert_int_equal(in_force->log_level, LOG_ERROR);
    assert_int_equal(level_in_copy(), LOG_ERROR);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(players[i].restarts, 0);
}

static void is_in_force(void)
{
    assert_false(reload_busy(reload));
    assert_int_equal(done, 1);
    assert_string_equal(problem, "");
    assert_int_equal(applied, 1);
    assert_int_equal(in_force->log_level, LOG_DEBUG);
    assert_int_equal(level_in_copy(), LOG_DEBUG);
}

#define SECOND                                                                                               \
    "ring: {size_mib: 1}\nlog: {level: debug}\nmachines: [{id: a, ip: 10.0.0.1}, {id: b, ip: 10.0.0.2}]\n"

/* --- all go along ------------------------------------------------------------------------------------------------------- */

static void all_processes_take_it(void **state)
{
    (void)state;
    begin(SECOND);
    assert_string_equal(lines, "log.level: error → debug\nmachines[b]: added\n");
    all_heard("R");
    assert_int_equal(level_in_copy(), LOG_ERROR);
    for (size_t i = 0; i + 1 < MEMBERS; i++)
        says(players[i].name, CONTROL_PREPARED, 1, "");
    all_heard("R");
    says("worker.0", CONTROL_PREPARED, 1, "");
    all_heard("RC");
    assert_int_equal(level_in_copy(), LOG_DEBUG);
    assert_int_equal(done + applied, 0); /* agents come after all others */
    all_say(CONTROL_DONE, 1);
    is_in_force();
    assert_true(players[0].digest == in_force->digest);
}

static void a_file_without_a_change_runs_through_too(void **state)
{
    (void)state;
    begin(FIRST);
    assert_string_equal(lines, "no key has another value\n");
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    assert_int_equal(done * 10 + applied, 11);
    assert_string_equal(problem, "");
}

static void a_dry_run_asks_nobody(void **state)
{
    (void)state;
    write_file(SECOND);
    assert_int_equal(reload_begin(reload, true, on_line, on_done, lines), ERR_OK);
    assert_int_equal(done, 1);
    assert_string_equal(problem, "");
    assert_string_equal(lines, "log.level: error → debug\nmachines[b]: added\n");
    all_heard("");
    nothing_changed();
}

/* --- refusals ------------------------------------------------------------------------------------------------------------- */

static void a_broken_file_is_refused_with_all_problems(void **state)
{
    (void)state;
    char expected[500];
    begin("log: {level: loud}\nring: {size_mib: 3}\n");
    snprintf(expected, sizeof expected,
             "%s:3: log.level: loud is not one of error, warn, info, debug\n"
             "%s:4: ring.size_mib: 3 is not a power of two (1 to 4096 MiB)\n",
             file, file);
    assert_string_equal(lines, expected);
    assert_int_equal(done, 1);
    assert_non_null(strstr(problem, file));
    all_heard("");
    nothing_changed();
}

static void a_schema_that_is_broken_is_refused(void **state)
{
    (void)state;
    begin(FIRST
          "handlers: [{name: h, socket: /h}]\nendpoints: [{path: /e, handler: h, schema: none.json}]\n");
    assert_non_null(strstr(lines, "none.json cannot be opened"));
    assert_non_null(strstr(problem, "a schema or a key cannot be used"));
    nothing_changed();
}

static void a_key_that_is_broken_is_refused(void **state)
{
    (void)state;
    begin(FIRST "auth: {keys: [{kid: k, alg: RS256, file: noria.yaml}]}\n"); /* no PEM */
    assert_non_null(strstr(lines, "k"));
    assert_non_null(strstr(problem, "a key of auth.keys cannot be used"));
    nothing_changed();
}

static void what_takes_a_restart_refuses_all(void **state)
{
    (void)state;
    begin("ring: {size_mib: 2}\nlog: {level: debug}\nworkers: {count: 61}\nmachines: [{id: a, ip: "
          "10.0.0.1}]\n");
    assert_non_null(
        strstr(lines, "log.level: error → debug\nring.size_mib: 1 → 2: takes a restart\nworkers.count: "));
    assert_string_equal(problem, "ring.size_mib and 1 more: takes a restart; nothing has changed");
    all_heard("");
    nothing_changed();
}

static void a_program_that_is_missing_refuses(void **state)
{
    (void)state;
    impossible = "there is no plc-sim";
    begin(SECOND);
    assert_string_equal(problem, "there is no plc-sim");
    all_heard("");
    nothing_changed();
}

static void one_that_refuses_refuses_for_all(void **state)
{
    (void)state;
    begin(SECOND);
    says("broker", CONTROL_PREPARED, 1, "");
    says("store", CONTROL_REFUSED, 1, "no room");
    assert_int_equal(done, 1);
    assert_string_equal(problem, "store: no room; nothing has changed");
    assert_string_equal(player("broker")->heard, "RA");
    assert_string_equal(player("worker.0")->heard, "RA");
    nothing_changed();
    says("worker.0", CONTROL_PREPARED, 1, ""); /* comes late, and means nothing */
    assert_int_equal(done, 1);
}

static void one_that_dies_refuses_for_all(void **state)
{
    (void)state;
    begin(SECOND);
    says("plc-sim", CONTROL_PREPARED, 1, "");
    dies("worker.0");
    assert_string_equal(problem, "worker.0 has ended meanwhile; nothing has changed");
    assert_string_equal(player("plc-sim")->heard, "RA");
    assert_string_equal(player("broker")->heard, "RA");
    assert_string_equal(player("worker.0")->heard, "R");
    nothing_changed();
}

static void one_that_died_and_came_back_is_another(void **state)
{
    (void)state;
    begin(SECOND);
    player("worker.0")->start = 77; /* in one turn of the loop */
    reload_family_changed(reload);
    assert_string_equal(problem, "worker.0 has ended meanwhile; nothing has changed");
    nothing_changed();
}

static void silence_refuses_after_ten_seconds(void **state)
{
    (void)state;
    begin(SECOND);
    says("plc-sim", CONTROL_PREPARED, 1, "");
    says("store", CONTROL_PREPARED, 1, "");
    says("worker.0", CONTROL_PREPARED, 1, "");
    pass(RELOAD_ANSWER_NS - 1);
    assert_int_equal(done, 0);
    pass(1);
    assert_string_equal(problem, "broker did not answer within 10 s; nothing has changed");
    all_heard("RA");
    nothing_changed();
}

static void one_that_does_not_read_refuses(void **state)
{
    (void)state;
    player("store")->deaf = true;
    begin(SECOND);
    assert_string_equal(problem, "store cannot be asked (no room); nothing has changed");
    assert_string_equal(player("broker")->heard, "RA");
    nothing_changed();
}

static void one_that_ended_before_it_was_asked_refuses_likewise(void **state)
{
    (void)state;
    player("worker.0")->start = 0; /* and the family has not told yet */
    begin(SECOND);
    assert_string_equal(problem, "worker.0 has ended meanwhile; nothing has changed");
    assert_string_equal(player("broker")->heard, "RA");
    nothing_changed();
}

static void an_answer_of_an_earlier_reload_is_none(void **state)
{
    (void)state;
    begin(SECOND);
    says("store", CONTROL_REFUSED, 1, "no room");
    lines[0] = '\0';
    begin(SECOND);
    all_say(CONTROL_PREPARED, 1);
    assert_null(strchr(player("broker")->heard, 'C'));
    all_say(CONTROL_PREPARED, 2);
    all_say(CONTROL_DONE, 2);
    assert_int_equal(done, 2);
    assert_int_equal(applied, 1);
}

/* --- members that come and go --------------------------------------------------------------------------------------------- */

static void who_is_away_is_not_asked(void **state)
{
    (void)state;
    player("store")->start = 0;
    player("store")->state = RELOAD_AWAY;
    begin(SECOND);
    says("plc-sim", CONTROL_PREPARED, 1, "");
    says("broker", CONTROL_PREPARED, 1, "");
    says("worker.0", CONTROL_PREPARED, 1, "");
    assert_string_equal(player("broker")->heard, "RC");
    assert_string_equal(player("store")->heard, "");
    says("plc-sim", CONTROL_DONE, 1, "");
    says("broker", CONTROL_DONE, 1, "");
    says("worker.0", CONTROL_DONE, 1, "");
    is_in_force();
}

static void who_starts_is_waited_for(void **state)
{
    (void)state;
    player("store")->state = RELOAD_STARTING;
    begin(SECOND);
    all_heard("");
    pass(RELOAD_WAIT_NS / 2);
    starts("store", 3, RELOAD_READY);
    all_heard("R");
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    is_in_force();
}

/* It read what was in force when it started. */
static void who_starts_for_too_long_is_started_anew(void **state)
{
    (void)state;
    player("store")->state = RELOAD_STARTING;
    begin(SECOND);
    pass(RELOAD_WAIT_NS);
    assert_string_equal(player("store")->heard, "");
    says("plc-sim", CONTROL_PREPARED, 1, "");
    says("broker", CONTROL_PREPARED, 1, "");
    says("worker.0", CONTROL_PREPARED, 1, "");
    assert_int_equal(player("store")->restarts, 1);
    assert_int_equal(player("broker")->restarts, 0);
    says("plc-sim", CONTROL_DONE, 1, "");
    says("broker", CONTROL_DONE, 1, "");
    says("worker.0", CONTROL_DONE, 1, "");
    is_in_force();
}

static void who_came_while_others_were_asked_is_started_anew(void **state)
{
    (void)state;
    player("store")->start = 0;
    player("store")->state = RELOAD_AWAY;
    begin(SECOND);
    starts("store", 9, RELOAD_STARTING);
    starts("store", 9, RELOAD_READY);
    assert_int_equal(done, 0);
    for (size_t i = 0; i < MEMBERS; i++)
        if (i != 2)
            says(players[i].name, CONTROL_PREPARED, 1, "");
    assert_int_equal(player("store")->restarts, 1);
    assert_string_equal(player("store")->heard, "");
    for (size_t i = 0; i < MEMBERS; i++)
        if (i != 2)
            says(players[i].name, CONTROL_DONE, 1, "");
    is_in_force();
}

static void who_is_being_replaced_is_waited_for_and_then_refuses(void **state)
{
    (void)state;
    player("worker.0")->state = RELOAD_REPLACED;
    begin(SECOND);
    pass(RELOAD_WAIT_NS);
    assert_string_equal(problem, "worker.0 is just being replaced; nothing has changed");
    all_heard("");
    player("worker.0")->state = RELOAD_READY;
    begin(SECOND);
    player("worker.0")->state = RELOAD_REPLACED;
    reload_family_changed(reload);
    all_say(CONTROL_PREPARED, 2);
    assert_string_equal(problem, "worker.0 is just being replaced; nothing has changed");
    all_heard("RA");
    nothing_changed();
}

/* --- after the commit there is no way back -------------------------------------------------------------------------------- */

static void who_dies_after_the_commit_comes_back_with_it(void **state)
{
    (void)state;
    begin(SECOND);
    all_say(CONTROL_PREPARED, 1);
    dies("broker");
    starts("broker", 50, RELOAD_STARTING);
    says("plc-sim", CONTROL_DONE, 1, "");
    says("store", CONTROL_DONE, 1, "");
    says("worker.0", CONTROL_DONE, 1, "");
    is_in_force();
    assert_int_equal(player("broker")->restarts, 0);
}

static void all_may_die_after_the_commit(void **state)
{
    (void)state;
    begin(SECOND);
    all_say(CONTROL_PREPARED, 1);
    for (size_t i = 0; i < MEMBERS; i++)
        dies(players[i].name);
    is_in_force();
}

static void who_does_not_say_done_is_restarted(void **state)
{
    (void)state;
    begin(SECOND);
    for (size_t i = 0; i + 1 < MEMBERS; i++)
        says(players[i].name, CONTROL_PREPARED, 1, "");
    player("store")->deaf = true; /* does not read COMMIT */
    says("worker.0", CONTROL_PREPARED, 1, "");
    says("plc-sim", CONTROL_DONE, 1, "");
    says("broker", CONTROL_DONE, 1, "");
    pass(RELOAD_ANSWER_NS);
    is_in_force();
    assert_int_equal(player("store")->restarts, 1);
    assert_int_equal(player("worker.0")->restarts, 1);
    assert_int_equal(player("broker")->restarts, 0);
}

/* --- who asks ------------------------------------------------------------------------------------------------------------- */

static void one_at_a_time(void **state)
{
    (void)state;
    begin(SECOND);
    assert_true(reload_busy(reload));
    assert_int_equal(reload_begin(reload, false, on_line, on_done, lines), ERR_BUSY);
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    is_in_force();
}

static void a_signal_meanwhile_is_not_lost(void **state)
{
    (void)state;
    begin(SECOND);
    write_file(FIRST);
    reload_signal(reload);
    reload_signal(reload);
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    is_in_force();
    pass(0);
    assert_true(reload_busy(reload));
    all_heard("RCR");
    all_say(CONTROL_PREPARED, 2);
    all_say(CONTROL_DONE, 2);
    assert_int_equal(level_in_copy(), LOG_ERROR);
    assert_int_equal(done, 1); /* nobody is told of a signal's */
    pass(0);
    assert_false(reload_busy(reload));
}

static void who_asked_may_go(void **state)
{
    (void)state;
    begin(SECOND);
    reload_forget(reload, &time); /* somebody else */
    reload_forget(reload, lines);
    all_say(CONTROL_PREPARED, 1);
    all_say(CONTROL_DONE, 1);
    assert_int_equal(done, 0);
    assert_int_equal(applied, 1);
}

static void a_launcher_that_stops_forgets_it(void **state)
{
    (void)state;
    char path[160];
    begin(SECOND);
    reload_free(&reload);
    assert_int_equal(done, 0);
    assert_int_equal(level_in_copy(), LOG_ERROR);
    snprintf(path, sizeof path, "%s/" CONF_COPY_NEXT, dir);
    conf_copy_remove(path); /* as rundir does */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(all_processes_take_it),
        T(a_file_without_a_change_runs_through_too),
        T(a_dry_run_asks_nobody),
        T(a_broken_file_is_refused_with_all_problems),
        T(a_schema_that_is_broken_is_refused),
        T(a_key_that_is_broken_is_refused),
        T(what_takes_a_restart_refuses_all),
        T(a_program_that_is_missing_refuses),
        T(one_that_refuses_refuses_for_all),
        T(one_that_dies_refuses_for_all),
        T(one_that_died_and_came_back_is_another),
        T(silence_refuses_after_ten_seconds),
        T(one_that_does_not_read_refuses),
        T(one_that_ended_before_it_was_asked_refuses_likewise),
        T(an_answer_of_an_earlier_reload_is_none),
        T(who_is_away_is_not_asked),
        T(who_starts_is_waited_for),
        T(who_starts_for_too_long_is_started_anew),
        T(who_came_while_others_were_asked_is_started_anew),
        T(who_is_being_replaced_is_waited_for_and_then_refuses),
        T(who_dies_after_the_commit_comes_back_with_it),
        T(all_may_die_after_the_commit),
        T(who_does_not_say_done_is_restarted),
        T(one_at_a_time),
        T(a_signal_meanwhile_is_not_lost),
        T(who_asked_may_go),
        T(a_launcher_that_stops_forgets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
