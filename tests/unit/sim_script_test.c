/* Scripts: control commands on the clock. */
#include "sim_play.h"
#include "sim_script.h"

/* --- scripts ------------------------------------------------------------------------------------------------------- */

static enum err_e load(struct play *play, const char *text, struct sim_script **script)
{
    char path[128];
    snprintf(path, sizeof path, "%s/script", play->directory);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    *script = NULL;
    enum err_e err = sim_script_load(path, play->loop, play->server, script);
    unlink(path);
    return err;
}

static void a_script_runs_on_the_clock(void **state)
{
    (void)state;
    struct play *p = begin(false);
    struct sim_script *script;
    assert_int_equal(load(p,
                          "# in any order\n\n"
                          "  at 300 set m1 position 30\n" /* refused when it runs; the script goes on */
                          "at 300 set m1 position 3\r\n"
                          "at\t100  set m1 position 1\n"
                          "at 300 set m1 position 4",
                          &script),
                     ERR_OK);
    const struct sim_machine *m = &sim_server_find(p->server, "m1")->machine;
    pass_ms(p, 1000);
    assert_int_equal(m->position, 0);
    sim_script_start(script);
    pass_ms(p, 0);
    pass_ms(p, 99);
    assert_int_equal(m->position, 0);
    pass_ms(p, 1);
    assert_int_equal(m->position, 1);
    pass_ms(p, 199);
    assert_int_equal(m->position, 1);
    pass_ms(p, 1);
    assert_int_equal(m->position, 4);
    sim_script_free(&script);
    end(p);
}

static void bad_scripts_are_refused_whole(void **state)
{
    (void)state;
    struct play *p = begin(false);
    static const struct {
        const char *text;
        enum err_e err;
    } bad[] = {
        {"at 1 list\nlist\n", ERR_MALFORMED},
        {"at\n", ERR_MALFORMED},
        {"at 1\n", ERR_MALFORMED},
        {"at x list\n", ERR_MALFORMED},
        {"at -1 list\n", ERR_MALFORMED},
        {"at 1 luck\n", ERR_MALFORMED},
        {"at 1 wait m1 idle\n", ERR_MALFORMED},
        {"at 1 get m3\n", ERR_NOT_FOUND},
    };
    struct sim_script *script;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(load(p, bad[i].text, &script), bad[i].err);
    char line[2 * SIM_LINE_MAX];
    memset(line, ' ', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    assert_int_equal(load(p, line, &script), ERR_TOO_LARGE);
    assert_int_equal(sim_script_load("/nowhere", p->loop, p->server, &script), ERR_SYSTEM);
    assert_int_equal(load(p, "# nothing\n", &script), ERR_OK);
    sim_script_start(script);
    sim_script_free(&script);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_runs_on_the_clock),
        cmocka_unit_test(bad_scripts_are_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
