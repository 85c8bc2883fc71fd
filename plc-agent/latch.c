/* See latch.h (Hop: C5). */
#include "latch.h"

#include <stddef.h>

bool latch_reading(struct latch *latch, const struct profile *profile, uint8_t raw)
{
    if (!latch->manual || latch->set || profile == NULL || !profile_says(profile, raw, MEANING_ESTOP))
        return false;
    latch->set = latch->lived = true;
    return true;
}

bool latch_lift(struct latch *latch)
{
    bool was_set = latch->set;
    latch->set = false;
    latch->lived = true;
    return was_set;
}

void latch_recover(struct latch *latch, bool set)
{
    if (latch->manual && !latch->lived)
        latch->set = set;
}
