/* Endpoints over a played API and a played pool: what clients read for whatever they and the handler say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash.h"
#include "validated_stage.h"

#define ERROR_OF(status, type, msg)                                                                          \
    "{\"statusCode\":" status ",\"body\":{\"errorList\":[{\"loc\":[],\"type\":\"" type "\",\"msg\":\"" msg   \
    "\"}]}}"
#define FAILED      ERROR_OF("500", "handler_failed", "The handler failed")
#define UNAVAILABLE ERROR_OF("503", "handler_unavailable", "No handler is available")
#define TIMED_OUT   ERROR_OF("503", "handler_timeout", "The handler did not answer in time")

static int setup(void **state)
{
    (void)state;
    stage_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(validated_counts(&stage.own)->waiting_bytes, 0);
    stage_stop();
    return 0;
}

static void expect(struct endpoint_conn *conn, const char *text)
{
    const char *read = stage_read(conn);
    assert_non_null(read);
    assert_string_equal(read, text);
}

static void expect_nothing(struct endpoint_conn *conn)
{
    assert_null(stage_read(conn));
}

static const char *last_message(void)
{
    assert_true(stage.message_count > 0);
    return stage.messages[stage.message_count - 1].json;
}

static unsigned last(void)
{
    return stage.message_count - 1;
}

static uint64_t faults(enum validated_fault_e fault)
{
    return validated_counts(&stage.own)->faults[fault];
}

/* --- paths and connections ---------------------------------------------------------------------------------------------- */

static void paths(void **state)
{
    static const char *const served[] = {"/chat", "/any", "/raw", "/other"};
    static const char *const not [] = {"", "/", "/chat/", "/cha", "/chatx", "/CHAT", "chat", "/chat?x"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(served); i++)
        assert_true(validated_dialect.path_served(&stage.own, served[i], strlen(served[i])));
    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        assert_false(validated_dialect.path_served(&stage.own, not [i], strlen(not [i])));
}

static void a_connection_is_told_to_its_handler(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/any");
    const struct pool_conn *at = stage_pool_conn(c);
    struct topic topic;
    assert_int_equal(at->endpoint, 1);
    assert_string_equal(at->query, "room=1");
    assert_string_equal(at->principal, "ana");
    assert_string_equal(at->peer, "127.0.0.1:50000");
    topic_make_endpoint(&topic, "/any", "", 0);
    assert_int_equal(c->topic_count, 1);
    assert_string_equal(c->topics[0].name, topic.name);
    assert_int_equal(stage.closed, 0);
    stage_disconnect(c);
    assert_int_equal(stage.opened, 1);
    assert_int_equal(stage.closed, 1);
}

static void without_memory_nobody_comes_in(void **state)
{
    (void)state;
    stage.will.open = ERR_MEMORY;
    struct endpoint_conn *c = stage_connect("/chat");
    assert_int_equal(c->close_code, 1013);
    stage_disconnect(c);
    assert_int_equal(stage.closed, 0); /* it was never opened */
}

/* --- what comes in ------------------------------------------------------------------------------------------------------ */

static void messages_arrive_as_the_schema_made_them(void **state)
{
    static const struct {
        const char *path, *text, *told;
    } rows[] = {
        {"/chat", "{\"message\":\"Hi\"}", "{\"message\":\"Hi\",\"user\":\"anonymous\"}"},
        {"/chat", " { \"user\" : \"x\", \"extra\":[1] , \"message\":\"Hi\",\"n\":\"12\"}\n",
         "{\"message\":\"Hi\",\"user\":\"x\",\"n\":12}"},
        {"/any", "{\"b\":[1,-2,9223372036854775807],\"a\":{\"x\":1.0,\"y\":0.1,\"z\":null,\"t\":true}}",
         "{\"b\":[1,-2,9223372036854775807],\"a\":{\"x\":1.0,\"y\":0.1,\"z\":null,\"t\":true}}"},
        {"/raw", " [ 1, 2.50 ] ", "\" [ 1, 2.50 ] \""}, /* byte for byte */
        {"/raw", "\"\xc3\xa4\"", "\"\\\"\xc3\xa4\\\"\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint_conn *c = stage_connect(rows[i].path);
        stage_say(c, rows[i].text);
        assert_string_equal(last_message(), rows[i].told);
        expect_nothing(c);
        stage_disconnect(c);
    }
    assert_int_equal(validated_counts(&stage.own)->received, ARRAY_LEN(rows));
}

static void bytes(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat"), *raw = stage_connect("/raw");
    stage_hear(c, "{\"message\":\"\xc3\xa4\"}", 16, true); /* read as text */
    assert_string_equal(last_message(), "{\"message\":\"\xc3\xa4\",\"user\":\"anonymous\"}");
    stage_hear(raw, "\x01\xff{", 3, true); /* whatever they are */
    assert_string_equal(last_message(), "bin:\x01\xff{");
    stage_answer(0, 200, "{\"message\":\"a\",\"user\":\"b\"}");
    expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"a\",\"user\":\"b\",\"n\":7}}");
    stage_hear(c, "{\"message\":\"\xff\"}", 15, true);
    expect(c,
           ERROR_OF("400", "json_invalid", "Invalid JSON: invalid unicode code point at line 1 column 13"));
    stage_disconnect(c);
    stage_disconnect(raw);
}

