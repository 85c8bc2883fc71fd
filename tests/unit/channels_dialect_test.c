/* Who comes to a channel and what it hears: order of the first frames, refusals, pings; statistics over all workers, and how few surveys
 * they take. */
#include "channels_stage.h"

static const char hello[] =
    "{\"type\":\"connection\",\"status\":\"connected\",\"channel\":\"general\",\"timestamp\":\"";
#define STATS(channel, stats)                                                                                \
    "{\"type\":\"channel_stats\",\"channel\":\"" channel "\",\"stats\":{" stats "}}\n"

static const struct identity *ana(const char *const *channels, size_t count)
{
    struct identity_draft draft = {.name = "ana", .expires_ms = IDENTITY_NEVER};
    draft.names[GRANT_CHANNELS] = channels;
    draft.counts[GRANT_CHANNELS] = count;
    return identity_new(&draft);
}

/* --- coming ------------------------------------------------------------------------------------------------------------- */

static void first_the_connection_then_the_statistics_then_events(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "");
    expect_begins(guest, hello);
    assert_int_equal(guest->frames, 1);
    assert_true(guest->held);
    publish(stage, "sensors", 1, 0, NULL);
    drain(stage);
    assert_int_equal(guest->frames, 1);
    run(stage);
    expect_line(guest, 1, STATS("general", "\"connections\":1,\"users\":[]"));
    expect_line(guest, 2, "{\"type\":\"played\",\"number\":1,");
    assert_false(guest->held);
    publish(stage, "anomalies", 2, 0, NULL);
    run(stage);
    expect_events(guest, 1, 2);
    assert_int_equal(counts(stage, 0)->resumed, 1);
}

static void on_the_secure_path_who_it_is_comes_second(void **state)
{
    struct stage *stage = *state;
    const struct identity *identity = ana(IDENTITY_ALL, 0);
    struct guest *guest = come_as(stage, 0, "/api/v1/ws/secure", "channel=sensors&user_id=eva", identity);
    run(stage);
    expect_line(guest, 1, "{\"type\":\"authenticated\",\"user_id\":\"ana\",\"channel\":\"sensors\"}\n");
    expect_line(guest, 2,
                STATS("sensors", "\"connections\":1,\"users\":[{\"user_id\":\"ana\",\"connected_at\":\"2025-"
                                 "01-01T00:00:00.000Z\"}]"));
    go(guest);
    identity_put(&identity);
}

static void a_channel_that_is_not_granted(void **state)
{
    struct stage *stage = *state;
    const char *const channels[] = {"sensors"};
    const struct identity *identity = ana(channels, 1);
    struct guest *granted = come_as(stage, 0, "/api/v1/ws/secure/", "channel=sensors", identity);
    struct guest *denied = come_as(stage, 0, "/api/v1/ws/secure", "", identity);
    run(stage);
    assert_int_equal(granted->frames, 3);
    assert_int_equal(denied->closed, 1008);
    assert_string_equal(denied->reason, "Canal no permitido");
    assert_int_equal(denied->frames, 0);
    go(granted);
    go(denied);
    identity_put(&identity);
}

static void what_is_no_channel_or_no_name_is_told(void **state)
{
    struct stage *stage = *state;
    const char *channels[] = {"channel=a%2Fb", "channel=%20", "channel=\xc3\xb1", "channel=a+b",
                              "channel=0123456789012345678901234567890123456789012345678901234567890123456"};
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        struct guest *guest = come(stage, 0, channels[i]);
        assert_int_equal(guest->closed, 1008);
        assert_string_equal(guest->reason, "Canal no v\xc3\xa1lido");
        assert_int_equal(guest->frames, 0);
    }
    struct guest *guest = come(stage, 0, "user_id=%ff");
    assert_int_equal(guest->closed, 1008);
    assert_string_equal(guest->reason, "user_id no v\xc3\xa1lido");
    assert_int_equal(counts(stage, 0)->refused, ARRAY_LEN(channels) + 1);
    assert_int_equal(stage->surveys, 0);
}

