/* conf: users, keys of JWTs, and what tokens and users may do. */
#include "conf_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#define SUM "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HASH                                                                                                 \
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
#define USER "auth:\n  users:\n    - name: ana\n      password: \"" HASH "\"\n" /* lines 1 to 4 */
#define REST                                                                                                 \
    "listeners: [{name: a, dialects: [channels]}]\nmachines: [{id: m1, ip: 10.0.0.1}, {id: m2, ip: "         \
    "10.0.0.2}]\n"

static void every_key_is_read(void **state)
{
    (void)state;
    struct conf *conf = conf_good("dir/c.yaml", USER "      loopback_only: true\n"
                                                     "      channels: [general, a.b]\n"
                                                     "      entities_read: [sensor, lectura]\n"
                                                     "      entities_write: []\n"
                                                     "      machines_view: [\"*\"]\n"
                                                     "    - {name: bob, password: \"" HASH "\"}\n"
                                                     "  keys:\n"
                                                     "    - {kid: k1, alg: HS256, file: hs.key}\n"
                                                     "    - {kid: k2, alg: RS256, file: /etc/rsa.pem}\n"
                                                     "    - {kid: k3, alg: ES256, file: ec.pem}\n"
                                                     "  jwt: {issuer: here, audience: there, lifetime_s: 60, "
                                                     "sign_with: k3}\n" REST);
    assert_int_equal(conf->user_count, 2);
    const struct conf_user *ana = &conf->users[0], *bob = &conf->users[1];
    assert_string_equal(ana->name, "ana");
    assert_string_equal(ana->password, HASH);
    assert_true(ana->loopback_only);
    assert_false(ana->grants[GRANT_CHANNELS].all);
    assert_int_equal(ana->grants[GRANT_CHANNELS].count, 2);
    assert_string_equal(ana->grants[GRANT_CHANNELS].names[1], "a.b");
    assert_int_equal(ana->grants[GRANT_ENTITIES_READ].count, 2);
    assert_false(ana->grants[GRANT_ENTITIES_WRITE].all); /* an empty list is nothing */
    assert_int_equal(ana->grants[GRANT_ENTITIES_WRITE].count, 0);
    assert_true(ana->grants[GRANT_MACHINES_VIEW].all);
    assert_true(ana->grants[GRANT_STREAMS].all); /* no list is everything */
    assert_false(bob->loopback_only);
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        assert_true(bob->grants[g].all);
    assert_int_equal(conf->jwt_key_count, 3);
    assert_string_equal(conf->jwt_keys[0].file, "dir/hs.key");
    assert_int_equal(conf->jwt_keys[0].alg, CONF_HS256);
    assert_string_equal(conf->jwt_keys[1].file, "/etc/rsa.pem");
    assert_int_equal(conf->jwt_keys[1].alg, CONF_RS256);
    assert_int_equal(conf->jwt_keys[2].alg, CONF_ES256);
    assert_string_equal(conf->jwt_issuer, "here");
    assert_string_equal(conf->jwt_audience, "there");
    assert_int_equal(conf->jwt_lifetime_s, 60);
    assert_string_equal(conf->jwt_sign_with, "k3");
    assert_int_equal(conf->unreadable_count, 0); /* no file is opened */
    conf_free(&conf);
}

static void defaults(void **state)
{
    (void)state;
    struct conf *conf = conf_good("c.yaml", "auth: {tokens: [{principal: wms, sha256: " SUM "}]}\n" REST);
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        assert_true(conf->tokens[0].grants[g].all);
    assert_int_equal(conf->user_count + conf->jwt_key_count, 0);
    assert_string_equal(conf->jwt_issuer, "");
    assert_string_equal(conf->jwt_audience, "");
    assert_string_equal(conf->jwt_sign_with, "");
    assert_int_equal(conf->jwt_lifetime_s, 1800);
    assert_int_equal(conf->warning_count, 0);
    conf_free(&conf);
}

static void wrong_users(void **state)
{
    (void)state;
    conf_refuses("c.yaml", USER "    - {name: ana, password: \"" HASH "\"}\n    - {name: a b}\n" REST,
                 "c.yaml:5: auth.users[1].name: ana is the name of auth.users[0] too\n"
                 "c.yaml:6: auth.users[2].name: a b is not a name (1 to 64 of A-Z a-z 0-9 _ . -)\n"
                 "c.yaml:6: auth.users[2]: the key password is missing, expected an argon2id hash as `noria "
                 "hash-password` prints it: $argon2id$v=19$m=…,t=…,p=…$salt$hash\n");
}

