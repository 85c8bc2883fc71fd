/* Hop: D7, R2. The only code that writes a ring.
 *
 * Order of stores, which readers rely on (SHM.md): tail, then reserve, then the record's words (release), then head.
 * Whatever part of it a killed writer has done, every record from tail to head is whole, and everything that may be
 * torn lies below reserve - size. So re-attaching repairs nothing in the data, and takes the positions as they stand:
 * the next record overwrites the unpublished one. `reserve` is not set back to head, as an earlier design had it: a
 * reader that is in the middle of a record that the dead writer tore would then see CORRUPT instead of LAPPED.
 *
 * A record is put together in private memory, so that its check can be computed before its first word is visible.
 * Private copies of the positions are the truth: a flipped bit in the header page is healed by the next store.
 */
#include "ring_writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "entropy.h"
#include "log.h"
#include "must.h"
#include "ring_page.h"
#include "ring_writer_map.h"
#include "shm_file.h"

#define MAGIC         0x52494e57u
#define OPEN_ATTEMPTS 8

struct ring_writer {
    uint32_t magic;
    int fd; /* holds the lock */
    struct ring_map map;
    uint64_t next, head, reserve, tail;
    uint64_t scratch[RECORD_MAX / 8];
};

static enum err_e map_file(struct ring_writer *w, int fd, uint64_t size_bytes)
{
    void *at;
    enum err_e err = shm_file_map_twice(fd, RING_DATA_OFFSET, size_bytes, true, &at);
    if (err != ERR_OK)
        return err;
    w->map.page = at;
    w->map.data = (_Atomic uint64_t *)(void *)((char *)at + RING_DATA_OFFSET);
    w->map.identity.size_bytes = size_bytes;
    return ERR_OK;
}

static void unmap_file(struct ring_writer *w)
{
    if (w->map.page != NULL)
        shm_file_unmap(w->map.page, ring_map_bytes(w->map.identity.size_bytes));
    w->map = (struct ring_map){0};
}

/* --- attaching to what a predecessor left ---------------------------------------------------------------------- */

static const char *identity_fault(const struct ring_identity *identity, uint64_t size_bytes)
{
    if (identity->magic != RING_MAGIC)
        return "no ring";
    if (identity->version != RING_VERSION)
        return "other version";
    if (identity->check != ring_identity_check(identity) || identity->id == 0 || identity->id > UINT32_MAX)
        return "header check fails";
    return identity->size_bytes != size_bytes ? "other size" : NULL;
}

static bool positions_take(struct ring_writer *w)
{
    struct ring_page *page = w->map.page;
    bool sound = ring_unmark(atomic_load_explicit(&page->head, memory_order_acquire), &w->head) &&
                 ring_unmark(atomic_load_explicit(&page->reserve, memory_order_relaxed), &w->reserve) &&
                 ring_unmark(atomic_load_explicit(&page->tail, memory_order_relaxed), &w->tail);
    w->next = w->head;
    return sound && w->tail <= w->head && w->head <= w->reserve && w->reserve < RING_POSITION_MAX &&
           w->reserve - w->tail <= w->map.identity.size_bytes;
}

/* NULL if the writer now stands on the existing ring, else what is wrong with it. */
static const char *attach(struct ring_writer *w, int fd, uint64_t file_size, uint64_t size_bytes)
{
    struct ring_page page;
    if (file_size != ring_file_bytes(size_bytes))
        return "other size";
    if (shm_file_peek(fd, &page, sizeof page) != ERR_OK)
        return "cannot be read";
    const char *fault = identity_fault(&page.identity, size_bytes);
    if (fault != NULL)
        return fault;
    if (shm_retired(page.retired))
        return "was retired";
    if (shm_file_reserve(fd, 0, file_size) != ERR_OK || map_file(w, fd, size_bytes) != ERR_OK)
        return "cannot be mapped";
    w->map.identity = page.identity;
    if (positions_take(w)) {
        w->fd = fd;
        return NULL;
    }
    unmap_file(w);
    return "positions make no sense";
}

/* Tells the readers of a ring of any version, also of one that was cut, that a successor comes. */
static void retire(int fd, uint64_t file_size)
{
    void *at;
    if ((file_size < sizeof(struct ring_page) && ftruncate(fd, sizeof(struct ring_page)) != 0) ||
        shm_file_map(fd, sizeof(struct ring_page), true, &at) != ERR_OK)
        return;
    struct ring_page *page = at;
    atomic_store_explicit(&page->retired, SHM_RETIRED, memory_order_release);
    shm_file_unmap(at, sizeof(struct ring_page));
}

/* --- a new ring -------------------------------------------------------------------------------------------------- */

static uint64_t new_id(void)
{
    uint64_t id;
    do
        id = entropy_u64() & UINT32_MAX;
    while (id == 0);
    return id;
}