static void names_are_decoded_and_escaped(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "ch%61nnel=s%65nsors&user_id=%22Ma%C3%ADa%22+P&x=1");
    run(stage);
    expect_line(guest, 1,
                "{\"type\":\"channel_stats\",\"channel\":\"sensors\",\"stats\":{\"connections\":1,\"users\":["
                "{\"user_id\":\"\\\"Ma\xc3\xad"
                "a\\\" P\",");
}

static void paths(void **state)
{
    struct stage *stage = *state;
    struct endpoint *endpoint = &stage->workers[0].endpoint;
    const char *served[] = {"/api/v1/ws", "/api/v1/ws/", "/api/v1/ws/secure", "/api/v1/ws/secure/"};
    const char *other[] = {"/",          "/api/v1/w",          "/api/v1/ws/x", "/api/v1/wss", "/api/v1/ws//",
                           "/API/v1/ws", "/api/v1/ws/secure/x"};
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        assert_true(channels_dialect.path_served(endpoint, served[i], strlen(served[i])));
        assert_int_equal(channels_dialect.path_secure(endpoint, served[i], strlen(served[i])), i > 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_false(channels_dialect.path_served(endpoint, other[i], strlen(other[i])));
}

/* --- saying ------------------------------------------------------------------------------------------------------------- */

static void pings_are_answered_and_all_else_is_ignored(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "");
    const char *ignored[] = {"",
                             "hola",
                             "{}",
                             "[]",
                             "\"ping\"",
                             "{\"type\":\"Ping\"}",
                             "{\"type\":[\"ping\"]}",
                             "{\"type\":\"ping\"",
                             "{\"type\":\"ping\\u0000\"}"};
    run(stage);
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        say(guest, ignored[i], false);
    assert_int_equal(guest->frames, 2);
    say(guest, "{ \"x\": 1, \"type\" : \"p\\u0069ng\" }", false);
    expect_line(guest, 2, "{\"type\":\"pong\",\"timestamp\":\"2025-01-01T00:00:00.000Z\"}\n");
    say(guest, "{\"type\":\"ping\"}", true);
    expect_line(guest, 3, "{\"type\":\"error\",\"message\":\"Error procesando mensaje\"}\n");
    assert_int_equal(guest->closed, 0);
    assert_int_equal(counts(stage, 0)->ignored, ARRAY_LEN(ignored));
}

static void who_stays_is_told_when_the_worker_goes(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "");
    run(stage);
    struct guest *waiting = come(stage, 0, "");
    host_going_away(guest->client);
    host_going_away(waiting->client);
    expect_line(guest, 2,
                "{\"type\":\"system_event\",\"level\":\"info\",\"message\":\"Servidor "
                "deteni\xc3\xa9ndose\",\"data\":{\"module\":\"websocket\"},\"timestamp\":\"2025");
    assert_int_equal(waiting->frames, 1);
}

/* --- statistics ----------------------------------------------------------------------------------------------------------- */

static void statistics_count_all_workers(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        come(stage, i, i == 1 ? "channel=sensors&user_id=w1" : "channel=sensors");
        run(stage);
        clock_manual_advance_ns(&stage->clock, NS_PER_S);
    }
    come(stage, 1, "channel=other");
    run(stage);
    struct guest *last = come(stage, 2, "channel=sensors&user_id=a2");
    run(stage);
    expect_line(
        last, 1,
        STATS(
            "sensors",
            "\"connections\":4,\"users\":[{\"user_id\":\"w1\",\"connected_at\":\"2025-01-01T00:00:01.000Z\"},"
            "{\"user_id\":\"a2\",\"connected_at\":\"2025-01-01T00:00:03.000Z\"}]"));
}

static void of_many_users_the_first_hundred_are_named(void **state)
{
    struct stage *stage = *state;
    char query[64];
    struct guest *guest = NULL;
    for (unsigned i = 0; i < 240; i++) {
        snprintf(query, sizeof query, "channel=c&user_id=u%03u", i);
        guest = come(stage, i % 2, query);
        pass_ms(stage, 10);
    }
    pass_ms(stage, 2500);
    assert_int_equal(heard(guest, "\"user_id\":"), 100);
    assert_int_equal(heard(guest, "\"connections\":240,\"users\":[{\"user_id\":\"u000\""), 1);
    assert_non_null(strstr(strstr(guest->heard, "\"u098\""), "\"u099\""));
    assert_int_equal(heard(guest, "u100"), 0);
}

