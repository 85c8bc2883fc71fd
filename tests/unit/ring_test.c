/* The ring, writer and reader in one process: round trips, limits, and each status of the reader produced on purpose.
 * Attaching and hostile files: ring_attach_test. Killed writers: shm_crash_test. */
#include "shm_fixture.h"

#include "ring_page.h"

struct bench {
    struct place *place;
    struct ring_writer *writer;
    struct ring_reader *reader;
    struct script script;
    struct ring_record record;
};

static struct bench *bench_open(void **state, uint64_t size_bytes)
{
    struct bench *b = calloc(1, sizeof *b);
    bool continued = true;
    assert_non_null(b);
    b->place = *state;
    assert_int_equal(ring_writer_open(b->place->ring, size_bytes, &b->writer, &continued), ERR_OK);
    assert_false(continued);
    assert_int_equal(ring_reader_open(b->place->ring, &b->reader), ERR_OK);
    return b;
}

static void bench_close(struct bench *b)
{
    ring_reader_close(&b->reader);
    ring_writer_close(&b->writer);
    free(b);
}

static void append(struct bench *b, uint64_t n, uint32_t frame_max)
{
    script_make(&b->script, n, frame_max);
    assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
}

static void publish(struct bench *b, uint64_t n, uint32_t frame_max)
{
    append(b, n, frame_max);
    ring_writer_publish(b->writer);
}

static void expect(struct bench *b, enum ring_status_e status)
{
    assert_int_equal(ring_reader_next(b->reader, &b->record), status);
}

static void expect_record(struct bench *b, uint64_t n, uint32_t frame_max)
{
    uint64_t position = ring_reader_position(b->reader);
    expect(b, RING_MORE);
    script_make(&b->script, n, frame_max);
    assert_true(script_same(&b->script, &b->record));
    assert_true(b->record.position == position);
}

static void a_new_ring_is_empty_and_begins_below_its_wrap(void **state)
{
    struct bench *b = bench_open(state, MIB);
    assert_int_not_equal(ring_writer_id(b->writer), 0);
    assert_int_equal(ring_writer_id(b->writer), ring_reader_id(b->reader));
    assert_true(ring_writer_next(b->writer) == MIB - 65536);
    assert_true(ring_reader_position(b->reader) == ring_writer_next(b->writer));
    expect(b, RING_EMPTY);
    expect(b, RING_EMPTY);
    bench_close(b);
}

static void every_field_comes_back(void **state)
{
    struct bench *b = bench_open(state, MIB);
    for (uint64_t n = 0; n < 200; n++) {
        publish(b, n, 700);
        expect_record(b, n, 700);
        expect(b, RING_EMPTY);
    }
    bench_close(b);
}

static void records_over_many_laps_in_batches(void **state)
{
    struct bench *b = bench_open(state, MIB);
    uint64_t n = 0, read = 0;
    while (ring_writer_next(b->writer) < 12 * MIB) {
        for (uint64_t batch = 1 + n % 7; batch > 0; batch--)
            append(b, n++, 4000);
        ring_writer_publish(b->writer);
        while (read < n)
            expect_record(b, read++, 4000);
        expect(b, RING_EMPTY);
    }
    assert_true(ring_writer_next(b->writer) - ring_writer_tail(b->writer) <= MIB);
    assert_true(ring_writer_next(b->writer) - ring_writer_tail(b->writer) > MIB - 8192);
    bench_close(b);
}

static void appended_is_invisible_before_publish(void **state)
{
    struct bench *b = bench_open(state, MIB);
    append(b, 1, 100);
    append(b, 2, 100);
    expect(b, RING_EMPTY);
    ring_writer_publish(b->writer);
    expect_record(b, 1, 100);
    expect_record(b, 2, 100);
    expect(b, RING_EMPTY);
    bench_close(b);
}

