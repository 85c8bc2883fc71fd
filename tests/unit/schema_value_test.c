/* schema: single values. Each group is one type, declared as JSON Schema and as a C table; each case is one JSON value and what it
 * becomes, or the error's type and text. Facts: pydantic-core's tests/validators/test_{int,float,bool,string,enums,literal,
 * list,dict,nullable}.py and src/errors/types.rs; README.md of common/schema says where ours differ. */
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

/* `input` becomes `output`; or, with NULL, the only error has this type, and this text if not NULL. */
struct sample {
    const char *input, *output, *type, *msg;
};

#define OK(input, output)                                                                                    \
    {                                                                                                        \
        input, output, NULL, NULL                                                                            \
    }
#define SAME(input)                                                                                          \
    {                                                                                                        \
        input, input, NULL, NULL                                                                             \
    }
#define BAD(input, type)                                                                                     \
    {                                                                                                        \
        input, NULL, type, NULL                                                                              \
    }
#define TOLD(input, type, msg)                                                                               \
    {                                                                                                        \
        input, NULL, type, msg                                                                               \
    }

struct group {
    const char *json;
    struct schema_type type;
    struct sample samples[96];
};

static const struct schema_type of_int = {.kind = SCHEMA_INT}, of_string = {.kind = SCHEMA_STRING},
                                of_null_int = {.kind = SCHEMA_INT, .nullable = true},
                                of_ints = {.kind = SCHEMA_LIST, .items = &of_int};

#define INT_PARSING "Input should be a valid integer, unable to parse string as an integer"
#define INT_SIZE    "Unable to parse input string as an integer, exceeded maximum size"
#define FRACTION    "Input should be a valid integer, got a number with a fractional part"
#define FLOAT_TEXT  "Input should be a valid number, unable to parse string as a number"
#define BOOL_TEXT   "Input should be a valid boolean, unable to interpret input"
#define FINITE      "Input should be a finite number"

