/* log_test.c — log lines: what is a key and what is quoted, JSON whatever is said, budgets, and the copy for black boxes. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "must.h"
#include "utf8.h"

static struct clock_manual now;
static FILE *caught;
static int real_stderr;
static char text[1 << 20];

static int catch_lines(void **state)
{
    (void)state;
    clock_manual_init(&now, 1000 * NS_PER_S, 1763789607120ULL); /* 2025-11-22T05:33:27.120Z */
    log_clock(&now.clock);
    log_init("worker.0", LOG_INFO);
    log_format(LOG_TEXT);
    caught = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    return caught != NULL && dup2(fileno(caught), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int let_go(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fclose(caught);
    log_tee(NULL, 0);
    log_clock(NULL);
    return 0;
}

/* What was logged since the last call. */
static const char *said(void)
{
    off_t end = lseek(fileno(caught), 0, SEEK_END);
    assert_true(end >= 0 && (size_t)end < sizeof text);
    assert_int_equal(pread(fileno(caught), text, (size_t)end, 0), end);
    text[end] = '\0';
    assert_int_equal(ftruncate(fileno(caught), 0), 0);
    lseek(fileno(caught), 0, SEEK_SET);
    return text;
}

static json_t *said_json(void)
{
    const char *line = said();
    size_t len = strlen(line);
    assert_true(len > 0 && len <= LOG_JSON_MAX && line[len - 1] == '\n');
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    json_error_t error;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        fail_msg("%s at %d in %s", error.text, error.position, line);
    return object;
}

static void assert_member(json_t *object, const char *key, const char *value)
{
    const char *is = json_string_value(json_object_get(object, key));
    assert_non_null(is);
    assert_string_equal(is, value);
}

#define STAMP "2025-11-22T05:33:27.120Z "

/* --- lines ------------------------------------------------------------------------------------------------------------- */

static void text_is_the_line_that_was_said(void **state)
{
    (void)state;
    log_warn("agent-lost", "machine=%s reason=\"%s\"", "lift-1", "socket closed");
    assert_string_equal(said(), STAMP "warn  worker.0 agent-lost machine=lift-1 reason=\"socket closed\"\n");
    log_info("bare", "%s", "");
    assert_string_equal(said(), STAMP "info  worker.0 bare\n");
    log_debug("silent", "no");
    assert_string_equal(said(), "");
    errno = ENOENT;
    log_error("many",
              "%d %5d|%-5d|%05d %+d %u %x %#X %o %c %% %p %ld %lld %zu %" PRIu64 " %" PRId64
              " %hhu %.3s %*d %.*s "
              "%.2f %g %m",
              -1, 42, 42, 42, 42, 7u, 255u, 255u, 8u, 'c', (void *)0x10, 5L, -6LL, (size_t)7, UINT64_MAX,
              INT64_MIN, (unsigned char)200, "abcdef", 4, 9, 2, "xyz", 1.5, 0.25);
    assert_string_equal(
        said(), STAMP
        "error worker.0 many -1    42|42   |00042 +42 7 ff 0XFF 10 c % 0x10 5 -6 7 18446744073709551615 "
        "-9223372036854775808 200 abc    9 xy 1.50 0.25 No such file or directory\n");
}

static void one_event_is_one_line(void **state)
{
    (void)state;
    log_info("quote", "reason=\"%s\"", "a\nb\rc\x1b[2Jd\x7f\xc2\x9b\xff\xc3\xb1");
    assert_string_equal(said(), STAMP "info  worker.0 quote reason=\"a?b?c?[2Jd????\xc3\xb1\"\n");
    char huge[3000];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    log_info("huge", "a=%s b=2", huge);
    assert_int_equal(strlen(said()), LOG_LINE_MAX);
}

static void json_tells_numbers_strings_and_words_apart(void **state)
{
    (void)state;
    log_format(LOG_JSON);
    log_warn("many",
             "slot=%u negative=%d half=%.1f hex=%08x id=%s odd=%02d session=%d.%d name=\"%s\" free words %s",
             7u, -3, 0.5, 0xbeefu, "42", 5, 3, 17, "a b", "and more");
    json_t *line = said_json();
    assert_member(line, "time", "2025-11-22T05:33:27.120Z");
    assert_member(line, "level", "warn");
    assert_member(line, "process", "worker.0");
    assert_member(line, "event", "many");
    assert_int_equal(json_integer_value(json_object_get(line, "slot")), 7);
    assert_int_equal(json_integer_value(json_object_get(line, "negative")), -3);
    assert_true(json_real_value(json_object_get(line, "half")) == 0.5);
    assert_member(line, "hex", "0000beef");
    assert_member(line, "id", "42"); /* a machine may be called so */
    assert_member(line, "odd", "05");
    assert_member(line, "session", "3.17"); /* worker and serial: no fraction */
    assert_member(line, "name", "a b");
    assert_member(line, "text", "free words and more");
    json_decref(line);
}

static void nobody_forges_a_key(void **state)
{
    (void)state;
    const char *evil = "x\" admin=\"yes\" machine=other \"";
    log_format(LOG_JSON);
    log_info("said", "machine=%s reason=\"%s\" peer=%s", evil, evil, evil);
    json_t *line = said_json();
    assert_int_equal(json_object_size(line), 7);
    assert_member(line, "machine", evil);
    assert_member(line, "reason", evil);
    assert_member(line, "peer", evil);
    json_decref(line);
    log_info("said", "%s", "time=0 level=9");
    line = said_json();
    assert_member(line, "text", "time=0 level=9");
    json_decref(line);
    log_info("again", "a=%d a=%d time=%d text=%s more", 1, 2, 3, "t"); /* our own mistake: nothing is lost */
    line = said_json();
    assert_int_equal(json_integer_value(json_object_get(line, "a")), 1);
    assert_int_equal(json_integer_value(json_object_get(line, "a_2")), 2);
    assert_int_equal(json_integer_value(json_object_get(line, "time_2")), 3);
    assert_member(line, "text_2", "t");
    assert_member(line, "text", "more");
    json_decref(line);
}

/* As JSON has to show these bytes: what is no UTF-8 as U+FFFD. */
static const char *repaired(const char *bytes, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0, step; i < len; i += step == 0 ? 1 : step) {
        step = utf8_step(bytes + i, len - i);
        memcpy(out + n, step == 0 ? "\xef\xbf\xbd" : bytes + i, step == 0 ? 3 : step);
        n += step == 0 ? 3 : step;
    }
    out[n] = '\0';
    return out;
}

