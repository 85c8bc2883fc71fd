/* schema_pattern: what is found where, what is refused, and that nothing is slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "schema_pattern.h"

/* Texts in which it is found, and in which not; NULL ends a list. */
static const struct {
    const char *pattern;
    const char *found[8], *missing[8];
} searches[] = {
    {"", {"", "a"}, {NULL}},
    {"a", {"a", "bab"}, {"", "b", "A"}},
    {"abc", {"abc", "xxabcxx", "ababc"}, {"ab", "abxc", ""}},
    {"^abc$", {"abc"}, {"abcd", "xabc", "abc\n", "\nabc"}},
    {"^$", {""}, {"a", "\n"}},
    {"$", {"", "a", "\n"}, {NULL}},
    {"\\z", {"", "ab"}, {NULL}},
    {"\\b$", {"a", "-a"}, {"", "-", "a-"}},
    {"\\bx\\b|\\By\\B", {"x", "-x-", "ayb"}, {"ax", "y", "y-"}},
    {"-$|^a\\b", {"x-", "a", "a b"}, {"ab", "-x"}},
    {"\\Aab\\z", {"ab"}, {"ab\n", "xab"}},
    {"a|b", {"a", "b", "xb"}, {"c", ""}},
    {"^(a|bc|)$", {"a", "bc", ""}, {"b", "abc"}},
    {"^a|b$", {"ax", "xb"}, {"xax", "bx"}},
    {"^(?:ab)+$", {"ab", "abab"}, {"", "aba"}},
    {"^(?P<n>a)(?<m_2>b)$", {"ab"}, {"a"}},
    {"^a*$", {"", "aaa"}, {"ab"}},
    {"^a+?$", {"a", "aaa"}, {""}},
    {"^a?b$", {"b", "ab"}, {"aab"}},
    {"^a??b$", {"b", "ab"}, {"aab"}},
    {"^a{3}$", {"aaa"}, {"aa", "aaaa"}},
    {"^a{2,}$", {"aa", "aaaaa"}, {"a"}},
    {"^a{0,2}$", {"", "a", "aa"}, {"aaa"}},
    {"^a{0}b$", {"b"}, {"ab"}},
    {"^a{1,3}?b$", {"ab", "aaab"}, {"b", "aaaab"}},
    {"^(ab|c){2}$", {"abab", "abc", "cc"}, {"ab", "ccc"}},
    {"^(a{2}){2}$", {"aaaa"}, {"aa", "aaa", "aaaaa"}},
    {"^(a|b){1,2}(c|d)$", {"ac", "abd", "bbc"}, {"c", "abac"}},
    {"^a**$", {"", "aa"}, {"b"}},
    {"(a*)*b", {"b", "aab"}, {"aa"}},
    {"(|a)+$", {"", "b", "aaa"}, {NULL}},
    {"^(a?){3}$", {"", "a", "aaa"}, {"aaaa"}},
    {"^((a|b)*c)*$", {"", "abc", "cbc"}, {"ab", "ca"}},
    {"^.$", {"a", "\xc3\xa9", "\xf0\x9f\x98\x80"}, {"", "ab", "\n"}},
    {"^[abc]$", {"a", "c"}, {"d", "ab", ""}},
    {"^[^abc]$", {"d", "\n", "\xc3\xa9"}, {"a", ""}},
    {"^[a-z0-9_-]+$", {"a-b_9"}, {"A", "a b"}},
    {"^[-a]$", {"-", "a"}, {"b"}},
    {"^[a-]$", {"-", "a"}, {"b"}},
    {"^[]a]$", {"]", "a"}, {"b"}},
    {"^[^]a]$", {"b"}, {"]", "a"}},
    {"^[\\]\\[\\\\]$", {"]", "[", "\\"}, {"a"}},
    {"^[.*+?(){}|$^]$", {".", "*", "$", "^", "|"}, {"a", "\\"}},
    {"^[\\d\\s]$", {"1", " ", "\xd9\xa3"}, {"a"}},
    {"^[^\\w]$", {" ", "-"}, {"a", "_", "\xc3\xa9"}},
    {"^[\\W\\d]$", {"-", "5"}, {"a"}},
    {"^[\xc3\xa0-\xc3\xbf]$", {"\xc3\xa9"}, {"e", "\xc4\x80"}},
    {"^\\d+$", {"0123", "\xd9\xa3", "\xef\xbc\x91"}, {"a", "\xc2\xb2"}},
    {"^\\D$", {"a", "\xc2\xb2"}, {"1"}},
    {"^\\w+$", {"aZ_9\xc3\xa9\xd0\x96\xe4\xb8\xad", "\xcc\x81", "\xe2\x80\x8d"}, {"-", " ", "\xe2\x82\xac"}},
    {"^\\W$", {"-", "\xe2\x82\xac"}, {"_"}},
    {"^\\s$", {" ", "\t", "\n", "\xc2\xa0", "\xe3\x80\x80"}, {"a", "\xe2\x80\x8b"}},
    {"^\\S$", {"a", "\xe2\x80\x8b"}, {" "}},
    {"\\bab\\b", {"ab", "x ab y", "-ab-"}, {"xab", "abx", "ab\xc3\xa9", "_ab"}},
    {"a\\Bb", {"ab"}, {"a b"}},
    {"^\\b", {"a"}, {"", " a"}},
    {"\\B", {"", "--", "ab"}, {"a"}},
    {"^\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\^\\$\\/\\-\\#\\&\\~\\@$", {".*+?()[]{}|^$/-#&~@"}, {""}},
    {"^\\n\\r\\t\\f\\v\\a$", {"\n\r\t\f\v\a"}, {""}},
    {"^\\x41\\u00e9\\x{1F600}\\u{42}$",
     {"A\xc3\xa9\xf0\x9f\x98\x80"
      "B"},
     {"A"}},
    {"^}]$", {"}]"}, {NULL}},
    {"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
     {"01234567-89ab-4cde-8fff-0123456789ab"},
     {"01234567-89ab-3cde-8fff-0123456789ab"}},
    {"^[A-Za-z0-9_.:-]{1,64}$", {"general", "a.b:c-d_0"}, {"", "a b"}},
    {"^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$", {"a@b.cc"}, {"a@b", "a b@c.dd", "@b.cc"}},
};

