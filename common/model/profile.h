/* profile.h — what a PLC's status byte means, as data.
 *
 * A profile lists for each bit it knows the key that clients see and, for 0 and for 1, a text and a meaning. Order of
 * `bits` is the order of keys in JSON. Interlocks, completion of moves and alarms look only at meanings, never at bit
 * numbers or texts, so that a new machine type is a new table and no new code.
 *
 * A profile of the user's (common/conf) goes through profile_lint.h before anybody decodes with it.
 *
 * Built in: "standard" (the four keys of the carousel API's documents; 218 and 219 are its two examples) and
 * "delta-as" (eight keys of a Delta AS series PLC as found in the field).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

#define PROFILE_NAME_MAX 32 /* bytes without the NUL */
#define PROFILE_BITS_MAX 8

#define MEANING_TABLE(X)                                                                                     \
    X(NONE, "none")                                                                                          \
    X(READY, "ready")                                                                                        \
    X(NOT_READY, "not_ready")                                                                                \
    X(STOPPED, "stopped")                                                                                    \
    X(MOVING, "moving")                                                                                      \
    X(REMOTE, "remote")                                                                                      \
    X(MANUAL, "manual")                                                                                      \
    X(NO_ALARM, "no_alarm")                                                                                  \
    X(ALARM, "alarm")                                                                                        \
    X(NO_ESTOP, "no_estop")                                                                                  \
    X(ESTOP, "estop")                                                                                        \
    X(DRIVE_OK, "drive_ok")                                                                                  \
    X(DRIVE_FAULT, "drive_fault")                                                                            \
    X(POSITIONING_OK, "positioning_ok")                                                                      \
    X(POSITIONING_ERROR, "positioning_error")                                                                \
    X(UPWARD, "upward")                                                                                      \
    X(DOWNWARD, "downward")

enum meaning_e {
#define X(name, text) MEANING_##name,
    MEANING_TABLE(X)
#undef X
        MEANING_COUNT
};

struct profile_bit {
    const char *key;           /* JSON member name */
    uint8_t bit;               /* 0 = least significant */
    const char *text[2];       /* text[v]: shown when the bit is v */
    enum meaning_e meaning[2]; /* meaning[v]: what the bit being v says */
};

struct profile {
    const char *name;
    uint32_t version;
    uint8_t bit_count;
    struct profile_bit bits[PROFILE_BITS_MAX];
};

/* A built-in profile, or NULL. */
const struct profile *profile_builtin(const char *name);
const struct profile *profile_builtin_at(size_t index); /* NULL: there are no more */

/* "moving"; "unknown" for a number that is no meaning. */
const char *meaning_text(enum meaning_e meaning);

/* True if the byte says `meaning` under this profile. A profile without a bit for it says no. */
bool profile_says(const struct profile *profile, uint8_t raw, enum meaning_e meaning);

/* Writes the JSON object of the byte: {"READY":"OK",…}. */
void profile_json(const struct profile *profile, uint8_t raw, struct out *out);

/* A number that two processes compare to know that they read bytes alike: it covers name, version and every bit. */
uint64_t profile_hash(const struct profile *profile);
