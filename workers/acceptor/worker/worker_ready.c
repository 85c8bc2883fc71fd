/* Whether clients are well served here, for /readyz: a load balancer sends nobody to a worker that is leaving, or that knows only
 * old states. What it says of one look is not kept: whoever asks again hears what is so then. */
#include "worker.h"

bool worker_ready(const struct worker *w, const char *reasons[WORKER_REASONS_MAX], unsigned *count)
{
    const struct tail *tail = &w->host.tail;
    bool ring = tail->ring != NULL && !tail->behind_gone;
    *count = 0;
    if (link_state(w->link) != LINK_UP)
        reasons[(*count)++] = "no broker";
    if (!ring)
        reasons[(*count)++] = "no ring";
    else if (w->attach_pending || tail->seed_again)
        reasons[(*count)++] = "not seeded";
    if (w->draining)
        reasons[(*count)++] = "draining";
    if (w->stopping)
        reasons[(*count)++] = "stopping";
    return *count == 0;
}
