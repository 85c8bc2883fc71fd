/* Hop: D7. The only code that writes the last-value table.
 *
 * A slot: sequence odd (relaxed), words (release), sequence even (release). A reader that saw any word of this write
 * therefore sees the odd sequence, or a later one, at its second look. A writer killed in between leaves an odd slot,
 * which readers report as busy and the next writer empties.
 */
#include "lvt_writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_point.h"
#include "log.h"
#include "lvt_page.h"
#include "must.h"
#include "ring_page.h"
#include "ring_writer_map.h"
#include "shm_file.h"

#define MAGIC         0x4c565457u
#define OPEN_ATTEMPTS 8

struct lvt_writer {
    uint32_t magic;
    int fd; /* holds the lock */
    struct lvt_map map;
    uint32_t used;
    uint64_t settled;
    bool full; /* no room at the last attempt: said once, until there is room again */
};

static enum err_e map_file(struct lvt_writer *w, int fd, uint64_t size_bytes)
{
    void *at;
    enum err_e err = shm_file_map(fd, size_bytes, true, &at);
    if (err == ERR_OK)
        w->map = (struct lvt_map){.page = at, .identity.size_bytes = size_bytes};
    return err;
}

static void unmap_file(struct lvt_writer *w)
{
    if (w->map.page != NULL)
        shm_file_unmap(w->map.page, w->map.identity.size_bytes);
    w->map = (struct lvt_map){0};
}

static void used_store(struct lvt_writer *w, uint32_t used)
{
    w->used = used;
    atomic_store_explicit(&w->map.page->used, lvt_used_encode(used), memory_order_release);
}

void lvt_writer_settle(struct lvt_writer *writer, uint64_t position)
{
    MUST_MAGIC(writer, MAGIC);
    writer->settled = position;
    atomic_store_explicit(&writer->map.page->settled, ring_mark(position), memory_order_release);
}

/* --- attaching ----------------------------------------------------------------------------------------------------- */

static void slot_store(struct lvt_slot *slot, uint64_t check, const struct lvt_body *body, uint64_t words)
{
    const uint64_t *from = (const uint64_t *)(const void *)body;
    uint64_t odd = (atomic_load_explicit(&slot->sequence, memory_order_relaxed) & ~LVT_LEAVING_MASK) | 1;
    atomic_store_explicit(&slot->sequence, odd, memory_order_relaxed);
    atomic_store_explicit(&slot->check, check, memory_order_release);
    atomic_store_explicit(&slot->length, words, memory_order_release);
    FAULT_POINT(BROKER_SLOT_ODD);
    for (uint64_t i = 0; i < words; i++)
        atomic_store_explicit(&slot->body[i], from[i], memory_order_release);
    atomic_store_explicit(&slot->sequence, odd + 1, memory_order_release);
}

static void slot_empty(struct lvt_slot *slot)
{
    slot_store(slot, 0, NULL, 0);
}

static void slots_repair(struct lvt_writer *w)
{
    struct lvt_machine machine;
    for (uint32_t i = 0; i < w->used; i++) {
        struct lvt_slot *slot = lvt_slot_at(&w->map, i);
        enum lvt_copy_e status = lvt_slot_read(slot, i, &w->map.identity, &machine);
        if (status == LVT_COPY_OK || status == LVT_COPY_EMPTY || status == LVT_COPY_LEAVING)
            continue;
        log_warn("lvt-slot-emptied", "slot=%u reason=\"%s\"", i,
                 status == LVT_COPY_BUSY ? "left half written" : "check failed");
        slot_empty(slot);
    }
}

static const char *identity_fault(const struct lvt_identity *identity, uint32_t capacity, uint32_t ring_id)
{
    if (identity->magic != LVT_MAGIC)
        return "no table";
    if (identity->version != LVT_VERSION)
        return "other version";
    if (identity->check != lvt_identity_check(identity))
        return "header check fails";
    if (identity->capacity != capacity || identity->size_bytes != lvt_file_bytes(capacity))
        return "other capacity";
    return identity->ring_id != ring_id ? "other ring" : NULL;
}

/* NULL if the writer now stands on the existing table, else what is wrong with it. */
static const char *attach(struct lvt_writer *w, int fd, uint64_t file_size, uint32_t capacity,
                          uint32_t ring_id)
{
    struct lvt_page page;
    if (shm_file_peek(fd, &page, sizeof page) != ERR_OK)
        return "other size";
    const char *fault = identity_fault(&page.identity, capacity, ring_id);
    if (fault != NULL)
        return fault;
    if (file_size != page.identity.size_bytes)
        return "other size";
    if (shm_retired(page.retired))
        return "was retired";
    uint32_t used = lvt_used_get(&page, &page.identity);
    if (shm_file_reserve(fd, 0, lvt_file_bytes(used)) != ERR_OK || map_file(w, fd, file_size) != ERR_OK)
        return "cannot be mapped";
    w->map.identity = page.identity;
    w->fd = fd;
    if (!ring_unmark(page.settled, &w->settled))
        w->settled = 0;
    used_store(w, used);
    slots_repair(w);
    return NULL;
}

