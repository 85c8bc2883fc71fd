/* login: /auth/login behind a real gate, on a real loop with its threads; time by hand. libuv's threads can be kept busy, so that what waits
 * waits for as long as a test wants. */
#include "http_stage.h"

#include <argon2.h>

#include "access.h"
#include "login_internal.h"

#define WRONG_BODY "{\"detail\":\"Credenciales inv\xc3\xa1lidas\"}"
#define LATER_BODY "{\"detail\":\"Demasiados intentos\"}"

static char directory[64];

struct house {
    struct conf *conf;
    struct access *access;
    struct login *login;
    const struct http_api *apis[1];
};

static struct house house;

static void complain(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

/* Of the password "right"; `kib`: 8 is the least. */
static const char *hash(unsigned kib)
{
    static char encoded[256];
    assert_int_equal(argon2id_hash_encoded(1, kib, 1, "right", 5, "saltsalt", 8, 16, encoded, sizeof encoded),
                     ARGON2_OK);
    return encoded;
}

static int open_house(void **state)
{
    char text[2000], dear[256], name[100];
    setup(state);
    strcpy(directory, "/tmp/login_test.XXXXXX");
    assert_non_null(mkdtemp(directory));
    strcpy(dear, hash(64));
    snprintf(name, sizeof name, "%s/c.yaml", directory);
    snprintf(
        text, sizeof text,
        "state_dir: %s/state\nauth:\n  users:\n    - {name: ana, password: \"%s\"}\n"
        "    - {name: bob, password: \"%s\"}\n    - {name: local, password: \"%s\", loopback_only: true}\n",
        directory, hash(8), dear, hash(8));
    assert_int_equal(conf_load_text(name, text, strlen(text), complain, NULL, &house.conf), ERR_OK);
    assert_int_equal(access_new(house.conf, &server->clock.clock, &house.access), ERR_OK);
    const struct login_config config = {&server->loop, &server->clock.clock, house.conf, house.access};
    assert_int_equal(login_new(&config, &house.login), ERR_OK);
    start(0, 0);
    house.apis[0] = login_api(house.login);
    site = (struct http_site){.apis = house.apis, .api_count = 1};
    return 0;
}

static int close_house(void **state)
{
    char command[100];
    gate_free(&server->gate);
    http_free(&server->http);
    login_free(&house.login);
    login_free(&house.login); /* twice is nothing */
    teardown(state);
    access_free(&house.access);
    conf_free(&house.conf);
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

static struct raw_client ask(const char *type, const char *body)
{
    char text[16000];
    snprintf(text, sizeof text,
             "POST /auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
             type, strlen(body), body);
    return arrive(text);
}

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/json; charset=utf-8"

static void answers(const char *type, const char *body, unsigned status, const char *want)
{
    struct raw_client client = ask(type, body);
    const char *got = take(&client, status);
    if (want != NULL)
        assert_string_equal(got, want);
    raw_close(&client);
}

static const struct login_counts *logins(void)
{
    return login_counts(house.login);
}

/* --- who is let in --------------------------------------------------------------------------------------------------- */

static void is_let_in(const char *type, const char *body, const char *name)
{
    char token[ACCESS_JWT_MAX + 1];
    struct raw_client client = ask(type, body);
    const char *got = take(&client, 200);
    assert_int_equal(
        sscanf(got, "{\"access_token\":\"%4096[A-Za-z0-9_.-]\",\"token_type\":\"bearer\"}", token), 1);
    assert_non_null(strstr((char *)client.in, "\r\nCache-Control: no-store\r\n"));
    const struct identity *identity = access_identify(house.access, token);
    assert_non_null(identity);
    assert_string_equal(identity_name(identity), name);
    assert_int_equal(identity_expires_ms(identity),
                     (clock_wall_ms(&server->clock.clock) / 1000 + 1800) * 1000);
    identity_put(&identity);
    raw_close(&client);
}

static void a_form_or_json(void **state)
{
    (void)state;
    is_let_in(FORM, "username=ana&password=right", "ana");
    is_let_in(FORM "; charset=utf-8", "grant_type=password&password=%72ight&username=b%6fb&scope=", "bob");
    is_let_in(JSON, "{\"username\":\"ana\",\"password\":\"right\"}", "ana");
    is_let_in(JSON, " {\"x\":[1],\"password\":\"\\u0072ight\",\"username\":\"local\"} ",
              "local"); /* from here */
    assert_int_equal(logins()->granted, 4);
    nothing_left();
}

static void wrong_and_unknown_are_answered_alike(void **state)
{
    (void)state;
    static const char *const bodies[] = {"username=ana&password=wrong",  "username=nobody&password=right",
                                         "username=ana&password=right+", "username=ANA&password=right",
                                         "username=ana+&password=right", "username=*&password=*"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        answers(FORM, bodies[i], 401, WRONG_BODY);
    answers(JSON, "{\"username\":\"ana\\u0000\",\"password\":\"right\"}", 401, WRONG_BODY);
    answers(JSON, "{\"username\":\"ana\",\"password\":\"right\\u0000\"}", 401, WRONG_BODY);
    assert_int_equal(logins()->refused, ARRAY_LEN(bodies) + 2);
    assert_int_equal(logins()->granted, 0);
}

/* What an unknown name is checked against costs what the dearest user costs. */
static void nobody_costs_as_much(void **state)
{
    (void)state;
    struct conf_argon2 cost;
    assert_true(conf_argon2(house.login->nobody, &cost));
    assert_int_equal(cost.kib, 64);
    assert_int_equal(cost.passes, 1);
    assert_int_equal(argon2id_verify(house.login->nobody, "", 0),
                     ARGON2_VERIFY_MISMATCH); /* it is a hash that libargon2 reads */
    struct login *other;
    assert_int_equal(login_new(&house.login->config, &other), ERR_OK);
    assert_string_not_equal(other->nobody, house.login->nobody);
    login_free(&other);
}

static void places(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *same, *other;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:5", "127.0.0.1:65535", "127.0.0.2:5", true},
        {"127.255.1.2:5", "127.255.1.2:6", "128.0.0.1:5", true},
        {"10.0.0.1:5", "[::ffff:10.0.0.1]:5", "10.0.0.2:5", false},
        {"[::1]:5", "[::1]:6", "[1::1]:5", true},
        {"[::ffff:127.0.0.1]:5", "127.0.0.1:5", "[::1]:5", true},
        {"[2001:db8::1]:5", "[2001:db8::ffff:1:2:3]:6", "[2001:db8:0:1::1]:5", false},
        {"unknown", "unknown", "0.0.0.0:1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct login_place here, same, other;
        login_find_place(cases[i].peer, &here);
        login_find_place(cases[i].same, &same);
        login_find_place(cases[i].other, &other);
        assert_int_equal(here.loopback, cases[i].loopback);
        assert_memory_equal(here.bytes, same.bytes, sizeof here.bytes);
        assert_int_equal(here.len, same.len);
        assert_memory_not_equal(here.bytes, other.bytes, sizeof here.bytes);
    }
}

/* --- bodies ---------------------------------------------------------------------------------------------------------- */

/* Order of members is the validator's. */
static void lists(const char *type, const char *body, unsigned faults, const char *const *words)
{
    struct raw_client client = ask(type, body);
    const char *got = take(&client, 422);
    assert_int_equal(strncmp(got, "{\"detail\":[{", 12), 0);
    unsigned count = 0;
    for (const char *at = got; (at = strstr(at, "\"loc\":[\"body\"")) != NULL; at++)
        count++;
    assert_int_equal(count, faults);
    for (; *words != NULL; words++)
        if (strstr(got, *words) == NULL)
            fail_msg("no %s in %s", *words, got);
    raw_close(&client);
}
#define LISTS(type, body, faults, ...) lists(type, body, faults, (const char *const[]){__VA_ARGS__, NULL})

static void bodies_that_are_none(void **state)
{
    (void)state;
    char text[9000];
    LISTS(FORM, "", 2, "\"username\"", "\"password\"", "\"missing\"", "\"Field required\"");
    LISTS(FORM, "username=ana", 1, "\"password\"", "\"missing\"");
    LISTS(FORM, "username=&password=x", 1, "\"username\"", "\"string_too_short\"");
    LISTS(FORM, "username=%ff&password=%00", 2, "\"string_type\"");
    LISTS(JSON, "{\"username\":1,\"password\":true}", 2, "\"string_type\"");
    LISTS(JSON, "[]", 1, "\"model_type\"");
    LISTS(JSON, "null", 1, "\"model_type\"");
    LISTS(JSON, "", 1, "\"json_invalid\"", "\"JSON decode error\"");
    LISTS(JSON, "{\"username\":\"\xc3\xb1\",x", 1, "[\"body\",16]", "\"json_invalid\"");
    LISTS(JSON, "{\"username\":\"ana\",\"username\":\"bob\",\"password\":\"right\"}", 1, "\"json_invalid\"");
    memset(text, 'a', sizeof text);
    memcpy(text, "password=x&username=", 20);
    text[20 + 65] = '\0';
    LISTS(FORM, text, 1, "\"username\"", "\"string_too_long\"");
    memset(text, 'a', sizeof text);
    memcpy(text, "username=x&password=", 20);
    text[20 + 1025] = '\0';
    LISTS(FORM, text, 1, "\"password\"", "\"string_too_long\"");
    memset(text, 'a', sizeof text);
    text[LOGIN_BODY_MAX + 1] = '\0';
    answers(FORM, text, 413, NULL);
    answers("text/plain", "username=ana&password=right", 415, NULL);
    answers("multipart/form-data", "x", 415, NULL);
    expect(GET("/auth/login"), 405, "{\"detail\":\"the method is not allowed here\"}",
           "Allow: POST, OPTIONS");
    expect(GET("/auth/logout"), 404, "{\"detail\":\"there is nothing at this path\"}", "404");
    assert_int_equal(logins()->granted + logins()->refused + logins()->limited, 0);
    nothing_left();
}

/* --- how often ------------------------------------------------------------------------------------------------------- */

static void is_told_later(const char *body, const char *when)
{
    struct raw_client client = ask(FORM, body);
    assert_string_equal(take(&client, 429), LATER_BODY);
    if (strstr((char *)client.in, when) == NULL)
        fail_msg("no \"%s\" in: %s", when, (char *)client.in);
    raw_close(&client);
}

static void wrong_tries_run_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOGIN_BURST; i++)
        answers(FORM, i % 2 == 0 ? "username=ana&password=wrong" : "username=nobody&password=wrong", 401,
                WRONG_BODY);
    is_told_later("username=ana&password=right", "\r\nRetry-After: 6\r\n");
    pass(2500 * NS_PER_MS);
    is_told_later("username=bob&password=right",
                  "\r\nRetry-After: 4\r\n"); /* the address, whoever it says it is */
    pass(3500 * NS_PER_MS);
    is_let_in(FORM, "username=ana&password=right", "ana"); /* and has its try back */
    answers(FORM, "username=ana&password=wrong", 401, WRONG_BODY);
    is_told_later("username=ana&password=right", "\r\nRetry-After: 6\r\n");
    assert_int_equal(logins()->limited, 3);
}

static void right_ones_cost_none(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++)
        is_let_in(FORM, "username=ana&password=right", "ana");
    assert_int_equal(logins()->limited, 0);
}

