/* Positions where numbers and places turn over: just below 2^32, 2^63 and 2^64, and records that end in front of, on and behind the
 * end of the data, at every line. */
#include "shm_fixture.h"

#include "ring_page.h"
#include "shm_file.h"

struct bench {
    struct place *place;
    struct ring_writer *writer;
    struct ring_reader *reader;
    struct script script;
    struct ring_record record;
};

/* A ring that is empty at `position`; what a successor makes of it. */
static bool begin_at(struct bench *b, uint64_t position)
{
    struct scalpel scalpel;
    bool continued;
    unlink(b->place->ring);
    assert_int_equal(ring_writer_open(b->place->ring, MIB, &b->writer, &continued), ERR_OK);
    ring_writer_close(&b->writer);
    scalpel = scalpel_open(b->place->ring);
    struct ring_page *page = (struct ring_page *)(void *)scalpel.at;
    page->head = page->reserve = page->tail = ring_mark(position);
    scalpel_close(&scalpel);
    assert_int_equal(ring_writer_open(b->place->ring, MIB, &b->writer, &continued), ERR_OK);
    assert_int_equal(ring_reader_open(b->place->ring, &b->reader), ERR_OK);
    return continued;
}

static void end(struct bench *b)
{
    ring_reader_close(&b->reader);
    ring_writer_close(&b->writer);
}

static struct bench *bench_new(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->place = *state;
    return b;
}

/* A record of exactly this many lines. */
static uint64_t publish_lines(struct bench *b, uint64_t n, uint32_t lines)
{
    uint64_t position = ring_writer_next(b->writer);
    script_make(&b->script, n, 0);
    b->script.entry.kind = RECORD_EVENT;
    script_meta(&b->script, n);
    script_topics(&b->script, n, 0);
    script_frame(&b->script, n, (lines - 1) * RECORD_ALIGN);
    assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
    ring_writer_publish(b->writer);
    assert_true(ring_writer_next(b->writer) - position == lines * RECORD_ALIGN);
    return position;
}

static void publish(struct bench *b, uint64_t n)
{
    script_make(&b->script, n, 3000);
    assert_int_equal(ring_writer_append(b->writer, &b->script.entry), ERR_OK);
    ring_writer_publish(b->writer);
}

static void expect_same(struct bench *b)
{
    assert_int_equal(ring_reader_next(b->reader, &b->record), RING_MORE);
    assert_true(script_same(&b->script, &b->record));
}

/* Three laps across the position: read as written, found again, lapped, and continued by a successor. */
static void run_across(struct bench *b, uint64_t edge)
{
    bool continued;
    assert_true(begin_at(b, edge - MIB - 4096));
    for (uint64_t n = 0; ring_writer_next(b->writer) - edge > MIB || ring_writer_next(b->writer) < edge;
         n++) {
        uint64_t position = ring_writer_next(b->writer);
        publish(b, n);
        expect_same(b);
        assert_int_equal(ring_reader_seek(b->reader, position), ERR_OK);
        expect_same(b);
        assert_true(ring_writer_next(b->writer) - ring_writer_tail(b->writer) <= MIB);
        if (n % 50 == 7 && ring_writer_next(b->writer) < RING_POSITION_MAX) {
            ring_writer_close(&b->writer);
            assert_int_equal(ring_writer_open(b->place->ring, MIB, &b->writer, &continued), ERR_OK);
            assert_true(continued);
        }
    }
    uint64_t tail = ring_reader_tail(b->reader);
    assert_int_equal(ring_reader_seek(b->reader, tail), ERR_OK);
    for (uint64_t n = 0; ring_reader_tail(b->reader) == tail; n++)
        publish(b, n);
    assert_int_equal(ring_reader_next(b->reader, &b->record), RING_LAPPED);
    assert_int_equal(ring_reader_next(b->reader, &b->record), RING_EMPTY);
}

static void positions_across_the_powers(void **state)
{
    static const uint64_t edges[] = {1ULL << 32, 1ULL << 38, 1ULL << 53, 1ULL << 63};
    struct bench *b = bench_new(state);
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        run_across(b, edges[i]);
        end(b);
    }
    free(b);
}

/* No writer begins above 2^63: it would take 290 years of a gigabyte a second to run from there into an overflow. */
static void a_writer_begins_anew_above_2_63(void **state)
{
    static const uint64_t places[] = {1ULL << 63, (1ULL << 63) + RECORD_ALIGN, UINT64_MAX - 2 * MIB + 1,
                                      UINT64_MAX - 63};
    struct bench *b = bench_new(state);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_false(begin_at(b, places[i] & ~(uint64_t)63));
        assert_true(ring_writer_next(b->writer) == MIB - RING_START_BELOW);
        publish(b, i);
        expect_same(b);
        end(b);
    }
    assert_true(begin_at(b, RING_POSITION_MAX - RECORD_ALIGN));
    end(b);
    free(b);
}

/* A file that says so all the same: every call ends, and nothing that was never written is returned. */
static void a_reader_at_the_top_end(void **state)
{
    struct bench *b = bench_new(state);
    assert_true(begin_at(b, 3 * MIB));
    struct scalpel scalpel = scalpel_open(b->place->ring);
    struct ring_page *page = (struct ring_page *)(void *)scalpel.at;
    for (uint64_t back = 0; back < 3 * RECORD_MAX; back += 8256) {
        uint64_t head = (UINT64_MAX - back) & ~(uint64_t)63;
        page->head = ring_mark(head);
        page->reserve = ring_mark(UINT64_MAX & ~(uint64_t)63);
        for (int i = 0; i < 4; i++)
            assert_int_not_equal(ring_reader_next(b->reader, &b->record), RING_MORE);
        for (uint64_t at = 0; at < 200 * RECORD_ALIGN; at += RECORD_ALIGN)
            if (ring_reader_seek(b->reader, UINT64_MAX - 63 - at) == ERR_OK)
                assert_true(UINT64_MAX - 63 - at == head);
    }
    publish(b, 5); /* and all is well again */
    assert_int_equal(ring_reader_seek(b->reader, 3 * MIB), ERR_OK);
    expect_same(b);
    scalpel_close(&scalpel);
    end(b);
    free(b);
}

/* Every length of 1 to 40 lines, beginning at every line from 41 before the end of the data to 1 behind it. */
static void records_at_every_line_of_the_wrap(void **state)
{
    struct bench *b = bench_new(state);
    assert_true(begin_at(b, 7 * MIB - 65536));
    uint64_t n = 0, crossed = 0;
    for (uint32_t before = 0; before <= 41; before++) {
        for (uint32_t lines = 1; lines <= 40; lines += before % 3 + 1) {
            uint64_t next = ring_writer_next(b->writer),
                     edge = (next / MIB + 1) * MIB - before * RECORD_ALIGN;
            if (edge <= next)
                edge += MIB;
            while (next < edge) { /* up to there */
                uint64_t room = (edge - next) / RECORD_ALIGN;
                publish_lines(b, n++, (uint32_t)(room < 4000 ? room : 3000));
                next = ring_writer_next(b->writer);
            }
            assert_int_equal(ring_reader_seek(b->reader, next), ERR_OK);
            uint64_t position = publish_lines(b, n++, lines);
            expect_same(b);
            assert_true(b->record.position == position);
            crossed += before > 0 && lines > before;
        }
    }
    assert_true(crossed > 100);
    end(b);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(positions_across_the_powers),
        T(a_writer_begins_anew_above_2_63),
        T(a_reader_at_the_top_end),
        T(records_at_every_line_of_the_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
