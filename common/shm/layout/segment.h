/* segment.h — the shared-memory segment in which a process shows itself: "shm/worker.0", "shm/broker", "shm/agent.3".
 *
 * Page 0 holds identity and, for workers, the two words of the bell's protocol; from byte 4096 on stands a
 * self-describing block of metrics (stats.h). Its process writes (the broker writes those of agents, who do not see
 * shm/); everybody else maps it read-only and trusts nothing in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "stats.h"

#define SEGMENT_STATS_OFFSET 4096u
#define SEGMENT_ROLE_MAX     31

struct segment_page { /* page 0 */
    uint64_t magic, version, size_bytes;
    uint64_t pid, incarnation, started_wall_ms;
    char role[SEGMENT_ROLE_MAX + 1];        /* "worker.0" */
    char id[72];                            /* machine id of an agent; else "" */
    _Alignas(64) _Atomic uint64_t sleeping; /* worker: 1 while it waits for the bell */
    _Atomic uint64_t cursor;                /* worker: ring position up to which it has read */
};

struct segment; /* the owner's mapping */

/* Creates (temporary name, mode 0640, rename) and maps `path`, with a stats block laid out into *stats. */
enum err_e segment_create(const char *path, const char *role, const char *id, uint64_t incarnation,
                          const struct stats_def *defs, size_t def_count, struct segment **segment,
                          struct stats *stats);
struct segment_page *segment_page(struct segment *segment);
/* False: the name stands for another file by now; whoever opens it does not see this one. */
bool segment_stands(const struct segment *segment);
void segment_close(struct segment **segment, bool unlink_file);

/* True if `path` names the segment of a process that lives: until segment_close() it holds a lock on its file, from before that has
 * the name, and the kernel drops it with the process, however that ends (a child that it forks keeps it until it execs). *incarnation
 * is whose it is; 0: the file does not tell. Asking takes no lock. */
bool segment_is_held(const char *path, uint64_t *incarnation);

struct segment_view; /* a read-only mapping of another process's segment */
enum err_e segment_view_open(const char *path, struct segment_view **view);
/* The same of a process that lives (segment_is_held()), with one look at the file and without a log line about what stands in it: for who reads
 * all of them again and again. ERR_CLOSED: its process is gone. */
enum err_e segment_view_open_held(const char *path, struct segment_view **view);
const struct segment_page *segment_view_page(const struct segment_view *view);
enum err_e segment_view_stats(const struct segment_view *view, struct stats_view *stats);
void segment_view_close(struct segment_view **view);
