/* fault_vfs.h — SQLite's files on a disk that fails, fills up, or loses its power, at the operation that a test names.
 *
 *     fault_vfs_install();                                   as SQLite's default; before anything is opened
 *     fault_vfs.fails_at = 17; fault_vfs.fails_for = 1; fault_vfs.fails_with = SQLITE_IOERR_WRITE;
 *     fault_vfs.cut_at = 17; fault_vfs.cut_dir = "/tmp/…"; fault_vfs.cut = CUT_LOSE;    the files as they would be after a cut of power there
 *
 * Operations are counted from the last reset: open, read, write, truncate, sync, delete, and mapping the index of the log. A cut does not
 * end anything: it puts a picture of the database and its log into cut_dir, and the test goes on and throws away what it does.
 */
#pragma once

#include <stdbool.h>

enum vfs_cut_e {
    CUT_KILL, /* the process died: everything written is there */
    CUT_LOSE, /* nothing that was not synced */
    CUT_MIX,  /* of what was not synced, some blocks of 512 bytes */
    CUT_COUNT
};

struct fault_vfs {
    unsigned operations;
    unsigned fails_at, fails_for; /* 0: never */
    int fails_with;
    bool only_changes; /* reads and opens are not failed */
    unsigned failed;   /* how many were */
    unsigned cut_at;   /* 0: never */
    enum vfs_cut_e cut;
    const char *cut_dir;
    bool was_cut;
    unsigned long long random;
};
extern struct fault_vfs fault_vfs;

void fault_vfs_install(void);
void fault_vfs_picture(void); /* a cut now */
void fault_vfs_reset(void);   /* no faults; forgets the files that are closed */
