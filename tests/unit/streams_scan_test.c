/* streams_scan and streams_text: tables of what is JSON, what is JSON to the lenient reader, and what is neither; where errors
 * stand; content and compact form; and jansson's opinion on some ten thousand broken texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "hash.h"
#include "streams_cases.h"
#include "streams_jansson.h"

#define LENIENT STREAMS_SCAN_LENIENT

/* --- verdicts ------------------------------------------------------------------------------------------------------- */

static bool is_ok(const char *text, size_t len, unsigned flags)
{
    bool ok;
    char *exact = malloc(len > 0 ? len : 1); /* ASan sees a step beyond */
    memcpy(exact, text, len);
    struct streams_scan scan = scan_all(exact, len, flags, &ok);
    assert_int_equal(ok, scan.why == NULL);
    assert_int_equal(streams_scan_next(&scan), ok ? STREAMS_SCAN_DONE : STREAMS_SCAN_ERROR);
    free(exact);
    return ok;
}

static void expect(const char *text, size_t len, bool is_strict, bool is_lenient)
{
    if (is_ok(text, len, 0) != is_strict || is_ok(text, len, LENIENT) != is_lenient)
        fail_msg("%.*s: should be strict %d, lenient %d", (int)len, text, is_strict, is_lenient);
    if (is_lenient)
        expect_compact(text, len, is_strict ? 0 : LENIENT);
    assert_int_equal(expect_like_jansson(text, len), is_strict);
}

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(strict); i++)
        expect(strict[i], strlen(strict[i]), true, true);
    for (size_t i = 0; i < ARRAY_LEN(lenient); i++)
        expect(lenient[i], strlen(lenient[i]), false, true);
    for (size_t i = 0; i < ARRAY_LEN(neither); i++)
        expect(neither[i], strlen(neither[i]), false, false);
}

/* Each good text cut anywhere, and with a NUL put anywhere, says of itself what jansson says. */
static void cuts(void **state)
{
    char text[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(strict); i++) {
        size_t len = strlen(strict[i]);
        for (size_t cut = 0; cut < len; cut++) {
            expect_like_jansson(strict[i], cut);
            memcpy(text, strict[i], len);
            text[cut] = '\0';
            expect(text, len, false, false);
        }
    }
}

/* Every byte in each place where it could mean something. */
static void bytes(void **state)
{
    static const char *const frames[] = {"\"a@b\"", "\"12345678@\"", "\"\\@\"",   "@",          "[@]",
                                         "1@",      "[1@2]",         "{\"a\"@1}", "{\"a\":1@}", "\"\\u00@1\"",
                                         "[1]@",    "@[1]"};
    char text[32];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++)
        for (int c = 0; c < 256; c++) {
            size_t len = strlen(frames[i]);
            memcpy(text, frames[i], len);
            *(char *)memchr(text, '@', len) = (char)c;
            expect_like_jansson(text, len);
        }
    for (int c = 1; c < 256; c++) {
        bool word = strchr("$-._", c) != NULL || (c >= '0' && c <= '9') ||
                    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80);
        bool space = strchr(" \t\r\n", c) != NULL;
        snprintf(text, sizeof text, "{%ca:1}", c);
        assert_int_equal(is_ok(text, strlen(text), LENIENT), word || space);
    }
}

static void utf8_is_checked_unless_known(void **state)
{
    (void)state;
    assert_false(is_ok("\"12345678\xff\"", 11, 0));
    assert_true(is_ok("\"12345678\xff\"", 11, STREAMS_SCAN_UTF8)); /* the caller's word */
    assert_false(is_ok("\"1234567\x1f\"", 10, STREAMS_SCAN_UTF8));
    assert_false(is_ok("\"1234567\xff\x1f\"", 11, STREAMS_SCAN_UTF8));
}

/* --- levels --------------------------------------------------------------------------------------------------------- */

static size_t nest(char *text, unsigned levels, const char *open, const char *inner, const char *close)
{
    struct out out = out_init(text, 8192);
    for (unsigned i = 0; i < levels; i++)
        out_text(&out, open);
    out_text(&out, inner);
    for (unsigned i = 0; i < levels; i++)
        out_text(&out, close);
    assert_false(out.overflow);
    return out.len;
}

static void levels_are_bounded(void **state)
{
    static char text[8192];
    (void)state;
    expect(text, nest(text, STREAMS_SCAN_DEPTH, "[", "", "]"), true, true);
    expect(text, nest(text, STREAMS_SCAN_DEPTH, "{\"a\":", "0", "}"), true, true);
    expect(text, nest(text, STREAMS_SCAN_DEPTH / 2, "[{\"a\":", "0", "}]"), true, true);
    expect(text, nest(text, STREAMS_SCAN_DEPTH / 2, "[{a:", "0", ",},]"), false, true);
    assert_false(is_ok(text, nest(text, STREAMS_SCAN_DEPTH / 2, "{\"a\":[", "", "}]"), 0));
    size_t len = nest(text, STREAMS_SCAN_DEPTH + 1, "[", "", "]");
    bool ok;
    assert_string_equal(scan_all(text, len, 0, &ok).why, "JSON nested too deeply");
    assert_false(ok);
}

