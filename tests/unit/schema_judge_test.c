/* schema_judge: strict tables: what is wrong first, in trees and in tokens; and that schema_validate() with the same table says the
 * same. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "schema_judge.h"
#include "schema_stage.h"

static const struct schema_type an_id = {
    .kind = SCHEMA_STRING, .min_length = 1, .max_bytes = 4, .no_nul = true};
static const struct schema_type an_int = {.kind = SCHEMA_INT, .nullable = true, .multiple_of = "2"};

enum { OP, BYTE, REAL, FLAG, TEXT, IDS, ONE, ANY, FIXED, NOTHING, EVEN, MAP, MEMBERS };
static const struct schema_member members[MEMBERS] = {
    [OP] = {.name = "op", .type = {.kind = SCHEMA_STRING, .choices = "[\"go\",\"stop\"]"}},
    [BYTE] = {.name = "byte", .type = {.kind = SCHEMA_INT, .ge = "0", .le = "255"}, .optional = true},
    [REAL] = {.name = "real", .type = {.kind = SCHEMA_FLOAT, .gt = "0", .lt = "10"}, .optional = true},
    [FLAG] = {.name = "flag", .type = {.kind = SCHEMA_BOOL}, .optional = true},
    [TEXT] = {.name = "text",
              .type = {.kind = SCHEMA_STRING,
                       .nullable = true,
                       .min_length = 2,
                       .max_length = 3,
                       .pattern = "^\\w+$"},
              .optional = true},
    [IDS] =
        {.name = "ids",
         .type = {.kind = SCHEMA_LIST, .nullable = true, .items = &an_id, .min_length = 1, .max_length = 3},
         .optional = true},
    [ONE] =
        {.name = "one",
         .type = {.kind = SCHEMA_LIST, .nullable = true, .items = &an_id, .min_length = 1, .or_item = true},
         .optional = true},
    [ANY] = {.name = "any", .optional = true},
    [FIXED] = {.name = "fixed", .type = {.constant = "1"}, .optional = true},
    [NOTHING] = {.name = "nothing", .type = {.kind = SCHEMA_NULL}, .optional = true},
    [EVEN] = {.name = "even",
              .type = {.kind = SCHEMA_LIST, .items = &an_int, .min_length = 2},
              .optional = true},
    [MAP] = {.name = "map", .type = {.kind = SCHEMA_DICT}, .optional = true},
};
static const struct schema_object table = {
    .name = "Strict", .members = members, .member_count = MEMBERS, .strict = true};
static struct schema_kept kept = {.table = &table};

/* `wrong`: "MEMBER[INDEX] TYPE LIMIT"; NULL: nothing. */
static const struct {
    const char *text, *wrong;
} samples[] = {
    {"{\"op\":\"go\"}", NULL},
    {"{\"op\":\"stop\",\"more\":[1]}", NULL},
    {"{}", "op missing"},
    {"{\"op\":null}", "op string_type"},
    {"{\"op\":1}", "op string_type"},
    {"{\"op\":[]}", "op string_type"},
    {"{\"op\":\"\"}", "op enum"},
    {"{\"op\":\"go\\u0000\"}", "op enum"},
    {"{\"op\":\"Go\"}", "op enum"},
    {"[]", " model_type"},
    {"null", " model_type"},
    {"{\"op\":\"go\",\"byte\":0}", NULL},
    {"{\"op\":\"go\",\"byte\":255}", NULL},
    {"{\"op\":\"go\",\"byte\":-0}", NULL},
    {"{\"op\":\"go\",\"byte\":256}", "byte less_than_equal"},
    {"{\"op\":\"go\",\"byte\":-1}", "byte greater_than_equal"},
    {"{\"op\":\"go\",\"byte\":\"1\"}", "byte int_type"},
    {"{\"op\":\"go\",\"byte\":1.0}", "byte int_type"},
    {"{\"op\":\"go\",\"byte\":1e0}", "byte int_type"},
    {"{\"op\":\"go\",\"byte\":true}", "byte int_type"},
    {"{\"op\":\"go\",\"byte\":null}", "byte int_type"},
    {"{\"op\":\"go\",\"byte\":18446744073709551616}", "byte int_type"},
    {"{\"op\":\"go\",\"byte\":1e400}", "byte int_type"},
    {"{\"op\":\"go\",\"real\":1}", NULL},
    {"{\"op\":\"go\",\"real\":9.5}", NULL},
    {"{\"op\":\"go\",\"real\":\"1\"}", "real float_type"},
    {"{\"op\":\"go\",\"real\":true}", "real float_type"},
    {"{\"op\":\"go\",\"real\":0}", "real greater_than"},
    {"{\"op\":\"go\",\"real\":10.0}", "real less_than"},
    {"{\"op\":\"go\",\"real\":1e400}", "real finite_number"},
    {"{\"op\":\"go\",\"flag\":true}", NULL},
    {"{\"op\":\"go\",\"flag\":false}", NULL},
    {"{\"op\":\"go\",\"flag\":1}", "flag bool_type"},
    {"{\"op\":\"go\",\"flag\":\"true\"}", "flag bool_type"},
    {"{\"op\":\"go\",\"text\":null}", NULL},
    {"{\"op\":\"go\",\"text\":\"ab\"}", NULL},
    {"{\"op\":\"go\",\"text\":\"\\u00e9\\u00e9\\u00e9\"}", NULL},
    {"{\"op\":\"go\",\"text\":\"\\ud83d\\ude00\"}", "text string_too_short"},
    {"{\"op\":\"go\",\"text\":\"a\"}", "text string_too_short"},
    {"{\"op\":\"go\",\"text\":\"\"}", "text string_too_short"},
    {"{\"op\":\"go\",\"text\":\"abcd\"}", "text string_too_long"},
    {"{\"op\":\"go\",\"text\":\"a b\"}", "text string_pattern_mismatch"},
    {"{\"op\":\"go\",\"ids\":[\"a\",\"bcde\",\"\\u00e9\\u00e9\"]}", NULL},
    {"{\"op\":\"go\",\"ids\":null}", NULL},
    {"{\"op\":\"go\",\"ids\":\"a\"}", "ids list_type"},
    {"{\"op\":\"go\",\"ids\":{}}", "ids list_type"},
    {"{\"op\":\"go\",\"ids\":[]}", "ids too_short"},
    {"{\"op\":\"go\",\"ids\":[1,2,3,4]}", "ids too_long"},
    {"{\"op\":\"go\",\"ids\":[\"a\",7]}", "ids[1] string_type"},
    {"{\"op\":\"go\",\"ids\":[null]}", "ids[0] string_type"},
    {"{\"op\":\"go\",\"ids\":[\"a\",\"b\",\"\"]}", "ids[2] string_too_short"},
    {"{\"op\":\"go\",\"ids\":[\"abcde\"]}", "ids[0] string_too_long"},
    {"{\"op\":\"go\",\"ids\":[\"\\u00e9\\u00e9a\"]}", "ids[0] string_too_long"},
    {"{\"op\":\"go\",\"ids\":[\"a\\u0000\"]}", "ids[0] string_nul"},
    {"{\"op\":\"go\",\"one\":\"a\"}", NULL},
    {"{\"op\":\"go\",\"one\":[\"a\",\"b\",\"c\",\"d\"]}", NULL},
    {"{\"op\":\"go\",\"one\":null}", NULL},
    {"{\"op\":\"go\",\"one\":[]}", "one too_short"},
    {"{\"op\":\"go\",\"one\":7}", "one list_type"},
    {"{\"op\":\"go\",\"one\":{}}", "one list_type"},
    {"{\"op\":\"go\",\"one\":\"\"}", "one string_too_short"},
    {"{\"op\":\"go\",\"one\":\"abcde\"}", "one string_too_long"},
    {"{\"op\":\"go\",\"one\":[[\"a\"]]}", "one[0] string_type"},
    {"{\"op\":\"go\",\"any\":null}", NULL},
    {"{\"op\":\"go\",\"any\":[1,{\"a\":1e400}]}", NULL},
    {"{\"op\":\"go\",\"fixed\":1}", NULL},
    {"{\"op\":\"go\",\"fixed\":1.0}", NULL},
    {"{\"op\":\"go\",\"fixed\":true}", NULL},
    {"{\"op\":\"go\",\"fixed\":2}", "fixed literal_error"},
    {"{\"op\":\"go\",\"fixed\":\"1\"}", "fixed literal_error"},
    {"{\"op\":\"go\",\"fixed\":[]}", "fixed literal_error"},
    {"{\"op\":\"go\",\"nothing\":null}", NULL},
    {"{\"op\":\"go\",\"nothing\":0}", "nothing none_required"},
    {"{\"op\":\"go\",\"even\":[2,null,-4]}", NULL},
    {"{\"op\":\"go\",\"even\":[]}", "even too_short"},
    {"{\"op\":\"go\",\"even\":[2]}", "even too_short"},
    {"{\"op\":\"go\",\"even\":[3]}", "even[0] multiple_of"},
    {"{\"op\":\"go\",\"even\":[2,3]}", "even[1] multiple_of"},
    {"{\"op\":\"go\",\"even\":[2,2.0]}", "even[1] int_type"},
    {"{\"op\":\"go\",\"map\":{\"a\":1}}", NULL},
    {"{\"op\":\"go\",\"map\":[]}", "map dict_type"},
    {"{\"map\":[],\"byte\":\"x\",\"op\":1}", "op string_type"},
    {"{\"map\":[],\"byte\":\"x\",\"op\":\"go\"}", "byte int_type"},
};

