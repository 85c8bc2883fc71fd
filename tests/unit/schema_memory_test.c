/* schema: every allocation fails once. Nothing leaks (ASan's part of the test), nothing is half made, and what was said of the
 * input does not depend on memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "schema.h"

static unsigned long left; /* allocations that succeed; ULONG_MAX: all */
static long alive;         /* blocks not freed yet */

static void *scarce(size_t size)
{
    if (left == 0)
        return NULL;
    left -= left != ~0ul;
    void *memory = malloc(size);
    alive += memory != NULL;
    return memory;
}

static void give_back(void *memory)
{
    alive -= memory != NULL;
    free(memory);
}

static void never(const json_t *object, struct schema_report *report, void *arg)
{
    (void)object;
    schema_report(report, "n", "never", arg);
}

static const struct schema_object tree;
static const struct schema_type a_tree = {.kind = SCHEMA_OBJECT, .object = &tree},
                                an_int = {.kind = SCHEMA_INT};
static const struct schema_member members[] = {
    {.name = "n", .type = {.kind = SCHEMA_INT, .ge = "0", .le = "9"}},
    {.name = "f", .type = {.kind = SCHEMA_FLOAT, .gt = "0.5"}, .fallback = "1"},
    {.name = "s",
     .type = {.kind = SCHEMA_STRING, .min_length = 1, .pattern = "^(a|\\w[^\\d-]){1,3}$"},
     .fallback = "\"a\""},
    {.name = "e",
     .type = {.kind = SCHEMA_STRING, .choices = "[\"x\",\"y\"]", .nullable = true},
     .fallback = "null"},
    {.name = "c", .type = {.constant = "1"}, .optional = true},
    {.name = "l", .type = {.kind = SCHEMA_LIST, .items = &an_int, .max_length = 2}, .fallback = "[1,\"2\"]"},
    {.name = "d", .type = {.kind = SCHEMA_DICT, .items = &an_int, .min_length = 1}, .fallback = "{\"k\":1}"},
    {.name = "kids", .type = {.kind = SCHEMA_LIST, .items = &a_tree}, .fallback = "[]"},
    {.name = "any", .type = {.kind = SCHEMA_ANY}, .optional = true},
};
static const struct schema_check checks[] = {{never, "m"}};
static const struct schema_object tree = {
    .name = "Tree", .members = members, .member_count = ARRAY_LEN(members)};
static const struct schema_object checked = {.name = "Checked",
                                             .members = members,
                                             .member_count = ARRAY_LEN(members),
                                             .checks = checks,
                                             .check_count = 1,
                                             .closed = true};

static const struct schema_type a_text = {.kind = SCHEMA_STRING, .max_bytes = 9, .no_nul = true};
static const struct schema_member strict_members[] = {
    {.name = "op", .type = {.kind = SCHEMA_STRING, .choices = "[\"a\",\"b\"]"}},
    {.name = "ids",
     .type = {.kind = SCHEMA_LIST, .items = &a_text, .or_item = true, .nullable = true},
     .optional = true},
};
static const struct schema_object strict = {
    .name = "Strict", .members = strict_members, .member_count = ARRAY_LEN(strict_members), .strict = true};

/* Returns whether memory was missing. */
typedef bool attempt_f(const void *arg);

static unsigned long fail_each(attempt_f *attempt, const void *arg)
{
    unsigned long count = 0;
    bool missing = true;
    while (missing) {
        long before = alive;
        left = count++;
        missing = attempt(arg);
        left = ~0ul;
        assert_int_equal(alive, before);
        assert_true(count < 100000);
    }
    return count - 1;
}

static bool make_table(const void *arg)
{
    struct schema *schema = NULL;
    struct schema_problem problem;
    enum err_e err = schema_from_table(arg, &schema, &problem);
    if (err == ERR_CONFIG)
        fail_msg("%s: %s", problem.pointer, problem.why);
    assert_int_equal(schema != NULL, err == ERR_OK);
    schema_free(&schema);
    return err == ERR_MEMORY;
}

static void tables(void **state)
{
    (void)state;
    assert_true(fail_each(make_table, &tree) > 100);
    assert_true(fail_each(make_table, &checked) > 100);
    assert_true(fail_each(make_table, &strict) > 50);
}

static bool make_json(const void *arg)
{
    struct schema *schema = NULL;
    struct schema_problem problem;
    enum err_e err = schema_from_json(arg, &schema, &problem);
    assert_true(err == ERR_CONFIG || err == ERR_MEMORY);
    assert_null(schema);
    return err == ERR_MEMORY;
}

static void refused_documents(void **state)
{
    static const char *const documents[] = {
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":\"x\"}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"[\\\\d\\\\W\"}}}",
        "{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"enum\":[\"a\",\"b\",[]]}}}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        json_t *document = json_loads(documents[i], 0, NULL);
        assert_true(fail_each(make_json, document) > 5);
        json_decref(document);
    }
}

struct message {
    const struct schema *schema;
    const char *text;
    enum err_e err;
};

static bool validate(const void *arg)
{
    const struct message *message = arg;
    struct schema_result result;
    enum err_e err = schema_validate_text(message->schema, message->text, strlen(message->text), &result);
    assert_true(err == message->err || err == ERR_MEMORY);
    assert_int_equal(result.value != NULL, err == ERR_OK);
    assert_int_equal(result.errors != NULL, err == ERR_MALFORMED);
    json_decref(result.value);
    json_decref(result.errors);
    return err == ERR_MEMORY;
}

static void messages(void **state)
{
    struct schema_problem problem;
    struct schema *plain, *with_checks, *uncoerced;
    (void)state;
    left = ~0ul;
    assert_int_equal(schema_from_table(&tree, &plain, &problem), ERR_OK);
    assert_int_equal(schema_from_table(&checked, &with_checks, &problem), ERR_OK);
    assert_int_equal(schema_from_table(&strict, &uncoerced, &problem), ERR_OK);
    const struct message all[] = {
        {uncoerced, "{\"op\":\"a\",\"ids\":\"\\u0061\"}", ERR_OK},
        {uncoerced, "{\"op\":\"c\",\"ids\":[\"a\",\"0123456789\",\"\\u0000\"]}", ERR_MALFORMED},
        {plain,
         "{\"n\":\"7\",\"any\":[{\"a\\u0062\":\"\\n\"}],\"kids\":[{\"n\":1.0,\"e\":\"x\",\"c\":true}]}",
         ERR_OK},
        {plain,
         "{\"n\":77,\"f\":0,\"s\":\"!\",\"e\":\"z\",\"c\":2,\"l\":[1,2,3],\"d\":{},\"kids\":[{\"s\":\"\"},4,{"
         "\"d\":{\"x\":\"y\"}}]}",
         ERR_MALFORMED},
        {plain, "{\"n\":", ERR_MALFORMED},
        {plain, "[]", ERR_MALFORMED},
        {with_checks, "{\"n\":1,\"extra\":2}", ERR_MALFORMED},
        {with_checks, "{\"n\":1,\"kids\":[{\"n\":2},{}]}", ERR_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_true(fail_each(validate, &all[i]) >= 3);
    schema_free(&plain);
    schema_free(&with_checks);
    schema_free(&uncoerced);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(refused_documents),
        cmocka_unit_test(messages),
    };
    left = ~0ul;
    json_set_alloc_funcs(scarce, give_back);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
