/* Random bits of the mapped files flip while one process writes and another reads: ring, last-value table and a worker's
 * segment. Every record and slot says what it should be, so that a wrong one is known at sight. Nobody may crash, hang, take a wrong byte for
 * a right one, read a record twice, or miss one without being told; what is refused is counted; and when the flipping ends, everything
 * is read again without an error. Now and then the writer is killed, and a successor attaches to what the flips have left.
 *
 *     NORIA_FLIPS=100000 NORIA_SEED=7 shm_flip_test      both may be left out: 20,000 flips, a seed that is printed
 */
#include "shm_fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "clock.h"
#include "entropy.h"
#include "log.h"
#include "lvt_page.h"
#include "lvt_reader.h"
#include "lvt_writer.h"
#include "ring_page.h"
#include "segment.h"

#define SLOTS        16u
#define FRAME_MAX    1500u
#define AHEAD        150u  /* records that the writer may be ahead of the reader, mostly */
#define SCRUB_EVERY  64u   /* records */
#define KILL_EVERY   5000u /* flips */
#define CALM_RECORDS 3000u /* that must come without an error in the end */
#define DEADLINE_NS  (30 * NS_PER_S)
#define REMEMBERED   64u
#define WRITER       (1ULL << 24) /* each writer begins its numbers at a multiple of this, and 1 */

enum count_e {
    RECORDS,
    MACHINES,
    LAPPED,
    CORRUPT,
    GONE,
    SLOT_CORRUPT,
    SLOT_BUSY,
    SLOT_EMPTY,
    DAMAGED_WORDS,
    SOUGHT,
    HEALED_WORDS,
    HEALED_SLOTS,
    REFUSED_OPEN,
    SEGMENTS_REFUSED,
    SEGMENTS_READ,
    COUNT
};
static const char *const count_names[COUNT] = {
    "records read",  "machines read", "lapped",           "corrupt",           "gone",
    "slots corrupt", "slots busy",    "slots empty",      "damaged words met", "records sought and found",
    "words healed",  "slots healed",  "openings refused", "segments refused",  "segments read"};

/* What the processes say to each other; never flipped. */
struct board {
    _Atomic uint64_t next;   /* number of the next record */
    _Atomic uint64_t read;   /* number of the last record read: for the writer's pace */
    _Atomic uint64_t rounds; /* of the reader */
    _Atomic uint64_t calm;   /* records since the last bad word; kept once `flipping` is over */
    _Atomic bool flipping, stop;
    _Atomic uint64_t counts[COUNT];
};

struct play {
    const struct place *place;
    struct board *board;
    char segment[96];
};

static void must(bool condition, int code)
{
    if (!condition)
        _exit(code);
}

static void count(struct board *board, enum count_e what, uint64_t by)
{
    atomic_fetch_add_explicit(&board->counts[what], by, memory_order_relaxed);
}

/* --- the writer ------------------------------------------------------------------------------------------------------- */

static void put(struct lvt_writer *lvt, uint32_t slot, uint64_t n)
{
    struct lvt_machine machine;
    script_machine(&machine, slot, n);
    must(lvt_writer_put(lvt, slot, &machine) == ERR_OK, 14);
}

/* As the broker's janitor does it (broker/scrub.c). */
static void scrub(struct board *board, struct ring_writer *ring, struct lvt_writer *lvt, const uint64_t *last)
{
    uint32_t words;
    must(ring_writer_scrub(ring, &words) == ERR_OK, 15);
    count(board, HEALED_WORDS, words);
    must(lvt_writer_scrub(lvt, &words) == ERR_OK, 16);
    count(board, HEALED_WORDS, words);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (last[slot] == 0 || lvt_writer_sound(lvt, slot))
            continue;
        put(lvt, slot, last[slot]);
        count(board, HEALED_SLOTS, 1);
    }
}

