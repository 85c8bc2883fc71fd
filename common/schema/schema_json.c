/* See schema_json.h. Recursive descent, at most 200 deep; a string without escapes is copied once, into the tree. */
#include "schema_json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema_alloc.h"
#include "schema_json_internal.h"
#include "utf8.h"

static json_t *read_value(struct reader *reader);

static json_t *fail(struct reader *reader, const char *why)
{
    reader->token = reader->at;
    return json_reader_fail(reader, reader->at, why);
}

/* The next character that is no space; -1: none. */
static int next_char(struct reader *reader)
{
    while (reader->at < reader->end) {
        char c = *reader->at;
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return (unsigned char)c;
        reader->at++;
    }
    return -1;
}

/* --- words and numbers ---------------------------------------------------------------------------------------------- */

static json_t *read_word(struct reader *reader, const char *word, json_t *value)
{
    for (const char *p = reader->at + 1; *++word != '\0'; p++) {
        if (p == reader->end)
            return json_reader_fail(reader, p, "EOF while parsing a value");
        if (*p != *word)
            return json_reader_fail(reader, p, "expected ident");
        reader->at = p;
    }
    reader->at++;
    return value;
}

/* At least one digit at *at. */
static bool skip_digits(struct reader *reader, const char **at)
{
    if (*at == reader->end || !json_is_digit(**at)) {
        json_reader_fail(reader, *at, *at == reader->end ? "EOF while parsing a value" : "invalid number");
        return false;
    }
    while (*at < reader->end && json_is_digit(**at))
        ++*at;
    return true;
}

/* Moves *at behind the number; *whole: there is neither fraction nor exponent. */
static bool skip_number(struct reader *reader, const char **at, bool *whole)
{
    *at += **at == '-';
    const char *first = *at;
    if (!skip_digits(reader, at))
        return false;
    if (*first == '0' && *at - first > 1) {
        json_reader_fail(reader, first + 1, "invalid number");
        return false;
    }
    if (*at < reader->end && **at == '.') {
        *whole = false;
        ++*at;
        if (!skip_digits(reader, at))
            return false;
    }
    if (*at < reader->end && (**at == 'e' || **at == 'E')) {
        *whole = false;
        ++*at;
        *at += *at < reader->end && (**at == '+' || **at == '-');
        return skip_digits(reader, at);
    }
    return true;
}

static bool whole_number(const char *at, size_t len, int64_t *out)
{
    bool negative = *at == '-';
    uint64_t value = 0;
    for (size_t i = negative; i < len; i++) {
        unsigned digit = (unsigned)(at[i] - '0');
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - value : value);
    return true;
}

/* Not inlined: its room would lie in every level's frame. */
__attribute__((noinline)) static json_t *read_real(const char *start, size_t len)
{
    char room[SCHEMA_JSON_NUMBER + 1];
    char *text = len < sizeof room ? room : schema_alloc(len + 1);
    if (text == NULL)
        return NULL;
    memcpy(text, start, len);
    text[len] = '\0';
    double real = strtod(text, NULL);
    if (text != room)
        schema_release(text);
    if (real > SCHEMA_JSON_HUGE || real < -SCHEMA_JSON_HUGE)
        real = real > 0 ? SCHEMA_JSON_HUGE : -SCHEMA_JSON_HUGE;
    return json_real(real);
}

static json_t *read_number(struct reader *reader)
{
    const char *start = reader->at, *at = start;
    bool whole = true;
    if (!skip_number(reader, &at, &whole))
        return NULL;
    size_t len = (size_t)(at - start);
    if (len > SCHEMA_JSON_NUMBER && !reader->rules->long_numbers)
        return json_reader_fail(reader, start + SCHEMA_JSON_NUMBER + 1, "number out of range");
    reader->at = at;
    int64_t value;
    if (whole && whole_number(start, len, &value))
        return json_integer(value);
    return read_real(start, len);
}

