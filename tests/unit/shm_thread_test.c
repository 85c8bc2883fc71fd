/* One writer and several readers as threads over the same mapping, every byte checked. Under ThreadSanitizer (preset
 * `tsan`) it also proves the orders that give a happens-before edge: the writer leaves a plain, unsynchronised note
 * beside each record and slot, and a reader that has received the record or slot reads it; if head or sequence were
 * stored or loaded relaxed, that would be a reported race.
 *
 * A block of counters (stats.h) is written and read along with them. The planted defects of tests/proof/defects that are races
 * (`by: race`) are what this test must find; those that it only might meet are shm_step_test's.
 *
 * Readers are built over the writer's own mapping, because the checker knows order only per address.
 */
#include "shm_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "lvt_page.h"
#include "lvt_reader.h"
#include "lvt_writer.h"
#include "ring_page.h"
#include "ring_reader_map.h"
#include "ring_writer_map.h"
#include "stats.h"

#define RECORDS   40000u
#define PUTS      40000u
#define SLOTS     4u
#define READERS   2
#define FRAME_MAX 900u

enum { PUT_COUNT, PUT_SIZES, METRICS };
static const struct stats_def defs[METRICS] = {{"puts", STATS_COUNTER}, {"sizes", STATS_HISTOGRAM}};
static uint64_t ring_notes[RECORDS + 1], slot_notes[PUTS + 1], counters[512];

struct play {
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct stats stats;
    _Atomic uint32_t ready, served; /* readers that run; that have read a slot */
    _Atomic bool done;
};

/* Stands still until the writer is on the heels of this reader, so that it reads what is just being overwritten. */
static void dawdle(const struct play *play, struct ring_reader *reader)
{
    while (!play->done && ring_reader_head(reader) - ring_reader_position(reader) < MIB - 4 * FRAME_MAX)
        sched_yield();
}

struct result {
    uint64_t records, lapped, machines, busy, wrong;
};

struct reader_role {
    struct play *play;
    bool dawdles;
    struct result result;
};

static void *ring_reading(void *arg)
{
    struct reader_role *role = arg;
    struct result *result = &role->result;
    struct script *script = calloc(1, sizeof *script);
    struct ring_reader *reader = NULL;
    struct ring_record record;
    uint64_t last = 0;
    result->wrong += script == NULL || ring_reader_over(ring_writer_map(role->play->ring), &reader) != ERR_OK;
    role->play->ready++;
    while (result->wrong == 0 && last < RECORDS) {
        if (role->dawdles && result->records % 200 == 0)
            dawdle(role->play, reader);
        enum ring_status_e status = ring_reader_next(reader, &record);
        if (status == RING_EMPTY)
            sched_yield();
        result->lapped += status == RING_LAPPED;
        result->wrong += status == RING_CORRUPT || status == RING_GONE;
        /* Lapped at the very end: nothing more comes. */
        if (status == RING_LAPPED && ring_reader_head(reader) == ring_reader_position(reader) &&
            role->play->done)
            break;
        if (status == RING_EMPTY && role->play->done &&
            ring_reader_head(reader) == ring_reader_position(reader))
            break;
        if (status != RING_MORE)
            continue;
        uint64_t n = record.source_ns;
        script_make(script, n, FRAME_MAX);
        result->wrong += n <= last || !script_same(script, &record) || ring_notes[n] != hash_u64(n);
        last = n;
        result->records++;
    }
    ring_reader_close(&reader);
    free(script);
    return NULL;
}

/* A counter only grows, and never beyond what was counted. */
static bool counters_sane(const struct stats_view *view, uint64_t last[METRICS])
{
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    for (size_t metric = 0; metric < METRICS; metric++) {
        uint64_t value;
        if (!stats_view_metric(view, metric, name, &kind, &value) || value < last[metric] || value > PUTS)
            return false;
        last[metric] = value;
    }
    return true;
}