static void writer_main(const struct play *play)
{
    static struct script script;
    static uint64_t last[SLOTS];
    static const struct stats_def defs[] = {{"records", STATS_COUNTER}, {"delay", STATS_HISTOGRAM}};
    struct board *board = play->board;
    struct ring_writer *ring = NULL;
    struct lvt_writer *lvt = NULL;
    struct segment *segment = NULL;
    struct stats stats;
    bool continued;
    must(ring_writer_open(play->place->ring, MIB, &ring, &continued) == ERR_OK, 11);
    must(lvt_writer_open(play->place->lvt, SLOTS, ring_writer_id(ring), &lvt, &continued) == ERR_OK, 12);
    must(segment_create(play->segment, "worker.3", "", 42, defs, 2, &segment, &stats) == ERR_OK, 13);
    while (!board->stop) {
        uint64_t n = board->next++;
        script_make(&script, n, FRAME_MAX);
        must(ring_writer_append(ring, &script.entry) == ERR_OK, 17);
        ring_writer_publish(ring);
        last[n % SLOTS] = n;
        put(lvt, (uint32_t)(n % SLOTS), n);
        stats_add(&stats, 0, 1);
        stats_observe_ns(&stats, 1, n);
        if (n % SCRUB_EVERY == 0)
            scrub(board, ring, lvt, last);
        bool runs_free = n / 4096 % 8 == 7; /* so that the reader is lapped, too */
        while (!runs_free && !board->stop && n > board->read + AHEAD) {
            scrub(board, ring, lvt, last);
            sched_yield();
        }
    }
    _exit(0);
}

/* --- the reader ------------------------------------------------------------------------------------------------------- */

struct memory {
    uint64_t position, n;
    uint32_t ring;
};

struct watch {
    const struct play *play;
    struct board *board;
    struct ring_reader *ring, *seeker;
    struct lvt_reader *lvt;
    uint64_t last; /* number of the last record */
    bool told;     /* since then something was lost, and said so */
    uint64_t machines[SLOTS], damaged;
    struct memory memory[REMEMBERED];
};

static void note(struct watch *watch, enum count_e what)
{
    count(watch->board, what, 1);
    watch->board->calm = 0;
}

static void judge(struct watch *watch, const struct ring_record *record)
{
    static struct script script;
    uint64_t n = record->source_ns;
    must(n > watch->last, 30); /* twice, or an older one after a newer one */
    must(n == watch->last + 1 || n % WRITER == 1 || watch->told,
         31); /* a silent gap, and not where a writer died */
    script_make(&script, n, FRAME_MAX);
    must(script_same(&script, record), 32);
    watch->memory[n % REMEMBERED] = (struct memory){record->position, n, ring_reader_id(watch->ring)};
    watch->last = n;
    watch->told = false;
    watch->board->read = n;
    count(watch->board, RECORDS, 1);
    atomic_fetch_add(&watch->board->calm, 1);
}

/* By name, until it works: a writer may be about to replace the file, or to heal its header. */
static void reopen(struct watch *watch)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    enum err_e err;
    ring_reader_close(&watch->ring);
    ring_reader_close(&watch->seeker);
    while ((err = ring_reader_open(watch->play->place->ring, &watch->ring)) != ERR_OK ||
           (err = ring_reader_open(watch->play->place->ring, &watch->seeker)) != ERR_OK) {
        ring_reader_close(&watch->ring);
        must(err == ERR_NOT_FOUND || err == ERR_MALFORMED || err == ERR_VERSION || err == ERR_CORRUPT, 33);
        must(clock_mono_ns(clock_system()) < deadline, 34);
        count(watch->board, REFUSED_OPEN, 1);
        sched_yield();
    }
    watch->told = true;
    watch->damaged = 0;
}

static void reopen_table(struct watch *watch)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    enum err_e err;
    lvt_reader_close(&watch->lvt);
    while ((err = lvt_reader_open(watch->play->place->lvt, &watch->lvt)) != ERR_OK) {
        must(err == ERR_NOT_FOUND || err == ERR_MALFORMED || err == ERR_VERSION, 35);
        must(clock_mono_ns(clock_system()) < deadline, 36);
        count(watch->board, REFUSED_OPEN, 1);
        sched_yield();
    }
}

static void read_ring(struct watch *watch)
{
    struct ring_record record;
    for (int i = 0; i < 64; i++) {
        enum ring_status_e status = ring_reader_next(watch->ring, &record);
        if (status == RING_EMPTY) {
            watch->board->read = watch->board->next; /* as far as it can see */
            break;
        }
        if (status == RING_MORE) {
            judge(watch, &record);
            continue;
        }
        note(watch, status == RING_LAPPED ? LAPPED : status == RING_CORRUPT ? CORRUPT : GONE);
        watch->told = true;
        if (status == RING_GONE)
            reopen(watch);
    }
    uint64_t damaged = ring_reader_damaged(watch->ring);
    count(watch->board, DAMAGED_WORDS, damaged - watch->damaged);
    watch->damaged = damaged;
}

