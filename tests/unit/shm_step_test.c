/* Between any two instructions of a writer, a reader looks; between two instructions of a reader, the writer writes. Nothing here
 * depends on time or on another thread: the processor's trap flag ends each instruction with a SIGTRAP, and its handler, in the same
 * thread, is the other side, with a mapping of its own. So whatever an order of stores or a look too early lets be seen, is
 * seen in every run; shm_thread_test only has a chance to see it. The weakened sources of tests/proof/defects must fail here.
 *
 * The handler may do what it does because nothing on the way of a record allocates, locks or calls the kernel (README.md).
 *
 * What it does not see: orders that only a weaker machine than x86 shows (Spin, tests/proof), and words that are no atomics
 * (shm_thread_test under ThreadSanitizer). Only x86 has the flag; elsewhere everything here is skipped. Rejected: a page taken away
 * by mprotect(), which stops at borders of pages, and no slot has one; ptrace(), two switches of process for each instruction.
 */
#include "shm_fixture.h"

#include <ucontext.h>

#include "lvt_page.h"
#include "lvt_reader.h"
#include "lvt_writer.h"
#include "ring_page.h"
#include "ring_writer_map.h"

#define FRAME_MAX 300u
#define POINTS    64u /* at so many of a reader's instructions the writer comes in between */
#define SHORT     256u
#define LONG      1024u
#define STANDING  64u /* readers at one record: more than there are stores into it */
#define SLOT      1u  /* neither the first nor the last */

/* --- one instruction after the other ---------------------------------------------------------------------------------- */

#define NEVER UINT64_MAX

struct other {
    void (*look)(void *play);
    void *play;
    uint64_t at; /* the step at which it looks, and stepping ends; 0: at every one */
    uint64_t steps;
};
static struct other other;

#if defined __x86_64__
#define TRAP_FLAG 0x100u

static void on_step(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    ucontext_t *at = context;
    other.steps++;
    if (other.at == 0 || other.steps == other.at)
        other.look(other.play);
    if (other.steps == other.at)
        at->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void stepping(bool on)
{
    unsigned long long flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | TRAP_FLAG : flags & ~(unsigned long long)TRAP_FLAG);
}
#else
static void on_step(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info, (void)context;
}

static void stepping(bool on)
{
    (void)on;
    skip();
}
#endif

/* Does `act` step by step, with `look` after each step, or after the one `at`. Returns the number of steps. */
static uint64_t stepped(void (*act)(void *), void (*look)(void *), uint64_t at, void *play)
{
    struct sigaction former, action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    other = (struct other){look, play, at, 0};
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGTRAP, &action, &former), 0);
    stepping(true);
    act(play);
    stepping(false);
    assert_int_equal(sigaction(SIGTRAP, &former, NULL), 0);
    assert_true(other.steps > 0); /* a processor (or what plays one) that has no trap flag */
    return other.steps;
}

/* --- the ring --------------------------------------------------------------------------------------------------------- */

struct ring_play {
    struct ring_writer *writer;
    struct ring_reader *reader, *standing[STANDING];
    struct script written, second, wanted;
    struct ring_record record;
    enum ring_status_e status;
    uint64_t begin, next; /* position of record 0, number of the next one */
    uint64_t looks, wholes, laps, wrong;
    uint64_t seen[4 + SHORT / 8]; /* the words that a writer changes, as they last were */
    uint64_t place;               /* position of the record that is written over */
};

static struct ring_play *ring_play(void **state)
{
    const struct place *place = *state;
    struct ring_play *play = calloc(1, sizeof *play);
    bool continued;
    assert_non_null(play);
    assert_int_equal(ring_writer_open(place->ring, MIB, &play->writer, &continued), ERR_OK);
    assert_int_equal(ring_reader_open(place->ring, &play->reader), ERR_OK);
    play->begin = ring_writer_next(play->writer);
    return play;
}

static void ring_play_end(struct ring_play *play)
{
    for (size_t i = 0; i < STANDING; i++)
        ring_reader_close(&play->standing[i]);
    ring_reader_close(&play->reader);
    ring_writer_close(&play->writer);
    free(play);
}

/* Record n, of exactly so many bytes. */
static void script_exact(struct script *script, uint64_t n, uint32_t bytes)
{
    script_make(script, n, 0);
    script->entry.kind = RECORD_EVENT;
    script_meta(script, n);
    script_topics(script, n, 0);
    script_frame(script, n, bytes - (uint32_t)sizeof(struct ring_record_header));
}

/* The next one more would write over record 0. */
static void ring_fill(struct ring_play *play, uint32_t bytes)
{
    for (; play->next < MIB / bytes; play->next++) {
        script_exact(&play->written, play->next, bytes);
        assert_int_equal(ring_writer_append(play->writer, &play->written.entry), ERR_OK);
        ring_writer_publish(play->writer);
    }
    assert_true(ring_writer_tail(play->writer) == play->begin);
    script_exact(&play->written, play->next, bytes);
}

