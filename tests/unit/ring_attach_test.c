/* How a ring file comes to be, is continued, refused, retired and replaced; and what readers make of foreign files. */
#include "shm_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "ring_page.h"
#include "shm_file.h"

static struct ring_writer *writer_open(const struct place *place, uint64_t size_bytes, bool expect_continued)
{
    struct ring_writer *writer = NULL;
    bool continued;
    assert_int_equal(ring_writer_open(place->ring, size_bytes, &writer, &continued), ERR_OK);
    assert_int_equal(continued, expect_continued);
    return writer;
}

static void write_one(struct ring_writer *writer, uint64_t n)
{
    static struct script script;
    script_make(&script, n, 500);
    assert_int_equal(ring_writer_append(writer, &script.entry), ERR_OK);
    ring_writer_publish(writer);
}

static void read_one(struct ring_reader *reader, uint64_t n)
{
    static struct script script;
    struct ring_record record;
    assert_int_equal(ring_reader_next(reader, &record), RING_MORE);
    script_make(&script, n, 500);
    assert_true(script_same(&script, &record));
}

static void expect(struct ring_reader *reader, enum ring_status_e status)
{
    struct ring_record record;
    assert_int_equal(ring_reader_next(reader, &record), status);
}

static void only_valid_sizes(void **state)
{
    const struct place *place = *state;
    const uint64_t sizes[] = {0, 1, MIB / 2, MIB + 1, 3 * MIB, 1ULL << 33, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ring_writer *writer;
        bool continued;
        assert_int_equal(ring_writer_open(place->ring, sizes[i], &writer, &continued), ERR_CONFIG);
    }
    assert_int_equal(access(place->ring, F_OK), -1);
}

static void the_file_is_private_and_allocated(void **state)
{
    const struct place *place = *state;
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct stat status;
    assert_int_equal(stat(place->ring, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_true((uint64_t)status.st_size == ring_file_bytes(MIB));
    assert_true((uint64_t)status.st_blocks * 512 >= ring_file_bytes(MIB));
    ring_writer_close(&writer);
    assert_int_equal(access(place->ring, F_OK), 0);
}

static void a_successor_continues(void **state)
{
    const struct place *place = *state;
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct ring_reader *reader;
    uint32_t id = ring_writer_id(writer);
    uint64_t first = ring_writer_next(writer);
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_OK);
    write_one(writer, 1);
    uint64_t next = ring_writer_next(writer);
    ring_writer_close(&writer);

    writer = writer_open(place, MIB, true);
    assert_int_equal(ring_writer_id(writer), id);
    assert_true(ring_writer_next(writer) == next && ring_writer_tail(writer) == first);
    write_one(writer, 2);
    read_one(reader, 1);
    read_one(reader, 2);
    expect(reader, RING_EMPTY);
    assert_int_equal(ring_reader_seek(reader, first), ERR_OK);
    read_one(reader, 1);
    ring_reader_close(&reader);
    ring_writer_close(&writer);
}

static void what_was_not_published_is_overwritten(void **state)
{
    const struct place *place = *state;
    static struct script script;
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct ring_reader *reader;
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_OK);
    write_one(writer, 1);
    script_make(&script, 99, 500);
    assert_int_equal(ring_writer_append(writer, &script.entry), ERR_OK);
    ring_writer_close(&writer);

    writer = writer_open(place, MIB, true);
    read_one(reader, 1);
    expect(reader, RING_EMPTY);
    write_one(writer, 2);
    read_one(reader, 2);
    expect(reader, RING_EMPTY);
    ring_reader_close(&reader);
    ring_writer_close(&writer);
}

/* A record that a dead writer overwrote without publishing reads as LAPPED after re-attachment too, never as CORRUPT. */
static void what_a_dead_writer_overwrote_is_lapped(void **state)
{
    const struct place *place = *state;
    static struct script script;
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct ring_reader *reader;
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_OK);
    uint64_t n = 0, begin = ring_writer_next(writer);
    while (ring_writer_tail(writer) == begin) {
        script_make(&script, n++, 500);
        assert_int_equal(ring_writer_append(writer, &script.entry), ERR_OK);
        if (ring_writer_tail(writer) == begin)
            ring_writer_publish(writer);
    }
    ring_writer_close(&writer);
    writer = writer_open(place, MIB, true);
    assert_int_equal(ring_reader_seek(reader, begin), ERR_NOT_FOUND);
    expect(reader, RING_LAPPED);
    ring_reader_close(&reader);
    ring_writer_close(&writer);
}