static void refusals(void **state)
{
    static const struct {
        const char *path, *text, *answer;
        bool binary;
    } rows[] = {
        {"/chat", "{}",
         "{\"statusCode\":400,\"body\":{\"errorList\":[{\"loc\":[\"message\"],\"type\":\"missing\",\"msg\":"
         "\"Field "
         "required\"}]}}",
         false},
        {"/chat", "{\"message\":\"\",\"user\":5}",
         "{\"statusCode\":400,\"body\":{\"errorList\":[{\"loc\":[\"message\"],\"type\":\"string_too_short\","
         "\"msg\":"
         "\"String should have at least 1 "
         "character\"},{\"loc\":[\"user\"],\"type\":\"string_type\",\"msg\":\"Input "
         "should be a valid string\"}]}}",
         false},
        {"/chat", "{\"message\":",
         ERROR_OF("400", "json_invalid", "Invalid JSON: EOF while parsing a value at line 1 column 11"),
         false},
        {"/chat", "",
         ERROR_OF("400", "json_invalid", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
         false},
        {"/chat", "[]",
         "{\"statusCode\":400,\"body\":{\"errorList\":[{\"loc\":[],\"type\":\"model_type\",\"msg\":\"Input "
         "should be an "
         "object\"}]}}",
         false},
        {"/any", "7",
         "{\"statusCode\":400,\"body\":{\"errorList\":[{\"loc\":[],\"type\":\"dict_type\",\"msg\":\"Input "
         "should be an "
         "object\"}],\"errorObject\":{\"__model__\":[{\"type\":\"dict_type\",\"msg\":\"Input should be an "
         "object\"}]}}}",
         true},
        {"/raw", "{a}",
         "{\"errorList\":[{\"loc\":[],\"type\":\"json_invalid\",\"msg\":\"Invalid JSON: key must be a string "
         "at line 1 "
         "column 2\"}]}",
         false},
        {"/raw", "{} x",
         "{\"errorList\":[{\"loc\":[],\"type\":\"json_invalid\",\"msg\":\"Invalid JSON: trailing characters "
         "at line 1 "
         "column 4\"}]}",
         false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint_conn *c = stage_connect(rows[i].path);
        stage_say(c, rows[i].text);
        expect(c, rows[i].answer);
        assert_int_equal(c->frames[0].binary, rows[i].binary);
        assert_int_equal(c->close_code, 0); /* it stays open */
        stage_disconnect(c);
    }
    assert_int_equal(stage.message_count, 0);
    assert_int_equal(validated_counts(&stage.own)->refused, ARRAY_LEN(rows));
}

/* The protocol of handlers carries fewer levels than JSON may have. */
static void deep_messages(void **state)
{
    (void)state;
    char text[512];
    struct endpoint_conn *c = stage_connect("/any"), *raw = stage_connect("/raw");
    for (unsigned levels = 30; levels < 34; levels++) {
        struct out out = out_init(text, sizeof text - 1);
        out_text(&out, "{\"a\":");
        for (unsigned i = 1; i < levels; i++)
            out_char(&out, '[');
        for (unsigned i = 1; i < levels; i++)
            out_char(&out, ']');
        out_char(&out, '}');
        text[out.len] = '\0';
        unsigned before = stage.message_count;
        stage_say(c, text);
        assert_int_equal(stage.message_count, before + (levels <= HANDLER_DEPTH_MAX));
        if (levels <= HANDLER_DEPTH_MAX) {
            stage_answer(last(), 204, NULL);
            expect(c, "{\"statusCode\":204,\"body\":null}");
        } else {
            assert_non_null(strstr(stage_read(c), "\"msg\":\"Invalid JSON: recursion limit exceeded\""));
        }
        stage_say(raw, text); /* a text has no levels */
        assert_int_equal(stage.message_count, before + 1 + (levels <= HANDLER_DEPTH_MAX));
        stage_answer(last(), 0, NULL);
    }
    stage_disconnect(c);
    stage_disconnect(raw);
}

/* --- what goes out ------------------------------------------------------------------------------------------------------ */

static void answers(void **state)
{
    static const struct {
        const char *path;
        unsigned status;
        const char *body, *text;
        bool binary;
    } rows[] = {
        /* the source document's */
        {"/chat", 200, "{\"message\":\"Hi\",\"user\":\"System\",\"n\":1}",
         "{\"statusCode\":200,\"body\":{\"message\":\"Hi\",\"user\":\"System\",\"n\":1}}", false},
        {"/raw", 200, "{\"message\":\"Hi\",\"user\":\"System\"}", "{\"message\":\"Hi\",\"user\":\"System\"}",
         false},
        /* as its schema makes it */
        {"/chat", 201, "{\"user\":\"s\",\"message\":\"m\",\"n\":\"3\",\"secret\":1}",
         "{\"statusCode\":201,\"body\":{\"message\":\"m\",\"user\":\"s\",\"n\":3}}", false},
        {"/chat", 202, "{\"message\":\"m\",\"user\":\"s\",\"any\":[0.1,1.0,{\"x\":null}]}",
         "{\"statusCode\":202,\"body\":{\"message\":\"m\",\"user\":\"s\",\"n\":7,\"any\":[0.1,1.0,{\"x\":"
         "null}]}}",
         false},
        {"/chat", 204, "{\"message\":5}", "{\"statusCode\":204,\"body\":null}", false},
        /* above 299 it does not matter */
        {"/chat", 404, "{\"detail\":\"no such room\"}",
         "{\"statusCode\":404,\"body\":{\"detail\":\"no such room\"}}", false},
        {"/chat", 429, NULL, "{\"statusCode\":429,\"body\":null}", false},
        {"/any", 200, "[1,[2,[]],{\"a\":{}}]", "{\"statusCode\":200,\"body\":[1,[2,[]],{\"a\":{}}]}", true},
        {"/any", 200, "\"text\"", "{\"statusCode\":200,\"body\":\"text\"}", true},
        {"/any", 503, "null", "{\"statusCode\":503,\"body\":null}", true},
        {"/raw", 500, "\"as it is\"", "as it is", false},
        {"/raw", 200, "\"\"", "", false},
        {"/raw", 204, "\"x\"", "null", false},
        {"/raw", 200, "17", "17", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint_conn *c = stage_connect(rows[i].path);
        stage_say(c, "{\"message\":\"x\"}");
        stage_answer(last(), rows[i].status, rows[i].body);
        expect(c, rows[i].text);
        assert_int_equal(c->frames[0].binary, rows[i].binary);
        expect_nothing(c);
        stage_disconnect(c);
    }
    assert_int_equal(validated_counts(&stage.own)->answered, ARRAY_LEN(rows));
    assert_int_equal(validated_counts(&stage.own)->failed, 0);
}

static void bytes_of_a_handler(void **state)
{
    const msgpack_object bin = {.type = MSGPACK_OBJECT_BIN, .via.bin = {3, "\x00\xff\x01"}};
    const msgpack_object bad = {.type = MSGPACK_OBJECT_STR, .via.str = {2, "a\xff"}};
    const msgpack_object none = {.type = MSGPACK_OBJECT_STR};
    (void)state;
    struct endpoint_conn *raw = stage_connect("/raw"), *chat = stage_connect("/any");
    for (int i = 0; i < 3; i++)
        stage_say(raw, "1");
    stage_answer_object(0, 200, &bin);
    assert_true(raw->frames[0].binary);
    assert_int_equal(raw->frames[0].len, 3);
    assert_memory_equal(raw->frames[0].at, "\x00\xff\x01", 3);
    stage_answer_object(1, 200, &none);
    assert_false(raw->frames[1].binary);
    assert_int_equal(raw->frames[1].len, 0);
    stage_answer_object(2, 200, &bad);
    assert_string_equal(
        raw->frames[2].at,
        "{\"errorList\":[{\"loc\":[],\"type\":\"handler_failed\",\"msg\":\"The handler failed\"}]}");
    stage_say(chat, "{}");
    stage_answer_object(3, 200, &bin);
    assert_non_null(strstr(stage_read(chat), "{\"statusCode\":500,\"body\":{\"errorList\":"));
    assert_int_equal(faults(VALIDATED_FAULT_BODY), 2);
    stage_disconnect(raw);
    stage_disconnect(chat);
}

static void answers_that_may_not_be(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum validated_fault_e fault;
    } rows[] = {
        {100, "{}", VALIDATED_FAULT_STATUS},
        {203, "{}", VALIDATED_FAULT_STATUS},
        {302, NULL, VALIDATED_FAULT_STATUS},
        {501, NULL, VALIDATED_FAULT_STATUS},
        {200, "{\"message\":\"m\"}", VALIDATED_FAULT_SCHEMA},
        {200, NULL, VALIDATED_FAULT_SCHEMA},
        {201, "[]", VALIDATED_FAULT_SCHEMA},
    };
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t before = faults(rows[i].fault);
        stage_say(c, "{\"message\":\"x\"}");
        stage_answer(last(), rows[i].status, rows[i].body);
        expect(c, FAILED);
        assert_int_equal(faults(rows[i].fault), before + 1);
    }
    assert_int_equal(validated_counts(&stage.own)->failed, ARRAY_LEN(rows));
    assert_int_equal(c->close_code, 0);
    stage_disconnect(c);
}

static void outcomes(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    for (int i = 0; i < 3; i++)
        stage_say(c, "{\"message\":\"x\"}");
    stage_outcome(0, POOL_FAILED);
    stage_outcome(1, POOL_TIMEOUT);
    stage_outcome(2, POOL_UNAVAILABLE);
    expect(c, FAILED);
    expect(c, TIMED_OUT);
    expect(c, UNAVAILABLE);
    stage.will.send = ERR_FULL;
    stage_say(c, "{\"message\":\"x\"}");
    expect(c, UNAVAILABLE);
    stage.will.send = ERR_OK;
    stage_say(c, "{\"message\":\"x\"}");
    stage_answer(last(), 0, NULL); /* a status of 0: nothing is said */
    expect_nothing(c);
    assert_int_equal(validated_counts(&stage.own)->unavailable, 3);
    stage_disconnect(c);
}

static char *letters(size_t count, char letter)
{
    char *text = malloc(count + 3);
    MUST(text != NULL);
    memset(text, letter, count + 2);
    text[0] = text[count + 1] = '"';
    text[count + 2] = '\0';
    return text;
}

static void large_answers(void **state)
{
    (void)state;
    const size_t around = strlen("{\"statusCode\":200,\"body\":\"\"}");
    struct endpoint_conn *c = stage_connect("/any");
    for (size_t more = 0; more < 2; more++) {
        char *text = letters(VALIDATED_ANSWER_MAX - around + more, 'x');
        stage_say(c, "{}");
        stage_answer(last(), 200, text);
        if (more == 0)
            assert_int_equal(c->frames[c->read++].len, VALIDATED_ANSWER_MAX);
        else
            assert_non_null(strstr(stage_read(c), "handler_failed"));
        free(text);
    }
    assert_int_equal(faults(VALIDATED_FAULT_LARGE), 1);
    stage_disconnect(c);
}

/* --- order -------------------------------------------------------------------------------------------------------------- */

static void answers_come_in_the_order_of_the_messages(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    stage_say(c, "{\"message\":\"0\"}");
    stage_say(c, "nonsense"); /* refused at once, and yet second */
    stage_say(c, "{\"message\":\"2\"}");
    stage_say(c, "{\"message\":\"3\"}");
    stage_say(c, "{\"message\":\"4\"}");
    expect_nothing(c);
    assert_int_equal(stage.message_count, 4);
    stage_answer(3, 200, "{\"message\":\"4\",\"user\":\"s\"}");
    stage_answer(1, 0, NULL); /* to the third nothing is said, in its turn */
    expect_nothing(c);
    assert_true(validated_counts(&stage.own)->waiting_bytes > 0);
    stage_answer(0, 404, NULL);
    expect(c, "{\"statusCode\":404,\"body\":null}");
    expect(c, ERROR_OF("400", "json_invalid", "Invalid JSON: expected ident at line 1 column 2"));
    expect_nothing(c);
    stage_outcome(2, POOL_FAILED);
    expect(c, FAILED);
    expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"4\",\"user\":\"s\",\"n\":7}}");
    stage_disconnect(c);
}

