/* conf: who may connect, with what, and how long a slow client is borne: dialects, auth, tokens, rest, slow_clients. */
#include "conf_fixture.h"

#define SUM_A "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SUM_B "E4EAD8B4707B06425CBB45C4A97114017E4C2491DB5496A825FC8ACBD40B6FA8"
#define TOKEN "auth:\n  tokens:\n    - {principal: wms, sha256: " SUM_A "}\n" /* lines 1 to 3 */

static void defaults(void **state)
{
    (void)state;
    struct conf *conf = conf_good("c.yaml", "listeners: [{name: a}]\nmachines: [{id: m, ip: 10.0.0.1}]\n");
    assert_int_equal(conf->listeners[0].dialect_count, 1);
    assert_string_equal(conf->listeners[0].dialects[0], "carousel");
    assert_false(conf->listeners[0].auth_required);
    assert_int_equal(conf->token_count, 0);
    assert_int_equal(conf->max_body_bytes, 65536);
    assert_true(conf->rest_auth);
    assert_int_equal(conf->slow_soft_bytes, 256 * 1024);
    assert_int_equal(conf->slow_soft_ms, 10000);
    assert_int_equal(conf->slow_hard_bytes, 4096 * 1024);
    assert_string_equal(conf->machines_from, "");
    assert_int_equal(conf->profile_count, 0);
    assert_int_equal(conf->override_count, 0);
    assert_int_equal(conf->warning_count, 0);
    conf_free(&conf);
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct conf *conf =
        conf_good("c.yaml", TOKEN "    - {principal: screen-2, sha256: " SUM_B "}\n"
                                  "rest: {max_body_bytes: 1048576, auth: false}\n"
                                  "slow_clients: {soft_kib: 16, soft_ms: 100, hard_kib: 65536}\n"
                                  "listeners:\n"
                                  "  - name: open\n"
                                  "    address: 0.0.0.0\n"
                                  "    auth: token\n"
                                  "    dialects: [rest, carousel]\n"
                                  "  - {name: rest, port: 8000, dialects: [rest]}\n"
                                  "machines: [{id: m, ip: 10.0.0.1}]\n");
    assert_int_equal(conf->token_count, 2);
    assert_string_equal(conf->tokens[0].principal, "wms");
    assert_int_equal(conf->tokens[0].sha256[0], 0xba);
    assert_int_equal(conf->tokens[0].sha256[31], 0xad);
    assert_string_equal(conf->tokens[1].principal, "screen-2");
    assert_int_equal(conf->tokens[1].sha256[0], 0xe4);
    assert_int_equal(conf->tokens[1].sha256[31], 0xa8);
    assert_int_equal(conf->max_body_bytes, 1048576);
    assert_false(conf->rest_auth);
    assert_int_equal(conf->slow_soft_bytes, 16384);
    assert_int_equal(conf->slow_soft_ms, 100);
    assert_int_equal(conf->slow_hard_bytes, 64u << 20);
    assert_true(conf->listeners[0].auth_required);
    assert_int_equal(conf->listeners[0].dialect_count, 2);
    assert_string_equal(conf->listeners[0].dialects[0], "rest");
    assert_string_equal(conf->listeners[0].dialects[1], "carousel");
    assert_false(conf->listeners[1].auth_required);
    assert_int_equal(conf->listeners[1].dialect_count, 1);
    assert_string_equal(conf->listeners[1].dialects[0], "rest");
    assert_int_equal(conf->warning_count, 0);
    conf_free(&conf);
}

