/* http: routes and rules, bodies, handlers that wait. */
#include "http_stage.h"

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static void a_request_is_answered_and_the_connection_ends(void **state)
{
    (void)state;
    start(0, 0);
    expect(GET("/api/echo/caf%C3%A9"), 200, "caf\xc3\xa9", "Date: Mon, 27 Jan 2025 10:30:00 GMT\r\n");
    expect(GET("/api/echo/x/"), 200, "x", "Vary: Origin\r\n");
    expect(GET("/api/big?a=1&size=3"), 200, "abc", "Content-Type: text/plain\r\n");
    assert_int_equal(counts()->answered_200, 3);
    assert_int_equal(counts()->requests, 3);
    nothing_left();
}

static void paths_methods_and_rules(void **state)
{
    (void)state;
    start(0, 0);
    expect(GET("/"), 404, "{\"detail\":\"there is nothing at this path\"}", "application/json");
    expect(GET("/api"), 404, "refused 404: there is nothing at this path", "");
    expect(GET("/api/echo/"), 404, "refused 404: there is nothing at this path", "");
    expect(GET("/api/body"), 405, "refused 405: the method is not allowed here", "Allow: POST, OPTIONS\r\n");
    expect("PUT /api/echo/x HTTP/1.1\r\nHost: h\r\n\r\n", 405, "refused 405: the method is not allowed here",
           "Allow: GET, HEAD, DELETE, OPTIONS\r\n");
    expect("POST /api/body HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", 415,
           "refused 415: the Content-Type is not that which this path takes", "");
    expect(
        "POST /api/body HTTP/1.1\r\nHost: h\r\nContent-Type: application/json5\r\nContent-Length: 1\r\n\r\n",
        415, "refused 415: the Content-Type is not that which this path takes", "");
    expect("POST /api/body HTTP/1.1\r\nHost: h\r\n\r\n", 201, "", "");
    expect("POST /api/body HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n", 403,
           "refused 403: pages of this Origin may not change anything here", "");
    expect("GET /api/echo/x HTTP/1.1\r\nHost: h\r\nOrigin: https://wms.example\r\n\r\n", 200, "x",
           "Access-Control-Allow-Origin: https://wms.example\r\n");
    expect("GET /api/echo/x HTTP/1.1\r\nHost: h\r\nExpect: gold\r\n\r\n", 417,
           "refused 417: only 100-continue can be expected", "");
    expect(GET("/who"), 401, "refused 401: a valid token is needed", "WWW-Authenticate: Bearer\r\n");
    expect(GET("/who?token=sesame"), 200, "ali", "");
    nothing_left();
}

static void preflights_and_empty_answers(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive("OPTIONS /who HTTP/1.1\r\nHost: h\r\nOrigin: http://localhost:1\r\n"
                                 "Access-Control-Request-Method: GET\r\n\r\n");
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 204);
    assert_non_null(strstr((char *)c.in, "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"));
    assert_non_null(strstr((char *)c.in, "Access-Control-Allow-Origin: http://localhost:1\r\n"));
    assert_null(strstr((char *)c.in, "Content-Length"));
    raw_close(&c);
    c = arrive("PUT /api/things/a%2fb/c%20d HTTP/1.1\r\nHost: h\r\nIf-Match: \"7\"\r\n\r\n");
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 204);
    assert_non_null(strstr((char *)c.in, "ETag: \"7\"\r\n"));
    assert_non_null(strstr((char *)c.in, "Cache-Control: max-age=5\r\n"));
    raw_close(&c);
    c = arrive("HEAD /api/big?size=70000 HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_until_end(&c);
    assert_non_null(strstr((char *)c.in, "Content-Length: 70000\r\n"));
    assert_memory_equal(c.in + c.len - 4, "\r\n\r\n", 4);
    raw_close(&c);
    nothing_left();
}

/* --- bodies ------------------------------------------------------------------------------------------------------------- */

static void a_body_in_any_pieces_is_one_body(void **state)
{
    (void)state;
    start(0, 0);
    const char *text = POST_HEAD("/api/body", "11") "hello world";
    for (size_t step = 1; step <= strlen(text); step += step < 10 ? 1 : 13) {
        struct raw_client c = raw_connect(&server->loop, server->port);
        for (size_t at = 0; at < strlen(text); at += step) {
            raw_send(&c, text + at, step < strlen(text) - at ? step : strlen(text) - at);
            raw_turn(&server->loop, -1);
        }
        assert_string_equal(take(&c, 201), "hello world");
        raw_close(&c);
    }
    nothing_left();
}

static void bodies_up_to_the_limit(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(POST_HEAD("/api/body", "65536"));
    raw_send(&c, server->big, MAX_BODY);
    assert_memory_equal(take(&c, 201), server->big, MAX_BODY);
    raw_close(&c);
    c = arrive(POST_HEAD("/api/body", "65537")); /* refused before a byte of it is there */
    assert_string_equal(take(&c, 413), "refused 413: the body is larger than allowed");
    raw_close(&c);
    c = arrive(POST_HEAD("/api/body", "8388608")); /* sent all the same: the answer still arrives whole */
    raw_send(&c, server->big, BIG_BYTES);
    assert_string_equal(take(&c, 413), "refused 413: the body is larger than allowed");
    raw_close(&c);
    nothing_left();
}

