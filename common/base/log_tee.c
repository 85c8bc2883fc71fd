/* log_tee.c — the last lines in a memory of the caller's (log_tee(), log_tee_read() of log.h).
 *
 * A ring of bytes with two counters: `begun` is moved before the bytes are written and `done` after them, so that what stands between
 * begun - capacity and done was not being written when the process died. Both only grow.
 */
#include "log_tee.h"

#include <string.h>

#include "log.h"
#include "utf8.h"

static uint64_t capacity_of(size_t size)
{
    return size - sizeof(struct log_tee_head);
}

void log_tee_write(void *memory, size_t size, const char *line, size_t len)
{
    struct log_tee_head *head = memory;
    char *bytes = (char *)memory + sizeof *head;
    uint64_t capacity = capacity_of(size), start = atomic_load_explicit(&head->done, memory_order_relaxed);
    if (len > capacity)
        return;
    atomic_store_explicit(&head->begun, start + len, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    size_t at = (size_t)(start % capacity), first = len < capacity - at ? len : (size_t)(capacity - at);
    memcpy(bytes + at, line, first);
    memcpy(bytes, line + first, len - first);
    atomic_store_explicit(&head->done, start + len, memory_order_release);
}

size_t log_tee_read(const void *memory, size_t size, char *out, size_t out_size)
{
    struct {
        uint64_t begun, done;
    } head;
    out[0] = '\0';
    if (size <= sizeof head)
        return 0;
    memcpy(&head, memory, sizeof head);
    const char *bytes = (const char *)memory + sizeof head;
    uint64_t capacity = capacity_of(size), start = head.begun > capacity ? head.begun - capacity : 0;
    if (head.done > head.begun || start >= head.done)
        return 0;
    bool cut = start > 0; /* it begins inside a line */
    if (head.done - start > out_size - 1) {
        start = head.done - (out_size - 1);
        cut = true;
    }
    size_t len = 0;
    for (uint64_t at = start; at < head.done; at++) {
        char c = bytes[at % capacity];
        if (!cut)
            out[len++] = c;
        cut = cut && c != '\n';
    }
    while (len > 0 && out[len - 1] != '\n')
        len--;
    utf8_make_printable(out, len, true);
    out[len] = '\0';
    return len;
}
