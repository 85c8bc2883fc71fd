/* Hop: D8. The ring's read side: copy, look for a lap, check, and only then believe.
 *
 * Order of loads (SHM.md): head (acquire), the record's words (acquire), then reserve. If a word came from a later
 * record, the store of reserve that preceded that word is visible by then and shows the lap; whatever is left (bits
 * flipped in memory) fails the record's check. A header that makes no sense is a lap if reserve says so, else damage.
 *
 * The copy costs one pass over the record. Rejected: handing out pointers into the ring, which saves it and gives the
 * caller bytes that change under its hands.
 */
#include "ring_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "must.h"
#include "ring_page.h"
#include "ring_reader_map.h"
#include "shm_file.h"

#define MAGIC        0x52494e52u
#define HEADER_WORDS (sizeof(struct ring_record_header) / 8)

struct ring_reader {
    uint32_t magic;
    bool shared; /* the mapping is another's */
    struct ring_map map;
    uint64_t position;
    uint64_t read_to;    /* end of the last record returned, or where it was sent */
    uint64_t head, tail; /* the last sound ones */
    uint64_t damaged;
    union {
        struct ring_record_header header;
        uint64_t words[RECORD_MAX / 8];
    } copy;
};

/* --- opening ------------------------------------------------------------------------------------------------------- */

static enum err_e identity_judge(const char *path, const struct ring_page *page, uint64_t file_size)
{
    const struct ring_identity *identity = &page->identity;
    if (identity->magic != RING_MAGIC)
        return ERR_MALFORMED;
    if (shm_retired(page->retired))
        return ERR_NOT_FOUND;
    /* A version that does not agree with the header's check is damage, and may be healed. */
    if (identity->version != RING_VERSION && identity->check == ring_identity_check(identity)) {
        log_error("shm-version", "path=%s version=%llu expected=%u", path,
                  (unsigned long long)identity->version, RING_VERSION);
        return ERR_VERSION;
    }
    bool sound = identity->version == RING_VERSION && identity->check == ring_identity_check(identity) &&
                 ring_size_valid(identity->size_bytes) && identity->id != 0 && identity->id <= UINT32_MAX &&
                 file_size >= ring_file_bytes(identity->size_bytes);
    return sound ? ERR_OK : ERR_MALFORMED;
}

static enum err_e map_file(const char *path, int fd, uint64_t file_size, struct ring_map *map)
{
    struct ring_page page;
    void *at;
    enum err_e err = shm_file_peek(fd, &page, sizeof page);
    if (err == ERR_OK)
        err = identity_judge(path, &page, file_size);
    if (err == ERR_OK)
        err = shm_file_map_twice(fd, RING_DATA_OFFSET, page.identity.size_bytes, false, &at);
    if (err == ERR_OK)
        *map = (struct ring_map){.page = at,
                                 .data = (_Atomic uint64_t *)(void *)((char *)at + RING_DATA_OFFSET),
                                 .identity = page.identity};
    return err;
}

static enum err_e reader_new(const struct ring_map *map, bool shared, struct ring_reader **reader)
{
    struct ring_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_MEMORY;
    r->magic = MAGIC;
    r->map = *map;
    r->shared = shared;
    if (!ring_unmark(atomic_load_explicit(&map->page->tail, memory_order_acquire), &r->tail) ||
        !ring_unmark(atomic_load_explicit(&map->page->head, memory_order_acquire), &r->head)) {
        free(r);
        return ERR_CORRUPT;
    }
    r->position = r->read_to = r->head;
    *reader = r;
    return ERR_OK;
}

enum err_e ring_reader_open(const char *path, struct ring_reader **reader)
{
    int fd;
    uint64_t file_size;
    struct ring_map map;
    enum err_e err = shm_file_open(path, &fd, &file_size);
    if (err != ERR_OK)
        return err;
    err = map_file(path, fd, file_size, &map);
    close(fd);
    if (err != ERR_OK)
        return err;
    err = reader_new(&map, false, reader);
    if (err != ERR_OK)
        shm_file_unmap(map.page, ring_map_bytes(map.identity.size_bytes));
    return err;
}

enum err_e ring_reader_over(const struct ring_map *map, struct ring_reader **reader)
{
    return reader_new(map, true, reader);
}

