/* Opens a chain that is there; see journal_chain.h.
 *
 * Only the two newest segments are read: enough for journal_memory.h, and for what was not settled (a batch is far smaller
 * than a segment). `noria audit verify` reads them all. */
#include "journal_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_SEGMENTS 2

struct found {
    size_t segment;  /* index of the one with the last record that counts */
    uint64_t offset; /* its end there */
    bool any, cut, torn, broken;
};

static bool beyond(const struct journal_chain *chain, const struct journal_record *record)
{
    return chain->opened && record->event != JOURNAL_SEGMENT && record->n > chain->settled.n;
}

static void take(struct journal_chain *chain, const struct journal_record *record,
                 struct journal_memory *memory)
{
    chain->head.n = chain->reader->n;
    memcpy(chain->head.hash, chain->reader->hash, JOURNAL_HASH);
    if (record->event == JOURNAL_SEGMENT) {
        chain->head.latched = record->latched;
        chain->begun_wall_ms = record->wall_ms;
    } else if (record->event == JOURNAL_LATCHED || record->event == JOURNAL_REARMED) {
        chain->head.latched = record->event == JOURNAL_LATCHED;
    }
    if (memory != NULL)
        journal_memory_take(memory, record);
}

static void note_broken(struct journal_chain *chain, uint32_t number)
{
    char name[JOURNAL_NAME_MAX];
    journal_file_name(chain->chain, number, name);
    snprintf(
        chain->note, sizeof chain->note,
        "%s:%llu: %s: the chain is broken, what it says from there on does not count (noria audit verify)",
        name, (unsigned long long)chain->reader->line + 1, chain->reader->why);
}

static void note_torn(struct journal_chain *chain, uint32_t number)
{
    char name[JOURNAL_NAME_MAX];
    journal_file_name(chain->chain, number, name);
    snprintf(chain->note, sizeof chain->note, "%s:%llu: %s: a torn tail, which is cut off", name,
             (unsigned long long)chain->reader->line + 1, chain->reader->why);
}

static bool read_segment(struct journal_chain *chain, size_t i, struct found *found,
                         struct journal_memory *memory)
{
    struct journal_record record;
    enum journal_read_e read;
    uint32_t number = chain->segments->list[i].number;
    found->segment = i;
    found->offset = 0;
    found->broken = false;
    while ((read = journal_reader_next(chain->reader, &record)) == JOURNAL_READ_RECORD) {
        if (beyond(chain, &record)) {
            found->cut = true;
            return true;
        }
        found->offset = chain->reader->offset;
        take(chain, &record, memory);
    }
    if (read == JOURNAL_READ_FAILED)
        return journal_chain_fail(chain, "read", number, chain->reader->error);
    if (read == JOURNAL_READ_TORN) {
        found->torn = true;
        note_torn(chain, number);
    }
    if (read == JOURNAL_READ_BROKEN) {
        found->broken = true;
        chain->reader->begun = false; /* the next segment says where it begins */
        note_broken(chain, number);
        if (memory != NULL)
            journal_memory_broken(memory);
    }
    return true;
}

static bool read_newest(struct journal_chain *chain, struct found *found, struct journal_memory *memory)
{
    size_t count = chain->segments->count;
    *found = (struct found){.any = count > 0};
    journal_reader_init(chain->reader, &chain->disk->shelf, chain->chain);
    chain->head = (struct journal_place){0};
    for (size_t i = count > READ_SEGMENTS ? count - READ_SEGMENTS : 0; i < count && !found->cut; i++) {
        uint32_t number = chain->segments->list[i].number;
        int result = journal_reader_open(chain->reader, number, i + 1 == count);
        if (result != 0)
            return journal_chain_fail(chain, "read", number, -result);
        bool fine = read_segment(chain, i, found, memory);
        journal_reader_close(chain->reader);
        if (!fine)
            return false;
    }
    return true;
}

