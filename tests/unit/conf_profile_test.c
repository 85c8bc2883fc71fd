/* conf: the user's own profiles, from the file to what a machine is read with. */
#include "conf_fixture.h"

static const char good[] =
    "profiles:\n"                                                                /* 1 */
    "  - name: lift\n"                                                           /* 2 */
    "    version: 7\n"                                                           /* 3 */
    "    bits:\n"                                                                /* 4 */
    "      - {bit: 5, key: RUN, zero: {text: Stands, meaning: stopped},\n"       /* 5 */
    "         one: {text: Moves, meaning: moving}}\n"                            /* 6 */
    "      - bit: 0\n"                                                           /* 7 */
    "        key: MODE\n"                                                        /* 8 */
    "        zero: {text: Señal, meaning: manual}\n"                             /* 9 */
    "        one:\n"                                                             /* 10 */
    "          text: Remote\n"                                                   /* 11 */
    "          meaning: remote\n"                                                /* 12 */
    "      - {bit: 2, key: LAMP, zero: {text: \"off\"}, one: {text: \"on\"}}\n"; /* 13 */

#define MACHINES "listeners: [{name: a}]\nmachines: [{id: m, ip: 10.0.0.1, profile: lift}]\n"

static struct conf *load_good(void)
{
    char text[2048];
    snprintf(text, sizeof text, "%s" MACHINES, good);
    return conf_good("p.yaml", text);
}

static void a_profile_is_read_in_order(void **state)
{
    (void)state;
    struct conf *conf = load_good();
    assert_int_equal(conf->profile_count, 1);
    const struct profile *p = &conf->profiles[0];
    assert_string_equal(p->name, "lift");
    assert_int_equal(p->version, 7);
    assert_int_equal(p->bit_count, 3);
    assert_ptr_equal(conf_machine(conf, "m")->profile, p);
    assert_ptr_equal(conf_profile(conf, "lift"), p);
    assert_ptr_equal(conf_profile(conf, "standard"), profile_builtin("standard"));
    assert_null(conf_profile(conf, "Lift"));
    assert_int_equal(conf->warning_count, 0);
    char memory[MACHINE_TEXT_MAX + 1];
    struct out out = out_init(memory, MACHINE_TEXT_MAX);
    profile_json(p, 0x24, &out); /* bits 5 and 2 */
    memory[out.len] = '\0';
    assert_string_equal(memory, "{\"RUN\":\"Moves\",\"MODE\":\"Señal\",\"LAMP\":\"on\"}");
    assert_true(profile_says(p, 0x24, MEANING_MOVING));
    assert_true(profile_says(p, 0x24, MEANING_MANUAL));
    assert_true(profile_says(p, 0x01, MEANING_REMOTE));
    assert_true(profile_says(p, 0x01, MEANING_STOPPED));
    conf_free(&conf);
}

/* Two processes with different versions of the file do not agree; with the same one they do. */
static void versions_are_told_apart(void **state)
{
    (void)state;
    struct conf *one = load_good(), *same = load_good();
    char text[2048];
    snprintf(text, sizeof text, "%s" MACHINES, good);
    *strchr(text, '7') = '8';
    struct conf *newer = conf_good("p.yaml", text);
    assert_true(profile_hash(&one->profiles[0]) == profile_hash(&same->profiles[0]));
    assert_true(profile_hash(&one->profiles[0]) != profile_hash(&newer->profiles[0]));
    conf_free(&one);
    conf_free(&same);
    conf_free(&newer);
}

static void machine_defaults_may_name_it(void **state)
{
    (void)state;
    char text[2048];
    snprintf(text, sizeof text, "%smachine_defaults: {profile: lift}\nmachines: [{id: m, ip: 10.0.0.1}]\n",
             good);
    struct conf *conf = conf_good("p.yaml", text);
    assert_ptr_equal(conf->machines[0].profile, &conf->profiles[0]);
    conf_free(&conf);
}

