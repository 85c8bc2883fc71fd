/* reload_stage.h — for the tests of the launcher's reload: the transaction on a clock of the test's, a file, and four processes that the test
 * plays: they answer, refuse, are silent, die, come late.
 */
#pragma once

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

static inline size_t list_members(void *arg, struct reload_member members[RELOAD_MEMBERS_MAX])
{
    assert_ptr_equal(arg, players);
    for (size_t k = 0; k < MEMBERS; k++)
        members[k] = (struct reload_member){players[k].name, players[k].start, players[k].state};
    return MEMBERS;
}

static inline struct player *player(const char *name)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(players[i].name, name) == 0)
            return &players[i];
    fail_msg("nobody is called %s", name);
    return NULL;
}

static inline enum err_e send(void *arg, const char *name, const struct control_message *message)
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

static inline void restart(void *arg, const char *name)
{
    assert_ptr_equal(arg, players);
    player(name)->restarts++;
}

static inline bool possible(void *arg, const struct conf *next, char why[RELOAD_PROBLEM_MAX])
{
    (void)arg;
    assert_non_null(next);
    if (impossible != NULL)
        snprintf(why, RELOAD_PROBLEM_MAX, "%s", impossible);
    return impossible == NULL;
}

static inline void expect(void *arg, const struct conf *now, const struct conf *after)
{
    (void)arg;
    assert_ptr_equal(now, in_force);
    assert_true(after->digest != 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_true(players[i].heard[0] == '\0' ||
                    players[i].heard[strlen(players[i].heard) - 1] == 'R'); /* not told yet */
    expected_ends++;
}

static inline void apply(void *arg, const struct conf *was, struct conf *is)
{
    (void)arg;
    assert_int_equal(expected_ends, applied + 1);
    assert_ptr_equal(was, in_force);
    conf_free(&in_force);
    in_force = is;
    applied++;
}

/* --- the stage -------------------------------------------------------------------------------------------------------- */

static inline void write_file(const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fprintf(out, "runtime_dir: %s\nlisteners: [{name: main}]\n%s", dir, text);
    assert_int_equal(fclose(out), 0);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void on_line(void *arg, const char *line)
{
    assert_ptr_equal(arg, lines);
    size_t len = strlen(lines);
    snprintf(lines + len, sizeof lines - len, "%s\n", line);
}

static inline void on_done(void *arg, const char *why)
{
    assert_ptr_equal(arg, lines);
    done++;
    snprintf(problem, sizeof problem, "%s", why != NULL ? why : "");
}

static inline void begin(const char *text)
{
    write_file(text);
    assert_int_equal(reload_begin(reload, false, on_line, on_done, lines), ERR_OK);
}

static inline void says(const char *name, enum control_type_e type, uint32_t number, const char *text)
{
    struct control_message message = {.type = type, .number = number};
    snprintf(message.text, sizeof message.text, "%s", text);
    reload_heard(reload, name, player(name)->start, &message);
}

static inline void all_say(enum control_type_e type, uint32_t number)
{
    for (size_t i = 0; i < MEMBERS; i++)
        says(players[i].name, type, number, "");
}

static inline void all_heard(const char *words)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(players[i].heard, words) != 0)
            fail_msg("%s heard %s, not %s", players[i].name, players[i].heard, words);
}

static inline void pass(uint64_t ns)
{
    clock_manual_advance_ns(&time, ns);
    loop_poll(loop);
}

static inline void dies(const char *name)
{
    player(name)->start = 0;
    player(name)->state = RELOAD_AWAY;
    reload_family_changed(reload);
}

static inline void starts(const char *name, uint64_t start, enum reload_state_e state)
{
    player(name)->start = start;
    player(name)->state = state;
    reload_family_changed(reload);
}

/* What a process that starts now reads. */
static inline enum log_level_e level_in_copy(void)
{
    struct conf *conf;
    setenv(CONF_COPY_VARIABLE, current, 1);
    assert_int_equal(conf_load(file, conf_collect, NULL, &conf), ERR_OK);
    unsetenv(CONF_COPY_VARIABLE);
    enum log_level_e level = conf->log_level;
    conf_free(&conf);
    return level;
}

static inline void nothing_changed(void)
{
    assert_false(reload_busy(reload));
    assert_int_equal(applied, 0);
    assert_int_equal(in_force->log_level, LOG_ERROR);
    assert_int_equal(level_in_copy(), LOG_ERROR);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(players[i].restarts, 0);
}

static inline void is_in_force(void)
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
