/* schema: which JSON Schema documents and tables are read, and what is said of the others. */
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

#define IN_X(type) "{\"type\":\"object\",\"properties\":{\"x\":" type "}}"

/* A document, and the pointer and a word of the reason; NULL: it is read. */
static const struct {
    const char *document, *pointer, *why;
} documents[] = {
    /* what Pydantic writes */
    {"{\"properties\":{},\"title\":\"Empty\",\"type\":\"object\"}", NULL, NULL},
    {"{\"description\":\"d\",\"properties\":{\"a\":{\"title\":\"A\",\"type\":\"object\","
     "\"additionalProperties\":true}},"
     "\"required\":[\"a\"],\"title\":\"M\",\"type\":\"object\"}",
     NULL, NULL},
    {IN_X("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"default\":null,\"title\":\"X\"}"), NULL,
     NULL},
    {IN_X("{\"anyOf\":[{\"exclusiveMinimum\":0,\"type\":\"integer\"},{\"type\":\"null\"}],\"title\":\"X\"}"),
     NULL, NULL},
    {IN_X("{\"title\":\"X\",\"description\":\"d\",\"examples\":[1],\"deprecated\":true,\"default\":1.5,"
          "\"type\":\"number\"}"),
     NULL, NULL},
    {IN_X("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}"
          "}}"),
     NULL, NULL},
    {IN_X("{\"type\":\"array\",\"items\":{},\"default\":[1]}"), NULL, NULL},
    {IN_X("{\"items\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"number\"},{\"type\":\"null\"}]}},"
          "\"type\":\"array\"}"),
     NULL, NULL},
    {IN_X("{\"const\":\"foo\",\"default\":\"foo\",\"title\":\"Kind\",\"type\":\"string\"}"), NULL, NULL},
    {IN_X("{\"type\":\"object\"}"), NULL, NULL},
    {"{\"$defs\":{\"E\":{\"enum\":[\"a\"],\"title\":\"E\",\"type\":\"string\"}},\"properties\":{\"x\":{\"$"
     "ref\":\"#/$defs/E\",\"default\":\"a\"}},"
     "\"type\":\"object\"}",
     NULL, NULL},
    {"{\"$defs\":{\"N\":{\"properties\":{\"n\":{\"$ref\":\"#/$defs/N\"}},\"type\":\"object\"}},\"$ref\":\"#/"
     "$defs/N\"}",
     NULL, NULL},
    {"{\"$defs\":{\"Unused\":{\"format\":\"who knows\"}},\"type\":\"integer\"}", NULL, NULL},
    {"{\"additionalProperties\":false,\"properties\":{\"a\":{\"type\":\"null\"}},\"type\":\"object\"}", NULL,
     NULL},
    {"{\"$defs\":{\"L\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/L\"}}},\"$ref\":\"#/$defs/L\"}",
     NULL, NULL},
    {"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"string\"}", NULL, NULL},
    /* other keywords and types */
    {"3", "", "expected an object"},
    {"true", "", "expected an object"},
    {"{\"type\":5}", "/type", "expected string"},
    {"{\"type\":\"text\"}", "/type", "expected string"},
    {"{\"type\":[\"string\",\"null\"]}", "/type", "expected string"},
    {"{\"format\":\"date-time\",\"type\":\"string\"}", "/format", "not supported"},
    {IN_X("{\"type\":\"string\",\"format\":\"email\"}"), "/properties/x/format", "not supported"},
    {IN_X("{\"type\":\"string\",\"minimum\":1}"), "/properties/x/minimum", "not supported"},
    {IN_X("{\"type\":\"integer\",\"maxLength\":1}"), "/properties/x/maxLength", "not supported"},
    {IN_X("{\"minimum\":1}"), "/properties/x/minimum", "not supported"},
    {IN_X("{\"type\":\"boolean\",\"enum\":[true],\"minLength\":1}"), "/properties/x/minLength",
     "not supported"},
    {IN_X("{\"type\":\"array\",\"uniqueItems\":true}"), "/properties/x/uniqueItems", "not supported"},
    {IN_X("{\"type\":\"array\",\"prefixItems\":[{}]}"), "/properties/x/prefixItems", "not supported"},
    {IN_X("{\"type\":\"object\",\"patternProperties\":{}}"), "/properties/x/patternProperties",
     "not supported"},
    {IN_X("{\"type\":\"object\",\"propertyNames\":{}}"), "/properties/x/propertyNames", "not supported"},
    {IN_X("{\"oneOf\":[{\"type\":\"string\"}]}"), "/properties/x/oneOf", "not supported"},
    {IN_X("{\"not\":{}}"), "/properties/x/not", "not supported"},
    {IN_X("{\"$defs\":{}}"), "/properties/x/$defs", "not supported"},
    {IN_X("{\"discriminator\":{}}"), "/properties/x/discriminator", "not supported"},
    {"{\"type\":\"integer\",\"default\":3}", "/default", "not supported"},
    {IN_X("{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"default\":1}}"),
     "/properties/x/items/default", "not supported"},
    {"{\"type\":\"object\",\"properties\":{\"a/b~c\":{\"type\":\"integer\",\"oops\":1}}}",
     "/properties/a~1b~0c/oops", "not supported"},
    {"{\"type\":\"object\",\"properties\":{\"\":{\"type\":\"integer\"}}}", "/properties/", ""},
    {"{\"type\":\"object\",\"properties\":[]}", "/properties", "expected an object"},
    {"{\"type\":\"object\",\"properties\":{},\"additionalProperties\":true}", "/additionalProperties",
     "only false"},
    {"{\"type\":\"object\",\"properties\":{},\"additionalProperties\":{}}", "/additionalProperties",
     "only false"},
    {"{\"type\":\"object\",\"additionalProperties\":false}", "/additionalProperties", "expected an object"},
    {IN_X("{\"type\":\"array\",\"items\":true}"), "/properties/x/items", "expected an object"},
    {IN_X("{\"type\":\"array\",\"items\":[{}]}"), "/properties/x/items", "expected an object"},
    {IN_X("7"), "/properties/x", "expected an object"},
    /* values of keywords */
    {IN_X("{\"type\":\"string\",\"minLength\":-1}"), "/properties/x/minLength", "expected an integer"},
    {IN_X("{\"type\":\"string\",\"maxLength\":1.5}"), "/properties/x/maxLength", "expected an integer"},
    {IN_X("{\"type\":\"array\",\"maxItems\":4294967295}"), "/properties/x/maxItems", "expected an integer"},
    {IN_X("{\"type\":\"object\",\"minProperties\":\"1\"}"), "/properties/x/minProperties",
     "expected an integer"},
    {IN_X("{\"type\":\"string\",\"pattern\":5}"), "/properties/x/pattern", "expected a string"},
    {IN_X("{\"type\":\"string\",\"pattern\":\"(a\"}"), "/properties/x/pattern", "not closed"},
    {IN_X("{\"type\":\"string\",\"pattern\":\"(?=a)\"}"), "/properties/x/pattern", "look-around"},
    {IN_X("{\"type\":\"integer\",\"minimum\":0.5}"), "/properties/x/minimum", "expected an integer"},
    {IN_X("{\"type\":\"integer\",\"exclusiveMinimum\":true}"), "/properties/x/exclusiveMinimum",
     "expected a number"},
    {IN_X("{\"type\":\"number\",\"maximum\":\"1\"}"), "/properties/x/maximum", "expected a number"},
    {IN_X("{\"type\":\"integer\",\"multipleOf\":0}"), "/properties/x/multipleOf", "above 0"},
    {IN_X("{\"type\":\"number\",\"multipleOf\":-0.5}"), "/properties/x/multipleOf", "above 0"},
    {IN_X("{\"enum\":[]}"), "/properties/x/enum", "something in it"},
    {IN_X("{\"enum\":\"a\"}"), "/properties/x/enum", "something in it"},
    {IN_X("{\"enum\":[1,\"a\"],\"type\":\"integer\"}"), "/properties/x/enum", "not of the type"},
    {IN_X("{\"enum\":[[]]}"), "/properties/x/enum", "not of the type"},
    {IN_X("{\"enum\":[\"a\"],\"type\":\"object\"}"), "/properties/x/type", "expected string"},
    {IN_X("{\"const\":[\"a\",1],\"type\":\"array\"}"), "/properties/x/type", "expected string"},
    {IN_X("{\"const\":{}}"), "/properties/x/const", "not of the type"},
    {IN_X("{\"const\":1,\"enum\":[1]}"), "/properties/x/enum", "not supported"},
    {"{\"type\":\"object\",\"properties\":{\"x\":{}},\"required\":[\"y\"]}", "/required", "no property"},
    {"{\"type\":\"object\",\"properties\":{},\"required\":[\"y\"]}", "/required", "no property"},
    {"{\"type\":\"object\",\"properties\":{\"x\":{}},\"required\":\"x\"}", "/required", "expected an array"},
    {"{\"type\":\"object\",\"properties\":{\"x\":{}},\"required\":[1]}", "/required", "no property"},
    {"{\"type\":\"object\",\"properties\":{\"x\":{\"default\":1}},\"required\":[\"x\"]}", "/required",
     "has a default"},
    /* defaults */
    {IN_X("{\"type\":\"integer\",\"default\":\"x\"}"), "/properties/x/default", "not valid"},
    {IN_X("{\"type\":\"integer\",\"default\":null}"), "/properties/x/default", "not valid"},
    {IN_X("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"default\":[1,\"b\"]}"),
     "/properties/x/default", "not valid"},
    {"{\"$defs\":{\"N\":{\"properties\":{\"n\":{\"$ref\":\"#/$defs/"
     "N\",\"default\":{}}},\"type\":\"object\"}},\"$ref\":\"#/$defs/N\"}",
     "", "contain each other"},
    /* unions and references */
    {IN_X("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}"), "/properties/x/anyOf",
     "other unions"},
    {IN_X("{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"null\"}]}"), "/properties/x/anyOf", "other unions"},
    {IN_X("{\"anyOf\":[{\"type\":\"string\"}]}"), "/properties/x/anyOf", "other unions"},
    {IN_X("{\"anyOf\":[{\"type\":\"null\"},5]}"), "/properties/x/anyOf/1", "expected an object"},
    {IN_X("{\"anyOf\":[{\"type\":\"string\",\"oops\":1},{\"type\":\"null\"}]}"), "/properties/x/anyOf/0/oops",
     "not supported"},
    {IN_X("{\"anyOf\":[{},{\"type\":\"null\"}],\"type\":\"string\"}"), "/properties/x/type", "not supported"},
    {IN_X("{\"allOf\":[{},{}]}"), "/properties/x/allOf", "one type"},
    {IN_X("{\"$ref\":\"#/definitions/A\"}"), "/properties/x/$ref", "expected"},
    {IN_X("{\"$ref\":\"#/$defs/A\"}"), "/properties/x/$ref", "no such definition"},
    {IN_X("{\"$ref\":\"#/$defs/a~1b\"}"), "/properties/x/$ref", "expected"},
    {IN_X("{\"$ref\":7}"), "/properties/x/$ref", "expected"},
    {"{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"type\":\"string\"}},\"minLength\":1}", "/minLength",
     "not supported"},
    {"{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"$ref\":\"#/$defs/A\"}}}", "/$defs/A", "only itself"},
    {"{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"$ref\":\"#/$defs/B\"},\"B\":{\"anyOf\":[{\"$ref\":\"#/"
     "$defs/A\"},{\"type\":\"null\"}]}}}",
     "/$defs/A", "only itself"},
    {"{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":{\"type\":\"string\",\"oops\":1}}}", "/$defs/A/oops",
     "not supported"},
    {"{\"$ref\":\"#/$defs/A\",\"$defs\":{\"A\":1}}", "/$defs/A", "expected an object"},
};

static void documents_and_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        struct schema *schema;
        struct schema_problem problem;
        json_error_t error;
        json_t *document = json_loads(documents[i].document, JSON_DECODE_ANY, &error);
        if (document == NULL)
            fail_msg("%s: %s", documents[i].document, error.text);
        enum err_e err = schema_from_json(document, &schema, &problem);
        json_decref(document);
        if ((err == ERR_OK) != (documents[i].pointer == NULL))
            fail_msg("%s: %s %s", documents[i].document, problem.pointer, problem.why);
        if (err != ERR_OK) {
            assert_null(schema);
            assert_int_equal(err, ERR_CONFIG);
            assert_string_equal(problem.pointer, documents[i].pointer);
            if (strstr(problem.why, documents[i].why) == NULL)
                fail_msg("%s: %s", documents[i].document, problem.why);
        }
        schema_free(&schema);
    }
}

