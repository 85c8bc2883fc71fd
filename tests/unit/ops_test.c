/* /metrics, /healthz, /readyz behind a real gate and real segments, with time by hand: who gets which document, what scrapers that do not
 * read cost, and what is left out. */
#include "http_stage.h"

#include <sys/stat.h>

#include "ops.h"
#include "prom_text.h"
#include "segment.h"

#define WITH_TOKEN(token) "GET /metrics HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " token "\r\n\r\n"

enum { MACHINES = 200, POLLS = 0, TRIP = 1 };
static const struct stats_def agent_defs[] = {{"polls", STATS_COUNTER},
                                              {"plc_round_trip_ns", STATS_HISTOGRAM}};

struct house {
    char dir[64];
    struct segment *segments[MACHINES];
    struct stats stats[MACHINES];
    struct ops *ops;
    uv_idle_t idle;
    bool ready;
    const struct http_api *apis[OPS_APIS];
};

static struct house *house;

static bool is_ready(void *arg, const char *reasons[OPS_REASONS_MAX], unsigned *count)
{
    assert_ptr_equal(arg, house);
    reasons[0] = "no broker";
    reasons[1] = "not seeded";
    *count = house->ready ? 0 : 2;
    return house->ready;
}

static void on_idle(uv_idle_t *idle)
{
    if (!ops_step(house->ops, 0)) /* one step a turn */
        uv_idle_stop(idle);
}

static void wake(void *arg)
{
    assert_ptr_equal(arg, house);
    uv_idle_start(&house->idle, on_idle);
}

static const struct identity *who(void *arg, const char *token)
{
    static const char *const few[] = {"lift-1"};
    struct identity_draft all = {.name = "all", .expires_ms = IDENTITY_NEVER},
                          some = {.name = "some", .expires_ms = IDENTITY_NEVER};
    (void)arg;
    all.names[GRANT_MACHINES_VIEW] = IDENTITY_ALL;
    some.names[GRANT_MACHINES_VIEW] = few;
    some.counts[GRANT_MACHINES_VIEW] = 1;
    if (token == NULL)
        return NULL;
    return identity_new(strcmp(token, "all") == 0 ? &all : &some);
}

static void make_segment(unsigned i)
{
    char path[128], role[32], id[32];
    snprintf(path, sizeof path, "%s/agent.%u", house->dir, i);
    snprintf(role, sizeof role, "agent.%u", i);
    snprintf(id, sizeof id, "lift-%u", i);
    assert_int_equal(
        segment_create(path, role, id, i + 1, agent_defs, 2, &house->segments[i], &house->stats[i]), ERR_OK);
    stats_add(&house->stats[i], POLLS, i);
    stats_observe_ns(&house->stats[i], TRIP, 1000 * (i + 1));
}