/* A client that resumes: what stood there once stands there still, or is not found. */
static void read_history(struct watch *watch, uint64_t dice)
{
    static struct script script;
    const struct memory *memory = &watch->memory[dice % REMEMBERED];
    struct ring_record record;
    if (memory->ring != ring_reader_id(watch->seeker) ||
        ring_reader_seek(watch->seeker, memory->position) != ERR_OK ||
        ring_reader_next(watch->seeker, &record) != RING_MORE)
        return;
    must(record.source_ns == memory->n, 37);
    script_make(&script, memory->n, FRAME_MAX);
    must(script_same(&script, &record), 38);
    count(watch->board, SOUGHT, 1);
}

static void read_table(struct watch *watch)
{
    struct lvt_machine machine, wanted;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        switch (lvt_reader_get(watch->lvt, slot, &machine)) {
        case LVT_OK: {
            uint64_t n = machine.record_position / RECORD_ALIGN;
            script_machine(&wanted, slot, n);
            must(n % SLOTS == slot && n >= watch->machines[slot] && machine_same(&machine, &wanted), 39);
            watch->machines[slot] = n;
            count(watch->board, MACHINES, 1);
            break;
        }
        case LVT_EMPTY:
            count(watch->board, SLOT_EMPTY, 1); /* a successor emptied it, or it was never used */
            break;
        case LVT_BUSY:
            count(watch->board, SLOT_BUSY, 1);
            break;
        case LVT_CORRUPT:
            note(watch, SLOT_CORRUPT);
            break;
        case LVT_GONE:
            reopen_table(watch);
            return;
        }
    }
}

/* Counters carry no check: they may be wrong, but reading them ends. */
static void read_segment(struct watch *watch)
{
    struct segment_view *view = NULL;
    struct stats_view stats;
    enum err_e err = segment_view_open(watch->play->segment, &view);
    if (err == ERR_OK)
        err = segment_view_stats(view, &stats);
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value;
    for (uint32_t i = 0; err == ERR_OK && stats_view_metric(&stats, i, name, &kind, &value); i++)
        must(strlen(name) <= STATS_NAME_MAX && i < 1000, 40);
    count(watch->board, err == ERR_OK ? SEGMENTS_READ : SEGMENTS_REFUSED, 1);
    segment_view_close(&view);
}

static void reader_main(const struct play *play)
{
    struct watch watch = {.play = play, .board = play->board};
    reopen(&watch);
    reopen_table(&watch);
    for (uint64_t round = 0; !play->board->stop; round++) {
        read_ring(&watch);
        read_history(&watch, round);
        if (round % 4 == 0)
            read_table(&watch);
        if (round % 64 == 0)
            read_segment(&watch);
        play->board->rounds++;
        sched_yield();
    }
    _exit(0);
}

/* --- the flipper ------------------------------------------------------------------------------------------------------ */

struct files {
    struct scalpel ring, lvt, segment;
};

/* The files that have the names now: a successor may have replaced them. */
static void files_open(const struct play *play, struct files *files)
{
    files->ring = scalpel_open(play->place->ring);
    files->lvt = scalpel_open(play->place->lvt);
    files->segment = scalpel_open(play->segment);
}

static void files_close(struct files *files)
{
    scalpel_close(&files->ring);
    scalpel_close(&files->lvt);
    scalpel_close(&files->segment);
}

/* Atomic, so that it is one bit that changes, and no store of the writer's is undone. */
static void flip(const struct scalpel *scalpel, uint64_t word, uint64_t dice)
{
    _Atomic uint64_t *at = (_Atomic uint64_t *)(void *)scalpel->at;
    atomic_fetch_xor(&at[word], 1ULL << (dice & 63));
}