static const struct group groups[] = {
    {"{}",
     {.kind = SCHEMA_ANY},
     {SAME("1"), SAME("1.5"), SAME("null"), SAME("true"), SAME("\"x\""), SAME("[1,[2,{\"a\":null}]]"),
      SAME("{}"), OK("18446744073709551616", "1.844674407370955e19"), SAME("-9223372036854775808")}},
    {"{\"type\":\"string\"}",
     {.kind = SCHEMA_STRING},
     {SAME("\"\""), SAME("\"abc\""), SAME("\"\xc3\xa9\""), OK("\"\\u00e9\"", "\"\xc3\xa9\""),
      SAME("\"a\\u0000b\""), TOLD("1", "string_type", "Input should be a valid string"),
      BAD("1.5", "string_type"), BAD("true", "string_type"), BAD("null", "string_type"),
      BAD("[]", "string_type"), BAD("{}", "string_type")}},
    {"{\"type\":\"string\",\"minLength\":1}",
     {.kind = SCHEMA_STRING, .min_length = 1},
     {SAME("\"a\""), SAME("\" \""),
      TOLD("\"\"", "string_too_short", "String should have at least 1 character"), BAD("1", "string_type")}},
    {"{\"type\":\"string\",\"minLength\":3,\"maxLength\":5}",
     {.kind = SCHEMA_STRING, .min_length = 3, .max_length = 5},
     {SAME("\"abc\""), SAME("\"abcde\""), SAME("\"\xc3\xa9\xc3\xa9\xc3\xa9\""),
      SAME("\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\""),
      TOLD("\"ab\"", "string_too_short", "String should have at least 3 characters"),
      BAD("\"\xc3\xa9\xc3\xa9\"", "string_too_short"),
      TOLD("\"abcdef\"", "string_too_long", "String should have at most 5 characters")}},
    {"{\"type\":\"string\",\"maxLength\":1}",
     {.kind = SCHEMA_STRING, .max_length = 1},
     {SAME("\"\""), SAME("\"\xf0\x9f\x98\x80\""),
      TOLD("\"ab\"", "string_too_long", "String should have at most 1 character")}},
    {"{\"type\":\"string\",\"maxLength\":0}",
     {.kind = SCHEMA_STRING, .max_length = SCHEMA_EMPTY},
     {SAME("\"\""), TOLD("\"a\"", "string_too_long", "String should have at most 0 characters")}},
    {"{\"type\":\"string\",\"pattern\":\"^a+$\"}",
     {.kind = SCHEMA_STRING, .pattern = "^a+$"},
     {SAME("\"a\""), SAME("\"aaa\""),
      TOLD("\"b\"", "string_pattern_mismatch", "String should match pattern '^a+$'"),
      BAD("\"\"", "string_pattern_mismatch"), BAD("\"a\\n\"", "string_pattern_mismatch"),
      BAD("3", "string_type")}},
    {"{\"type\":\"string\",\"pattern\":\"b\",\"maxLength\":3}",
     {.kind = SCHEMA_STRING, .pattern = "b", .max_length = 3},
     {SAME("\"abc\""), SAME("\"b\""), BAD("\"aaa\"", "string_pattern_mismatch"),
      BAD("\"aabaa\"", "string_too_long")}},
    {"{\"type\":\"integer\"}",
     {.kind = SCHEMA_INT},
     {SAME("0"),
      SAME("-1"),
      OK("-0", "0"),
      SAME("9223372036854775807"),
      SAME("-9223372036854775808"),
      OK("false", "0"),
      OK("true", "1"),
      OK("42.0", "42"),
      OK("-42.0", "-42"),
      OK("1e3", "1000"),
      OK("0.0", "0"),
      OK("\"0\"", "0"),
      OK("\"00\"", "0"),
      OK("\"000\"", "0"),
      OK("\"0_000\"", "0"),
      OK("\"+0\"", "0"),
      OK("\"+00\"", "0"),
      OK("\"+0_000\"", "0"),
      OK("\"  1  \"", "1"),
      OK("\"\\t1\\n\"", "1"),
      OK("\"\xc2\xa0"
         "1\xe3\x80\x80\"",
         "1"),
      OK("\"-1\"", "-1"),
      OK("\"-1.0\"", "-1"),
      OK("\"12\"", "12"),
      OK("\"12.0\"", "12"),
      OK("\"0.0\"", "0"),
      OK("\"00.0\"", "0"),
      OK("\"00.00\"", "0"),
      OK("\"42.00\"", "42"),
      OK("\"042\"", "42"),
      OK("\"09\"", "9"),
      OK("\"+4_2\"", "42"),
      OK("\"+0_42\"", "42"),
      OK("\"+4_2.0\"", "42"),
      OK("\"+04_2.0\"", "42"),
      OK("\"-00001\"", "-1"),
      OK("\"-00042_000\"", "-42000"),
      OK("\"1_000\"", "1000"),
      OK("\"1_0_0\"", "100"),
      OK("\"0__1\"", "1"),
      OK("\"  04_2.0 \"", "42"),
      OK("\"123456789.0\"", "123456789"),
      OK("\"9223372036854775807\"", "9223372036854775807"),
      OK("\"-9223372036854775808\"", "-9223372036854775808"),
      OK("\"00000000000000000000000000000009\"", "9"),
      OK("9007199254740993", "9007199254740993"),
      TOLD("\"wrong\"", "int_parsing", INT_PARSING),
      BAD("\"\"", "int_parsing"),
      BAD("\" \"", "int_parsing"),
      BAD("\"00_\"", "int_parsing"),
      BAD("\"0:\"", "int_parsing"),
      BAD("\"++4_2\"", "int_parsing"),
      BAD("\"-+1\"", "int_parsing"),
      BAD("\"+-1\"", "int_parsing"),
      BAD("\"--0001\"", "int_parsing"),
      BAD("\"-0-001\"", "int_parsing"),
      BAD("\"-0+001\"", "int_parsing"),
      BAD("\"  _042.0 \"", "int_parsing"),
      BAD("\"42_\"", "int_parsing"),
      BAD("\"42_.0\"", "int_parsing"),
      BAD("\"1__0\"", "int_parsing"),
      BAD("\"1.\"", "int_parsing"),
      BAD("\".0\"", "int_parsing"),
      BAD("\"1.5\"", "int_parsing"),
      BAD("\"1.0_0\"", "int_parsing"),
      BAD("\"123456789123456.00001\"", "int_parsing"),
      BAD("\"1e3\"", "int_parsing"),
      BAD("\"0x10\"", "int_parsing"),
      BAD("\"1 2\"", "int_parsing"),
      BAD("\"- 1\"", "int_parsing"),
      BAD("\"true\"", "int_parsing"),
      BAD("\"1\\u0000\"", "int_parsing"),
      TOLD("12.5", "int_from_float", FRACTION),
      BAD("-0.1", "int_from_float"),
      BAD("1e-300", "int_from_float"),
      TOLD("9223372036854775808", "int_parsing_size", INT_SIZE),
      BAD("-9223372036854775809", "int_parsing_size"),
      BAD("1e19", "int_parsing_size"),
      BAD("\"9223372036854775808\"", "int_parsing_size"),
      BAD("\"123456789012345678901234567890\"", "int_parsing_size"),
      TOLD("1e400", "finite_number", FINITE),
      TOLD("null", "int_type", "Input should be a valid integer"),
      BAD("[1,2]", "int_type"),
      BAD("{}", "int_type")}},
    {"{\"type\":\"integer\",\"minimum\":0,\"maximum\":120}",
     {.kind = SCHEMA_INT, .ge = "0", .le = "120"},
     {SAME("0"), SAME("120"), OK("\"7\"", "7"), OK("7.0", "7"),
      TOLD("-1", "greater_than_equal", "Input should be greater than or equal to 0"),
      TOLD("121", "less_than_equal", "Input should be less than or equal to 120"),
      BAD("\"-5\"", "greater_than_equal"), BAD("7.5", "int_from_float"), BAD("\"x\"", "int_parsing")}},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":10.0,\"multipleOf\":3}",
     {.kind = SCHEMA_INT, .gt = "0", .lt = "10", .multiple_of = "3"},
     {SAME("3"), SAME("9"), TOLD("0", "greater_than", "Input should be greater than 0"),
      TOLD("12", "less_than", "Input should be less than 10"), BAD("-3", "greater_than"),
      TOLD("4", "multiple_of", "Input should be a multiple of 3"), BAD("11", "multiple_of")}},
    {"{\"type\":\"integer\",\"minimum\":-9223372036854775808,\"maximum\":9223372036854775807}",
     {.kind = SCHEMA_INT, .ge = "-9223372036854775808", .le = "9223372036854775807"},
     {SAME("-9223372036854775808"), SAME("9223372036854775807")}},
    {"{\"type\":\"number\"}",
     {.kind = SCHEMA_FLOAT},
     {SAME("0.5"),
      OK("1", "1.0"),
      OK("-0", "0.0"),
      OK("true", "1.0"),
      OK("false", "0.0"),
      OK("\"42\"", "42.0"),
      OK("\"  42.1  \"", "42.1"),
      OK("\"42.123\"", "42.123"),
      OK("\"1e3\"", "1000.0"),
      OK("\"1E+3\"", "1000.0"),
      OK("\".5\"", "0.5"),
      OK("\"5.\"", "5.0"),
      OK("\"-.5e-1\"", "-0.05"),
      OK("\"+1\"", "1.0"),
      OK("\"1_000.5\"", "1000.5"),
      OK("\"1_0e1_0\"", "100000000000.0"),
      OK("1e10", "10000000000.0"),
      OK("\"1e-400\"", "0.0"),
      OK("9223372036854775808", "9.223372036854776e18"),
      OK("1.7e308", "1.7e308"),
      TOLD("\"wrong\"", "float_parsing", FLOAT_TEXT),
      BAD("\"\"", "float_parsing"),
      BAD("\".\"", "float_parsing"),
      BAD("\"1e\"", "float_parsing"),
      BAD("\"e1\"", "float_parsing"),
      BAD("\"1..2\"", "float_parsing"),
      BAD("\"_1\"", "float_parsing"),
      BAD("\"1_\"", "float_parsing"),
      BAD("\"1__0\"", "float_parsing"),
      BAD("\" 1_0 \"", "float_parsing"),
      BAD("\"0x1p3\"", "float_parsing"),
      BAD("\"1,5\"", "float_parsing"),
      BAD("\"1 2\"", "float_parsing"),
      BAD("\"--1\"", "float_parsing"),
      BAD("\"infinit\"", "float_parsing"),
      BAD("\"nan(1)\"", "float_parsing"),
      TOLD("\"nan\"", "finite_number", FINITE),
      BAD("\"NaN\"", "finite_number"),
      BAD("\"inf\"", "finite_number"),
      BAD("\"-Infinity\"", "finite_number"),
      BAD("\"+inf\"", "finite_number"),
      BAD("\"1e400\"", "finite_number"),
      BAD("1e400", "finite_number"),
      BAD("-1e400", "finite_number"),
      TOLD("null", "float_type", "Input should be a valid number"),
      BAD("[1]", "float_type"),
      BAD("{}", "float_type")}},
    {"{\"type\":\"number\",\"minimum\":-0.5,\"maximum\":1e21}",
     {.kind = SCHEMA_FLOAT, .ge = "-0.5", .le = "1e21"},
     {OK("0", "0.0"), SAME("-0.5"),
      TOLD("-0.75", "greater_than_equal", "Input should be greater than or equal to -0.5"),
      TOLD("1e22", "less_than_equal", "Input should be less than or equal to 1000000000000000000000")}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":0.123456}",
     {.kind = SCHEMA_FLOAT, .gt = "0", .lt = "0.123456"},
     {SAME("0.1"), TOLD("0", "greater_than", "Input should be greater than 0"), BAD("0.0", "greater_than"),
      TOLD("1", "less_than", "Input should be less than 0.123456"), BAD("\"0.123456\"", "less_than")}},
    {"{\"type\":\"number\",\"multipleOf\":0.1}",
     {.kind = SCHEMA_FLOAT, .multiple_of = "0.1"},
     {OK("0", "0.0"), OK("1", "1.0"), SAME("0.5"), OK("-0.3", "-0.3"), OK("1000000.1", "1000000.1"),
      TOLD("0.5001", "multiple_of", "Input should be a multiple of 0.1"), BAD("0.05", "multiple_of"),
      BAD("-0.15", "multiple_of"), BAD("1000000.05", "multiple_of")}},
    {"{\"type\":\"number\",\"multipleOf\":2,\"maximum\":1e-7}",
     {.kind = SCHEMA_FLOAT, .multiple_of = "2", .le = "1e-7"},
     {OK("-2", "-2.0"), TOLD("-3", "multiple_of", "Input should be a multiple of 2"),
      TOLD("2", "less_than_equal", "Input should be less than or equal to 0.0000001")}},
    {"{\"type\":\"boolean\"}",
     {.kind = SCHEMA_BOOL},
     {SAME("true"),
      SAME("false"),
      OK("0", "false"),
      OK("1", "true"),
      OK("0.0", "false"),
      OK("1.0", "true"),
      OK("-0.0", "false"),
      OK("\"0\"", "false"),
      OK("\"f\"", "false"),
      OK("\"N\"", "false"),
      OK("\"no\"", "false"),
      OK("\"off\"", "false"),
      OK("\"False\"", "false"),
      OK("\"1\"", "true"),
      OK("\"T\"", "true"),
      OK("\"y\"", "true"),
      OK("\"on\"", "true"),
      OK("\"YES\"", "true"),
      OK("\"true\"", "true"),
      TOLD("\"cheese\"", "bool_parsing", BOOL_TEXT),
      BAD("\"\"", "bool_parsing"),
      BAD("\" true\"", "bool_parsing"),
      BAD("\"1.0\"", "bool_parsing"),
      BAD("\"tru\"", "bool_parsing"),
      BAD("\"true\\u0000\"", "bool_parsing"),
      BAD("2", "bool_parsing"),
      BAD("-1", "bool_parsing"),
      BAD("2.0", "bool_parsing"),
      TOLD("1.1", "bool_type", "Input should be a valid boolean"),
      BAD("1e300", "bool_type"),
      BAD("18446744073709551616", "bool_type"),
      BAD("null", "bool_type"),
      BAD("[]", "bool_type"),
      BAD("{}", "bool_type")}},
    {"{\"type\":\"null\"}",
     {.kind = SCHEMA_NULL},
     {SAME("null"), TOLD("0", "none_required", "Input should be null"), BAD("false", "none_required"),
      BAD("\"\"", "none_required"), BAD("[]", "none_required")}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}",
     {.kind = SCHEMA_INT, .nullable = true},
     {SAME("null"), SAME("3"), OK("\"3\"", "3"), BAD("\"x\"", "int_parsing"),
      BAD("\"null\"", "int_parsing")}},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\",\"minLength\":2}]}",
     {.kind = SCHEMA_STRING, .nullable = true, .min_length = 2},
     {SAME("null"), SAME("\"ab\""), BAD("\"a\"", "string_too_short"), BAD("0", "string_type")}},
    {"{\"type\":\"string\",\"enum\":[\"a\",\"b\",\"c\"]}",
     {.kind = SCHEMA_STRING, .choices = "[\"a\",\"b\",\"c\"]"},
     {SAME("\"a\""), SAME("\"c\""), TOLD("\"d\"", "enum", "Input should be 'a', 'b' or 'c'"),
      BAD("1", "enum"), BAD("null", "enum"), BAD("\"A\"", "enum"), BAD("[]", "enum")}},
    {"{\"enum\":[\"it's\",\"a\\\"b\",\"\\\\\\n\\u0001\\u007f\\u00e9\",\"'\\\"\"],\"type\":\"string\"}",
     {.kind = SCHEMA_STRING, .choices = "[\"it's\",\"a\\\"b\",\"\\\\\\n\\u0001\\u007f\\u00e9\",\"'\\\"\"]"},
     {SAME("\"it's\""),
      TOLD("0", "enum", "Input should be \"it's\", 'a\"b', '\\\\\\n\\x01\\x7f\xc3\xa9' or '\\'\"'")}},
    {"{\"type\":\"integer\",\"enum\":[1,2]}",
     {.kind = SCHEMA_INT, .choices = "[1,2]"},
     {SAME("1"), OK("1.0", "1"), OK("\"2\"", "2"), OK("true", "1"),
      TOLD("3", "enum", "Input should be 1 or 2"), BAD("\"x\"", "enum"), BAD("1.5", "enum"),
      BAD("null", "enum")}},
    {"{\"type\":\"number\",\"enum\":[1.5,2.5,3.0]}",
     {.kind = SCHEMA_FLOAT, .choices = "[1.5,2.5,3.0]"},
     {SAME("1.5"), OK("\"1.5\"", "1.5"), OK("3", "3.0"),
      TOLD("4", "enum", "Input should be 1.5, 2.5 or 3.0")}},
    {"{\"enum\":[1,\"1\",null,true,0.5,1e16,5e-324]}",
     {.kind = SCHEMA_ANY, .choices = "[1,\"1\",null,true,0.5,1e16,5e-324]"},
     {SAME("1"), SAME("\"1\""), SAME("null"), SAME("true"), OK("1.0", "1"), SAME("0.5"),
      OK("10000000000000000", "1e16"),
      TOLD("2", "enum", "Input should be 1, '1', None, True, 0.5, 1e+16 or 5e-324"), BAD("false", "enum"),
      BAD("[]", "enum")}},
    {"{\"const\":\"foo\",\"type\":\"string\"}",
     {.kind = SCHEMA_STRING, .constant = "\"foo\""},
     {SAME("\"foo\""), TOLD("\"bar\"", "literal_error", "Input should be 'foo'"),
      BAD("null", "literal_error")}},
    {"{\"const\":1,\"type\":\"integer\"}",
     {.kind = SCHEMA_INT, .constant = "1"},
     {SAME("1"), OK("1.0", "1"), OK("true", "1"), TOLD("\"1\"", "literal_error", "Input should be 1"),
      BAD("2", "literal_error"), BAD("false", "literal_error")}},
    {"{\"const\":null}",
     {.constant = "null"},
     {SAME("null"), TOLD("0", "literal_error", "Input should be None")}},
    {"{\"type\":\"array\",\"items\":{}}",
     {.kind = SCHEMA_LIST},
     {SAME("[]"), SAME("[1,\"a\",null,[],{}]"), TOLD("{}", "list_type", "Input should be a valid array"),
      BAD("\"ab\"", "list_type"), BAD("null", "list_type"), BAD("1", "list_type")}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}",
     {.kind = SCHEMA_LIST, .items = &of_int, .min_length = 1, .max_length = 3},
     {SAME("[1]"), OK("[\"1\",2.0,true]", "[1,2,1]"),
      TOLD("[]", "too_short", "List should have at least 1 item after validation, not 0"),
      TOLD("[1,2,3,4]", "too_long", "List should have at most 3 items after validation, not 4"),
      TOLD("[\"x\",\"x\",\"x\",\"x\",5]", "too_long",
           "List should have at most 3 items after validation, not 5")}},
    {"{\"type\":\"array\",\"minItems\":2,\"maxItems\":2}",
     {.kind = SCHEMA_LIST, .min_length = 2, .max_length = 2},
     {SAME("[null,null]"),
      TOLD("[1]", "too_short", "List should have at least 2 items after validation, not 1"),
      BAD("[1,2,3]", "too_long")}},
    {"{\"type\":\"array\",\"maxItems\":1}",
     {.kind = SCHEMA_LIST, .max_length = 1},
     {SAME("[0]"), TOLD("[0,0]", "too_long", "List should have at most 1 item after validation, not 2")}},
    {"{\"type\":\"object\",\"additionalProperties\":true}",
     {.kind = SCHEMA_DICT},
     {SAME("{}"), SAME("{\"a\":1,\"b\":[{}]}"), SAME("{\"\":null}"),
      TOLD("[]", "dict_type", "Input should be an object"), BAD("\"a\"", "dict_type"),
      BAD("null", "dict_type")}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"},\"minProperties\":1,"
     "\"maxProperties\":2}",
     {.kind = SCHEMA_DICT, .items = &of_string, .min_length = 1, .max_length = 2},
     {SAME("{\"z\":\"1\",\"a\":\"2\"}"),
      TOLD("{}", "too_short", "Dictionary should have at least 1 item after validation, not 0"),
      TOLD("{\"a\":\"\",\"b\":\"\",\"c\":\"\"}", "too_long",
           "Dictionary should have at most 2 items after validation, not 3")}},
    {"{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}}",
     {.kind = SCHEMA_LIST, .items = &of_null_int},
     {OK("[1,null,\"2\"]", "[1,null,2]")}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}",
     {.kind = SCHEMA_LIST, .items = &of_ints},
     {OK("[[],[\"1\"]]", "[[],[1]]")}},
};