static void those_who_left_are_not_counted(void **state)
{
    struct stage *stage = *state;
    go(come(stage, 0, "user_id=x"));
    struct guest *gone = come(stage, 1, "user_id=y");
    run(stage);
    go(gone);
    struct guest *guest = come(stage, 2, "");
    run(stage);
    expect_line(guest, 1, STATS("general", "\"connections\":1,\"users\":[]"));
}

static void ten_thousand_at_once_take_few_surveys(void **state)
{
    struct stage *stage = *state;
    char query[64];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(query, sizeof query, "channel=c%u", i % 50);
        come(stage, i % WORKERS, query);
        if (i % 100 == 0)
            step(stage);
    }
    pass_ms(stage, 2000);
    for (unsigned i = 0; i < stage->guest_count; i++)
        assert_int_equal(heard(stage->guests[i], "channel_stats"), 1);
    assert_true(stage->surveys < 60);
    assert_int_equal(counts(stage, 0)->stats_here_only, 0);
    assert_int_equal(heard(stage->guests[9999], "\"connections\":200,"), 1);
}

static void a_silent_worker_leaves_what_is_known_here(void **state)
{
    struct stage *stage = *state;
    struct guest *there = come(stage, 1, "");
    run(stage);
    stage->workers[1].silent = true;
    struct guest *guest = come(stage, 0, "");
    pass_ms(stage, 1900);
    assert_int_equal(guest->frames, 1);
    publish(stage, "sensors", 1, 0, NULL);
    pass_ms(stage, 300);
    expect_line(guest, 1, STATS("general", "\"connections\":1,\"users\":[]"));
    expect_events(guest, 1, 1);
    expect_events(there, 1, 1);
    assert_int_equal(counts(stage, 0)->stats_here_only, 1);
}

static void without_a_broker_likewise(void **state)
{
    struct stage *stage = *state;
    broker_dies(stage);
    struct guest *guest = come(stage, 0, "user_id=a");
    pass_ms(stage, 2200);
    assert_int_equal(heard(guest, "\"connections\":1,\"users\":[{\"user_id\":\"a\""), 1);
    broker_is_back(stage);
    publish(stage, "sensors", 1, 0, NULL);
    run(stage);
    expect_events(guest, 1, 1);
}

static void who_goes_while_it_waits(void **state)
{
    struct stage *stage = *state;
    struct guest *first = come(stage, 0, ""), *second = come(stage, 0, "channel=b"),
                 *third = come(stage, 0, "");
    go(second);
    step(stage);
    go(first);
    run(stage);
    pass_ms(stage, 200);
    expect_line(third, 1, STATS("general", "\"connections\":1,\"users\":[]"));
}

/* --- for REST -------------------------------------------------------------------------------------------------------------- */

struct asked {
    unsigned times, status;
    char body[512];
};

static void on_stats(void *arg, unsigned status, const char *body, size_t len)
{
    struct asked *asked = arg;
    asked->times++;
    asked->status = status;
    snprintf(asked->body, sizeof asked->body, "%.*s", (int)len, body);
}

static void ask(struct stage *stage, const char *channel, struct asked *asked, uint64_t *ticket)
{
    struct endpoint rest = {.host = &stage->workers[0].host, .listener = "rest"};
    *asked = (struct asked){0};
    assert_int_equal(
        channels_stats(&rest, channel, channel != NULL ? strlen(channel) : 0, on_stats, asked, ticket),
        ERR_OK);
    assert_int_equal(asked->times, 0);
}

static void requests_are_told_the_same(void **state)
{
    struct stage *stage = *state;
    struct asked all, one, none;
    uint64_t ticket;
    come(stage, 0, "channel=sensors&user_id=ana");
    come(stage, 1, "");
    come(stage, 2, "channel=sensors");
    pass_ms(stage, 300);
    ask(stage, NULL, &all, &ticket);
    ask(stage, "sensors", &one, &ticket);
    ask(stage, "nobody", &none, &ticket);
    pass_ms(stage, 300);
    assert_int_equal(all.status, 200);
    assert_string_equal(all.body,
                        "{\"total_channels\":2,\"channels\":{\"general\":{\"connections\":1,\"users\":[]},"
                        "\"sensors\":{\"connections\":2,\"users\":[{\"user_id\":\"ana\",\"connected_at\":"
                        "\"2025-01-01T00:00:00.000Z\"}]}}}");
    assert_string_equal(one.body, "{\"channel\":\"sensors\",\"stats\":{\"connections\":2,\"users\":[{\"user_"
                                  "id\":\"ana\",\"connected_at\":\"2025-01-01T00:00:00.000Z\"}]}}");
    assert_string_equal(none.body, "{\"channel\":\"nobody\",\"stats\":{\"connections\":0,\"users\":[]}}");
    assert_int_equal(all.times + one.times + none.times, 3);
}

