/* backoff.h — how long to leave an unreachable peer (a PLC, a handler) alone: `min` doubling to `max`, with jitter. Pure.
 *
 * Each delay is drawn from the upper quarter of its step, [3/4 d, d], so that who lost their peers together (a
 * switch restarts) do not come back together, and no delay ever exceeds `max`. The full jitter of [0, d] was rejected:
 * it would at times hammer a peer that is just booting.
 */
#pragma once

#include <stdint.h>

struct backoff {
    uint64_t min_ns, max_ns;
    uint64_t step_ns; /* of the next delay */
    uint64_t random;  /* state of the jitter's generator */
};

void backoff_init(struct backoff *backoff, uint64_t min_ns, uint64_t max_ns, uint64_t seed);
void backoff_reset(struct backoff *backoff);
uint64_t backoff_next_ns(struct backoff *backoff); /* draws a delay and doubles the step */
