/* profile_lint: every rule of profile_lint.h, each with a profile that breaks it and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"
#include "must.h"
#include "profile_lint.h"

static char found[4096]; /* "E bits[1].one.meaning: text\n" */

static void collect(void *arg, const struct profile_finding *finding)
{
    (void)arg;
    static const char *const values[] = {"zero.", "one."};
    char place[32] = "";
    size_t len = strlen(found);
    if (finding->bit >= 0)
        snprintf(place, sizeof place, "bits[%d].", finding->bit);
    snprintf(found + len, sizeof found - len, "%c %s%s%s: %s\n", finding->error ? 'E' : 'W', place,
             finding->value >= 0 ? values[finding->value] : "", finding->member, finding->text);
}

static struct profile good(void)
{
    return (struct profile){
        "mine",
        1,
        3,
        {{"RUN", 0, {"stands", "moves"}, {MEANING_STOPPED, MEANING_MOVING}},
         {"MODE", 1, {"local", "remote"}, {MEANING_MANUAL, MEANING_REMOTE}},
         {"LAMP", 7, {"off", "on"}, {MEANING_NONE, MEANING_NONE}}},
    };
}

static void says(const struct profile *profile, const char *expected)
{
    found[0] = '\0';
    bool fine = profile_lint(profile, collect, NULL);
    assert_string_equal(found, expected);
    assert_int_equal(fine, strstr(found, "E ") == NULL);
    assert_int_equal(fine, profile_lint(profile, NULL, NULL));
}

static void good_profiles_pass(void **state)
{
    (void)state;
    struct profile profile = good();
    says(&profile, "");
    for (size_t i = 0; profile_builtin_at(i) != NULL; i++)
        says(profile_builtin_at(i), "");
}

static void names(void **state)
{
    (void)state;
    struct profile profile = good();
    profile.name = "standard";
    says(&profile, "E name: standard is built in; give yours another name\n");
    profile.name = "";
    says(&profile, "E name: nothing found, expected a text\n");
    profile.name = NULL;
    says(&profile, "E name: nothing found, expected a text\n");
}

static void numbers_of_bits(void **state)
{
    (void)state;
    struct profile profile = good();
    profile.bit_count = 0;
    says(&profile, "E bits: 0 bits found, expected 1 to 8\n");
    profile.bit_count = 9;
    says(&profile, "E bits: 9 bits found, expected 1 to 8\n");
}

static void keys_and_bits_are_unique(void **state)
{
    (void)state;
    struct profile profile = good();
    profile.bits[2].key = "RUN";
    says(&profile, "E bits[2].key: RUN is the key of bits[0] too\n");
    profile = good();
    profile.bits[2].bit = 1;
    says(&profile, "E bits[2].bit: 1 is the bit of bits[1] too\n");
    profile.bits[2].bit = 8;
    says(&profile, "E bits[2].bit: 8 is no bit of a byte (0 to 7)\n");
}

static void texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fault;
    } table[] = {
        {NULL, "nothing found, expected a text"},
        {"", "nothing found, expected a text"},
        {"a\nb", "holds a control character"},
        {"\x7f", "holds a control character"},
        {"\xc2\x85", "holds a control character"},  /* U+0085 */
        {"\xc3", "is not valid UTF-8"},             /* cut */
        {"\x80", "is not valid UTF-8"},             /* no beginning */
        {"\xc0\xaf", "is not valid UTF-8"},         /* overlong */
        {"\xe0\x9f\xbf", "is not valid UTF-8"},     /* overlong */
        {"\xf0\x8f\xbf\xbf", "is not valid UTF-8"}, /* overlong */
        {"\xed\xa0\x80", "is not valid UTF-8"},     /* surrogate */
        {"\xf4\x90\x80\x80", "is not valid UTF-8"}, /* above U+10FFFF */
        {"\xff", "is not valid UTF-8"},
        {"El equipo está listo", NULL},
        {"\xc2\xa0", NULL},
        {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xf0\x90\x80\x80", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct profile profile = good();
        char expected[200] = "";
        profile.bits[1].text[1] = table[i].text;
        if (table[i].fault != NULL)
            snprintf(expected, sizeof expected, "E bits[1].one.text: %s\n", table[i].fault);
        says(&profile, expected);
        profile = good();
        profile.bits[2].key = table[i].text;
        if (table[i].fault != NULL)
            snprintf(expected, sizeof expected, "E bits[2].key: %s\n", table[i].fault);
        says(&profile, expected);
    }
    struct profile profile = good();
    profile.bits[2].text[1] = "off";
    says(&profile, "W bits[2].key: shows the same text for 0 and for 1\n");
}