static void sends_do_not_wait(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    stage_say(c, "{\"message\":\"0\"}");
    stage_send(c, 200, "{\"news\":1}"); /* its body has no schema */
    expect(c, "{\"statusCode\":200,\"body\":{\"news\":1}}");
    stage_send(c, 299, "{}");
    stage_send(c, 0, "{}");
    expect_nothing(c);
    assert_int_equal(faults(VALIDATED_FAULT_STATUS), 2);
    assert_int_equal(validated_counts(&stage.own)->sent, 1);
    stage_answer(0, 204, NULL);
    expect(c, "{\"statusCode\":204,\"body\":null}");
    stage_disconnect(c);
}

/* 16 under way: not read; what one read has brought already waits; half of them answered: read again. */
static void sixteen_under_way(void **state)
{
    (void)state;
    char text[64];
    struct endpoint_conn *c = stage_connect("/chat");
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "{\"message\":\"x\",\"n\":%d}", i);
        stage_say(c, text);
        assert_int_equal(c->held, i >= 15);
    }
    assert_int_equal(c->holds, 1);
    assert_int_equal(stage.message_count, 16);
    assert_int_equal(validated_counts(&stage.own)->deferred, 24);
    stage_answer(5, 204, NULL); /* not its turn: nothing moves */
    assert_int_equal(stage.message_count, 16);
    for (unsigned i = 0; i < 40; i++) {
        if (i != 5)
            stage_answer(i, 204, NULL);
        assert_int_equal(c->held, i < 31);
        if (stage.message_count < 40)
            assert_true(stage.message_count >= i + 16);
    }
    assert_int_equal(stage.message_count, 40);
    assert_string_equal(stage.messages[39].json, "{\"message\":\"x\",\"user\":\"anonymous\",\"n\":39}");
    assert_int_equal(c->frame_count, 40);
    assert_false(c->held);
    stage_disconnect(c);
}