static void a_name_runs_out_wherever_they_come_from(void **state)
{
    (void)state;
    house.login->addresses.burst = 1000; /* as if from a hundred addresses */
    for (unsigned i = 0; i < LOGIN_BURST; i++)
        answers(FORM, "username=ana&password=wrong", 401, WRONG_BODY);
    is_told_later("username=ana&password=right", "\r\nRetry-After: 6\r\n");
    is_let_in(FORM, "username=bob&password=right", "bob");
}

/* --- how many at once -------------------------------------------------------------------------------------------------- */

/* Held by the test while the threads are to be busy. */
static uv_rwlock_t threads_busy;

static void keep_busy(uv_work_t *work)
{
    (void)work;
    uv_rwlock_rdlock(&threads_busy);
    uv_rwlock_rdunlock(&threads_busy);
}

static void end_busy(uv_work_t *work, int status)
{
    assert_int_equal(status, 0);
    free(work);
}

/* All of libuv's threads. */
static void block_threads(void)
{
    uv_rwlock_wrlock(&threads_busy);
    for (int i = 0; i < 4; i++)
        assert_int_equal(uv_queue_work(&server->loop, malloc(sizeof(uv_work_t)), keep_busy, end_busy), 0);
}

static void a_short_queue_then_429(void **state)
{
    (void)state;
    struct raw_client clients[LOGIN_AT_ONCE + LOGIN_QUEUE_MAX];
    house.login->addresses.burst = house.login->names.burst = 1000;
    block_threads();
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = ask(FORM, "username=ana&password=right");
        PUMP_UNTIL(&server->loop, logins()->checking + logins()->waiting == i + 1);
    }
    assert_int_equal(logins()->checking, LOGIN_AT_ONCE);
    assert_int_equal(logins()->waiting, LOGIN_QUEUE_MAX);
    is_told_later("username=bob&password=right", "\r\nRetry-After: 1\r\n");
    assert_int_equal(logins()->full, 1);
    raw_close(&clients[0]); /* one that is checked: its place is not free before that has ended */
    raw_close(&clients[5]); /* one that waits */
    PUMP_UNTIL(&server->loop, counts()->cancelled == 2);
    assert_int_equal(logins()->checking, LOGIN_AT_ONCE);
    assert_int_equal(logins()->waiting, LOGIN_QUEUE_MAX - 1);
    uv_rwlock_wrunlock(&threads_busy);
    for (size_t i = 1; i < ARRAY_LEN(clients); i++) {
        if (i == 5)
            continue;
        assert_non_null(strstr(take(&clients[i], 200), "access_token"));
        raw_close(&clients[i]);
    }
    assert_int_equal(logins()->checking + logins()->waiting, 0);
    assert_int_equal(logins()->granted, ARRAY_LEN(clients) - 2);
    nothing_left();
}

