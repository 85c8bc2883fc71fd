/* member.c — start, readiness and replacement of one member's processes (member.h); their ends are in member_end.c. */
#include "member.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "launch_program.h"
#include "log.h"
#include "must.h"

#define LEAVING_MAX 4 /* processes that drain at once; the oldest is then told SIGTERM */

static uint64_t now_ns(const struct member *member)
{
    return loop_now_ns(family_loop(member->family));
}

static uint64_t ready_ns(const struct member *member)
{
    return member->what.ready_ns != 0 ? member->what.ready_ns : family_options(member->family)->ready_ns;
}

const char *member_state_name(enum member_state_e state)
{
    static const char *const names[] = {
#define X(NAME, name) name,
        MEMBER_STATES(X)
#undef X
    };
    return (size_t)state < ARRAY_LEN(names) ? names[state] : "?";
}

/* --- its processes ---------------------------------------------------------------------------------------------- */

struct process *member_process(const struct member *member, enum process_role_e role)
{
    for (struct process *process = member->processes; process != NULL; process = process->older)
        if (process->role == role)
            return process;
    return NULL;
}

struct process *member_find_pid(const struct member *member, pid_t pid)
{
    for (struct process *process = member->processes; process != NULL; process = process->older)
        if (process->pid == pid)
            return process;
    return NULL;
}

static unsigned count_leaving(const struct member *member, bool overdue)
{
    unsigned count = 0;
    for (const struct process *process = member->processes; process != NULL; process = process->older)
        count += process->role == PROCESS_LEAVING && (overdue || !process->overdue);
    return count;
}

struct family_view member_view(const struct member *member)
{
    const struct process *process = member_process(member, PROCESS_NOW);
    return (struct family_view){
        .name = member->what.name,
        .stage = member->what.stage,
        .state = member->state,
        .pid = process != NULL ? process->pid : 0,
        .start = process != NULL ? process->start : 0,
        .replacing = member->state == MEMBER_STOPPING || member_process(member, PROCESS_NEXT) != NULL,
        .leaving = count_leaving(member, false),
    };
}

/* --- its state -------------------------------------------------------------------------------------------------- */

static uint64_t due_wall_ms(const struct member *member)
{
    const struct clock *clock = loop_clock(family_loop(member->family));
    return clock_wall_ms(clock) + member->restart.delay_ns / NS_PER_MS;
}

void member_show(struct member *member)
{
    const struct process *process = member_process(member, PROCESS_NOW);
    struct member_record *record = &member->record;
    record->state = member->state;
    record->pid = process != NULL ? (uint64_t)process->pid : 0;
    record->started_wall_ms = process != NULL ? process->started_wall_ms : 0;
    record->leaving = count_leaving(member, true);
    member_segment_write(member->segment, record);
    family_changed(member->family);
}

void member_enter(struct member *member, enum member_state_e state)
{
    member->state = state;
    member->record.restart_due_wall_ms = state == MEMBER_RESTING ? due_wall_ms(member) : 0;
    if (state != MEMBER_RESTING)
        loop_timer_stop(member->timer);
    member_show(member);
}

void member_rest(struct member *member)
{
    member->failed_once = true;
    loop_timer_start(member->timer, member->restart.delay_ns);
    member_enter(member, MEMBER_RESTING);
}

/* --- start ------------------------------------------------------------------------------------------------------ */

/* Found anew at each start: whoever builds or installs it need not restart anything. */
static bool find_handler(struct member *member, char path[PATH_MAX])
{
    char fault[PROGRAM_FAULT_MAX];
    bool found = program_find(member->what.argv[0], family_options(member->family)->path, path, fault);
    if (!found && !member->missing)
        log_warn(
            "handler-missing",
            "name=%s program=%s error=\"%s\" text=\"its endpoints answer 503; it is looked for again, every "
            "10 s in the end\"",
            member->what.name, member->what.argv[0], fault);
    member->missing = !found;
    return found;
}