static enum err_e read_text(char *text, struct schema_problem *problem)
{
    struct schema *schema;
    json_error_t error;
    json_t *document = json_loads(text, 0, &error);
    assert_non_null(document);
    enum err_e err = schema_from_json(document, &schema, problem);
    json_decref(document);
    schema_free(&schema);
    free(text);
    return err;
}

static char *repeated(const char *before, const char *item, unsigned count, const char *after)
{
    char *text = malloc(strlen(before) + strlen(after) + count * (strlen(item) + 12) + 1), *put = text;
    put += sprintf(put, "%s", before);
    for (unsigned i = 0; i < count; i++) {
        put += sprintf(put, i > 0 ? "," : "");
        for (const char *at = item; *at != '\0'; at++)
            put += *at == '#' ? sprintf(put, "%u", i) : sprintf(put, "%c", *at);
    }
    sprintf(put, "%s", after);
    return text;
}

static char *nested(const char *open, unsigned count, const char *inner, const char *shut)
{
    char *text = malloc(count * (strlen(open) + strlen(shut)) + strlen(inner) + 1), *put = text;
    for (unsigned i = 0; i < count; i++)
        put += sprintf(put, "%s", open);
    put += sprintf(put, "%s", inner);
    for (unsigned i = 0; i < count; i++)
        put += sprintf(put, "%s", shut);
    return text;
}

