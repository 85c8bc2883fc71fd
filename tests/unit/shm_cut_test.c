/* Files that are cut under a mapping: nobody dies of SIGBUS, nothing is taken for true that is not there, readers say GONE, writers
 * that they must be replaced; and a SIGBUS that is none of ours still ends the process. */
#include "shm_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "lvt_page.h"
#include "lvt_reader.h"
#include "lvt_writer.h"
#include "ring_page.h"
#include "segment.h"
#include "shm_file.h"

static void write_one(struct ring_writer *writer, uint64_t n)
{
    static struct script script;
    script_make(&script, n, 500);
    assert_int_equal(ring_writer_append(writer, &script.entry), ERR_OK);
    ring_writer_publish(writer);
}

static void a_cut_ring(void **state)
{
    const struct place *place = *state;
    static const off_t lengths[] = {
        0, 100, 4096, RING_DATA_OFFSET, RING_DATA_OFFSET + 4096, RING_DATA_OFFSET + MIB - 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct ring_writer *writer = NULL;
        struct ring_reader *reader = NULL, *behind = NULL;
        struct ring_record record;
        uint32_t healed;
        bool continued;
        assert_int_equal(ring_writer_open(place->ring, MIB, &writer, &continued), ERR_OK);
        assert_false(continued);
        assert_int_equal(ring_reader_open(place->ring, &reader), ERR_OK);
        assert_int_equal(ring_reader_open(place->ring, &behind), ERR_OK);
        write_one(writer, 1);
        assert_int_equal(ring_reader_next(reader, &record), RING_MORE);
        assert_int_equal(truncate(place->ring, lengths[i]), 0);
        write_one(writer, 2); /* into nothing */
        assert_int_equal(ring_writer_scrub(writer, &healed), ERR_CORRUPT);
        for (int look = 0; look < 3;
             look++) { /* until it is told, it may wait, or say that something is wrong */
            assert_int_not_equal(ring_reader_next(reader, &record), RING_MORE);
            assert_int_not_equal(ring_reader_next(behind, &record), RING_MORE);
        }
        uint32_t id = ring_writer_id(writer);
        ring_writer_close(&writer);
        assert_int_equal(ring_writer_open(place->ring, MIB, &writer, &continued), ERR_OK);
        assert_false(continued);
        assert_int_not_equal(ring_writer_id(writer), id);
        enum ring_status_e status = ring_reader_next(reader, &record);
        assert_true(status == RING_GONE || status == RING_EMPTY);
        for (int look = 0; look < 3 && status != RING_GONE; look++)
            status = ring_reader_next(reader, &record);
        assert_int_equal(status, RING_GONE);
        ring_reader_close(&reader);
        ring_reader_close(&behind);
        ring_writer_close(&writer);
        unlink(place->ring);
    }
}

static void a_cut_table(void **state)
{
    const struct place *place = *state;
    static const off_t lengths[] = {0, 100, 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct lvt_writer *writer = NULL;
        struct lvt_reader *reader = NULL;
        struct lvt_machine machine;
        uint32_t healed;
        bool continued;
        assert_int_equal(lvt_writer_open(place->lvt, 16, 7, &writer, &continued), ERR_OK);
        for (uint32_t slot = 0; slot < 16; slot++) {
            script_machine(&machine, slot, slot);
            assert_int_equal(lvt_writer_put(writer, slot, &machine), ERR_OK);
        }
        assert_int_equal(lvt_reader_open(place->lvt, &reader), ERR_OK);
        assert_int_equal(truncate(place->lvt, lengths[i]), 0);
        for (uint32_t slot = 0; slot < 16; slot++) /* never empty: its machine is not gone */
            assert_int_equal(lvt_reader_get(reader, slot, &machine), LVT_GONE);
        script_machine(&machine, 3, 99);
        (void)lvt_writer_put(writer, 3, &machine);
        assert_int_equal(lvt_writer_scrub(writer, &healed), ERR_CORRUPT);
        lvt_writer_close(&writer);
        assert_int_equal(lvt_writer_open(place->lvt, 16, 7, &writer, &continued), ERR_OK);
        assert_false(continued);
        lvt_reader_close(&reader);
        lvt_writer_close(&writer);
        unlink(place->lvt);
    }
}

static void a_cut_segment(void **state)
{
    const struct place *place = *state;
    static const struct stats_def defs[] = {{"frames", STATS_COUNTER}, {"latency", STATS_HISTOGRAM}};
    struct segment *segment = NULL;
    struct segment_view *view = NULL;
    struct stats stats;
    struct stats_view seen;
    assert_int_equal(segment_create(place->ring, "worker.3", "", 1, defs, 2, &segment, &stats), ERR_OK);
    assert_int_equal(segment_view_open(place->ring, &view), ERR_OK);
    assert_int_equal(truncate(place->ring, 0), 0);
    stats_add(&stats, 0, 1);
    stats_observe_ns(&stats, 1, 5);
    segment_page(segment)->cursor = 3;
    assert_true(segment_view_page(view)->sleeping == 0);
    assert_int_equal(segment_view_stats(view, &seen), ERR_MALFORMED);
    segment_view_close(&view);
    segment_close(&segment, true);
}

/* A mapping that was not made here. */
static void a_fault_of_others_still_kills(void **state)
{
    const struct place *place = *state;
    struct ring_writer *writer = NULL;
    bool continued;
    int status;
    assert_int_equal(ring_writer_open(place->ring, MIB, &writer, &continued),
                     ERR_OK); /* the handler is there */
    pid_t child = fork_player();
    if (child == 0) {
        struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        int fd = open(place->ring, O_RDWR | O_CLOEXEC);
        volatile char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
        _exit(ftruncate(fd, 0) == 0 ? at[0] : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0); /* by the signal, or by a sanitizer's word */
    ring_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(a_cut_ring),
        T(a_cut_table),
        T(a_cut_segment),
        T(a_fault_of_others_still_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
