/* source_table.h — when the source sent which state, in memory shared by source and generators.
 *
 * A state is found by what a client can read in its frame: machine, position, raw_status. The source cycles through
 * several hundred to some thousand such pairs per machine (sources.h), so that an entry is not overwritten while its
 * frame may still be under way.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SOURCE_MACHINES_MAX 256u
#define SOURCE_PAIRS        65536u /* position · 256 + raw_status */

struct source_entry {
    _Atomic uint64_t sent_ns; /* CLOCK_MONOTONIC */
    _Atomic uint64_t number;  /* running number per machine, from 1 */
};

struct source_table {
    uint32_t machines;
    struct source_entry entries[]; /* [machine · SOURCE_PAIRS + pair] */
};

static inline size_t source_table_size(uint32_t machines)
{
    return sizeof(struct source_table) + (size_t)machines * SOURCE_PAIRS * sizeof(struct source_entry);
}

/* NULL: no memory. Pages that are never touched take none. */
static inline struct source_table *source_table_new(uint32_t machines)
{
    void *memory = mmap(NULL, source_table_size(machines), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct source_table *table = memory;
    table->machines = machines;
    return table;
}

static inline void source_table_free(struct source_table **table)
{
    if (*table != NULL)
        munmap(*table, source_table_size((*table)->machines));
    *table = NULL;
}