static void json_stays_json_whatever_is_quoted(void **state)
{
    (void)state;
    static const char *const bits[] = {"\"",       "\\",   "\n", "\xff",    "\xc3\xb1", "\xed\xa0\x80",
                                       "=",        " ",    "}",  "k=\"v\"", "\x01",     "\xf0\x9f\x98\x80",
                                       "\xe2\x82", "\x7f", "a",  "\xc2\x80"};
    uint32_t random = 1;
    log_format(LOG_JSON);
    for (int round = 0; round < 3000; round++) {
        char quoted[400] = "", fixed[1300];
        for (int i = 0, n = round % 40; i < n; i++) {
            random = random * 1664525u + 1013904223u;
            strcat(quoted, bits[(random >> 16) % ARRAY_LEN(bits)]);
        }
        now.mono_now_ns += NS_PER_S;
        log_info("hostile", "bare=%s number=%d quoted=\"%s\" tail %s", quoted, round, quoted, quoted);
        json_t *line = said_json();
        repaired(quoted, strlen(quoted), fixed);
        assert_int_equal(json_integer_value(json_object_get(line, "number")), round);
        assert_member(line, "bare", fixed);
        assert_member(line, "quoted", fixed);
        assert_int_equal(json_object_size(line), 8);
        json_decref(line);
    }
}

static void json_that_is_too_long_is_cut_inside_a_value(void **state)
{
    (void)state;
    char huge[2000];
    log_format(LOG_JSON);
    for (size_t len = 800; len < sizeof huge; len += 7) {
        memset(huge, len % 2 == 0 ? '\x01' : '"', len);
        huge[len] = '\0';
        now.mono_now_ns += NS_PER_S;
        log_info("huge", "first=%d value=\"%s\" last=%d", 1, huge, 2);
        json_t *line = said_json();
        assert_int_equal(json_integer_value(json_object_get(line, "first")), 1);
        assert_true(json_string_length(json_object_get(line, "value")) > 100);
        json_decref(line);
    }
    log_fatal("fatal-signal", "where", "one\ntwo \"three\"\n");
    json_t *line = said_json();
    assert_member(line, "where", "one two \"three\"");
    json_decref(line);
}

static void more_fields_than_there_is_room_for_lose_no_line(void **state)
{
    (void)state;
    log_format(LOG_JSON);
    log_info(
        "wide",
        "a=%d b=%d c=%d d=%d e=%d f=%d g=%d h=%d i=%d j=%d k=%d l=%d m=%d n=%d o=%d p=%d q=%d r=%d s=%d t=%d "
        "u=%d v=%d w=%d x=%d y=%d z=%d",
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26);
    json_t *line = said_json();
    assert_int_equal(json_integer_value(json_object_get(line, "x")), 24);
    assert_null(json_object_get(line, "z"));
    json_decref(line);
}

/* --- budgets ----------------------------------------------------------------------------------------------------------- */

static unsigned lines_of(const char *lines, const char *with)
{
    unsigned n = 0;
    for (const char *at = lines; (at = strstr(at, with)) != NULL; at++)
        n++;
    return n;
}

static void say_often(const char *event, int times)
{
    for (int i = 0; i < times; i++)
        log_info(event, "number=%d", i);
}

static void after_grace(void)
{
    log_info("first", "%s", "");
    clock_manual_advance_ns(&now, LOG_GRACE_NS);
    said();
}

