/* Fuzzes the schema library: a JSON Schema document and a message, random or made from one another. The input is two texts with a
 * NUL byte between them: document, message; without one the input is the message for three fixed documents, too.
 *
 * Checked beside memory: a refused document has a reason; what is accepted comes out as something that the same schema accepts again
 * unchanged; what is refused has 1 to SCHEMA_ERRORS_MAX + 1 errors of three members each, within their bytes; the same message gives the
 * same answer twice; everything reads as JSON what jansson reads (but for what schema_json.h names);
 * and schema_judge() of a strict table tells the first error that schema_validate() tells. */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "schema.h"
#include "schema_judge.h"
#include "schema_json.h"
#include "schema_pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names with NUL are right, but json_equal() does not see them. */
static bool can_be_compared(const json_t *value)
{
    const char *name;
    size_t len, i;
    json_t *inner;
    bool can = true;
    json_array_foreach(value, i, inner) can = can && can_be_compared(inner);
    json_object_keylen_foreach((json_t *)value, name, len, inner) can =
        can && strlen(name) == len && can_be_compared(inner);
    return can;
}

static void check_errors(json_t *errors)
{
    size_t i, k, bytes = 0;
    json_t *error, *step;
    MUST(json_array_size(errors) >= 1 && json_array_size(errors) <= SCHEMA_ERRORS_MAX + 1);
    json_array_foreach(errors, i, error)
    {
        json_t *loc = json_object_get(error, "loc");
        MUST(json_object_size(error) == 3 && json_is_array(loc));
        MUST(json_string_length(json_object_get(error, "type")) > 0);
        MUST(json_string_length(json_object_get(error, "msg")) > 0);
        bytes += json_string_length(json_object_get(error, "msg"));
        json_array_foreach(loc, k, step)
        {
            MUST(json_is_integer(step) || json_is_string(step));
            bytes += json_string_length(step);
        }
    }
    MUST(bytes < 2 * SCHEMA_ERROR_BYTES);
}

static void check_message(const struct schema *schema, json_t *message)
{
    struct schema_result result, again;
    enum err_e err = schema_validate(schema, message, &result);
    bool comparable = can_be_compared(message);
    MUST(err == ERR_OK || err == ERR_MALFORMED);
    MUST((result.value != NULL) == (err == ERR_OK) && (result.errors != NULL) == (err != ERR_OK));
    json_t *answer = err == ERR_OK ? result.value : result.errors;
    MUST(schema_validate(schema, message, &again) == err);
    MUST(!comparable || json_equal(answer, err == ERR_OK ? again.value : again.errors));
    json_decref(again.value);
    json_decref(again.errors);
    if (err == ERR_OK) {
        MUST(schema_validate(schema, result.value, &again) == ERR_OK);
        MUST(!comparable || json_equal(result.value, again.value));
        json_decref(again.value);
    } else {
        check_errors(result.errors);
    }
    json_decref(answer);
}

static void check_with(json_t *document, const json_t *message)
{
    struct schema *schema;
    struct schema_problem problem;
    enum err_e err = schema_from_json(document, &schema, &problem);
    MUST(err == ERR_OK || (err == ERR_CONFIG && problem.why[0] != '\0' && schema == NULL));
    if (err == ERR_OK) {
        check_message(schema, (json_t *)message);
        check_message(schema, document);
    }
    schema_free(&schema);
}

/* Jansson knows no number beyond a double, and escaped NULs only when asked. */
static void compare_with_jansson(const char *text, size_t len, const json_t *value)
{
    json_error_t error;
    json_t *other = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    enum json_error_code code = other == NULL ? json_error_code(&error) : json_error_unknown;
    bool excused =
        other == NULL && (code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
                          code == json_error_stack_overflow);
    if (value != NULL)
        MUST(excused || other != NULL);
    if (value != NULL && other != NULL && can_be_compared(value))
        MUST(json_equal(value, other));
    json_decref(other);
}

static json_t *load(const char *text, size_t len)
{
    char why[SCHEMA_JSON_WHY_MAX];
    json_t *value = schema_json_load(text, len, 100000, why);
    MUST((value != NULL) == (why[0] == '\0'));
    compare_with_jansson(text, len, value);
    return value;
}

