/* schema_json: texts that are JSON and what they are, texts that are not and what is said of them, where. The sayings are jiter's
 * (crates/jiter/src/parse.rs, string_decoder.rs, number_decoder.rs, tests/main.rs). */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "schema_json.h"

static json_t *load(const char *text, size_t len, char why[SCHEMA_JSON_WHY_MAX])
{
    char *exact = malloc(len + (len == 0)); /* so that a read past the end shows */
    memcpy(exact, text, len);
    json_t *value = schema_json_load(exact, len, 1000000, why);
    free(exact);
    return value;
}

static const char *const same[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "\"\"",
    "\"a\"",
    "[]",
    "{}",
    "[1,[2,[]],{}]",
    "{\"a\":{\"b\":[null]}}",
    "9223372036854775807",
    "-9223372036854775808",
    "\"\xc3\xa9\xf0\x9f\x98\x80\"",
    "\"\\\"\\\\\\b\\f\\n\\r\\t\"",
    "{\"b\":1,\"a\":2}",
    "\"\\u0000\\u0001\\u001F\"",
    "{\"\":0}",
};

static const struct {
    const char *text, *value;
} others[] = {
    {" \t\r\n 1 \n", "1"},
    {"[ 1 , 2 ]", "[1,2]"},
    {"{ \"a\" : 1 , \"b\" : 2 }", "{\"a\":1,\"b\":2}"},
    {"-0", "0"},
    {"1E2", "100.0"},
    {"1e+2", "100.0"},
    {"0.0", "0.0"},
    {"\"\\/\\u0041\\u00e9\\u00E9\"", "\"/A\xc3\xa9\xc3\xa9\""},
    {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
    {"\"x\\u0041y\\nz\"", "\"xAy\\nz\""},
    {"\"\x7f\"", "\"\x7f\""},
    {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
    {"{\"\\u0061\":1,\"a\":{\"\\u0062\":\"\\u0063\"}}", "{\"a\":{\"b\":\"c\"}}"},
    {"9223372036854775808", "9.223372036854776e18"},
    {"-9223372036854775809", "-9.223372036854776e18"},
    {"123456789012345678901234567890", "1.234567890123457e29"},
    {"1e-400", "0.0"},
};

static void texts_and_values(void **state)
{
    char why[SCHEMA_JSON_WHY_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same) + ARRAY_LEN(others); i++) {
        bool is_same = i < ARRAY_LEN(same);
        const char *text = is_same ? same[i] : others[i - ARRAY_LEN(same)].text;
        json_t *value = load(text, strlen(text), why);
        if (value == NULL)
            fail_msg("%s: %s", text, why);
        char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
        assert_string_equal(dump, is_same ? text : others[i - ARRAY_LEN(same)].value);
        free(dump);
        json_decref(value);
    }
}

static void beyond_a_double(void **state)
{
    char why[SCHEMA_JSON_WHY_MAX];
    (void)state;
    json_t *value = load("[1e400,-1e400]", 14, why);
    assert_true(json_real_value(json_array_get(value, 0)) >= DBL_MAX);
    assert_true(json_real_value(json_array_get(value, 1)) <= -DBL_MAX);
    json_decref(value);
}

static const struct {
    const char *text, *why;
} errors[] = {
    {"", "EOF while parsing a value at line 1 column 0"},
    {"  ", "EOF while parsing a value at line 1 column 2"},
    {"x", "expected value at line 1 column 1"},
    {"[1,,2]", "expected value at line 1 column 4"},
    {"'a'", "expected value at line 1 column 1"},
    {"+1", "expected value at line 1 column 1"},
    {".5", "expected value at line 1 column 1"},
    {"NaN", "expected value at line 1 column 1"},
    {"Infinity", "expected value at line 1 column 1"},
    {"-Infinity", "invalid number at line 1 column 2"},
    {"}", "expected value at line 1 column 1"},
    {"[", "EOF while parsing a list at line 1 column 1"},
    {"[1", "EOF while parsing a list at line 1 column 2"},
    {"[1,", "EOF while parsing a value at line 1 column 3"},
    {"[1,]", "trailing comma at line 1 column 4"},
    {"[,]", "expected value at line 1 column 2"},
    {"[1 2]", "expected `,` or `]` at line 1 column 4"},
    {"[1}", "expected `,` or `]` at line 1 column 3"},
    {"{", "EOF while parsing an object at line 1 column 1"},
    {"{\"a\"", "EOF while parsing an object at line 1 column 4"},
    {"{\"a\":", "EOF while parsing a value at line 1 column 5"},
    {"{\"a\":1", "EOF while parsing an object at line 1 column 6"},
    {"{\"a\":1,", "EOF while parsing a value at line 1 column 7"},
    {"{\"a\":1,}", "trailing comma at line 1 column 8"},
    {"{\"a\" 1}", "expected `:` at line 1 column 6"},
    {"{\"a\":1 \"b\":2}", "expected `,` or `}` at line 1 column 8"},
    {"{\"a\":1]", "expected `,` or `}` at line 1 column 7"},
    {"{1:2}", "key must be a string at line 1 column 2"},
    {"{a:2}", "key must be a string at line 1 column 2"},
    {"{,}", "key must be a string at line 1 column 2"},
    {"{\"a\":1,b:2}", "key must be a string at line 1 column 8"},
    {"{\"a\":}", "expected value at line 1 column 6"},
    {"1 2", "trailing characters at line 1 column 3"},
    {"{}{}", "trailing characters at line 1 column 3"},
    {"[]]", "trailing characters at line 1 column 3"},
    {"null\nx", "trailing characters at line 2 column 1"},
    {"[1,\n 2,\n x]", "expected value at line 3 column 2"},
    {"tru", "EOF while parsing a value at line 1 column 3"},
    {"trux", "expected ident at line 1 column 4"},
    {"nul]", "expected ident at line 1 column 4"},
    {"fAlse", "expected ident at line 1 column 2"},
    {"truex", "trailing characters at line 1 column 5"},
    {"-", "EOF while parsing a value at line 1 column 1"},
    {"-x", "invalid number at line 1 column 2"},
    {"01", "invalid number at line 1 column 2"},
    {"-01", "invalid number at line 1 column 3"},
    {"1.", "EOF while parsing a value at line 1 column 2"},
    {"1.x", "invalid number at line 1 column 3"},
    {"1e", "EOF while parsing a value at line 1 column 2"},
    {"1e+", "EOF while parsing a value at line 1 column 3"},
    {"1ex", "invalid number at line 1 column 3"},
    {"1e+x", "invalid number at line 1 column 4"},
    {"0x10", "trailing characters at line 1 column 2"},
    {"\"a", "EOF while parsing a string at line 1 column 2"},
    {"\"", "EOF while parsing a string at line 1 column 1"},
    {"\"\\", "EOF while parsing a string at line 1 column 2"},
    {"\"\\q\"", "invalid escape at line 1 column 3"},
    {"\"\\u12", "EOF while parsing a string at line 1 column 5"},
    {"\"\\u12x4\"", "invalid escape at line 1 column 6"},
    {"\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0"},
    {"\"a\tb\"", "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 3"},
    {"\"12345678\x01\"",
     "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 10"},
    {"\"\\n\x01\"", "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 4"},
    {"\"\\ud800\"", "unexpected end of hex escape at line 1 column 8"},
    {"\"\\ud800", "EOF while parsing a string at line 1 column 7"},
    {"\"\\ud800\\", "EOF while parsing a string at line 1 column 8"},
    {"\"\\ud800\\n\"", "unexpected end of hex escape at line 1 column 9"},
    {"\"\\udc00\"", "lone leading surrogate in hex escape at line 1 column 7"},
    {"\"\\ud800\\u0041\"", "lone leading surrogate in hex escape at line 1 column 13"},
    {"\"\xff\"", "invalid unicode code point at line 1 column 2"},
    {"\"\xc3\xa9\" x", "trailing characters at line 1 column 6"},
    {"\xef\xbb\xbf{}", "expected value at line 1 column 1"},
};

static void errors_and_places(void **state)
{
    char why[SCHEMA_JSON_WHY_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        json_t *value = load(errors[i].text, strlen(errors[i].text), why);
        if (value != NULL)
            fail_msg("%s is read", errors[i].text);
        assert_string_equal(why, errors[i].why);
    }
}

static json_t *load_repeated(const char *open, unsigned count, const char *inner, const char *shut, char *why)
{
    size_t size = count * (strlen(open) + strlen(shut)) + strlen(inner) + 1, len = 0;
    char *text = malloc(size);
    for (unsigned i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%s", open);
    len += (size_t)sprintf(text + len, "%s", inner);
    for (unsigned i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%s", shut);
    json_t *value = load(text, len, why);
    free(text);
    return value;
}

static void levels(void **state)
{
    char why[SCHEMA_JSON_WHY_MAX];
    (void)state;
    json_t *value = load_repeated("[", 200, "1", "]", why);
    assert_non_null(value);
    json_decref(value);
    value = load_repeated("[", 200, "[]", "]", why);
    assert_non_null(value);
    json_decref(value);
    assert_null(load_repeated("[", 2000, "", "]", why));
    assert_string_equal(why, "recursion limit exceeded at line 1 column 202");
    assert_null(load_repeated("{\"a\":", 201, "1", "}", why));
    assert_string_equal(why, "recursion limit exceeded at line 1 column 1006");
    value =
        load_repeated("[[],{},[0],{\"a\":0},", 190, "1", "]", why); /* what is closed again does not count */
    assert_non_null(value);
    json_decref(value);
}

static void long_numbers_and_many_values(void **state)
{
    char why[SCHEMA_JSON_WHY_MAX];
    static char text[5000];
    (void)state;
    memset(text, '7', sizeof text);
    json_t *value = load(text, SCHEMA_JSON_NUMBER, why);
    assert_true(json_is_real(value));
    json_decref(value);
    assert_null(load(text, SCHEMA_JSON_NUMBER + 1, why));
    assert_string_equal(why, "number out of range at line 1 column 4301");
    assert_null(schema_json_load("[1,2,3]", 7, 3, why));
    assert_string_equal(why, "too many values at line 1 column 6");
    value = schema_json_load("[1,2,3]", 7, 4, why);
    assert_non_null(value);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_values),
        cmocka_unit_test(beyond_a_double),
        cmocka_unit_test(errors_and_places),
        cmocka_unit_test(levels),
        cmocka_unit_test(long_numbers_and_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
