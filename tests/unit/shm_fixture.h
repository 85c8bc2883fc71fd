/* shm_fixture.h — what the tests of common/shm share: a private directory on tmpfs, and a script of records and machines
 * that both sides of a test can derive from a number, so that a reader can tell a wrong byte without being told the
 * right one.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hash.h"
#include "lvt_layout.h"
#include "record.h"
#include "ring_reader.h"
#include "ring_writer.h"

#define MIB (1ULL << 20)

struct place {
    char dir[64], ring[80], lvt[80];
    int fds; /* open when the test began */
};

static inline int fds_open(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static inline int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    const char *below = getenv("NORIA_TEST_SHM"); /* of whoever cleans up behind tests that crash */
    if (below == NULL)
        below = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(place->dir, sizeof place->dir, "%s/noria-test-XXXXXX", below);
    assert_non_null(mkdtemp(place->dir));
    snprintf(place->ring, sizeof place->ring, "%s/ring", place->dir);
    snprintf(place->lvt, sizeof place->lvt, "%s/lvt", place->dir);
    place->fds = fds_open();
    *state = place;
    return 0;
}

/* Removes what the test made; fails it if a descriptor leaked or a temporary file was left. */
static inline int place_teardown(void **state)
{
    struct place *place = *state;
    int leaked = fds_open() - place->fds, drafts = 0;
    DIR *dir = opendir(place->dir);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        drafts += strstr(entry->d_name, ".new.") != NULL;
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(place->dir);
    free(place);
    return leaked == 0 && drafts == 0 ? 0 : -1;
}

/* A child dies with the test, however that ends; a failed assertion in it aborts, instead of jumping into a copy of the
 * parent's test run. */
static inline pid_t fork_player(void)
{
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(99);
        setenv("CMOCKA_TEST_ABORT", "1", 1);
    }
    return pid;
}

/* A second, writable mapping of a file, for planting faults. */
struct scalpel {
    unsigned char *at;
    size_t len;
};

static inline struct scalpel scalpel_open(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    struct scalpel scalpel = {.len = (size_t)status.st_size};
    scalpel.at = mmap(NULL, scalpel.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(scalpel.at != MAP_FAILED);
    close(fd);
    return scalpel;
}

static inline void scalpel_close(struct scalpel *scalpel)
{
    munmap(scalpel->at, scalpel->len);
}

static inline void write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

/* --- the script of records: number n always gives the same record ------------------------------------------------ */

#define SCRIPT_FRAME_MAX (RECORD_MAX - 2048)

struct script {
    struct ring_entry entry;
    struct topic topics[RECORD_TOPICS_MAX];
    union {
        struct record_state state;
        struct record_outcome outcome;
        struct record_stream stream;
        struct record_source source;
    } meta;
    unsigned char frame[SCRIPT_FRAME_MAX];
};

static inline void script_frame(struct script *script, uint64_t n, uint32_t len)
{
    assert_true(len <= sizeof script->frame);
    for (uint32_t i = 0; i < len; i += 8) {
        uint64_t word = hash_u64(n ^ ((uint64_t)i << 40));
        memcpy(script->frame + i, &word, len - i < 8 ? len - i : 8);
    }
    script->entry.frame_len = len;
}

static inline void script_topics(struct script *script, uint64_t n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct topic *topic = &script->topics[i];
        topic->len = (uint8_t)(1 + hash_u64(n + i) % TOPIC_MAX);
        memset(topic->name, (int)('a' + i), topic->len);
        topic->hash = topic_hash(topic->name, topic->len);
    }
    script->entry.topic_count = count;
}

static inline void script_meta(struct script *script, uint64_t n)
{
    memset(&script->meta, 0, sizeof script->meta);
    script->entry.meta = &script->meta;
    switch (script->entry.kind) {
    case RECORD_STATE:
        script->meta.state = (struct record_state){.slot = (uint32_t)n, .agent_gen = n, .read_wall_ms = ~n};
        script->entry.meta_len = sizeof script->meta.state;
        break;
    case RECORD_RESULT:
    case RECORD_COMPLETION:
    case RECORD_REFUSAL:
        script->meta.outcome = (struct record_outcome){.command_serial = (uint32_t)n, .outcome_seq = n};
        script->entry.meta_len = sizeof script->meta.outcome;
        break;
    case RECORD_STREAM:
        script->meta.stream = (struct record_stream){.publish_seq = n, .parts = 1};
        script->entry.meta_len = sizeof script->meta.stream;
        break;
    case RECORD_CHANNEL:
    case RECORD_FLOOR:
        script->meta.source = (struct record_source){.source = n, .source_seq = ~n, .position = n * 64};
        script->entry.meta_len = sizeof script->meta.source;
        break;
    default:
        script->entry.meta_len = 0;
    }
}

