/* carousel_json: what is read, what is refused, and where a mistake is said to stand; held against jansson, whose places these are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "carousel_json.h"
#include "must.h"

static struct carousel_json_fault fault;

static json_t *load(const char *text, size_t len)
{
    char *exact = malloc(len + (len == 0)); /* so that a read past the end shows */
    memcpy(exact, text, len);
    json_t *root = carousel_json_load(exact, len, &fault);
    free(exact);
    return root;
}

static const struct {
    const char *text, *says;
} mistakes[] = {
    {"", "Invalid JSON 1:0"},
    {"{\"a\":1", "Invalid JSON 1:6"},
    {"[1,]", "Invalid JSON 1:4"},
    {"[1 23]", "Invalid JSON 1:5"},
    {"[1,\n true false]", "Invalid JSON 2:11"},
    {"{\"a\" \"b\"}", "Invalid JSON 1:8"},
    {"{}\n\n x", "Invalid JSON 3:2"},
    {"nulls", "Invalid JSON 1:5"},
    {"01", "Invalid JSON 1:1"},
    {"1.x", "Invalid JSON 1:2"},
    {"\"ab", "Invalid JSON 1:3"},
    {"\"\xc3\xa9\\q\"", "Invalid JSON 1:4"},
    {"\"a\nb\"", "Invalid JSON 1:2"},
    {"\"\\u12x4\"", "Invalid JSON 1:6"},
    {"\"\\ud800\"x", "Invalid JSON 1:8"},
    {"[\"\xc3\xa9\", \xff]", "Invalid JSON 1:6"},
    {"[x, \xff]", "Invalid JSON 1:2"},
    {"{\"a\":1,\"\\u0061\":2}", "Duplicate member 1:15"},
    {"{\"a\":{\"b\":1,\"b\":x}}", "Duplicate member 1:15"},
    {"{\"a\\u0000\":1}", "NUL in a member's name 1:10"},
    {"{\"a\":1\x01}", "Invalid JSON 1:7"},
    {"[18446744073709551616 1e400]", "Invalid JSON 1:27"}, /* jansson would stop at the first number */
};

static void mistakes_and_places(void **state)
{
    char says[128];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        assert_null(load(mistakes[i].text, strlen(mistakes[i].text)));
        snprintf(says, sizeof says, "%s %zu:%zu", fault.why, fault.line, fault.column);
        if (strcmp(says, mistakes[i].says) != 0)
            fail_msg("%s: %s", mistakes[i].text, says);
    }
    assert_null(load("{\"a\":1\0}", 8)); /* jansson passes over such a NUL */
    assert_int_equal(fault.column, 7);
}

static void numbers(void **state)
{
    static char digits[100000];
    (void)state;
    json_t *root = load("[9223372036854775807,-9223372036854775808,9223372036854775808,1.0,1e999,-0]", 75);
    assert_int_equal(json_integer_value(json_array_get(root, 0)), INT64_MAX);
    assert_int_equal(json_integer_value(json_array_get(root, 1)), INT64_MIN);
    for (size_t i = 2; i < 5; i++)
        assert_true(json_is_real(json_array_get(root, i)));
    assert_true(json_is_integer(json_array_get(root, 5)));
    json_decref(root);
    memset(digits, '7', sizeof digits);
    digits[50000] = '.';
    root = load(digits, sizeof digits);
    assert_true(json_is_real(root));
    json_decref(root);
}

/* --- as jansson has it ---------------------------------------------------------------------------------------------- */

static const char *jansson_reason(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return "Duplicate member";
    case json_error_stack_overflow:
        return "JSON nested too deeply";
    case json_error_null_byte_in_key:
        return "NUL in a member's name";
    default:
        return "Invalid JSON";
    }
}

static void see_both(const char *text, size_t len)
{
    json_error_t error;
    json_t *other = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (other == NULL && json_error_code(&error) == json_error_numeric_overflow)
        return; /* which is a mistake of jansson's only */
    json_t *root = load(text, len);
    size_t from = len > 200 ? len - 200 : 0;
    text += from;
    len -= from;
    if ((root == NULL) != (other == NULL))
        fail_msg("%.*s: %s", (int)len, text, root == NULL ? fault.why : error.text);
    if (root == NULL && (strcmp(fault.why, jansson_reason(&error)) != 0 || (int)fault.line != error.line ||
                         (int)fault.column != error.column))
        fail_msg("%.*s: %s %zu:%zu, %s %d:%d", (int)len, text, fault.why, fault.line, fault.column,
                 jansson_reason(&error), error.line, error.column);
    assert_true(root == NULL || json_equal(root, other));
    json_decref(root);
    json_decref(other);
}

static void soups_of_tokens(void **state)
{
    static const char *const bits[] = {
        "{",          "}",           "[",           "]",       ":",           ",",
        "\"a\"",      "\"b\\n\"",    "\"\\u0000\"", "1",       "-",           "01",
        "1.",         "1e",          "1.5e3",       "-0",      "true",        "fals",
        "nullx",      "\n",          "\xc3\xa9",    "\xc3",    "\xff",        " ",
        "\"\\q",      "\"\t\"",      "\"\n",        "\"\\u12", "\"\\ud800\"", "\"x\xff\"",
        "\"\xc3\xa9", "\"\\u00zz\"", "\x01",        "[1,2]",   "{\"a\":1}",   "\"\\ud83d\\ude00\"",
    };
    char text[256];
    (void)state;
    srand(7);
    for (unsigned round = 0; round < 200000; round++) {
        size_t len = 0;
        if (rand() % 2)
            text[len++] = "{["[rand() % 2];
        for (int count = rand() % 9; count >= 0; count--)
            len = (size_t)(stpcpy(text + len, bits[(size_t)rand() % ARRAY_LEN(bits)]) - text);
        see_both(text, len);
    }
}

static void levels(void **state)
{
    static const char *const opens[] = {"[", "{\"a\":", "[1,", "[[],"};
    static const char *const inners[] = {"1", "[]",     "{}", "\"a\"", "\"a\\x\"", "x",
                                         "]", "{\"a\"", "[1", "\xff",  "1\xff"};
    static char text[20000];
    (void)state;
    for (size_t open = 0; open < ARRAY_LEN(opens); open++) {
        for (unsigned count = 2045; count < 2050; count++) {
            for (size_t inner = 0; inner < ARRAY_LEN(inners); inner++) {
                size_t len = 0;
                for (unsigned i = 0; i < count; i++)
                    len = (size_t)(stpcpy(text + len, opens[open]) - text);
                len = (size_t)(stpcpy(text + len, inners[inner]) - text);
                see_both(text, len);
                memset(text + len, opens[open][0] == '[' ? ']' : '}', count);
                see_both(text, len + count);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_and_places),
        cmocka_unit_test(numbers),
        cmocka_unit_test(soups_of_tokens),
        cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
