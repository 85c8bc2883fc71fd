/* Publishing by topic at the endpoint API (what a handler says to an endpoint's connections), and binary replies. Who is held meanwhile
 * is in publishing_hold_test.c. */
#include "publishing_stage.h"

static enum err_e tell(struct stage *stage, const char *topic, const char *text)
{
    const struct topic topics[] = {chat(topic)};
    return endpoint_publish_to(&stage->endpoints, topics, 1, text, strlen(text), false, NULL);
}

static void who_shares_a_topic_hears_it_once(void **state)
{
    struct stage *stage = *state;
    open_chat(stage, 0, "red");
    open_chat(stage, 1, "blue");
    open_conn(stage, 2, 0, 3); /* of streams */
    enter(stage, 3, &stage->endpoints);
    const struct topic several[] = {chat("red"), chat("green"), chat(""), chat("red")};
    assert_int_equal(tell(stage, "", "all"), ERR_OK);
    assert_int_equal(tell(stage, "red", "some"), ERR_OK);
    assert_int_equal(tell(stage, "green", "nobody"), ERR_OK);
    assert_int_equal(endpoint_publish_to(&stage->endpoints, several, 4, "once", 4, false, NULL), ERR_OK);
    assert_int_equal(tell(stage, "blue", ""), ERR_OK);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 5);
    pump(stage);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
    expect_heard(stage, 0, "all some once ");
    expect_heard(stage, 1, "all once  ");
    assert_int_equal(stage->sockets[2].frames + stage->sockets[3].frames, 0);
    assert_int_equal(publishing(stage)->counts.published, 5);
    assert_int_equal(stage->host.sessions.count, 0); /* nobody is behind them */
    assert_int_equal(stage->host.counts.answers_without_client, 0);
}

static void another_path_has_other_topics(void **state)
{
    struct stage *stage = *state;
    struct topic other;
    open_chat(stage, 0, "red");
    enter(stage, 1, &stage->endpoints);
    topic_make_endpoint(&other, "/cha", "red", 3);
    assert_int_equal(endpoint_subscribe(stage->sockets[1].conn, &other, 1), ERR_OK);
    assert_int_equal(tell(stage, "red", "a"), ERR_OK);
    assert_int_equal(endpoint_publish_to(&stage->endpoints, &other, 1, "b", 1, false, NULL), ERR_OK);
    pump(stage);
    expect_heard(stage, 0, "a ");
    expect_heard(stage, 1, "b ");
}

static void one_may_be_left_out(void **state)
{
    struct stage *stage = *state;
    const struct topic topic = chat("");
    for (unsigned i = 0; i < 12;
         i++) /* 0 to 2 share a set, 3 to 11 another, large enough for a log of its own */
        open_chat(stage, i, i < 3 ? "red" : "blue");
    for (unsigned i = 0; i < 12; i += 4) {
        assert_int_equal(
            endpoint_publish_to(&stage->endpoints, &topic, 1, "x", 1, false, stage->sockets[i].conn), ERR_OK);
        assert_int_equal(tell(stage, "", "y"), ERR_OK);
    }
    pump(stage);
    for (unsigned i = 0; i < 12; i++) {
        const char *const heard[] = {"y x y x y ", "x y y x y ", "x y x y y "};
        expect_heard(stage, i, i % 4 == 0 ? heard[i / 4] : "x y x y x y ");
        assert_true(stage->sockets[i].conn->caller.registered == (i % 4 == 0));
    }
}

static void who_is_left_out_may_be_gone(void **state)
{
    struct stage *stage = *state;
    const struct topic topic = chat("");
    struct endpoint_conn *leaver = open_chat(stage, 0, "red");
    open_chat(stage, 1, "red");
    assert_int_equal(endpoint_publish_to(&stage->endpoints, &topic, 1, "bye", 3, false, leaver), ERR_OK);
    close_conn(stage, 0);
    pump(stage);
    expect_heard(stage, 1, "bye ");
    assert_int_equal(stage->host.counts.answers_without_client, 0);
}

static void a_payload_is_a_text_or_a_binary_frame(void **state)
{
    struct stage *stage = *state;
    static const char any[] = "\xff\xfe\x80";
    const struct topic topic = chat("");
    open_chat(stage, 0, "red");
    assert_int_equal(endpoint_publish_to(&stage->endpoints, &topic, 1, any, 3, true, NULL), ERR_OK);
    assert_int_equal(tell(stage, "", "text"), ERR_OK);
    assert_int_equal(endpoint_publish_to(&stage->endpoints, &topic, 1, NULL, 0, true, NULL), ERR_OK);
    pump(stage);
    expect_heard(stage, 0, "[\xff\xfe\x80] text [] ");
}

