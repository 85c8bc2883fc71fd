/* Hop: C2. See carousel_json.h. The schema library's reader, with rules and words of this dialect's own.
 *
 * Where a mistake stands is said as clients know it from the beginning: behind the string, number, word or sign that is wrong or not expected
 * (within a string behind the escape, or before the character), in characters. So a mistake is looked at once more, from where
 * its token begins. Rejected: jansson's reader, whose places these are: three times the time, and a second parse of every message
 * that holds 2^63. */
#include "carousel_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "schema_json.h"

#define LEVELS_MAX 2048u

static const struct schema_json_rules rules = {.max_values = SIZE_MAX,
                                               .depth = LEVELS_MAX - 1, /* around a value */
                                               .unique = true,
                                               .no_nul_names = true,
                                               .long_numbers = true};

/* --- tokens --------------------------------------------------------------------------------------------------------- */

struct token {
    const char *end; /* behind it, or where it is wrong */
    bool whole;      /* else it is no token, whatever it is for */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'z';
}

/* Behind the escape at `at`; *bad: behind what is wrong with it. */
static const char *skip_escape(const char *at, const char *end, bool *bad)
{
    size_t digits = 0;
    at++;
    *bad = at == end || memchr("\"\\/bfnrtu", *at, 9) == NULL;
    if (at == end || *at++ != 'u')
        return at;
    for (; digits < 4 && at < end && (is_digit(*at) || (is_letter(*at) && (*at | 0x20) <= 'f')); digits++)
        at++;
    *bad = digits < 4;
    return at + (*bad && at < end);
}

static struct token string_token(const char *at, const char *end)
{
    bool bad = false;
    for (at++; at < end && *at != '"' && (unsigned char)*at >= 0x20 && !bad;)
        at = *at == '\\' ? skip_escape(at, end, &bad) : at + 1;
    bool closed = !bad && at < end && *at == '"';
    return (struct token){at + closed, closed};
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

static const char *skip_number(const char *at, const char *end)
{
    at += *at == '-';
    const char *digits = at;
    at = at < end && *at == '0' ? at + 1 : skip_digits(at, end);
    if (at == digits || (*digits == '0' && at < end && is_digit(*at)))
        return at;
    if (at < end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, end);
        if (at == digits)
            return at;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        at = skip_digits(at, end);
    }
    return at;
}

/* `cut`: at the end stands a byte that is no UTF-8, which a number or a word would run into. */
static struct token read_token(const char *at, const char *end, bool cut)
{
    if (at < end && *at == '"')
        return string_token(at, end);
    if (at < end && *at != '-' && !is_digit(*at) && !is_letter(*at))
        return (struct token){at + 1, true};
    if (at < end && is_letter(*at))
        while (at < end && is_letter(*at))
            at++;
    else if (at < end)
        at = skip_number(at, end);
    return (struct token){at, at < end || !cut};
}

/* --- what is said --------------------------------------------------------------------------------------------------- */

static void say(const char *text, const char *at, struct carousel_json_fault *fault)
{
    fault->line = 1;
    fault->column = 0;
    for (; text < at; text++) {
        if (*text == '\n') {
            fault->line++;
            fault->column = 0;
        } else {
            fault->column += ((unsigned char)*text & 0xc0) != 0x80;
        }
    }
}

static const char *reason(enum schema_json_e kind)
{
    switch (kind) {
    case SCHEMA_JSON_TWICE:
        return "Duplicate member";
    case SCHEMA_JSON_TOO_DEEP:
        return "JSON nested too deeply";
    case SCHEMA_JSON_NUL_NAME:
        return "NUL in a member's name";
    default:
        return "Invalid JSON";
    }
}

/* A text that ends before its first byte that is no UTF-8 is wrong earlier, or there. */
static void before_wrong_byte(const char *text, size_t len, struct schema_json_fault *found)
{
    struct schema_json_fault earlier;
    json_t *root = schema_json_read(text, len, &rules, &earlier);
    if (root == NULL && earlier.why != NULL)
        *found = earlier;
    json_decref(root);
}

json_t *carousel_json_load(const char *text, size_t len, struct carousel_json_fault *fault)
{
    struct schema_json_fault found;
    json_t *root = schema_json_read(text, len, &rules, &found);
    if (root != NULL)
        return root;
    if (found.why == NULL) {
        *fault = (struct carousel_json_fault){.why = NULL};
        return NULL;
    }
    bool cut = found.kind == SCHEMA_JSON_UTF8;
    size_t end = cut ? found.at : len;
    if (cut)
        before_wrong_byte(text, end, &found);
    struct token token = read_token(text + found.token, text + end, cut);
    fault->why = reason(token.whole ? found.kind : SCHEMA_JSON_SYNTAX);
    say(text, token.end, fault);
    return NULL;
}