static void name_wrong(const struct schema_wrong *wrong, char out[64])
{
    char index[16] = "";
    if (wrong->index != SCHEMA_NONE)
        snprintf(index, sizeof index, "[%u]", wrong->index);
    snprintf(out, 64, "%s%s %s", wrong->member != NULL ? wrong->member : "", index, wrong->type);
}

/* The same, of the first error that schema_validate() tells. */
static void name_error(const json_t *errors, char out[64])
{
    const json_t *error = json_array_get(errors, 0), *loc = json_object_get(error, "loc");
    const char *member = json_string_value(json_array_get(loc, 0));
    char index[32] = "";
    if (json_array_size(loc) > 1)
        snprintf(index, sizeof index, "[%d]", (int)json_integer_value(json_array_get(loc, 1)));
    snprintf(out, 64, "%s%s %s", member != NULL ? member : "", index,
             json_string_value(json_object_get(error, "type")));
}

static void see_tree(const struct schema *schema, json_t *message, const char *expected, const char *text)
{
    struct schema_found found[MEMBERS];
    struct schema_result result;
    struct schema_wrong wrong;
    char got[64] = "";
    bool ok = schema_judge(schema, message, found, &wrong);
    if (!ok)
        name_wrong(&wrong, got);
    if (ok != (expected == NULL) || (!ok && strcmp(got, expected) != 0))
        fail_msg("%s: %s", text, got);
    assert_int_equal(schema_validate(schema, message, &result), ok ? ERR_OK : ERR_MALFORMED);
    if (!ok)
        name_error(result.errors, got);
    if (!ok && strcmp(got, expected) != 0)
        fail_msg("%s: %s when validated", text, got);
    json_decref(result.value);
    json_decref(result.errors);
}