static void a_second_writer_is_refused(void **state)
{
    const struct place *place = *state;
    struct ring_writer *writer = writer_open(place, MIB, false), *second = NULL;
    bool continued;
    assert_int_equal(ring_writer_open(place->ring, MIB, &second, &continued), ERR_BUSY);
    assert_int_equal(ring_writer_open(place->ring, 2 * MIB, &second, &continued), ERR_BUSY);
    ring_writer_close(&writer);
    writer = writer_open(place, MIB, true);
    ring_writer_close(&writer);
}

static void a_killed_writers_lock_is_gone(void **state)
{
    const struct place *place = *state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork_player();
    if (child == 0) {
        struct ring_writer *mine;
        bool continued;
        if (ring_writer_open(place->ring, MIB, &mine, &continued) != ERR_OK || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    struct ring_writer *writer = NULL;
    bool continued;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(ring_writer_open(place->ring, MIB, &writer, &continued), ERR_BUSY);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    writer = writer_open(place, MIB, true);
    ring_writer_close(&writer);
    close(ready[0]);
    close(ready[1]);
}

static void another_size_makes_a_new_ring(void **state)
{
    const struct place *place = *state;
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct ring_reader *old, *new;
    uint32_t id = ring_writer_id(writer);
    assert_int_equal(ring_reader_open(place->ring, &old), ERR_OK);
    write_one(writer, 1);
    ring_writer_close(&writer);

    writer = writer_open(place, 2 * MIB, false);
    assert_int_not_equal(ring_writer_id(writer), id);
    read_one(old, 1); /* what was published is still delivered */
    expect(old, RING_GONE);
    expect(old, RING_GONE);
    assert_int_equal(ring_reader_open(place->ring, &new), ERR_OK);
    assert_int_equal(ring_reader_id(new), ring_writer_id(writer));
    expect(new, RING_EMPTY);
    ring_reader_close(&old);
    ring_reader_close(&new);
    ring_writer_close(&writer);
}

/* Each defect of a file: the writer replaces it, its readers learn that, and nobody crashes. */
struct defect {
    const char *name;
    size_t offset; /* of the word that is spoilt */
    uint64_t flip;
    bool sealed; /* the identity's check is made to agree with the defect */
    bool gone;   /* readers of the old file are told */
    enum err_e reader;
};

static const struct defect defects[] = {
    {"magic", offsetof(struct ring_identity, magic), 1, false, true, ERR_MALFORMED},
    {"version", offsetof(struct ring_identity, version), 2, true, true, ERR_VERSION},
    {"size", offsetof(struct ring_identity, size_bytes), 3 * MIB, true, true, ERR_MALFORMED},
    {"size that is no power", offsetof(struct ring_identity, size_bytes), 1, true, true, ERR_MALFORMED},
    {"no id", offsetof(struct ring_identity, id), 0, true, true, ERR_MALFORMED},
    {"check", offsetof(struct ring_identity, check), 1ULL << 63, false, true, ERR_MALFORMED},
    {"seed", offsetof(struct ring_identity, check_seed), 1, false, true, ERR_MALFORMED},
    {"retired", offsetof(struct ring_page, retired), SHM_RETIRED, false, true, ERR_NOT_FOUND},
    {"head astray", offsetof(struct ring_page, head), 8, false, true, ERR_CORRUPT},
    {"head far", offsetof(struct ring_page, head), 1ULL << 40, false, true, ERR_CORRUPT},
    {"reserve far", offsetof(struct ring_page, reserve), 1ULL << 40, false, true, ERR_OK},
    {"tail far", offsetof(struct ring_page, tail), 1ULL << 40, false, true, ERR_CORRUPT},
};

static void spoil(const struct place *place, const struct defect *defect)
{
    struct scalpel scalpel = scalpel_open(place->ring);
    struct ring_page *page = (struct ring_page *)(void *)scalpel.at;
    uint64_t *word = (uint64_t *)(void *)(scalpel.at + defect->offset);
    *word = defect->flip == 0 ? 0 : *word ^ defect->flip;
    if (defect->sealed)
        page->identity.check = ring_identity_check(&page->identity);
    scalpel_close(&scalpel);
}

static void spoilt_files_are_replaced(void **state)
{
    const struct place *place = *state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        struct ring_writer *writer = writer_open(place, MIB, false);
        struct ring_reader *old, *late = NULL;
        assert_int_equal(ring_reader_open(place->ring, &old), ERR_OK);
        uint32_t id = ring_writer_id(writer);
        ring_writer_close(&writer);
        spoil(place, &defects[i]);
        assert_int_equal(ring_reader_open(place->ring, &late), defects[i].reader);
        ring_reader_close(&late);

        writer = writer_open(place, MIB, false);
        assert_int_not_equal(ring_writer_id(writer), id);
        struct ring_record record;
        enum ring_status_e status = ring_reader_next(old, &record);
        if (status == RING_CORRUPT || status == RING_LAPPED)
            status = ring_reader_next(old, &record);
        assert_int_equal(status, defects[i].gone ? RING_GONE : RING_EMPTY);
        ring_reader_close(&old);
        ring_writer_close(&writer);
        unlink(place->ring);
    }
}

/* Shorter than it says, empty, or no ring at all. */
static void foreign_files(void **state)
{
    const struct place *place = *state;
    static const size_t lengths[] = {0, 1, 100, 4096, RING_DATA_OFFSET, RING_DATA_OFFSET + MIB - 1};
    static unsigned char image[RING_DATA_OFFSET + MIB];
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct ring_reader *reader = NULL;
    ring_writer_close(&writer);
    int fd = open(place->ring, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, image, sizeof image), sizeof image);
    close(fd);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unlink(place->ring);
        write_file(place->ring, image, lengths[i]);
        assert_int_equal(ring_reader_open(place->ring, &reader), ERR_MALFORMED);
        writer = writer_open(place, MIB, false);
        write_one(writer, i);
        ring_writer_close(&writer);
        assert_int_equal(ring_reader_open(place->ring, &reader), ERR_OK);
        ring_reader_close(&reader);
    }
}