static void an_event_has_its_budget_and_the_rest_is_told_once(void **state)
{
    (void)state;
    after_grace();
    say_often("storm", 100);
    assert_int_equal(lines_of(said(), " storm "), LOG_BUDGET_LINES);
    say_often("other", 3); /* has one of its own */
    assert_int_equal(lines_of(said(), " other "), 3);
    clock_manual_advance_ns(&now, LOG_BUDGET_NS - 1);
    say_often("storm", 1);
    assert_string_equal(said(), "");
    clock_manual_advance_ns(&now, 1);
    say_often("storm", 1);
    assert_non_null(strstr(said(), " storm number=0 suppressed=81\n"));
    say_often("storm", 1);
    assert_null(strstr(said(), "suppressed"));
}

static void another_event_tells_what_was_suppressed(void **state)
{
    (void)state;
    after_grace();
    log_format(LOG_JSON);
    say_often("storm", 25);
    said();
    clock_manual_advance_ns(&now, LOG_BUDGET_NS);
    say_often("calm", 1);
    const char *lines = said();
    assert_non_null(strstr(lines, "\"event\":\"log-suppressed\",\"of\":\"storm\",\"suppressed\":5}\n"));
    assert_int_equal(lines_of(lines, "\n"), 2);
    say_often("calm", 1);
    assert_int_equal(lines_of(said(), "\n"), 1);
}

static void start_and_stop_are_told_in_full(void **state)
{
    (void)state;
    say_often("starting", 500);
    assert_int_equal(lines_of(said(), " starting "), 500);
    clock_manual_advance_ns(&now, LOG_GRACE_NS);
    say_often("running", 500);
    assert_int_equal(lines_of(said(), " running "), LOG_BUDGET_LINES);
    log_stopping();
    say_often("ending", 500);
    const char *lines = said();
    assert_int_equal(lines_of(lines, " ending "), 500);
    assert_non_null(strstr(lines, "log-suppressed of=running suppressed=480\n"));
    say_often("ending", 5000); /* bounded, too */
    assert_true(lines_of(said(), " ending ") < 2000);
}

static void a_start_that_does_not_end_is_bounded(void **state)
{
    (void)state;
    say_often("loop", 10000);
    assert_int_equal(lines_of(said(), " loop "), LOG_GRACE_LINES + LOG_BUDGET_LINES);
}

static void more_events_than_budgets_share_one(void **state)
{
    (void)state;
    after_grace();
    for (int i = 0; i < 300; i++) {
        char name[24];
        snprintf(name, sizeof name, "event-%d", i);
        say_often(name, 1);
    }
    unsigned lines = lines_of(said(), "\n");
    assert_true(lines >= 100 && lines <= 128 + LOG_BUDGET_LINES);
}

/* --- the copy ---------------------------------------------------------------------------------------------------------- */

static void every_line_is_copied_and_the_last_are_kept(void **state)
{
    (void)state;
    _Alignas(8) static char memory[1024 + 16];
    char out[2048], all[16384] = "";
    memset(memory, 0, sizeof memory);
    log_tee(memory, sizeof memory);
    for (int i = 0; i < 100; i++) {
        log_info("copied", "number=%d text=\"%.*s\"", i, i % 60,
                 "........................................................");
        strcat(all, said());
        size_t len = log_tee_read(memory, sizeof memory, out, sizeof out), end = strlen(all);
        assert_true(len > 0 && len <= 1024 && len <= end);
        assert_string_equal(out, all + end - len);
        assert_true(len == end || all[end - len - 1] == '\n');
    }
    size_t some = log_tee_read(memory, sizeof memory, out, 200);
    assert_true(some > 0 && some < 200 && out[some - 1] == '\n');
    assert_string_equal(out, all + strlen(all) - some);
    log_tee(NULL, 0);
    log_info("uncopied", "%s", "");
    log_tee_read(memory, sizeof memory, out, sizeof out);
    assert_null(strstr(out, "uncopied"));
}

static void printable_keeps_text_and_length(void **state)
{
    (void)state;
    char bytes[] = "a\xc3\xb1\n\x1b\x7f\xc2\x85\xff\xe2\x82";
    size_t len = sizeof bytes - 1;
    utf8_make_printable(bytes, len, true);
    assert_string_equal(bytes, "a\xc3\xb1\n???????");
    utf8_make_printable(bytes, len, false);
    assert_string_equal(bytes, "a\xc3\xb1????????");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, catch_lines, let_go)
    const struct CMUnitTest tests[] = {
        TEST(text_is_the_line_that_was_said),
        TEST(one_event_is_one_line),
        TEST(json_tells_numbers_strings_and_words_apart),
        TEST(nobody_forges_a_key),
        TEST(json_stays_json_whatever_is_quoted),
        TEST(json_that_is_too_long_is_cut_inside_a_value),
        TEST(more_fields_than_there_is_room_for_lose_no_line),
        TEST(an_event_has_its_budget_and_the_rest_is_told_once),
        TEST(another_event_tells_what_was_suppressed),
        TEST(start_and_stop_are_told_in_full),
        TEST(a_start_that_does_not_end_is_bounded),
        TEST(more_events_than_budgets_share_one),
        TEST(every_line_is_copied_and_the_last_are_kept),
        TEST(printable_keeps_text_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