static bool is_found(const char *pattern, const char *text, size_t len)
{
    const char *why = NULL;
    struct schema_pattern *compiled = schema_pattern_new(pattern, strlen(pattern), &why);
    if (compiled == NULL)
        fail_msg("%s: %s", pattern, why);
    char *exact = malloc(len + 1);
    memcpy(exact, text, len);
    bool found = schema_pattern_found(compiled, exact, len);
    free(exact);
    schema_pattern_free(&compiled);
    return found;
}

static void found_and_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(searches); i++) {
        for (const char *const *text = searches[i].found; *text != NULL; text++) {
            if (!is_found(searches[i].pattern, *text, strlen(*text)))
                fail_msg("%s is missing in \"%s\"", searches[i].pattern, *text);
        }
        for (const char *const *text = searches[i].missing; *text != NULL; text++) {
            if (is_found(searches[i].pattern, *text, strlen(*text)))
                fail_msg("%s is found in \"%s\"", searches[i].pattern, *text);
        }
    }
}

static void nul_and_broken_text(void **state)
{
    (void)state;
    assert_true(is_found("^a.b$", "a\0b", 3));
    assert_false(is_found("^a$", "a\0", 2));
    assert_true(is_found("^..$", "\xff\xc3", 2));
    assert_true(is_found("^\\x{fffd}$", "\x80", 1));
}

static const char *const refused[] = {
    "(",
    ")",
    "a)",
    "(a",
    "(a|b",
    "[",
    "[a",
    "[]",
    "[^]",
    "[a-",
    "*",
    "+a",
    "?",
    "{1}",
    "a|*",
    "(*)",
    "^(+)",
    "a{",
    "a{}",
    "a{,3}",
    "a{1",
    "a{1,",
    "a{2,1}",
    "a{x}",
    "a{1001}",
    "a{99999999999}",
    "\\",
    "a\\",
    "\\1",
    "\\p{L}",
    "\\pL",
    "\\Z",
    "\\k<a>",
    "\\Q",
    "\\e",
    "\\<",
    "\\xZZ",
    "\\x4",
    "\\x{}",
    "\\x{110000}",
    "\\x{d800}",
    "\\u12",
    "\\x{1234567}",
    "[b-a]",
    "[\\d-z]",
    "[a-\\d]",
    "[[:alpha:]]",
    "[a&&b]",
    "[a--b]",
    "[a~~b]",
    "[\\b]",
    "(?i)a",
    "(?i:a)",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?<!a)",
    "(?>a)",
    "(?P=n)",
    "(?P<>a)",
    "(?<n",
    "(?<n-m>a)",
    "(?#x)",
    "(?P<n",
    "(?",
    "(a{500}){2}",
    "a{513}",
    "((a{30}){30}){30}",
};

static void refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const char *why = NULL;
        struct schema_pattern *pattern = schema_pattern_new(refused[i], strlen(refused[i]), &why);
        if (pattern != NULL || why == NULL || why[0] == '\0')
            fail_msg("%s is not refused", refused[i]);
    }
}

