/* The next position's time is counted on from the last one's, not from when somebody looked, so that a busy host makes
 * no machine slower. Rejected: a fractional position with acceleration; no client can see it through a byte. */
#include "sim_machine.h"

#include "must.h"

static const struct {
    const char *word;
    enum meaning_e meaning[2];
} conditions[] = {
#define X(name, word, on, off) {word, {off, on}},
    SIM_CONDITION_TABLE(X)
#undef X
};

const char *sim_condition_word(enum sim_condition_e condition)
{
    return conditions[condition].word;
}

enum meaning_e sim_condition_meaning(enum sim_condition_e condition, bool on)
{
    return conditions[condition].meaning[on];
}

void sim_machine_init(struct sim_machine *machine, const struct clock *clock, uint32_t positions,
                      uint32_t pace_ms)
{
    MUST(positions >= SIM_POSITIONS_MIN && positions <= SIM_POSITIONS_MAX);
    *machine = (struct sim_machine){.clock = clock, .positions = positions, .upward = true};
    machine->pace_ns = pace_ms * NS_PER_MS;
}

static void start_step(struct sim_machine *machine)
{
    machine->next_step_ns = clock_mono_ns(machine->clock) + machine->pace_ns;
}

static bool short_way_is_up(const struct sim_machine *machine, uint32_t target)
{
    uint32_t up = (target + machine->positions - machine->position) % machine->positions;
    return up <= machine->positions - up;
}

enum sim_move_e sim_machine_move(struct sim_machine *machine, uint32_t target)
{
    if (sim_machine_blocked(machine))
        return SIM_MOVE_BLOCKED;
    if (target >= machine->positions)
        return SIM_MOVE_NOWHERE;
    if (target == machine->position) {
        sim_machine_halt(machine);
        return SIM_MOVE_THERE;
    }
    bool upward = short_way_is_up(machine, target);
    if (!machine->moving || upward != machine->upward)
        start_step(machine);
    machine->target = target;
    machine->upward = upward;
    machine->moving = true;
    return SIM_MOVE_STARTED;
}

static void next_position(struct sim_machine *machine)
{
    uint32_t step = machine->upward ? 1 : machine->positions - 1;
    machine->position = (machine->position + step) % machine->positions;
    machine->moving = machine->position != machine->target;
}

bool sim_machine_advance(struct sim_machine *machine)
{
    if (sim_machine_next_ns(machine) > clock_mono_ns(machine->clock))
        return false;
    next_position(machine);
    machine->next_step_ns += machine->pace_ns;
    return true;
}

uint64_t sim_machine_next_ns(const struct sim_machine *machine)
{
    return machine->moving && !machine->by_hand ? machine->next_step_ns : UINT64_MAX;
}

uint32_t sim_machine_step(struct sim_machine *machine, uint32_t count)
{
    uint32_t moved = 0;
    for (; moved < count && machine->moving; moved++)
        next_position(machine);
    if (moved > 0)
        start_step(machine);
    return moved;
}

void sim_machine_pace(struct sim_machine *machine, uint32_t ms)
{
    machine->by_hand = false;
    machine->pace_ns = ms * NS_PER_MS;
    start_step(machine);
}

void sim_machine_pace_by_hand(struct sim_machine *machine)
{
    machine->by_hand = true;
}

void sim_machine_set(struct sim_machine *machine, enum sim_condition_e condition, bool on)
{
    machine->conditions[condition] = on;
    if (on)
        sim_machine_halt(machine);
}

bool sim_machine_blocked(const struct sim_machine *machine)
{
    for (unsigned i = 0; i < SIM_CONDITION_COUNT; i++)
        if (machine->conditions[i])
            return true;
    return false;
}

enum err_e sim_machine_place(struct sim_machine *machine, uint32_t position)
{
    if (position >= machine->positions)
        return ERR_NOT_FOUND;
    machine->position = position;
    sim_machine_halt(machine);
    return ERR_OK;
}

void sim_machine_resize(struct sim_machine *machine, uint32_t positions)
{
    MUST(positions >= SIM_POSITIONS_MIN && positions <= SIM_POSITIONS_MAX);
    machine->positions = positions;
    if (machine->position >= positions)
        machine->position = positions - 1;
    sim_machine_halt(machine);
}

void sim_machine_halt(struct sim_machine *machine)
{
    machine->moving = false;
    machine->target = machine->position;
}