/* The worker stops while two are checked and some wait: the end of the loop is the end of all memory. */
static void the_end_while_some_are_checked(void **state)
{
    (void)state;
    struct raw_client clients[6];
    block_threads();
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = ask(FORM, "username=ana&password=right");
        PUMP_UNTIL(&server->loop, logins()->checking + logins()->waiting == i + 1);
    }
    http_free(&server->http);
    login_free(&house.login);
    uv_rwlock_wrunlock(&threads_busy);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        raw_close(&clients[i]);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    block_threads();
    struct raw_client client = ask(FORM, "username=ana&password=right");
    PUMP_UNTIL(&server->loop, logins()->checking == 1);
    pass(61 * NS_PER_S);
    assert_string_equal(take(&client, 504), "{\"detail\":\"no answer in time\"}");
    raw_close(&client);
    uv_rwlock_wrunlock(&threads_busy);
    PUMP_UNTIL(&server->loop, logins()->checking == 0);
    assert_int_equal(logins()->granted, 0);
    nothing_left();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)
    const struct CMUnitTest tests[] = {
        CASE(a_form_or_json),         CASE(wrong_and_unknown_are_answered_alike),
        CASE(nobody_costs_as_much),   cmocka_unit_test(places),
        CASE(bodies_that_are_none),   CASE(wrong_tries_run_out),
        CASE(right_ones_cost_none),   CASE(a_name_runs_out_wherever_they_come_from),
        CASE(a_short_queue_then_429), CASE(the_end_while_some_are_checked),
        CASE(nobody_waits_for_ever),
    };
    assert_int_equal(uv_rwlock_init(&threads_busy), 0);
    int failed = cmocka_run_group_tests_name("login", tests, NULL, NULL);
    uv_rwlock_destroy(&threads_busy);
    return failed;
}
