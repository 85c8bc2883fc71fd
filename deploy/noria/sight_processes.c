/* sight_processes.c — see sight_processes.h. */
#include "sight_processes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "family.h"
#include "must.h"

static const char *const state_names[] = {
#define X(NAME, name) [MEMBER_##NAME] = name,
    MEMBER_STATES(X)
#undef X
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* --- who there is ------------------------------------------------------------------------------------------------------ */

/* The segment that a process made itself, or that the broker made for an agent. */
static const struct sight_segment *own_segment(const struct sight *sight, const struct sight_process *process)
{
    const char *machine = begins(process->name, "agent.") ? process->name + 6 : NULL;
    for (size_t i = 0; i < sight->segment_count; i++) {
        const struct sight_segment *segment = &sight->segments[i];
        if (!segment->held || begins(segment->name, "process.") || strcmp(segment->name, "launcher") == 0)
            continue;
        bool agents = begins(segment->name, "agent.");
        if (machine != NULL ? agents && strcmp(segment->id, machine) == 0
                            : !agents && process->pid != 0 && segment->pid == process->pid)
            return segment;
    }
    return NULL;
}

static void take_launched(const struct sight *sight, const struct sight_segment *segment,
                          struct sight_process *process)
{
    *process = (struct sight_process){.launched = segment->held, .state = "no launcher"};
    snprintf(process->name, sizeof process->name, "%s",
             segment->held && segment->id[0] != '\0' ? segment->id : segment->name + strlen("process."));
    if (!segment->held)
        return;
    uint64_t state = sight_value(segment, "state");
    process->state = state < ARRAY_LEN(state_names) ? state_names[state] : "?";
    process->up = state == MEMBER_READY;
    process->pid = sight_value(segment, "pid");
    process->started_wall_ms = process->pid != 0 ? sight_value(segment, "started_wall_ms") : 0;
    process->starts = sight_value(segment, "starts");
    process->deaths = sight_value(segment, "deaths");
    process->planned_ends = sight_value(segment, "planned_ends");
    process->last_exit = sight_value(segment, "last_exit");
    process->restart_due_wall_ms = sight_value(segment, "restart_due_wall_ms");
    process->own = own_segment(sight, process);
}

static void take_own(const struct sight_segment *segment, struct sight_process *process)
{
    *process = (struct sight_process){.state = segment->held ? "up" : "dead",
                                      .up = segment->held,
                                      .pid = segment->pid,
                                      .started_wall_ms = segment->started_wall_ms,
                                      .own = segment->held ? segment : NULL};
    snprintf(process->name, sizeof process->name, "%s", segment->name);
}

/* A segment of a process that no launcher told of. What a process of before left does not count beside a launcher, who starts another. */
static bool stands_alone(const struct sight *sight, const struct sight_segment *segment,
                         const struct sight_process *taken, size_t count)
{
    const struct sight_segment *launcher = sight_segment(sight, "launcher");
    if (begins(segment->name, "process.") || begins(segment->name, "agent."))
        return false;
    if (!segment->held && launcher != NULL && launcher->held)
        return false;
    for (size_t i = 0; i < count; i++)
        if (taken[i].own == segment)
            return false;
    return true;
}

static int rank(const char *name)
{
    static const char *const order[] = {"launcher", "front",  "plc-sim", "broker",
                                        "store",    "agent.", "handler."};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (begins(name, order[i]))
            return (int)i;
    return (int)ARRAY_LEN(order);
}

static int by_order(const void *a, const void *b)
{
    const struct sight_process *one = a, *other = b;
    int ranks = rank(one->name) - rank(other->name);
    return ranks != 0 ? ranks : strverscmp(one->name, other->name);
}

enum err_e sight_processes(const struct sight *sight, struct sight_process **processes, size_t *count)
{
    struct sight_process *made = calloc(sight->segment_count + 1, sizeof *made);
    size_t n = 0;
    if (made == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < sight->segment_count; i++)
        if (begins(sight->segments[i].name, "process."))
            take_launched(sight, &sight->segments[i], &made[n++]);
    for (size_t i = 0, launched = n; i < sight->segment_count; i++)
        if (stands_alone(sight, &sight->segments[i], made, launched))
            take_own(&sight->segments[i], &made[n++]);
    qsort(made, n, sizeof *made, by_order);
    *processes = made;
    *count = n;
    return ERR_OK;
}

/* --- words ------------------------------------------------------------------------------------------------------------- */

const char *sight_last_end(const struct sight_process *process, char text[SIGHT_END_MAX])
{
    const char *name = process->last_exit > 128 && process->last_exit < 128 + 65
                           ? sigabbrev_np((int)process->last_exit - 128)
                           : NULL;
    if (process->deaths + process->planned_ends == 0)
        snprintf(text, SIGHT_END_MAX, "-");
    else if (name != NULL)
        snprintf(text, SIGHT_END_MAX, "SIG%s", name);
    else
        snprintf(text, SIGHT_END_MAX, "exit %" PRIu64, process->last_exit);
    return text;
}

const char *sight_span(uint64_t ms, char text[SIGHT_SPAN_MAX])
{
    uint64_t s = ms / 1000;
    if (s < 60)
        snprintf(text, SIGHT_SPAN_MAX, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(text, SIGHT_SPAN_MAX, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, SIGHT_SPAN_MAX, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(text, SIGHT_SPAN_MAX, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return text;
}

const char *sight_age_text(int64_t ms, char text[SIGHT_SPAN_MAX])
{
    if (ms < 0)
        snprintf(text, SIGHT_SPAN_MAX, "-");
    else if (ms < 1000)
        snprintf(text, SIGHT_SPAN_MAX, "%" PRId64 " ms", ms);
    else if (ms < 60000)
        snprintf(text, SIGHT_SPAN_MAX, "%" PRId64 ".%" PRId64 " s", ms / 1000, ms / 100 % 10);
    else
        sight_span((uint64_t)ms, text);
    return text;
}
