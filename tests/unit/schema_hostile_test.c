/* schema: five megabytes of each kind of nastiness get the answer that they should, in bounded time and memory. Prints nanoseconds per
 * byte, which nothing depends on, and what a usual message costs; README.md of common/schema has figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "must.h"
#include "schema.h"

#define BYTES (5u << 20)

/* A text: `open`, then `item` (# is a running number of six digits) until BYTES are full, then `shut`. */
struct hostile {
    const char *what, *schema, *open, *item, *separator, *shut;
    enum err_e err;
    const char *first_type;
};

#define LIST_OF(type) "{\"type\":\"array\",\"items\":" type "}"
#define TREE                                                                                                 \
    "{\"$ref\":\"#/$defs/T\",\"$defs\":{\"T\":{\"type\":\"object\",\"properties\":{\"k\":" LIST_OF(          \
        "{\"$ref\":\"#/$defs/T\"}") "},\"required\":[\"k\"]}}}"
#define TREES                                                                                                \
    "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"                                                     \
    "T\"},\"$defs\":{\"T\":{\"type\":\"object\",\"properties\":{"                                            \
    "\"k\":" LIST_OF("{\"$ref\":\"#/$defs/T\"}") "},\"required\":[\"k\"]}}}"
#define PAD "some fifty bytes so that not all is structure ......"
#define CLOSED                                                                                               \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":false}"
#define OPEN          "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":0}}}"
#define TEXT(pattern) "{\"type\":\"string\",\"pattern\":\"" pattern "\"}"

static const struct hostile kinds[] = {
    {"deep arrays", "{}", "", "[", "", "", ERR_MALFORMED, "json_invalid"},
    {"deep objects", TREE, "", "{\"k\":[", "", "", ERR_MALFORMED, "json_invalid"},
    {"tiny values", "{}", "[", "0", ",", "]", ERR_MALFORMED, "json_invalid"},
    {"empty objects", LIST_OF("{}"), "[", "{}", ",", "]", ERR_MALFORMED, "json_invalid"},
    {"spaces", "{}", "", "        ", "", "1", ERR_OK, NULL},
    {"wide object, all extra", OPEN, "{", "\"member_#\":\"value\"", ",", "}", ERR_OK, NULL},
    {"wide object, all refused", CLOSED, "{", "\"member_#\":\"value\"", ",", "}", ERR_MALFORMED,
     "extra_forbidden"},
    {"wide dictionary", "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", "{",
     "\"member_#\":\"0000000001\"", ",", "}", ERR_OK, NULL},
    {"one member again and again", OPEN, "{", "\"a\":\"00000000000000000#\"", ",", "}", ERR_OK, NULL},
    {"many errors", LIST_OF("{\"type\":\"integer\"}"), "[", "\"a long word that is no number\"", ",", "]",
     ERR_MALFORMED, "int_parsing"},
    {"nested objects, wrong at the end", TREES, "[",
     "{\"k\":[{\"k\":[]},{\"k\":[]}],\"pad\":\"" PAD PAD PAD PAD "\"}", ",", ",5]", ERR_MALFORMED,
     "model_type"},
    {"one long string", TEXT("x"), "\"", "abcdefgh", "", "\"", ERR_MALFORMED, "string_pattern_mismatch"},
    {"escapes", "{\"type\":\"string\",\"maxLength\":3}", "\"", "\\u00e9\\n", "", "\"", ERR_MALFORMED,
     "string_too_long"},
    {"escaped names", OPEN, "{", "\"\\u006dember_#\":\"value\"", ",", "}", ERR_OK, NULL},
    {"text for (a+)+$", TEXT("^(a+)+$"), "\"", "aaaaaaaa", "", "!\"", ERR_MALFORMED,
     "string_pattern_mismatch"},
    {"text for the largest pattern", TEXT("(a|b|c|d|e|f|g|h){0,20}!"), "\"", "abcdefgh", "", "\"",
     ERR_MALFORMED, "string_pattern_mismatch"},
    {"text for \\\\w{1,250}\\\\d", TEXT("\\\\w{1,250}\\\\d$"), "\"", "\xc3\xa9\xd0\x96\xe4\xb8\xad", "", "\"",
     ERR_MALFORMED, "string_pattern_mismatch"},
    {"numbers of 4,200 digits", LIST_OF("{\"type\":\"number\"}"), "[", NULL, ",", "]", ERR_MALFORMED,
     "finite_number"},
    {"a text of digits for an integer", "{\"type\":\"integer\"}", "\"", "12345678", "", "\"", ERR_MALFORMED,
     "int_parsing_size"},
    {"a text of digits for a number", "{\"type\":\"number\"}", "\"", "12345678", "", "\"", ERR_MALFORMED,
     "float_parsing"},
    {"a text of underscores for an integer", "{\"type\":\"integer\"}", "\"", "1_", "", "1\"", ERR_MALFORMED,
     "int_parsing_size"},
    {"spaces around a number", "{\"type\":\"integer\"}", "\"", "\xe3\x80\x80", "", "1\"", ERR_OK, NULL},
    {"enum of a thousand", NULL, "[", "\"a longer word #\"", ",", "]", ERR_MALFORMED, "enum"},
};

