/* The streams dialect: each operation, each limit, each text; and a storm of them against a small model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash.h"
#include "streams_stage.h"

static bool is_open(const struct endpoint_conn *conn, const char *id)
{
    struct topic topic;
    topic_make_stream(&topic, id, strlen(id));
    return stage_has(conn, &topic);
}

/* The message is answered with this error, and nothing else happens. */
static void expect_error(struct endpoint_conn *conn, const char *message, const char *text)
{
    char expected[512];
    unsigned replies = conn->replies, publishes = conn->publishes;
    uint32_t count = conn->count;
    uint64_t channels = conn->endpoint->channels;
    snprintf(expected, sizeof expected, "{\"ws_op\":\"error\",\"ws_msg\":\"%s\"}", text);
    stage_say(conn, message);
    assert_int_equal(conn->replies, replies + 1);
    assert_string_equal(conn->reply, expected);
    assert_int_equal(conn->publishes, publishes);
    assert_int_equal(conn->count, count);
    assert_int_equal(conn->endpoint->channels, channels);
    assert_int_equal(conn->close_code, 0);
}

static void paths(void **state)
{
    static const char *const served[] = {"/", "/websocket"};
    static const char *const not [] = {"",          "//", "/websocket/", "/Websocket", "/websockets",
                                       "/websocke", "/x", "websocket"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(served); i++)
        assert_true(streams_dialect.path_served(&stage.workers[0], served[i], strlen(served[i])));
    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        assert_false(streams_dialect.path_served(&stage.workers[0], not [i], strlen(not [i])));
}

/* --- open ----------------------------------------------------------------------------------------------------------- */

static void opening_adds(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\",\"a\"]}");
    assert_int_equal(c->count, 2);
    assert_int_equal(stage.workers[0].channels, 2);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"c\"}");
    stage_say(c, "{ws_op:'open',ws_stream_ids:['b','d',]}");
    assert_true(is_open(c, "a") && is_open(c, "b") && is_open(c, "c") && is_open(c, "d"));
    assert_int_equal(c->count, 4);
    assert_int_equal(stage.workers[0].channels, 4);
    assert_int_equal(c->subscribes, 3);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"d\",\"a\"]}"); /* nothing new: nothing happens */
    assert_int_equal(c->subscribes, 3);
    assert_int_equal(c->replies, 0);
    stage_disconnect(c);
    assert_int_equal(stage.workers[0].channels, 0);
}

static void open_many(struct endpoint_conn *c, unsigned first, unsigned count)
{
    char *text = malloc(count * 16 + 64);
    struct out out = out_init(text, count * 16 + 63);
    out_text(&out, "{\"ws_op\":\"open\",\"ws_stream_ids\":[");
    for (unsigned i = first; i < first + count; i++) {
        out_text(&out, i > first ? ",\"s" : "\"s");
        out_u64(&out, i);
        out_text(&out, "\"");
    }
    out_text(&out, "]}");
    text[out.len] = '\0';
    stage_say(c, text);
    free(text);
}

static void streams_of_one_are_limited(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    open_many(c, 0, 999);
    open_many(c, 999, 1);
    assert_int_equal(c->count, 1000);
    assert_int_equal(c->replies, 0);
    expect_error(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"one more\"}",
                 "ws_stream_ids: 1001 streams would be open, at most 1000 may");
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"s0\",\"s999\"]}"); /* those it has are no more */
    assert_int_equal(c->replies, 1);
    stage_disconnect(c);
    c = stage_connect(0);
    open_many(c, 0, 1001);
    assert_string_equal(c->reply,
                        "{\"ws_op\":\"error\",\"ws_msg\":\"ws_stream_ids[1000]: more than 1000 streams\"}");
    assert_int_equal(c->count, 0);
    stage_disconnect(c);
}

static void channels_of_all_are_limited(void **state)
{
    (void)state;
    stage.conf.streams_max_channels = 5;
    struct endpoint_conn *a = stage_connect(0), *b = stage_connect(0);
    stage_say(a, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\"]}");
    stage.workers[0].elsewhere = 1;
    expect_error(b, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\",\"c\"]}",
                 "ws_stream_ids: the server has no room for 3 more channels (at most 5)");
    stage_say(b, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\"]}");
    assert_int_equal(stage.workers[0].channels, 4);
    stage.workers[0].elsewhere = 100; /* what is open stays */
    expect_error(b, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"c\"]}",
                 "ws_stream_ids: the server has no room for 1 more channels (at most 5)");
    stage_say(b, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\"]}");
    assert_int_equal(b->replies, 2);
    stage_disconnect(a);
    stage_disconnect(b);
}

