/* What stands around a body, and the bodies that Noria writes itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "must.h"
#include "schema.h"
#include "validated_envelope.h"

static char memory[1 << 20];

static void statuses(void **state)
{
    static const unsigned good[] = {200, 201, 202, 204, 400, 401, 403, 404, 409, 422, 429, 500, 503};
    unsigned count = 0;
    (void)state;
    for (unsigned status = 0; status < 1000; status++)
        count += envelope_status(status);
    assert_int_equal(count, ARRAY_LEN(good));
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(envelope_status(good[i]));
    assert_false(envelope_status((1ull << 32) + 200));
}

static const char *written(const struct out *out)
{
    assert_false(out->overflow);
    memory[out->len] = '\0';
    return memory;
}

static void around_a_body(void **state)
{
    (void)state;
    for (int bare = 0; bare < 2; bare++) {
        const struct envelope envelope = {.bare = bare};
        struct out out = out_init(memory, sizeof memory - 1);
        envelope_begin(&out, &envelope, 201);
        out_literal(&out, "[]");
        envelope_end(&out, &envelope);
        assert_true(out.len <= 2 + ENVELOPE_MAX);
        assert_string_equal(written(&out), bare ? "[]" : "{\"statusCode\":201,\"body\":[]}");
    }
}

static void an_error_of_noria(void **state)
{
    static const struct {
        struct envelope envelope;
        const char *text;
    } rows[] = {
        {{false, false},
         "{\"statusCode\":500,\"body\":{\"errorList\":[{\"loc\":[],\"type\":\"handler_failed\",\"msg\":\"The "
         "handler "
         "failed\"}]}}"},
        {{true, false},
         "{\"errorList\":[{\"loc\":[],\"type\":\"handler_failed\",\"msg\":\"The handler failed\"}]}"},
        {{false, true},
         "{\"statusCode\":500,\"body\":{\"errorList\":[{\"loc\":[],\"type\":\"handler_failed\",\"msg\":\"The "
         "handler "
         "failed\"}],\"errorObject\":{\"__model__\":[{\"type\":\"handler_failed\",\"msg\":\"The handler "
         "failed\"}]}}}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct out out = out_init(memory, sizeof memory - 1);
        envelope_error(&out, &rows[i].envelope, 500, "handler_failed", "The handler failed");
        assert_string_equal(written(&out), rows[i].text);
    }
}

static const char *refused(json_t *errors, bool error_object)
{
    const struct envelope envelope = {.bare = true, .error_object = error_object};
    struct out out = out_init(memory, sizeof memory - 1);
    envelope_refusal(&out, &envelope, 400, errors);
    json_decref(errors);
    return written(&out);
}

/* The source document's example, to the byte. */
static void a_refusal(void **state)
{
    (void)state;
    static const char document[] =
        "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"},\"user\":"
        "{\"type\":\"string\",\"default\":\"x\"}},\"required\":[\"message\"]}";
    json_t *json = json_loads(document, 0, NULL);
    struct schema *schema;
    struct schema_problem problem;
    struct schema_result result;
    assert_int_equal(schema_from_json(json, &schema, &problem), ERR_OK);
    assert_int_equal(schema_validate_text(schema, "{}", 2, &result), ERR_MALFORMED);
    const struct envelope envelope = {0};
    struct out out = out_init(memory, sizeof memory - 1);
    envelope_refusal(&out, &envelope, 400, result.errors);
    assert_string_equal(written(&out),
                        "{\"statusCode\":400,\"body\":{\"errorList\":[{\"loc\":[\"message\"],\"type\":"
                        "\"missing\",\"msg\":\"Field required\"}]}}");
    json_decref(result.errors);
    schema_free(&schema);
    json_decref(json);
}

static json_t *errors_at(const char *locs)
{
    json_t *list = json_loads(locs, 0, NULL), *errors = json_array();
    assert_non_null(list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char type[8] = {(char)('a' + i), '\0'};
        json_array_append_new(
            errors, json_pack("{s:O,s:s,s:s}", "loc", json_array_get(list, i), "type", type, "msg", "m"));
    }
    json_decref(list);
    return errors;
}

#define E(type) "{\"type\":\"" type "\",\"msg\":\"m\"}"

static void errors_as_a_tree(void **state)
{
    static const struct {
        const char *locs, *tree;
    } rows[] = {
        {"[[\"x\"]]", "{\"x\":[" E("a") "]}"},
        {"[[\"x\"],[\"y\"],[\"x\"]]", "{\"x\":[" E("a") "," E("c") "],\"y\":[" E("b") "]}"},
        {"[[\"subs\",1,\"n\"],[\"subs\",1,\"m\"],[\"subs\",0,\"n\"]]",
         "{\"subs\":{\"1\":{\"n\":[" E("a") "],\"m\":[" E("b") "]},\"0\":{\"n\":[" E("c") "]}}}"},
        {"[[]]", "{\"__model__\":[" E("a") "]}"},
        {"[[\"__model__\"],[\"x\"],[]]", "{\"__model__\":[" E("a") "," E("c") "],\"x\":[" E("b") "]}"},
        /* own errors first, others below them later, and the other way round */
        {"[[\"x\"],[\"x\",0]]", "{\"x\":{\"__model__\":[" E("a") "],\"0\":[" E("b") "]}}"},
        {"[[\"x\",0],[\"x\"]]", "{\"x\":{\"0\":[" E("a") "],\"__model__\":[" E("b") "]}}"},
        {"[[\"x\"],[\"x\",0],[\"x\"]]", "{\"x\":{\"__model__\":[" E("a") "," E("c") "],\"0\":[" E("b") "]}}"},
        /* somebody's member has that name */
        {"[[\"__model__\",\"y\"],[]]", "{\"__model__\":{\"y\":[" E("a") "],\"__model__\":[" E("b") "]}}"},
        {"[[\"\",\"a\\nb\"]]", "{\"\":{\"a\\nb\":[" E("a") "]}}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *text = refused(errors_at(rows[i].locs), true), *tree = strstr(text, ",\"errorObject\":");
        assert_non_null(tree);
        size_t len = strlen(rows[i].tree);
        tree += strlen(",\"errorObject\":");
        assert_int_equal(strlen(tree), len + 1);
        assert_memory_equal(tree, rows[i].tree, len);
        assert_null(strstr(refused(errors_at(rows[i].locs), false), "errorObject"));
    }
}

/* As deep as a message may be, and as many errors as are listed. */
static void the_largest_tree(void **state)
{
    (void)state;
    json_t *errors = json_array();
    for (unsigned i = 0; i < SCHEMA_ERRORS_MAX + 1; i++) {
        json_t *loc = json_array();
        for (unsigned k = 0; k <= SCHEMA_DEPTH; k++)
            json_array_append_new(loc, k == 0 ? json_integer(i) : json_string("n"));
        json_array_append_new(errors, json_pack("{s:o,s:s,s:s}", "loc", loc, "type", "t", "msg", "m"));
    }
    const char *text = refused(errors, true);
    json_t *read = json_loads(text, 0, NULL); /* jansson's own bound is 2048 levels */
    assert_int_equal(json_object_size(json_object_get(read, "errorObject")), SCHEMA_ERRORS_MAX + 1);
    json_decref(read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),  cmocka_unit_test(around_a_body),    cmocka_unit_test(an_error_of_noria),
        cmocka_unit_test(a_refusal), cmocka_unit_test(errors_as_a_tree), cmocka_unit_test(the_largest_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
