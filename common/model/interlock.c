/* interlock.c — see interlock.h. */
#include "interlock.h"

#include <stddef.h>

#include "must.h"

static const struct {
    enum meaning_e meaning;
    bool stops;
    const char *text;
} conditions[] = {
    {MEANING_ESTOP, true, "emergency stop"},    {MEANING_ALARM, true, "alarm"},
    {MEANING_DRIVE_FAULT, true, "drive fault"}, {MEANING_POSITIONING_ERROR, true, "positioning error"},
    {MEANING_MANUAL, false, "manual mode"},
};

const char *interlock_forbids(const struct profile *profile, uint8_t raw)
{
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
        if (profile_says(profile, raw, conditions[i].meaning))
            return conditions[i].text;
    return NULL;
}

const char *interlock_stops(const struct profile *profile, uint8_t raw)
{
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
        if (conditions[i].stops && profile_says(profile, raw, conditions[i].meaning))
            return conditions[i].text;
    return NULL;
}

enum command_code_e interlock_admits(const struct profile *profile, uint8_t raw, const char **text)
{
    *text = profile != NULL ? interlock_forbids(profile, raw) : "unknown profile";
    if (*text != NULL)
        return CODE_INTERLOCK;
    return profile_says(profile, raw, MEANING_MOVING) ? CODE_BUSY : CODE_NONE;
}