static void page_init(struct ring_writer *w, uint64_t size_bytes)
{
    struct ring_identity identity = {
        .magic = RING_MAGIC,
        .version = RING_VERSION,
        .size_bytes = size_bytes,
        .id = new_id(),
        .check_seed = entropy_u64(),
    };
    identity.check = ring_identity_check(&identity);
    w->map.identity = w->map.page->identity = identity;
    w->next = w->head = w->reserve = w->tail = size_bytes - RING_START_BELOW;
    atomic_store_explicit(&w->map.page->tail, ring_mark(w->tail), memory_order_relaxed);
    atomic_store_explicit(&w->map.page->reserve, ring_mark(w->reserve), memory_order_relaxed);
    atomic_store_explicit(&w->map.page->head, ring_mark(w->head), memory_order_release);
}

/* `old` is the locked file to be replaced, or -1. The new ring is complete before the old one is retired, and the old
 * one is retired before it loses its name: a writer killed in between leaves a retired ring, which the next one
 * replaces, and never readers on a ring that nobody will ever retire. */
static enum err_e create(struct ring_writer *w, const char *path, uint64_t size_bytes, int old,
                         uint64_t old_size)
{
    struct shm_draft draft;
    enum err_e err = shm_file_draft(path, ring_file_bytes(size_bytes), true, &draft);
    if (err != ERR_OK)
        return err;
    err = map_file(w, draft.fd, size_bytes);
    if (err == ERR_OK) {
        page_init(w, size_bytes);
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

/* --- opening and closing --------------------------------------------------------------------------------------- */

static enum err_e try_open(struct ring_writer *w, const char *path, uint64_t size_bytes, bool *continued)
{
    int old;
    uint64_t old_size;
    enum err_e err = shm_file_attach(path, &old, &old_size);
    if (err == ERR_NOT_FOUND)
        return create(w, path, size_bytes, -1, 0);
    if (err != ERR_OK)
        return err;
    const char *fault = attach(w, old, old_size, size_bytes);
    if (fault == NULL) {
        *continued = true;
        return ERR_OK;
    }
    log_warn("ring-replaced", "path=%s reason=\"%s\"", path, fault);
    err = create(w, path, size_bytes, old, old_size);
    close(old);
    return err;
}

enum err_e ring_writer_open(const char *path, uint64_t size_bytes, struct ring_writer **writer,
                            bool *continued)
{
    *continued = false;
    if (!ring_size_valid(size_bytes))
        return ERR_CONFIG;
    struct ring_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_MEMORY;
    w->magic = MAGIC;
    enum err_e err = ERR_EXISTS;
    for (int i = 0; i < OPEN_ATTEMPTS && err == ERR_EXISTS; i++)
        err = try_open(w, path, size_bytes, continued);
    if (err != ERR_OK) {
        free(w);
        return err == ERR_EXISTS ? ERR_BUSY : err;
    }
    *writer = w;
    return ERR_OK;
}

void ring_writer_close(struct ring_writer **writer)
{
    struct ring_writer *w = *writer;
    if (w == NULL)
        return;
    MUST_MAGIC(w, MAGIC);
    *writer = NULL;
    unmap_file(w);
    close(w->fd);
    w->magic = 0;
    free(w);
}

uint32_t ring_writer_id(const struct ring_writer *writer)
{
    return (uint32_t)writer->map.identity.id;
}

uint64_t ring_writer_head(const struct ring_writer *writer)
{
    return writer->head;
}

uint64_t ring_writer_next(const struct ring_writer *writer)
{
    return writer->next;
}

uint64_t ring_writer_tail(const struct ring_writer *writer)
{
    return writer->tail;
}

const struct ring_map *ring_writer_map(const struct ring_writer *writer)
{
    return &writer->map;
}

/* --- appending --------------------------------------------------------------------------------------------------- */

static uint32_t names_bytes(const struct ring_entry *entry)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < entry->topic_count; i++) {
        MUST(entry->topics[i].len > 0 && entry->topics[i].len <= TOPIC_MAX);
        bytes += entry->topics[i].len;
    }
    return bytes;
}

static void entry_must(const struct ring_entry *entry)
{
    MUST((unsigned)entry->kind < RECORD_KIND_COUNT);
    MUST((unsigned)entry->dialect > 0 && (unsigned)entry->dialect <= UINT8_MAX);
    MUST((unsigned)entry->origin_mode <= ORIGIN_NOT);
    MUST(entry->topic_count <= RECORD_TOPICS_MAX);
    MUST(entry->meta_len == ring_meta_bytes(entry->kind));
}