static void everything_is_bounded(void **state)
{
    struct schema_problem problem;
    (void)state;
    assert_int_equal(read_text(nested("{\"type\":\"array\",\"items\":", 60, "{}", "}"), &problem), ERR_OK);
    assert_int_equal(read_text(nested("{\"type\":\"array\",\"items\":", 1000, "{}", "}"), &problem),
                     ERR_CONFIG);
    assert_non_null(strstr(problem.why, "nested too deeply"));
    assert_int_equal(
        read_text(repeated("{\"type\":\"object\",\"properties\":{", "\"p#\":{\"type\":\"null\"}", 4000, "}}"),
                  &problem),
        ERR_OK);
    assert_int_equal(
        read_text(repeated("{\"type\":\"object\",\"properties\":{", "\"p#\":{\"type\":\"null\"}", 4097, "}}"),
                  &problem),
        ERR_CONFIG);
    assert_non_null(strstr(problem.why, "too many members"));
    assert_int_equal(
        read_text(repeated("{\"type\":\"object\",\"properties\":{",
                           "\"p#\":{\"type\":\"array\",\"items\":{\"type\":\"null\"}}", 3000, "}}"),
                  &problem),
        ERR_CONFIG);
    assert_non_null(strstr(problem.why, "too many types"));
    assert_int_equal(read_text(repeated("{\"enum\":[", "#", 1024, "]}"), &problem), ERR_OK);
    assert_int_equal(read_text(repeated("{\"enum\":[", "#", 1025, "]}"), &problem), ERR_CONFIG);
    assert_non_null(strstr(problem.why, "too many choices"));
}

