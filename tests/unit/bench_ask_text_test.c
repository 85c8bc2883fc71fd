/* The endpoints' bench compares answers byte for byte: so what a schema makes of its messages, as compact JSON, must be the messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ask_text.h"
#include "schema.h"
#include "schema_json.h"
#include "stream_text.h"

static struct schema *schema_of(enum ask_text_e which)
{
    const char *text = ask_text_schema(which);
    char why[SCHEMA_JSON_WHY_MAX];
    struct schema_problem problem;
    struct schema *schema = NULL;
    json_t *document = schema_json_load(text, strlen(text), SCHEMA_VALUES_MAX, why);
    assert_non_null(document);
    if (schema_from_json(document, &schema, &problem) != ERR_OK)
        fail_msg("%s: %s", problem.pointer, problem.why);
    json_decref(document);
    return schema;
}

static void a_schema_leaves_its_message_as_it_is(void **state)
{
    (void)state;
    for (enum ask_text_e which = 0; which < ASK_TEXTS; which++) {
        char text[ASK_TEXT_MAX];
        size_t len = ask_text_make(which, text);
        struct schema *schema = schema_of(which);
        struct schema_result result;
        stream_text_digits(text + ASK_TEXT_DIGITS_AT, 0x3e8);
        assert_int_equal(schema_validate_text(schema, text, len, &result), ERR_OK);
        char *back = json_dumps(result.value, JSON_COMPACT);
        assert_string_equal(back, text);
        free(back);
        json_decref(result.value);
        schema_free(&schema);
    }
}

static void a_message_is_of_the_size_that_the_tables_name(void **state)
{
    char text[ASK_TEXT_MAX];
    (void)state;
    assert_int_equal(ask_text_make(ASK_SMALL, text), 107);
    size_t nested = ask_text_make(ASK_NESTED, text);
    assert_in_range(nested, 1900, 2200);
    assert_int_equal(nested, strlen(text));
}

static void the_number_stands_where_it_is_said_to(void **state)
{
    (void)state;
    for (enum ask_text_e which = 0; which < ASK_TEXTS; which++) {
        char text[ASK_TEXT_MAX];
        ask_text_make(which, text);
        assert_memory_equal(text + ASK_TEXT_DIGITS_AT - 1, "\"0000000000000000\"", STREAM_TEXT_DIGITS + 2);
    }
}

static void a_wrong_message_is_refused(void **state)
{
    char text[ASK_TEXT_MAX];
    struct schema_result result;
    (void)state;
    for (enum ask_text_e which = 0; which < ASK_TEXTS; which++) {
        struct schema *schema = schema_of(which);
        size_t len = ask_text_make(which, text);
        memcpy(text, "{\"di\"", 5); /* id is missing */
        assert_int_equal(schema_validate_text(schema, text, len, &result), ERR_MALFORMED);
        json_decref(result.errors);
        schema_free(&schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_leaves_its_message_as_it_is),
        cmocka_unit_test(a_message_is_of_the_size_that_the_tables_name),
        cmocka_unit_test(the_number_stands_where_it_is_said_to),
        cmocka_unit_test(a_wrong_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