static void an_open_that_fails_changes_nothing(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"a\"}");
    stage.will.subscribe = ERR_MEMORY;
    expect_error(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\",\"c\"]}",
                 "ws_stream_ids: not opened (out of memory)");
    assert_int_equal(stage_registry(0)->channels, 1);
    assert_int_equal(stage_registry(0)->by_id.count, 1);
    stage.will.subscribe = ERR_OK;
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\",\"c\"]}");
    assert_int_equal(stage.workers[0].channels, 3);
    expect_error(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"x\",\"\"]}", "ws_stream_ids[1]: empty");
    stage_disconnect(c);
}

static void what_may_be_opened(void **state)
{
    (void)state;
    static const char *const m1[] = {"m1"}, *const both[] = {"m1", "m2"};
    static struct conf_bridge bridges[] = {
        {BRIDGE_STATES, "two", both, 2}, {BRIDGE_STATES, "one", m1, 1},   {BRIDGE_RESULTS, "one", m1, 1},
        {BRIDGE_EVENTS, "all", NULL, 0}, {BRIDGE_EVENTS, "mixed", m1, 1}, {BRIDGE_STATES, "mixed", both, 2}};
    static const char *const names[] = {"a", "one", "two", "all", "mixed"};
    struct identity_draft draft = {.name = "ana", .expires_ms = IDENTITY_NEVER};
    draft.names[GRANT_STREAMS] = names;
    draft.counts[GRANT_STREAMS] = ARRAY_LEN(names);
    draft.names[GRANT_MACHINES_VIEW] = m1;
    draft.counts[GRANT_MACHINES_VIEW] = 1;
    streams_dialect.stop(&stage.workers[0]); /* the configuration is another one now */
    stage.conf.bridges = bridges;
    stage.conf.bridge_count = ARRAY_LEN(bridges);
    assert_int_equal(streams_dialect.start(&stage.workers[0]), ERR_OK);
    stage.identity = identity_new(&draft);
    struct endpoint_conn *c = stage_connect(0);
    static const char *const refused[] = {"b", "two", "all", "mixed", "on", "onee", "A"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char message[100], text[100];
        snprintf(message, sizeof message, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"%s\"]}",
                 refused[i]);
        snprintf(text, sizeof text, "ws_stream_ids: not allowed to open %s", refused[i]);
        expect_error(c, message, text);
        assert_int_equal(c->count, 0); /* refused whole */
    }
    expect_error(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"one\\u0000\"]}",
                 "ws_stream_ids: not allowed to open one");
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"one\"]}");
    assert_int_equal(c->count, 2);
    stage_disconnect(c);
    identity_put(&stage.identity);
    draft.names[GRANT_STREAMS] = IDENTITY_ALL; /* any stream, but no machine */
    draft.counts[GRANT_MACHINES_VIEW] = 0;
    stage.identity = identity_new(&draft);
    c = stage_connect(0);
    expect_error(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"one\"}",
                 "ws_stream_ids: not allowed to open one");
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"whatever\"}");
    assert_int_equal(c->count, 1);
    stage_disconnect(c);
    identity_put(&stage.identity);
}

/* Two ids under one hash, which nobody should find: neither passes for the other. */
static void ids_with_one_hash_are_kept_apart(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"a\"}");
    c->topics[0].name[c->topics[0].len - 1] = 'x';
    expect_error(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"b\",\"a\"]}",
                 "ws_stream_ids: cannot be told from another stream here, take another name");
    c->topics[0].name[c->topics[0].len - 1] = 'a';
    stage_disconnect(c);
}

/* --- send ----------------------------------------------------------------------------------------------------------- */

static void expect_sent(struct endpoint_conn *c, const char *message, const char *payload, size_t len)
{
    unsigned publishes = c->publishes, replies = c->replies;
    stage_say(c, message);
    assert_int_equal(c->publishes, publishes + 1);
    assert_int_equal(c->replies, replies); /* no acknowledgement */
    assert_int_equal(c->published_len, len);
    assert_memory_equal(c->published, payload, len);
}

static void payloads_are_bare(void **state)
{
    static const struct {
        const char *message, *payload;
    } rows[] = {
        {"{\"ws_op\":\"send\",\"ws_msg\":\"msg\"}", "msg"},
        {"{\"ws_op\":\"send\",\"ws_msg\":\"\"}", ""},
        {"{\"ws_op\":\"send\",\"ws_msg\":\"a\\n\\\"b\\\" \\u20ac\"}", "a\n\"b\" \xe2\x82\xac"},
        {"{\"ws_op\":\"send\",\"ws_msg\":\" \xc3\xa4 \"}", " \xc3\xa4 "},
        {"{\"ws_op\":\"send\",\"ws_msg\":{ \"a\" : [ 1.10 , 1e400 ] }}", "{\"a\":[1.10,1e400]}"},
        {"{\"ws_op\":\"send\",\"ws_msg\":12345678901234567890}", "12345678901234567890"},
        {"{\"ws_op\":\"send\",\"ws_msg\":null}", "null"},
        {"{\"ws_op\":\"send\",\"ws_msg\": true }", "true"},
        {"{\"ws_op\":\"send\",\"ws_msg\":[]}", "[]"},
        {"{ws_op:'send',ws_msg:'it\\'s \"it\"'}", "it's \"it\""},
        {"{ws_op:'send',ws_msg:{a:'b',},}", "{\"a\":\"b\"}"},
    };
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"a\"}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_sent(c, rows[i].message, rows[i].payload, strlen(rows[i].payload));
    expect_sent(c, "{\"ws_op\":\"send\",\"ws_msg\":\"a\\u0000b\"}", "a\0b", 3);
    stage_disconnect(c);
}