/* What a reader says of a record that is being written over: it, whole, or that it is gone. */
static void judge(struct ring_play *play, enum ring_status_e status)
{
    bool whole = status == RING_MORE && script_same(&play->wanted, &play->record);
    play->looks++;
    play->wholes += whole;
    play->laps += status == RING_LAPPED;
    play->wrong += !whole && status != RING_LAPPED;
}

static void append_two(void *arg)
{
    struct ring_play *play = arg;
    play->wrong += ring_writer_append(play->writer, &play->written.entry) != ERR_OK;
    play->wrong += ring_writer_append(play->writer, &play->second.entry) != ERR_OK;
    ring_writer_publish(play->writer);
}

static void look_at_the_head(void *arg)
{
    struct ring_play *play = arg;
    enum ring_status_e status = ring_reader_next(play->reader, &play->record);
    if (status == RING_MORE) {
        script_make(&play->wanted, ++play->wholes, FRAME_MAX);
        play->wrong += !script_same(&play->wanted, &play->record);
    } else {
        play->wrong += status != RING_EMPTY;
    }
}

static void a_record_is_whole_when_its_head_is_public(void **state)
{
    struct ring_play *play = ring_play(state);
    script_make(&play->written, 1, FRAME_MAX);
    script_make(&play->second, 2, FRAME_MAX);
    uint64_t steps = stepped(append_two, look_at_the_head, 0, play);
    look_at_the_head(play);
    print_message("%llu steps\n", (unsigned long long)steps);
    assert_int_equal(play->wrong, 0);
    assert_int_equal(play->wholes, 2);
    ring_play_end(play);
}

static void append_one(void *arg)
{
    struct ring_play *play = arg;
    play->wrong += ring_writer_append(play->writer, &play->written.entry) != ERR_OK;
    ring_writer_publish(play->writer);
}

/* One of those who stand at the record, whenever anything has changed. */
static void look_at_the_place(void *arg)
{
    struct ring_play *play = arg;
    const struct ring_map *map = ring_writer_map(play->writer);
    const _Atomic uint64_t *words = ring_word(map, play->place);
    uint64_t now[sizeof play->seen / 8] = {map->page->head, map->page->reserve, map->page->tail};
    for (size_t i = 0; i < SHORT / 8; i++)
        now[4 + i] = atomic_load_explicit(&words[i], memory_order_relaxed);
    if (memcmp(now, play->seen, sizeof now) == 0)
        return;
    memcpy(play->seen, now, sizeof now);
    if (play->looks == STANDING)
        play->wrong++;
    else
        judge(play, ring_reader_next(play->standing[play->looks], &play->record));
}

static void a_record_that_is_being_written_over_is_a_lap(void **state)
{
    const struct place *place = *state;
    struct ring_play *play = ring_play(state);
    ring_fill(play, SHORT);
    play->place = play->begin;
    for (size_t i = 0; i < STANDING; i++) {
        assert_int_equal(ring_reader_open(place->ring, &play->standing[i]), ERR_OK);
        assert_int_equal(ring_reader_seek(play->standing[i], play->place), ERR_OK);
    }
    script_exact(&play->wanted, 0, SHORT);
    uint64_t steps = stepped(append_one, look_at_the_place, 0, play);
    print_message("%llu steps, %llu looks, %llu whole, %llu lapped\n", (unsigned long long)steps,
                  (unsigned long long)play->looks, (unsigned long long)play->wholes,
                  (unsigned long long)play->laps);
    assert_int_equal(play->wrong, 0);
    assert_int_equal(play->wholes, 2);    /* before anything, and when the tail had moved */
    assert_true(play->laps > SHORT / 16); /* not every word differs from what stood there */
    ring_play_end(play);
}

static void read_one(void *arg)
{
    struct ring_play *play = arg;
    play->status = ring_reader_next(play->reader, &play->record);
}

static void never(void *play)
{
    (void)play;
}

static void a_record_that_is_written_over_while_it_is_read_is_a_lap(void **state)
{
    struct ring_play *play = ring_play(state);
    ring_fill(play, LONG);
    uint64_t steps = 0;
    for (uint64_t point = 0; point <= POINTS; point++) {
        uint64_t tail = ring_writer_tail(play->writer);
        script_exact(&play->wanted, (tail - play->begin) / LONG, LONG);
        assert_int_equal(ring_reader_seek(play->reader, tail), ERR_OK);
        if (point == 0)
            steps = stepped(read_one, never, NEVER, play);
        else
            stepped(read_one, append_one, 1 + (point - 1) * steps / POINTS, play);
        judge(play, play->status);
        if (ring_writer_tail(play->writer) != tail)
            script_exact(&play->written, ++play->next, LONG);
    }
    print_message("%llu steps, %llu whole, %llu lapped\n", (unsigned long long)steps,
                  (unsigned long long)play->wholes, (unsigned long long)play->laps);
    assert_int_equal(play->wrong, 0);
    assert_true(play->wholes > 0 && play->laps > 0);
    ring_play_end(play);
}

