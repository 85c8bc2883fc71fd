/* See journal_chain.h: segments made, written, synced, removed. journal_scan.c opens a chain that is there. */
#include "journal_chain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "journal_scan.h"
#include "must.h"

#define AGES          16 /* segments in keep_ms */
#define NAME_ATTEMPTS 8

void journal_chain_init(struct journal_chain *chain, enum journal_chain_e which,
                        const struct journal_disk *disk, struct journal_segments *segments,
                        struct journal_reader *reader, uint64_t limit, uint64_t keep_ms)
{
    memset(chain, 0, sizeof *chain);
    chain->chain = which;
    chain->disk = disk;
    chain->segments = segments;
    chain->reader = reader;
    chain->limit = limit < JOURNAL_CHAIN_MIN ? JOURNAL_CHAIN_MIN : limit;
    chain->segment_limit =
        chain->limit / 4 < JOURNAL_SEGMENT_BYTES ? chain->limit / 4 : JOURNAL_SEGMENT_BYTES;
    chain->keep_ms = keep_ms;
    chain->handle = -1;
}

bool journal_chain_fail(struct journal_chain *chain, const char *what, uint32_t number, int error)
{
    char name[JOURNAL_NAME_MAX] = "the directory";
    if (number > 0)
        journal_file_name(chain->chain, number, name);
    snprintf(chain->why, sizeof chain->why, "%s: cannot %s %s", strerror(error), what, name);
    return false;
}

void journal_chain_close(struct journal_chain *chain)
{
    if (chain->handle >= 0)
        chain->disk->close(chain->disk->arg, chain->handle);
    chain->handle = -1;
    chain->fill = 0;
}

uint32_t journal_chain_number(const struct journal_chain *chain)
{
    const struct journal_segments *segments = chain->segments;
    return segments->count > 0 ? segments->list[segments->count - 1].number : 0;
}

/* --- writing and syncing ----------------------------------------------------------------------------------------- */

bool journal_chain_write(struct journal_chain *chain)
{
    for (size_t done = 0; done < chain->fill;) {
        ssize_t wrote = chain->disk->write(chain->disk->arg, chain->handle, chain->written,
                                           chain->lines + done, chain->fill - done);
        if (wrote <= 0)
            return journal_chain_fail(chain, "write", journal_chain_number(chain),
                                      wrote < 0 ? (int)-wrote : ENOSPC);
        done += (size_t)wrote;
        chain->written += (size_t)wrote;
    }
    chain->fill = 0;
    return true;
}

bool journal_chain_sync(struct journal_chain *chain)
{
    if (!journal_chain_write(chain))
        return false;
    if (chain->handle < 0)
        return true;
    if (chain->synced < chain->written) {
        int result = chain->disk->sync(chain->disk->arg, chain->handle);
        if (result != 0)
            return journal_chain_fail(chain, "sync", journal_chain_number(chain), -result);
        chain->synced = chain->written;
    }
    if (!chain->named) {
        int result = chain->disk->sync_directory(chain->disk->arg);
        if (result != 0)
            return journal_chain_fail(chain, "sync", 0, -result);
        chain->named = true;
    }
    return true;
}

void journal_chain_settle(struct journal_chain *chain)
{
    chain->settled = chain->head;
    chain->opened = true;
}

/* --- what is too old or too much --------------------------------------------------------------------------------- */

/* Its name must be gone from the disk before a younger one's is: else a power cut could leave a hole. */
static bool remove_oldest(struct journal_chain *chain)
{
    char name[JOURNAL_NAME_MAX];
    struct journal_segments *segments = chain->segments;
    journal_file_name(chain->chain, segments->list[0].number, name);
    int result = chain->disk->remove(chain->disk->arg, name);
    if (result != 0 && result != -ENOENT) {
        snprintf(chain->note, sizeof chain->note, "cannot remove %s: %s", name, strerror(-result));
        return false;
    }
    memmove(segments->list, segments->list + 1, --segments->count * sizeof segments->list[0]);
    result = chain->disk->sync_directory(chain->disk->arg);
    if (result != 0)
        snprintf(chain->note, sizeof chain->note, "cannot sync the directory after removing %s: %s", name,
                 strerror(-result));
    return result == 0;
}

