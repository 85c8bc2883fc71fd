/* http: peers that go or do not read, budgets and places, and random lives. */
#include "http_stage.h"

/* --- peers that go, and peers that do not read ------------------------------------------------------------------------- */

static void the_peer_goes_while_its_body_is_read(void **state)
{
    (void)state;
    start(0, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct raw_client c = arrive(POST_HEAD("/api/body", "1000") "x");
        PUMP_UNTIL(&server->loop, counts()->exchanges == 1);
        if (i == 0)
            raw_close(&c);
        else
            raw_reset(&c);
        PUMP_UNTIL(&server->loop, counts()->abandoned == i + 1);
    }
    assert_int_equal(server->handled, 0);
    nothing_left();
}

static void a_peer_that_never_reads_is_dropped(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(GET("/api/big?size=8000000"));
    PUMP_UNTIL(&server->loop, counts()->exchanges == 1);
    assert_in_range(counts()->memory_bytes, 1, 8000000);
    uint64_t allowed = 10 * NS_PER_S + http_slowest_ns(8000000);
    pass(allowed - NS_PER_S);
    raw_turn(&server->loop, -1);
    assert_int_equal(counts()->write_timeouts, 0);
    pass(2 * NS_PER_S);
    PUMP_UNTIL(&server->loop, counts()->write_timeouts == 1);
    raw_close(&c);
    nothing_left();
}

static void a_peer_that_reads_slowly_gets_all(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(GET("/api/big?size=8000000"));
    PUMP_UNTIL(&server->loop, counts()->exchanges == 1);
    assert_true(counts()->memory_bytes > 0);
    assert_memory_equal(take(&c, 200), server->big, 8000000);
    raw_close(&c);
    nothing_left();
}

static void the_peer_goes_while_its_answer_is_written(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(GET("/api/big?size=8000000"));
    PUMP_UNTIL(&server->loop, counts()->exchanges == 1);
    raw_reset(&c);
    PUMP_UNTIL(&server->loop, counts()->write_errors == 1);
    nothing_left();
}

static void lingering_ends(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(GET("/api/echo/x"));
    take(&c, 200);
    PUMP_UNTIL(&server->loop, counts()->exchanges == 1); /* the client does not close */
    pass(3 * NS_PER_S);
    nothing_left();
    raw_close(&c);
    c = arrive(POST_HEAD("/api/echo/x", "5")); /* 405; then it sends and sends */
    uint64_t end = clock_mono_ns(clock_system()) + RAW_DEADLINE_NS;
    while (send(c.fd, server->big, 65536, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 || errno == EAGAIN) {
        assert_true(clock_mono_ns(clock_system()) < end);
        raw_turn(&server->loop, -1);
    }
    raw_close(&c);
    nothing_left();
}

/* --- too much of everything --------------------------------------------------------------------------------------------- */

static void bodies_share_one_budget(void **state)
{
    (void)state;
    enum { CLIENTS = 8, BUDGET = 200000 };
    struct raw_client c[CLIENTS];
    start(0, BUDGET);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = arrive(POST_HEAD("/api/body", "60000"));
        raw_send(&c[i], server->big, 59999);
        PUMP_UNTIL(&server->loop, counts()->requests == i + 1);
    }
    PUMP_UNTIL(&server->loop, counts()->over_budget >= CLIENTS - 3);
    assert_in_range(counts()->memory_bytes, BUDGET / 2, BUDGET);
    unsigned served = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw_send_text(&c[i], "!");
        raw_until_end(&c[i]);
        served += raw_status(&c[i]) == 201;
        assert_true(raw_status(&c[i]) == 201 || raw_status(&c[i]) == 503);
        raw_close(&c[i]);
    }
    assert_in_range(served, 1, 3);
    nothing_left();
    struct raw_client after = arrive(POST_HEAD("/api/body", "2") "{}");
    take(&after, 201);
    raw_close(&after);
}

static void answers_share_it_too(void **state)
{
    (void)state;
    start(0, 2000000);
    struct raw_client first = arrive(GET("/api/big?size=1900000")),
                      second = arrive(GET("/api/big?size=1900000"));
    raw_until_end(&second);
    unsigned status = raw_status(&second);
    assert_int_equal(take(&first, 200) != NULL, 1);
    assert_true(status == 503 || status == 200); /* 200: the first was taken by the sockets meanwhile */
    struct raw_client third = arrive(GET("/api/big?size=3000000"));
    assert_string_equal(take(&third, 503), "");
    raw_close(&first);
    raw_close(&second);
    raw_close(&third);
    nothing_left();
}

