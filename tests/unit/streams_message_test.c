/* streams_message: what each message means, and the text of every way to get one wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "streams_message.h"
#include "streams_text.h"

#define IDS_MAX 4

static struct streams_message message;
static char error[STREAMS_ERROR_MAX];
static struct topic topics[1024];
static uint32_t count;

static bool parse(const char *text)
{
    memset(&message, 0xa5, sizeof message);
    memset(error, 0xa5, sizeof error);
    return streams_message_parse(text, strlen(text), false, &message, error);
}

static bool parse_ids(const char *text, uint32_t max)
{
    assert_true(parse(text));
    assert_int_equal(message.op, STREAMS_OPEN);
    return streams_message_ids(&message, topics, max, &count, error);
}

static bool is_topic(const struct topic *topic, const char *id, size_t len)
{
    struct topic expected;
    topic_make_stream(&expected, id, len);
    return topic->hash == expected.hash && topic->len == expected.len &&
           memcmp(topic->name, expected.name, expected.len) == 0;
}

static void each_operation(void **state)
{
    (void)state;
    assert_true(parse("{\"ws_op\":\"close\"}"));
    assert_int_equal(message.op, STREAMS_CLOSE);
    assert_true(parse("{\"ws_op\":\"send\",\"ws_msg\":\"msg\"}"));
    assert_int_equal(message.op, STREAMS_SEND);
    assert_true(streams_text_is(&message.msg, "msg"));
    assert_true(parse("{\"ws_msg\":\"getnumchannels()\",\"ws_op\":\"admin\"}"));
    assert_int_equal(message.op, STREAMS_ADMIN);
    assert_true(streams_text_is(&message.msg, "getnumchannels()"));
    assert_true(parse_ids("{\"ws_op\":\"open\",\"ws_stream_ids\":[\"a\"]}", IDS_MAX));
    assert_int_equal(count, 1);
}

static void lenient_too(void **state)
{
    (void)state;
    assert_true(parse("{ws_op:'send',ws_msg:'it\\'s',}"));
    assert_true(streams_text_is(&message.msg, "it's"));
    assert_true(parse_ids("{ws_op: 'open', ws_stream_ids: ['a', \"b\",],}", IDS_MAX));
    assert_int_equal(count, 2);
    assert_true(is_topic(&topics[1], "b", 1));
}

static void any_value_is_sent(void **state)
{
    static const struct {
        const char *value;
        enum streams_kind_e kind;
    } rows[] = {{"null", STREAMS_NULL},       {"true", STREAMS_TRUE},   {"false", STREAMS_FALSE},
                {"1.10", STREAMS_NUMBER},     {"\"\"", STREAMS_STRING}, {"[]", STREAMS_ARRAY},
                {"{\"a\":1}", STREAMS_OBJECT}};
    char text[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof text, "{\"ws_op\":\"send\",\"ws_msg\":%s}", rows[i].value);
        assert_true(parse(text));
        assert_int_equal(message.msg.kind, rows[i].kind);
    }
}

static void ids_in_every_form(void **state)
{
    static const struct {
        const char *members, *ids;
    } rows[] = {
        {"\"ws_stream_ids\":[\"a\",\"b\"]", "ab"},
        {"\"ws_stream_ids\":\"a\"", "a"},
        {"\"ws_stream_id\":\"a\"", "a"},
        {"\"ws_stream_id\":[\"a\",\"b\"]", "ab"},
        {"\"ws_stream_id\":\"c\",\"ws_stream_ids\":[\"a\",\"b\"]", "abc"},
        {"\"ws_stream_ids\":[\"a\",\"a\"],\"ws_stream_id\":\"a\"", "aaa"},
        {"\"ws_stream_ids\":null,\"ws_stream_id\":\"a\"", "a"},
        {"\"ws_stream_ids\":\"a\",\"ws_stream_id\":null", "a"},
        {"\"ws_stream_ids\":[\"\\u0061\"],\"ws_msg\":[1],\"other\":{\"ws_op\":1}", "a"},
    };
    char text[128];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof text, "{\"ws_op\":\"open\",%s}", rows[i].members);
        assert_true(parse_ids(text, IDS_MAX));
        assert_int_equal(count, strlen(rows[i].ids));
        for (uint32_t n = 0; n < count; n++)
            assert_true(is_topic(&topics[n], &rows[i].ids[n], 1));
    }
}

static void ids_of_any_bytes(void **state)
{
    char id[STREAM_ID_MAX + 1], text[512];
    (void)state;
    memset(id, 'x', STREAM_ID_MAX);
    id[STREAM_ID_MAX] = '\0';
    snprintf(text, sizeof text, "{\"ws_op\":\"open\",\"ws_stream_id\":\"%s\"}", id);
    assert_true(parse_ids(text, IDS_MAX));
    assert_true(is_topic(&topics[0], id, STREAM_ID_MAX));
    assert_true(
        parse_ids("{\"ws_op\":\"open\",\"ws_stream_id\":\"a\\u0000\\u20ac\\ud83d\\ude00\"}", IDS_MAX));
    assert_true(is_topic(&topics[0], "a\0\xe2\x82\xac\xf0\x9f\x98\x80", 9));
    /* 43 characters of three bytes are 129 */
    struct out out = out_init(text, sizeof text - 1);
    out_text(&out, "{\"ws_op\":\"open\",\"ws_stream_id\":\"");
    for (int i = 0; i < 43; i++)
        out_text(&out, "\\u20ac");
    out_text(&out, "\"}");
    text[out.len] = '\0';
    assert_false(parse_ids(text, IDS_MAX));
    assert_string_equal(error, "ws_stream_id: longer than 128 bytes");
}