/* --- strings, arrays and objects ---------------------------------------------------------------------- */

static json_t *read_string(struct reader *reader)
{
    struct piece piece;
    return json_read_piece(reader, &piece) ? json_stringn_nocheck(piece.at, piece.len) : NULL;
}

/* A container that has something in it goes one deeper. */
static bool enter(struct reader *reader)
{
    unsigned most = reader->rules->depth > 0 ? reader->rules->depth : SCHEMA_JSON_DEPTH;
    if (reader->depth == most) {
        reader->kind = SCHEMA_JSON_TOO_DEEP;
        fail(reader, "recursion limit exceeded");
        return false;
    }
    reader->depth++;
    return true;
}

/* Behind an element: true if there is a comma. Else *done, or an error. */
static bool step(struct reader *reader, char close, bool *done)
{
    int c = next_char(reader);
    *done = c == close;
    if (c == close || c == ',') {
        reader->at++;
        return c == ',';
    }
    if (c < 0)
        fail(reader, close == ']' ? "EOF while parsing a list" : "EOF while parsing an object");
    else
        fail(reader, close == ']' ? "expected `,` or `]`" : "expected `,` or `}`");
    return false;
}

static bool read_elements(struct reader *reader, json_t *array)
{
    bool done = false;
    do {
        int c = next_char(reader);
        if (c < 0 || c == ']') {
            fail(reader, c < 0 ? "EOF while parsing a value" : "trailing comma");
            return false;
        }
        if (json_array_append_new(array, read_value(reader)) != 0)
            return false;
    } while (step(reader, ']', &done));
    return done;
}

static json_t *read_array(struct reader *reader)
{
    reader->at++;
    int c = next_char(reader);
    if (c < 0)
        return fail(reader, "EOF while parsing a list");
    json_t *array = c == ']' || enter(reader) ? json_array() : NULL;
    if (c == ']') {
        reader->at++;
        return array;
    }
    if (array == NULL || !read_elements(reader, array)) {
        json_decref(array);
        return NULL;
    }
    reader->depth--;
    return array;
}

/* A member's value into the object. A name that had escapes is copied: the value may need the scratch room. */
static bool read_member_value(struct reader *reader, json_t *object, const struct piece *name, bool first)
{
    char *copy = NULL;
    if (next_char(reader) < 0) {
        fail(reader, "EOF while parsing a value");
        return false;
    }
    if (first && !enter(reader))
        return false;
    if (name->escaped) {
        copy = schema_grow(NULL, 0, name->len);
        if (copy == NULL)
            return false;
        memcpy(copy, name->at, name->len);
    }
    json_t *value = read_value(reader);
    bool ok = value != NULL &&
              json_object_setn_new_nocheck(object, copy != NULL ? copy : name->at, name->len, value) == 0;
    schema_release(copy);
    return ok;
}

static bool check_name(struct reader *reader, const json_t *object, const struct piece *name)
{
    if (reader->rules->no_nul_names && name->escaped && memchr(name->at, '\0', name->len) != NULL) {
        reader->kind = SCHEMA_JSON_NUL_NAME;
        json_reader_fail(reader, reader->token, "NUL in a name");
        return false;
    }
    if (reader->rules->unique && json_object_getn(object, name->at, name->len) != NULL) {
        reader->kind = SCHEMA_JSON_TWICE;
        json_reader_fail(reader, reader->token, "this member stands here twice");
        return false;
    }
    return true;
}

static bool read_member(struct reader *reader, json_t *object, bool first)
{
    struct piece name;
    int c = next_char(reader);
    if (c != '"') {
        fail(reader, c < 0                ? "EOF while parsing a value"
                     : c == '}' && !first ? "trailing comma"
                                          : "key must be a string");
        return false;
    }
    reader->token = reader->at;
    if (!json_read_piece(reader, &name) || !check_name(reader, object, &name))
        return false;
    c = next_char(reader);
    if (c != ':') {
        fail(reader, c < 0 ? "EOF while parsing an object" : "expected `:`");
        return false;
    }
    reader->at++;
    return read_member_value(reader, object, &name, first);
}

