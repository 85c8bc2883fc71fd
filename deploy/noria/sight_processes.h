/* sight_processes.h — the processes of a sight (sight.h), each once: what the launcher tells of it, and what it shows itself.
 *
 * Without a launcher (Compose, systemd) there are those that have a segment of their own: broker, store, workers; agents are then known by their
 * machines alone. A process and its segment belong together by their pid, because a worker's number on the bus need not be the one in its name.
 */
#pragma once

#include "sight.h"

struct sight_process {
    char name[SIGHT_NAME_MAX + 1]; /* "broker", "agent.lift-1", "worker.0" */
    const char *state;             /* of family.h; "up", "dead": without a launcher */
    bool up;                       /* serves, as far as can be seen */
    bool launched;                 /* the launcher tells of it: the numbers below are known */
    uint64_t pid;                  /* 0: none runs */
    uint64_t started_wall_ms;      /* 0: none runs */
    uint64_t starts, deaths, planned_ends, last_exit, restart_due_wall_ms;
    const struct sight_segment *own; /* NULL: it shows nothing */
};

/* In the order in which they are started, then by name. The caller frees *processes. ERR_MEMORY. */
enum err_e sight_processes(const struct sight *sight, struct sight_process **processes, size_t *count);

/* "exit 1", "SIGSEGV"; "-": it never ended. */
#define SIGHT_END_MAX 24
const char *sight_last_end(const struct sight_process *process, char text[SIGHT_END_MAX]);

/* "12s", "3m05s", "2h10m", "5d03h" */
#define SIGHT_SPAN_MAX 24
const char *sight_span(uint64_t ms, char text[SIGHT_SPAN_MAX]);
/* "80 ms", "2.5 s", "3m05s"; "-" for a negative one. */
const char *sight_age_text(int64_t ms, char text[SIGHT_SPAN_MAX]);
