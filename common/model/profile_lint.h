/* profile_lint.h — is a profile fit to be trusted with a machine?
 *
 * A profile is data that decides what clients read and whether a machine is moved, and it is written by people. Errors
 * are what would show clients something wrong or contradictory; warnings are what is possible and rarely meant.
 *
 *     keys          present, without control characters, valid UTF-8, unique
 *     bits          0 to 7, each once
 *     texts         present, without control characters, valid UTF-8
 *     meanings      come in pairs (ready/not_ready, stopped/moving, …). A bit never says the same for 0 and 1, nor two
 *                   halves of different pairs. Where one bit speaks of a pair, both its values do; where several do
 *                   (one for moving up, one for moving down), all of them say the same half, because bits are
 *                   independent of each other and some byte would otherwise say both halves at once
 *     size          the longest JSON text of a state stays within MACHINE_TEXT_MAX
 *     name          is no built-in profile's, unless it is that profile
 *     warnings      nothing says moving; nothing forbids a move; one text for both values
 *
 * Pure: no file, no output.
 */
#pragma once

#include <stdbool.h>

#include "profile.h"

struct profile_finding {
    bool error;         /* false: a warning */
    int bit;            /* index in profile->bits; -1: the profile as a whole */
    int value;          /* 0 or 1: it is about that value of the bit; -1: about the bit */
    const char *member; /* "key", "bit", "text", "meaning", "name", "bits" */
    char text[200];     /* what is wrong, and what was expected */
};

typedef void profile_finding_f(void *arg, const struct profile_finding *finding);

/* Reports every finding, in the order of bits; true: none was an error. Members of `profile` that are texts may be
 * NULL (missing). */
bool profile_lint(const struct profile *profile, profile_finding_f *report, void *arg);

/* The other half of a meaning's pair; MEANING_NONE has none and is returned for itself. */
enum meaning_e meaning_opposite(enum meaning_e meaning);