static struct process *start_process(struct member *member, enum process_role_e role)
{
    char path[PATH_MAX];
    struct child child = {.program = member->what.argv[0],
                          .argv = member->what.argv,
                          .sockets = member->what.sockets,
                          .handler = member->what.handler,
                          .directory = member->what.directory};
    if (child.handler != NULL) {
        if (!find_handler(member, path))
            return NULL;
        child.program = path;
    }
    family_counts(member->family)->starts++;
    member->record.starts++;
    struct process *process = process_start(member, &child, family_next_start(member->family));
    if (process == NULL) {
        family_counts(member->family)->deaths++;
        member->record.deaths++;
        return NULL;
    }
    process->role = role;
    process->older = member->processes;
    member->processes = process;
    log_info("process-started", "name=%s pid=%d as=%s", member->what.name, (int)process->pid,
             role == PROCESS_NEXT ? "successor" : "process");
    return process;
}

static void await_ready(struct process *process)
{
    process->ready = process->member->what.handler != NULL;
    if (!process->ready)
        loop_timer_start(process->timer, ready_ns(process->member));
}

void member_start(struct member *member)
{
    MUST(member_process(member, PROCESS_NOW) == NULL);
    member->start_again = false;
    struct process *process = start_process(member, PROCESS_NOW);
    if (process == NULL) {
        restart_after_death(&member->restart, now_ns(member));
        member_rest(member);
        return;
    }
    await_ready(process);
    member_enter(member, process->ready ? MEMBER_READY : MEMBER_STARTING);
}

static void on_rested(void *arg)
{
    member_start(arg);
}

void member_process_late(struct process *process)
{
    struct member *member = process->member;
    log_warn("process-not-ready", "name=%s pid=%d after_ms=%" PRIu64 " action=kill", member->what.name,
             (int)process->pid, member_ms(ready_ns(member)));
    family_counts(member->family)->not_ready++;
    member->record.not_ready++;
    process->not_ready_in_time = true;
    process_kill(process);
}

/* --- one takes the other's place -------------------------------------------------------------------------------- */

static void bound_leaving(struct member *member)
{
    struct process *oldest = NULL;
    for (struct process *process = member->processes; process != NULL; process = process->older)
        if (process->role == PROCESS_LEAVING && process->told == TOLD_DRAIN)
            oldest = process;
    if (count_leaving(member, true) > LEAVING_MAX && oldest != NULL) {
        oldest->overdue = true;
        process_terminate(oldest);
    }
}

static void leave(struct process *process, bool says_so)
{
    uint64_t window_ns = family_options(process->member->family)->drain_ns;
    process->role = PROCESS_LEAVING;
    log_info("drain", "name=%s pid=%d window_ms=%" PRIu64, process->member->what.name, (int)process->pid,
             member_ms(window_ns));
    if (says_so)
        process_await_drained(process, window_ns);
    else
        process_drain(process, window_ns);
    bound_leaving(process->member);
}

bool member_promote(struct member *member)
{
    struct process *next = member_process(member, PROCESS_NEXT);
    if (next == NULL)
        return false;
    next->role = PROCESS_NOW;
    member_enter(member, next->ready ? MEMBER_READY : MEMBER_STARTING);
    return true;
}

void member_process_ready(struct process *process)
{
    struct member *member = process->member;
    log_info("process-ready", "name=%s pid=%d took_ms=%" PRIu64, member->what.name, (int)process->pid,
             member_ms(now_ns(member) - process->started_ns));
    if (process->told != TOLD_NOTHING)
        return; /* it goes already */
    struct process *before = member_process(member, PROCESS_NOW);
    if (process->role == PROCESS_NEXT) {
        leave(before, false);
        member_promote(member);
    } else if (process->role == PROCESS_NOW) {
        member_enter(member, MEMBER_READY);
    }
}

static void replace_leaving(struct member *member)
{
    if (!member_promote(member))
        member_start(member);
}

