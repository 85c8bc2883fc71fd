/* launch_segments.h — the launcher shows its processes: one segment per member, one for the family (segment.h).
 *
 *     shm/process.NAME    role "process", id NAME    what became of this member's processes, and of the one that runs
 *     shm/launcher        role "launcher"            sums
 *
 * Written at every change of state and never read here. They are there as long as the member, or the launcher: who finds one whose lock
 * is free (segment_is_held()) looks at what a killed launcher left. Without them (shm/ is full) everything runs as well, unseen.
 */
#pragma once

#include <stdint.h>

/* X(FIELD, KIND): of struct member_record, and names of the metrics. Times are Unix times in ms, UTC; 0: none. */
#define MEMBER_METRICS(X)                                                                                    \
    X(starts, COUNTER)                                                                                       \
    X(deaths, COUNTER) /* ends that nobody had planned */                                                    \
    X(planned_ends, COUNTER)                                                                                 \
    X(not_ready, COUNTER)         /* of the deaths: killed because not ready in time */                      \
    X(permanent, COUNTER)         /* of the deaths: said that starting again would fail in the same way */   \
    X(state, GAUGE)               /* enum member_state_e (family.h) */                                       \
    X(pid, GAUGE)                 /* of its process; 0: none */                                              \
    X(started_wall_ms, GAUGE)     /* of that process */                                                      \
    X(last_exit, GAUGE)           /* of the last end: exit code, or 128 + signal */                          \
    X(restart_due_wall_ms, GAUGE) /* resting: when it is started again */                                    \
    X(leaving, GAUGE)             /* processes of it that drain */

struct member_record {
#define X(field, kind) uint64_t field;
    MEMBER_METRICS(X)
#undef X
};

/* Of struct launcher_record. */
#define LAUNCHER_METRICS(X)                                                                                  \
    X(starts, COUNTER)                                                                                       \
    X(deaths, COUNTER)                                                                                       \
    X(planned_ends, COUNTER)                                                                                 \
    X(not_ready, COUNTER)                                                                                    \
    X(permanent, COUNTER)                                                                                    \
    X(killed, COUNTER)    /* SIGKILLs sent */                                                                \
    X(adoptions, COUNTER) /* sockets of a missing worker given to another */                                 \
    X(crash_records, COUNTER)                                                                                \
    X(crash_records_failed, COUNTER)                                                                         \
    X(control_requests, COUNTER) /* lines on control.sock */                                                 \
    X(control_refused, COUNTER)  /* connections: another user's, or too many */                              \
    X(members, GAUGE)

struct launcher_record {
#define X(field, kind) uint64_t field;
    LAUNCHER_METRICS(X)
#undef X
};

struct member_segment;
struct launcher_segment;

/* `directory`: shm/ of the runtime directory. NULL: could not be made (logged). Closing removes the file. */
struct member_segment *member_segment_open(const char *directory, const char *name);
void member_segment_close(struct member_segment **segment);
void member_segment_write(struct member_segment *segment,
                          const struct member_record *record); /* of NULL: nothing */

struct launcher_segment *launcher_segment_open(const char *directory);
void launcher_segment_close(struct launcher_segment **segment);
void launcher_segment_write(struct launcher_segment *segment, const struct launcher_record *record);
