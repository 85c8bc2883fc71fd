/* See sim_codec.h for the protocol. Rejected: reading the argument of unlisted codes with a time limit; the one-read
 * rule is the same on every run. */
#include "sim_codec.h"

enum argument_e { ARGUMENT_NONE, ARGUMENT_ONE, ARGUMENT_SAME_READ };

static enum argument_e argument_of(uint8_t command)
{
    switch (command) {
    case SIM_COMMAND_STATUS:
        return ARGUMENT_NONE;
    case SIM_COMMAND_MOVE:
        return ARGUMENT_ONE;
    default:
        return ARGUMENT_SAME_READ;
    }
}

size_t sim_decode(struct sim_decoder *decoder, const uint8_t *chunk, size_t len, struct sim_request *requests)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        if (!decoder->waiting) {
            decoder->command = chunk[i];
            enum argument_e argument = argument_of(chunk[i]);
            decoder->waiting = argument == ARGUMENT_ONE || (argument == ARGUMENT_SAME_READ && i + 1 < len);
            if (!decoder->waiting)
                requests[count++] = (struct sim_request){.command = chunk[i]};
            continue;
        }
        decoder->waiting = false;
        requests[count++] = (struct sim_request){decoder->command, chunk[i], true};
    }
    return count;
}

bool sim_profile_has(const struct profile *profile, enum meaning_e meaning)
{
    for (unsigned i = 0; i < profile->bit_count; i++)
        if (profile->bits[i].meaning[0] == meaning || profile->bits[i].meaning[1] == meaning)
            return true;
    return false;
}

/* --- which meanings are true, as a set ---------------------------------------------------------------------------- */

_Static_assert(MEANING_COUNT <= 32, "a set of meanings is 32 bits");

static uint32_t one(enum meaning_e meaning)
{
    return UINT32_C(1) << meaning;
}

static bool is_failure(enum sim_condition_e condition)
{
    return condition != SIM_MANUAL;
}

static uint32_t true_conditions(const struct sim_machine *machine, const struct profile *profile)
{
    uint32_t set = 0;
    bool ready = true, alarm = machine->conditions[SIM_ALARM];
    for (enum sim_condition_e c = 0; c < SIM_CONDITION_COUNT; c++) {
        bool on = machine->conditions[c];
        if (on && is_failure(c)) {
            ready = false;
            alarm |= !sim_profile_has(profile, sim_condition_meaning(c, true));
        }
        if (c != SIM_ALARM)
            set |= one(sim_condition_meaning(c, on));
    }
    return set | one(sim_condition_meaning(SIM_ALARM, alarm)) |
           one(ready ? MEANING_READY : MEANING_NOT_READY);
}

static uint32_t true_meanings(const struct sim_machine *machine, const struct profile *profile)
{
    return true_conditions(machine, profile) | one(machine->moving ? MEANING_MOVING : MEANING_STOPPED) |
           one(machine->upward ? MEANING_UPWARD : MEANING_DOWNWARD);
}

uint8_t sim_status_byte(const struct sim_machine *machine, const struct profile *profile, uint8_t unlisted)
{
    uint32_t set = true_meanings(machine, profile);
    unsigned raw = unlisted;
    for (unsigned i = 0; i < profile->bit_count; i++) {
        const struct profile_bit *bit = &profile->bits[i];
        unsigned mask = 1u << bit->bit;
        if (set & one(bit->meaning[1]))
            raw |= mask;
        else if (set & one(bit->meaning[0]))
            raw &= ~mask;
    }
    return (uint8_t)raw;
}
