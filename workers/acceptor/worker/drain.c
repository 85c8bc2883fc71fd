/* drain.c — see drain.h (Hop: C1). */
#include "drain.h"

#define CLOCK_EVERY 16u /* clients between two looks at the clock */

void drain_begin(struct drain *drain, const struct drain_ops *ops, void *arg, const struct clock *clock,
                 uint32_t window_ms)
{
    *drain = (struct drain){.ops = ops,
                            .arg = arg,
                            .clock = clock,
                            .start_ns = clock_mono_ns(clock),
                            .window_ns = window_ms * NS_PER_MS,
                            .opened = ops->opened(arg),
                            .first = ops->open(arg)};
}

bool drain_window_over(const struct drain *drain)
{
    return clock_mono_ns(drain->clock) - drain->start_ns >= drain->window_ns;
}

/* How many of those who were ever here should not be open any more. */
static uint64_t quota(const struct drain *drain, uint64_t all)
{
    uint64_t elapsed_ns = clock_mono_ns(drain->clock) - drain->start_ns;
    if (elapsed_ns >= drain->window_ns)
        return all;
    uint64_t due = (uint64_t)((double)all * ((double)elapsed_ns / (double)drain->window_ns)) + 1;
    return due < all ? due : all;
}

static size_t excess(const struct drain *drain)
{
    uint64_t all = drain->first + (drain->ops->opened(drain->arg) - drain->opened);
    uint64_t may_stay = all - quota(drain, all), open = drain->ops->open(drain->arg);
    return open > may_stay ? (size_t)(open - may_stay) : 0;
}

/* From the beginning again behind the end; NULL: nobody. */
static void *next_client(struct drain *drain)
{
    void *client = drain->ops->next(drain->arg, &drain->cursor);
    if (client != NULL)
        return client;
    drain->cursor = 0;
    return drain->ops->next(drain->arg, &drain->cursor);
}

/* True: it was told. */
static bool visit(struct drain *drain, void *client, bool over)
{
    bool fit = drain->ops->fit(drain->arg, client);
    if (!fit && !over)
        return false;
    drain->told++;
    drain->told_late += !fit;
    drain->ops->go(drain->arg, client);
    return true;
}

bool drain_turn(struct drain *drain, uint64_t budget_ns)
{
    bool over = drain_window_over(drain);
    uint64_t deadline_ns = clock_mono_ns(drain->clock) + budget_ns;
    size_t due = excess(drain), open = drain->ops->open(drain->arg);
    for (size_t visited = 1; due > 0 && visited <= open; visited++) {
        void *client = next_client(drain);
        if (client == NULL)
            break;
        due -= visit(drain, client, over);
        if (visited % CLOCK_EVERY == 0 && clock_mono_ns(drain->clock) >= deadline_ns)
            break;
    }
    return over && drain->ops->open(drain->arg) == 0;
}
