/* rest_text, rest_envelope, http_path: what clients and the broker write, read exactly; and what answers look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames_carousel.h"
#include "http_path.h"
#include "must.h"
#include "rest_envelope.h"
#include "rest_text.h"
#include "ws_frame.h"

static struct rest_body body;
static char text[COMMAND_JSON_ERROR_MAX];

/* From memory of its own, so that a step beyond it shows. */
static enum command_code_e parse(const char *json, enum rest_body_e kind, const char *key)
{
    size_t len = strlen(json);
    char *exact = malloc(len + 1);
    assert_non_null(exact);
    memcpy(exact, json, len);
    exact = realloc(exact, len ? len : 1);
    memset(&body, 0xa5, sizeof body);
    enum command_code_e code = rest_body_parse(exact, len, kind, "m1", key, &body, text);
    free(exact);
    return code;
}

static void bodies(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"command\":1,\"argument\":25}", REST_BODY_COMMAND, NULL), CODE_NONE);
    assert_int_equal(body.command, 1);
    assert_int_equal(body.argument, 25);
    assert_int_equal(body.deadline_ms, -1);
    assert_string_equal(body.request_id, "");
    assert_int_equal(
        parse("{\"position\":0,\"deadline_ms\":70,\"machine_id\":\"m1\",\"x\":[]}", REST_BODY_MOVE, "k"),
        CODE_NONE);
    assert_int_equal(body.command, COMMAND_MOVE);
    assert_int_equal(body.argument, 0);
    assert_int_equal(body.deadline_ms, 70);
    assert_string_equal(body.request_id, "k");
    assert_int_equal(parse("{\"command\":5}", REST_BODY_COMMAND, "\"quoted\""), CODE_NONE);
    assert_string_equal(body.request_id, "quoted");
    assert_int_equal(body.argument, -1);
    assert_int_equal(parse("", REST_BODY_REARM, NULL), CODE_NONE);
    assert_int_equal(body.command, COMMAND_REARM);
    assert_int_equal(body.argument, -1);
    assert_int_equal(body.deadline_ms, -1);
    assert_string_equal(body.request_id, "");
    assert_int_equal(parse("{\"argument\":5,\"command\":1,\"deadline_ms\":9}", REST_BODY_REARM, "k"),
                     CODE_NONE);
    assert_int_equal(body.command, COMMAND_REARM);
    assert_int_equal(body.argument, -1);
    assert_int_equal(body.deadline_ms, 9);
    assert_string_equal(body.request_id, "k");
}