void ring_reader_close(struct ring_reader **reader)
{
    struct ring_reader *r = *reader;
    if (r == NULL)
        return;
    MUST_MAGIC(r, MAGIC);
    *reader = NULL;
    if (!r->shared)
        shm_file_unmap(r->map.page, ring_map_bytes(r->map.identity.size_bytes));
    r->magic = 0;
    free(r);
}

/* --- where the ring stands ------------------------------------------------------------------------------------- */

/* A damaged word changes nothing that was known, and its writer heals it (ring_writer_scrub()). */
static uint64_t taken(struct ring_reader *r, uint64_t word, uint64_t *known)
{
    r->damaged += !ring_unmark(word, known);
    return *known;
}

uint32_t ring_reader_id(const struct ring_reader *reader)
{
    return (uint32_t)reader->map.identity.id;
}

uint64_t ring_reader_head(struct ring_reader *reader)
{
    /* Acquire for the records; sequentially consistent for the look after bell_ear_sleep() (bell.h). */
    return taken(reader, atomic_load_explicit(&reader->map.page->head, memory_order_seq_cst), &reader->head);
}

uint64_t ring_reader_tail(struct ring_reader *reader)
{
    return taken(reader, atomic_load_explicit(&reader->map.page->tail, memory_order_acquire), &reader->tail);
}

uint64_t ring_reader_damaged(const struct ring_reader *reader)
{
    return reader->damaged;
}

uint64_t ring_reader_position(const struct ring_reader *reader)
{
    return reader->position;
}

/* --- one record ------------------------------------------------------------------------------------------------- */

static void words_copy(struct ring_reader *r, uint64_t position, size_t from, size_t to)
{
    const _Atomic uint64_t *words = ring_word(&r->map, position);
    for (size_t i = from; i < to; i++)
        r->copy.words[i] = atomic_load_explicit(&words[i], memory_order_acquire);
}

/* After words were copied: may the writer have been at them? If `reserve` is damaged, only the record's check tells. */
static bool lapped(struct ring_reader *r, uint64_t position)
{
    uint64_t reserve = position;
    taken(r, atomic_load_explicit(&r->map.page->reserve, memory_order_relaxed), &reserve);
    return reserve > position && reserve - position > r->map.identity.size_bytes;
}

static bool header_sane(const struct ring_record_header *header, uint64_t position, uint64_t head)
{
    return header->position == position && header->length >= RECORD_ALIGN && header->length <= RECORD_MAX &&
           header->length % RECORD_ALIGN == 0 && header->length <= head - position &&
           header->kind < RECORD_KIND_COUNT && header->origin_mode <= ORIGIN_NOT &&
           header->topic_count <= RECORD_TOPICS_MAX && header->frame_len <= RECORD_MAX &&
           header->meta_len == ring_meta_bytes((enum record_kind_e)header->kind) &&
           header->length ==
               ring_record_bytes(header->topic_count, header->meta_len, header->names_len, header->frame_len);
}

static bool check_agrees(struct ring_reader *r)
{
    uint64_t check = r->copy.header.check;
    r->copy.header.check = 0;
    return ring_record_check(r->copy.words, r->copy.header.length, r->map.identity.check_seed) == check;
}

/* The record at `position`, which is below `head`, into the private copy: RING_MORE, RING_LAPPED or RING_CORRUPT. */
static enum ring_status_e record_take(struct ring_reader *r, uint64_t position, uint64_t head)
{
    words_copy(r, position, 0, HEADER_WORDS);
    if (lapped(r, position))
        return RING_LAPPED;
    if (!header_sane(&r->copy.header, position, head))
        return RING_CORRUPT;
    words_copy(r, position, HEADER_WORDS, r->copy.header.length / 8);
    if (lapped(r, position))
        return RING_LAPPED;
    return check_agrees(r) ? RING_MORE : RING_CORRUPT;
}