static void *lvt_reading(void *arg)
{
    struct reader_role *role = arg;
    struct result *result = &role->result;
    struct lvt_reader *reader = NULL;
    struct lvt_machine machine, wanted;
    struct stats_view view = {0};
    uint64_t last[SLOTS] = {0}, counted[METRICS] = {0};
    result->wrong += stats_view_open(&view, counters, sizeof counters) != ERR_OK;
    result->wrong += lvt_reader_over(lvt_writer_map(role->play->lvt), &reader) != ERR_OK;
    role->play->ready++;
    for (uint32_t slot = 0; result->wrong == 0 && !role->play->done; slot = (slot + 1) % SLOTS) {
        enum lvt_status_e status = lvt_reader_get(reader, slot, &machine);
        result->busy += status == LVT_BUSY;
        result->wrong += !counters_sane(&view, counted);
        result->wrong += status == LVT_CORRUPT || status == LVT_GONE;
        if (status != LVT_OK)
            continue;
        uint64_t n = machine.record_position / RECORD_ALIGN;
        script_machine(&wanted, slot, n);
        result->wrong += n < last[slot] || !machine_same(&machine, &wanted) || slot_notes[n] != hash_u64(n);
        last[slot] = n;
        role->play->served += result->machines++ == 0;
    }
    role->play->served += result->machines == 0; /* nobody waits for one that failed */
    lvt_reader_close(&reader);
    return NULL;
}

static void write_all(struct play *play)
{
    static struct script script;
    struct lvt_machine machine;
    for (uint64_t n = 1; n <= RECORDS; n++) {
        ring_notes[n] = hash_u64(n);
        script_make(&script, n, FRAME_MAX);
        assert_int_equal(ring_writer_append(play->ring, &script.entry), ERR_OK);
        if (n % 3 == 0 || n == RECORDS)
            ring_writer_publish(play->ring);
        slot_notes[n] = hash_u64(n);
        script_machine(&machine, (uint32_t)(n % SLOTS), n);
        assert_int_equal(lvt_writer_put(play->lvt, (uint32_t)(n % SLOTS), &machine), ERR_OK);
        stats_add(&play->stats, PUT_COUNT, 1);
        stats_observe_ns(&play->stats, PUT_SIZES, n);
        if (n % 64 == 0)
            sched_yield(); /* two cores, five threads: let everybody meet */
    }
    while (play->served < READERS) /* a busy machine may not have let them run */
        sched_yield();
    play->done = true;
}

static void writer_and_readers_in_threads(void **state)
{
    const struct place *place = *state;
    struct play play = {0};
    struct reader_role roles[2 * READERS] = {0};
    pthread_t threads[2 * READERS];
    bool continued;
    assert_int_equal(ring_writer_open(place->ring, MIB, &play.ring, &continued), ERR_OK);
    assert_int_equal(lvt_writer_open(place->lvt, SLOTS, 1, &play.lvt, &continued), ERR_OK);
    assert_true(stats_size(defs, METRICS) <= sizeof counters);
    stats_init(&play.stats, counters, defs, METRICS);
    for (size_t i = 0; i < 2 * READERS; i++) {
        roles[i].play = &play;
        roles[i].dawdles = i == 0;
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < READERS ? ring_reading : lvt_reading, &roles[i]), 0);
    }
    while (play.ready < 2 * READERS)
        sched_yield();
    write_all(&play);
    for (size_t i = 0; i < 2 * READERS; i++) {
        const struct result *result = &roles[i].result;
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(result->wrong, 0);
        assert_true(i < READERS ? result->records + result->lapped > 0 : result->machines > 0);
        print_message("reader %zu: %llu records, lapped %llu times, %llu machines, busy %llu times\n", i,
                      (unsigned long long)result->records, (unsigned long long)result->lapped,
                      (unsigned long long)result->machines, (unsigned long long)result->busy);
    }
    lvt_writer_close(&play.lvt);
    ring_writer_close(&play.ring);
}

/* --- two threads that meet at every record ------------------------------------------------------------------------------ */

#define MEETINGS  20000u
#define OVERTAKEN 600u
#define LONG      180000u /* bytes of a frame: five of them are a ring */

struct meeting {
    struct ring_writer *ring;
    _Atomic uint64_t read; /* number of the last record read */
    _Atomic bool ready, done;
    uint64_t wrong, taken;
};

