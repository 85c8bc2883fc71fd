/* completion.h — has the move arrived? Judged reading by reading, by meanings (Hop: R1). Pure.
 *
 *     RUN 0 at the target                           REACHED (also at once: it stood there already)
 *     alarm, emergency stop, drive fault, …         STOPPED
 *     RUN 0 elsewhere after it had begun to move    STOPPED
 *     anything else                                 UNDER_WAY, until the caller's time limit
 *
 * It has begun when RUN was seen, or when the position is another than before: a short move may begin and end between
 * two readings. Before that, RUN 0 elsewhere only means that the PLC has not got round to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile.h"

struct completion {
    const struct profile *profile;
    uint8_t target, origin;
    bool begun;
};

enum completion_e { COMPLETION_UNDER_WAY, COMPLETION_REACHED, COMPLETION_STOPPED };

/* `origin`: the position of the first reading after the command was taken. */
void completion_init(struct completion *completion, const struct profile *profile, uint8_t origin,
                     uint8_t target);

/* *why names what stopped it (a literal), else NULL. */
enum completion_e completion_judge(struct completion *completion, uint8_t raw, uint8_t position,
                                   const char **why);