static void wrong_dialects(void **state)
{
    (void)state;
    conf_refuses("c.yaml", "listeners:\n  - {name: a, dialects: [carrousel, mqtt, rest, rest]}\n",
                 "c.yaml:2: listeners[0].dialects[0]: carrousel is not one of rest, carousel, streams, "
                 "endpoints, channels, ops; did you mean "
                 "carousel?\n"
                 "c.yaml:2: listeners[0].dialects[1]: mqtt is not one of rest, carousel, streams, endpoints, "
                 "channels, ops\n"
                 "c.yaml:2: listeners[0].dialects: names rest twice\n");
    conf_refuses("c.yaml", "listeners:\n  - name: a\n    dialects: []\n",
                 "c.yaml:3: listeners[0].dialects: an empty list found, expected a list of 1 to 8 values\n");
    conf_refuses("c.yaml", "listeners:\n  - name: a\n    dialects: carousel\n",
                 "c.yaml:3: listeners[0].dialects: a single value found, expected a list of 1 to 8 "
                 "values, such as [one, two]\n");
    conf_refuses("c.yaml", "listeners:\n  - name: a\n    dialects: [[rest]]\n",
                 "c.yaml:3: listeners[0].dialects[0]: a list found, expected one of rest, carousel, streams, "
                 "endpoints, channels, ops\n");
    conf_refuses("c.yaml",
                 "listeners: [{name: a, dialects: [rest,rest,rest,rest,rest,rest,rest,rest,rest]}]\n",
                 "c.yaml:1: listeners[0].dialects: more entries found, expected a list of 1 to 8 values\n");
}

/* The key of the first release. */
static void the_old_key_names_the_new_one(void **state)
{
    (void)state;
    conf_refuses("c.yaml", "listeners:\n  - {name: a, dialect: carousel}\n",
                 "c.yaml:2: listeners[0].dialect: is an unknown key, did you mean dialects?\n");
}

static void wrong_tokens(void **state)
{
    (void)state;
    conf_refuses(
        "c.yaml",
        "auth:\n  tokens:\n    - {principal: a b, sha256: 12}\n    - {sha256: \"" SUM_A "0\"}\n"
        "    - principal: x\n",
        "c.yaml:3: auth.tokens[0].principal: a b is not a name (1 to 64 of A-Z a-z 0-9 _ . -)\n"
        "c.yaml:3: auth.tokens[0].sha256: 12 is not a SHA-256 (64 hexadecimal digits)\n"
        "c.yaml:4: auth.tokens[1]: the key principal is missing, expected a name (1 to 64 of A-Z a-z 0-9 _ "
        ". -)\n"
        "c.yaml:4: auth.tokens[1].sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200… is "
        "not "
        "a SHA-256 (64 hexadecimal digits)\n"
        "c.yaml:5: auth.tokens[2]: the key sha256 is missing, expected a SHA-256 (64 hexadecimal digits)\n");
    conf_refuses("c.yaml",
                 "auth:\n  tokens:\n    - {principal: a, sha256: g" /* no digit */
                 "a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n",
                 "c.yaml:3: auth.tokens[0].sha256: "
                 "ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200… is not "
                 "a SHA-256 (64 hexadecimal digits)\n");
    conf_refuses("c.yaml", TOKEN "    - {principal: other, sha256: " SUM_A "}\n",
                 "c.yaml:4: auth.tokens[1].sha256: is the token of auth.tokens[0] too\n");
    conf_refuses("c.yaml", "auth: {tokens: {wms: x}}\n",
                 "c.yaml:1: auth.tokens: a mapping found, expected a list of at most 1024 entries, each "
                 "beginning with \"- \"\n");
    conf_refuses(
        "c.yaml", "auth: token\n",
        "c.yaml:1: auth: a single value found, expected a mapping of keys to values, such as {tokens: …}\n");
}

static void a_listener_with_auth_needs_tokens(void **state)
{
    (void)state;
    conf_refuses(
        "c.yaml", "listeners:\n  - name: a\n    auth: token\n",
        "c.yaml:3: listeners[0].auth: nobody could connect, because auth has neither tokens nor users nor "
        "keys: `noria hash-token --new` makes a token and its line, `noria hash-password` what a user "
        "needs\n");
    conf_refuses("c.yaml", "listeners: [{name: a, auth: tokens}]\n",
                 "c.yaml:1: listeners[0].auth: tokens is not one of none, token; did you mean token?\n");
}