/* Among what was deferred are refusals, which need no handler: they all come out at once. */
static void deferred_refusals(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 16; i++)
        stage_say(c, "1");
    for (int i = 0; i < 1000; i++)
        stage_say(c, "?");
    stage_say(c, "2");
    for (unsigned i = 0; i < 16; i++)
        stage_answer(i, 200, "1");
    assert_int_equal(c->frame_count, 1016);
    assert_int_equal(stage.message_count, 17);
    assert_false(c->held);
    stage_answer(16, 200, "2");
    assert_int_equal(c->frame_count, 1017);
    stage_disconnect(c);
}

static void too_much_waits(void **state)
{
    (void)state;
    char *text = letters(300 * 1024, 'x');
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 6; i++)
        stage_say(c, "1");
    for (unsigned i = 1; i < 4; i++)
        stage_answer(i, 200, text);
    assert_int_equal(validated_counts(&stage.own)->waiting_bytes, 3 * 300 * 1024);
    assert_int_equal(c->close_code, 0);
    stage_answer(4, 200, text);
    assert_int_equal(c->close_code, 1013);
    assert_string_equal(c->close_reason, "too much waits for an earlier answer");
    stage_answer(5, 200, text); /* whatever comes now does no harm */
    stage_answer(0, 200, text);
    assert_int_equal(c->closes, 1);
    assert_int_equal(c->frame_count, 0);
    assert_int_equal(validated_counts(&stage.own)->closed_waiting, 1);
    stage_disconnect(c);
    free(text);
}