/* On one processor the other side would never run. */
static void spin(uint64_t *turns)
{
    if (++*turns % 2000 == 0)
        sched_yield();
}

/* Looks at the head without a pause, so that it meets each record the moment it is public. */
static void *reading_at_the_head(void *arg)
{
    struct meeting *meeting = arg;
    static struct script script;
    struct ring_reader *reader = NULL;
    struct ring_record record;
    uint64_t turns = 0;
    meeting->wrong += ring_reader_over(ring_writer_map(meeting->ring), &reader) != ERR_OK;
    meeting->ready = true;
    while (meeting->wrong == 0 && meeting->taken < MEETINGS) {
        enum ring_status_e status = ring_reader_next(reader, &record);
        if (status == RING_EMPTY) {
            spin(&turns);
            continue;
        }
        script_make(&script, ++meeting->taken, FRAME_MAX);
        meeting->wrong += status != RING_MORE || !script_same(&script, &record);
        meeting->read = meeting->taken;
    }
    ring_reader_close(&reader);
    meeting->done = true;
    return NULL;
}

static void every_record_is_whole_when_its_head_is_public(void **state)
{
    const struct place *place = *state;
    static struct script script;
    struct meeting meeting = {0};
    pthread_t thread;
    bool continued;
    uint64_t turns = 0;
    assert_int_equal(ring_writer_open(place->ring, MIB, &meeting.ring, &continued), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, reading_at_the_head, &meeting), 0);
    while (!meeting.ready)
        sched_yield();
    for (uint64_t n = 1; n <= MEETINGS && !meeting.done; n++) {
        script_make(&script, n, FRAME_MAX);
        assert_int_equal(ring_writer_append(meeting.ring, &script.entry), ERR_OK);
        ring_writer_publish(meeting.ring);
        while (meeting.read < n && !meeting.done)
            spin(&turns);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(meeting.wrong, 0);
    assert_int_equal(meeting.taken, MEETINGS);
    ring_writer_close(&meeting.ring);
}

/* Reads the oldest record again and again: what is written over under its eyes is a lap, never damage. */
static void *reading_at_the_tail(void *arg)
{
    struct meeting *meeting = arg;
    struct ring_reader *reader = NULL;
    struct ring_record record;
    meeting->wrong += ring_reader_over(ring_writer_map(meeting->ring), &reader) != ERR_OK;
    meeting->ready = true;
    while (meeting->wrong == 0 && !meeting->done) {
        if (ring_reader_seek(reader, ring_reader_tail(reader)) != ERR_OK)
            continue;
        enum ring_status_e status = ring_reader_next(reader, &record);
        meeting->wrong += status == RING_CORRUPT || status == RING_GONE;
        meeting->taken += status == RING_LAPPED;
    }
    ring_reader_close(&reader);
    return NULL;
}

static void a_record_that_is_written_over_is_a_lap(void **state)
{
    const struct place *place = *state;
    static struct script script;
    struct meeting meeting = {0};
    pthread_t thread;
    bool continued;
    char *frame = malloc(LONG);
    assert_non_null(frame);
    assert_int_equal(ring_writer_open(place->ring, MIB, &meeting.ring, &continued), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, reading_at_the_tail, &meeting), 0);
    while (!meeting.ready)
        sched_yield();
    for (uint64_t n = 1; n <= OVERTAKEN; n++) {
        script_make(&script, n, 0);
        memset(frame, (int)n, LONG);
        script.entry.frame = frame;
        script.entry.frame_len = LONG;
        assert_int_equal(ring_writer_append(meeting.ring, &script.entry), ERR_OK);
        ring_writer_publish(meeting.ring);
        if (n % 8 == 0)
            sched_yield();
    }
    meeting.done = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("overtaken while reading: %llu times\n", (unsigned long long)meeting.taken);
    assert_int_equal(meeting.wrong, 0);
    ring_writer_close(&meeting.ring);
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(writer_and_readers_in_threads),
        T(every_record_is_whole_when_its_head_is_public),
        T(a_record_that_is_written_over_is_a_lap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