static void retire(int fd, uint64_t file_size)
{
    void *at;
    if ((file_size < sizeof(struct lvt_page) && ftruncate(fd, sizeof(struct lvt_page)) != 0) ||
        shm_file_map(fd, sizeof(struct lvt_page), true, &at) != ERR_OK)
        return;
    struct lvt_page *page = at;
    atomic_store_explicit(&page->retired, SHM_RETIRED, memory_order_release);
    shm_file_unmap(at, sizeof(struct lvt_page));
}

/* --- a new table ----------------------------------------------------------------------------------------------------- */

static void page_init(struct lvt_writer *w, uint32_t capacity, uint32_t ring_id)
{
    struct lvt_identity identity = {
        .magic = LVT_MAGIC,
        .version = LVT_VERSION,
        .size_bytes = lvt_file_bytes(capacity),
        .capacity = capacity,
        .ring_id = ring_id,
    };
    identity.check = lvt_identity_check(&identity);
    w->map.identity = w->map.page->identity = identity;
    used_store(w, 0);
    lvt_writer_settle(w, 0);
}

/* As ring_writer.c: the new table is complete before the old one is retired, retired before it loses its name. */
static enum err_e create(struct lvt_writer *w, const char *path, uint32_t capacity, uint32_t ring_id, int old,
                         uint64_t old_size)
{
    struct shm_draft draft;
    enum err_e err = shm_file_draft(path, lvt_file_bytes(capacity), false, &draft);
    if (err != ERR_OK)
        return err;
    err = shm_file_reserve(draft.fd, 0, LVT_SLOTS_OFFSET);
    if (err == ERR_OK)
        err = map_file(w, draft.fd, lvt_file_bytes(capacity));
    if (err == ERR_OK) {
        page_init(w, capacity, ring_id);
        if (old >= 0)
            retire(old, old_size);
        err = shm_file_publish(&draft, path, old >= 0);
    }
    if (err != ERR_OK) {
        unmap_file(w);
        shm_file_discard(&draft);
        return err;
    }
    w->fd = draft.fd;
    return ERR_OK;
}

static enum err_e try_open(struct lvt_writer *w, const char *path, uint32_t capacity, uint32_t ring_id,
                           bool *continued)
{
    int old;
    uint64_t old_size;
    enum err_e err = shm_file_attach(path, &old, &old_size);
    if (err == ERR_NOT_FOUND)
        return create(w, path, capacity, ring_id, -1, 0);
    if (err != ERR_OK)
        return err;
    const char *fault = attach(w, old, old_size, capacity, ring_id);
    if (fault == NULL) {
        *continued = true;
        return ERR_OK;
    }
    log_warn("lvt-replaced", "path=%s reason=\"%s\"", path, fault);
    err = create(w, path, capacity, ring_id, old, old_size);
    close(old);
    return err;
}

enum err_e lvt_writer_open(const char *path, uint32_t capacity, uint32_t ring_id, struct lvt_writer **writer,
                           bool *continued)
{
    *continued = false;
    if (capacity == 0 || capacity > LVT_CAPACITY_MAX)
        return ERR_CONFIG;
    struct lvt_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_MEMORY;
    w->magic = MAGIC;
    enum err_e err = ERR_EXISTS;
    for (int i = 0; i < OPEN_ATTEMPTS && err == ERR_EXISTS; i++)
        err = try_open(w, path, capacity, ring_id, continued);
    if (err != ERR_OK) {
        free(w);
        return err == ERR_EXISTS ? ERR_BUSY : err;
    }
    *writer = w;
    return ERR_OK;
}

void lvt_writer_close(struct lvt_writer **writer)
{
    struct lvt_writer *w = *writer;
    if (w == NULL)
        return;
    MUST_MAGIC(w, MAGIC);
    *writer = NULL;
    unmap_file(w);
    close(w->fd);
    w->magic = 0;
    free(w);
}

uint32_t lvt_writer_capacity(const struct lvt_writer *writer)
{
    return (uint32_t)writer->map.identity.capacity;
}

const struct lvt_map *lvt_writer_map(const struct lvt_writer *writer)
{
    return &writer->map;
}