static void meanings_come_in_pairs(void **state)
{
    (void)state;
    struct profile profile = good();
    profile.bits[0].meaning[0] = MEANING_MOVING;
    says(&profile, "E bits[0].one.meaning: 0 and 1 both say moving\n");
    profile.bits[0].meaning[0] = MEANING_NONE;
    says(&profile, "E bits[0].zero.meaning: says none, expected stopped, because 1 says moving\n");
    profile.bits[0].meaning[0] = MEANING_ALARM;
    says(&profile, "E bits[0].one.meaning: says moving, expected no_alarm, because 0 says alarm\n");
    profile.bits[0].meaning[0] = MEANING_COUNT;
    says(&profile, "E bits[0].zero.meaning: is no meaning that Noria knows\n");
    profile = good();
    profile.bits[2].meaning[1] = MEANING_ESTOP;
    says(&profile, "E bits[2].zero.meaning: says none, expected no_estop, because 1 says estop\n");
    profile.bits[2].meaning[1] = MEANING_ALARM;
    says(&profile, "E bits[2].zero.meaning: says none, expected no_alarm, because 1 says alarm\n");
    assert_int_equal(meaning_opposite(MEANING_NONE), MEANING_NONE);
    for (int m = 1; m < MEANING_COUNT; m++) {
        enum meaning_e opposite = meaning_opposite((enum meaning_e)m);
        assert_int_not_equal(opposite, m);
        assert_int_equal(meaning_opposite(opposite), m);
    }
}

/* One bit for moving up, one for moving down: fine, as long as none of them says "stopped". */
static void several_bits_say_one_half(void **state)
{
    (void)state;
    struct profile profile = good();
    profile.bits[0].meaning[0] = MEANING_NONE;
    profile.bits[2].meaning[1] = MEANING_MOVING;
    says(&profile, "");
    profile.bits[0].meaning[0] = MEANING_STOPPED;
    says(&profile,
         "E bits[2].one.meaning: moving contradicts bits[0], which says stopped: a byte could say both\n");
}

static void what_lacks_is_a_warning(void **state)
{
    (void)state;
    struct profile profile = good();
    profile.bits[0].meaning[0] = profile.bits[0].meaning[1] = MEANING_NONE;
    says(&profile, "W bits: no bit says moving: a move counts as done as soon as its position is reached\n");
    profile = good();
    profile.bits[1].meaning[0] = profile.bits[1].meaning[1] = MEANING_NONE;
    says(&profile, "W bits: no bit says manual, alarm, estop, drive_fault or positioning_error: no state "
                   "forbids a move\n");
}

/* The longest state text must fit to the byte; quotes count twice, because JSON escapes them. */
static void the_size_is_bounded(void **state)
{
    (void)state;
    static char text[MACHINE_TEXT_MAX + 1];
    struct profile profile = good();
    char memory[2 * MACHINE_TEXT_MAX];
    struct machine_state longest = {CONNECTION_DISCONNECTED, true, 0xfe, 255, 0}; /* "stands" is longer */
    struct out out = out_init(memory, sizeof memory);
    profile.bits[2].text[1] = "";
    machine_state_text(&longest, &profile, &out);
    size_t room = MACHINE_TEXT_MAX - out.len;
    profile.bits[2].text[1] = text;
    memset(text, 'x', room);
    says(&profile, "");
    text[room] = 'x';
    says(&profile, "E bits: the state of byte 130 would be longer than 1280 bytes: shorten keys and texts\n");
    text[room] = '\0';
    text[0] = '"';
    says(&profile, "E bits: the state of byte 130 would be longer than 1280 bytes: shorten keys and texts\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_profiles_pass),
        cmocka_unit_test(names),
        cmocka_unit_test(numbers_of_bits),
        cmocka_unit_test(keys_and_bits_are_unique),
        cmocka_unit_test(texts),
        cmocka_unit_test(meanings_come_in_pairs),
        cmocka_unit_test(several_bits_say_one_half),
        cmocka_unit_test(what_lacks_is_a_warning),
        cmocka_unit_test(the_size_is_bounded),
    };
    return cmocka_run_group_tests_name("profile_lint", tests, NULL, NULL);
}
