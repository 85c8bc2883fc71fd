/* memory_disk.h — a disk in memory for the journal's tests: it knows what was synced and what only written, and loses the
 * difference when the power goes.
 *
 *     memory_disk_init(&disk, seed); struct journal_disk ops = memory_disk_ops(&disk);
 *     disk.dies_at = 17;                      the 17th operation and all after it fail: the host is gone
 *     memory_disk_power_cut(&disk, CUT_HOLES) what is left is what was synced, and by mode some of the rest
 *
 * Operations are counted that change something or promise something: create, open for writing, write, sync, sync of the
 * directory, remove. A mutex guards all, so that a thread may work on it while a test looks.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal_disk.h"

#define MEMORY_FILES   64
#define MEMORY_HANDLES 16

enum cut_e {
    CUT_KILL,    /* no power cut: the process died, the kernel has everything */
    CUT_LOSE,    /* nothing that was not synced is left */
    CUT_PREFIX,  /* of what was not synced, some of its beginning */
    CUT_GARBAGE, /* the same, and random bytes in place of the rest */
    CUT_HOLES,   /* some blocks of it, the others zero */
    CUT_COUNT
};

struct memory_file {
    char name[JOURNAL_NAME_MAX];
    bool exists, exists_on_disk;
    unsigned char *now, *on_disk; /* MEMORY_FILE_MAX each */
    bool *dirty;                  /* written since the last sync, per byte */
    size_t low, high;             /* nothing is dirty outside */
    size_t len, len_on_disk;
};

struct memory_disk {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    struct memory_file files[MEMORY_FILES];
    struct {
        struct memory_file *file; /* NULL: free */
        size_t at;                /* of reading */
    } handles[MEMORY_HANDLES];
    uint64_t random;
    char boot[JOURNAL_BOOT_MAX + 1];
    bool locked, held_by_other;
    unsigned operations;
    unsigned dies_at;       /* 0: never */
    unsigned fails_at;      /* that one fails, the others do not; 0: none */
    int fails_with;         /* errno */
    bool fails_writing;     /* every write fails with fails_with */
    bool fails_syncing;     /* likewise; what was dirty then counts as clean (fsyncgate) */
    bool sync_does_nothing; /* and says that it did: a planted defect */
    size_t room;            /* bytes of all files; 0: no limit */
    bool hangs;             /* syncs wait until it is false */
    unsigned waiting, removed, syncs;
};

void memory_disk_init(struct memory_disk *disk, uint64_t seed);
void memory_disk_fini(struct memory_disk *disk);
struct journal_disk memory_disk_ops(struct memory_disk *disk);
void memory_disk_power_cut(struct memory_disk *disk,
                           enum cut_e mode); /* and on again: nothing fails any more */
struct memory_file *memory_disk_file(struct memory_disk *disk, const char *name); /* NULL: there is none */
struct memory_file *memory_disk_put(struct memory_disk *disk, const char *name, const void *data,
                                    size_t len); /* synced */
void memory_disk_set(struct memory_disk *disk, bool *which,
                     bool to); /* under the mutex, and wakes who waits */
