/* The block's own descriptors say where a metric's value stands, for the owner as for readers, so that there is one
 * truth; but not even the owner believes one that points out of the block (a flipped bit of it once ended the owner): it is put
 * right from the table. Every word is an atomic: a reader in another process can see an older value, never half of one. Counters are
 * load + store, not read-modify-write, because one thread writes (stats.h): 1 ns instead of 5 for a locked add.
 *
 * Readers distrust the block: counts are copied once into the view and every index is checked against them on each
 * use, so a block that changes while it is read can only yield wrong numbers, never a step outside.
 */
#include "stats.h"

#include <stdatomic.h>
#include <string.h>

#include "must.h"

#define STATS_VERSION 1u

enum {
    WORD_MAGIC,
    WORD_VERSION,
    WORD_COUNT,
    WORD_TOTAL,
    HEADER_WORDS,
    DESCRIPTOR_WORDS = 8,
    NAME_WORDS = (STATS_NAME_MAX + 1) / 8,
    DESCRIPTOR_KIND = NAME_WORDS,
    DESCRIPTOR_INDEX,
    HISTOGRAM_COUNT = 0,
    HISTOGRAM_SUM,
    HISTOGRAM_BUCKETS,
    METRICS_MAX = 4096
};

_Static_assert((STATS_NAME_MAX + 1) % 8 == 0, "names are whole words");
_Static_assert(DESCRIPTOR_INDEX + 1 == DESCRIPTOR_WORDS, "descriptor layout of stats.h");
_Static_assert(STATS_BUCKETS == 160,
               "bucket_of() and bucket_top() are written for 4 buckets a power of two to 2^41");