/* --- errors --------------------------------------------------------------------------------------------------------- */

static void errors_say_why_and_where(void **state)
{
    static const struct {
        const char *text, *why;
        unsigned line, column;
    } rows[] = {
        {"", "Empty text", 1, 1},
        {" \n ", "Empty text", 2, 2},
        {"{", "Text ends within the JSON", 1, 2},
        {"{\"a\":1", "Text ends within the JSON", 1, 7},
        {"{\"a\" 1}", "Expected ':'", 1, 6},
        {"{\"a\"", "Expected ':'", 1, 5},
        {"{\"a\":}", "Expected a value", 1, 6},
        {"{\"a\":1 \"b\":2}", "Expected ',' or '}'", 1, 8},
        {"[1 2]", "Expected ',' or ']'", 1, 4},
        {"[1,]", "Expected a value", 1, 4},
        {"{\"a\":1,}", "Expected a member's name in quotes", 1, 8},
        {"{a:1}", "Expected a member's name in quotes", 1, 2},
        {"[01]", "Invalid number", 1, 2},
        {"{}\n{}", "Text behind the JSON", 2, 1},
        {"\"\xc3\xa4\xe2\x82\xac\n", "Control character in a string", 1, 4},
        {"[\n \"\\x\"]", "Invalid escape", 2, 3},
        {"\"\\ud800\"", "Escape of half a surrogate pair", 1, 2},
        {"\"\xff\"", "Invalid UTF-8", 1, 2},
        {"\"abc", "Text ends within a string", 1, 5},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool ok;
        unsigned line, column;
        struct streams_scan scan = scan_all(rows[i].text, strlen(rows[i].text), 0, &ok);
        assert_false(ok);
        streams_scan_where(&scan, &line, &column);
        assert_string_equal(scan.why, rows[i].why);
        assert_int_equal(line, rows[i].line);
        assert_int_equal(column, rows[i].column);
    }
    bool ok;
    assert_string_equal(scan_all("{@:1}", 5, LENIENT, &ok).why, "Expected a member's name");
}

/* --- content -------------------------------------------------------------------------------------------------------- */

static void content(void **state)
{
    static const struct {
        const char *text, *bare;
        size_t len;
    } rows[] = {
        {"\"\"", "", 0},
        {"\"abc\"", "abc", 3},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\\u0041\\u00e4\\u20ac\\uffff\"", "A\xc3\xa4\xe2\x82\xac\xef\xbf\xbf", 9},
        {"\"\\u007f\\u0080\\u07ff\\u0800\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", 8},
        {"\"\\ud83d\\uDE00!\"", "\xf0\x9f\x98\x80!", 5},
        {"\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
        {"'it\\'s \"it\"'", "it's \"it\"", 9},
        {"\"\xc3\xa4\\n\xe2\x82\xac\"", "\xc3\xa4\n\xe2\x82\xac", 6},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct streams_scan scan;
        streams_scan_init(&scan, rows[i].text, strlen(rows[i].text), LENIENT);
        assert_int_equal(streams_scan_next(&scan), STREAMS_SCAN_VALUE);
        expect_text(&scan.token, rows[i].bare, rows[i].len);
    }
}