/* Of all connections together, too. */
static void too_much_waits_everywhere(void **state)
{
    (void)state;
    char *text = letters(1000 * 1024, 'x');
    const msgpack_object large = {.type = MSGPACK_OBJECT_STR, .via.str = {1000 * 1024, text}};
    struct endpoint_conn *conns[80];
    unsigned closed = 0;
    for (unsigned i = 0; i < ARRAY_LEN(conns); i++) {
        conns[i] = stage_connect("/raw");
        stage_say(conns[i], "1");
        stage_say(conns[i], "1");
        stage_answer_object(2 * i + 1, 200, &large);
        assert_true(validated_counts(&stage.own)->waiting_bytes <= 64 * 1024 * 1024);
        closed += conns[i]->close_code == 1013;
    }
    assert_int_equal(closed, ARRAY_LEN(conns) - 65);
    for (unsigned i = 0; i < ARRAY_LEN(conns); i++)
        stage_disconnect(conns[i]);
    free(text);
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static void gone_with_things_under_way(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat"), *d = stage_connect("/chat");
    for (int i = 0; i < 40; i++)
        stage_say(c, "{\"message\":\"x\"}");
    stage_answer(3, 200, "{\"message\":\"m\",\"user\":\"u\"}");
    stage_disconnect(c); /* waiting answers and deferred messages go with it */
    assert_int_equal(stage.message_count, 16);
    stage_say(d, "{\"message\":\"y\"}");
    stage_answer(16, 204, NULL);
    expect(d, "{\"statusCode\":204,\"body\":null}");
    stage_disconnect(d);
}

static void closes(void **state)
{
    static const struct {
        unsigned code;
        const char *reason;
        unsigned told;
    } rows[] = {
        {1000, "bye", 1000}, {1001, "", 1001}, {1003, "", 1003}, {1007, "", 1007},      {1008, "no", 1008},
        {1011, "", 1011},    {1013, "", 1013}, {3000, "", 3000}, {4999, "x", 4999},     {1002, "", 1011},
        {1004, "", 1011},    {1005, "", 1011}, {1006, "", 1011}, {1014, "", 1011},      {1015, "", 1011},
        {2999, "", 1011},    {5000, "", 1011}, {0, "", 1011},    {1000, "a\xff", 1011},
    };
    unsigned bad = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint_conn *c = stage_connect("/chat");
        stage_say(c, "{\"message\":\"x\"}");
        stage_answer(last(), 204, NULL);
        stage.events->close(c, rows[i].code, handler_text(rows[i].reason));
        assert_int_equal(c->close_code, rows[i].told);
        bool good = rows[i].code == rows[i].told && i != ARRAY_LEN(rows) - 1;
        assert_string_equal(c->close_reason, good ? rows[i].reason : "The handler failed");
        assert_int_equal(c->frame_count, 1); /* what was answered before came before */
        stage_send(c, 200, "{}");            /* nothing after */
        bad += !good;
        stage_disconnect(c);
    }
    assert_int_equal(faults(VALIDATED_FAULT_CLOSE), bad);
    char longest[124];
    memset(longest, 'r', sizeof longest);
    for (uint32_t len = 123; len < 125; len++) {
        struct endpoint_conn *c = stage_connect("/chat");
        stage.events->close(c, 1000, (struct handler_text){longest, len});
        assert_int_equal(c->close_code, len == 123 ? 1000 : 1011);
        stage_disconnect(c);
    }
}

