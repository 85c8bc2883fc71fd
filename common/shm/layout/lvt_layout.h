/* lvt_layout.h — what a slot of the last-value table says. The layout of the file is pictured in SHM.md. */
#pragma once

#include <stdint.h>

#include "machine.h"

/* One machine as writer and readers exchange it (not the memory layout). */
struct lvt_machine {
    struct machine_info info;
    struct machine_state state;
    uint64_t agent_gen;       /* incarnation of the agent that reported the state; 0 none */
    uint64_t record_position; /* ring position of the state record that this slot repeats */
    uint32_t text_len;
    char text[MACHINE_TEXT_MAX]; /* machine_state_text() as in that record's frame */
};
