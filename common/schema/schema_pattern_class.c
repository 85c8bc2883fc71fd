/* Sets of characters while a pattern is read, and how they are kept in the compiled one. See schema_pattern_internal.h. */
#include <stdlib.h>

#include "schema_alloc.h"
#include "schema_pattern_internal.h"

#define CODE_LAST 0x10ffffu

bool char_set_add(struct char_set *set, uint32_t first, uint32_t last)
{
    if (set->count == set->room) {
        uint32_t room = set->room > 0 ? 2 * set->room : 8;
        if (room > PATTERN_RANGES)
            return false;
        struct schema_range *more = schema_grow(set->ranges, set->count * sizeof *more, room * sizeof *more);
        set->memory = more == NULL;
        if (more == NULL)
            return false;
        set->ranges = more;
        set->room = room;
    }
    set->ranges[set->count++] = (struct schema_range){first, last};
    return true;
}

bool char_set_add_table(struct char_set *set, const struct schema_range *table, unsigned count, bool others)
{
    uint32_t next = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!others && !char_set_add(set, table[i].first, table[i].last))
            return false;
        if (others && table[i].first > next && !char_set_add(set, next, table[i].first - 1))
            return false;
        next = table[i].last + 1;
    }
    return !others || next > CODE_LAST || char_set_add(set, next, CODE_LAST);
}

static int by_first(const void *a, const void *b)
{
    const struct schema_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static void merge(struct char_set *set)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct schema_range next = set->ranges[i];
        if (kept > 0 && next.first <= set->ranges[kept - 1].last + 1) {
            if (next.last > set->ranges[kept - 1].last)
                set->ranges[kept - 1].last = next.last;
        } else {
            set->ranges[kept++] = next;
        }
    }
    set->count = kept;
}

bool char_set_normalize(struct char_set *set, bool others)
{
    if (set->count > 0)
        qsort(set->ranges, set->count, sizeof *set->ranges, by_first);
    merge(set);
    if (!others)
        return true;
    struct char_set inverse = {0};
    bool ok = char_set_add_table(&inverse, set->ranges, set->count, true);
    char_set_fini(set);
    *set = inverse;
    return ok;
}

void char_set_fini(struct char_set *set)
{
    schema_release(set->ranges);
    *set = (struct char_set){0};
}

static bool keep_ranges(struct schema_pattern *pattern, struct char_set *set)
{
    uint32_t want = pattern->range_count + set->count;
    if (want > PATTERN_RANGES)
        return false;
    if (want > pattern->range_room) {
        struct schema_range *more =
            schema_grow(pattern->ranges, pattern->range_count * sizeof *more, 2 * want * sizeof *more);
        set->memory = more == NULL;
        if (more == NULL)
            return false;
        pattern->ranges = more;
        pattern->range_room = 2 * want;
    }
    if (set->count > 0)
        memcpy(pattern->ranges + pattern->range_count, set->ranges, set->count * sizeof *set->ranges);
    return true;
}

int pattern_add_class(struct schema_pattern *pattern, struct char_set *set)
{
    if (pattern->class_count == PATTERN_CLASSES || !keep_ranges(pattern, set))
        return -1;
    struct char_class *class = &pattern->classes[pattern->class_count];
    *class = (struct char_class){.first = pattern->range_count, .count = set->count};
    for (uint32_t code = 0; code < 128; code++) {
        if (pattern_in_ranges(set->ranges, set->count, code))
            class->ascii[code / 64] |= 1ULL << code % 64;
    }
    pattern->range_count += set->count;
    return (int)pattern->class_count++;
}

bool pattern_in_ranges(const struct schema_range *ranges, uint32_t count, uint32_t code)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code >= ranges[low].first;
}