/* What one read had brought is not handled after the handler closed. */
static void closed_with_deferred_messages(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 20; i++)
        stage_say(c, "1");
    stage.events->close(c, 1000, handler_text(""));
    for (unsigned i = 0; i < 16; i++)
        stage_answer(i, 200, "1");
    assert_int_equal(stage.message_count, 16);
    assert_int_equal(c->frame_count, 0);
    stage_disconnect(c);
}

/* --- topics ------------------------------------------------------------------------------------------------------------- */

static void topics(void **state)
{
    (void)state;
    struct topic topic;
    struct endpoint_conn *c = stage_connect("/chat");
    topic_make_endpoint(&topic, "/chat", "room", 4);
    stage.events->subscribe(c, handler_text("room"), true);
    stage.events->subscribe(c, handler_text("room"), true); /* again: nothing */
    assert_int_equal(c->topic_count, 2);
    assert_true(endpoint_is_subscribed(c, &topic));
    stage.events->subscribe(c, handler_text("room"), false);
    stage.events->subscribe(c, handler_text("room"), false);
    assert_int_equal(c->topic_count, 1);
    stage.events->subscribe(c, handler_text(""), false); /* everybody's stays */
    stage.events->subscribe(c, handler_text(""), true);
    stage.events->subscribe(c, handler_text("a\xff"), true);
    char name[62];
    memset(name, 'n', sizeof name);
    stage.events->subscribe(c, (struct handler_text){name, 61}, true);
    assert_int_equal(c->topic_count, 1);
    assert_int_equal(faults(VALIDATED_FAULT_TOPIC), 4);
    stage.events->subscribe(c, (struct handler_text){name, 60}, true);
    assert_int_equal(c->topic_count, 2);
    /* one that has the hash of another */
    topic_make_endpoint(&topic, "/chat", "room", 4);
    c->topics[1].hash = topic.hash;
    stage.events->subscribe(c, handler_text("room"), true);
    stage.events->subscribe(c, handler_text("room"), false);
    assert_int_equal(c->topic_count, 2);
    assert_int_equal(faults(VALIDATED_FAULT_TOPIC), 6);
    c->wants_subscribe_error = true; /* more than a connection may have */
    stage.events->subscribe(c, handler_text("one more"), true);
    assert_int_equal(faults(VALIDATED_FAULT_TOPIC), 7);
    assert_int_equal(c->close_code, 0);
    stage_disconnect(c);
}

