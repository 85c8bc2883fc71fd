/* See ages.h. Rejected: a cursor per histogram; one over all of them gives each its turn, however full the others are. */
#include "ages.h"

#include "clock.h"
#include "must.h"

#define ENTRIES_EACH (STATS_BUCKETS + 1u) /* the last one is the sum */

static const struct stats_def defs[AGES] = {
#define X(NAME, name) {#name, STATS_HISTOGRAM},
    WIRE_AGENT_HISTOGRAMS(X)
#undef X
};
_Static_assert(STATS_BUCKETS == WIRE_HISTOGRAM_BUCKETS, "the same buckets on both sides");

void ages_init(struct ages *ages)
{
    MUST(stats_size(defs, AGES) <= sizeof ages->memory);
    stats_init(&ages->stats, ages->memory, defs, AGES);
    ages->next = 0;
}

void ages_observe(struct ages *ages, enum age_e age, uint64_t ns)
{
    stats_observe_ns(&ages->stats, age, ns);
}

void ages_observe_since(struct ages *ages, enum age_e age, uint64_t source_ns, uint64_t now_ns)
{
    if (source_ns != 0 && source_ns <= now_ns)
        ages_observe(ages, age, now_ns - source_ns);
}

static struct wire_histogram_entry entry_at(const struct ages *ages, size_t at)
{
    struct wire_histogram_entry entry = {(unsigned)(at / ENTRIES_EACH), (unsigned)(at % ENTRIES_EACH), 0};
    if (entry.bucket < STATS_BUCKETS) {
        entry.value = stats_bucket(&ages->stats, entry.histogram, entry.bucket);
    } else {
        entry.bucket = WIRE_HISTOGRAM_SUM;
        entry.value = stats_sum_ns(&ages->stats, entry.histogram) / NS_PER_US;
    }
    return entry;
}

size_t ages_fill(struct ages *ages, unsigned char *out, size_t cap)
{
    size_t len = 0;
    for (size_t looked = 0; looked < AGES * ENTRIES_EACH && cap - len >= WIRE_HISTOGRAM_ENTRY; looked++) {
        struct wire_histogram_entry entry = entry_at(ages, ages->next);
        ages->next = (ages->next + 1) % (AGES * ENTRIES_EACH);
        if (entry.value == 0)
            continue;
        wire_histogram_encode(&entry, out + len);
        len += WIRE_HISTOGRAM_ENTRY;
    }
    return len;
}
