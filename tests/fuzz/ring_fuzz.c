/* Fuzzes the reader of the ring: a sound ring of five records lies across its wrap, and then bytes of it, of its page, or
 * its records' checks are changed. First byte: bit 0: records get a right check again after the changes (else a change
 * must never be believed); bit 1: records wrap. Then steps of four bytes: what, where (2), value.
 *
 * Checked beside memory: without new checks, what is returned is what was written; with them, all of it lies inside
 * the record; and the reader always comes to an end. */
#include <stdint.h>
#include <string.h>

#include "must.h"
#include "ring_page.h"
#include "ring_reader.h"
#include "ring_reader_map.h"
#include "shm_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE    RING_SIZE_MIN
#define RECORDS 7u /* the last one a part of a message without a frame */
#define SEED    0x5eedULL
#define SPAN    2048u /* all records, and some of what follows */

enum step_e { STEP_BYTE, STEP_HEAD, STEP_RESERVE, STEP_TAIL, STEP_RETIRED, STEP_SEEK, STEP_COUNT };

static struct {
    _Alignas(64) struct ring_page page;
    _Alignas(64) unsigned char data[2 * SIZE];
    struct ring_map map;
    uint64_t starts[RECORDS + 1];
    unsigned char original[SPAN];
} ring;

static void put(uint64_t position, unsigned char byte)
{
    size_t at = (size_t)(position & (SIZE - 1));
    ring.data[at] = ring.data[at + SIZE] = byte;
}

static unsigned char get(uint64_t position)
{
    return ring.data[position & (SIZE - 1)];
}

/* --- a sound ring ---------------------------------------------------------------------------------------------------- */

struct room {
    _Alignas(8) unsigned char bytes[512];
};

static uint32_t frame_len_of(unsigned number)
{
    return number < RECORDS - 1 ? 40 + 30 * number : 0;
}

static size_t fill_sections(struct ring_record_header *header, unsigned char *at, unsigned number)
{
    static const char *const names[] = {"state/m1", "state/#"};
    unsigned char *start = at;
    memset(at, 0x40 + (int)number, 16); /* hashes */
    at += 16;
    if (header->kind == RECORD_STATE) {
        struct record_state state = {.slot = number, .text_offset = 4, .text_len = 20};
        memcpy(at, &state, sizeof state);
    } else {
        memset(at, 7, header->meta_len);
    }
    at += (header->meta_len + 7u) & ~7u;
    for (unsigned i = 0; i < 2; i++)
        *at++ = (unsigned char)strlen(names[i]);
    for (unsigned i = 0; i < 2; i++, at += strlen(names[i - 1]))
        memcpy(at, names[i], strlen(names[i]));
    memset(at, 'a' + (int)number, header->frame_len);
    return (size_t)(at - start) + header->frame_len;
}

static uint64_t write_record(uint64_t position, unsigned number)
{
    static const enum record_kind_e kinds[RECORDS] = {RECORD_STATE,  RECORD_EVENT,   RECORD_RESULT,
                                                      RECORD_STREAM, RECORD_CHANNEL, RECORD_FLOOR,
                                                      RECORD_STREAM};
    struct room room = {0};
    uint32_t frame_len = frame_len_of(number);
    struct ring_record_header header = {.position = position,
                                        .kind = (uint8_t)kinds[number],
                                        .dialect = DIALECT_CAROUSEL,
                                        .topic_count = 2,
                                        .frame_len = frame_len,
                                        .meta_len = (uint16_t)ring_meta_bytes(kinds[number]),
                                        .names_len = 15};
    header.length = (uint32_t)ring_record_bytes(2, header.meta_len, 15, header.frame_len);
    MUST(header.length <= sizeof room &&
         sizeof header + fill_sections(&header, room.bytes + sizeof header, number) <= header.length);
    memcpy(room.bytes, &header, sizeof header);
    header.check = ring_record_check((const void *)room.bytes, header.length, SEED);
    memcpy(room.bytes, &header, sizeof header);
    for (uint32_t i = 0; i < header.length; i++)
        put(position + i, room.bytes[i]);
    return position + header.length;
}

static void make_ring(bool wraps)
{
    uint64_t first = 3 * SIZE - (wraps ? 5 * RECORD_ALIGN : SPAN);
    memset(&ring.page, 0, sizeof ring.page);
    ring.map = (struct ring_map){.page = &ring.page,
                                 .data = (_Atomic uint64_t *)(void *)ring.data,
                                 .identity = {.size_bytes = SIZE, .id = 1, .check_seed = SEED}};
    for (unsigned i = 0; i < SPAN; i++)
        put(first + i, 0);
    ring.starts[0] = first;
    for (unsigned i = 0; i < RECORDS; i++)
        ring.starts[i + 1] = write_record(ring.starts[i], i);
    for (unsigned i = 0; i < SPAN; i++)
        ring.original[i] = get(first + i);
    atomic_store(&ring.page.head, ring_mark(first));
    atomic_store(&ring.page.tail, ring_mark(first));
    atomic_store(&ring.page.reserve, ring_mark(ring.starts[RECORDS]));
}