static char *item_of(const struct hostile *kind)
{
    char *item = malloc(5000);
    if (kind->item != NULL) {
        snprintf(item, 5000, "%s", kind->item);
    } else {
        memset(item, '7', 4200);
        item[4200] = '\0';
    }
    return item;
}

static char *make_text(const struct hostile *kind, size_t *len)
{
    char *text = malloc(BYTES + 16384), *item = item_of(kind), *mark = strchr(item, '#'), *put = text;
    size_t size = strlen(item), separator = strlen(kind->separator);
    unsigned count = 0;
    put = stpcpy(put, kind->open);
    while (put < text + BYTES) {
        char number[12];
        memcpy(put, kind->separator, count > 0 ? separator : 0);
        put += count > 0 ? separator : 0;
        if (mark == NULL) {
            memcpy(put, item, size);
            put += size;
        } else {
            snprintf(number, sizeof number, "%06u", count % 1000000);
            put = mempcpy(put, item, (size_t)(mark - item));
            put = stpcpy(stpcpy(put, number), mark + 1);
        }
        count++;
    }
    put = stpcpy(put, kind->shut);
    *len = (size_t)(put - text);
    free(item);
    return text;
}

static json_t *enum_of_a_thousand(void)
{
    json_t *values = json_array();
    for (int i = 0; i < 1000; i++)
        json_array_append_new(values, json_sprintf("another word %d", i));
    return json_pack("{sss{so}}", "type", "array", "items", "enum", values);
}

static struct schema *make_schema(const char *text)
{
    struct schema *schema;
    struct schema_problem problem;
    json_error_t error;
    json_t *document = text != NULL ? json_loads(text, 0, &error) : enum_of_a_thousand();
    if (document == NULL)
        fail_msg("%s: %s", text, error.text);
    if (schema_from_json(document, &schema, &problem) != ERR_OK)
        fail_msg("%s: %s %s", text, problem.pointer, problem.why);
    json_decref(document);
    return schema;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void see_kind(const struct hostile *kind)
{
    struct schema *schema = make_schema(kind->schema);
    struct schema_result result;
    size_t len;
    char *text = make_text(kind, &len);
    uint64_t start = now_ns();
    enum err_e err = schema_validate_text(schema, text, len, &result);
    uint64_t ns = now_ns() - start;
    print_message("%-40s %8.2f ns/byte\n", kind->what, (double)ns / (double)len);
    if (err != kind->err)
        fail_msg("%s: %s", kind->what, err_text(err));
    if (err == ERR_MALFORMED) {
        json_t *error = json_array_get(result.errors, 0);
        assert_string_equal(json_string_value(json_object_get(error, "type")), kind->first_type);
        char *dump = json_dumps(result.errors, JSON_COMPACT);
        assert_true(strlen(dump) < 2 * SCHEMA_ERROR_BYTES);
        free(dump);
    }
    json_decref(result.value);
    json_decref(result.errors);
    free(text);
    schema_free(&schema);
}

static void five_megabytes_of_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        see_kind(&kinds[i]);
}

/* --- what is usual -------------------------------------------------------------------------------------------------- */

static const char usual_schema[] = "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\","
                                   "\"minLength\":1,\"maxLength\":200},"
                                   "\"user\":{\"type\":\"string\",\"default\":\"System\"},\"room\":{\"type\":"
                                   "\"string\",\"pattern\":\"^[A-Za-z0-9_.:-]{1,64}$\"},"
                                   "\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":120},\"urgent\":{"
                                   "\"type\":\"boolean\",\"default\":false}},"
                                   "\"required\":[\"message\",\"room\",\"age\"]}";

static void time_message(const struct schema *schema, const char *text, enum err_e expected, const char *what)
{
    const unsigned rounds = 20000;
    uint64_t start = now_ns(), in_between;
    struct schema_result result;
    json_t *message = json_loads(text, 0, NULL);
    for (unsigned i = 0; i < rounds; i++) {
        assert_true(schema_validate(schema, message, &result) == expected);
        json_decref(result.value);
        json_decref(result.errors);
    }
    in_between = now_ns();
    for (unsigned i = 0; i < rounds; i++) {
        assert_true(schema_validate_text(schema, text, strlen(text), &result) == expected);
        json_decref(result.value);
        json_decref(result.errors);
    }
    print_message("%-40s %8.0f ns, from text %.0f ns\n", what, (double)(in_between - start) / rounds,
                  (double)(now_ns() - in_between) / rounds);
    json_decref(message);
}

static void a_usual_message(void **state)
{
    struct schema *schema = make_schema(usual_schema);
    (void)state;
    time_message(
        schema,
        "{\"message\":\"Hello, world\",\"user\":\"Ana\",\"room\":\"general\",\"age\":33,\"urgent\":true}",
        ERR_OK, "five members, right");
    time_message(schema, "{\"message\":\"Hello, world\",\"room\":\"general\",\"age\":\"33\"}", ERR_OK,
                 "coerced, with defaults");
    time_message(schema, "{\"message\":\"Hello, world\",\"user\":5,\"room\":\"two words\",\"age\":133}",
                 ERR_MALFORMED, "three errors");
    schema_free(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_usual_message),
                                       cmocka_unit_test(five_megabytes_of_each)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