static void sizes_are_bounded(void **state)
{
    char text[2 * SCHEMA_PATTERN_TEXT];
    const char *why = NULL;
    (void)state;
    memset(text, '(', sizeof text);
    assert_null(schema_pattern_new(text, 60, &why));
    assert_non_null(strstr(why, "too deeply"));
    memset(text, 'a', sizeof text);
    assert_null(schema_pattern_new(text, SCHEMA_PATTERN_TEXT + 1, &why));
    assert_non_null(strstr(why, "too long"));
    assert_null(schema_pattern_new(text, 600, &why));
    assert_non_null(why);
}

/* With backtracking these take longer than the universe will last. */
static void nothing_is_slow(void **state)
{
    static const char *const patterns[] = {"^(a+)+$",  "^(a|a)*$",          "^(a|aa)+$", "(a*)*c",
                                           "^(.*)*x$", "^(a?){100}a{100}$", "(x+x+)+y"};
    size_t len = 200000;
    char *text = malloc(len);
    (void)state;
    memset(text, 'a', len);
    text[len - 1] = '!';
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        assert_false(is_found(patterns[i], text, len));
    free(text);
}

/* --- against a matcher that is slow and simple: all strings over a few signs ---------------------------------------- */

/* Characters, (), |, * only, by backtracking over the pattern's text; *end: set of places (bits) where a match can end. */
static uint64_t ends_of_choice(const char **pattern, const char *text, uint64_t starts);

static uint64_t after_char(const char *text, uint64_t starts, char c)
{
    uint64_t ends = 0;
    for (unsigned i = 0; text[i] != '\0'; i++)
        ends |= (starts >> i & 1) != 0 && text[i] == c ? 2ULL << i : 0;
    return ends;
}

static uint64_t ends_of_atom(const char **pattern, const char *text, uint64_t starts)
{
    if (**pattern != '(')
        return after_char(text, starts, *(*pattern)++);
    ++*pattern;
    uint64_t ends = ends_of_choice(pattern, text, starts);
    ++*pattern;
    return ends;
}

static uint64_t ends_of_sequence(const char **pattern, const char *text, uint64_t starts)
{
    while (**pattern != '\0' && **pattern != '|' && **pattern != ')') {
        const char *atom = *pattern;
        uint64_t ends = ends_of_atom(pattern, text, starts), all = starts;
        if (**pattern == '*') {
            while ((all | ends) != all) {
                const char *again = atom;
                all |= ends;
                ends = ends_of_atom(&again, text, all);
            }
            ends = all;
            ++*pattern;
        }
        starts = ends;
    }
    return starts;
}

static uint64_t ends_of_choice(const char **pattern, const char *text, uint64_t starts)
{
    uint64_t ends = ends_of_sequence(pattern, text, starts);
    while (**pattern == '|') {
        ++*pattern;
        ends |= ends_of_sequence(pattern, text, starts);
    }
    return ends;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static void random_pattern(uint32_t *state, char **put, unsigned nest)
{
    unsigned count = next_random(state) % 4;
    for (unsigned i = 0; i <= count; i++) {
        unsigned kind = next_random(state) % 8;
        if (kind == 0 && nest > 0) {
            *(*put)++ = '(';
            random_pattern(state, put, nest - 1);
            *(*put)++ = ')';
        } else if (kind == 1) {
            *(*put)++ = '|';
            continue;
        } else {
            *(*put)++ = (char)('a' + kind % 2);
        }
        if (next_random(state) % 3 == 0)
            *(*put)++ = '*';
    }
}

static void as_a_simple_matcher_has_it(void **state)
{
    uint32_t random = 7;
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        char pattern[512], whole[520], text[8], *put = pattern;
        random_pattern(&random, &put, 3);
        *put = '\0';
        snprintf(whole, sizeof whole, "^(%s)$", pattern);
        const char *why;
        struct schema_pattern *compiled = schema_pattern_new(whole, strlen(whole), &why);
        assert_non_null(compiled);
        for (unsigned bits = 0; bits < 64; bits++) {
            unsigned len = bits % 7;
            for (unsigned i = 0; i < len; i++)
                text[i] = (char)('a' + (next_random(&random) & 1));
            text[len] = '\0';
            const char *at = pattern;
            bool expected = (ends_of_choice(&at, text, 1) >> len & 1) != 0;
            if (schema_pattern_found(compiled, text, len) != expected)
                fail_msg("%s in %s", whole, text);
        }
        schema_pattern_free(&compiled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_and_missing), cmocka_unit_test(nul_and_broken_text),
        cmocka_unit_test(refusals),          cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(nothing_is_slow),   cmocka_unit_test(as_a_simple_matcher_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