static void other_addresses_need_a_token_or_leave(void **state)
{
    (void)state;
    static const char rest[] = "machines: [{id: m, ip: 10.0.0.1}]\n";
    char text[600];
    conf_refuses(
        "c.yaml", TOKEN "listeners: [{name: a, address: 0.0.0.0}]\n",
        "c.yaml:4: listeners[0].address: 0.0.0.0 can be reached from other hosts, and this listener has no "
        "authentication: set auth: token here, or bind 127.0.0.1 or ::1, or set allow_unauthenticated: "
        "true\n");
    snprintf(text, sizeof text, TOKEN "listeners: [{name: a, address: 0.0.0.0, auth: token}]\n%s", rest);
    assert_string_equal(conf_warnings_of("c.yaml", text), "");
    snprintf(text, sizeof text, "allow_unauthenticated: true\nlisteners:\n  - {name: a, address: '::'}\n%s",
             rest);
    assert_string_equal(
        conf_warnings_of("c.yaml", text),
        "c.yaml:3: listeners[0].address: whoever reaches :: port 8765 can move machines: no token is "
        "asked for\n");
}

static void limits_in_order(void **state)
{
    (void)state;
    conf_refuses("c.yaml", "slow_clients:\n  soft_kib: 8192\n",
                 "c.yaml:2: slow_clients.soft_kib: soft_kib 8192 is above hard_kib 4096\n");
    conf_refuses(
        "c.yaml",
        "slow_clients: {soft_kib: 15, soft_ms: 99, hard_kib: 65537}\nrest: {max_body_bytes: 2000000}\n",
        "c.yaml:2: rest.max_body_bytes: 2000000 is not a number (128 to 1048576 bytes)\n"
        "c.yaml:1: slow_clients.soft_kib: 15 is not a number (16 to 65536 KiB)\n"
        "c.yaml:1: slow_clients.soft_ms: 99 is not a number (100 to 3600000 ms)\n"
        "c.yaml:1: slow_clients.hard_kib: 65537 is not a number (16 to 65536 KiB)\n");
}

static void what_is_worth_a_look(void **state)
{
    (void)state;
    assert_string_equal(conf_warnings_of("c.yaml", "log: {level: info}\n"),
                        "c.yaml:1: there are no listeners: nobody can connect\n"
                        "c.yaml:1: there are no machines\n");
    assert_string_equal(
        conf_warnings_of("c.yaml", TOKEN "listeners: [{name: a}]\n"
                                         "machines:\n"
                                         "  - {id: a, ip: 10.0.0.1, mode: single}\n"
                                         "  - {id: b, ip: 10.0.0.2, profile: standart}\n"
                                         "  - {id: c, ip: 10.0.0.3, profile: other}\n"),
        "c.yaml:7: machines[1].profile: there is no profile standart (did you mean standard?): machine b is "
        "read-only\n"
        "c.yaml:8: machines[2].profile: there is no profile other: machine c is read-only\n"
        "c.yaml:1: auth: no listener asks for these tokens (auth: token)\n"
        "c.yaml:6: machines[0].mode: mode: single of a has no effect, because it is not the only "
        "machine\n");
}

static void warnings_are_bounded(void **state)
{
    (void)state;
    char text[8192];
    size_t len =
        (size_t)sprintf(text, "machine_defaults: {profile: nobody}\nlisteners: [{name: a}]\nmachines:\n");
    for (unsigned i = 0; i < 60; i++)
        len += (size_t)sprintf(text + len, "  - {id: m%u, ip: 10.0.0.%u}\n", i, i);
    struct conf *conf = conf_good("c.yaml", text);
    assert_int_equal(conf->warning_count, 51);
    assert_string_equal(conf->warnings[49],
                        "c.yaml:53: machines[49]: there is no profile nobody: machine m49 is read-only");
    assert_string_equal(conf->warnings[50], "c.yaml: and 10 more warnings");
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(wrong_dialects),
        cmocka_unit_test(the_old_key_names_the_new_one),
        cmocka_unit_test(wrong_tokens),
        cmocka_unit_test(a_listener_with_auth_needs_tokens),
        cmocka_unit_test(other_addresses_need_a_token_or_leave),
        cmocka_unit_test(limits_in_order),
        cmocka_unit_test(what_is_worth_a_look),
        cmocka_unit_test(warnings_are_bounded),
    };
    return cmocka_run_group_tests_name("conf_access", tests, NULL, NULL);
}