/* What people put there first is the password itself, and it must not come out in a message. */
static void a_password_is_never_quoted(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "hunter2",
        "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",
        "$argon2id$v=16$m=19456,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",
        "$argon2id$v=19$m=019456,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",
        "$argon2id$v=19$m=4294967296,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",
        "$argon2id$v=19$m=7,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng",       /* less than 8 KiB a lane */
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbH$MTIzNDU2Nzg5MDEyMzQ1Ng",    /* a salt of 7 bytes */
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1",     /* a hash of 15 */
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHR$MTIzNDU2Nzg5MDEyMzQ1Ng",   /* bits behind the end */
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng==", /* padding */
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng$x",
        "$2b$12$KIXQ0mXo8Vw2t0Y1xZbF7OQh6k0",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "auth:\n  users:\n    - name: ana\n      password: \"%s\"\n" REST,
                 wrong[i]);
        conf_refuses("c.yaml", text,
                     "c.yaml:4: auth.users[0].password: is not an argon2id hash as `noria hash-password` "
                     "prints it: $argon2id$v=19$m=…,t=…,p=…$salt$hash\n");
        assert_null(strstr(conf_told, wrong[i]));
    }
}

static void absurd_costs(void **state)
{
    (void)state;
    static const char *const cost[] = {"m=262145,t=1,p=1", "m=8192,t=17,p=1", "m=8192,t=1,p=5",
                                       "m=262144,t=5,p=1"};
    for (size_t i = 0; i < sizeof cost / sizeof cost[0]; i++) {
        char text[600], told[400];
        snprintf(text, sizeof text,
                 "auth:\n  users:\n    - name: ana\n      password: \"$argon2id$v=19$%s$c2FsdHNhbHQ$"
                 "MTIzNDU2Nzg5MDEyMzQ1Ng\"\n" REST,
                 cost[i]);
        snprintf(told, sizeof told,
                 "c.yaml:4: auth.users[0].password: costs %s for each attempt to log in, at most "
                 "m=262144,t=16,p=4 and m × t = 1048576 may be: `noria hash-password` makes another\n",
                 cost[i]);
        conf_refuses("c.yaml", text, told);
    }
    struct conf *conf =
        conf_good("c.yaml", "auth: {users: [{name: a, password: \"$argon2id$v=19$m=262144,t=4,"
                            "p=4$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng\"}]}\n" REST);
    conf_free(&conf);
}

static void wrong_grants(void **state)
{
    (void)state;
    conf_refuses("c.yaml",
                 USER "      channels: [general, \"a b\", \"*\"]\n"
                      "      entities_read: [sensors]\n"
                      "      machines_view: [\"m 1\"]\n"
                      "      machines_command: m1\n"
                      "      streams: [\"a b\", \"\"]\n" REST,
                 "c.yaml:8: auth.users[0].machines_command: a single value found, expected a list of at most "
                 "256 values, such as [one, two]\n");
    conf_refuses(
        "c.yaml",
        USER "      channels: [general, \"a b\", \"*\"]\n"
             "      entities_read: [sensors]\n"
             "      machines_view: [\"m 1\"]\n"
             "      streams: [\"a b\", \"\"]\n" REST,
        "c.yaml:5: auth.users[0].channels[1]: a b is not a channel (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
        "c.yaml:5: auth.users[0].channels[2]: * stands beside other names, expected it alone: it means "
        "all of them\n"
        "c.yaml:6: auth.users[0].entities_read[0]: sensors is not one of sensor, lectura, ubicacion, "
        "anomalia, prediccion; did you mean sensor?\n"
        "c.yaml:7: auth.users[0].machines_view[0]: m 1 is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)\n"
        "c.yaml:8: auth.users[0].streams[1]: nothing found, expected a text of 1 to 128 bytes without "
        "control characters\n");
}

/* A token has room for about 4 KiB, and everything of its user travels in it. */
static void long_lists(void **state)
{
    (void)state;
    char text[8000];
    size_t len = (size_t)snprintf(text, sizeof text, USER "      streams: [");
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "\"stream-%08d\",", i);
    snprintf(text + len, sizeof text - len, "]\n" REST);
    conf_refuses("c.yaml", text,
                 "c.yaml:3: auth.users[0]: its lists take 1800 bytes of a token, at most 1536 may be: name "
                 "fewer, or all of them\n");
}