static void publications(void **state)
{
    (void)state;
    struct topic topic;
    struct endpoint_conn *c = stage_connect("/chat");
    assert_int_equal(stage_publish(0, "/chat", "room", 200, "{\"news\":[1]}", c), ERR_OK);
    topic_make_endpoint(&topic, "/chat", "room", 4);
    assert_int_equal(stage.publication.topic.hash, topic.hash);
    assert_string_equal(stage.publication.payload, "{\"statusCode\":200,\"body\":{\"news\":[1]}}");
    assert_false(stage.publication.binary);
    assert_ptr_equal(stage.publication.except, c);
    assert_int_equal(stage_publish(0, "/any", "", 201, "1", NULL), ERR_OK);
    assert_string_equal(stage.publication.payload, "{\"statusCode\":201,\"body\":1}");
    assert_true(stage.publication.binary);
    assert_int_equal(stage_publish(0, "/raw", "", 200, "\"bare\"", NULL), ERR_OK);
    assert_string_equal(stage.publication.payload, "bare");
    assert_false(stage.publication.binary);
    expect_nothing(c); /* it goes through the ring */
    assert_int_equal(validated_counts(&stage.own)->published, 3);
    assert_int_equal(stage_publish(0, "/other", "", 200, "1", NULL), ERR_NOT_FOUND); /* not its own */
    assert_int_equal(stage_publish(0, "/nowhere", "", 200, "1", NULL), ERR_NOT_FOUND);
    assert_int_equal(stage_publish(1, "/other", "", 200, "1", NULL), ERR_OK);
    assert_int_equal(stage_publish(0, "/chat", "a\xff", 200, "1", NULL), ERR_MALFORMED);
    assert_int_equal(stage_publish(0, "/chat", "", 600, "1", NULL), ERR_MALFORMED);
    char *text = letters(ENDPOINT_PUBLISH_MAX, 'x');
    assert_int_equal(stage_publish(0, "/raw", "", 200, text, NULL), ERR_OK);
    assert_int_equal(stage_publish(0, "/any", "", 200, text, NULL), ERR_MALFORMED);
    free(text);
    stage.will.publish = ERR_FULL;
    assert_int_equal(stage_publish(0, "/chat", "", 200, "1", NULL), ERR_FULL);
    assert_int_equal(stage.publications, 5);
    assert_true(stage.events->may_publish(stage.events_arg));
    stage.may_publish = false;
    assert_false(stage.events->may_publish(stage.events_arg));
    stage_disconnect(c);
}

/* --- handlers of this process ------------------------------------------------------------------------------------------- */

static struct {
    unsigned connects, disconnects;
    uint64_t token; /* of what is answered later */
    enum err_e will;
} inside;

static enum err_e inside_connect(void *arg, struct endpoint_conn *conn,
                                 const struct endpoint_request *request)
{
    assert_string_equal(arg, "arg");
    assert_string_equal(request->path, "/inside");
    inside.connects++;
    validated_send(conn, 200, (struct validated_body){0});
    return inside.will;
}

/* Answers at once, but "later". */
static enum err_e inside_receive(void *arg, struct endpoint_conn *conn,
                                 const struct validated_message *message, uint64_t token)
{
    (void)arg;
    json_t *text = json_object_get(message->value, "message");
    inside.token = token;
    if (strcmp(json_string_value(text), "later") != 0)
        validated_answer(conn, token, 200, (struct validated_body){.json = message->value});
    return ERR_OK;
}

static void inside_disconnect(void *arg, struct endpoint_conn *conn)
{
    (void)arg;
    (void)conn;
    inside.disconnects++;
}

static void handlers_inside(void **state)
{
    static const struct validated_handler handler = {inside_connect, inside_receive, inside_disconnect};
    struct schema_problem problem;
    struct schema *schema;
    (void)state;
    json_t *document = json_loads(STAGE_CHAT, 0, NULL);
    assert_int_equal(schema_from_json(document, &schema, &problem), ERR_OK);
    json_decref(document);
    struct validated_endpoint endpoint = {
        .path = "/inside", .schema = schema, .handler = &handler, .arg = "arg"};
    assert_int_equal(validated_add(&stage.own, &endpoint), ERR_OK);
    assert_int_equal(validated_add(&stage.own, &endpoint), ERR_EXISTS);
    struct endpoint_conn *c = stage_connect("/inside");
    expect(c, "{\"statusCode\":200,\"body\":null}");
    stage_say(c, "{\"message\":\"a\"}");
    expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"a\",\"user\":\"anonymous\"}}");
    stage_say(c, "{\"message\":\"later\"}");
    uint64_t token = inside.token;
    for (int i = 0; i < 30; i++)
        stage_say(c, "{\"message\":\"b\"}");
    expect_nothing(c);
    assert_true(c->held);
    validated_answer(c, token, 202, (struct validated_body){0});
    expect(c, "{\"statusCode\":202,\"body\":null}");
    for (int i = 0; i < 30; i++)
        expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"b\",\"user\":\"anonymous\"}}");
    assert_false(c->held);
    stage_disconnect(c);
    inside.will = ERR_MEMORY;
    stage_disconnect(stage_connect("/inside"));
    assert_int_equal(inside.connects, 2);
    assert_int_equal(inside.disconnects, 1); /* the other one was not connected */
    assert_int_equal(stage.opened, 0);       /* the pool knows nothing of it */
    validated_dialect.stop(&stage.own);
    schema_free(&schema);
}

/* --- beginning and end -------------------------------------------------------------------------------------------------- */