static json_t *read_object(struct reader *reader)
{
    bool done = false, first = true;
    reader->at++;
    int c = next_char(reader);
    if (c < 0)
        return fail(reader, "EOF while parsing an object");
    json_t *object = json_object();
    if (c == '}') {
        reader->at++;
        return object;
    }
    while (object != NULL && !done) {
        if (!read_member(reader, object, first) || (!step(reader, '}', &done) && !done)) {
            json_decref(object);
            return NULL;
        }
        first = false;
    }
    reader->depth--;
    return object;
}

static json_t *read_value(struct reader *reader)
{
    int c = next_char(reader);
    if (c < 0)
        return fail(reader, "EOF while parsing a value");
    if (reader->values_left == 0)
        return fail(reader, "too many values");
    reader->values_left--;
    reader->token = reader->at;
    switch (c) {
    case '{':
        return read_object(reader);
    case '[':
        return read_array(reader);
    case '"':
        return read_string(reader);
    case 't':
        return read_word(reader, "true", json_true());
    case 'f':
        return read_word(reader, "false", json_false());
    case 'n':
        return read_word(reader, "null", json_null());
    default:
        return c == '-' || json_is_digit((char)c) ? read_number(reader) : fail(reader, "expected value");
    }
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static void check_utf8(struct reader *reader)
{
    if (utf8_is_valid(reader->text, (size_t)(reader->end - reader->text)))
        return;
    const char *at = reader->text;
    size_t bytes;
    while (at < reader->end && (bytes = utf8_step(at, (size_t)(reader->end - at))) > 0)
        at += bytes;
    reader->kind = SCHEMA_JSON_UTF8;
    reader->token = at;
    json_reader_fail(reader, at, "invalid unicode code point");
}

/* As jiter counts: columns are bytes; an error at a line feed belongs to the line behind it. */
static void say_where(const struct reader *reader, struct schema_json_fault *fault)
{
    const char *start = reader->text, *found;
    const char *stop = reader->at < reader->end ? reader->at + 1 : reader->end;
    fault->line = 1;
    while ((found = memchr(start, '\n', (size_t)(stop - start))) != NULL) {
        fault->line++;
        start = found + 1;
    }
    fault->column = (size_t)(stop - start);
}

json_t *schema_json_read(const char *text, size_t len, const struct schema_json_rules *rules,
                         struct schema_json_fault *fault)
{
    struct reader reader = {
        .text = text, .at = text, .end = text + len, .values_left = rules->max_values, .rules = rules};
    json_t *value = NULL;
    check_utf8(&reader);
    if (reader.why == NULL)
        value = read_value(&reader);
    if (value != NULL && next_char(&reader) >= 0) {
        json_decref(value);
        value = fail(&reader, "trailing characters");
    }
    schema_release(reader.scratch);
    *fault = (struct schema_json_fault){0};
    if (value == NULL && reader.why != NULL) {
        fault->why = reader.why;
        fault->kind = reader.kind;
        fault->at = (size_t)(reader.at - text);
        fault->token = (size_t)(reader.token - text);
        say_where(&reader, fault);
    }
    return value;
}

json_t *schema_json_load(const char *text, size_t len, size_t max_values, char why[SCHEMA_JSON_WHY_MAX])
{
    const struct schema_json_rules rules = {.max_values = max_values};
    struct schema_json_fault fault;
    json_t *value = schema_json_read(text, len, &rules, &fault);
    why[0] = '\0';
    if (fault.why != NULL)
        snprintf(why, SCHEMA_JSON_WHY_MAX, "%s at line %zu column %zu", fault.why, fault.line, fault.column);
    return value;
}
