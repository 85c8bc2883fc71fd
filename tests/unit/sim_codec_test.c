/* Framing of requests, and the status byte under both built-in profiles and one made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "must.h"
#include "sim_codec.h"

/* Decodes `chunks` (each one read), and writes the requests as "CC" or "CC:AA" separated by blanks. */
static const char *decode(struct sim_decoder *decoder, const uint8_t *bytes, size_t len, char *text)
{
    struct sim_request requests[16];
    size_t count = sim_decode(decoder, bytes, len, requests);
    assert_true(count <= len);
    char *at = text;
    *at = '\0';
    for (size_t i = 0; i < count; i++) {
        at += snprintf(at, 8, "%s%02x", i > 0 ? " " : "", requests[i].command);
        if (requests[i].has_argument)
            at += snprintf(at, 8, ":%02x", requests[i].argument);
    }
    return text;
}

#define DECODE(decoder, ...)                                                                                 \
    decode(decoder, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), text)

static void one_request_per_read(void **state)
{
    (void)state;
    char text[128];
    struct sim_decoder d = {0};
    assert_string_equal(DECODE(&d, 0x00), "00");
    assert_string_equal(DECODE(&d, 0x01, 0x07), "01:07");
    assert_string_equal(DECODE(&d, 0x01, 0x00), "01:00");
    assert_string_equal(DECODE(&d, 0x09), "09");
    assert_string_equal(DECODE(&d, 0x09, 0x05), "09:05");
}

static void a_moves_argument_may_come_later(void **state)
{
    (void)state;
    char text[128];
    struct sim_decoder d = {0};
    assert_string_equal(DECODE(&d, 0x01), "");
    assert_string_equal(DECODE(&d, 0x00), "01:00");
    assert_string_equal(DECODE(&d, 0x00, 0x01), "00");
    assert_string_equal(DECODE(&d, 0x01, 0x01), "01:01");
    assert_string_equal(DECODE(&d, 0x05), "01:05");
    assert_string_equal(DECODE(&d, 0x00), "00");
}

static void several_requests_in_one_read(void **state)
{
    (void)state;
    char text[128];
    struct sim_decoder d = {0};
    assert_string_equal(DECODE(&d, 0x00, 0x00, 0x01, 0x07, 0x00), "00 00 01:07 00");
    assert_string_equal(DECODE(&d, 0x02, 0x01, 0x07), "02:01 07");
    assert_string_equal(DECODE(&d, 0xff, 0xff, 0xff), "ff:ff ff");
}

static struct sim_machine machine_at_rest(void)
{
    static struct clock_manual clock;
    clock_manual_init(&clock, 1, 1);
    struct sim_machine machine;
    sim_machine_init(&machine, &clock.clock, 26, 400);
    return machine;
}

static void standard_shows_the_documents_examples(void **state)
{
    (void)state;
    const struct profile *standard = profile_builtin("standard");
    struct sim_machine m = machine_at_rest();
    assert_int_equal(sim_status_byte(&m, standard, 0xd0), 218);
    sim_machine_move(&m, 3);
    assert_int_equal(sim_status_byte(&m, standard, 0xd0), 219);
    assert_int_equal(sim_status_byte(&m, standard, 0x00), 0x0b);
}

static void listed_bits_ignore_the_unlisted_byte(void **state)
{
    (void)state;
    struct sim_machine m = machine_at_rest();
    const struct profile *standard = profile_builtin("standard");
    assert_int_equal(sim_status_byte(&m, standard, 0xff), 0xfa);
    assert_int_equal(sim_status_byte(&m, profile_builtin("delta-as"), 0xff),
                     sim_status_byte(&m, profile_builtin("delta-as"), 0x00));
}

/* Under any profile: what the profile can say is said exactly when it is true of the machine. */
static void expect_says(const struct profile *profile, const struct sim_machine *m, enum meaning_e meaning,
                        bool is)
{
    if (sim_profile_has(profile, meaning))
        assert_int_equal(profile_says(profile, sim_status_byte(m, profile, 0x5a), meaning), is);
}

