/* bench_hist.c — quantiles and arithmetic of bench_hist.h. */
#include "bench_hist.h"

uint64_t hist_upper_edge(unsigned index)
{
    if (index < HIST_SUBS)
        return index;
    unsigned shift = index / HIST_SUBS - 1;
    uint64_t lead = HIST_SUBS + index % HIST_SUBS;
    return ((lead + 1) << shift) - 1;
}

uint64_t hist_quantile(const struct hist *hist, double q)
{
    if (hist->count == 0)
        return 0;
    uint64_t wanted = (uint64_t)(q * (double)hist->count + 0.5);
    if (wanted == 0)
        wanted = 1;
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        if (hist->buckets[i] == 0)
            continue;
        last = i;
        seen += hist->buckets[i];
        if (seen >= wanted)
            break;
    }
    return hist_upper_edge(last);
}

double hist_mean(const struct hist *hist)
{
    return hist->count == 0 ? 0.0 : (double)hist->sum / (double)hist->count;
}

void hist_subtract(struct hist *now, const struct hist *before)
{
    now->count -= before->count;
    now->sum -= before->sum;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        now->buckets[i] -= before->buckets[i];
}

void hist_merge(struct hist *into, const struct hist *from)
{
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}
