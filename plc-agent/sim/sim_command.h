/* sim_command.h — the control language of plc-sim: one line of text to one checked command. No I/O.
 *
 *     list                                   get ID                    counts ID
 *     set ID CONDITION on|off                set ID position N
 *     pace ID MS|manual                      step ID [N]
 *     fault ID KIND [MS|HEX] [undone] [command C] [count N]            clear ID
 *     hold ID [command C]                    release ID
 *     wait ID position N|idle|moving|held|connected|disconnected|requests C N [deadline MS]
 *
 * Words are separated by blanks. CONDITION is of sim_machine.h, KIND of sim_fault.h. README.md is the manual. What
 * the line names (machine, position) is looked up when it is executed, not here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "machine.h"
#include "sim_fault.h"
#include "sim_machine.h"

#define SIM_LINE_MAX        512 /* bytes of a command without its line end */
#define SIM_PROBLEM_MAX     160
#define SIM_WAIT_DEFAULT_MS 10000
#define SIM_WAIT_MAX_MS     600000

/* name, word, handler in sim_command.c */
#define SIM_VERB_TABLE(X)                                                                                    \
    X(LIST, "list", parse_nothing)                                                                           \
    X(GET, "get", parse_nothing)                                                                             \
    X(COUNTS, "counts", parse_nothing)                                                                       \
    X(SET, "set", parse_set)                                                                                 \
    X(PACE, "pace", parse_pace)                                                                              \
    X(STEP, "step", parse_step)                                                                              \
    X(FAULT, "fault", parse_fault)                                                                           \
    X(CLEAR, "clear", parse_nothing)                                                                         \
    X(HOLD, "hold", parse_hold)                                                                              \
    X(RELEASE, "release", parse_nothing)                                                                     \
    X(WAIT, "wait", parse_wait)

enum sim_verb_e {
#define X(name, word, parse) SIM_VERB_##name,
    SIM_VERB_TABLE(X)
#undef X
        SIM_VERB_COUNT
};

#define SIM_WAIT_TABLE(X)                                                                                    \
    X(POSITION, "position")                                                                                  \
    X(IDLE, "idle")                                                                                          \
    X(MOVING, "moving")                                                                                      \
    X(HELD, "held")                                                                                          \
    X(CONNECTED, "connected")                                                                                \
    X(DISCONNECTED, "disconnected")                                                                          \
    X(REQUESTS, "requests")

enum sim_wait_e {
#define X(name, word) SIM_WAIT_##name,
    SIM_WAIT_TABLE(X)
#undef X
        SIM_WAIT_COUNT
};

struct sim_command {
    enum sim_verb_e verb;
    char id[MACHINE_ID_MAX + 1]; /* empty for list */
    bool set_position;           /* SET: `number`, else `condition` and `on` */
    enum sim_condition_e condition;
    bool on;
    bool by_hand;           /* PACE */
    uint32_t number;        /* SET position, PACE ms, STEP count, WAIT position or requests */
    int command_code;       /* HOLD (or SIM_ANY_COMMAND), WAIT requests */
    struct sim_fault fault; /* FAULT */
    enum sim_wait_e wait;
    uint32_t deadline_ms;
};

/* ERR_MALFORMED: `problem` says what is wrong, for people. `line` needs no NUL and may hold any bytes. */
enum err_e sim_command_parse(const char *line, size_t len, struct sim_command *command,
                             char problem[SIM_PROBLEM_MAX]);

/* A whole decimal number within bounds; false otherwise. Also used for options and scripts. */
bool sim_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value);