static void every_sample_in_a_tree(void **state)
{
    struct schema *made = read_table(&table);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct schema_result any;
        struct schema *free_schema = read_json("{}");
        assert_int_equal(schema_validate_text(free_schema, samples[i].text, strlen(samples[i].text), &any),
                         ERR_OK);
        see_tree(made, any.value, samples[i].wrong, samples[i].text);
        see_tree(schema_of(&kept), any.value, samples[i].wrong, samples[i].text);
        json_decref(any.value);
        schema_free(&free_schema);
    }
    schema_free(&made);
}

static void what_was_found(void **state)
{
    struct schema_found found[MEMBERS];
    struct schema_wrong wrong;
    json_t *message = json_pack("{sssis[ss]sn}", "op", "stop", "byte", 7, "ids", "a", "b", "text");
    (void)state;
    assert_true(schema_judge(schema_of(&kept), message, found, &wrong));
    assert_int_equal(found[OP].choice, 1);
    assert_int_equal(json_integer_value(found[BYTE].value), 7);
    assert_null(found[REAL].value);
    assert_null(found[TEXT].value);
    assert_int_equal(json_array_size(found[IDS].value), 2);
    json_object_set_new(message, "real", json_string("x"));
    assert_false(schema_judge(schema_of(&kept), message, found, &wrong));
    assert_int_equal(json_integer_value(found[BYTE].value), 7); /* what stands before the wrong one counts */
    json_decref(message);
}