static void limits_of_topics_and_frames(void **state)
{
    struct bench *b = bench_open(state, MIB);
    for (uint32_t topics = 0; topics <= RECORD_TOPICS_MAX; topics += RECORD_TOPICS_MAX) {
        script_make(&b->script, 1, 0);
        b->script.entry.kind = RECORD_EVENT;
        script_meta(&b->script, 1);
        script_topics(&b->script, 7, topics);
        for (uint32_t i = 0; i < topics; i++) {
            b->script.topics[i].len = TOPIC_MAX;
            memset(b->script.topics[i].name, 'z', TOPIC_MAX);
        }
        uint32_t most = RECORD_MAX - (uint32_t)sizeof(struct ring_record_header) - topics * (9 + TOPIC_MAX);
        unsigned char *frame = malloc(most + 1);
        assert_non_null(frame);
        memset(frame, 0xa5, most + 1);
        b->script.entry.frame = frame;
        b->script.entry.frame_len = most + 1;
        uint64_t next = ring_writer_next(b->writer);
        assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_TOO_LARGE);
        assert_true(ring_writer_next(b->writer) == next);
        b->script.entry.frame_len = UINT32_MAX;
        assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_TOO_LARGE);
        for (int lap = 0; lap < 9; lap++) {
            b->script.entry.frame_len = lap % 2 == 0 ? most : 0;
            assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
            ring_writer_publish(b->writer);
            expect(b, RING_MORE);
            assert_true(script_same(&b->script, &b->record));
        }
        free(frame);
    }
    bench_close(b);
}

static void half_a_ring_may_be_unpublished(void **state)
{
    struct bench *b = bench_open(state, MIB);
    uint64_t begin = ring_writer_next(b->writer), n = 0;
    enum err_e err;
    do
        script_make(&b->script, n++, 4000);
    while ((err = ring_writer_append(b->writer, &b->script.entry)) == ERR_OK);
    assert_int_equal(err, ERR_FULL);
    assert_true(ring_writer_next(b->writer) - begin > MIB / 2 - 8192);
    ring_writer_publish(b->writer);
    for (uint64_t i = 0; i < n - 1; i++)
        expect_record(b, i, 4000);
    expect(b, RING_EMPTY);
    bench_close(b);
}

static void a_slow_reader_is_lapped_and_goes_on_at_the_head(void **state)
{
    struct bench *b = bench_open(state, MIB);
    uint64_t begin = ring_writer_next(b->writer);
    for (uint64_t n = 0; ring_writer_next(b->writer) < begin + 2 * MIB; n++)
        publish(b, n, 2000);
    expect(b, RING_LAPPED);
    assert_true(ring_reader_position(b->reader) == ring_writer_next(b->writer));
    expect(b, RING_EMPTY);
    publish(b, 77, 2000);
    expect_record(b, 77, 2000);
    bench_close(b);
}

/* 1 MiB holds 1024 records of 1 KiB: the 1024th leaves the first one whole, the 1025th does not. */
static void the_edge_of_a_lap_is_exact(void **state)
{
    struct bench *b = bench_open(state, MIB);
    uint64_t begin = ring_writer_next(b->writer);
    script_make(&b->script, 5, 0);
    b->script.entry.kind = RECORD_EVENT;
    script_meta(&b->script, 5);
    script_topics(&b->script, 5, 0);
    script_frame(&b->script, 5, 1024 - sizeof(struct ring_record_header));
    for (int i = 0; i < 1024; i++) {
        assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
        ring_writer_publish(b->writer);
    }
    assert_true(ring_writer_tail(b->writer) == begin);
    expect(b, RING_MORE);
    assert_true(script_same(&b->script, &b->record));
    assert_int_equal(ring_reader_seek(b->reader, begin), ERR_OK);
    assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
    /* Not published yet, but the bytes are gone. */
    assert_int_equal(ring_reader_seek(b->reader, begin), ERR_NOT_FOUND);
    expect(b, RING_LAPPED);
    assert_true(ring_writer_tail(b->writer) == begin + 1024);
    bench_close(b);
}

static void seek_finds_records_and_nothing_else(void **state)
{
    struct bench *b = bench_open(state, MIB);
    static uint64_t starts[6000];
    uint64_t count = 0, begin = ring_writer_next(b->writer);
    while (ring_writer_next(b->writer) < begin + 2 * MIB) {
        assert_true(count < 6000);
        starts[count] = ring_writer_next(b->writer);
        publish(b, count++, 1500);
    }
    uint64_t tail = ring_reader_tail(b->reader), head = ring_reader_head(b->reader), first = 0;
    assert_true(tail == ring_writer_tail(b->writer) && head == ring_writer_next(b->writer));
    for (uint64_t n = 0; n < count; n++) {
        bool whole = starts[n] >= tail;
        first += !whole;
        assert_int_equal(ring_reader_seek(b->reader, starts[n]), whole ? ERR_OK : ERR_NOT_FOUND);
        if (whole && n % 50 == 0)
            expect_record(b, n, 1500);
    }
    assert_true(first > 0 && starts[first] == tail);
    uint64_t n = first;
    for (uint64_t at = tail; at < head; at += 64) {
        bool start = n < count && starts[n] == at;
        n += start;
        assert_int_equal(ring_reader_seek(b->reader, at), start ? ERR_OK : ERR_NOT_FOUND);
    }
    uint64_t before = starts[count - 1];
    assert_int_equal(ring_reader_seek(b->reader, before), ERR_OK);
    assert_int_equal(ring_reader_seek(b->reader, before + 8), ERR_NOT_FOUND);
    assert_int_equal(ring_reader_seek(b->reader, head + 64), ERR_NOT_FOUND);
    assert_int_equal(ring_reader_seek(b->reader, 0), ERR_NOT_FOUND);
    assert_int_equal(ring_reader_seek(b->reader, UINT64_MAX - 63), ERR_NOT_FOUND);
    assert_true(ring_reader_position(b->reader) == before);
    assert_int_equal(ring_reader_seek(b->reader, head), ERR_OK);
    expect(b, RING_EMPTY);
    bench_close(b);
}