static struct schema *from_json(const struct group *group)
{
    struct schema *schema;
    struct schema_problem problem;
    json_error_t error;
    char text[512];
    snprintf(text, sizeof text, "{\"type\":\"object\",\"properties\":{\"x\":%s},\"required\":[\"x\"]}",
             group->json);
    json_t *document = json_loads(text, JSON_ALLOW_NUL, &error);
    assert_non_null(document);
    if (schema_from_json(document, &schema, &problem) != ERR_OK)
        fail_msg("%s: %s %s", text, problem.pointer, problem.why);
    json_decref(document);
    return schema;
}

static struct schema *from_table(const struct group *group)
{
    struct schema *schema;
    struct schema_problem problem;
    struct schema_member members[] = {{.name = "x", .type = group->type}};
    struct schema_object object = {.name = "Sample", .members = members, .member_count = 1};
    if (schema_from_table(&object, &schema, &problem) != ERR_OK)
        fail_msg("%s: %s %s", group->json, problem.pointer, problem.why);
    return schema;
}

static json_t *run(const struct schema *schema, const char *text, bool *valid)
{
    struct schema_result result;
    enum err_e err = schema_validate_text(schema, text, strlen(text), &result);
    *valid = err == ERR_OK;
    assert_true(err == ERR_OK || err == ERR_MALFORMED);
    assert_true((result.value != NULL) == *valid && (result.errors != NULL) == !*valid);
    return *valid ? result.value : result.errors;
}

