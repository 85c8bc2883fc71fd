/* `noria audit` on journals that the test writes: what it shows of them and for which words; times; usage. */
#include "audit_stage.h"

/* --- show -------------------------------------------------------------------------------------------------------- */

static void a_line_per_command(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show"), 0);
    assert_string_equal(said, "");
    assert_string_equal(shown, "2026-01-01T12:00:01.000Z  m1          ana       10.0.0.7:40001         move "
                               "25         R-1           218/3 → 218/25  "
                               "completed  8123 ms\n"
                               "2026-01-01T12:00:03.000Z  m1          ana       10.0.0.7:40001         move "
                               "25         R-1           218/3 → 218/25  "
                               "completed (repeat)  8123 ms\n"
                               "2026-01-01T12:00:20.000Z  m1          -         10.0.0.7:40001         "
                               "command 7       R-2           218/3 → 219/4  "
                               "OUTCOME_UNKNOWN \"The reply was lost\" (reconciled)  12 ms\n"
                               "2026-01-01T12:00:30.000Z  m1          -         -                      "
                               "emergency stop  -             - → -  "
                               "latched\n"
                               "2026-01-01T12:00:31.000Z  m1          uid 0     noria rearm            rearm "
                               "          -             - → -  "
                               "rearmed\n"
                               "2026-01-01T12:00:40.000Z  m1          ana       10.0.0.7:40001         move "
                               "25         R-5           218/3 → -  no "
                               "result\n");
}

static void refusals_by_time(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show --refusals -m m1"), 0);
    assert_int_equal(lines(shown), 7);
    const char *second = strchr(shown, '\n') + 1;
    assert_memory_equal(second, "2026-01-01T12:00:02.000Z", 24);
    says(second, "evil ?[2J");
    says(second, "BUSY \"Machine is busy\"  12 ms\n");
}

static void only_what_is_asked_for(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show --request R-1"), 0);
    assert_int_equal(lines(shown), 2);
    assert_int_equal(audit("show --since 2026-01-01T12:00:03Z --until 2026-01-01T12:00:30"), 0);
    assert_int_equal(lines(shown), 2);
    assert_int_equal(audit("show --since 30s"), 0);
    assert_int_equal(lines(shown), 3);
    assert_int_equal(audit("show -m m2"), 0);
    assert_string_equal(shown, "");
    assert_int_equal(audit("show -m m3"), 1);
    says(said, "/state/agents/m3 has no journal\n");
}

static void as_json(void **state)
{
    (void)state;
    write_journals();
    assert_int_equal(audit("show --json --request R-2"), 0);
    assert_string_equal(
        shown,
        "{\"time\":\"2026-01-01T12:00:20.000Z\",\"machine\":\"m1\",\"chain\":\"commands\",\"n\":8,"
        "\"from\":\"10.0.0.7:40001\",\"request_id\":\"R-2\",\"key\":\"0000000000000009-1-3\","
        "\"command\":7,\"before\":{\"raw\":218,\"position\":3},\"after\":{\"raw\":219,\"position\":4},"
        "\"outcome\":\"OUTCOME_UNKNOWN\",\"text\":\"The reply was lost\",\"elapsed_ms\":12,\"sent\":true,"
        "\"repeat\":false,\"reconciled\":true}\n");
}

/* A move that never ends does not hold back what comes after it for ever. */
static void many_wait_for_one(void **state)
{
    (void)state;
    struct writer commands = begin("m1", JOURNAL_COMMANDS);
    struct journal_record move = command(1, "R-1", NOON_MS);
    note(&commands, move);
    note(&commands, result(move, CODE_NONE, ""));
    for (uint64_t i = 2; i < 300; i++) {
        struct journal_record again = result(command(i, "R-1", NOON_MS + i), CODE_NONE, "");
        again.repeat = true;
        note(&commands, again);
    }
    assert_int_equal(audit("show"), 0);
    assert_int_equal(lines(shown), 299);
    says(shown, "2026-01-01T12:00:00.000Z  m1          ana       10.0.0.7:40001         move 25         R-1  "
                "         218/3 → "
                "219/4  accepted  12 ms\n");
}

/* --- words ------------------------------------------------------------------------------------------------------- */

static void usage_is_2(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "prove",
        "show more",
        "show --nonsense",
        "show --since yesterday",
        "show --until 2026-02-30",
        "show -m ../x",
        "verify --head m1",
        "verify --head m1:commands:1:abc",
        "verify --head m1:other:1:0000000000000000000000000000000000000000000000000000000000000000",
        "verify --head m1:commands:-1:0000000000000000000000000000000000000000000000000000000000000000",
        "verify --head",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (audit(wrong[i]) != 2)
            fail_msg("\"%s\" is no usage error", wrong[i]);
        says(said, "see noria audit --help\n");
    }
    assert_int_equal(audit("--help"), 0);
    says(shown, "usage: noria audit show");
    assert_int_equal(audit("verify"), 1);
    says(said, "/state/agents has no journal\n");
    assert_int_equal(audit("verify -c /nowhere.yaml"), 78);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms; /* 0: none */
    } cases[] = {
        {"2026-01-01", NOON_MS - 12 * 3600 * 1000},
        {"2026-01-01T12:00:00Z", NOON_MS},
        {"2026-01-01 12:00", NOON_MS},
        {"2026-01-01T12:00:07", NOON_MS + 7000},
        {"90s", NOON_MS - 90000},
        {"15m", NOON_MS - 900000},
        {"2h", NOON_MS - 7200000},
        {"3d", NOON_MS - 259200000},
        {"2026-13-01", 0},
        {"2026-02-29", 0},
        {"2026-01-01x", 0},
        {"", 0},
        {"-2h", 0},
        {"2w", 0},
        {"1969-12-31", 0},
        {"99999999999d", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 0;
        assert_int_equal(audit_time_parse(cases[i].text, NOON_MS, &ms), cases[i].ms != 0);
        if (cases[i].ms != 0)
            assert_int_equal(ms, cases[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_per_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_by_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_wait_for_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(usage_is_2, set_up, tear_down),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