static void what_is_not_sent_is_said(void **state)
{
    static const char send[] = "{\"ws_op\":\"send\",\"ws_msg\":\"x\"}";
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    expect_error(c, send, "Not sent: no stream is open");
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"a\"}");
    stage.will.publish = ERR_FULL;
    expect_error(c, send, "Not sent: too much waits for the broker; try again");
    stage.will.publish = ERR_TOO_LARGE;
    expect_error(c, send, "Not sent: ws_msg is larger than 196608 bytes");
    stage.will.publish = ERR_MEMORY;
    expect_error(c, send, "Not sent: out of memory");
    stage.will.publish = ERR_OK;
    expect_sent(c, send, "x", 1);
    expect_error(c, "{\"ws_op\":\"send\"}", "ws_msg: missing");
    expect_error(c, "{\"ws_op\":\"sned\",\"ws_msg\":\"\\\"\"}",
                 "ws_op: unknown \\\"sned\\\" (known: open, send, close, admin)");
    expect_error(c, "hello", "Expected a value at line 1, column 1");
    stage_disconnect(c);
}

static void echo_is_a_setting(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"a\"}");
    stage_say(c, "{\"ws_op\":\"send\",\"ws_msg\":\"x\"}");
    assert_false(c->echo);
    stage.conf.streams_echo = true;
    stage_say(c, "{\"ws_op\":\"send\",\"ws_msg\":\"x\"}");
    assert_true(c->echo);
    stage_disconnect(c);
}

static void binary_is_text_if_it_is_utf8(void **state)
{
    static const char good[] = "{\"ws_op\":\"send\",\"ws_msg\":\"\xc3\xa4\"}",
                      bad[] = "{\"ws_op\":\"send\",\"ws_msg\":\"\xc3\"}";
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_id\":\"a\"}");
    streams_dialect.on_receive(c, good, sizeof good - 1, true);
    assert_int_equal(c->publishes, 1);
    streams_dialect.on_receive(c, bad, sizeof bad - 1, true);
    assert_int_equal(c->publishes, 1);
    assert_string_equal(c->reply, "{\"ws_op\":\"error\",\"ws_msg\":\"Invalid UTF-8 at line 1, column 27\"}");
    stage_disconnect(c);
}

static void errors_are_a_setting(void **state)
{
    static const char *const wrong[] = {"",
                                        "hello",
                                        "{}",
                                        "{\"ws_op\":\"x\"}",
                                        "{\"ws_op\":\"open\"}",
                                        "{\"ws_op\":\"send\",\"ws_msg\":1}",
                                        "{\"ws_op\":\"open\",\"ws_stream_ids\":[]}"};
    (void)state;
    stage.conf.streams_errors = false;
    struct endpoint_conn *c = stage_connect(0);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        stage_say(c, wrong[i]);
    assert_int_equal(c->replies, 0);
    expect_error(c, "{\"ws_op\":\"admin\"}", "ws_msg: missing");
    expect_error(c, "{\"ws_op\":\"admin\",\"ws_msg\":\"x\"}", /* always answered */
                 "ws_msg: unknown \\\"x\\\" (known: getnumchannels(), getchannelinfo())");
    stage_disconnect(c);
}

/* --- close ---------------------------------------------------------------------------------------------------------- */

static void close_leaves_all_and_keeps_the_socket(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, "{\"ws_op\":\"close\"}");
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\",\"b\"]}");
    stage_say(c, "{\"ws_op\":\"close\",\"ws_stream_ids\":[\"a\"]}");
    assert_int_equal(c->count, 0);
    assert_int_equal(stage.workers[0].channels, 0);
    assert_int_equal(c->replies, 0);
    assert_int_equal(c->close_code, 0);
    expect_error(c, "{\"ws_op\":\"send\",\"ws_msg\":1}", "Not sent: no stream is open");
    stage_say(c, "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"b\"]}");
    expect_sent(c, "{\"ws_op\":\"send\",\"ws_msg\":1}", "1", 1);
    stage.will.unsubscribe = ERR_MEMORY;
    expect_error(c, "{\"ws_op\":\"close\"}", "Not closed: out of memory");
    stage_disconnect(c);
    assert_int_equal(stage.workers[0].channels, 0);
}

