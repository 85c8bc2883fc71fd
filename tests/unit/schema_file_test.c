/* schema_file: what is said of files that cannot be read, are no JSON, or no schema; where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "must.h"
#include "schema_file.h"

static char directory[] = "/tmp/schema_file_test.XXXXXX";
static char problem[SCHEMA_FILE_PROBLEM_MAX];

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || chdir(directory) != 0 ? -1 : 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(directory) != 0 ? -1 : 0;
}

static enum err_e load_bytes(const char *text, size_t len, struct schema **schema)
{
    FILE *file = fopen("a.json", "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
    enum err_e err = schema_file_load("a.json", schema, problem);
    unlink("a.json");
    return err;
}

static void a_schema(void **state)
{
    static const char text[] =
        "{\"type\":\"object\",\n \"properties\":{\"n\":{\"type\":\"integer\",\"default\":3}}}\n";
    struct schema *schema;
    struct schema_result result;
    (void)state;
    assert_int_equal(load_bytes(text, sizeof text - 1, &schema), ERR_OK);
    assert_string_equal(problem, "");
    assert_int_equal(schema_validate_text(schema, "{}", 2, &result), ERR_OK);
    assert_int_equal(json_integer_value(json_object_get(result.value, "n")), 3);
    json_decref(result.value);
    schema_free(&schema);
}

static const struct {
    const char *text, *problem;
} mistakes[] = {
    {"", "a.json:1:0: EOF while parsing a value"},
    {"{\"type\":\"object\",\n \"properties\" {}}", "a.json:2:15: expected `:`"},
    {"{\"type\":\"string\",\n \"type\":\"integer\"}", "a.json:2:2: this member stands here twice"},
    {"{\"type\":\"string\",\n \"t\\u0079pe\":x}", "a.json:2:2: this member stands here twice"},
    {"// a comment\n{}", "a.json:1:1: expected value"},
    {"[]", "a.json: expected an object"},
    {"{\"type\":\"string\",\"format\":\"email\"}", "a.json: /format: this keyword is not supported here"},
    {"{\"type\":\"object\",\"properties\":{\"a/b\":{\"type\":\"integer\",\"default\":\"x\"}}}",
     "a.json: /properties/a~1b/default: the default is not valid"},
};

static void mistakes_and_places(void **state)
{
    struct schema *schema;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        assert_int_equal(load_bytes(mistakes[i].text, strlen(mistakes[i].text), &schema), ERR_CONFIG);
        assert_null(schema);
        assert_string_equal(problem, mistakes[i].problem);
    }
}

static void too_much(void **state)
{
    static char text[SCHEMA_FILE_MAX + 1];
    struct schema *schema;
    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    assert_int_equal(load_bytes(text, SCHEMA_FILE_MAX, &schema), ERR_OK);
    schema_free(&schema);
    assert_int_equal(load_bytes(text, sizeof text, &schema), ERR_CONFIG);
    assert_string_equal(problem, "a.json: is longer than 1048576 bytes");
    memset(text, '[', 300);
    assert_int_equal(load_bytes(text, 300, &schema), ERR_CONFIG);
    assert_string_equal(problem, "a.json:1:202: recursion limit exceeded");
    text[0] = '[';
    for (size_t i = 1; i < sizeof text - 1; i += 2)
        memcpy(text + i, "0,", 2);
    assert_int_equal(load_bytes(text, SCHEMA_FILE_MAX, &schema), ERR_CONFIG);
    assert_string_equal(problem, "a.json:1:131072: too many values");
}

static void no_file(void **state)
{
    static char path[700] = "…/";
    struct schema *schema;
    (void)state;
    assert_int_equal(schema_file_load("none.json", &schema, problem), ERR_CONFIG);
    assert_string_equal(problem, "none.json: cannot be opened: No such file or directory");
    assert_int_equal(schema_file_load(".", &schema, problem), ERR_CONFIG);
    assert_string_equal(problem, ".: is not a regular file");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(schema_file_load("fifo", &schema, problem), ERR_CONFIG); /* and does not wait */
    assert_string_equal(problem, "fifo: is not a regular file");
    unlink("fifo");
    for (size_t i = strlen(path); i + 3 < sizeof path; i += 2)
        memcpy(path + i, "é", 3);
    assert_int_equal(schema_file_load(path, &schema, problem), ERR_CONFIG);
    assert_int_equal(strlen(problem), 3 + 500 + strlen(": cannot be opened: No such file or directory"));
    assert_memory_equal(problem, "…é", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema),
        cmocka_unit_test(mistakes_and_places),
        cmocka_unit_test(too_much),
        cmocka_unit_test(no_file),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
