/* schema: whole messages: order and places of errors, defaults, nesting, recursion, extra members. */
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

/* --- the document's example, and order ------------------------------------------------------------------------------ */

static void the_documents_error(void **state)
{
    struct schema *schema = read_table(&chat);
    struct schema_result result;
    (void)state;
    see(schema, "{\"message\":\"Hi\",\"user\":\"Ana\"}", "{\"message\":\"Hi\",\"user\":\"Ana\"}");
    see(schema, "{\"message\":\"Hi\"}", "{\"message\":\"Hi\",\"user\":\"System\"}");
    see(schema, "{\"user\":null,\"message\":\"Hi\",\"more\":1}", "[\"user\"] string_type");
    assert_int_equal(schema_validate_text(schema, "{}", 2, &result), ERR_MALFORMED);
    char *text = json_dumps(result.errors, JSON_COMPACT);
    assert_string_equal(text, "[{\"loc\":[\"message\"],\"type\":\"missing\",\"msg\":\"Field required\"}]");
    free(text);
    json_decref(result.errors);
    schema_free(&schema);
}

static void what_is_no_object(void **state)
{
    struct schema *schema = read_table(&chat);
    (void)state;
    see(schema, "[]", "[] model_type");
    see(schema, "\"{}\"", "[] model_type");
    see(schema, "null", "[] model_type");
    see(schema, "{", "[] json_invalid");
    see(schema, "", "[] json_invalid");
    schema_free(&schema);
}

static const struct schema_member sub_members[] = {
    {.name = "n", .type = {.kind = SCHEMA_INT, .ge = "0"}},
};
static const struct schema_object sub = {.name = "Sub", .members = sub_members, .member_count = 1};
static const struct schema_type a_sub = {.kind = SCHEMA_OBJECT, .object = &sub},
                                an_int = {.kind = SCHEMA_INT};
static const struct schema_member order_members[] = {
    {.name = "name", .type = {.kind = SCHEMA_STRING}},
    {.name = "subs", .type = {.kind = SCHEMA_LIST, .items = &a_sub, .min_length = 1, .max_length = 3}},
    {.name = "tags", .type = {.kind = SCHEMA_LIST, .items = &an_int}, .fallback = "[]"},
    {.name = "by", .type = {.kind = SCHEMA_DICT, .items = &a_sub}, .optional = true},
    {.name = "sub", .type = {.kind = SCHEMA_OBJECT, .object = &sub, .nullable = true}, .fallback = "null"},
    {.name = "age", .type = {.kind = SCHEMA_INT}},
};
static const struct schema_object order = {
    .name = "Order", .members = order_members, .member_count = ARRAY_LEN(order_members)};

/* The same, as Pydantic writes it. */
static const char order_json[] =
    "{\"$defs\":{\"Sub\":{\"properties\":{\"n\":{\"minimum\":0,\"title\":\"N\",\"type\":\"integer\"}},"
    "\"required\":[\"n\"],\"title\":\"Sub\",\"type\":\"object\"}},\"properties\":{"
    "\"name\":{\"title\":\"Name\",\"type\":\"string\"},"
    "\"subs\":{\"items\":{\"$ref\":\"#/$defs/"
    "Sub\"},\"minItems\":1,\"maxItems\":3,\"title\":\"Subs\",\"type\":\"array\"},"
    "\"tags\":{\"default\":[],\"items\":{\"type\":\"integer\"},\"title\":\"Tags\",\"type\":\"array\"},"
    "\"by\":{\"additionalProperties\":{\"$ref\":\"#/$defs/Sub\"},\"title\":\"By\",\"type\":\"object\"},"
    "\"sub\":{\"anyOf\":[{\"$ref\":\"#/$defs/Sub\"},{\"type\":\"null\"}],\"default\":null},"
    "\"age\":{\"title\":\"Age\",\"type\":\"integer\"}},\"required\":[\"name\",\"subs\",\"age\"],\"title\":"
    "\"Order\",\"type\":\"object\"}";

static void see_both(struct schema *schemas[2], const char *message, const char *expected)
{
    see(schemas[0], message, expected);
    see(schemas[1], message, expected);
}