/* --- slots --------------------------------------------------------------------------------------------------------- */

/* Everything below `used` is allocated, so that neither a store nor a reader's load can meet a full file system. */
static enum err_e used_reach(struct lvt_writer *w, uint32_t slot)
{
    if (slot < w->used)
        return ERR_OK;
    uint64_t from = lvt_file_bytes(w->used), to = lvt_file_bytes(slot + 1ULL);
    enum err_e err = shm_file_reserve(w->fd, from, to - from);
    if (err != ERR_OK) {
        if (!w->full)
            log_error("lvt-full", "slot=%u reason=\"no room in the file system\"", slot);
        w->full = true;
        return err;
    }
    w->full = false;
    used_store(w, slot + 1);
    return ERR_OK;
}

enum err_e lvt_writer_put(struct lvt_writer *writer, uint32_t slot, const struct lvt_machine *machine)
{
    MUST_MAGIC(writer, MAGIC);
    MUST(slot < writer->map.identity.capacity);
    enum err_e err = used_reach(writer, slot);
    if (err != ERR_OK)
        return err;
    struct lvt_body body;
    uint64_t words = lvt_body_pack(&body, slot, machine);
    slot_store(lvt_slot_at(&writer->map, slot), lvt_body_check(&body, words, &writer->map.identity), &body,
               words);
    return ERR_OK;
}

void lvt_writer_clear(struct lvt_writer *writer, uint32_t slot)
{
    MUST_MAGIC(writer, MAGIC);
    MUST(slot < writer->map.identity.capacity);
    if (slot < writer->used)
        slot_empty(lvt_slot_at(&writer->map, slot));
}

void lvt_writer_leave(struct lvt_writer *writer, uint32_t slot)
{
    MUST_MAGIC(writer, MAGIC);
    MUST(slot < writer->used);
    struct lvt_slot *at = lvt_slot_at(&writer->map, slot);
    uint64_t sequence = atomic_load_explicit(&at->sequence, memory_order_relaxed);
    sequence = (sequence & ~LVT_LEAVING_MASK) | LVT_LEAVING;
    atomic_store_explicit(&at->sequence, sequence, memory_order_release);
}

uint32_t lvt_writer_used(const struct lvt_writer *writer)
{
    return writer->used;
}

enum err_e lvt_writer_scrub(struct lvt_writer *writer, uint32_t *healed)
{
    MUST_MAGIC(writer, MAGIC);
    struct lvt_page *page = writer->map.page;
    *healed = 0;
    if (atomic_load_explicit(&page->used, memory_order_relaxed) != lvt_used_encode(writer->used)) {
        used_store(writer, writer->used);
        ++*healed;
    }
    if (atomic_load_explicit(&page->settled, memory_order_relaxed) != ring_mark(writer->settled)) {
        lvt_writer_settle(writer, writer->settled);
        ++*healed;
    }
    if (atomic_load_explicit(&page->retired, memory_order_relaxed) != 0) {
        atomic_store_explicit(&page->retired, 0, memory_order_release);
        ++*healed;
    }
    if (memcmp(&page->identity, &writer->map.identity, sizeof page->identity) != 0) {
        page->identity = writer->map.identity;
        ++*healed;
    }
    bool whole = shm_file_is(writer->fd, writer->map.identity.size_bytes);
    return whole && !shm_file_cut(page) ? ERR_OK : ERR_CORRUPT;
}

static enum lvt_copy_e slot_read(const struct lvt_writer *writer, uint32_t slot, struct lvt_machine *machine)
{
    MUST(slot < writer->map.identity.capacity);
    if (slot >= writer->used)
        return LVT_COPY_EMPTY;
    return lvt_slot_read(lvt_slot_at(&writer->map, slot), slot, &writer->map.identity, machine);
}

bool lvt_writer_get(const struct lvt_writer *writer, uint32_t slot, struct lvt_machine *machine)
{
    return slot_read(writer, slot, machine) == LVT_COPY_OK;
}

bool lvt_writer_sound(const struct lvt_writer *writer, uint32_t slot)
{
    struct lvt_machine machine;
    enum lvt_copy_e status = slot_read(writer, slot, &machine);
    return status != LVT_COPY_BUSY && status != LVT_COPY_CORRUPT;
}

bool lvt_writer_leaving(const struct lvt_writer *writer, uint32_t slot, struct lvt_machine *machine)
{
    return slot_read(writer, slot, machine) == LVT_COPY_LEAVING;
}

bool lvt_writer_remains(const struct lvt_writer *writer, uint32_t slot, struct machine_info *info)
{
    return slot < writer->used && lvt_slot_remains(lvt_slot_at(&writer->map, slot), info);
}
