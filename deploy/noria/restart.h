/* restart.h — when a process that died is started again. Pure: time comes in, a delay goes out.
 *
 * The first death in a minute is answered at once: whoever is waiting should notice nothing. Further ones wait 100 ms,
 * doubling to 10 s: a process that cannot run costs no machine, and no log, more than that. A minute without a death
 * makes the next one the first again.
 */
#pragma once

#include <stdint.h>

#include "clock.h"

#define RESTART_FORGET_NS    (60 * NS_PER_S)
#define RESTART_DELAY_MIN_NS (100 * NS_PER_MS)
#define RESTART_DELAY_MAX_NS (10 * NS_PER_S)

struct restart {
    uint64_t deaths; /* all so far */
    uint64_t last_death_ns;
    uint64_t delay_ns; /* that the last death got; 0: none */
};

/* Counts a death at `now_ns` and returns how long to wait before the next start. */
uint64_t restart_after_death(struct restart *restart, uint64_t now_ns);