/* --- bounds ---------------------------------------------------------------------------------------------------------- */

static void what_is_too_much_is_refused(void **state)
{
    struct stage *stage = *state;
    static char large[ENDPOINT_PUBLISH_MAX + 1];
    static struct topic topics[1001];
    char name[16];
    for (unsigned i = 0; i < 1001; i++) {
        snprintf(name, sizeof name, "%u", i);
        topics[i] = chat(name);
    }
    struct endpoint *to = &stage->endpoints;
    assert_int_equal(endpoint_publish_to(to, topics, 0, "x", 1, false, NULL), ERR_NOT_FOUND);
    assert_int_equal(endpoint_publish_to(to, topics, 1001, "x", 1, false, NULL), ERR_TOO_LARGE);
    assert_int_equal(endpoint_publish_to(to, topics, 1, large, sizeof large, true, NULL), ERR_TOO_LARGE);
    assert_int_equal(publishing(stage)->window.last_seq, 0);
    struct endpoint_conn *first = open_chat(stage, 0, "0"), *last = open_chat(stage, 1, "999");
    assert_int_equal(endpoint_subscribe(first, topics, 500), ERR_OK);
    assert_int_equal(endpoint_publish_to(to, topics, 1000, large, sizeof large - 1, true, last), ERR_OK);
    assert_int_equal(endpoint_publish_to(to, topics, 1000, "x", 1, false, NULL), ERR_OK);
    pump(stage);
    assert_int_equal(stage->sockets[0].frames, 2);
    assert_int_equal(stage->sockets[1].frames, 1);
    assert_int_equal(publishing(stage)->counts.published, 2);
}

static void at_the_hard_bound_nothing_is_taken(void **state)
{
    struct stage *stage = *state;
    static char kib[1025];
    memset(kib, 'k', 1024);
    open_chat(stage, 0, "red");
    broker_dies(stage);
    while (tell(stage, "", kib) == ERR_OK)
        assert_true(publishing(stage)->window.block_bytes <= PUBLISH_HARD_BYTES);
    uint64_t published = publishing(stage)->counts.published;
    assert_int_equal(tell(stage, "", kib), ERR_FULL);
    assert_int_equal(publishing(stage)->counts.full, 2);
    assert_int_equal(publishing(stage)->counts.published, published);
    assert_int_equal(publishing(stage)->window.last_seq, published);
    assert_false(stage->sockets[0].held);
    broker_comes(stage);
    for (unsigned n = 0; publish_window_count(&publishing(stage)->window) > 0; n++) {
        assert_true(n < 100);
        pump(stage);
    }
    assert_int_equal(stage->sockets[0].frames, published);
}

/* --- brokers that come and go ------------------------------------------------------------------------------------------ */

/* It has published some of what it was sent, and the worker has read some of that. */
static void play_a_death(struct stage *stage, unsigned published, bool read)
{
    static const char *const all[] = {"1", "2", "3", "4"};
    const struct topic topic = chat("");
    stage->limit = published;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(tell(stage, "red", all[i]), ERR_OK);
        assert_int_equal(say(stage, 2, all[i]), ERR_OK); /* they share the numbers */
    }
    if (read)
        pump(stage);
    broker_dies(stage);
    assert_int_equal(endpoint_publish_to(&stage->endpoints, &topic, 1, "5", 1, true, stage->sockets[1].conn),
                     ERR_OK);
    broker_comes(stage);
    assert_int_equal(stage->repeats, read ? 0 : published);
    pump(stage);
    expect_heard(stage, 0, "1 2 3 4 [5] ");
    expect_heard(stage, 1, "1 2 3 4 ");
    expect_heard(stage, 2, "");
    expect_heard(stage, 3, "1 2 3 4 ");
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
}

static void every_message_is_published_once_whenever_the_broker_dies(void **state)
{
    struct stage *stage = *state;
    open_chat(stage, 0, "red");
    open_chat(stage, 1, "red");
    open_conn(stage, 2, 0, 1);
    open_conn(stage, 3, 0, 1);
    for (unsigned published = 1; published <= 8; published++)
        for (int read = 0; read < 2; read++) {
            broker_dies(stage);
            broker_comes(stage);
            play_a_death(stage, published, read);
        }
    assert_int_equal(publishing(stage)->counts.given_up, 0);
}