static void what_comes_behind_the_body_is_nobodys(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c =
        arrive(POST_HEAD("/api/body", "2") "{}" GET("/api/echo/second") GET("/api/echo/third"));
    assert_string_equal(take(&c, 201), "{}");
    raw_close(&c);
    assert_int_equal(server->handled, 1);
    assert_int_equal(counts()->requests, 1);
    nothing_left();
}

static void continue_comes_before_the_body_only(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive("POST /api/body HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                                 "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    size_t head = raw_need_head(&c);
    assert_int_equal(raw_status(&c), 100);
    raw_consume(&c, head);
    raw_send_text(&c, "{}");
    assert_string_equal(take(&c, 201), "{}");
    raw_close(&c);
    nothing_left();
}

static void a_slow_body_is_408(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(POST_HEAD("/api/body", "1000") "x");
    PUMP_UNTIL(&server->loop, counts()->exchanges == 1);
    pass(9 * NS_PER_S);
    raw_send_text(&c, "y"); /* which buys no time */
    PUMP_UNTIL(&server->loop, counts()->bytes_in == 1);
    assert_int_equal(counts()->body_timeouts, 0);
    pass(2 * NS_PER_S);
    assert_string_equal(take(&c, 408), "refused 408: the body was not whole in time");
    raw_close(&c);
    assert_int_equal(server->handled, 0);
    nothing_left();
}

/* --- handlers that wait ------------------------------------------------------------------------------------------------- */

static void a_later_answer(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(
        "POST /api/wait HTTP/1.1\r\nHost: h\r\nOrigin: http://localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 5\r\n\r\n");
    PUMP_UNTIL(&server->loop, counts()->exchanges == 1);
    raw_send_text(&c, "hello" GET("/api/echo/more"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 1);
    assert_int_equal(counts()->memory_bytes, 0); /* nothing of the request stays */
    answer(server->waiting[0], 200, "late", 4);
    assert_string_equal(take(&c, 200), "late");
    assert_non_null(strstr((char *)c.in, "Access-Control-Allow-Origin: http://localhost\r\n"));
    raw_close(&c);
    nothing_left();
    assert_int_equal(server->cancels, 0);
}

static void the_peer_goes_while_its_handler_works(void **state)
{
    (void)state;
    start(0, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct raw_client c = arrive(GET("/api/wait"));
        PUMP_UNTIL(&server->loop, counts()->waiting == 1);
        if (i == 0)
            raw_close(&c);
        else if (i == 1)
            raw_reset(&c);
        else
            shutdown(c.fd, SHUT_WR);
        PUMP_UNTIL(&server->loop, counts()->exchanges == 0);
        raw_close(&c);
        assert_int_equal(server->cancels, i + 1);
        assert_int_equal(counts()->cancelled, i + 1);
    }
    nothing_left();
}

static void a_handler_that_never_answers(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client c = arrive(GET("/api/wait"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 1);
    pass((uint64_t)LIMIT_MS * NS_PER_MS + NS_PER_S);
    assert_string_equal(take(&c, 504), "refused 504: no answer in time");
    raw_close(&c);
    assert_int_equal(server->cancels, 1);
    assert_int_equal(counts()->handler_timeouts, 1);
    nothing_left();
}

static void stopping_and_freeing(void **state)
{
    (void)state;
    start(0, 0);
    struct raw_client reading = arrive(POST_HEAD("/api/body", "9") "x"), waiting = arrive(GET("/api/wait")),
                      forgotten = arrive(GET("/api/wait"));
    PUMP_UNTIL(&server->loop, counts()->exchanges == 3 && counts()->waiting == 2);
    http_stop(server->http);
    assert_int_equal(http_busy(server->http), 2);
    assert_string_equal(take(&reading, 503), "refused 503: the server is stopping");
    expect(GET("/api/echo/x"), 503, "refused 503: the server is stopping", "Retry-After: 1\r\n");
    answer(server->waiting[0], 200, "in time", 7);
    assert_string_equal(take(&waiting, 200), "in time");
    raw_close(&reading);
    raw_close(&waiting);
    gate_free(&server->gate);
    http_free(&server->http);
    assert_int_equal(server->cancels, 1);
    raw_until_end(&forgotten);
    assert_int_equal(forgotten.len, 0);
    raw_close(&forgotten);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_and_the_connection_ends),
        TEST(paths_methods_and_rules),
        TEST(preflights_and_empty_answers),
        TEST(a_body_in_any_pieces_is_one_body),
        TEST(bodies_up_to_the_limit),
        TEST(what_comes_behind_the_body_is_nobodys),
        TEST(continue_comes_before_the_body_only),
        TEST(a_slow_body_is_408),
        TEST(a_later_answer),
        TEST(the_peer_goes_while_its_handler_works),
        TEST(a_handler_that_never_answers),
        TEST(stopping_and_freeing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
