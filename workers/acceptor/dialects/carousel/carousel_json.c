/* Hop: C2. See carousel_json.h. jansson refuses a number that it cannot represent; such a message, and only such, is read
 * a second time from a copy in which every number that could be the reason has become one that is neither an integer
 * nor too large. Rejected: JSON_DECODE_INT_AS_REAL, under which 1 and 1.0 look the same. */
#include "carousel_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_DIGITS 18 /* an integer of so many digits fits 64 bits */

struct scan {
    char *at, *end;
};

static size_t digits(const char *at, const char *end)
{
    size_t n = 0;
    while (at + n < end && at[n] >= '0' && at[n] <= '9')
        n++;
    return n;
}

/* Length of the JSON number at `at`, 0 if there is none. *large: it may be more than jansson can represent. */
static size_t number_len(const char *at, const char *end, bool *large)
{
    const char *p = at + (at < end && *at == '-');
    size_t whole = digits(p, end);
    if (whole == 0 || (*p == '0' && whole > 1))
        return 0;
    p += whole;
    *large = whole > EXACT_DIGITS;
    if (p < end && *p == '.') {
        size_t part = digits(p + 1, end);
        if (part == 0)
            return 0;
        p += 1 + part;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *power = p + 1 + (p + 1 < end && (p[1] == '+' || p[1] == '-'));
        size_t part = digits(power, end);
        if (part == 0)
            return 0;
        p = power + part;
        *large = *large || part > 2;
    }
    return (size_t)(p - at);
}

static void skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++)
        scan->at += *scan->at == '\\' && scan->at + 1 < scan->end;
    scan->at += scan->at < scan->end;
}

/* A large number has at least five characters ("1e400"), so that the text keeps its length and its columns. */
static void tame_number(struct scan *scan)
{
    static const char tame[] = {'0', '.', '5'};
    bool large = false;
    size_t len = number_len(scan->at, scan->end, &large);
    if (large && len > sizeof tame) {
        memcpy(scan->at, tame, sizeof tame);
        memset(scan->at + sizeof tame, ' ', len - sizeof tame);
    }
    scan->at += len > 0 ? len : 1;
}

static void tame_numbers(char *text, size_t len)
{
    struct scan scan = {text, text + len};
    while (scan.at < scan.end) {
        if (*scan.at == '"')
            skip_string(&scan);
        else
            tame_number(&scan);
    }
}

static json_t *load(const char *text, size_t len, json_error_t *error)
{
    return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
}

static json_t *load_tamed(const char *text, size_t len, json_error_t *error)
{
    char *copy = malloc(len);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    tame_numbers(copy, len);
    json_t *root = load(copy, len, error);
    free(copy);
    return root;
}

static const char *reason(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return "Duplicate member";
    case json_error_stack_overflow:
        return "JSON nested too deeply";
    case json_error_null_byte_in_key:
        return "NUL in a member's name";
    case json_error_numeric_overflow: /* memory for the copy was missing */
        return "Number too large";
    default:
        return "Invalid JSON";
    }
}

json_t *carousel_json_load(const char *text, size_t len, const char **why, int *line, int *column)
{
    json_error_t error;
    json_t *root = load(text, len, &error);
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow)
        root = load_tamed(text, len, &error);
    if (root == NULL) {
        *why = reason(&error);
        *line = error.line;
        *column = error.column;
    }
    return root;
}
