/* sim_machine.h — the mechanics of one carousel: position, target, movement and what stops it. No I/O.
 *
 * Positions are numbered from 0 and lie on a ring. A move takes the short way round, upward (to higher numbers) when
 * both are equally long, and passes every position in between, one per `pace`. RUN is up from the order until the
 * target is reached. A condition (alarm, emergency stop, manual mode, drive fault, positioning error) stops a movement
 * where it is and refuses new ones until it is taken away.
 *
 * Time is the clock's. Nothing happens by itself: the owner calls sim_machine_advance() until it is false before it
 * looks at or changes the machine, and sim_machine_next_ns() says when to come back. One call is one position, so that
 * an observer sees each of them even where the owner came late.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "profile.h"

#define SIM_POSITIONS_MIN 2
#define SIM_POSITIONS_MAX 256 /* a reply has one byte for it */
#define SIM_PACE_MAX_MS   3600000

/* name, word of the control protocol, meaning while on, meaning while off */
#define SIM_CONDITION_TABLE(X)                                                                               \
    X(ALARM, "alarm", MEANING_ALARM, MEANING_NO_ALARM)                                                       \
    X(ESTOP, "estop", MEANING_ESTOP, MEANING_NO_ESTOP)                                                       \
    X(MANUAL, "manual", MEANING_MANUAL, MEANING_REMOTE)                                                      \
    X(DRIVE_FAULT, "drive_fault", MEANING_DRIVE_FAULT, MEANING_DRIVE_OK)                                     \
    X(POSITIONING_ERROR, "positioning_error", MEANING_POSITIONING_ERROR, MEANING_POSITIONING_OK)

enum sim_condition_e {
#define X(name, word, on, off) SIM_##name,
    SIM_CONDITION_TABLE(X)
#undef X
        SIM_CONDITION_COUNT
};

enum sim_move_e {
    SIM_MOVE_STARTED, /* also: a running move has a new target */
    SIM_MOVE_THERE,   /* stands at the target; a running move ends here */
    SIM_MOVE_BLOCKED, /* a condition is on: nothing happens */
    SIM_MOVE_NOWHERE, /* no such position */
};

struct sim_machine {
    const struct clock *clock;
    uint32_t positions;
    uint32_t position, target; /* equal while it stands */
    bool moving;
    bool upward;  /* direction of the present or last movement */
    bool by_hand; /* moves only by sim_machine_step() */
    uint64_t pace_ns;
    uint64_t next_step_ns; /* while moving and not by hand: when the next position is reached */
    bool conditions[SIM_CONDITION_COUNT];
};

/* Stands at 0, remote, nothing wrong. `positions` is within the bounds above. */
void sim_machine_init(struct sim_machine *machine, const struct clock *clock, uint32_t positions,
                      uint32_t pace_ms);

/* The order of a client. A running move turns to the new target: on the same way it goes on without a pause, the other
 * way round it starts a whole position anew. */
enum sim_move_e sim_machine_move(struct sim_machine *machine, uint32_t target);

/* Reaches the next position if that is due. False: nothing was due. */
bool sim_machine_advance(struct sim_machine *machine);
uint64_t sim_machine_next_ns(const struct sim_machine *machine); /* UINT64_MAX: nothing will come by itself */

/* Moves on by up to `count` positions at once, whatever the pace; returns how many. 0: it stood. */
uint32_t sim_machine_step(struct sim_machine *machine, uint32_t count);

/* Milliseconds per position, from now on (0: at once); a position under way begins anew. By hand: only steps move. */
void sim_machine_pace(struct sim_machine *machine, uint32_t ms);
void sim_machine_pace_by_hand(struct sim_machine *machine);

void sim_machine_set(struct sim_machine *machine, enum sim_condition_e condition, bool on);
bool sim_machine_blocked(const struct sim_machine *machine);

/* Puts it at a position, as somebody turning it by hand would: a movement ends. ERR_NOT_FOUND: no such position. */
enum err_e sim_machine_place(struct sim_machine *machine, uint32_t position);

/* A carousel with another number of positions, within the bounds above: it stops, and stands at the last one if it stood behind that. */
void sim_machine_resize(struct sim_machine *machine, uint32_t positions);

/* Stops where it is: power lost, or a condition. Conditions and position stay. */
void sim_machine_halt(struct sim_machine *machine);

const char *sim_condition_word(enum sim_condition_e condition);
enum meaning_e sim_condition_meaning(enum sim_condition_e condition, bool on);