static void places_run_out(void **state)
{
    (void)state;
    start(2, 0);
    struct raw_client lingering = arrive(GET("/api/echo/x"));
    take(&lingering, 200); /* stays, and gives way */
    struct raw_client a = arrive(GET("/api/wait")), b = arrive(GET("/api/wait"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 2);
    assert_int_equal(counts()->evicted, 1);
    struct raw_client third = arrive(GET("/api/echo/x"));
    assert_string_equal(take(&third, 503), "");
    assert_int_equal(counts()->turned_away, 1);
    answer(server->waiting[0], 200, "a", 1);
    answer(server->waiting[1], 200, "b", 1);
    raw_close(&third);
    raw_close(&lingering);
    assert_int_equal(take(&a, 200) != NULL && take(&b, 200) != NULL, 1);
    raw_close(&a);
    raw_close(&b);
    nothing_left();
}

static void bodies_that_never_end_give_way(void **state)
{
    (void)state;
    start(3, 0);
    struct raw_client slow[6];
    for (unsigned i = 0; i < 6; i++) {
        slow[i] = arrive(POST_HEAD("/api/body", "9") "x");
        PUMP_UNTIL(&server->loop, counts()->requests == i + 1);
    }
    assert_int_equal(counts()->evicted, 3);
    struct raw_client real = arrive(POST_HEAD("/api/body", "2"));
    PUMP_UNTIL(&server->loop, counts()->evicted == 4);
    raw_send_text(&real, "{}");
    assert_string_equal(take(&real, 201), "{}");
    for (unsigned i = 0; i < 4; i++) {
        raw_until_end(&slow[i]);
        assert_int_equal(raw_status(&slow[i]), 503);
    }
    raw_close(&real);
    for (unsigned i = 0; i < 6; i++)
        raw_close(&slow[i]);
    nothing_left();
    assert_int_equal(counts()->turned_away, 0);
}

/* Called for the first of two peers that go in one batch of events: ends the second one's exchange, and puts a successor
 * into its place before the second's event is looked at. */
static void replace_the_other(void)
{
    static const char head[] = "GET";
    struct gate_request request = {.method = head,
                                   .path = "/api/wait",
                                   .query = "",
                                   .host = "h",
                                   .behind = head + 3,
                                   .origin_allowed = true};
    server->in_cancel = NULL;
    struct http_exchange *other = server->waiting[1];
    server->waiting[1] = NULL;
    answer(other, 200, "too late", 8); /* its peer has reset the connection: closed at once */
    assert_int_equal(other->state, EXCHANGE_FREE);
    http_adopt(server->http, server->pair[0], &request, &site);
    assert_int_equal(other->state, EXCHANGE_WAITING);
}

static void an_event_for_an_earlier_life_is_dropped(void **state)
{
    (void)state;
    start(2, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, server->pair), 0);
    struct raw_client a = arrive(GET("/api/wait"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 1);
    struct raw_client b = arrive(GET("/api/wait"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 2);
    server->in_cancel = replace_the_other;
    raw_reset(&a);
    raw_reset(&b);
    PUMP_UNTIL(&server->loop, server->cancels == 1);
    raw_turn(&server->loop, -1);
    assert_int_equal(counts()->cancelled, 1);
    assert_int_equal(counts()->waiting, 1);
    for (unsigned i = 0; i < ARRAY_LEN(server->waiting); i++)
        if (server->waiting[i] != NULL)
            answer(server->waiting[i], 200, "alive", 5);
    close(server->pair[1]);
    nothing_left();
    assert_int_equal(counts()->answered_200, 2);
}

/* Random lives: every request is answered with its own name or its peer went, every wait ends exactly once. */
static void random_lives(void **state)
{
    (void)state;
    enum { LIVES = 3000, AT_ONCE = 40 };
    struct raw_client c[AT_ONCE] = {0};
    unsigned wanted[AT_ONCE] = {0};
    const char *given = getenv("NORIA_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)atol(given) : 20261122;
    start(AT_ONCE / 2, 300000);
    for (unsigned i = 0; i < AT_ONCE; i++)
        c[i].fd = -1;
    for (unsigned life = 0; life < LIVES; life++) {
        unsigned i = (unsigned)rand_r(&seed) % AT_ONCE, what = (unsigned)rand_r(&seed) % 8;
        if (c[i].fd < 0) {
            static const char *const requests[] = {
                GET("/api/echo/name"), GET("/api/wait"), GET("/api/big?size=100000"),
                POST_HEAD("/api/body", "4") "name", POST_HEAD("/api/body", "40000") "name"};
            wanted[i] = what % ARRAY_LEN(requests);
            c[i] = arrive(requests[wanted[i]]);
        } else if (what < 2) {
            raw_reset(&c[i]);
        } else if (what < 4) {
            raw_close(&c[i]);
        } else {
            raw_take(&c[i]);
            unsigned status = raw_status(&c[i]);
            bool own = status == 503 || status == 0 || (wanted[i] == 3 ? status == 201 : status == 200);
            assert_true(own);
        }
        for (unsigned k = 0; what == 7 && k < ARRAY_LEN(server->waiting); k++) {
            struct http_exchange *x = server->waiting[k];
            server->waiting[k] = NULL;
            if (x != NULL)
                answer(x, 200, "waited", 6);
        }
        uv_run(&server->loop, UV_RUN_NOWAIT); /* raw_turn() waits, 3,000 times, for what is there or is not */
        assert_true(counts()->memory_bytes <= 300000);
    }
    for (unsigned i = 0; i < AT_ONCE; i++)
        if (c[i].fd >= 0)
            raw_reset(&c[i]);
    PUMP_UNTIL(&server->loop, counts()->exchanges == 0);
    nothing_left();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_peer_goes_while_its_body_is_read),
        TEST(a_peer_that_never_reads_is_dropped),
        TEST(a_peer_that_reads_slowly_gets_all),
        TEST(the_peer_goes_while_its_answer_is_written),
        TEST(lingering_ends),
        TEST(bodies_share_one_budget),
        TEST(answers_share_it_too),
        TEST(places_run_out),
        TEST(bodies_that_never_end_give_way),
        TEST(an_event_for_an_earlier_life_is_dropped),
        TEST(random_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