static void nested_first_then_own(void **state)
{
    struct schema *schemas[] = {read_table(&order), read_json(order_json)};
    (void)state;
    see_both(schemas, "{\"age\":\"7\",\"subs\":[{\"n\":1.0,\"x\":2}],\"name\":\"\"}",
             "{\"name\":\"\",\"subs\":[{\"n\":1}],\"tags\":[],\"sub\":null,\"age\":7}");
    see_both(schemas, "{\"name\":\"a\",\"subs\":[{\"n\":1},{}],\"age\":1}", "[\"subs\",1,\"n\"] missing");
    see_both(
        schemas, "{\"name\":5,\"subs\":[{\"n\":\"x\"},7]}",
        "[\"subs\",0,\"n\"] int_parsing; [\"name\"] string_type; [\"subs\",1] model_type; [\"age\"] missing");
    see_both(
        schemas,
        "{\"name\":5,\"subs\":3,\"tags\":[1,\"y\",null],\"by\":{\"k\":{\"n\":-1},\"l\":[]},\"sub\":{},"
        "\"age\":{}}",
        "[\"by\",\"k\",\"n\"] greater_than_equal; [\"sub\",\"n\"] missing; [\"name\"] string_type; "
        "[\"subs\"] list_type; "
        "[\"tags\",1] int_parsing; [\"tags\",2] int_type; [\"by\",\"l\"] model_type; [\"age\"] int_type");
    see_both(schemas, "{\"name\":\"\",\"subs\":[{},{},{},{}],\"age\":1}", "[\"subs\"] too_long");
    see_both(schemas, "{\"name\":\"\",\"subs\":[],\"age\":1,\"sub\":5,\"by\":[]}",
             "[\"subs\"] too_short; [\"by\"] dict_type; [\"sub\"] model_type");
    see_both(schemas, "{}", "[\"name\"] missing; [\"subs\"] missing; [\"age\"] missing");
    schema_free(&schemas[0]);
    schema_free(&schemas[1]);
}

/* --- defaults, duplicates, extra members ---------------------------------------------------------------------------- */

static void defaults(void **state)
{
    struct schema *schema = read_json(
        "{\"type\":\"object\",\"properties\":{\"i\":{\"type\":\"integer\",\"default\":\"12\"},"
        "\"f\":{\"type\":\"number\",\"default\":1},\"l\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}"
        ",\"default\":[1]},"
        "\"o\":{\"allOf\":[{\"$ref\":\"#/$defs/O\"}],\"default\":{}},\"p\":{\"$ref\":\"#/$defs/"
        "O\",\"default\":{\"a\":{}}},"
        "\"q\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]},\"e\":{\"enum\":[\"x\"],\"type\":"
        "\"string\",\"default\":\"x\"}},"
        "\"$defs\":{\"O\":{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/"
        "A\",\"default\":{}}}},"
        "\"A\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"default\":true}}}}}");
    (void)state;
    see(schema, "{}",
        "{\"i\":12,\"f\":1.0,\"l\":[1],\"o\":{\"a\":{\"n\":1}},\"p\":{\"a\":{\"n\":1}},\"e\":\"x\"}");
    see(schema, "{\"q\":null,\"l\":[],\"i\":0,\"e\":\"x\"}",
        "{\"i\":0,\"f\":1.0,\"l\":[],\"o\":{\"a\":{\"n\":1}},\"p\":{\"a\":{\"n\":1}},\"q\":null,\"e\":"
        "\"x\"}");
    schema_free(&schema);
}

/* Whoever changes what comes out does not change the default. */
static void a_default_is_copied(void **state)
{
    struct schema *schema =
        read_json("{\"type\":\"object\",\"properties\":{\"l\":{\"type\":\"array\",\"default\":[1]}}}");
    struct schema_result result;
    (void)state;
    assert_int_equal(schema_validate_text(schema, "{}", 2, &result), ERR_OK);
    json_array_append_new(json_object_get(result.value, "l"), json_integer(2));
    json_decref(result.value);
    see(schema, "{}", "{\"l\":[1]}");
    schema_free(&schema);
}

static void duplicates_and_extra_members(void **state)
{
    struct schema *open = read_table(&chat);
    struct schema_object shut = chat;
    shut.closed = true;
    struct schema *closed = read_table(&shut);
    (void)state;
    see(open, "{\"message\":1,\"user\":\"u\",\"message\":\"last\"}", "{\"message\":\"last\",\"user\":\"u\"}");
    see(open, "{\"message\":\"m\",\"message\":1}", "[\"message\"] string_type");
    see(open, "{\"\":0,\"message\":\"m\",\"message\\u0000\":1}", "{\"message\":\"m\",\"user\":\"System\"}");
    see(closed, "{\"message\":\"m\"}", "{\"message\":\"m\",\"user\":\"System\"}");
    see(closed, "{\"z\":1,\"message\":\"m\",\"a\":2}", "[\"z\"] extra_forbidden; [\"a\"] extra_forbidden");
    struct schema *empty =
        read_json("{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}");
    see(empty, "{}", "{}");
    see(empty, "{\"a\":1}", "[\"a\"] extra_forbidden");
    schema_free(&empty);
    see(closed, "{\"z\":1,\"user\":0}",
        "[\"message\"] missing; [\"user\"] string_type; [\"z\"] extra_forbidden");
    schema_free(&open);
    schema_free(&closed);
}