/* --- replies ------------------------------------------------------------------------------------------------------------- */

static void replies_are_texts_or_binary(void **state)
{
    struct stage *stage = *state;
    static char large[70000];
    struct endpoint_conn *conn = open_chat(stage, 0, "red");
    memset(large, 'x', sizeof large);
    endpoint_reply(conn, "text", 4);
    endpoint_reply_binary(conn, "\x80\xff", 2);
    endpoint_reply_binary(conn, NULL, 0);
    endpoint_reply(conn, "", 0);
    pump(stage);
    expect_heard(stage, 0, "text [\x80\xff] []  ");
    endpoint_reply_binary(conn, large, 2048);
    endpoint_reply_binary(conn, large, 2049);
    endpoint_reply_binary(conn, large, sizeof large);
    assert_int_equal(tell(stage, "", "behind"), ERR_OK);
    pump(stage);
    assert_int_equal(stage->sockets[0].frames, 8);
    assert_non_null(strstr(stage->sockets[0].text, "x] behind "));
}

/* Where the worker says when a read is through. */
static void the_replies_of_a_read_leave_together(void **state)
{
    struct stage *stage = *state;
    struct endpoint_conn *conn = open_chat(stage, 0, "red");
    host_message(&conn->client, "as ever", 7, false);
    expect_heard(stage, 0, "as ever ");
    stage->host.settles = true;
    host_message(&conn->client, "one", 3, false);
    host_message(&conn->client, "two", 3, false);
    expect_heard(stage, 0, "");
    uint64_t writes = stage->host.outbox.counts.writes;
    host_settle(&conn->client);
    assert_int_equal(stage->host.outbox.counts.writes, writes + 1);
    expect_heard(stage, 0, "one two ");
    host_message(&conn->client, "last", 4, false);
    endpoint_close(conn, 1000, "");
    expect_heard(stage, 0, "last ");
}

/* Answers from elsewhere: those for one connection in a row. */
static void gathered_replies_leave_together(void **state)
{
    struct stage *stage = *state;
    struct endpoint_conn *red = open_chat(stage, 0, "red"), *blue = open_chat(stage, 1, "blue");
    stage->host.settles = true;
    uint64_t writes = stage->host.outbox.counts.writes;
    endpoint_gather(red);
    endpoint_reply(red, "one", 3);
    endpoint_gather(red);
    endpoint_reply(red, "two", 3);
    endpoint_reply(blue, "aside", 5); /* nobody gathers for it: at once */
    expect_heard(stage, 0, "");
    expect_heard(stage, 1, "aside ");
    endpoint_gather(blue);
    expect_heard(stage, 0, "one two ");
    endpoint_reply(blue, "late", 4);
    endpoint_gathered(&stage->endpoints);
    endpoint_gathered(&stage->endpoints);
    expect_heard(stage, 1, "late ");
    assert_int_equal(stage->host.outbox.counts.writes, writes + 3);
    endpoint_gather(red);
    endpoint_reply(red, "last", 4);
    close_conn(stage, 0); /* it is gone before anybody has gathered */
    endpoint_gathered(&stage->endpoints);
    expect_heard(stage, 1, "");
}

static void the_loop_is_the_workers(void **state)
{
    struct stage *stage = *state;
    assert_ptr_equal(endpoint_clock(&stage->endpoints), &stage->clock.clock);
    assert_ptr_equal(endpoint_loop(&stage->endpoints), (void *)stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(who_shares_a_topic_hears_it_once),
        PLAY(another_path_has_other_topics),
        PLAY(one_may_be_left_out),
        PLAY(who_is_left_out_may_be_gone),
        PLAY(a_payload_is_a_text_or_a_binary_frame),
        PLAY(what_is_too_much_is_refused),
        PLAY(at_the_hard_bound_nothing_is_taken),
        PLAY(every_message_is_published_once_whenever_the_broker_dies),
        PLAY(replies_are_texts_or_binary),
        PLAY(the_replies_of_a_read_leave_together),
        PLAY(gathered_replies_leave_together),
        PLAY(the_loop_is_the_workers),
    };
    return cmocka_run_group_tests_name("publish_to", tests, NULL, NULL);
}