static void compact(void **state)
{
    static const char *const rows[][2] = {
        {" { \"a\" : [ 1 , 2.50 , 1e400 ] } ", "{\"a\":[1,2.50,1e400]}"},
        {"[ \"a b\" , \" \\u0041\\n\\/ \" ]", "[\"a b\",\" \\u0041\\n\\/ \"]"},
        {"-0.0", "-0.0"},
        {" true ", "true"},
        {"\"a\\nb\"", "\"a\\nb\""},
        {"[\n]", "[]"},
        {"{\t}", "{}"},
        {"[[],[{},[]],{\"a\":{}}]", "[[],[{},[]],{\"a\":{}}]"},
        {"{a:1,'b':'c',\"d\":[1,],}", "{\"a\":1,\"b\":\"c\",\"d\":[1]}"},
        {"['it\\'s', '\"', '\\\"', '\\\\', '\\\\\\'']", "[\"it's\",\"\\\"\",\"\\\"\",\"\\\\\",\"\\\\'\"]"},
        {"'say \"hi\", it\\'s me'", "\"say \\\"hi\\\", it's me\""},
        {"{gr\xc3\xb6\xc3\x9f"
         "e:{-:1,$.:2}}",
         "{\"gr\xc3\xb6\xc3\x9f"
         "e\":{\"-\":1,\"$.\":2}}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct out out = compacted(rows[i][0], strlen(rows[i][0]), LENIENT);
        assert_int_equal(out.len, strlen(rows[i][1]));
        assert_memory_equal(out.at, rows[i][1], out.len);
        free(out.at);
    }
}

static void what_does_not_fit_overflows(void **state)
{
    static const char text[] = "{\"a\":['b\\n',1]}";
    (void)state;
    struct out whole = compacted(text, strlen(text), LENIENT);
    for (size_t cap = 0; cap < whole.len; cap++) {
        char memory[64];
        struct streams_scan scan;
        struct out out = out_init(memory, cap);
        streams_scan_init(&scan, text, strlen(text), LENIENT);
        streams_scan_next(&scan);
        assert_true(streams_scan_skip(&scan));
        streams_text_compact(&scan.token, &out);
        assert_true(out.overflow && out.len <= cap);
    }
    free(whole.at);
}

/* --- members -------------------------------------------------------------------------------------------------------- */

static bool scan_for(struct streams_member members[2], const char *text, unsigned flags,
                     struct streams_scan *scan, enum streams_kind_e *kind)
{
    members[0].name = "a";
    members[1].name = "b";
    streams_scan_init(scan, text, strlen(text), flags);
    return streams_text_scan(scan, members, 2, kind);
}

static void members_are_found(void **state)
{
    struct streams_member members[2];
    struct streams_scan scan;
    enum streams_kind_e kind;
    (void)state;
    assert_true(scan_for(members, "{\"c\":{\"a\":1},\"\\u0062\":[1,[2]] ,\"a\":\"x\"}", 0, &scan, &kind));
    assert_int_equal(kind, STREAMS_OBJECT);
    expect_text(&members[0].value, "x", 1);
    assert_int_equal(members[1].value.kind, STREAMS_ARRAY);
    assert_int_equal(members[1].value.len, 7);
    assert_memory_equal(members[1].value.at, "[1,[2]]", 7);
    assert_true(scan_for(members, "{ab:1,'\\u0061':-1.5 ,}", LENIENT, &scan, &kind));
    assert_int_equal(members[0].value.kind, STREAMS_NUMBER);
    assert_memory_equal(members[0].value.at, "-1.5", members[0].value.len);
    assert_int_equal(members[1].value.kind, STREAMS_ABSENT);
    assert_true(scan_for(members, "[{\"a\":1}]", 0, &scan, &kind));
    assert_int_equal(kind, STREAMS_ARRAY);
    assert_int_equal(members[0].value.kind, STREAMS_ABSENT);
    assert_true(scan_for(members, "\"a\"", 0, &scan, &kind));
    assert_int_equal(kind, STREAMS_STRING);
}

static void a_member_twice_is_refused(void **state)
{
    struct streams_member members[2];
    struct streams_scan scan;
    enum streams_kind_e kind;
    unsigned line, column;
    (void)state;
    assert_false(scan_for(members, "{\"a\":1,\n\"\\u0061\":1}", 0, &scan, &kind));
    assert_string_equal(scan.why, "Duplicate member");
    streams_scan_where(&scan, &line, &column);
    assert_int_equal(line, 2);
    assert_int_equal(column, 2);
    assert_false(scan_for(members, "{a:null,'a':1}", LENIENT, &scan, &kind));
    assert_true(scan_for(members, "{\"c\":1,\"c\":1,\"a\":{\"a\":1,\"a\":2}}", 0, &scan, &kind));
    assert_true(scan_for(members, "{\"a\":1,\"a\\u0000\":1,\"a \":1,\"A\":1,\"\":1}", 0, &scan, &kind));
}

/* --- jansson -------------------------------------------------------------------------------------------------------- */

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice = hash_u64(dice + 0x1234567);
    return (unsigned)(dice >> 20) % sides;
}

static void put_name(struct out *out, unsigned i)
{
    static const char *const names[] = {"\"a\":", "\"b\\u0062\" :", "\"\":", "\"\xc3\xa4\" : "};
    out_text(out, roll(20) == 0 ? "a:" : names[roll(8) == 0 ? 0 : i]);
}

static void put_value(struct out *out, unsigned levels)
{
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-1.50",
                                          "1e9",
                                          "\"\"",
                                          "\"a\\n\"",
                                          "\"\xc3\xa4\"",
                                          "'x'",
                                          "1e999",
                                          "\"b\"",
                                          "\"\\ud83d\\ude00\"",
                                          "\"\\u0000\"",
                                          "12345678901234567890"};
    bool object = roll(2);
    if (levels == 0 || roll(3) == 0) {
        out_text(out, scalars[roll(ARRAY_LEN(scalars))]);
        return;
    }
    out_char(out, object ? '{' : '[');
    for (unsigned i = 0, n = roll(4); i < n; i++) {
        if (i > 0)
            out_char(out, ',');
        if (object)
            put_name(out, i);
        if (roll(8) == 0)
            out_char(out, ' ');
        put_value(out, levels - 1);
    }
    out_char(out, object ? '}' : ']');
}