/* --- tokens --------------------------------------------------------------------------------------------------------- */

static bool is(const struct schema_wrong *wrong, const char *expected)
{
    char got[64];
    name_wrong(wrong, got);
    if (strcmp(got, expected) != 0)
        print_message("%s, not %s\n", got, expected);
    return strcmp(got, expected) == 0;
}

static void tokens(void **state)
{
    const struct schema *schema = schema_of(&kept);
    struct schema_seen text = {.kind = SCHEMA_SEEN_STRING, .text = "stop it", .len = 4},
                       list = {.kind = SCHEMA_SEEN_LIST};
    struct schema_wrong wrong;
    uint32_t choice;
    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_int_equal(schema_member_index(schema, members[i].name, strlen(members[i].name)), i);
    assert_int_equal(schema_member_index(schema, "opx", 2), OP);
    assert_int_equal(schema_member_index(schema, "opx", 3), SCHEMA_NONE);
    assert_int_equal(schema_member_index(schema, "o", 1), SCHEMA_NONE);
    assert_true(schema_judge_value(schema, OP, &text, &choice, &wrong));
    assert_int_equal(choice, 1);
    text.len = 7;
    assert_false(schema_judge_value(schema, OP, &text, NULL, &wrong));
    assert_true(is(&wrong, "op enum"));
    assert_false(schema_judge_item(schema, IDS, 17, &text, &wrong));
    assert_true(is(&wrong, "ids[17] string_too_long"));
    assert_int_equal(wrong.limit, 4);
    assert_false(schema_judge_item(schema, ONE, SCHEMA_NONE, &text, &wrong));
    assert_true(is(&wrong, "one string_too_long"));
    assert_false(schema_judge_item(schema, IDS, 0, &list, &wrong));
    assert_true(is(&wrong, "ids[0] string_type"));
    assert_false(schema_judge_value(schema, IDS, &list, NULL, &wrong));
    assert_true(is(&wrong, "ids too_short"));
    list.len = 4;
    assert_false(schema_judge_value(schema, IDS, &list, NULL, &wrong));
    assert_true(is(&wrong, "ids too_long"));
    assert_int_equal(wrong.limit, 3);
    assert_true(
        schema_judge_value(schema, IDS, &(struct schema_seen){.kind = SCHEMA_SEEN_NULL}, NULL, &wrong));
}

static void kinds(void **state)
{
    static const struct {
        uint32_t member, takes; /* a bit for each kind */
    } rows[] = {
        {OP, 1u << SCHEMA_SEEN_STRING},
        {BYTE, 1u << SCHEMA_SEEN_INT},
        {REAL, 1u << SCHEMA_SEEN_INT | 1u << SCHEMA_SEEN_REAL},
        {FLAG, 1u << SCHEMA_SEEN_BOOL},
        {TEXT, 1u << SCHEMA_SEEN_STRING | 1u << SCHEMA_SEEN_NULL},
        {IDS, 1u << SCHEMA_SEEN_LIST | 1u << SCHEMA_SEEN_NULL},
        {ONE, 1u << SCHEMA_SEEN_LIST | 1u << SCHEMA_SEEN_STRING | 1u << SCHEMA_SEEN_NULL},
        {ANY, 0xff},
        {NOTHING, 1u << SCHEMA_SEEN_NULL},
        {MAP, 1u << SCHEMA_SEEN_OBJECT},
    };
    struct schema_wrong wrong;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (uint32_t kind = SCHEMA_SEEN_NULL; kind <= SCHEMA_SEEN_OBJECT; kind++)
            assert_int_equal(schema_judge_kind(schema_of(&kept), rows[i].member, kind, &wrong),
                             rows[i].takes >> kind & 1);
        assert_int_equal(schema_judge_kind(schema_of(&kept), rows[i].member, SCHEMA_NONE, &wrong),
                         rows[i].member != OP);
    }
    assert_false(schema_judge_kind(schema_of(&kept), OP, SCHEMA_NONE, &wrong));
    assert_true(is(&wrong, "op missing"));
    assert_false(schema_judge_kind(schema_of(&kept), ONE, SCHEMA_SEEN_OBJECT, &wrong));
    assert_true(is(&wrong, "one list_type"));
}