static void record_build(struct ring_writer *w, const struct ring_entry *entry, uint32_t length,
                         uint32_t names_len)
{
    struct ring_record_header header = {
        .position = w->next,
        .length = length,
        .kind = (uint8_t)entry->kind,
        .dialect = (uint8_t)entry->dialect,
        .origin_mode = (uint8_t)entry->origin_mode,
        .topic_count = (uint8_t)entry->topic_count,
        .frame_len = entry->frame_len,
        .meta_len = (uint16_t)entry->meta_len,
        .names_len = (uint16_t)names_len,
        .origin_worker = entry->origin.worker,
        .origin_serial = entry->origin.serial,
        .wall_ms = entry->wall_ms,
        .source_ns = entry->source_ns,
    };
    char *to = (char *)w->scratch;
    uint32_t meta_room = (entry->meta_len + 7) & ~7u;
    memset(to + length - RECORD_ALIGN, 0, RECORD_ALIGN); /* what the frame leaves of the last line */
    memcpy(to, &header, sizeof header);
    to += sizeof header;
    for (uint32_t i = 0; i < entry->topic_count; i++, to += 8)
        memcpy(to, &entry->topics[i].hash, 8);
    if (entry->meta_len > 0) {
        memset(to + meta_room - 8, 0, 8);
        memcpy(to, entry->meta, entry->meta_len);
    }
    to += meta_room;
    for (uint32_t i = 0; i < entry->topic_count; i++)
        *to++ = (char)entry->topics[i].len;
    for (uint32_t i = 0; i < entry->topic_count; to += entry->topics[i].len, i++)
        memcpy(to, entry->topics[i].name, entry->topics[i].len);
    if (entry->frame_len > 0)
        memcpy(to, entry->frame, entry->frame_len);
    w->scratch[1] = ring_record_check(w->scratch, length, w->map.identity.check_seed);
}

/* Length of the record at `tail`, by its own header; 0 if that makes no sense. */
static uint64_t length_at(const struct ring_writer *w, uint64_t position)
{
    const _Atomic uint64_t *words = ring_word(&w->map, position);
    uint64_t header[3];
    for (int i = 0; i < 3; i++)
        header[i] = atomic_load_explicit(&words[i], memory_order_relaxed);
    uint64_t length = (uint32_t)header[2];
    bool sane = header[0] == position && length >= RECORD_ALIGN && length <= RECORD_MAX &&
                length % RECORD_ALIGN == 0 && position + length <= w->next;
    return sane ? length : 0;
}

/* Gives up the oldest records until `end` fits. A damaged one ends the chain: then everything older goes at once. */
static void tail_advance(struct ring_writer *w, uint64_t end)
{
    uint64_t size = w->map.identity.size_bytes, tail = w->tail;
    if (end - tail <= size)
        return;
    while (tail < w->next && end - tail > size) {
        uint64_t length = length_at(w, tail);
        if (length == 0)
            log_error("ring-damaged", "position=%llu action=\"history dropped\"", (unsigned long long)tail);
        tail = length == 0 ? w->next : tail + length;
    }
    w->tail = tail;
    atomic_store_explicit(&w->map.page->tail, ring_mark(tail), memory_order_relaxed);
}

static void words_store(_Atomic uint64_t *to, const uint64_t *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        atomic_store_explicit(&to[i], from[i], memory_order_release);
}

enum err_e ring_writer_append(struct ring_writer *writer, const struct ring_entry *entry)
{
    MUST_MAGIC(writer, MAGIC);
    entry_must(entry);
    uint32_t names_len = names_bytes(entry);
    uint64_t length = ring_record_bytes(entry->topic_count, entry->meta_len, names_len, entry->frame_len);
    if (length > RECORD_MAX)
        return ERR_TOO_LARGE;
    uint64_t end = writer->next + length;
    if (end - writer->head > writer->map.identity.size_bytes / 2)
        return ERR_FULL;
    record_build(writer, entry, (uint32_t)length, names_len);

    tail_advance(writer, end);
    if (end > writer->reserve)
        writer->reserve = end;
    atomic_store_explicit(&writer->map.page->reserve, ring_mark(writer->reserve), memory_order_relaxed);
    words_store(ring_word(&writer->map, writer->next), writer->scratch, length / 8);
    writer->next = end;
    return ERR_OK;
}

void ring_writer_publish(struct ring_writer *writer)
{
    MUST_MAGIC(writer, MAGIC);
    writer->head = writer->next;
    /* Release for the readers; sequentially consistent for the bell, which next reads who sleeps (bell.h). */
    atomic_store_explicit(&writer->map.page->head, ring_mark(writer->head), memory_order_seq_cst);
}

/* --- looking after what stands there ----------------------------------------------------------------------------- */

static uint32_t word_heal(_Atomic uint64_t *word, uint64_t should)
{
    if (atomic_load_explicit(word, memory_order_relaxed) == should)
        return 0;
    atomic_store_explicit(word, should, memory_order_seq_cst);
    return 1;
}

enum err_e ring_writer_scrub(struct ring_writer *writer, uint32_t *healed)
{
    MUST_MAGIC(writer, MAGIC);
    struct ring_page *page = writer->map.page;
    *healed = word_heal(&page->head, ring_mark(writer->head)) +
              word_heal(&page->reserve, ring_mark(writer->reserve)) +
              word_heal(&page->tail, ring_mark(writer->tail)) + word_heal(&page->retired, 0);
    if (memcmp(&page->identity, &writer->map.identity, sizeof page->identity) != 0) {
        page->identity = writer->map.identity;
        ++*healed;
    }
    bool whole = shm_file_is(writer->fd, ring_file_bytes(writer->map.identity.size_bytes));
    return whole && !shm_file_cut(page) ? ERR_OK : ERR_CORRUPT;
}
