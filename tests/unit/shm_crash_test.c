/* kill -9 of the writer at random moments, fifty times over one ring and one table: a reader that lives through all of
 * them sees every published record once, in order and whole, and no slot with a wrong byte; and the successor leaves no
 * slot odd.
 */
#include "shm_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "clock.h"
#include "entropy.h"
#include "lvt_reader.h"
#include "lvt_writer.h"

#define ROUNDS      50
#define SLOTS       16
#define FRAME_MAX   6000
#define RING_ID     77
#define DEADLINE_NS (20 * NS_PER_S)

static void must(bool condition, int code)
{
    if (!condition)
        _exit(code);
}

/* Writes from record n on until it is killed. Every state's slot follows its record, as the broker does it. */
static void writer_main(const struct place *place, uint64_t n)
{
    static struct script script;
    struct lvt_machine machine;
    struct ring_writer *ring = NULL;
    struct lvt_writer *lvt = NULL;
    bool continued;
    must(ring_writer_open(place->ring, MIB, &ring, &continued) == ERR_OK && continued, 2);
    must(lvt_writer_open(place->lvt, SLOTS, RING_ID, &lvt, &continued) == ERR_OK && continued, 3);
    for (;; ring_writer_publish(ring)) {
        for (uint64_t batch = 1 + n % 5; batch > 0; batch--, n++) {
            script_make(&script, n, FRAME_MAX);
            must(ring_writer_append(ring, &script.entry) == ERR_OK, 4);
            uint32_t slot = (uint32_t)(n % SLOTS);
            script_machine(&machine, slot, n);
            must(lvt_writer_put(lvt, slot, &machine) == ERR_OK, 5);
        }
    }
}

struct watch {
    struct ring_reader *ring;
    struct lvt_reader *lvt;
    uint64_t next, records, lapped, machines, busy;
};

/* Takes what is there; true if there was something. Lapped readers find out where they are from the record. */
static bool ring_watch(struct watch *watch)
{
    static struct script script;
    struct ring_record record;
    enum ring_status_e status = ring_reader_next(watch->ring, &record);
    if (status == RING_EMPTY)
        return false;
    if (status == RING_LAPPED) {
        watch->lapped++;
        watch->next = 0;
        return true;
    }
    assert_int_equal(status, RING_MORE);
    assert_true(watch->next == 0 || record.source_ns == watch->next);
    script_make(&script, record.source_ns, FRAME_MAX);
    assert_true(script_same(&script, &record));
    watch->next = record.source_ns + 1;
    watch->records++;
    return true;
}

/* Returns the number of slots that are odd. */
static uint32_t lvt_watch(struct watch *watch)
{
    struct lvt_machine machine, wanted;
    uint32_t busy = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        enum lvt_status_e status = lvt_reader_get(watch->lvt, slot, &machine);
        assert_true(status == LVT_OK || status == LVT_EMPTY || status == LVT_BUSY);
        busy += status == LVT_BUSY;
        if (status != LVT_OK)
            continue;
        script_machine(&wanted, slot, machine.record_position / RECORD_ALIGN);
        assert_true(machine_same(&machine, &wanted));
        watch->machines++;
    }
    return busy;
}

static void one_round(const struct place *place, struct watch *watch)
{
    uint64_t wanted = watch->records + 1 + entropy_u64() % 300, spins = entropy_u64() % 3000;
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    pid_t child = fork_player();
    if (child == 0)
        writer_main(place, watch->next);
    while (watch->records < wanted) {
        assert_true(clock_mono_ns(clock_system()) < deadline);
        if (!ring_watch(watch))
            sched_yield();
        lvt_watch(watch);
    }
    while (spins-- > 0) /* any point of the writer's loop, not only right after a publish */
        __asm__ volatile("" ::: "memory");
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (ring_watch(watch))
        continue;
    watch->busy += lvt_watch(watch);
}

static void a_writer_killed_fifty_times(void **state)
{
    const struct place *place = *state;
    struct watch watch = {.next = 1};
    struct ring_writer *ring = NULL;
    struct lvt_writer *lvt = NULL;
    bool continued;
    assert_int_equal(ring_writer_open(place->ring, MIB, &ring, &continued), ERR_OK);
    assert_int_equal(lvt_writer_open(place->lvt, SLOTS, RING_ID, &lvt, &continued), ERR_OK);
    ring_writer_close(&ring);
    lvt_writer_close(&lvt);
    assert_int_equal(ring_reader_open(place->ring, &watch.ring), ERR_OK);
    assert_int_equal(lvt_reader_open(place->lvt, &watch.lvt), ERR_OK);

    for (int round = 0; round < ROUNDS; round++) {
        if (watch.next == 0) { /* lapped just now: the history tells the number to go on with */
            assert_int_equal(ring_reader_seek(watch.ring, ring_reader_tail(watch.ring)), ERR_OK);
            while (ring_watch(&watch))
                continue;
        }
        one_round(place, &watch);
    }
    assert_int_equal(lvt_writer_open(place->lvt, SLOTS, RING_ID, &lvt, &continued), ERR_OK);
    assert_true(continued);
    assert_int_equal(lvt_watch(&watch), 0);
    print_message("%llu records, %llu machines checked; lapped %llu times; %llu slots left odd\n",
                  (unsigned long long)watch.records, (unsigned long long)watch.machines,
                  (unsigned long long)watch.lapped, (unsigned long long)watch.busy);
    lvt_writer_close(&lvt);
    ring_reader_close(&watch.ring);
    lvt_reader_close(&watch.lvt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_writer_killed_fifty_times, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