void member_process_says(struct process *process, const struct control_message *message)
{
    struct member *member = process->member;
    if (message->type != CONTROL_DRAINING) {
        if (process->role == PROCESS_NOW)
            family_heard(member->family, member, message);
        return;
    }
    bool ours =
        process->role == PROCESS_NOW && process->told == TOLD_NOTHING && member->what.stage == FAMILY_WORKER;
    if (!ours || member->doomed || family_stopping(member->family))
        return;
    leave(process, true);
    replace_leaving(member);
}

/* --- asked for -------------------------------------------------------------------------------------------------- */

static enum err_e start_successor(struct member *member)
{
    struct process *next = start_process(member, PROCESS_NEXT);
    if (next == NULL)
        return ERR_SYSTEM;
    await_ready(next);
    member_show(member);
    return ERR_OK;
}

enum err_e member_replace(struct member *member)
{
    struct process *process = member_process(member, PROCESS_NOW);
    member->end_expected = false;
    switch (member->state) {
    case MEMBER_WAITING:
        return ERR_OK;
    case MEMBER_STOPPING:
        return ERR_BUSY;
    case MEMBER_RESTING:
    case MEMBER_GONE:
        member_start(member);
        return ERR_OK;
    default:
        break;
    }
    if (member_process(member, PROCESS_NEXT) != NULL)
        return ERR_BUSY;
    if (member->what.stage == FAMILY_WORKER && process->ready)
        return start_successor(member);
    member->start_again = true;
    process_terminate(process);
    member_enter(member, MEMBER_STOPPING);
    return ERR_OK;
}

enum err_e member_drain(struct member *member)
{
    if (member->state != MEMBER_READY || member_process(member, PROCESS_NEXT) != NULL)
        return ERR_BUSY;
    leave(member_process(member, PROCESS_NOW), false);
    member_start(member);
    return ERR_OK;
}

/* --- for good --------------------------------------------------------------------------------------------------- */

void member_retire(struct member *member)
{
    loop_timer_stop(member->timer);
    member->start_again = false;
    for (struct process *process = member->processes; process != NULL; process = process->older)
        process_terminate(process);
    if (member->processes == NULL)
        member_enter(member, MEMBER_GONE);
    else
        member_enter(member, MEMBER_STOPPING);
}

void member_kill(struct member *member)
{
    for (struct process *process = member->processes; process != NULL; process = process->older)
        process_kill(process);
}

/* --- as a whole ------------------------------------------------------------------------------------------------- */

static const char *keep(char **at, const char *text)
{
    if (text == NULL)
        return NULL;
    char *copy = *at;
    *at = stpcpy(copy, text) + 1;
    return copy;
}

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* Whoever described the member may forget its texts: a configuration does not outlive a reload. */
static bool copy_texts(struct member *member)
{
    struct family_member *what = &member->what;
    size_t size = 1 + size_of(what->handler) + size_of(what->directory) + size_of(what->sockets.names);
    for (size_t i = 0; i < FAMILY_ARGS_MAX && what->argv[i] != NULL; i++)
        size += size_of(what->argv[i]);
    char *at = member->texts = malloc(size);
    if (at == NULL)
        return false;
    what->handler = keep(&at, what->handler);
    what->directory = keep(&at, what->directory);
    what->sockets.names = keep(&at, what->sockets.names);
    for (size_t i = 0; i < FAMILY_ARGS_MAX && what->argv[i] != NULL; i++)
        what->argv[i] = keep(&at, what->argv[i]);
    return true;
}

struct member *member_new(struct family *family, const struct family_member *what)
{
    struct member *member = calloc(1, sizeof *member);
    if (member == NULL)
        return NULL;
    member->what = *what;
    member->family = family;
    member->timer = loop_timer_new(family_loop(family), on_rested, member);
    if (member->timer == NULL || !copy_texts(member)) {
        member_free(&member);
        return NULL;
    }
    if (family_options(family)->segments != NULL)
        member->segment = member_segment_open(family_options(family)->segments, what->name);
    return member;
}

void member_free(struct member **out)
{
    struct member *member = *out;
    if (member == NULL)
        return;
    MUST(member->processes == NULL);
    member_segment_close(&member->segment);
    loop_timer_free(&member->timer);
    free(member->texts);
    free(member);
    *out = NULL;
}