static void id_errors(void **state)
{
    static const struct {
        const char *members, *error;
    } rows[] = {
        {"\"ws_stream_ids\":[]", "ws_stream_ids: empty"},
        {"\"ws_stream_id\":[ ]", "ws_stream_id: empty"},
        {"\"ws_stream_ids\":[],\"ws_stream_id\":\"a\"", "ws_stream_ids: empty"},
        {"\"ws_stream_ids\":\"\"", "ws_stream_ids: empty"},
        {"\"ws_stream_ids\":[\"a\",\"\"]", "ws_stream_ids[1]: empty"},
        {"\"ws_stream_ids\":[1]", "ws_stream_ids[0]: expected a string"},
        {"\"ws_stream_ids\":[\"a\",\"b\",\"c\",null]", "ws_stream_ids[3]: expected a string"},
        {"\"ws_stream_ids\":[\"a\",[\"b\"]]", "ws_stream_ids[1]: expected a string"},
        {"\"ws_stream_id\":[{}]", "ws_stream_id[0]: expected a string"},
        {"\"ws_stream_ids\":[\"a\",\"a\",\"a\",\"a\",\"a\"]", "ws_stream_ids[4]: more than 4 streams"},
        {"\"ws_stream_ids\":[\"a\",\"b\",\"c\",\"d\"],\"ws_stream_id\":\"e\"",
         "ws_stream_id: more than 4 streams"},
        {"\"ws_stream_ids\":["
         "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
         "789"
         "01234567890123456789012345678\"]",
         "ws_stream_ids[0]: longer than 128 bytes"},
    };
    char text[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof text, "{\"ws_op\":\"open\",%s}", rows[i].members);
        assert_false(parse_ids(text, IDS_MAX));
        assert_string_equal(error, rows[i].error);
    }
}