/* The sections behind the header. False if the topic lengths do not add up. */
static bool record_parse(const struct ring_reader *r, struct ring_record *record)
{
    const struct ring_record_header *header = &r->copy.header;
    const char *hashes = (const char *)&r->copy.words[HEADER_WORDS];
    const char *meta = hashes + 8u * header->topic_count;
    const uint8_t *lens = (const uint8_t *)meta + ((header->meta_len + 7u) & ~7u);
    const char *names = (const char *)lens + header->topic_count, *name = names;

    for (uint32_t i = 0; i < header->topic_count; i++) {
        if (lens[i] == 0 || lens[i] > names + header->names_len - name)
            return false;
        record->topics[i] = (struct ring_topic){.name = name, .len = lens[i]};
        memcpy(&record->topics[i].hash, hashes + (size_t)i * 8, 8);
        name += lens[i];
    }
    record->position = header->position;
    record->kind = (enum record_kind_e)header->kind;
    record->dialect = header->dialect;
    record->origin_mode = (enum record_origin_e)header->origin_mode;
    record->origin = (struct session_id){header->origin_worker, header->origin_serial};
    record->wall_ms = header->wall_ms;
    record->source_ns = header->source_ns;
    record->topic_count = header->topic_count;
    record->meta = meta;
    record->meta_len = header->meta_len;
    record->frame = names + header->names_len;
    record->frame_len = header->frame_len;
    return name == names + header->names_len;
}

/* What the kind's meta refers to lies within the frame. */
static bool meta_sane(const struct ring_record *record)
{
    if (record->kind != RECORD_STATE)
        return true;
    const struct record_state *state = record->meta;
    return state->text_len <= MACHINE_TEXT_MAX && state->text_offset <= record->frame_len &&
           state->text_len <= record->frame_len - state->text_offset && state->connection < CONNECTION_COUNT;
}

static enum ring_status_e record_read(struct ring_reader *r, uint64_t position, uint64_t head,
                                      struct ring_record *record)
{
    enum ring_status_e status = record_take(r, position, head);
    return status == RING_MORE && !(record_parse(r, record) && meta_sane(record)) ? RING_CORRUPT : status;
}

/* Behind a damaged record: to the next one that is whole, and begins no further on than a record can reach; else to the head. Its
 * own position and check tell where a record begins, and no frame can carry bytes that pass for one. */
static enum ring_status_e resync(struct ring_reader *r, enum ring_status_e why, uint64_t head,
                                 struct ring_record *record)
{
    uint64_t position = r->position;
    r->position = head;
    for (uint64_t at = RECORD_ALIGN; why == RING_CORRUPT && at <= RECORD_MAX && position + at < head;
         at += RECORD_ALIGN) {
        enum ring_status_e status = record_read(r, position + at, head, record);
        if (status == RING_MORE)
            r->position = position + at;
        if (status != RING_CORRUPT)
            break;
    }
    return why;
}

/* Nothing to read: is more to come, or is this ring given up? */
static enum ring_status_e empty(const struct ring_reader *r)
{
    bool gone = shm_retired(atomic_load_explicit(&r->map.page->retired, memory_order_acquire)) ||
                shm_file_cut(r->map.page);
    return gone ? RING_GONE : RING_EMPTY;
}

enum ring_status_e ring_reader_next(struct ring_reader *reader, struct ring_record *record)
{
    MUST_MAGIC(reader, MAGIC);
    uint64_t head = ring_reader_head(reader), position = reader->position;
    if (head < position &&
        position != reader->read_to) { /* a head astray, that passed for sound, led it there */
        reader->position = reader->read_to;
        return RING_CORRUPT;
    }
    if (head <= position)
        return empty(reader);
    enum ring_status_e status = record_read(reader, position, head, record);
    if (status == RING_MORE)
        reader->position = reader->read_to = position + reader->copy.header.length;
    else if (shm_file_cut(reader->map.page))
        status = RING_GONE;
    else
        resync(reader, status, head, record);
    return status;
}

enum err_e ring_reader_seek(struct ring_reader *reader, uint64_t position)
{
    MUST_MAGIC(reader, MAGIC);
    uint64_t head = ring_reader_head(reader);
    bool found = position == head;
    if (!found && position % RECORD_ALIGN == 0 && position < head && position >= ring_reader_tail(reader))
        found = record_take(reader, position, head) == RING_MORE;
    if (!found)
        return ERR_NOT_FOUND;
    reader->position = reader->read_to = position;
    return ERR_OK;
}