/* A chain of definitions costs no stack. */
static void long_chains_of_definitions(void **state)
{
    struct schema_problem problem;
    char *text = malloc(200000), *put = text;
    (void)state;
    put += sprintf(put, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (unsigned i = 0; i < 1300; i++)
        put += sprintf(put, "\"d%u\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/d%u\"}},", i, i + 1);
    sprintf(put, "\"d1300\":{\"type\":\"null\"}}}");
    assert_int_equal(read_text(text, &problem), ERR_OK);
}

/* --- tables --------------------------------------------------------------------------------------------------------- */

static void see_table_refused(const struct schema_member *members, unsigned count, const char *pointer,
                              const char *why)
{
    struct schema_object object = {.name = "T", .members = members, .member_count = count};
    struct schema *schema;
    struct schema_problem problem;
    assert_int_equal(schema_from_table(&object, &schema, &problem), ERR_CONFIG);
    assert_string_equal(problem.pointer, pointer);
    assert_non_null(strstr(problem.why, why));
}

static void wrong_tables(void **state)
{
    static const struct schema_member wrong_default[] = {
        {.name = "a", .type = {.kind = SCHEMA_INT}, .fallback = "\"x\""}};
    static const struct schema_member no_json[] = {{.name = "a", .type = {.kind = SCHEMA_INT, .ge = "zero"}}};
    static const struct schema_member wrong_bound[] = {
        {.name = "a", .type = {.kind = SCHEMA_STRING, .ge = "0"}}};
    static const struct schema_member no_object[] = {{.name = "a", .type = {.kind = SCHEMA_OBJECT}}};
    static const struct schema_member twice[] = {{.name = "a", .type = {.kind = SCHEMA_INT}}, {.name = "a"}};
    static const struct schema_type loop = {.kind = SCHEMA_LIST, .items = &loop};
    static const struct schema_member endless[] = {
        {.name = "a", .type = {.kind = SCHEMA_LIST, .items = &loop}}};
    (void)state;
    see_table_refused(wrong_default, 1, "/$defs/T/properties/a/default", "not valid");
    see_table_refused(no_json, 1, "/$defs/minimum", "expected value");
    see_table_refused(wrong_bound, 1, "/$defs/T/properties/a/minimum", "not supported");
    see_table_refused(no_object, 1, "/$defs/", "names none");
    see_table_refused(twice, 2, "/$defs/a", "twice");
    see_table_refused(endless, 1, "/$defs/", "nested too deeply");
}

static void a_table_can_be_shown(void **state)
{
    static const struct schema_object other = {.name = "T"};
    static const struct schema_member members[] = {
        {.name = "a", .type = {.kind = SCHEMA_INT, .nullable = true, .ge = "0"}, .fallback = "null"},
        {.name = "b", .type = {.kind = SCHEMA_OBJECT, .object = &other}},
    };
    static const struct schema_object table = {
        .name = "T", .members = members, .member_count = 2, .closed = true};
    struct schema_problem problem;
    json_t *shown = schema_table_to_json(&table, &problem);
    char *text = json_dumps(shown, JSON_COMPACT);
    (void)state;
    assert_string_equal(
        text, "{\"$ref\":\"#/$defs/T\",\"$defs\":{\"T\":{\"type\":\"object\",\"properties\":{"
              "\"a\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0},{\"type\":\"null\"}],\"default\":null},"
              "\"b\":{\"$ref\":\"#/$defs/object 1\"}},\"required\":[\"b\"],\"additionalProperties\":false},"
              "\"object 1\":{\"type\":\"object\",\"properties\":{},\"required\":[]}}}");
    free(text);
    json_decref(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_and_refusals),     cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(long_chains_of_definitions), cmocka_unit_test(wrong_tables),
        cmocka_unit_test(a_table_can_be_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