static void check_all_meanings(const struct profile *profile)
{
    for (enum sim_condition_e c = 0; c < SIM_CONDITION_COUNT; c++) {
        struct sim_machine m = machine_at_rest();
        bool summed_up = !sim_profile_has(profile, sim_condition_meaning(c, true)) && c != SIM_MANUAL;
        expect_says(profile, &m, sim_condition_meaning(c, false), true);
        expect_says(profile, &m, MEANING_READY, true);
        sim_machine_set(&m, c, true);
        expect_says(profile, &m, sim_condition_meaning(c, true), true);
        expect_says(profile, &m, sim_condition_meaning(c, false), false);
        expect_says(profile, &m, MEANING_READY, c == SIM_MANUAL);
        expect_says(profile, &m, MEANING_NOT_READY, c != SIM_MANUAL);
        expect_says(profile, &m, MEANING_ALARM, c == SIM_ALARM || summed_up);
        expect_says(profile, &m, MEANING_STOPPED, true);
    }
    struct sim_machine m = machine_at_rest();
    expect_says(profile, &m, MEANING_UPWARD, true);
    sim_machine_move(&m, 25);
    expect_says(profile, &m, MEANING_MOVING, true);
    expect_says(profile, &m, MEANING_STOPPED, false);
    expect_says(profile, &m, MEANING_DOWNWARD, true);
}

static const struct profile reversed = {
    "reversed",
    1,
    4,
    {
        {"A", 7, {"", ""}, {MEANING_MOVING, MEANING_STOPPED}},
        {"B", 3, {"", ""}, {MEANING_ESTOP, MEANING_NO_ESTOP}},
        {"C", 5, {"", ""}, {MEANING_NONE, MEANING_DRIVE_FAULT}},
        {"D", 0, {"", ""}, {MEANING_NONE, MEANING_NONE}},
    },
};

static void every_profile_tells_the_truth(void **state)
{
    (void)state;
    check_all_meanings(profile_builtin("standard"));
    check_all_meanings(profile_builtin("delta-as"));
    check_all_meanings(&reversed);
}

static void a_one_sided_bit_keeps_the_unlisted_value(void **state)
{
    (void)state;
    struct sim_machine m = machine_at_rest();
    assert_int_equal(sim_status_byte(&m, &reversed, 0x00), 0x88);
    assert_int_equal(sim_status_byte(&m, &reversed, 0x21), 0xa9);
    sim_machine_set(&m, SIM_DRIVE_FAULT, true);
    assert_int_equal(sim_status_byte(&m, &reversed, 0x00), 0xa8);
}

static void delta_as_at_rest(void **state)
{
    (void)state;
    struct sim_machine m = machine_at_rest();
    assert_int_equal(sim_status_byte(&m, profile_builtin("delta-as"), 0xd0), 0x14); /* remote, no e-stop */
}

static void standard_sums_up_as_alarm(void **state)
{
    (void)state;
    struct sim_machine m = machine_at_rest();
    sim_machine_set(&m, SIM_ESTOP, true);
    assert_int_equal(sim_status_byte(&m, profile_builtin("standard"), 0x00),
                     0x0c); /* remote, alarm, not ready */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_per_read),
        cmocka_unit_test(a_moves_argument_may_come_later),
        cmocka_unit_test(several_requests_in_one_read),
        cmocka_unit_test(standard_shows_the_documents_examples),
        cmocka_unit_test(listed_bits_ignore_the_unlisted_byte),
        cmocka_unit_test(every_profile_tells_the_truth),
        cmocka_unit_test(a_one_sided_bit_keeps_the_unlisted_value),
        cmocka_unit_test(delta_as_at_rest),
        cmocka_unit_test(standard_sums_up_as_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
