/* A process's own segment: made, seen by others, replaced by the next incarnation, and hostile ones. */
#include "shm_fixture.h"

#include <sys/wait.h>

#include "segment.h"

enum { FRAMES, LATENCY, METRICS };
static const struct stats_def defs[METRICS] = {{"frames", STATS_COUNTER}, {"latency", STATS_HISTOGRAM}};

static struct segment *segment_make(const char *path, uint64_t incarnation, struct stats *stats)
{
    struct segment *segment = NULL;
    assert_int_equal(segment_create(path, "worker.3", "", incarnation, defs, METRICS, &segment, stats),
                     ERR_OK);
    return segment;
}

static void others_see_what_the_owner_writes(void **state)
{
    const struct place *place = *state;
    struct stats stats;
    struct stats_view seen;
    struct segment_view *view = NULL;
    struct segment *segment = segment_make(place->ring, 42, &stats);
    assert_int_equal(segment_view_open(place->ring, &view), ERR_OK);
    const struct segment_page *page = segment_view_page(view);
    assert_string_equal(page->role, "worker.3");
    assert_string_equal(page->id, "");
    assert_true(page->incarnation == 42 && page->pid == (uint64_t)getpid() && page->started_wall_ms > 0);
    segment_page(segment)->sleeping = 1;
    segment_page(segment)->cursor = 4711;
    assert_true(page->sleeping == 1 && page->cursor == 4711);
    stats_add(&stats, FRAMES, 12);
    assert_int_equal(segment_view_stats(view, &seen), ERR_OK);
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value;
    assert_true(stats_view_metric(&seen, FRAMES, name, &kind, &value));
    assert_true(value == 12);
    segment_view_close(&view);
    segment_close(&segment, true);
    assert_null(segment);
    assert_int_equal(segment_view_open(place->ring, &view), ERR_NOT_FOUND);
}