/* --- the last-value table --------------------------------------------------------------------------------------------- */

struct slot_play {
    struct lvt_writer *writer;
    struct lvt_reader *reader;
    struct lvt_machine machine, before, after, read; /* `machine` is what is put */
    bool was_there, is_there;                        /* before and after */
    bool after_seen;
    enum lvt_status_e status;
    uint64_t befores, afters, busy, wrong;
};

static struct slot_play *slot_play(void **state)
{
    const struct place *place = *state;
    struct slot_play *play = calloc(1, sizeof *play);
    bool continued;
    assert_non_null(play);
    assert_int_equal(lvt_writer_open(place->lvt, 3, 77, &play->writer, &continued), ERR_OK);
    assert_int_equal(lvt_reader_open(place->lvt, &play->reader), ERR_OK);
    script_machine(&play->machine, SLOT, 1);
    assert_int_equal(lvt_writer_put(play->writer, SLOT, &play->machine), ERR_OK);
    play->after = play->machine;
    play->is_there = true;
    return play;
}

static void slot_play_end(struct slot_play *play)
{
    lvt_reader_close(&play->reader);
    lvt_writer_close(&play->writer);
    free(play);
}

/* What comes next: machine n in the slot, or nothing (0). */
static void then(struct slot_play *play, uint64_t n)
{
    play->before = play->after;
    play->was_there = play->is_there;
    play->is_there = n != 0;
    play->after_seen = false;
    if (n != 0)
        script_machine(&play->machine, SLOT, n);
    play->after = play->machine;
}

static bool reads(const struct slot_play *play, const struct lvt_machine *machine, bool there)
{
    return there ? play->status == LVT_OK && machine_same(&play->read, machine) : play->status == LVT_EMPTY;
}

/* Before, after, or not now; and never before again once it was after. */
static void judge_slot(struct slot_play *play)
{
    bool before = reads(play, &play->before, play->was_there),
         after = reads(play, &play->after, play->is_there);
    play->befores += before;
    play->afters += after;
    play->busy += play->status == LVT_BUSY;
    play->wrong += !after && (play->after_seen || (!before && play->status != LVT_BUSY));
    play->after_seen = play->after_seen || after;
}

static void get_slot(void *arg)
{
    struct slot_play *play = arg;
    play->status = lvt_reader_get(play->reader, SLOT, &play->read);
}

static void look_at_the_slot(void *arg)
{
    get_slot(arg);
    judge_slot(arg);
}

static void put_slot(void *arg)
{
    struct slot_play *play = arg;
    play->wrong += lvt_writer_put(play->writer, SLOT, &play->machine) != ERR_OK;
}

static void clear_slot(void *arg)
{
    struct slot_play *play = arg;
    lvt_writer_clear(play->writer, SLOT);
}

static void leave_slot(void *arg)
{
    struct slot_play *play = arg;
    lvt_writer_leave(play->writer, SLOT);
}

static void a_slot_that_is_being_written_is_busy(void **state)
{
    static const struct {
        void (*act)(void *);
        uint64_t n;
    } acts[] = {{put_slot, 2}, {put_slot, 3}, {clear_slot, 0}, {put_slot, 4}, {leave_slot, 0}, {put_slot, 5}};
    struct slot_play *play = slot_play(state);
    uint64_t steps = 0;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        then(play, acts[i].n);
        steps += stepped(acts[i].act, look_at_the_slot, 0, play);
        look_at_the_slot(play);
        assert_int_equal(play->wrong, 0);
        assert_true(play->after_seen);
    }
    print_message("%llu steps, %llu before, %llu busy, %llu after\n", (unsigned long long)steps,
                  (unsigned long long)play->befores, (unsigned long long)play->busy,
                  (unsigned long long)play->afters);
    assert_true(play->befores > 0 && play->busy > 0);
    slot_play_end(play);
}

static void a_slot_that_is_written_while_it_is_read_is_read_again(void **state)
{
    struct slot_play *play = slot_play(state);
    then(play, 2);
    put_slot(play);
    uint64_t steps = stepped(get_slot, never, NEVER, play);
    for (uint64_t point = 0; point < POINTS; point++) {
        then(play, 3 + point);
        stepped(get_slot, put_slot, 1 + point * steps / POINTS, play);
        judge_slot(play);
        assert_int_not_equal(play->status, LVT_BUSY);
        put_slot(play); /* the way of the last one may have been shorter */
    }
    print_message("%llu steps, %llu before, %llu after\n", (unsigned long long)steps,
                  (unsigned long long)play->befores, (unsigned long long)play->afters);
    assert_int_equal(play->wrong, 0);
    assert_true(play->befores > 0 && play->afters > 0);
    slot_play_end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(a_record_is_whole_when_its_head_is_public),
        T(a_record_that_is_being_written_over_is_a_lap),
        T(a_record_that_is_written_over_while_it_is_read_is_a_lap),
        T(a_slot_that_is_being_written_is_busy),
        T(a_slot_that_is_written_while_it_is_read_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
