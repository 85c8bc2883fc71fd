/* Reading the last-value table: a retired table says so, a slot that was never written is never touched, and
 * everything else is the sequence lock of lvt_page.c. */
#include "lvt_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "lvt_page.h"
#include "must.h"
#include "ring_page.h"
#include "ring_reader_map.h"
#include "shm_file.h"

#define MAGIC 0x4c565452u

struct lvt_reader {
    uint32_t magic;
    bool shared; /* the mapping is another's */
    struct lvt_map map;
};

static enum err_e identity_judge(const char *path, const struct lvt_page *page, uint64_t file_size)
{
    const struct lvt_identity *identity = &page->identity;
    if (identity->magic != LVT_MAGIC)
        return ERR_MALFORMED;
    if (shm_retired(page->retired))
        return ERR_NOT_FOUND;
    /* A version that does not agree with the header's check is damage, and may be healed. */
    if (identity->version != LVT_VERSION && identity->check == lvt_identity_check(identity)) {
        log_error("shm-version", "path=%s version=%llu expected=%u", path,
                  (unsigned long long)identity->version, LVT_VERSION);
        return ERR_VERSION;
    }
    bool sound =
        identity->version == LVT_VERSION && identity->check == lvt_identity_check(identity) &&
        identity->capacity > 0 && identity->capacity <= LVT_CAPACITY_MAX && identity->ring_id <= UINT32_MAX &&
        identity->size_bytes == lvt_file_bytes(identity->capacity) && file_size >= identity->size_bytes;
    return sound ? ERR_OK : ERR_MALFORMED;
}

static enum err_e map_file(const char *path, int fd, uint64_t file_size, struct lvt_map *map)
{
    struct lvt_page page;
    void *at;
    enum err_e err = shm_file_peek(fd, &page, sizeof page);
    if (err == ERR_OK)
        err = identity_judge(path, &page, file_size);
    if (err == ERR_OK)
        err = shm_file_map(fd, page.identity.size_bytes, false, &at);
    if (err == ERR_OK)
        *map = (struct lvt_map){.page = at, .identity = page.identity};
    return err;
}

static enum err_e reader_new(const struct lvt_map *map, bool shared, struct lvt_reader **reader)
{
    struct lvt_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_MEMORY;
    *r = (struct lvt_reader){.magic = MAGIC, .shared = shared, .map = *map};
    *reader = r;
    return ERR_OK;
}

enum err_e lvt_reader_open(const char *path, struct lvt_reader **reader)
{
    int fd;
    uint64_t file_size;
    struct lvt_map map;
    enum err_e err = shm_file_open(path, &fd, &file_size);
    if (err != ERR_OK)
        return err;
    err = map_file(path, fd, file_size, &map);
    close(fd);
    if (err != ERR_OK)
        return err;
    err = reader_new(&map, false, reader);
    if (err != ERR_OK)
        shm_file_unmap(map.page, map.identity.size_bytes);
    return err;
}

enum err_e lvt_reader_over(const struct lvt_map *map, struct lvt_reader **reader)
{
    return reader_new(map, true, reader);
}

void lvt_reader_close(struct lvt_reader **reader)
{
    struct lvt_reader *r = *reader;
    if (r == NULL)
        return;
    MUST_MAGIC(r, MAGIC);
    *reader = NULL;
    if (!r->shared)
        shm_file_unmap(r->map.page, r->map.identity.size_bytes);
    r->magic = 0;
    free(r);
}

uint32_t lvt_reader_ring_id(const struct lvt_reader *reader)
{
    return (uint32_t)reader->map.identity.ring_id;
}

uint32_t lvt_reader_capacity(const struct lvt_reader *reader)
{
    return (uint32_t)reader->map.identity.capacity;
}

uint32_t lvt_reader_used(const struct lvt_reader *reader)
{
    return lvt_used_get(reader->map.page, &reader->map.identity);
}

bool lvt_reader_settled(const struct lvt_reader *reader, uint64_t *position)
{
    return ring_unmark(atomic_load_explicit(&reader->map.page->settled, memory_order_acquire), position);
}

enum lvt_status_e lvt_reader_get(const struct lvt_reader *reader, uint32_t slot, struct lvt_machine *machine)
{
    static const enum lvt_status_e status[] = {
        [LVT_COPY_OK] = LVT_OK,     [LVT_COPY_EMPTY] = LVT_EMPTY,     [LVT_COPY_LEAVING] = LVT_EMPTY,
        [LVT_COPY_BUSY] = LVT_BUSY, [LVT_COPY_CORRUPT] = LVT_CORRUPT,
    };
    MUST_MAGIC(reader, MAGIC);
    if (shm_retired(atomic_load_explicit(&reader->map.page->retired, memory_order_acquire)))
        return LVT_GONE;
    enum lvt_copy_e copied =
        slot < lvt_reader_used(reader)
            ? lvt_slot_read(lvt_slot_at(&reader->map, slot), slot, &reader->map.identity, machine)
            : LVT_COPY_EMPTY;
    return copied != LVT_COPY_OK && shm_file_cut(reader->map.page) ? LVT_GONE : status[copied];
}
