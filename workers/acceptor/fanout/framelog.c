#include "framelog.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

struct framelog_block {
    struct framelog_block *next;
    uint64_t start;
    size_t used, cap;
    unsigned char bytes[];
};

void framelog_init(struct framelog *log, struct framelog_budget *budget, size_t limit_bytes)
{
    *log = (struct framelog){.budget = budget, .limit_bytes = limit_bytes};
}

static void drop_first(struct framelog *log)
{
    struct framelog_block *block = log->first;
    log->first = block->next;
    if (log->first == NULL)
        log->last = NULL;
    log->tail = log->first != NULL ? log->first->start : log->head;
    log->bytes -= block->cap;
    log->budget->used_bytes -= block->cap;
    free(block);
}

void framelog_fini(struct framelog *log)
{
    while (log->first != NULL)
        drop_first(log);
}

static size_t next_block_size(const struct framelog *log, size_t len)
{
    size_t size = log->last == NULL ? FRAMELOG_BLOCK_MIN : log->last->cap * 2;
    if (size > FRAMELOG_BLOCK_MAX)
        size = FRAMELOG_BLOCK_MAX;
    return size < len ? len : size;
}

static bool fits(const struct framelog *log, size_t cap)
{
    return log->bytes + cap <= log->limit_bytes && log->budget->used_bytes + cap <= log->budget->limit_bytes;
}

/* The size of a block that fits once old ones were dropped, the smallest at worst; 0: not even that. */
static size_t make_room(struct framelog *log, size_t len)
{
    size_t cap = next_block_size(log, len), least = len > FRAMELOG_BLOCK_MIN ? len : FRAMELOG_BLOCK_MIN;
    while (!fits(log, cap) && log->first != NULL)
        drop_first(log);
    if (!fits(log, cap))
        cap = least;
    return fits(log, cap) ? cap : 0;
}

static bool add_block(struct framelog *log, size_t len)
{
    size_t cap = make_room(log, len);
    struct framelog_block *block = cap > 0 ? malloc(sizeof *block + cap) : NULL;
    if (block == NULL)
        return false;
    block->next = NULL;
    block->start = log->head;
    block->used = 0;
    block->cap = cap;
    if (log->last != NULL)
        log->last->next = block;
    else
        log->first = block;
    log->last = block;
    log->bytes += cap;
    log->budget->used_bytes += cap;
    return true;
}

bool framelog_append(struct framelog *log, const void *frame, size_t len, uint64_t *offset)
{
    if ((log->last == NULL || log->last->cap - log->last->used < len) && !add_block(log, len))
        return false;
    struct framelog_block *block = log->last;
    memcpy(block->bytes + block->used, frame, len);
    *offset = log->head;
    block->used += len;
    log->head += len;
    return true;
}

int framelog_pieces(const struct framelog *log, uint64_t from, uint64_t to, struct iovec *pieces, int max)
{
    MUST(from >= log->tail && from <= to && to <= log->head);
    const struct framelog_block *block = log->last;
    if (block == NULL || from < block->start)
        block = log->first;
    int count = 0;
    for (; block != NULL && from < to && count < max; block = block->next) {
        uint64_t end = block->start + block->used;
        if (from >= end)
            continue;
        uint64_t stop = end < to ? end : to;
        pieces[count].iov_base = (void *)(uintptr_t)(block->bytes + (from - block->start));
        pieces[count++].iov_len = stop - from;
        from = stop;
    }
    return count;
}

void framelog_give_up(struct framelog *log)
{
    framelog_fini(log);
    log->tail = ++log->head;
}

void framelog_step(struct framelog *log)
{
    MUST(log->tail == log->head);
    log->tail = ++log->head;
    if (log->last != NULL)
        log->last->start = log->head;
}

void framelog_shift(struct framelog *log, uint64_t by)
{
    for (struct framelog_block *block = log->first; block != NULL; block = block->next)
        block->start += by;
    log->tail += by;
    log->head += by;
}

void framelog_rewind(struct framelog *log)
{
    while (log->first != log->last || (log->last != NULL && log->last->cap > FRAMELOG_BLOCK_MIN))
        drop_first(log);
    if (log->last != NULL) {
        log->last->start = log->head;
        log->last->used = 0;
    }
    log->tail = log->head;
}