static int house_setup(void **state)
{
    setup(state);
    house = calloc(1, sizeof *house);
    assert_non_null(house);
    snprintf(house->dir, sizeof house->dir, "/dev/shm/ops_test.XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    house->ready = true;
    for (unsigned i = 0; i < MACHINES; i++)
        make_segment(i);
    start(0, 65536); /* a budget that no document fits in */
    struct ops_config config = {.clock = &server->clock.clock,
                                .shm_dir = house->dir,
                                .http = server->http,
                                .ready = is_ready,
                                .wake = wake,
                                .arg = house};
    assert_int_equal(ops_new(&config, &house->ops), ERR_OK);
    uv_idle_init(&server->loop, &house->idle);
    for (unsigned k = 0; k < OPS_APIS; k++)
        house->apis[k] = ops_api(house->ops, k);
    site = (struct http_site){house->apis, OPS_APIS, who, false, NULL};
    return 0;
}

static void remove_files(void)
{
    char command[96];
    for (unsigned i = 0; i < MACHINES; i++)
        segment_close(&house->segments[i], true);
    snprintf(command, sizeof command, "rm -rf %s", house->dir);
    assert_int_equal(system(command), 0);
}

static int house_teardown(void **state)
{
    gate_free(&server->gate);
    http_free(&server->http);
    ops_free(&house->ops);
    uv_close((uv_handle_t *)&house->idle, NULL);
    teardown(state);
    remove_files();
    free(house);
    return 0;
}

/* A whole answer, which the strict reader has taken; the client's to free. */
static struct raw_client scrape(const char **text)
{
    char error[256];
    struct raw_client client = arrive(GET("/metrics"));
    *text = take(&client, 200);
    assert_non_null(strstr((char *)client.in, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    if (!prom_check(*text, strlen(*text), error))
        fail_msg("%s", error);
    return client;
}

static void shows(const char *text, const char *series, const char *value)
{
    char found[64];
    if (!prom_value(text, series, found))
        fail_msg("no %s", series);
    assert_string_equal(found, value);
}

static void a_document_of_all(void **state)
{
    (void)state;
    const char *text;
    struct raw_client client = scrape(&text);
    assert_true(strlen(text) > 4 * 65536); /* it went in pieces */
    for (unsigned i = 0; i < MACHINES; i++) {
        char series[128], value[16];
        snprintf(series, sizeof series, "noria_agent_polls_total{machine=\"lift-%u\"}", i);
        snprintf(value, sizeof value, "%u", i);
        shows(text, series, value);
    }
    shows(text, "noria_scrape_segments{outcome=\"shown\"}", "200");
    assert_int_equal(counts()->memory_bytes, 0); /* read from where it stands */
    raw_close(&client);
    client = arrive("HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_until_end(&client);
    assert_int_equal(raw_status(&client), 200);
    assert_non_null(strstr((char *)client.in, "Content-Length: "));
    assert_non_null(strstr((char *)client.in, "\r\n\r\n"));
    assert_string_equal(strstr((char *)client.in, "\r\n\r\n"), "\r\n\r\n");
    raw_close(&client);
    nothing_left();
}

static void those_who_ask_at_once_share(void **state)
{
    (void)state;
    const char *text;
    struct raw_client many[10];
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = arrive(GET("/metrics"));
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        assert_non_null(take(&many[i], 200));
        assert_int_equal(many[i].len, many[0].len);
    }
    assert_int_equal(ops_counts(house->ops)->scrapes, 10);
    assert_int_equal(ops_counts(house->ops)->scrapes_shared, 9);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        raw_close(&many[i]);
    stats_add(&house->stats[0], POLLS, 77);
    struct raw_client client = scrape(&text);
    shows(text, "noria_agent_polls_total{machine=\"lift-0\"}", "0"); /* of a moment ago */
    raw_close(&client);
    pass(OPS_SHARED_NS);
    client = scrape(&text);
    shows(text, "noria_agent_polls_total{machine=\"lift-0\"}", "77");
    raw_close(&client);
    nothing_left();
}

static struct raw_client idle_scraper(uint64_t number)
{
    struct raw_client client = raw_connect(&server->loop, server->port);
    int small = 4096;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    raw_send_text(&client, GET("/metrics"));
    PUMP_UNTIL(&server->loop, ops_counts(house->ops)->scrapes == number);
    return client;
}

/* So many documents are kept for those who do not read; for the next one the oldest gives way, with its reader. */
static void scrapers_that_do_not_read(void **state)
{
    (void)state;
    const char *text;
    struct raw_client idle[OPS_DOCUMENTS + 2];
    for (unsigned i = 0; i < ARRAY_LEN(idle); i++) {
        idle[i] = idle_scraper(i + 1);
        unsigned dropped = i < OPS_DOCUMENTS ? 0 : i - OPS_DOCUMENTS + 1;
        assert_int_equal(ops_counts(house->ops)->scrape_readers_dropped, dropped);
        pass(OPS_SHARED_NS);
    }
    struct raw_client client = scrape(&text);
    raw_close(&client);
    assert_int_equal(ops_counts(house->ops)->scrape_readers_dropped, 3);
    for (unsigned i = 0; i < 3; i++) {
        raw_until_end(&idle[i]);
        assert_true(idle[i].len < strlen("HTTP/1.1 200 OK") + ops_counts(house->ops)->scrape_bytes);
    }
    assert_non_null(take(&idle[3], 200)); /* who begins to read in time gets it whole */
    for (unsigned i = 0; i < ARRAY_LEN(idle); i++)
        raw_close(&idle[i]);
    nothing_left();
    pass(OPS_UNUSED_NS);
    ops_tick(house->ops);
    assert_int_equal(counts()->exchanges, 0);
}

static void who_leaves_meanwhile(void **state)
{
    (void)state;
    const char *text;
    struct raw_client gone = arrive(GET("/metrics"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 1);
    raw_close(&gone);
    PUMP_UNTIL(&server->loop, counts()->cancelled == 1);
    struct raw_client client = scrape(&text);
    raw_close(&client);
    nothing_left();
}

/* The teardown ends the worker with one who waits and one who does not read. */
static void the_worker_ends_meanwhile(void **state)
{
    (void)state;
    struct raw_client reader = idle_scraper(1);
    pass(OPS_SHARED_NS);
    struct raw_client waiter = arrive(GET("/metrics"));
    PUMP_UNTIL(&server->loop, counts()->waiting == 1);
    raw_close(&reader);
    raw_close(&waiter);
}

static void more_than_may_wait(void **state)
{
    (void)state;
    struct raw_client many[OPS_WAITERS_MAX + 1];
    uv_idle_stop(&house->idle);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = arrive(GET("/metrics"));
    unsigned refused = 0;
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        raw_until_end(&many[i]);
        refused += raw_status(&many[i]) == 503;
        raw_close(&many[i]);
    }
    assert_int_equal(refused, ops_counts(house->ops)->scrapes_failed);
    assert_int_equal(refused + ops_counts(house->ops)->scrapes, OPS_WAITERS_MAX + 1);
}

static void put_file(const char *name, const void *bytes, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", house->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

/* What is no segment of somebody who lives is counted, and shown nowhere. */
static void the_dead_and_the_strange(void **state)
{
    (void)state;
    char path[128];
    const char *text;
    segment_close(&house->segments[3], false);
    segment_page(house->segments[4])->version = 99;
    snprintf(segment_page(house->segments[5])->id, 32, "lift-6");
    memset(segment_page(house->segments[7])->id, 'x', sizeof segment_page(house->segments[7])->id);
    segment_page(house->segments[8])->size_bytes = UINT64_MAX;
    memset((char *)segment_page(house->segments[9]) + SEGMENT_STATS_OFFSET, 0xff, 64);
    put_file("worker.1", "no segment", 10);
    put_file("ring", "", 0);
    put_file(".agent.300.tmp", "", 0);
    snprintf(path, sizeof path, "%s/worker.2", house->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    struct raw_client client = scrape(&text);
    shows(text, "noria_scrape_segments{outcome=\"dead\"}", "2");       /* 3, worker.1 */
    shows(text, "noria_scrape_segments{outcome=\"unreadable\"}", "4"); /* 4, 8, 9, worker.2 */
    shows(text, "noria_scrape_segments{outcome=\"left_out\"}", "1");   /* 5 or 6 */
    shows(text, "noria_scrape_segments{outcome=\"shown\"}", "195");
    assert_null(strstr(text, "{machine=\"lift-3\"}"));
    raw_close(&client);
}

static void no_directory(void **state)
{
    (void)state;
    remove_files();
    expect(GET("/metrics"), 503, "{\"detail\":\"the counters cannot be read now\"}", "Retry-After: 1\r\n");
    assert_int_equal(ops_counts(house->ops)->scrapes_failed, 1);
    expect(GET("/healthz"), 200, "{\"status\":\"ok\"}", "application/json");
}

static void ready_and_not(void **state)
{
    (void)state;
    expect(GET("/healthz"), 200, "{\"status\":\"ok\"}", "Cache-Control: no-store\r\n");
    expect(GET("/readyz"), 200, "{\"status\":\"ready\"}", "");
    house->ready = false;
    expect(GET("/readyz"), 503, "{\"status\":\"not ready\",\"reasons\":[\"no broker\",\"not seeded\"]}",
           "Retry-After: 1\r\n");
    expect(GET("/healthz"), 200, "{\"status\":\"ok\"}", "");
    expect("POST /readyz HTTP/1.1\r\nHost: h\r\n\r\n", 405, "{\"detail\":\"the method is not allowed here\"}",
           "Allow: GET, HEAD, OPTIONS\r\n");
}

static void whose_token(void **state)
{
    (void)state;
    site.needs_token = true;
    expect(GET("/metrics"), 401, "{\"detail\":\"a valid token is needed\"}", "WWW-Authenticate: Bearer\r\n");
    expect(WITH_TOKEN("some"), 403, "{\"detail\":\"metrics show every machine, and this token does not\"}",
           "");
    struct raw_client client = arrive(WITH_TOKEN("all"));
    assert_non_null(take(&client, 200));
    raw_close(&client);
    expect(GET("/healthz"), 200, "{\"status\":\"ok\"}", "");
    expect(GET("/readyz"), 200, "{\"status\":\"ready\"}", "");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)
    const struct CMUnitTest tests[] = {
        T(a_document_of_all),
        T(those_who_ask_at_once_share),
        T(scrapers_that_do_not_read),
        T(who_leaves_meanwhile),
        T(the_worker_ends_meanwhile),
        T(more_than_may_wait),
        T(the_dead_and_the_strange),
        T(no_directory),
        T(ready_and_not),
        T(whose_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