static uint64_t magic_word(void)
{
    uint64_t magic;
    memcpy(&magic, "NORISTAT", sizeof magic);
    return magic;
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static void bump(_Atomic uint64_t *word, uint64_t n)
{
    store(word, load(word) + n);
}

static size_t value_words(enum stats_kind_e kind)
{
    return kind == STATS_HISTOGRAM ? HISTOGRAM_BUCKETS + STATS_BUCKETS : 1;
}

static size_t descriptor_at(size_t metric)
{
    return HEADER_WORDS + metric * DESCRIPTOR_WORDS;
}

/* Values below 4 ns have a bucket each; from there on the two bits behind the leading one choose among four. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < 4)
        return (size_t)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    size_t bucket = (size_t)(power - 1) * 4 + ((ns >> (power - 2)) & 3);
    return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

static uint64_t bucket_top(size_t bucket)
{
    if (bucket < 4)
        return bucket;
    return ((uint64_t)(4 + bucket % 4 + 1) << (bucket / 4 - 1)) - 1;
}

size_t stats_size(const struct stats_def *defs, size_t count)
{
    size_t words = descriptor_at(count);
    for (size_t i = 0; i < count; i++)
        words += value_words(defs[i].kind);
    return words * 8;
}

static void describe(_Atomic uint64_t *descriptor, const struct stats_def *def, size_t index)
{
    size_t len = strlen(def->name);
    MUST(len > 0 && len <= STATS_NAME_MAX);
    uint64_t name[NAME_WORDS] = {0};
    memcpy(name, def->name, len);
    for (size_t i = 0; i < NAME_WORDS; i++)
        store(&descriptor[i], name[i]);
    store(&descriptor[DESCRIPTOR_KIND], def->kind);
    store(&descriptor[DESCRIPTOR_INDEX], index);
}

void stats_init(struct stats *stats, void *memory, const struct stats_def *defs, size_t count)
{
    MUST(memory != NULL && (uintptr_t)memory % 8 == 0 && count <= METRICS_MAX);
    size_t total = stats_size(defs, count) / 8, index = descriptor_at(count);
    *stats = (struct stats){.words = memory, .count = count, .total_words = total, .defs = defs};

    for (size_t i = 0; i < total; i++)
        store(&stats->words[i], 0);
    for (size_t i = 0; i < count; i++) {
        describe(&stats->words[descriptor_at(i)], &defs[i], index);
        index += value_words(defs[i].kind);
    }
    store(&stats->words[WORD_VERSION], STATS_VERSION);
    store(&stats->words[WORD_COUNT], count);
    store(&stats->words[WORD_TOTAL], total);
    atomic_store_explicit(&stats->words[WORD_MAGIC], magic_word(), memory_order_release);
}

static size_t index_restore(const struct stats *stats, size_t metric)
{
    size_t index = descriptor_at(stats->count);
    for (size_t i = 0; i < metric; i++)
        index += value_words(stats->defs[i].kind);
    describe(&stats->words[descriptor_at(metric)], &stats->defs[metric], index);
    return index;
}

static _Atomic uint64_t *value_of(const struct stats *stats, size_t metric)
{
    MUST(metric < stats->count);
    uint64_t index = load(&stats->words[descriptor_at(metric) + DESCRIPTOR_INDEX]);
    size_t first = descriptor_at(stats->count);
    if (index < first || index > stats->total_words - value_words(stats->defs[metric].kind))
        index = index_restore(stats, metric);
    return &stats->words[index];
}

void stats_add(struct stats *stats, size_t metric, uint64_t n)
{
    bump(value_of(stats, metric), n);
}

void stats_set(struct stats *stats, size_t metric, uint64_t value)
{
    store(value_of(stats, metric), value);
}

uint64_t stats_get(const struct stats *stats, size_t metric)
{
    return load(value_of(stats, metric));
}

void stats_observe_ns(struct stats *stats, size_t metric, uint64_t ns)
{
    _Atomic uint64_t *value = value_of(stats, metric);
    MUST(stats->defs[metric].kind == STATS_HISTOGRAM);
    bump(&value[HISTOGRAM_BUCKETS + bucket_of(ns)], 1);
    bump(&value[HISTOGRAM_SUM], ns);
    bump(&value[HISTOGRAM_COUNT], 1);
}

static _Atomic uint64_t *histogram_of(const struct stats *stats, size_t metric)
{
    MUST(metric < stats->count && stats->defs[metric].kind == STATS_HISTOGRAM);
    return value_of(stats, metric);
}

uint64_t stats_bucket(const struct stats *stats, size_t metric, size_t bucket)
{
    MUST(bucket < STATS_BUCKETS);
    return load(&histogram_of(stats, metric)[HISTOGRAM_BUCKETS + bucket]);
}

void stats_set_bucket(struct stats *stats, size_t metric, size_t bucket, uint64_t count)
{
    MUST(bucket < STATS_BUCKETS);
    _Atomic uint64_t *value = histogram_of(stats, metric);
    uint64_t before = load(&value[HISTOGRAM_BUCKETS + bucket]);
    store(&value[HISTOGRAM_BUCKETS + bucket], count);
    bump(&value[HISTOGRAM_COUNT], count - before);
}

uint64_t stats_sum_ns(const struct stats *stats, size_t metric)
{
    return load(&histogram_of(stats, metric)[HISTOGRAM_SUM]);
}

void stats_set_sum_ns(struct stats *stats, size_t metric, uint64_t sum_ns)
{
    store(&histogram_of(stats, metric)[HISTOGRAM_SUM], sum_ns);
}

enum err_e stats_view_open(struct stats_view *view, const void *memory, size_t size)
{
    *view = (struct stats_view){0};
    if (memory == NULL || (uintptr_t)memory % 8 != 0 || size < HEADER_WORDS * 8)
        return ERR_MALFORMED;
    const _Atomic uint64_t *words = memory;
    if (atomic_load_explicit(&words[WORD_MAGIC], memory_order_acquire) != magic_word())
        return ERR_MALFORMED;
    if (load(&words[WORD_VERSION]) != STATS_VERSION)
        return ERR_VERSION;
    uint64_t count = load(&words[WORD_COUNT]), total = load(&words[WORD_TOTAL]);
    if (count > METRICS_MAX || total > size / 8 || total < descriptor_at(count))
        return ERR_MALFORMED;
    *view = (struct stats_view){.words = words, .count = count, .total_words = total};
    return ERR_OK;
}

/* Where the values stand, if the descriptor keeps them between the descriptors and the end of the block. */
static const _Atomic uint64_t *view_value(const struct stats_view *view, size_t metric,
                                          enum stats_kind_e *kind)
{
    if (metric >= view->count)
        return NULL;
    const _Atomic uint64_t *descriptor = &view->words[descriptor_at(metric)];
    uint64_t raw_kind = load(&descriptor[DESCRIPTOR_KIND]), index = load(&descriptor[DESCRIPTOR_INDEX]);
    if (raw_kind > STATS_HISTOGRAM)
        return NULL;
    *kind = (enum stats_kind_e)raw_kind;
    if (index < descriptor_at(view->count) || index > view->total_words ||
        value_words(*kind) > view->total_words - index)
        return NULL;
    return &view->words[index];
}

/* Names go to terminals and into /metrics: only what stats.h allows passes. */
static bool name_valid(const char *name)
{
    size_t len = strnlen(name, STATS_NAME_MAX + 1);
    if (len == 0 || len > STATS_NAME_MAX)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

bool stats_view_metric(const struct stats_view *view, size_t metric, char name[STATS_NAME_MAX + 1],
                       enum stats_kind_e *kind, uint64_t *value)
{
    const _Atomic uint64_t *at = view_value(view, metric, kind);
    if (at == NULL)
        return false;
    uint64_t copy[NAME_WORDS];
    for (size_t i = 0; i < NAME_WORDS; i++)
        copy[i] = load(&view->words[descriptor_at(metric) + i]);
    const char *text = (const char *)copy;
    if (text[STATS_NAME_MAX] != '\0' || !name_valid(text))
        return false;
    memcpy(name, copy, STATS_NAME_MAX + 1);
    *value = load(&at[HISTOGRAM_COUNT]);
    return true;
}

uint64_t stats_view_quantile_ns(const struct stats_view *view, size_t metric, double q)
{
    enum stats_kind_e kind;
    const _Atomic uint64_t *at = view_value(view, metric, &kind);
    if (at == NULL || kind != STATS_HISTOGRAM)
        return 0;
    double counts[STATS_BUCKETS], total = 0, seen = 0;
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        total += counts[i] = (double)load(&at[HISTOGRAM_BUCKETS + i]);

    double wanted = q > 0 && q <= 1 ? q * total : q > 1 ? total : 0;
    for (size_t i = 0; i < STATS_BUCKETS; i++) {
        seen += counts[i];
        if (seen > 0 && seen >= wanted)
            return bucket_top(i);
    }
    return 0;
}

bool stats_view_buckets(const struct stats_view *view, size_t metric, uint64_t buckets[STATS_BUCKETS],
                        uint64_t *sum_ns)
{
    enum stats_kind_e kind;
    const _Atomic uint64_t *at = view_value(view, metric, &kind);
    if (at == NULL || kind != STATS_HISTOGRAM)
        return false;
    *sum_ns = load(&at[HISTOGRAM_SUM]);
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        buckets[i] = load(&at[HISTOGRAM_BUCKETS + i]);
    return true;
}

uint64_t stats_bucket_top_ns(size_t bucket)
{
    return bucket < STATS_BUCKETS - 1 ? bucket_top(bucket) : UINT64_MAX;
}