static void bad_bodies(void **state)
{
    static const struct {
        const char *json, *key;
        enum rest_body_e kind;
        enum command_code_e code;
        const char *text;
    } table[] = {
        {"", NULL, REST_BODY_MOVE, CODE_INVALID_MESSAGE_FORMAT, "The body is empty"},
        {"{\"position\":1", NULL, REST_BODY_MOVE, CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON"},
        {"{\"position\":1}}", NULL, REST_BODY_MOVE, CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON"},
        {" ", NULL, REST_BODY_REARM, CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON"},
        {"[]", NULL, REST_BODY_REARM, CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object"},
        {"{\"deadline_ms\":0}", NULL, REST_BODY_REARM, CODE_INVALID_MESSAGE_FORMAT, "deadline_ms: expected"},
        {"{\"machine_id\":\"m2\"}", NULL, REST_BODY_REARM, CODE_INVALID_COMMAND, "machine_id: another"},
        {"\"x\"", NULL, REST_BODY_MOVE, CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object"},
        {"{}", NULL, REST_BODY_MOVE, CODE_INVALID_MESSAGE_FORMAT, "position: missing"},
        {"{}", NULL, REST_BODY_COMMAND, CODE_INVALID_MESSAGE_FORMAT, "command: missing"},
        {"{\"position\":256}", NULL, REST_BODY_MOVE, CODE_INVALID_COMMAND, "position: expected"},
        {"{\"position\":1.0}", NULL, REST_BODY_MOVE, CODE_INVALID_COMMAND, "position: expected"},
        {"{\"command\":1}", NULL, REST_BODY_COMMAND, CODE_INVALID_COMMAND, "argument: missing"},
        {"{\"command\":2,\"argument\":true}", NULL, REST_BODY_COMMAND, CODE_INVALID_COMMAND,
         "argument: expected"},
        {"{\"position\":1,\"machine_id\":\"m2\"}", NULL, REST_BODY_MOVE, CODE_INVALID_COMMAND,
         "machine_id: another"},
        {"{\"position\":1,\"request_id\":\"a\"}", "b", REST_BODY_MOVE, CODE_INVALID_COMMAND,
         "request_id: another"},
        {"{\"position\":1}", "", REST_BODY_MOVE, CODE_INVALID_COMMAND, "Idempotency-Key"},
        {"{\"position\":1}", "\xc3\xa9", REST_BODY_MOVE, CODE_INVALID_COMMAND, "Idempotency-Key"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_int_equal(parse(table[i].json, table[i].kind, table[i].key), table[i].code);
        if (strncmp(text, table[i].text, strlen(table[i].text)) != 0)
            fail_msg("%s: %s", table[i].json, text);
    }
}

static const struct carousel_command told = {"m1", "id", 1, 25};
static const struct frames_seq seq = {0xabcdef01, 6400};

static void answers_of_the_broker(void **state)
{
    char memory[FRAMES_CAROUSEL_MAX];
    struct rest_reply reply;
    (void)state;
    struct frame_bytes frame =
        frames_carousel_result(memory, sizeof memory, &told, CODE_NONE, "", 1737973800000, seq);
    assert_true(rest_reply_parse(frame.at, frame.len, &reply));
    assert_int_equal(reply.code, CODE_NONE);
    assert_string_equal(
        reply.data, "{\"command_sent\":1,\"argument\":25,\"result\":\"Comando ejecutado correctamente\"}");
    frame = frames_carousel_error(memory, sizeof memory, &told, CODE_BUSY, "", 1737973800000, seq);
    assert_true(rest_reply_parse(frame.at, frame.len, &reply));
    assert_int_equal(reply.code, CODE_BUSY);
    assert_string_equal(reply.text, "Machine is busy");
    frame = frames_carousel_result(memory, sizeof memory, &told, CODE_OUTCOME_UNKNOWN, "lost", 1737973800000,
                                   seq);
    assert_true(rest_reply_parse(frame.at, frame.len, &reply));
    assert_int_equal(reply.code, CODE_OUTCOME_UNKNOWN);
    assert_string_equal(reply.text, "lost");
    for (size_t len = 0; len < frame.len; len++) {
        char *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, frame.at, len);
        assert_false(rest_reply_parse(exact, len, &reply));
        free(exact);
    }
}

static void envelopes(void **state)
{
    char memory[512];
    struct out out = out_init(memory, sizeof memory - 1);
    (void)state;
    rest_envelope_begin(&out);
    out_literal(&out, "[1]");
    rest_envelope_end(&out, 1737973800000, "");
    memory[out.len] = '\0';
    assert_string_equal(memory, "{\"success\":true,\"data\":[1],\"error\":null,\"code\":null,"
                                "\"timestamp\":\"2025-01-27T10:30:00.000Z\"}");
    out = out_init(memory, sizeof memory - 1);
    rest_envelope_error(&out, "BUSY", "\"no\"", 1737973800000, "m1");
    memory[out.len] = '\0';
    assert_string_equal(memory, "{\"success\":false,\"data\":null,\"error\":\"\\\"no\\\"\",\"code\":\"BUSY\","
                                "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"machine_id\":\"m1\"}");
}

static void statuses(void **state)
{
    static const unsigned wanted[CODE_COUNT] = {[CODE_NONE] = 200,
                                                [CODE_MACHINE_NOT_FOUND] = 404,
                                                [CODE_INVALID_COMMAND] = 400,
                                                [CODE_CONNECTION_ERROR] = 503,
                                                [CODE_BUSY] = 409,
                                                [CODE_INVALID_MESSAGE_FORMAT] = 400,
                                                [CODE_INTERLOCK] = 409,
                                                [CODE_TIMEOUT] = 504,
                                                [CODE_OUTCOME_UNKNOWN] = 504,
                                                [CODE_UNAUTHORIZED] = 401,
                                                [CODE_FORBIDDEN] = 403,
                                                [CODE_RATE_LIMITED] = 429,
                                                [CODE_INTERNAL_ERROR] = 500};
    (void)state;
    for (int code = 0; code < CODE_COUNT; code++)
        assert_int_equal(rest_status_of_code((enum command_code_e)code), wanted[code]);
    assert_string_equal(rest_name_of_code(CODE_INVALID_MESSAGE_FORMAT), "INVALID_JSON");
    assert_string_equal(rest_name_of_code(CODE_BUSY), "BUSY");
    assert_string_equal(rest_name_of_status(413), "BODY_TOO_LARGE");
    assert_string_equal(rest_name_of_status(599), "INTERNAL_ERROR");
}

static void paths(void **state)
{
    static const struct {
        const char *pattern, *path, *first; /* NULL: no match; "": no parameter */
    } table[] = {
        {"/v1/machines", "/v1/machines", ""},
        {"/v1/machines", "/v1/machines/", ""},
        {"/v1/machines", "/v1/m%61chines", ""},
        {"/v1/machines", "/v1/machines//", NULL},
        {"/v1/machines", "/v1//machines", NULL},
        {"/v1/machines", "/v1/machine", NULL},
        {"/v1/machines", "/v1/machiness", NULL},
        {"/v1/machines", "/v1", NULL},
        {"/v1/machines", "/V1/machines", NULL},
        {"/v1/machines", "/v1%2fmachines", NULL},
        {"/v1/m/{id}/s", "/v1/m/x/s", "x"},
        {"/v1/m/{id}/s", "/v1/m/a%2Fb/s/", "a/b"},
        {"/v1/m/{id}/s", "/v1/m/%41+%c3%b1/s", "A+\xc3\xb1"},
        {"/v1/m/{id}/s", "/v1/m//s", NULL},
        {"/v1/m/{id}/s", "/v1/m/x%00y/s", NULL},
        {"/v1/m/{id}/s", "/v1/m/x/s/y", NULL},
        {"/v1/m/{id}/s", "/v1/m/%/s", "%"},
        {"/v1/m/{id}/s", "/v1/m/%4/s", "%4"},
        {"/", "/", ""},
        {"/", "/x", NULL},
        {"/", "", NULL},
    };
    static struct http_params params;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        bool matches = http_path_match(table[i].pattern, table[i].path, &params);
        if (matches != (table[i].first != NULL))
            fail_msg("%s and %s", table[i].pattern, table[i].path);
        if (matches)
            assert_string_equal(params.count > 0 ? params.value[0] : "", table[i].first);
    }
    assert_true(http_path_below("/v1", "/v1") && http_path_below("/v1", "/v1/x") &&
                http_path_below("", "/any"));
    assert_false(http_path_below("/v1", "/v10") || http_path_below("/v1", "/"));
}

static void queries(void **state)
{
    char value[8];
    (void)state;
    const char *query = "a=1&b=%20x+y&c&d=&a=2&e%3D=5&long=123456789&z=%00";
    assert_int_equal(http_query_find(query, "a", value, sizeof value), ERR_OK);
    assert_string_equal(value, "1");
    assert_int_equal(http_query_find(query, "b", value, sizeof value), ERR_OK);
    assert_string_equal(value, " x y");
    assert_int_equal(http_query_find(query, "c", value, sizeof value), ERR_OK);
    assert_string_equal(value, "");
    assert_int_equal(http_query_find(query, "d", value, sizeof value), ERR_OK);
    assert_string_equal(value, "");
    assert_int_equal(http_query_find(query, "e=", value, sizeof value), ERR_OK);
    assert_string_equal(value, "5");
    assert_int_equal(http_query_find(query, "long", value, sizeof value), ERR_TOO_LARGE);
    assert_int_equal(http_query_find(query, "z", value, sizeof value), ERR_MALFORMED);
    assert_int_equal(http_query_find(query, "b=", value, sizeof value), ERR_NOT_FOUND);
    assert_int_equal(http_query_find("", "a", value, sizeof value), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),    cmocka_unit_test(bad_bodies), cmocka_unit_test(answers_of_the_broker),
        cmocka_unit_test(envelopes), cmocka_unit_test(statuses),   cmocka_unit_test(paths),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