static void errors(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "Empty text at line 1, column 1"},
        {"hello", "Expected a value at line 1, column 1"},
        {"[]", "Expected a JSON object"},
        {"\"open\"", "Expected a JSON object"},
        {"1", "Expected a JSON object"},
        {"{}", "ws_op: missing"},
        {"{\"WS_OP\":\"close\"}", "ws_op: missing"},
        {"{\"ws_op\":1}", "ws_op: expected a string"},
        {"{\"ws_op\":null}", "ws_op: expected a string"},
        {"{\"ws_op\":[\"open\"]}", "ws_op: expected a string"},
        {"{\"ws_op\":\"\"}", "ws_op: unknown \"\" (known: open, send, close, admin)"},
        {"{\"ws_op\":\"Open\"}", "ws_op: unknown \"Open\" (known: open, send, close, admin)"},
        {"{\"ws_op\":\"open \"}", "ws_op: unknown \"open \" (known: open, send, close, admin)"},
        {"{\"ws_op\":\"0123456789012345678901234567890123456789x\"}",
         "ws_op: unknown \"0123456789012345678901234567890123456789\" (known: open, send, close, admin)"},
        {"{\"ws_op\":\"012345678901234567890123456789012345678\xe2\x82\xac\"}",
         "ws_op: unknown \"012345678901234567890123456789012345678\" (known: open, send, close, admin)"},
        {"{\"ws_op\":\"open\"}", "ws_stream_ids: missing"},
        {"{\"ws_op\":\"open\",\"ws_stream_ids\":null}", "ws_stream_ids: missing"},
        {"{\"ws_op\":\"open\",\"ws_stream_ids\":1}",
         "ws_stream_ids: expected a string or an array of strings"},
        {"{\"ws_op\":\"open\",\"ws_stream_id\":{}}",
         "ws_stream_id: expected a string or an array of strings"},
        {"{\"ws_op\":\"send\"}", "ws_msg: missing"},
        {"{\"ws_op\":\"admin\"}", "ws_msg: missing"},
        {"{\"ws_op\":\"admin\",\"ws_msg\":null}", "ws_msg: expected a string"},
        {"{\"ws_op\":\"admin\",\"ws_msg\":[\"getnumchannels()\"]}", "ws_msg: expected a string"},
        {"{\"ws_op\":\"close\",\"ws_op\":\"close\"}", "Duplicate member at line 1, column 19"},
        {"{\"ws_op\":\"send\",\n\"ws_msg\":1,\"ws_msg\":2}", "Duplicate member at line 2, column 13"},
        {"{\"ws_op\":\"close\",ws_stream_id:1,'ws_stream_id':2}", "Duplicate member at line 1, column 34"},
        {"{ws_op:'close'}}", "Text behind the JSON at line 1, column 16"},
        {"{ws_op:close}", "Expected a value at line 1, column 8"},
        {"{\"ws_op\":\"send\",\"ws_msg\":\"\xff\"}", "Invalid UTF-8 at line 1, column 27"},
        {"{\"ws_op\":\"send\",\"ws_msg\":\"\\ud800\"}",
         "Escape of half a surrogate pair at line 1, column 27"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(parse(rows[i].text));
        assert_string_equal(error, rows[i].error);
    }
}

static void a_thousand_ids(void **state)
{
    static char text[16384];
    struct out out = out_init(text, sizeof text - 1);
    char id[16];
    (void)state;
    out_text(&out, "{\"ws_op\":\"open\",\"ws_stream_ids\":[");
    for (int i = 0; i < 1000; i++)
        out_bytes(&out, id, (size_t)snprintf(id, sizeof id, "\"s%d\",", i));
    out.len--;
    out_text(&out, "]}");
    text[out.len] = '\0';
    assert_true(parse_ids(text, 1000));
    assert_int_equal(count, 1000);
    assert_true(is_topic(&topics[999], "s999", 4));
    assert_false(parse_ids(text, 999));
    assert_string_equal(error, "ws_stream_ids[999]: more than 999 streams");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation),
        cmocka_unit_test(lenient_too),
        cmocka_unit_test(any_value_is_sent),
        cmocka_unit_test(ids_in_every_form),
        cmocka_unit_test(ids_of_any_bytes),
        cmocka_unit_test(id_errors),
        cmocka_unit_test(errors),
        cmocka_unit_test(a_thousand_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