/* Mostly where somebody is about to look. */
static void flip_somewhere(const struct files *files, uint64_t dice)
{
    uint64_t where = hash_u64(dice), which = dice % 100;
    if (which < 40) { /* what was published last */
        uint64_t head = ((struct ring_page *)(void *)files->ring.at)->head, back = where % 65536;
        flip(&files->ring, (RING_DATA_OFFSET + (head - back) % MIB) / 8, where >> 32);
    } else if (which < 50) {
        flip(&files->ring, where % (files->ring.len / 8), where >> 40);
    } else if (which < 65) {
        flip(&files->ring, where % (sizeof(struct ring_page) / 8), where >> 32);
    } else if (which < 85) {
        uint64_t at =
            LVT_SLOTS_OFFSET + where % SLOTS * LVT_SLOT_BYTES + (where >> 8) % sizeof(struct lvt_slot);
        flip(&files->lvt, at / 8, where >> 32);
    } else if (which < 92) {
        flip(&files->lvt, where % (sizeof(struct lvt_page) / 8), where >> 32);
    } else {
        flip(&files->segment, where % (files->segment.len / 8), where >> 32);
    }
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* Waits until the reader has done `rounds` more, and nobody has died. */
static void await_rounds(const struct play *play, const pid_t *players, uint64_t rounds)
{
    uint64_t wanted = play->board->rounds + rounds, deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    while (play->board->rounds < wanted) {
        int status;
        for (int i = 0; i < 2; i++)
            if (waitpid(players[i], &status, WNOHANG) != 0)
                fail_msg("player %d ended with status %x", i, (unsigned)status);
        assert_true(clock_mono_ns(clock_system()) < deadline);
        sched_yield();
    }
}

/* So that the flips fall among reading and writing, whoever runs on how many processors. */
static void await_records(const struct play *play, const pid_t *players, uint64_t records)
{
    uint64_t wanted = play->board->counts[RECORDS] + records,
             deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    while (play->board->counts[RECORDS] < wanted) {
        await_rounds(play, players, 1);
        assert_true(clock_mono_ns(clock_system()) < deadline);
    }
}

static pid_t player(const struct play *play, void (*run)(const struct play *))
{
    pid_t pid = fork_player();
    if (pid != 0)
        return pid;
    log_init("flip", LOG_ERROR);
    run(play);
    _exit(0);
}

static void writer_start(const struct play *play, pid_t *writer)
{
    uint64_t next = play->board->next = (play->board->next / WRITER + 1) * WRITER + 1;
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    play->board->read = next;
    *writer = player(play, writer_main);
    while (play->board->next < next + 2) { /* it has its files, and has written */
        int status;
        if (waitpid(*writer, &status, WNOHANG) != 0)
            fail_msg("writer ended with status %x", (unsigned)status);
        assert_true(clock_mono_ns(clock_system()) < deadline);
        sched_yield();
    }
}

static void writer_replace(const struct play *play, struct files *files, pid_t *writer)
{
    int status;
    kill(*writer, SIGKILL);
    assert_int_equal(waitpid(*writer, &status, 0), *writer);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    files_close(files);
    writer_start(play, writer);
    files_open(play, files);
}

/* The flips are over: everything is read again, every slot and every record. */
static void await_calm(const struct play *play, const pid_t *players)
{
    play->board->calm = 0;
    uint64_t deadline = clock_mono_ns(clock_system()) + DEADLINE_NS;
    while (play->board->calm < CALM_RECORDS) {
        await_rounds(play, players, 1);
        assert_true(clock_mono_ns(clock_system()) < deadline);
    }
    uint64_t machines = play->board->counts[MACHINES], corrupt = play->board->counts[SLOT_CORRUPT];
    await_rounds(play, players, 40);
    assert_true(play->board->counts[MACHINES] >= machines + 9 * SLOTS - SLOTS);
    assert_int_equal(play->board->counts[SLOT_CORRUPT], corrupt);
}

static void bits_flip_while_others_read(void **state)
{
    struct play play = {.place = *state};
    uint64_t flips = number("NORIA_FLIPS", 20000), seed = number("NORIA_SEED", entropy_u64() >> 32);
    struct files files;
    pid_t players[2];
    print_message("NORIA_FLIPS=%llu NORIA_SEED=%llu\n", (unsigned long long)flips, (unsigned long long)seed);
    play.board = mmap(NULL, sizeof *play.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(play.board != MAP_FAILED);
    snprintf(play.segment, sizeof play.segment, "%s/worker.3", play.place->dir);
    writer_start(&play, &players[0]);
    players[1] = player(&play, reader_main);
    files_open(&play, &files);
    await_rounds(&play, players, 1);
    for (uint64_t i = 1; i <= flips; i++) {
        flip_somewhere(&files, hash_u64(seed + i));
        if (i % 4 == 0)
            await_records(&play, players, 4);
        if (i % KILL_EVERY == 0)
            writer_replace(&play, &files, &players[0]);
    }
    await_calm(&play, players);
    play.board->stop = true;
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(players[i], &status, 0), players[i]);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < COUNT; i++)
        print_message("%12llu %s\n", (unsigned long long)play.board->counts[i], count_names[i]);
    assert_true(play.board->counts[CORRUPT] > 0 && play.board->counts[SLOT_CORRUPT] > 0 &&
                play.board->counts[DAMAGED_WORDS] > 0);
    files_close(&files);
    munmap(play.board, sizeof *play.board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_flip_while_others_read, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
