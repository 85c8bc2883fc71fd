/* sight.h — one look at a running installation: what stands in shm/, and nothing else.
 *
 *     shm/process.NAME, shm/launcher    by the launcher, if there is one (launch_segments.h)
 *     shm/broker, store, worker.N       by the processes themselves
 *     shm/agent.K                       by the broker, of the agent of slot K
 *     shm/lvt                           the machines' last states
 *
 * Files are opened read-only and never locked; no process is asked, woken or held up. All of it was written by others: names are made printable,
 * numbers are only numbers, and what makes no sense is left out. `noria status` and `noria top` draw what is found here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "machine.h"
#include "segment.h"

#define SIGHT_NAME_MAX 95 /* "process.agent." and a machine's id */

struct sight_segment {
    char name[SIGHT_NAME_MAX + 1]; /* of the file */
    bool held;                     /* its process lives; else there is nothing below */
    char role[SEGMENT_ROLE_MAX + 1], id[MACHINE_ID_MAX + 9];
    uint64_t pid, incarnation, started_wall_ms;
    void *copy; /* of its metrics: nothing of this process stays mapped */
    struct stats_view stats;
};

struct sight_machine {
    uint32_t slot;
    char id[MACHINE_ID_MAX + 1];
    struct machine_state state;
    const struct sight_segment *agent; /* NULL: it was not heard of */
};

struct sight {
    struct sight_segment *segments; /* by name, numbers in order */
    size_t segment_count;
    struct sight_machine *machines; /* by id */
    size_t machine_count;
    uint32_t ring_id; /* 0: no table */
    uint64_t wall_ms; /* when */
};

/* `runtime_dir`/shm. ERR_NOT_FOUND: nothing is or was running there; ERR_SYSTEM; ERR_MEMORY. */
enum err_e sight_take(const char *runtime_dir, uint64_t wall_ms, struct sight **sight);
void sight_free(struct sight **sight);

/* By the name of the file; NULL: none. */
const struct sight_segment *sight_segment(const struct sight *sight, const char *name);

/* A counter or gauge, or the number of values of a histogram; 0: there is none of this name. `segment` may be NULL. */
uint64_t sight_value(const struct sight_segment *segment, const char *metric);
bool sight_has(const struct sight_segment *segment, const char *metric, uint64_t *value);
/* Of a histogram of nanoseconds, in ms; negative: it is empty, or there is none. */
double sight_quantile_ms(const struct sight_segment *segment, const char *metric, double q);
/* The same of what was added since `before` was taken (NULL, or of another process: since its start), if anything was. */
double sight_quantile_since_ms(const struct sight_segment *segment, const struct sight_segment *before,
                               const char *metric, double q);

/* How old a machine's last reading is; negative: it was never read. */
int64_t sight_age_ms(const struct sight *sight, const struct sight_machine *machine);