static void broken_schemas_stop_the_start(void **state)
{
    (void)state;
    stage_prepare();
    stage.endpoints[2].schema =
        stage_file("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"date\"}}}");
    assert_int_equal(validated_dialect.start(&stage.own), ERR_CONFIG);
    stage.endpoints[2].schema = "/tmp/there is no such file";
    assert_int_equal(validated_dialect.start(&stage.own), ERR_CONFIG);
    stage.endpoints[2].schema = "";
    assert_int_equal(validated_dialect.start(&stage.own), ERR_OK);
    validated_dialect.tick(&stage.own);
    assert_int_equal(stage.ticks, 1);
    stage_stop();
}

static void without_endpoints_there_is_no_pool(void **state)
{
    (void)state;
    stage_prepare();
    stage.conf.endpoint_count = 0;
    assert_int_equal(validated_dialect.start(&stage.own), ERR_OK);
    validated_dialect.tick(&stage.own);
    assert_null(validated_pool_counts(&stage.own));
    assert_null(stage.events);
    assert_false(validated_dialect.path_served(&stage.own, "/chat", 5));
    stage_stop();
}

/* --- a storm ------------------------------------------------------------------------------------------------------------ */

/* Whatever the order of the answers, each client reads the answers to its messages in the order of these. */
static void storm(void **state)
{
    enum { CONNS = 5, STEPS = 2500 };
    struct {
        struct endpoint_conn *conn;
        unsigned said, read;
        bool refused[STEPS];
    } clients[CONNS] = {0};
    bool answered[STEPS] = {0};
    (void)state;
    for (unsigned i = 0; i < CONNS; i++)
        clients[i].conn = stage_connect("/raw");
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t dice = hash_u64(step + 1);
        unsigned who = (unsigned)(dice % CONNS);
        struct endpoint_conn *c = clients[who].conn;
        if (dice >> 8 & 1 && !c->held) {
            for (unsigned burst = 1 + (unsigned)((dice >> 16) % 6); burst > 0 && clients[who].said < STEPS;
                 burst--) {
                char text[32];
                unsigned n = clients[who].said++;
                clients[who].refused[n] = (dice >> (20 + burst) & 3) == 0;
                snprintf(text, sizeof text, clients[who].refused[n] ? "{%u" : "%u", n);
                stage_say(c, text);
            }
        } else if (stage.message_count > 0) {
            unsigned from = stage.message_count > 40 ? stage.message_count - 40 : 0;
            unsigned index = from + (unsigned)((dice >> 24) % (stage.message_count - from));
            if (dice >> 9 & 1) /* the oldest that is open */
                for (index = 0; index < stage.message_count && answered[index]; index++)
                    ;
            if (index < stage.message_count && !answered[index]) {
                answered[index] = true;
                stage_answer(index, 200, stage.messages[index].json);
            }
        }
    }
    for (unsigned i = 0; i < stage.message_count; i++)
        if (!answered[i])
            stage_answer(i, 200, stage.messages[i].json);
    for (unsigned i = 0; i < CONNS; i++) {
        assert_int_equal(clients[i].conn->frame_count, clients[i].said);
        assert_true(clients[i].said > 100);
        for (unsigned n = 0; n < clients[i].said; n++) {
            char text[32];
            snprintf(text, sizeof text, "%u", n);
            const char *read = stage_read(clients[i].conn);
            if (clients[i].refused[n])
                assert_non_null(strstr(read, "json_invalid"));
            else
                assert_string_equal(read, text);
        }
        stage_disconnect(clients[i].conn);
    }
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(paths),
        PLAY(a_connection_is_told_to_its_handler),
        PLAY(without_memory_nobody_comes_in),
        PLAY(messages_arrive_as_the_schema_made_them),
        PLAY(bytes),
        PLAY(refusals),
        PLAY(deep_messages),
        PLAY(answers),
        PLAY(bytes_of_a_handler),
        PLAY(answers_that_may_not_be),
        PLAY(outcomes),
        PLAY(large_answers),
        PLAY(answers_come_in_the_order_of_the_messages),
        PLAY(sends_do_not_wait),
        PLAY(sixteen_under_way),
        PLAY(deferred_refusals),
        PLAY(too_much_waits),
        PLAY(too_much_waits_everywhere),
        PLAY(gone_with_things_under_way),
        PLAY(closes),
        PLAY(closed_with_deferred_messages),
        PLAY(topics),
        PLAY(publications),
        PLAY(handlers_inside),
        cmocka_unit_test(broken_schemas_stop_the_start),
        cmocka_unit_test(without_endpoints_there_is_no_pool),
        PLAY(storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