/* Frames are up to `frame_max` bytes. */
static inline void script_make(struct script *script, uint64_t n, uint32_t frame_max)
{
    uint64_t dice = hash_u64(n ^ 0x5eed);
    script->entry = (struct ring_entry){
        .kind = (enum record_kind_e)(dice % RECORD_KIND_COUNT),
        .dialect = (enum record_dialect_e)(1 + (dice >> 8) % 3),
        .origin_mode = (enum record_origin_e)((dice >> 16) % 4),
        .origin = {n, ~n},
        .wall_ms = n * 3,
        .source_ns = n,
        .topics = script->topics,
        .frame = script->frame,
    };
    script_topics(script, n, (uint32_t)((dice >> 24) % (RECORD_TOPICS_MAX + 1)));
    script_meta(script, n);
    script_frame(script, n, (uint32_t)((dice >> 32) % (frame_max + 1)));
}

/* True if the record is, in every byte, what the entry says. */
static inline bool script_same(const struct script *script, const struct ring_record *record)
{
    const struct ring_entry *entry = &script->entry;
    bool same = record->kind == entry->kind && record->dialect == entry->dialect &&
                record->origin_mode == entry->origin_mode && record->origin.worker == entry->origin.worker &&
                record->origin.serial == entry->origin.serial && record->wall_ms == entry->wall_ms &&
                record->source_ns == entry->source_ns && record->topic_count == entry->topic_count &&
                record->meta_len == entry->meta_len && record->frame_len == entry->frame_len &&
                (uintptr_t)record->meta % 8 == 0;
    for (uint32_t i = 0; same && i < record->topic_count; i++)
        same = record->topics[i].hash == entry->topics[i].hash &&
               record->topics[i].len == entry->topics[i].len &&
               memcmp(record->topics[i].name, entry->topics[i].name, entry->topics[i].len) == 0;
    return same && (entry->meta_len == 0 || memcmp(record->meta, entry->meta, entry->meta_len) == 0) &&
           (entry->frame_len == 0 || memcmp(record->frame, entry->frame, entry->frame_len) == 0);
}

/* --- the script of machines ----------------------------------------------------------------------------------------- */

static inline void script_machine(struct lvt_machine *machine, uint32_t slot, uint64_t n)
{
    memset(machine, 0, sizeof *machine);
    snprintf(machine->info.id, sizeof machine->info.id, "machine_%u", slot);
    snprintf(machine->info.name, sizeof machine->info.name, "Carousel %u", slot);
    snprintf(machine->info.ip, sizeof machine->info.ip, "127.0.0.%u", slot % 250 + 1);
    machine->info.port = (uint16_t)(4000 + slot);
    machine->info.simulator = slot % 2 == 0;
    machine->state = (struct machine_state){
        .connection = (enum connection_e)(n % CONNECTION_COUNT),
        .has_reading = n % 3 != 0,
        .raw_status = (uint8_t)n,
        .position = (uint8_t)(n >> 8),
        .read_wall_ms = n,
    };
    machine->agent_gen = hash_u64(n);
    machine->record_position = n * RECORD_ALIGN;
    machine->text_len = (uint32_t)(hash_u64(n + 1) % (MACHINE_TEXT_MAX + 1));
    memset(machine->text, (int)('A' + n % 26), machine->text_len);
}

static inline bool machine_same(const struct lvt_machine *a, const struct lvt_machine *b)
{
    return strcmp(a->info.id, b->info.id) == 0 && strcmp(a->info.name, b->info.name) == 0 &&
           strcmp(a->info.ip, b->info.ip) == 0 && a->info.port == b->info.port &&
           a->info.simulator == b->info.simulator && !machine_state_differs(&a->state, &b->state) &&
           a->state.read_wall_ms == b->state.read_wall_ms && a->agent_gen == b->agent_gen &&
           a->record_position == b->record_position && a->text_len == b->text_len &&
           memcmp(a->text, b->text, a->text_len) == 0;
}