static void dictionaries_keep_every_name(void **state)
{
    struct schema *schema =
        read_json("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}");
    (void)state;
    see(schema, "{\"a\\u0000b\":\"1\",\"a\":2,\"\":3}", "{\"a\\u0000b\":1,\"a\":2,\"\":3}");
    see(schema, "{\"a\\u0000b\":\"x\"}", "[\"a\\u0000b\"] int_parsing");
    see(schema, "[]", "[] dict_type");
    schema_free(&schema);
}

static void a_short_list_with_a_wrong_item(void **state)
{
    struct schema *schema = read_json("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2}");
    (void)state;
    see(schema, "[1]", "[] too_short");
    see(schema, "[\"x\"]", "[0] int_parsing");
    schema_free(&schema);
    schema = read_json(
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"maxProperties\":1}");
    see(schema, "{\"a\":1,\"b\":2}", "[] too_long");
    see(schema, "{\"a\":1,\"b\":[]}", "[\"b\"] int_type");
    schema_free(&schema);
}

/* --- recursion ------------------------------------------------------------------------------------------------------ */

static void recursion(void **state)
{
    struct schema *schemas[] = {
        read_table(&tree),
        read_json("{\"$defs\":{\"Tree\":{\"properties\":{\"v\":{\"type\":\"integer\"},"
                  "\"kids\":{\"default\":[],\"items\":{\"$ref\":\"#/$defs/Tree\"},\"type\":\"array\"},"
                  "\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/Tree\"},{\"type\":\"null\"}],\"default\":null}},"
                  "\"required\":[\"v\"],\"type\":\"object\"}},\"$ref\":\"#/$defs/Tree\"}")};
    (void)state;
    see_both(schemas, "{\"v\":1,\"kids\":[{\"v\":2}]}",
             "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[],\"next\":null}],\"next\":null}");
    see_both(schemas, "{\"kids\":[{\"kids\":[{}],\"next\":{}},{}],\"next\":{\"v\":[]}}",
             "[\"kids\",0,\"kids\",0,\"v\"] missing; [\"kids\",0,\"next\",\"v\"] missing; [\"kids\",0,\"v\"] "
             "missing; "
             "[\"kids\",1,\"v\"] missing; [\"next\",\"v\"] int_type; [\"v\"] missing");
    schema_free(&schemas[0]);
    schema_free(&schemas[1]);
}

/* A message that nobody read as text may be deeper than a text can be. */
static json_t *chain(unsigned levels)
{
    json_t *inner = json_pack("{si}", "v", 0);
    for (unsigned i = 0; i < levels; i++)
        inner = json_pack("{siso}", "v", 0, "next", inner);
    return inner;
}

static void levels_are_bounded(void **state)
{
    struct schema *schema = read_table(&tree);
    struct schema_result result;
    static char got[16384];
    (void)state;
    json_t *deep = chain(SCHEMA_DEPTH - 1);
    assert_int_equal(schema_validate(schema, deep, &result), ERR_OK);
    json_decref(result.value);
    json_decref(deep);
    deep = chain(SCHEMA_DEPTH); /* its innermost member is one too deep */
    assert_int_equal(schema_validate(schema, deep, &result), ERR_MALFORMED);
    json_decref(result.errors);
    json_decref(deep);
    deep = chain(SCHEMA_DEPTH + 50);
    assert_int_equal(schema_validate(schema, deep, &result), ERR_MALFORMED);
    assert_true(json_array_size(result.errors) >= 1);
    json_t *error = json_array_get(result.errors, 0);
    assert_string_equal(json_string_value(json_object_get(error, "type")), "recursion_loop");
    assert_int_equal(json_array_size(json_object_get(error, "loc")), SCHEMA_DEPTH + 1);
    show(ERR_MALFORMED, &result, got, sizeof got);
    json_decref(deep);
    schema_free(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_error),
        cmocka_unit_test(what_is_no_object),
        cmocka_unit_test(nested_first_then_own),
        cmocka_unit_test(defaults),
        cmocka_unit_test(a_default_is_copied),
        cmocka_unit_test(duplicates_and_extra_members),
        cmocka_unit_test(dictionaries_keep_every_name),
        cmocka_unit_test(recursion),
        cmocka_unit_test(a_short_list_with_a_wrong_item),
        cmocka_unit_test(levels_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