static void what_the_table_refuses(void **state)
{
    (void)state;
    conf_refuses(
        "p.yaml",
        "profiles:\n"
        "  - name: a b\n"
        "    version: 0\n"
        "    bits:\n"
        "      - {bit: 8, key: X, zero: {text: a, meaning: moveing}, one: {}}\n"
        "      - {key: Y, zero: {text: a}}\n"
        "      - {bit: 1, key: Z, zero: {texto: a, text: b}, one: {text: c}}\n"
        "  - {name: b, bits: []}\n"
        "  - {name: c}\n",
        "p.yaml:7: profiles[0].bits[2].zero.texto: is an unknown key, did you mean text?\n"
        "p.yaml:8: profiles[1].bits: an empty list found, expected a list of 1 to 8 entries\n"
        "p.yaml:2: profiles[0].name: a b is not a name (1 to 32 of A-Z a-z 0-9 _ . -)\n"
        "p.yaml:3: profiles[0].version: 0 is not a number (1 to 1000000)\n"
        "p.yaml:5: profiles[0].bits[0].bit: 8 is not a number (0 to 7)\n"
        "p.yaml:5: profiles[0].bits[0].zero.meaning: moveing is not one of none, ready, not_ready, stopped, "
        "moving, remote, manual, no_alarm, alarm, no_estop, estop, drive_ok, drive_fault, positioning_ok, "
        "positioning_error, upward, downward; did you mean moving?\n"
        "p.yaml:5: profiles[0].bits[0].one: the key text is missing, expected a text of 1 to 200 bytes "
        "without "
        "control characters\n"
        "p.yaml:6: profiles[0].bits[1]: the key bit is missing, expected a number (0 to 7)\n"
        "p.yaml:6: profiles[0].bits[1]: the key one is missing, expected a mapping of keys to values, such "
        "as {text: …}\n"
        "p.yaml:9: profiles[2]: the key bits is missing, expected a list of 1 to 8 entries\n");
}

static void what_the_linter_refuses(void **state)
{
    (void)state;
    conf_refuses("p.yaml",
                 "profiles:\n"
                 "  - name: standard\n"
                 "    bits: [{bit: 0, key: X, zero: {text: a}, one: {text: b}}]\n"
                 "  - name: two\n"
                 "    bits:\n"
                 "      - bit: 0\n"
                 "        key: X\n"
                 "        zero: {text: a}\n"
                 "        one:\n"
                 "          text: b\n"
                 "          meaning: moving\n"
                 "      - {bit: 0, key: X, zero: {text: a, meaning: alarm}, one: {text: b, meaning: alarm}}\n"
                 "  - name: two\n"
                 "    bits: [{bit: 0, key: X, zero: {text: a}, one: {text: b}}]\n",
                 "p.yaml:2: profiles[0].name: standard is built in; give yours another name\n"
                 "p.yaml:8: profiles[1].bits[0].zero: says none, expected stopped, because 1 says moving\n"
                 "p.yaml:12: profiles[1].bits[1].bit: 0 is the bit of bits[0] too\n"
                 "p.yaml:12: profiles[1].bits[1].key: X is the key of bits[0] too\n"
                 "p.yaml:12: profiles[1].bits[1].one.meaning: 0 and 1 both say alarm\n"
                 "p.yaml:13: profiles[2].name: there is another profile two above\n");
}

static void warnings_have_lines(void **state)
{
    (void)state;
    assert_string_equal(conf_warnings_of("p.yaml",
                                         "listeners: [{name: a}]\n"
                                         "profiles:\n"
                                         "  - name: lamp\n"
                                         "    bits:\n"
                                         "      - {bit: 0, key: LAMP, zero: {text: a}, one: {text: a}}\n"
                                         "machines: [{id: m, ip: 10.0.0.1, profile: lamp}]\n"),
                        "p.yaml:5: profiles[0].bits[0].key: shows the same text for 0 and for 1\n"
                        "p.yaml:4: profiles[0].bits: no bit says moving: a move counts as done as soon as "
                        "its position is reached\n"
                        "p.yaml:4: profiles[0].bits: no bit says manual, alarm, estop, drive_fault or "
                        "positioning_error: no state "
                        "forbids a move\n");
}

static void lists_are_bounded(void **state)
{
    (void)state;
    char text[8192];
    size_t len = (size_t)sprintf(text, "profiles:\n");
    for (unsigned i = 0; i < 65; i++)
        len += (size_t)sprintf(
            text + len, "  - {name: p%u, bits: [{bit: 0, key: K, zero: {text: a}, one: {text: b}}]}\n", i);
    conf_refuses("p.yaml", text,
                 "p.yaml:1: profiles: more entries found, expected a list of at most 64 entries\n");
    len = (size_t)sprintf(text, "profiles:\n  - name: p\n    bits:\n");
    for (unsigned i = 0; i < 9; i++)
        len += (size_t)sprintf(text + len, "      - {bit: %u, key: K%u, zero: {text: a}, one: {text: b}}\n",
                               i, i);
    conf_refuses("p.yaml", text,
                 "p.yaml:3: profiles[0].bits: more entries found, expected a list of 1 to 8 entries\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_is_read_in_order),
        cmocka_unit_test(versions_are_told_apart),
        cmocka_unit_test(machine_defaults_may_name_it),
        cmocka_unit_test(what_the_table_refuses),
        cmocka_unit_test(what_the_linter_refuses),
        cmocka_unit_test(warnings_have_lines),
        cmocka_unit_test(lists_are_bounded),
    };
    return cmocka_run_group_tests_name("conf_profile", tests, NULL, NULL);
}