/* Segments of which no record was settled. */
static bool remove_newer(struct journal_chain *chain, size_t last)
{
    while (chain->segments->count > last + 1) {
        char name[JOURNAL_NAME_MAX];
        uint32_t number = journal_chain_number(chain);
        journal_file_name(chain->chain, number, name);
        int result = chain->disk->remove(chain->disk->arg, name);
        if (result != 0 && result != -ENOENT)
            return journal_chain_fail(chain, "remove", number, -result);
        chain->segments->count--;
        result = chain->disk->sync_directory(chain->disk->arg);
        if (result != 0)
            return journal_chain_fail(chain, "sync", 0, -result);
    }
    return true;
}

static int skip(const struct journal_shelf *shelf, int handle, uint64_t bytes, char *room, size_t size)
{
    while (bytes > 0) {
        ssize_t got = shelf->read(shelf->arg, handle, room, bytes < size ? (size_t)bytes : size);
        if (got <= 0)
            return got < 0 ? (int)-got : EIO;
        bytes -= (uint64_t)got;
    }
    return 0;
}

/* What stands between `synced` and `written` is written once more; `lines` is the room for it. */
static int write_again(struct journal_chain *chain, int from)
{
    const struct journal_shelf *shelf = &chain->disk->shelf;
    int error = skip(shelf, from, chain->synced, chain->lines, sizeof chain->lines);
    uint64_t end = chain->written;
    chain->written = chain->synced;
    while (error == 0 && chain->written < end) {
        uint64_t left = end - chain->written;
        ssize_t got = shelf->read(shelf->arg, from, chain->lines,
                                  left < sizeof chain->lines ? (size_t)left : sizeof chain->lines);
        if (got <= 0)
            return got < 0 ? (int)-got : EIO;
        chain->fill = (size_t)got;
        if (!journal_chain_write(chain))
            return -1;
    }
    return error;
}

static bool make_dirty(struct journal_chain *chain, uint32_t number, const char *name)
{
    int from = chain->disk->shelf.open(chain->disk->shelf.arg, name);
    if (from < 0)
        return journal_chain_fail(chain, "read", number, -from);
    int error = write_again(chain, from);
    chain->disk->shelf.close(chain->disk->shelf.arg, from);
    if (error > 0)
        return journal_chain_fail(chain, "read", number, error);
    return error == 0;
}

static bool open_newest(struct journal_chain *chain, uint64_t bytes, uint64_t synced)
{
    char name[JOURNAL_NAME_MAX];
    uint32_t number = journal_chain_number(chain);
    journal_file_name(chain->chain, number, name);
    int handle = chain->disk->open(chain->disk->arg, name, bytes);
    if (handle < 0)
        return journal_chain_fail(chain, "open", number, -handle);
    chain->handle = handle;
    chain->number = number;
    chain->written = bytes;
    chain->synced = synced < bytes ? synced : bytes;
    chain->named = false; /* its maker may have died before it synced the name */
    if (chain->synced < bytes && !make_dirty(chain, number, name))
        return false;
    chain->synced = 0; /* a cut changes the size: sync in any case */
    return true;
}

/* Before anything is written behind the cut: else the power could go when half of it is new and half is what was cut off. */
static bool sync_cut(struct journal_chain *chain)
{
    int result = chain->disk->sync(chain->disk->arg, chain->handle);
    return result == 0 ? true : journal_chain_fail(chain, "sync", chain->number, -result);
}

bool journal_chain_open(struct journal_chain *chain, const char *boot, const char *plc,
                        struct journal_memory *memory)
{
    struct found found;
    uint64_t before = chain->synced; /* of the segment that was open when something failed */
    uint32_t number_before = chain->number;
    journal_chain_close(chain);
    snprintf(chain->boot, sizeof chain->boot, "%s", boot);
    snprintf(chain->plc, sizeof chain->plc, "%s", plc);
    if (!read_newest(chain, &found, memory))
        return false;
    if (!found.any || found.broken)
        return true;
    if (!remove_newer(chain, found.segment))
        return false;
    bool same = journal_chain_number(chain) == number_before;
    if (!open_newest(chain, found.offset, same ? before : UINT64_MAX))
        return false;
    return !(found.cut || found.torn) || sync_cut(chain);
}