static void see_value(const struct sample *sample, json_t *got)
{
    char *text =
        json_dumps(json_object_get(got, "x"), JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
    assert_string_equal(text, sample->output);
    free(text);
}

static void see_error(const struct sample *sample, json_t *got)
{
    json_t *error = json_array_get(got, 0);
    char *loc = json_dumps(json_object_get(error, "loc"), JSON_COMPACT);
    assert_int_equal(json_array_size(got), 1);
    assert_string_equal(json_string_value(json_object_get(error, "type")), sample->type);
    if (sample->msg != NULL)
        assert_string_equal(json_string_value(json_object_get(error, "msg")), sample->msg);
    assert_string_equal(loc, "[\"x\"]");
    assert_int_equal(json_object_size(error), 3);
    free(loc);
}

/* What comes out goes in again and comes out as it is. */
static void see_rest(const struct schema *schema, json_t *value)
{
    struct schema_result again;
    assert_int_equal(schema_validate(schema, value, &again), ERR_OK);
    assert_true(json_equal(again.value, value));
    json_decref(again.value);
}

static void try_sample(const struct group *group, const struct sample *sample, struct schema *schemas[2])
{
    char text[256];
    bool valid, same_valid;
    snprintf(text, sizeof text, "{\"x\":%s}", sample->input);
    json_t *got = run(schemas[0], text, &valid), *other = run(schemas[1], text, &same_valid);
    if (valid != (sample->output != NULL)) {
        char *dump = json_dumps(got, JSON_COMPACT);
        fail_msg("%s with %s: %s", group->json, text, dump);
    }
    assert_int_equal(valid, same_valid);
    if (!json_equal(got, other)) {
        char *one = json_dumps(got, 0), *two = json_dumps(other, 0);
        fail_msg("%s with %s: %s by the schema, %s by the table", group->json, text, one, two);
    }
    if (valid) {
        see_value(sample, got);
        see_rest(schemas[0], got);
    } else {
        see_error(sample, got);
    }
    json_decref(got);
    json_decref(other);
}

static void every_value(void **state)
{
    unsigned count = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        struct schema *schemas[2] = {from_json(&groups[i]), from_table(&groups[i])};
        for (const struct sample *sample = groups[i].samples; sample->input != NULL; sample++, count++)
            try_sample(&groups[i], sample, schemas);
        schema_free(&schemas[0]);
        schema_free(&schemas[1]);
    }
    print_message("%u values\n", count);
    assert_true(count > 280);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_value)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
