/* See backoff.h. */
#include "backoff.h"

#include "hash.h"

void backoff_init(struct backoff *backoff, uint64_t min_ns, uint64_t max_ns, uint64_t seed)
{
    *backoff =
        (struct backoff){.min_ns = min_ns, .max_ns = max_ns < min_ns ? min_ns : max_ns, .random = seed};
    backoff_reset(backoff);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->step_ns = backoff->min_ns;
}

uint64_t backoff_next_ns(struct backoff *backoff)
{
    uint64_t step = backoff->step_ns, spread = step / 4;
    backoff->step_ns = step > backoff->max_ns / 2 ? backoff->max_ns : step * 2;
    backoff->random = hash_u64(backoff->random + 1);
    return step - backoff->random % (spread + 1);
}