/* A frame whose bytes look like a record at the place where they will stand, with a check by everything that clients
 * are shown (RING): no seek takes it for one. */
static void a_frame_cannot_pass_for_a_record(void **state)
{
    struct bench *b = bench_open(state, MIB);
    uint64_t words[16] = {0};
    uint64_t place = ring_writer_next(b->writer) + 64;
    struct ring_record_header forged = {
        .position = place, .length = 128, .kind = RECORD_EVENT, .dialect = 1, .frame_len = 64};
    memcpy(words, &forged, sizeof forged);
    words[1] = ring_record_check(words, 128, ring_writer_id(b->writer));
    script_make(&b->script, 5, 0);
    b->script.entry.kind = RECORD_EVENT;
    script_meta(&b->script, 5);
    script_topics(&b->script, 5, 0);
    b->script.entry.frame = words;
    b->script.entry.frame_len = sizeof words;
    assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
    ring_writer_publish(b->writer);
    assert_int_equal(ring_reader_seek(b->reader, place - 64), ERR_OK);
    assert_int_equal(ring_reader_seek(b->reader, place), ERR_NOT_FOUND);
    bench_close(b);
}

/* Every single bit of the last record, flipped: the reader says CORRUPT, stands at the head, and goes on with the next. */
static void every_flipped_bit_of_a_record_is_found(void **state)
{
    struct bench *b = bench_open(state, MIB);
    struct scalpel scalpel = scalpel_open(b->place->ring);
    for (uint64_t n = 0; n < 3; n++) {
        uint64_t position = ring_writer_next(b->writer);
        publish(b, 10 + n, 300);
        uint64_t bytes = ring_writer_next(b->writer) - position;
        unsigned char *record = scalpel.at + RING_DATA_OFFSET + position % MIB;
        for (uint64_t bit = 0; bit < bytes * 8; bit++) {
            assert_int_equal(ring_reader_seek(b->reader, position), ERR_OK);
            record[bit / 8] ^= (unsigned char)(1u << bit % 8);
            expect(b, RING_CORRUPT);
            assert_true(ring_reader_position(b->reader) == ring_writer_next(b->writer));
            assert_int_equal(ring_reader_seek(b->reader, position), ERR_NOT_FOUND);
            record[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        assert_int_equal(ring_reader_seek(b->reader, position), ERR_OK);
        expect_record(b, 10 + n, 300);
    }
    scalpel_close(&scalpel);
    bench_close(b);
}

/* Bits of the header page, each flipped before a record is read, and left to the next publish: nothing is lost, nothing is told
 * twice, and nothing comes but what was written, if perhaps later. */
static void flipped_bits_of_the_header_lose_nothing(void **state)
{
    struct bench *b = bench_open(state, MIB);
    struct scalpel scalpel = scalpel_open(b->place->ring);
    uint64_t read = 0, later = 0, n = 0;
    for (size_t bit = 0; bit < sizeof(struct ring_page) * 8; bit++) {
        publish(b, n++, 300);
        scalpel.at[bit / 8] ^= (unsigned char)(1u << bit % 8);
        enum ring_status_e status = ring_reader_next(b->reader, &b->record);
        assert_true(status == RING_MORE || status == RING_EMPTY);
        if (status == RING_MORE)
            assert_true(b->record.source_ns == read++);
        later += status == RING_EMPTY;
        publish(b, n++, 300); /* heals head and reserve */
        while (read < n)
            expect_record(b, read++, 300);
        expect(b, RING_EMPTY);
        scalpel.at[bit / 8] ^=
            (unsigned char)(bit / 512 < 2 ? 1u << bit % 8 : 0); /* identity and retired: nobody has */
    }
    assert_true(later == 64 && ring_reader_damaged(b->reader) > 64);
    scalpel_close(&scalpel);
    bench_close(b);
}

/* The writer puts right what is not as it left it, for those who open the file later. */
static void a_scrub_heals_every_bit_of_the_header(void **state)
{
    struct bench *b = bench_open(state, MIB);
    struct scalpel scalpel = scalpel_open(b->place->ring);
    uint32_t healed;
    publish(b, 1, 300);
    assert_int_equal(ring_writer_scrub(b->writer, &healed), ERR_OK);
    assert_int_equal(healed, 0);
    for (size_t word = 0; word < sizeof(struct ring_page) / 8; word++) {
        bool used = word < 8 || word % 8 == 0;
        for (unsigned bit = 0; used && bit < 64; bit++) {
            struct ring_reader *late = NULL;
            scalpel.at[word * 8 + bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_int_equal(ring_writer_scrub(b->writer, &healed), ERR_OK);
            assert_int_equal(healed, 1);
            assert_int_equal(ring_reader_open(b->place->ring, &late), ERR_OK);
            ring_reader_close(&late);
        }
    }
    expect_record(b, 1, 300);
    scalpel_close(&scalpel);
    bench_close(b);
}

/* A record that is damaged is lost alone: the reader finds the next whole one, also across the wrap and behind long ones. */
static void only_the_damaged_record_is_lost(void **state)
{
    struct bench *b = bench_open(state, MIB);
    struct scalpel scalpel = scalpel_open(b->place->ring);
    for (uint64_t n = 0; ring_writer_next(b->writer) < 5 * MIB; n += 3) {
        uint64_t second = (publish(b, n, 9000), ring_writer_next(b->writer));
        publish(b, n + 1, 9000);
        publish(b, n + 2, 9000);
        scalpel.at[RING_DATA_OFFSET + (second + 17) % MIB] ^= 4; /* its length */
        expect_record(b, n, 9000);
        expect(b, RING_CORRUPT);
        expect_record(b, n + 2, 9000);
        expect(b, RING_EMPTY);
    }
    scalpel_close(&scalpel);
    bench_close(b);
}

/* The whole data area and header page under random bytes: no crash, and never a record that was not written. */
static void garbage_everywhere(void **state)
{
    struct bench *b = bench_open(state, MIB);
    struct scalpel scalpel = scalpel_open(b->place->ring);
    uint64_t begin = ring_writer_next(b->writer);
    for (uint64_t n = 0; n < 100; n++)
        publish(b, n, 300);
    for (uint64_t round = 0; round < 20; round++) {
        for (size_t i = RING_DATA_OFFSET; i + 8 <= scalpel.len; i += 8) {
            uint64_t word = hash_u64(i + round * scalpel.len);
            memcpy(scalpel.at + i, &word, 8);
        }
        for (size_t i = 128; i < sizeof(struct ring_page); i += 64) {
            uint64_t word = hash_u64(i + round) >> (round * 2);
            memcpy(scalpel.at + i, &word, 8);
        }
        for (uint64_t at = begin; at < begin + MIB; at += 64)
            if (ring_reader_seek(b->reader, at) == ERR_OK)
                assert_true(at == ring_reader_head(b->reader));
        for (int i = 0; i < 10; i++)
            assert_int_not_equal(ring_reader_next(b->reader, &b->record), RING_MORE);
    }
    publish(b, 1, 300); /* the writer itself goes on over it */
    for (uint64_t n = 0; ring_writer_next(b->writer) < begin + 2 * MIB; n++) {
        assert_int_equal(ring_reader_seek(b->reader, ring_writer_next(b->writer)), ERR_OK);
        publish(b, n, 300);
        expect_record(b, n, 300);
    }
    scalpel_close(&scalpel);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(a_new_ring_is_empty_and_begins_below_its_wrap),
        T(every_field_comes_back),
        T(records_over_many_laps_in_batches),
        T(appended_is_invisible_before_publish),
        T(limits_of_topics_and_frames),
        T(half_a_ring_may_be_unpublished),
        T(a_slow_reader_is_lapped_and_goes_on_at_the_head),
        T(the_edge_of_a_lap_is_exact),
        T(seek_finds_records_and_nothing_else),
        T(a_frame_cannot_pass_for_a_record),
        T(every_flipped_bit_of_a_record_is_found),
        T(flipped_bits_of_the_header_lose_nothing),
        T(a_scrub_heals_every_bit_of_the_header),
        T(only_the_damaged_record_is_lost),
        T(garbage_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