static void users_of_this_host_only(void **state)
{
    (void)state;
    conf_refuses(
        "c.yaml",
        "allow_unauthenticated: true\n" USER "      loopback_only: true\n"
        "listeners:\n  - {name: a, dialects: [channels], address: 10.0.0.9}\n"
        "  - {name: b, dialects: [carousel], address: 10.0.0.9, port: 1}\n",
        "c.yaml:8: listeners[0].address: 10.0.0.9 can be reached from other hosts, and the user ana, "
        "who may log in here, has loopback_only: give a better password and take that away, or bind "
        "127.0.0.1 or ::1\n");
}

static void wrong_keys(void **state)
{
    (void)state;
    conf_refuses(
        "c.yaml",
        "auth:\n  keys:\n    - {kid: k1, alg: HS512, file: a}\n    - {kid: k1, alg: HS256}\n"
        "  jwt: {sign_with: k2, lifetime_s: 0}\n" REST,
        "c.yaml:5: auth.jwt.lifetime_s: 0 is not a number (10 to 2592000 s)\n"
        "c.yaml:3: auth.keys[0].alg: HS512 is not one of HS256, RS256, ES256\n"
        "c.yaml:4: auth.keys[1]: the key file is missing, expected a file name of at most 4000 bytes\n"
        "c.yaml:4: auth.keys[1].kid: k1 is the kid of auth.keys[0] too\n"
        "c.yaml:5: auth.jwt.sign_with: there is no key k2 in auth.keys, did you mean k1?\n");
}

static void worth_a_look(void **state)
{
    (void)state;
    assert_string_equal(
        conf_warnings_of("c.yaml", USER "listeners: [{name: a}]\n"
                                        "machines: [{id: m1, ip: 10.0.0.1}]\n"),
        "c.yaml:2: auth.users: nobody can log in: no listener has channels among its dialects, "
        "where /auth/login is\n");
    assert_string_equal(
        conf_warnings_of("c.yaml",
                         USER "      machines_view: [m1, m3, m4]\n      machines_command: [m2]\n" REST),
        "c.yaml:5: auth.users[0].machines_view: there is no machine m3 now\n");
    assert_string_equal(conf_warnings_of("c.yaml",
                                         "auth: {keys: [{kid: k, alg: HS256, file: f}]}\n"
                                         "listeners: [{name: a}]\nmachines: [{id: m1, ip: 10.0.0.1}]\n"),
                        "c.yaml:1: auth: no listener asks for these tokens (auth: token)\n");
}

/* A user or a key is enough for a listener that asks for tokens. */
static void listeners_that_ask(void **state)
{
    (void)state;
    struct conf *conf = conf_good("c.yaml", USER "listeners: [{name: a, auth: token, address: 0.0.0.0}]\n");
    conf_free(&conf);
    conf = conf_good("c.yaml", "auth: {keys: [{kid: k, alg: HS256, file: f}]}\n"
                               "listeners: [{name: a, auth: token}]\n");
    conf_free(&conf);
}

static void a_key_that_is_not_there_stops_no_machine(void **state)
{
    (void)state;
    char directory[] = "/tmp/conf_auth.XXXXXX", path[64], expected[300];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/c.yaml", directory);
    FILE *file = fopen(path, "w");
    fputs("auth:\n  keys:\n    - {kid: k, alg: HS256, file: no.key}\n    - {kid: d, alg: HS256, file: "
          ".}\n" REST,
          file);
    fclose(file);
    struct conf *conf;
    conf_told[0] = '\0';
    assert_int_equal(conf_load(path, conf_collect, NULL, &conf), ERR_OK);
    assert_int_equal(conf->unreadable_count, 2);
    snprintf(expected, sizeof expected,
             "%s:3: auth.keys[0].file: %s/no.key cannot be opened: No such file or directory", path,
             directory);
    assert_string_equal(conf->unreadable[0], expected);
    snprintf(expected, sizeof expected, "%s:4: auth.keys[1].file: %s/. is not a regular file", path,
             directory);
    assert_string_equal(conf->unreadable[1], expected);
    conf_free(&conf);
    unlink(path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),  cmocka_unit_test(defaults),
        cmocka_unit_test(wrong_users),        cmocka_unit_test(a_password_is_never_quoted),
        cmocka_unit_test(absurd_costs),       cmocka_unit_test(wrong_grants),
        cmocka_unit_test(long_lists),         cmocka_unit_test(users_of_this_host_only),
        cmocka_unit_test(wrong_keys),         cmocka_unit_test(worth_a_look),
        cmocka_unit_test(listeners_that_ask), cmocka_unit_test(a_key_that_is_not_there_stops_no_machine),
    };
    return cmocka_run_group_tests_name("conf_auth", tests, NULL, NULL);
}
