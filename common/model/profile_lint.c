/* profile_lint.c — see profile_lint.h. */
#include "profile_lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "must.h"
#include "utf8.h"

static const enum meaning_e pairs[][2] = {
    {MEANING_READY, MEANING_NOT_READY},
    {MEANING_STOPPED, MEANING_MOVING},
    {MEANING_REMOTE, MEANING_MANUAL},
    {MEANING_NO_ALARM, MEANING_ALARM},
    {MEANING_NO_ESTOP, MEANING_ESTOP},
    {MEANING_DRIVE_OK, MEANING_DRIVE_FAULT},
    {MEANING_POSITIONING_OK, MEANING_POSITIONING_ERROR},
    {MEANING_UPWARD, MEANING_DOWNWARD},
};
_Static_assert(1 + 2 * ARRAY_LEN(pairs) == MEANING_COUNT, "every meaning stands in a pair");

struct linting {
    const struct profile *profile;
    profile_finding_f *report;
    void *arg;
    bool fine;
};

__attribute__((format(printf, 6, 7))) static void find(struct linting *lint, bool error, int bit, int value,
                                                       const char *member, const char *fmt, ...)
{
    struct profile_finding finding = {.error = error, .bit = bit, .value = value, .member = member};
    va_list args;
    va_start(args, fmt);
    vsnprintf(finding.text, sizeof finding.text, fmt, args);
    va_end(args);
    lint->fine &= !error;
    if (lint->report != NULL)
        lint->report(lint->arg, &finding);
}

enum meaning_e meaning_opposite(enum meaning_e meaning)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        for (unsigned half = 0; half < 2; half++)
            if (pairs[i][half] == meaning)
                return pairs[i][1 - half];
    return MEANING_NONE;
}

/* --- texts ------------------------------------------------------------------------------------------------------ */

/* NULL: a text that may be shown. */
static const char *fault_of(const char *text)
{
    if (text == NULL || *text == '\0')
        return "nothing found, expected a text";
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);
    for (size_t step; at < end; at += step) {
        step = utf8_step((const char *)at, (size_t)(end - at));
        if (step == 0)
            return "is not valid UTF-8";
        if (*at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0))
            return "holds a control character";
    }
    return NULL;
}

static void lint_texts(struct linting *lint, int b)
{
    const struct profile_bit *bit = &lint->profile->bits[b];
    const char *fault = fault_of(bit->key);
    if (fault != NULL)
        find(lint, true, b, -1, "key", "%s", fault);
    for (int value = 0; value < 2; value++) {
        fault = fault_of(bit->text[value]);
        if (fault != NULL)
            find(lint, true, b, value, "text", "%s", fault);
    }
    if (bit->text[0] != NULL && bit->text[1] != NULL && strcmp(bit->text[0], bit->text[1]) == 0)
        find(lint, false, b, -1, "key", "shows the same text for 0 and for 1");
}

static void lint_unique(struct linting *lint, int b)
{
    const struct profile_bit *bits = lint->profile->bits;
    if (bits[b].bit > 7)
        find(lint, true, b, -1, "bit", "%u is no bit of a byte (0 to 7)", bits[b].bit);
    for (int other = 0; other < b; other++) {
        if (bits[other].bit == bits[b].bit)
            find(lint, true, b, -1, "bit", "%u is the bit of bits[%d] too", bits[b].bit, other);
        if (bits[other].key != NULL && bits[b].key != NULL && strcmp(bits[other].key, bits[b].key) == 0)
            find(lint, true, b, -1, "key", "%.64s is the key of bits[%d] too", bits[b].key, other);
    }
}

/* --- meanings --------------------------------------------------------------------------------------------------- */

static bool speaks_of(const struct profile_bit *bit, enum meaning_e half)
{
    return half != MEANING_NONE && (bit->meaning[0] == half || bit->meaning[1] == half);
}

/* The only bit that speaks of the pair must tell both halves. */
static void lint_half(struct linting *lint, int b, int value, enum meaning_e half)
{
    const struct profile_bit *bit = &lint->profile->bits[b];
    enum meaning_e opposite = meaning_opposite(half);
    if (bit->meaning[1 - value] == opposite)
        return;
    for (int other = 0; other < lint->profile->bit_count; other++)
        if (other != b && (speaks_of(&lint->profile->bits[other], half) ||
                           speaks_of(&lint->profile->bits[other], opposite)))
            return;
    find(lint, true, b, 1 - value, "meaning", "says %s, expected %s, because %d says %s",
         meaning_text(bit->meaning[1 - value]), meaning_text(opposite), value, meaning_text(half));
}