/* --- changes --------------------------------------------------------------------------------------------------------- */

/* A position, wrong but marked as sound, or bare. */
static uint64_t word(uint64_t position, uint8_t dice)
{
    return dice & 4 ? position : ring_mark(position & ~(uint64_t)(RECORD_ALIGN - 1));
}

static void change(struct ring_reader *reader, const uint8_t step[4])
{
    unsigned where = step[1] | (unsigned)step[2] << 8;
    uint64_t position = ring.starts[0] + where * 8u - ((step[3] & 1) ? 0 : 0x10000);
    switch (step[0] % STEP_COUNT) {
    case STEP_BYTE:
        put(ring.starts[0] + where % SPAN, step[3]);
        break;
    case STEP_HEAD:
        atomic_store(&ring.page.head, word(step[3] == 255 ? UINT64_MAX - where : position, step[3]));
        break;
    case STEP_RESERVE:
        atomic_store(&ring.page.reserve,
                     word(step[3] == 255 ? UINT64_MAX - where : position + (step[3] & 2) * SIZE, step[3]));
        break;
    case STEP_TAIL:
        atomic_store(&ring.page.tail, word(position, step[3]));
        break;
    case STEP_RETIRED:
        atomic_store(&ring.page.retired, step[3] & 1 ? SHM_RETIRED : step[3]);
        break;
    default:
        (void)ring_reader_seek(reader, position);
        break;
    }
}

static void check_again(uint64_t position)
{
    struct ring_record_header header;
    unsigned char *at = ring.data + (position & (SIZE - 1));
    memcpy(&header, at, sizeof header);
    if (header.length < sizeof header || header.length > SPAN || header.length % 8 != 0)
        return;
    for (unsigned i = 0; i < 8; i++)
        put(position + 8 + i, 0);
    uint64_t check = ring_record_check((const void *)at, header.length, SEED);
    for (unsigned i = 0; i < 8; i++)
        put(position + 8 + i, (unsigned char)(check >> (8 * i)));
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

static unsigned sum(const void *data, size_t len)
{
    unsigned total = 0;
    for (size_t i = 0; i < len; i++)
        total += ((const unsigned char *)data)[i];
    return total;
}

static void check_inside(const struct ring_record *record)
{
    const char *meta = record->meta, *end = (const char *)record->frame + record->frame_len;
    MUST(record->topic_count <= RECORD_TOPICS_MAX && record->frame_len <= RECORD_MAX);
    MUST((const char *)record->frame >= meta && end <= meta + RECORD_MAX);
    for (uint32_t i = 0; i < record->topic_count; i++)
        MUST(record->topics[i].name >= meta &&
             record->topics[i].name + record->topics[i].len <= (const char *)record->frame);
    volatile unsigned used = sum(record->frame, record->frame_len) + sum(record->meta, record->meta_len);
    (void)used;
}

static void check_true(const struct ring_record *record)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        if (ring.starts[i] != record->position)
            continue;
        MUST(record->topic_count == 2 && record->frame_len == frame_len_of(i));
        MUST(record->frame_len == 0 || ((const char *)record->frame)[0] == (char)('a' + (int)i));
        MUST(sum(record->frame, record->frame_len) == record->frame_len * ('a' + i));
        MUST(memcmp(record->topics[1].name, "state/#", 7) == 0);
        return;
    }
    MUST(false); /* nothing was ever written there */
}

static void read_all(struct ring_reader *reader, bool believed)
{
    struct ring_record record;
    for (unsigned n = 0; ring_reader_next(reader, &record) == RING_MORE; n++) {
        MUST(n < SPAN);
        check_inside(&record);
        if (!believed)
            check_true(&record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ring_reader *reader;
    if (size == 0)
        return 0;
    make_ring(data[0] & 2);
    MUST(ring_reader_over(&ring.map, &reader) == ERR_OK); /* it stands at the first record */
    atomic_store(&ring.page.head, ring_mark(ring.starts[RECORDS]));
    bool fresh_checks = data[0] & 1;
    for (size_t at = 1; at + 4 <= size && at < 400; at += 4)
        change(reader, data + at);
    for (unsigned i = 0; fresh_checks && i < RECORDS; i++)
        check_again(ring.starts[i]);
    read_all(reader, fresh_checks);
    ring_reader_close(&reader);
    return 0;
}
