/* Endpoints over a played API and a played pool: what clients read for whatever they and the handler say. */
#include "validated_internal.h"
#include "validated_play.h"

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
    assert_int_equal(c->topics[0].len, topic.len);
    assert_memory_equal(c->topics[0].name, topic.name, topic.len);
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

/* --- beginning and end -------------------------------------------------------------------------------------------------- */

static void expect_out_of_order(const char *schema) /* NULL: there is no file */
{
    stage_prepare();
    stage.endpoints[0].reply_schema = schema != NULL ? stage_file(schema) : "/tmp/there is no such file";
    assert_int_equal(validated_dialect.start(&stage.own), ERR_OK);
    struct endpoint_conn *c = stage_connect("/chat");
    assert_int_equal(c->close_code, 1013);
    assert_int_equal(stage.opened, 0);
    stage_disconnect(c);
    c = stage_connect("/any");
    assert_int_equal(c->close_code, 0);
    stage_disconnect(c);
    stage_stop();
}

static void endpoints_with_a_broken_schema_are_out_of_order(void **state)
{
    (void)state;
    expect_out_of_order("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"date\"}}}");
    expect_out_of_order(NULL);
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

/* The configuration that the dialect was started with goes; what it says has not changed. */
static void a_reload_follows_the_configuration(void **state)
{
    (void)state;
    static struct conf_endpoint endpoints[ARRAY_LEN(stage.endpoints)];
    static const char *const paths[] = {"/chat", "/any", "/raw", "/other"};
    char copies[ARRAY_LEN(paths)][8];
    memcpy(endpoints, stage.endpoints, sizeof endpoints);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        strcpy(copies[i], paths[i]);
        endpoints[i].path = copies[i];
        stage.endpoints[i].path = "/gone";
    }
    assert_int_equal(validated_dialect.reload_prepare(&stage.own, &stage.conf), ERR_OK);
    validated_dialect.reload_abort(&stage.own);
    assert_null(stage.pool_conf);
    assert_int_equal(validated_dialect.reload_prepare(&stage.own, &stage.conf), ERR_OK);
    stage.conf.endpoints = endpoints;
    validated_dialect.reload_commit(&stage.own);
    assert_ptr_equal(stage.pool_conf, &stage.conf);
    struct validated_shared *shared = stage.own.shared;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        assert_ptr_equal(shared->sites[i]->endpoint.path, copies[i]);
}

static void who_waits_for_an_answer_is_waiting(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    assert_false(validated_dialect.is_waiting(c));
    stage_say(c, "{\"message\":\"x\"}");
    assert_true(validated_dialect.is_waiting(c));
    stage_answer(0, 200, "null");
    assert_false(validated_dialect.is_waiting(c));
    stage_disconnect(c);
}

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
        PLAY(a_reload_follows_the_configuration),
        PLAY(who_waits_for_an_answer_is_waiting),
        cmocka_unit_test(endpoints_with_a_broken_schema_are_out_of_order),
        cmocka_unit_test(without_endpoints_there_is_no_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
