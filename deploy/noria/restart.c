#include "restart.h"

#include <stdbool.h>

static uint64_t longer(uint64_t delay_ns)
{
    if (delay_ns == 0)
        return RESTART_DELAY_MIN_NS;
    return delay_ns * 2 > RESTART_DELAY_MAX_NS ? RESTART_DELAY_MAX_NS : delay_ns * 2;
}

uint64_t restart_after_death(struct restart *restart, uint64_t now_ns)
{
    bool first = restart->deaths == 0 || now_ns - restart->last_death_ns >= RESTART_FORGET_NS;
    restart->delay_ns = first ? 0 : longer(restart->delay_ns);
    restart->last_death_ns = now_ns;
    restart->deaths++;
    return restart->delay_ns;
}