/* A bit before this one that says the opposite: as bits are independent, some byte would say both. */
static void lint_contradiction(struct linting *lint, int b, int value, enum meaning_e half)
{
    enum meaning_e opposite = meaning_opposite(half);
    for (int other = 0; other < b; other++) {
        if (!speaks_of(&lint->profile->bits[other], opposite))
            continue;
        find(lint, true, b, value, "meaning", "%s contradicts bits[%d], which says %s: a byte could say both",
             meaning_text(half), other, meaning_text(opposite));
        return;
    }
}

static void lint_meanings(struct linting *lint, int b)
{
    const struct profile_bit *bit = &lint->profile->bits[b];
    enum meaning_e zero = bit->meaning[0], one = bit->meaning[1];
    for (int value = 0; value < 2; value++) {
        if ((unsigned)bit->meaning[value] >= MEANING_COUNT) {
            find(lint, true, b, value, "meaning", "is no meaning that Noria knows");
            return;
        }
    }
    if (zero == one && zero != MEANING_NONE) {
        find(lint, true, b, 1, "meaning", "0 and 1 both say %s", meaning_text(zero));
        return;
    }
    if (zero != MEANING_NONE && one != MEANING_NONE && meaning_opposite(zero) != one) {
        find(lint, true, b, 1, "meaning", "says %s, expected %s, because 0 says %s", meaning_text(one),
             meaning_text(meaning_opposite(zero)), meaning_text(zero));
        return;
    }
    for (int value = 0; value < 2; value++) {
        if (bit->meaning[value] == MEANING_NONE)
            continue;
        lint_half(lint, b, value, bit->meaning[value]);
        lint_contradiction(lint, b, value, bit->meaning[value]);
    }
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static bool says_anywhere(const struct profile *profile, enum meaning_e meaning)
{
    for (unsigned b = 0; b < profile->bit_count; b++)
        if (speaks_of(&profile->bits[b], meaning))
            return true;
    return false;
}

static void lint_what_lacks(struct linting *lint)
{
    const struct profile *profile = lint->profile;
    static const enum meaning_e forbidding[] = {MEANING_MANUAL, MEANING_ALARM, MEANING_ESTOP,
                                                MEANING_DRIVE_FAULT, MEANING_POSITIONING_ERROR};
    bool forbids = false;
    for (size_t i = 0; i < ARRAY_LEN(forbidding); i++)
        forbids |= says_anywhere(profile, forbidding[i]);
    if (!says_anywhere(profile, MEANING_MOVING))
        find(lint, false, -1, -1, "bits",
             "no bit says moving: a move counts as done as soon as its position is reached");
    if (!forbids)
        find(lint, false, -1, -1, "bits",
             "no bit says manual, alarm, estop, drive_fault or positioning_error: no state forbids a move");
}

static void lint_size(struct linting *lint)
{
    char memory[MACHINE_TEXT_MAX];
    for (unsigned raw = 0; raw < 256; raw++) {
        struct machine_state longest = {CONNECTION_DISCONNECTED, true, (uint8_t)raw, UINT8_MAX, 0};
        struct out out = out_init(memory, sizeof memory);
        machine_state_text(&longest, lint->profile, &out);
        if (!out.overflow)
            continue;
        find(lint, true, -1, -1, "bits",
             "the state of byte %u would be longer than %u bytes: shorten keys and texts", raw,
             MACHINE_TEXT_MAX);
        return;
    }
}

bool profile_lint(const struct profile *profile, profile_finding_f *report, void *arg)
{
    struct linting lint = {profile, report, arg, true};
    const char *fault = fault_of(profile->name);
    if (fault != NULL)
        find(&lint, true, -1, -1, "name", "%s", fault);
    else if (profile_builtin(profile->name) != NULL && profile_builtin(profile->name) != profile)
        find(&lint, true, -1, -1, "name", "%.32s is built in; give yours another name", profile->name);
    if (profile->bit_count == 0 || profile->bit_count > PROFILE_BITS_MAX) {
        find(&lint, true, -1, -1, "bits", "%u bits found, expected 1 to %d", profile->bit_count,
             PROFILE_BITS_MAX);
        return false;
    }
    for (int b = 0; b < profile->bit_count; b++) {
        lint_texts(&lint, b);
        lint_unique(&lint, b);
        lint_meanings(&lint, b);
    }
    lint_what_lacks(&lint);
    if (lint.fine) /* texts may be missing otherwise */
        lint_size(&lint);
    return lint.fine;
}