static void check_pattern(const char *text, size_t len, const char *subject, size_t subject_len)
{
    const char *why;
    struct schema_pattern *pattern = schema_pattern_new(text, len, &why);
    MUST(pattern != NULL || why != NULL);
    if (pattern != NULL)
        schema_pattern_found(pattern, subject, subject_len);
    schema_pattern_free(&pattern);
}

static const char *const fixed[] = {
    ("{\"$defs\":{\"T\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":0},"
     "\"b\":"
     "{\"type\":\"number\",\"default\":1},"
     "\"c\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"
     "T\"},\"maxItems\":3},\"d\":{\"anyOf\":[{\"$ref\":\"#/$defs/T\"},{\"type\":\"null\"}]}},"
     "\"required\":[\"a\"]}},\"$ref\":\"#/$defs/T\"}"),
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":9,"
    "\"pattern\":\"^(\\\\w+-?)*$\"}}",
    "{\"type\":\"array\",\"items\":{\"enum\":[1,\"a\",2.5,null,true]},\"minItems\":1}",
};

static void check_fixed(const json_t *message)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        json_t *document = json_loads(fixed[i], 0, NULL);
        MUST(document != NULL);
        check_with(document, message);
        json_decref(document);
    }
}

/* --- strict tables -------------------------------------------------------------------------------------------------- */

static const struct schema_type strict_text = {
    .kind = SCHEMA_STRING, .min_length = 1, .max_bytes = 4, .no_nul = true};
static const struct schema_member strict_members[] = {
    {.name = "a", .type = {.kind = SCHEMA_INT, .ge = "0", .le = "255", .nullable = true}, .optional = true},
    {.name = "b", .type = {.kind = SCHEMA_STRING, .choices = "[\"x\",\"yy\"]"}, .optional = true},
    {.name = "c",
     .type = {.kind = SCHEMA_LIST, .items = &strict_text, .min_length = 1, .max_length = 3},
     .optional = true},
    {.name = "d",
     .type = {.kind = SCHEMA_LIST, .items = &strict_text, .or_item = true, .nullable = true},
     .optional = true},
    {.name = "e", .type = {.kind = SCHEMA_FLOAT, .lt = "9"}, .optional = true},
    {.name = "f", .optional = true},
};
static const struct schema_object strict_table = {
    .name = "Strict", .members = strict_members, .member_count = ARRAY_LEN(strict_members), .strict = true};
static struct schema_kept strict = {.table = &strict_table};

static void check_judged(const json_t *message)
{
    struct schema_found found[ARRAY_LEN(strict_members)];
    struct schema_wrong wrong;
    struct schema_result result;
    bool ok = schema_judge(schema_of(&strict), message, found, &wrong);
    MUST(schema_validate(schema_of(&strict), (json_t *)message, &result) == (ok ? ERR_OK : ERR_MALFORMED));
    const json_t *error = json_array_get(result.errors, 0), *loc = json_object_get(error, "loc");
    MUST(ok || strcmp(json_string_value(json_object_get(error, "type")), wrong.type) == 0);
    MUST(ok || (wrong.member == NULL) == (json_array_size(loc) == 0));
    MUST(ok || wrong.member == NULL || strcmp(json_string_value(json_array_get(loc, 0)), wrong.member) == 0);
    MUST(ok || (wrong.index == SCHEMA_NONE) == (json_array_size(loc) < 2));
    MUST(ok || wrong.index == SCHEMA_NONE || json_integer_value(json_array_get(loc, 1)) == wrong.index);
    json_decref(result.value);
    json_decref(result.errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *gap = size > 0 ? memchr(text, '\0', size) : NULL;
    size_t first = gap != NULL ? (size_t)(gap - text) : 0;
    const char *rest = gap != NULL ? gap + 1 : text;
    size_t rest_len = size - (size_t)(rest - text);
    json_t *document = gap != NULL ? load(text, first) : NULL, *message = load(rest, rest_len);
    if (document != NULL && message != NULL)
        check_with(document, message);
    if (message != NULL) {
        check_fixed(message);
        check_judged(message);
    }
    check_pattern(text, first, rest, rest_len);
    json_decref(document);
    json_decref(message);
    return 0;
}