static void names_that_are_no_files(void **state)
{
    const struct place *place = *state;
    struct ring_reader *reader = NULL;
    struct ring_writer *writer = NULL;
    bool continued;
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_NOT_FOUND);
    assert_int_equal(ring_reader_open(place->dir, &reader), ERR_SYSTEM);
    assert_int_equal(mkfifo(place->ring, 0600), 0);
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_SYSTEM);
    assert_int_equal(ring_writer_open(place->ring, MIB, &writer, &continued), ERR_SYSTEM);
    unlink(place->ring);
    assert_int_equal(symlink("/etc/passwd", place->ring), 0);
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_SYSTEM);
    assert_int_equal(ring_writer_open(place->ring, MIB, &writer, &continued), ERR_SYSTEM);
    unlink(place->ring);
    char missing[96];
    snprintf(missing, sizeof missing, "%s/no/ring", place->dir);
    assert_int_equal(ring_writer_open(missing, MIB, &writer, &continued), ERR_SYSTEM);
}

/* A damaged header in the history that the writer walks over: it drops the history and goes on. */
static void damaged_history_does_not_stop_the_writer(void **state)
{
    const struct place *place = *state;
    struct ring_writer *writer = writer_open(place, MIB, false);
    struct ring_reader *reader;
    assert_int_equal(ring_reader_open(place->ring, &reader), ERR_OK);
    uint64_t begin = ring_writer_next(writer);
    for (uint64_t n = 0; ring_writer_next(writer) < begin + MIB - 4096; n++)
        write_one(writer, n);
    struct scalpel scalpel = scalpel_open(place->ring);
    scalpel.at[RING_DATA_OFFSET + begin % MIB + offsetof(struct ring_record_header, length)] ^= 0x3f;
    for (uint64_t n = 0; ring_writer_next(writer) < begin + 4 * MIB; n++) {
        assert_int_equal(ring_reader_seek(reader, ring_writer_next(writer)), ERR_OK);
        write_one(writer, n);
        read_one(reader, n);
        assert_true(ring_writer_tail(writer) <= ring_writer_next(writer));
        assert_true(ring_writer_next(writer) - ring_writer_tail(writer) <= MIB);
    }
    assert_int_equal(ring_reader_seek(reader, ring_writer_tail(writer)), ERR_OK);
    scalpel_close(&scalpel);
    ring_reader_close(&reader);
    ring_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(only_valid_sizes),
        T(the_file_is_private_and_allocated),
        T(a_successor_continues),
        T(what_was_not_published_is_overwritten),
        T(what_a_dead_writer_overwrote_is_lapped),
        T(a_second_writer_is_refused),
        T(a_killed_writers_lock_is_gone),
        T(another_size_makes_a_new_ring),
        T(spoilt_files_are_replaced),
        T(foreign_files),
        T(names_that_are_no_files),
        T(damaged_history_does_not_stop_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