static void a_request_is_refused_rather_than_told_a_wrong_number(void **state)
{
    struct stage *stage = *state;
    struct asked asked, forgotten;
    uint64_t ticket;
    stage->workers[2].silent = true;
    ask(stage, NULL, &forgotten, &ticket);
    channels_stats_forget(&stage->workers[0].endpoint, ticket);
    ask(stage, NULL, &asked, &ticket);
    pass_ms(stage, 5000);
    assert_int_equal(asked.times, 1);
    assert_int_equal(asked.status, 503);
    assert_non_null(strstr(asked.body, "{\"detail\":"));
    assert_int_equal(forgotten.times, 0);
    channels_stats_forget(&stage->workers[0].endpoint, ticket);
}

/* --- a storm ---------------------------------------------------------------------------------------------------------------- */

static void joins_and_leaves_at_random_are_counted_exactly(void **state)
{
    struct stage *stage = *state;
    char query[64];
    unsigned here[3] = {0}, dice = 12345;
    for (unsigned i = 0; i < 6000; i++) {
        dice = dice * 1103515245 + 12345;
        unsigned at = dice >> 16;
        if (at % 5 < 2 && stage->guest_count > 0) {
            go(stage->guests[at % stage->guest_count]);
        } else {
            snprintf(query, sizeof query, at % 3 == 0 ? "channel=c%u&user_id=u%u" : "channel=c%u", at / 7 % 3,
                     at);
            come(stage, at / 11 % WORKERS, query);
        }
        if (at % 4 == 0)
            step(stage);
        if (i % 50 == 0)
            pass_ms(stage, 100);
    }
    pass_ms(stage, 3000);
    for (unsigned i = 0; i < stage->guest_count; i++) {
        const char *channel = strstr(stage->guests[i]->heard, "\"channel\":\"c");
        assert_non_null(channel);
        here[channel[12] - '0']++;
        assert_int_equal(heard(stage->guests[i], "channel_stats"), 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct asked asked;
        uint64_t ticket;
        char wanted[64], name[3] = {'c', (char)('0' + i), 0};
        ask(stage, name, &asked, &ticket);
        pass_ms(stage, 300);
        snprintf(wanted, sizeof wanted, "{\"channel\":\"c%u\",\"stats\":{\"connections\":%u,", i, here[i]);
        assert_int_equal(strncmp(asked.body, wanted, strlen(wanted)), 0);
    }
}

static void a_connection_is_small(void **state)
{
    (void)state;
    assert_true(host_conn_bytes(&channels_dialect) <= 320);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(first_the_connection_then_the_statistics_then_events),
        PLAY(on_the_secure_path_who_it_is_comes_second),
        PLAY(a_channel_that_is_not_granted),
        PLAY(what_is_no_channel_or_no_name_is_told),
        PLAY(names_are_decoded_and_escaped),
        PLAY(paths),
        PLAY(pings_are_answered_and_all_else_is_ignored),
        PLAY(who_stays_is_told_when_the_worker_goes),
        PLAY(statistics_count_all_workers),
        PLAY(of_many_users_the_first_hundred_are_named),
        PLAY(those_who_left_are_not_counted),
        PLAY(ten_thousand_at_once_take_few_surveys),
        PLAY(a_silent_worker_leaves_what_is_known_here),
        PLAY(without_a_broker_likewise),
        PLAY(who_goes_while_it_waits),
        PLAY(requests_are_told_the_same),
        PLAY(a_request_is_refused_rather_than_told_a_wrong_number),
        PLAY(joins_and_leaves_at_random_are_counted_exactly),
        PLAY(a_connection_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