/* --- costs ---------------------------------------------------------------------------------------------------------- */

/* Opening; what sending to many costs is endpoint_publish()'s to say. */
static void many_streams_cost_more(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    open_many(c, 0, 127);
    assert_int_equal(c->charged, 0);
    open_many(c, 127, 1);
    assert_int_equal(c->charged, 1);
    open_many(c, 0, 128); /* nothing new, and yet looked at */
    assert_int_equal(c->charged, 1 + 2);
    open_many(c, 128, 872);
    assert_int_equal(c->charged, 1 + 2 + 7);
    stage_say(c, "{\"ws_op\":\"send\",\"ws_msg\":1}");
    assert_int_equal(c->charged, 1 + 2 + 7);
    stage_disconnect(c);
}

/* --- a storm -------------------------------------------------------------------------------------------------------- */

#define CONNS 12
#define IDS   9

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice = hash_u64(dice + 0x9e37);
    return (unsigned)(dice >> 24) % sides;
}

struct model {
    struct endpoint_conn *conn;
    bool open[IDS];
};

static void storm_open(struct model *m)
{
    char text[256];
    struct out out = out_init(text, sizeof text - 1);
    bool wrong = roll(8) == 0;
    out_text(&out, "{\"ws_op\":\"open\",\"ws_stream_ids\":[");
    for (unsigned i = 0, n = 1 + roll(4); i < n; i++) {
        unsigned id = roll(IDS);
        out_text(&out, "\"");
        out_u64(&out, id);
        out_text(&out, "\",");
        m->open[id] |= !wrong && stage.will.subscribe == ERR_OK;
    }
    out_text(&out, wrong ? "1]}" : "\"0\"]}");
    m->open[0] |= !wrong && stage.will.subscribe == ERR_OK;
    text[out.len] = '\0';
    stage_say(m->conn, text);
}

static void storm_step(struct model *m, unsigned worker)
{
    if (m->conn == NULL)
        m->conn = stage_connect(worker);
    switch (roll(6)) {
    case 0:
        stage_say(m->conn, "{\"ws_op\":\"close\"}");
        memset(m->open, 0, sizeof m->open);
        return;
    case 1:
        stage_disconnect(m->conn);
        *m = (struct model){0};
        return;
    default:
        stage.will.subscribe = roll(10) == 0 ? ERR_MEMORY : ERR_OK;
        storm_open(m);
        stage.will.subscribe = ERR_OK;
    }
}

static void expect_as_modelled(const struct model *models)
{
    unsigned channels = 0, conns = 0, by_id[IDS] = {0}, streams = 0;
    uint32_t place = 0;
    for (unsigned i = 0; i < CONNS; i++) {
        conns += models[i].conn != NULL;
        for (unsigned id = 0; models[i].conn != NULL && id < IDS; id++) {
            char name[2] = {(char)('0' + id), '\0'};
            assert_int_equal(is_open(models[i].conn, name), models[i].open[id]);
            by_id[id] += models[i].open[id];
            channels += models[i].open[id];
        }
    }
    const struct streams_registry *registry = stage_registry(0);
    assert_int_equal(stage.workers[0].channels, channels);
    assert_int_equal(registry->conns.count, conns);
    for (const struct streams_stream *s; (s = streams_registry_stream(registry, place, &place)) != NULL;
         place++, streams++)
        assert_int_equal(s->channels, by_id[s->id[0] - '0']);
    for (unsigned id = 0; id < IDS; id++)
        streams -= by_id[id] > 0;
    assert_int_equal(streams, 0);
}

static void storm(void **state)
{
    struct model models[CONNS] = {0};
    (void)state;
    dice = 7;
    for (unsigned step = 0; step < 20000; step++) {
        storm_step(&models[roll(CONNS)], 0);
        if (step % 16 == 0)
            expect_as_modelled(models);
    }
    for (unsigned i = 0; i < CONNS; i++)
        if (models[i].conn != NULL)
            stage_disconnect(models[i].conn);
    assert_int_equal(streams_registry_bytes(stage_registry(0)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        T(opening_adds),
        T(streams_of_one_are_limited),
        T(channels_of_all_are_limited),
        T(what_may_be_opened),
        T(an_open_that_fails_changes_nothing),
        T(ids_with_one_hash_are_kept_apart),
        T(payloads_are_bare),
        T(what_is_not_sent_is_said),
        T(echo_is_a_setting),
        T(binary_is_text_if_it_is_utf8),
        T(errors_are_a_setting),
        T(close_leaves_all_and_keeps_the_socket),
        T(many_streams_cost_more),
        T(storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
