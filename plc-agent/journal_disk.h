/* journal_disk.h — everything that the journal asks of a disk, so that a test can be the disk (Hop: C5).
 *
 * The real one is a directory, locked as long as the process lives. A test's keeps what was synced apart from what was only
 * written, and takes the power away between any two calls. Called from the journal's thread alone; every member may block, and
 * returns -errno when it fails.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "journal_files.h"

struct journal_disk {
    void *arg;                  /* of all but the shelf's, which has its own */
    struct journal_shelf shelf; /* reading */

    /* Makes the directory if need be, and locks it: -EWOULDBLOCK if another agent holds it. Again while it is held: looks
     * whether it is still the one of this name, and else takes that. */
    int (*enter)(void *arg, const char *directory);
    void (*leave)(void *arg);
    /* This boot of the host, "" if that cannot be known. */
    void (*boot)(void *arg, char boot[JOURNAL_BOOT_MAX + 1]);

    int (*create)(void *arg, const char *name); /* must not exist; a handle >= 0 */
    int (*open)(void *arg, const char *name,
                uint64_t bytes); /* for writing; cuts it to `bytes`; a handle >= 0 */
    ssize_t (*write)(void *arg, int handle, uint64_t at, const void *data, size_t len); /* may write less */
    int (*sync)(void *arg, int handle);                                                 /* content and size */
    int (*sync_directory)(void *arg);                                                   /* names */
    int (*remove)(void *arg, const char *name);
    void (*close)(void *arg, int handle);
};

struct journal_directory { /* the real one's state; -1: none */
    int directory, lock;
};

struct journal_disk journal_disk_real(struct journal_directory *state);
