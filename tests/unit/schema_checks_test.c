/* schema: custom checks, and the bounds of what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "schema_stage.h"

/* --- checks --------------------------------------------------------------------------------------------------------- */

static void same_password(const json_t *object, struct schema_report *report, void *arg)
{
    const char *a = json_string_value(json_object_get(object, "password"));
    const char *b = json_string_value(json_object_get(object, "confirm"));
    (void)arg;
    if (a == NULL || b == NULL || strcmp(a, b) != 0)
        schema_report(report, "password", "same-password", "Both must be the same");
}

static void never(const json_t *object, struct schema_report *report, void *arg)
{
    (void)object;
    schema_report(report, NULL, "user-custom", arg);
}

static void looks_at_types(const json_t *object, struct schema_report *report, void *arg)
{
    (void)arg;
    if (json_is_integer(json_object_get(object, "n")))
        schema_report(report, "n", json_integer_value(json_object_get(object, "n")) == 7 ? "seven" : "whole",
                      "");
    if (json_is_string(json_object_get(object, "n")))
        schema_report(report, "n", "as-received", "");
}

static const struct schema_check user_checks[] = {{never, "Custom error"}, {same_password, NULL}};
static const struct schema_check extra_checks[] = {{looks_at_types, NULL}};
static const struct schema_member extra_members[] = {
    {.name = "n", .type = {.kind = SCHEMA_INT}},
};
static const struct schema_object extra = {
    .name = "Extra", .members = extra_members, .member_count = 1, .checks = extra_checks, .check_count = 1};
static const struct schema_type an_extra = {.kind = SCHEMA_OBJECT, .object = &extra};
static const struct schema_member user_members[] = {
    {.name = "username", .type = {.kind = SCHEMA_STRING}},
    {.name = "password", .type = {.kind = SCHEMA_STRING, .min_length = 3}},
    {.name = "confirm", .type = {.kind = SCHEMA_STRING}},
    {.name = "extra", .type = {.kind = SCHEMA_OBJECT, .object = &extra}, .optional = true},
    {.name = "extras", .type = {.kind = SCHEMA_LIST, .items = &an_extra}, .optional = true},
    {.name = "by", .type = {.kind = SCHEMA_DICT, .items = &an_extra}, .optional = true},
};
static const struct schema_object user = {
    .name = "User", .members = user_members, .member_count = 6, .checks = user_checks, .check_count = 2};

static void checks_come_first(void **state)
{
    struct schema *schema = read_table(&user), *part = read_table(&extra);
    (void)state;
    see(schema, "{\"password\":\"pa\",\"confirm\":\"other\",\"extra\":{}}",
        "[\"__model__\"] user-custom; [\"password\"] same-password; [\"extra\",\"n\"] missing; "
        "[\"username\"] missing; "
        "[\"password\"] string_too_short");
    see(schema,
        "{\"username\":\"u\",\"password\":\"abc\",\"confirm\":\"abc\",\"by\":{\"k\":{\"n\":\"7\"}},"
        "\"extras\":[{\"n\":\"x\"},{\"n\":1}]}",
        "[\"__model__\"] user-custom; [\"extras\",0,\"n\"] as-received; [\"extras\",1,\"n\"] whole; "
        "[\"by\",\"k\",\"n\"] seven; "
        "[\"extras\",0,\"n\"] int_parsing");
    see(schema, "[]", "[] model_type");
    see(part, "{\"n\":7.0}", "[\"n\"] seven");
    see(part, "{\"n\":1.5}", "[\"n\"] int_from_float");
    schema_free(&schema);
    schema_free(&part);
}

static void silent(const json_t *object, struct schema_report *report, void *arg)
{
    (void)object;
    (void)report;
    ++*(unsigned *)arg;
}

static void checks_that_find_nothing(void **state)
{
    unsigned count = 0;
    struct schema_check checks[] = {{silent, &count}};
    struct schema_object object = chat;
    object.checks = checks;
    object.check_count = 1;
    struct schema *schema = read_table(&object);
    (void)state;
    see(schema, "{\"message\":\"m\"}", "{\"message\":\"m\",\"user\":\"System\"}");
    see(schema, "{}", "[\"message\"] missing");
    see(schema, "3", "[] model_type");
    assert_int_equal(count, 2);
    schema_free(&schema);
}

/* --- bounds of the list --------------------------------------------------------------------------------------------- */

static json_t *errors_of(const struct schema *schema, json_t *message)
{
    struct schema_result result;
    assert_int_equal(schema_validate(schema, message, &result), ERR_MALFORMED);
    json_decref(message);
    return result.errors;
}

static const char *last_type(const json_t *errors)
{
    json_t *last = json_array_get(errors, json_array_size(errors) - 1);
    return json_string_value(json_object_get(last, "type"));
}

static void a_hundred_errors(void **state)
{
    struct schema *schema = read_json("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}");
    json_t *list = json_array(), *errors;
    (void)state;
    for (unsigned i = 0; i < SCHEMA_ERRORS_MAX; i++)
        json_array_append_new(list, json_null());
    errors = errors_of(schema, json_deep_copy(list));
    assert_int_equal(json_array_size(errors), SCHEMA_ERRORS_MAX);
    assert_string_equal(last_type(errors), "int_type");
    json_decref(errors);
    for (unsigned i = 0; i < 100000; i++)
        json_array_append_new(list, json_null());
    errors = errors_of(schema, list);
    assert_int_equal(json_array_size(errors), SCHEMA_ERRORS_MAX + 1);
    assert_string_equal(last_type(errors), "too_many_errors");
    json_decref(errors);
    schema_free(&schema);
}

static void long_names_are_cut(void **state)
{
    struct schema *schema =
        read_json("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}");
    static char name[100000];
    (void)state;
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i + 1, "\xc3\xa9", 2); /* so that the cut would fall into a character */
    name[0] = 'x';
    json_t *object = json_object();
    json_object_set_new(object, name, json_null());
    json_t *errors = errors_of(schema, object);
    json_t *loc = json_object_get(json_array_get(errors, 0), "loc");
    assert_int_equal(json_string_length(json_array_get(loc, 0)), SCHEMA_NAME_SHOWN - 1 + 3);
    json_decref(errors);
    schema_free(&schema);
}

/* Deep places times many errors are bounded in bytes. */
static void bytes_are_bounded(void **state)
{
    struct schema *schema = read_table(&tree);
    json_t *kids = json_array();
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        json_array_append_new(kids, json_object());
    json_t *deep = json_pack("{siso}", "v", 0, "kids", kids);
    for (unsigned i = 0; i < 190; i++)
        deep = json_pack("{siso}", "v", 0, "next", deep);
    json_t *errors = errors_of(schema, deep);
    char *text = json_dumps(errors, JSON_COMPACT);
    assert_true(json_array_size(errors) < SCHEMA_ERRORS_MAX);
    assert_string_equal(last_type(errors), "too_many_errors");
    assert_true(strlen(text) < 2 * SCHEMA_ERROR_BYTES);
    free(text);
    json_decref(errors);
    schema_free(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_come_first), cmocka_unit_test(checks_that_find_nothing),
        cmocka_unit_test(a_hundred_errors),  cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
