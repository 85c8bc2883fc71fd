/* bench_control.h — how a scenario tells a handler process of the bench to behave badly, and what it has done. A file of this
 * layout in the rig's directory, mapped by both: the process is started, and started again, by somebody else.
 */
#pragma once

#include <stdint.h>

enum control_mode_e {
    CONTROL_QUIET, /* echo */
    CONTROL_SPIN,  /* never come back from on_receive */
    CONTROL_CRASH, /* die at the next message, and right at each start */
    CONTROL_DEAF,  /* read nothing any more */
    CONTROL_FLOOD  /* publish to everybody, as fast as it can */
};

enum control_weight_e {
    CONTROL_AS_STARTED, /* the launcher's niceness */
    CONTROL_NOT_NICE,   /* 0, as everything else */
    CONTROL_IDLE_POLICY /* SCHED_IDLE: runs when nothing else wants to */
};

struct bench_control {
    _Atomic uint32_t mode;   /* enum control_mode_e; the scenario writes, like `weight` */
    _Atomic uint32_t weight; /* enum control_weight_e; taken on with the next message, never given back */
    _Atomic uint64_t starts, crashes, spins, naps, published; /* the handler writes */
};

#define CONTROL_FLOOD_BODY "{\"flood\":" /* what a published body begins with */