/* The oldest segment ends where the second begins. */
static bool oldest_is_too_old(struct journal_chain *chain, uint64_t now_ms)
{
    struct journal_record record;
    bool old = false;
    journal_reader_init(chain->reader, &chain->disk->shelf, chain->chain);
    if (chain->segments->count > 2 &&
        journal_reader_open(chain->reader, chain->segments->list[1].number, false) == 0)
        old = journal_reader_next(chain->reader, &record) == JOURNAL_READ_RECORD && now_ms > record.wall_ms &&
              now_ms - record.wall_ms > chain->keep_ms;
    journal_reader_close(chain->reader);
    return old;
}

static void retire(struct journal_chain *chain, uint64_t now_ms)
{
    uint64_t total = chain->segment_limit; /* of the one that comes */
    for (size_t i = 0; i < chain->segments->count; i++)
        total += chain->segments->list[i].bytes;
    while (chain->segments->count > 1 && total > chain->limit) {
        total -= chain->segments->list[0].bytes;
        if (!remove_oldest(chain))
            return;
    }
    if (oldest_is_too_old(chain, now_ms))
        remove_oldest(chain);
}

/* --- segments ---------------------------------------------------------------------------------------------------- */

void journal_chain_line(struct journal_chain *chain, const struct journal_record *record)
{
    struct out out = out_init(chain->lines + chain->fill, sizeof chain->lines - chain->fill);
    journal_record_write(record, chain->head.hash, &out);
    MUST(!out.overflow);
    chain->fill += out.len;
    chain->head.n = record->n;
    if (record->event == JOURNAL_LATCHED || record->event == JOURNAL_REARMED)
        chain->head.latched = record->event == JOURNAL_LATCHED;
}

void journal_chain_begin(struct journal_chain *chain, const struct journal_record *first)
{
    struct journal_record segment = {
        .event = JOURNAL_SEGMENT,
        .n = chain->head.n,
        .wall_ms = first->wall_ms,
        .mono_ns = first->mono_ns,
        .latched = chain->head.latched,
    };
    snprintf(segment.boot, sizeof segment.boot, "%s", chain->boot);
    snprintf(segment.plc, sizeof segment.plc, "%s", chain->plc);
    memcpy(segment.prev, chain->head.hash, JOURNAL_HASH);
    chain->begun_wall_ms = first->wall_ms;
    journal_chain_line(chain, &segment);
}

/* Something that is no segment may have the name; segments_list() passed over it. */
static int create_free(struct journal_chain *chain, uint32_t *number)
{
    int handle = -EEXIST;
    for (unsigned i = 0; i < NAME_ATTEMPTS && handle == -EEXIST; i++) {
        char name[JOURNAL_NAME_MAX];
        if (++*number > JOURNAL_NUMBER_MAX)
            return -EFBIG;
        journal_file_name(chain->chain, *number, name);
        handle = chain->disk->create(chain->disk->arg, name);
    }
    return handle;
}

static bool create(struct journal_chain *chain)
{
    uint32_t number = journal_chain_number(chain);
    int handle = create_free(chain, &number);
    if (handle < 0)
        return journal_chain_fail(chain, "make", number <= JOURNAL_NUMBER_MAX ? number : 0, -handle);
    chain->handle = handle;
    chain->number = number;
    chain->written = chain->synced = 0;
    chain->named = false;
    int result = journal_segments_add(chain->segments, number, 0);
    return result == 0 ? true : journal_chain_fail(chain, "make", number, -result);
}

static bool next_segment(struct journal_chain *chain, const struct journal_record *first)
{
    if (chain->handle >= 0) {
        if (!journal_chain_sync(chain))
            return false;
        chain->segments->list[chain->segments->count - 1].bytes = chain->written;
        journal_chain_close(chain);
    }
    retire(chain, first->wall_ms);
    return create(chain);
}

static bool is_full(const struct journal_chain *chain, const struct journal_record *record)
{
    uint64_t bytes = chain->written + chain->fill;
    if (bytes == 0)
        return false; /* what tells its age is still to come */
    return bytes + JOURNAL_LINE_MAX > chain->segment_limit ||
           (record->wall_ms > chain->begun_wall_ms &&
            record->wall_ms - chain->begun_wall_ms > chain->keep_ms / AGES);
}

bool journal_chain_put(struct journal_chain *chain, const struct journal_record *record)
{
    MUST(record->n == chain->head.n + 1);
    if ((chain->handle < 0 || is_full(chain, record)) && !next_segment(chain, record))
        return false;
    if (chain->written + chain->fill == 0)
        journal_chain_begin(chain, record);
    if (sizeof chain->lines - chain->fill < JOURNAL_LINE_MAX && !journal_chain_write(chain))
        return false;
    journal_chain_line(chain, record);
    return true;
}