static void the_next_incarnation_takes_the_name(void **state)
{
    const struct place *place = *state;
    struct stats stats;
    struct segment_view *old_view = NULL, *new_view = NULL;
    struct stat status;
    struct segment *old = segment_make(place->ring, 1, &stats);
    assert_int_equal(segment_view_open(place->ring, &old_view), ERR_OK);
    struct segment *new = segment_make(place->ring, 2, &stats);
    assert_int_equal(segment_view_open(place->ring, &new_view), ERR_OK);
    assert_true(segment_view_page(old_view)->incarnation == 1);
    assert_true(segment_view_page(new_view)->incarnation == 2);
    assert_false(segment_stands(old));
    segment_close(&old, true); /* the name is the successor's by now, and stays */
    assert_int_equal(stat(place->ring, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_true(segment_stands(new));
    segment_close(&new, false);
    assert_int_equal(access(place->ring, F_OK), 0);
    segment_view_close(&old_view);
    segment_view_close(&new_view);
}

static void hostile_segments(void **state)
{
    const struct place *place = *state;
    static const struct {
        size_t offset;
        uint64_t value;
        enum err_e err;
    } wrong[] = {
        {offsetof(struct segment_page, magic), 0, ERR_MALFORMED},
        {offsetof(struct segment_page, version), 9, ERR_VERSION},
        {offsetof(struct segment_page, size_bytes), 0, ERR_MALFORMED},
        {offsetof(struct segment_page, size_bytes), SEGMENT_STATS_OFFSET, ERR_MALFORMED},
        {offsetof(struct segment_page, size_bytes), 1 << 20, ERR_MALFORMED},
        {offsetof(struct segment_page, size_bytes), UINT64_MAX, ERR_MALFORMED},
        {offsetof(struct segment_page, role), UINT64_MAX, ERR_OK},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct stats stats;
        struct segment *segment = segment_make(place->ring, 1, &stats);
        struct segment_view *view = NULL;
        struct scalpel scalpel = scalpel_open(place->ring);
        memcpy(scalpel.at + wrong[i].offset, &wrong[i].value, 8);
        assert_int_equal(segment_view_open(place->ring, &view), wrong[i].err);
        segment_view_close(&view);
        scalpel_close(&scalpel);
        segment_close(&segment, true);
    }
    char page[SEGMENT_STATS_OFFSET] = {0};
    struct segment_view *view = NULL;
    for (size_t len = 0; len <= sizeof page; len += 512) {
        unlink(place->ring);
        write_file(place->ring, page, len);
        assert_int_equal(segment_view_open(place->ring, &view), ERR_MALFORMED);
    }
    assert_int_equal(segment_view_open(place->dir, &view), ERR_SYSTEM);
}

static void a_directory_that_is_missing(void **state)
{
    const struct place *place = *state;
    struct stats stats;
    struct segment *segment = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/none/worker.0", place->dir);
    assert_int_equal(segment_create(path, "worker.0", "", 1, defs, METRICS, &segment, &stats), ERR_SYSTEM);
    assert_null(segment);
}

/* --- whose process lives ------------------------------------------------------------------------------------------- */

static void a_file_is_held_as_long_as_its_segment_is_open(void **state)
{
    const struct place *place = *state;
    struct stats stats;
    uint64_t holder = 99;
    assert_false(segment_is_held(place->ring, &holder)); /* no file */
    assert_true(holder == 0);
    struct segment *segment = segment_make(place->ring, 42, &stats);
    assert_true(segment_is_held(place->ring, &holder));
    assert_true(holder == 42);
    assert_true(segment_is_held(place->ring, &holder)); /* asking changes nothing */
    segment_page(segment)->magic = 0;
    assert_true(segment_is_held(place->ring, &holder));
    assert_true(holder == 0);
    segment_page(segment)->magic = 1;
    segment_close(&segment, false);
    assert_false(segment_is_held(place->ring, &holder));
    assert_int_equal(access(place->ring, F_OK), 0);
}

/* The name is the successor's, and says so; its predecessor lives on without one. */
static void a_successor_holds_the_name(void **state)
{
    const struct place *place = *state;
    struct stats stats;
    uint64_t holder;
    struct segment *old = segment_make(place->ring, 1, &stats), *new = segment_make(place->ring, 2, &stats);
    assert_true(segment_is_held(place->ring, &holder));
    assert_true(holder == 2);
    segment_close(&new, false);
    assert_false(segment_is_held(place->ring, &holder));
    segment_close(&old, true);
}

static void what_is_no_segment_is_held_by_nobody(void **state)
{
    const struct place *place = *state;
    uint64_t holder;
    assert_int_equal(mkdir(place->ring, 0700), 0);
    assert_false(segment_is_held(place->ring, &holder));
    assert_int_equal(rmdir(place->ring), 0);
    assert_int_equal(symlink("/dev/null", place->ring), 0);
    assert_false(segment_is_held(place->ring, &holder));
    assert_int_equal(unlink(place->ring), 0);
    assert_int_equal(mkfifo(place->ring, 0600), 0);
    assert_false(segment_is_held(place->ring, &holder)); /* and does not wait for a writer */
    assert_int_equal(unlink(place->ring), 0);
}

/* Another process makes the segment, says so, and waits. */
static pid_t make_elsewhere(const char *path)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct stats stats;
        struct segment *segment = NULL;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bool made = segment_create(path, "worker.3", "", 7, defs, METRICS, &segment, &stats) == ERR_OK;
        if (made && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void a_process_that_stands_still_holds_and_a_killed_one_does_not(void **state)
{
    const struct place *place = *state;
    uint64_t holder;
    int status;
    pid_t child = make_elsewhere(place->ring);
    assert_true(segment_is_held(place->ring, &holder));
    assert_true(holder == 7);
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    assert_true(segment_is_held(place->ring, &holder));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(segment_is_held(place->ring, &holder));
    assert_int_equal(access(place->ring, F_OK), 0);
}

/* A program that the holder starts does not hold on to the file. */
static void a_lock_ends_at_exec(void **state)
{
    const struct place *place = *state;
    struct stats stats;
    uint64_t holder;
    char byte;
    int lives[2];
    struct segment *segment = segment_make(place->ring, 42, &stats);
    assert_int_equal(pipe2(lives, O_CLOEXEC), 0); /* its end tells that the child is past its exec */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(1);
    }
    close(lives[1]);
    assert_int_equal(read(lives[0], &byte, 1), 0);
    close(lives[0]);
    segment_close(&segment, false);
    bool held = segment_is_held(place->ring, &holder);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(others_see_what_the_owner_writes),
        T(the_next_incarnation_takes_the_name),
        T(hostile_segments),
        T(a_directory_that_is_missing),
        T(a_file_is_held_as_long_as_its_segment_is_open),
        T(a_successor_holds_the_name),
        T(what_is_no_segment_is_held_by_nobody),
        T(a_process_that_stands_still_holds_and_a_killed_one_does_not),
        T(a_lock_ends_at_exec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