/* --- words, and what is shown --------------------------------------------------------------------------------------- */

static void words(void **state)
{
    static const struct schema_row rows[] = {
        {"ids", "too_long", 1, "more than ", ""},
        {NULL, "too_long", 2, "longer than ", " bytes"},
        {"op", NULL, 3, "no", NULL},
    };
    struct schema_wrong wrong = {"ids", SCHEMA_NONE, 9, "too_long"};
    char text[64];
    (void)state;
    const struct schema_row *row = schema_row(rows, 3, &wrong);
    assert_int_equal(row->code, 1);
    schema_row_text(row, &wrong, text, sizeof text);
    assert_string_equal(text, "ids: more than 9");
    wrong = (struct schema_wrong){"one", 3, 64, "too_long"};
    row = schema_row(rows, 3, &wrong);
    schema_row_text(row, &wrong, text, sizeof text);
    assert_string_equal(text, "one[3]: longer than 64 bytes");
    wrong = (struct schema_wrong){"op", SCHEMA_NONE, 0, "enum"};
    assert_int_equal(schema_row(rows, 3, &wrong)->code, 3);
    wrong.member = "other";
    assert_null(schema_row(rows, 3, &wrong));
    wrong = (struct schema_wrong){NULL, SCHEMA_NONE, 0, "model_type"};
    assert_null(schema_row(rows, 3, &wrong));
}

static void it_can_be_shown_and_not_be_configured(void **state)
{
    struct schema_problem problem;
    struct schema *schema;
    (void)state;
    json_t *shown = schema_table_to_json(&table, &problem);
    json_t *properties =
        json_object_get(json_object_get(json_object_get(shown, "$defs"), "Strict"), "properties");
    char *text = json_dumps(json_object_get(properties, "one"), JSON_COMPACT);
    assert_string_equal(
        text, "{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1,\"maxBytes\":4,"
              "\"noNul\":true},\"minItems\":1},{\"type\":\"string\",\"minLength\":1,\"maxBytes\":4,\"noNul\":"
              "true},{\"type\":\"null\"}]}");
    free(text);
    assert_int_equal(schema_from_json(shown, &schema, &problem), ERR_CONFIG);
    json_decref(shown);
    struct schema_object lax = table;
    lax.strict = false;
    assert_int_equal(schema_from_table(&lax, &schema, &problem), ERR_CONFIG);
}

/* --- kept ----------------------------------------------------------------------------------------------------------- */

static struct schema_kept shared = {.table = &table};

static void *ask(void *unused)
{
    (void)unused;
    return (void *)schema_of(&shared);
}

static void two_threads_get_the_same(void **state)
{
    pthread_t threads[4];
    void *first = NULL, *other;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], &other);
        assert_true(other != NULL && (first == NULL || first == other));
        first = other;
    }
}

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

static void without_memory_there_is_none_this_time(void **state)
{
    static struct schema_kept poor = {.table = &table};
    json_malloc_t take;
    json_free_t give;
    (void)state;
    json_get_alloc_funcs(&take, &give);
    json_set_alloc_funcs(no_memory, give);
    assert_null(schema_of(&poor));
    json_set_alloc_funcs(take, give);
    assert_non_null(schema_of(&poor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_in_a_tree),
        cmocka_unit_test(what_was_found),
        cmocka_unit_test(tokens),
        cmocka_unit_test(kinds),
        cmocka_unit_test(words),
        cmocka_unit_test(it_can_be_shown_and_not_be_configured),
        cmocka_unit_test(two_threads_get_the_same),
        cmocka_unit_test(without_memory_there_is_none_this_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
