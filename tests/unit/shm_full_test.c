/* A tmpfs without room: errors where they are due, and no SIGBUS. In a child with a mount namespace of its own; skipped
 * where the kernel allows none. */
#include "shm_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "lvt_reader.h"
#include "lvt_writer.h"

#define NOT_ALLOWED 77
#define CAPACITY    4096

static void must(bool condition, int code)
{
    if (!condition)
        _exit(code);
}

static void small_tmpfs(const char *dir)
{
    int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
    must(unshare(flags) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0 &&
             mount("tmpfs", dir, "tmpfs", 0, "size=1280k") == 0,
         NOT_ALLOWED);
}

static int entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    must(dir != NULL, 10);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* A ring that does not fit leaves nothing behind; one that fits, once made, takes a lap of records. */
static void ring_player(const struct place *place)
{
    static struct script script;
    static struct ring_writer *ring;
    bool continued;
    small_tmpfs(place->dir);
    must(ring_writer_open(place->ring, 2 * MIB, &ring, &continued) == ERR_SYSTEM, 1);
    must(entries(place->dir) == 0, 2);
    must(ring_writer_open(place->ring, MIB, &ring, &continued) == ERR_OK,
         3); /* the failed draft's room is free again */
    for (uint64_t n = 0; ring_writer_next(ring) < 3 * MIB; n++) {
        script_make(&script, n, 4000);
        must(ring_writer_append(ring, &script.entry) == ERR_OK, 4);
        ring_writer_publish(ring);
    }
    _exit(0);
}

/* The table is sparse: its slots fill the file system one by one, until one says so. */
static void lvt_player(const struct place *place)
{
    static struct lvt_writer *lvt;
    static struct lvt_reader *reader;
    struct lvt_machine machine, wanted;
    bool continued;
    uint32_t full = 0;
    small_tmpfs(place->dir);
    must(lvt_writer_open(place->lvt, CAPACITY, 1, &lvt, &continued) == ERR_OK, 1);
    must(lvt_reader_open(place->lvt, &reader) == ERR_OK, 2);
    for (;; full++) {
        must(full < CAPACITY, 3);
        script_machine(&machine, full, full);
        enum err_e err = lvt_writer_put(lvt, full, &machine);
        if (err == ERR_FULL)
            break;
        must(err == ERR_OK, 4);
    }
    must(full > 100 && lvt_reader_used(reader) == full, 5);
    for (uint32_t slot = 0; slot < CAPACITY; slot++) {
        script_machine(&wanted, slot, slot);
        enum lvt_status_e status = lvt_reader_get(reader, slot, &machine);
        must(slot < full ? status == LVT_OK && machine_same(&machine, &wanted) : status == LVT_EMPTY, 6);
    }
    script_machine(&machine, 0, 99); /* slots in use go on */
    must(lvt_writer_put(lvt, 0, &machine) == ERR_OK && lvt_writer_put(lvt, full, &machine) == ERR_FULL, 7);
    _exit(0);
}

static void play(void (*player)(const struct place *), const struct place *place)
{
    int status;
    pid_t child = fork_player();
    if (child == 0)
        player(place);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ALLOWED)
        skip();
    assert_int_equal(status, 0);
}

static void a_ring_on_a_full_tmpfs(void **state)
{
    play(ring_player, *state);
}

static void a_table_on_a_full_tmpfs(void **state)
{
    play(lvt_player, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(a_ring_on_a_full_tmpfs),
        T(a_table_on_a_full_tmpfs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
