/* See completion.h (Hop: R1). */
#include "completion.h"

#include <stddef.h>

#include "interlock.h"

void completion_init(struct completion *completion, const struct profile *profile, uint8_t origin,
                     uint8_t target)
{
    *completion = (struct completion){.profile = profile, .target = target, .origin = origin};
}

enum completion_e completion_judge(struct completion *completion, uint8_t raw, uint8_t position,
                                   const char **why)
{
    bool running = profile_says(completion->profile, raw, MEANING_MOVING);
    if (running || position != completion->origin)
        completion->begun = true;
    *why = NULL;
    if (!running && position == completion->target)
        return COMPLETION_REACHED;
    *why = interlock_stops(completion->profile, raw);
    if (*why == NULL && !running && completion->begun)
        *why = "stopped elsewhere";
    return *why != NULL ? COMPLETION_STOPPED : COMPLETION_UNDER_WAY;
}