/* A few bytes changed, taken out, or doubled. */
static size_t spoil(char *text, size_t len)
{
    static const char pool[] = "{}[]\",:'\\u0e+-.10aft \n\x80\xc3\xff";
    for (unsigned n = roll(4); n > 0 && len > 1; n--) {
        size_t at = roll((unsigned)len);
        switch (roll(3)) {
        case 0:
            text[at] = pool[roll(sizeof pool)];
            break;
        case 1:
            memmove(text + at, text + at + 1, len - at - 1);
            len--;
            break;
        default:
            memmove(text + at + 1, text + at, len - at);
            len++;
        }
    }
    return len;
}

static void agrees_with_jansson(void **state)
{
    static char text[65536];
    unsigned good = 0, bad = 0, loose = 0;
    (void)state;
    dice = 1;
    for (unsigned round = 0; round < 20000; round++) {
        bool ok;
        struct out out = out_init(text, sizeof text - 8);
        put_value(&out, 5);
        size_t len = spoil(text, out.len);
        if (expect_like_jansson(text, len)) {
            expect_compact(text, len, 0);
            good++;
            continue;
        }
        scan_all(text, len, LENIENT, &ok);
        if (ok) {
            expect_compact(text, len, LENIENT);
            loose++;
        }
        bad++;
    }
    assert_true(good > 2000 && bad > 2000 && loose > 100);
}

/* --- figures -------------------------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t scan_ns(const char *text, size_t len, unsigned rounds, bool loose)
{
    uint64_t begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++) {
        bool ok;
        scan_all(text, len, loose ? LENIENT : STREAMS_SCAN_UTF8, &ok);
    }
    return cpu_ns() - begin;
}

/* Printed, not judged: what is judged is that hostile texts end at all, within the time limit of a test. */
static void figures(void **state)
{
    static const char send[] =
        "{\"ws_op\":\"send\",\"ws_msg\":\"{\\\"sensor\\\":17,\\\"temperature\\\":21.4,\\\"humidity\\\":40.2,"
        "\\\"at\\\":1732283128123,\\\"unit\\\":\\\"C\\\",\\\"ok\\\":true}\"}";
    static const char plain[] = "{\"ws_op\":\"send\",\"ws_msg\":"
                                "\"0123456789012345678901234567890123456789012345678901234567890123456789"
                                "0123456789012345678901234567890123456789012345678\"}";
    static const char *const hostile[][2] = {{"[", "[1],"},
                                             {"[", "\"\","},
                                             {"\"", "\\u0041"},
                                             {"\"", "\\\\"},
                                             {"'", "\\'"},
                                             {"\"", "\xc3\xa4"},
                                             {"{", "\"\":1,"},
                                             {"{", "a:1,"},
                                             {"{", "'a':1 , "},
                                             {"", "1"},
                                             {"", " "},
                                             {"[", "1, "},
                                             {"{", "\"ws_stream_i\\u0065\":1,"},
                                             {"[", "[[[[1]]]],"}};
    static char text[65536];
    (void)state;
    print_message("%zu bytes with escapes: %llu ns\n", sizeof send - 1,
                  (unsigned long long)scan_ns(send, sizeof send - 1, 100000, false) / 100000);
    print_message("%zu bytes without: %llu ns\n", sizeof plain - 1,
                  (unsigned long long)scan_ns(plain, sizeof plain - 1, 100000, false) / 100000);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct out out = out_init(text, sizeof text);
        out_text(&out, hostile[i][0]);
        while (!out.overflow)
            out_text(&out, hostile[i][1]);
        uint64_t ns = scan_ns(text, out.len, 20, true) / 20;
        print_message("64 KiB of %s: %.2f ns/byte\n", hostile[i][1], (double)ns / (double)out.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(cuts),
        cmocka_unit_test(bytes),
        cmocka_unit_test(utf8_is_checked_unless_known),
        cmocka_unit_test(levels_are_bounded),
        cmocka_unit_test(errors_say_why_and_where),
        cmocka_unit_test(content),
        cmocka_unit_test(compact),
        cmocka_unit_test(what_does_not_fit_overflows),
        cmocka_unit_test(members_are_found),
        cmocka_unit_test(a_member_twice_is_refused),
        cmocka_unit_test(agrees_with_jansson),
        cmocka_unit_test(figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
