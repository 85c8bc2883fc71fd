/* family.c — order of start and stop, reaping, and when it is over (family.h).
 *
 * Stopping is bounded as a whole: stage after stage gets SIGTERM, and what is left of a stage when its share of stop_ns is
 * used up gets SIGKILL, so that a hanging worker takes no time from the broker's orderly end. Deaths come by SIGCHLD, and a
 * process is killed with its group before it is reaped: until then no other process can have its number.
 */
#include "family_inside.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "log.h"
#include "must.h"
#include "proc.h"

#define LAST_WORD_NS NS_PER_S /* after SIGKILL: a process that is still there then hangs in the kernel */

struct loop *family_loop(struct family *family)
{
    return family->loop;
}

const struct family_options *family_options(const struct family *family)
{
    return &family->options;
}

struct family_tally *family_counts(struct family *family)
{
    return &family->tally;
}

uint64_t family_next_start(struct family *family)
{
    return ++family->starts;
}

bool family_stopping(const struct family *family)
{
    return family->phase >= PHASE_STOPPING;
}

/* --- start ------------------------------------------------------------------------------------------------------ */

static bool settled(const struct member *member)
{
    if (member->state == MEMBER_READY || member->state == MEMBER_GONE || member->doomed)
        return true;
    if (member->what.stage == FAMILY_STORE)
        return member->state != MEMBER_WAITING;
    return member->failed_once && member->what.stage != FAMILY_BROKER;
}

static bool stage_settled(struct family *family)
{
    FOR_MEMBERS(member, family)
    if ((int)member->what.stage == family->stage && !settled(member))
        return false;
    return true;
}

static bool all_ready(struct family *family)
{
    FOR_MEMBERS(member, family)
    if (member->state != MEMBER_READY && member->state != MEMBER_GONE && member->what.handler == NULL &&
        !member->doomed)
        return false;
    return true;
}

static void start_stage(struct family *family)
{
    FOR_MEMBERS(member, family)
    if ((int)member->what.stage == family->stage && member->state == MEMBER_WAITING)
        member_start(member);
}

static void go_on_starting(struct family *family)
{
    while (family->stage < FAMILY_STAGES && stage_settled(family)) {
        family->stage++;
        start_stage(family);
    }
    if (family->stage == FAMILY_STAGES)
        family->phase = PHASE_RUNNING;
}

/* Whether a stage that nothing works without has no process left that could come back. */
static bool lost(struct family *family, enum family_stage_e stage)
{
    size_t members = 0, gone = 0;
    FOR_MEMBERS(member, family)
    {
        members += member->what.stage == stage;
        gone += member->what.stage == stage && member->state == MEMBER_GONE;
    }
    return members > 0 && gone == members;
}

/* --- stop ------------------------------------------------------------------------------------------------------- */

static bool stage_stopped(struct family *family)
{
    FOR_MEMBERS(member, family)
    if ((int)member->what.stage == family->stage &&
        (member->state != MEMBER_GONE || member->processes != NULL))
        return false;
    return true;
}

/* Stages stop from the last to the first; the k-th of them has until (k + 2) / (FAMILY_STAGES + 1) of stop_ns. */
static void stop_stage(struct family *family)
{
    uint64_t k = (uint64_t)(FAMILY_STAGES - 1 - family->stage);
    loop_timer_start_at(family->timer,
                        family->stop_began_ns + family->options.stop_ns * (k + 2) / (FAMILY_STAGES + 1));
    FOR_MEMBERS(member, family)
    if ((int)member->what.stage == family->stage)
        member_retire(member);
}

static void finish(struct family *family)
{
    loop_timer_stop(family->timer);
    family->phase = PHASE_STOPPED;
    log_info("stopped", "starts=%" PRIu64 " deaths=%" PRIu64 " not_ready=%" PRIu64 " killed=%" PRIu64,
             family->tally.starts, family->tally.deaths, family->tally.not_ready, family->tally.killed);
    family->options.on_stopped(family->options.arg, family->exit_code);
}

/* True: every stage has stopped. */
static bool go_on_stopping(struct family *family)
{
    while (family->stage >= 0 && stage_stopped(family)) {
        family->stage--;
        if (family->stage >= 0)
            stop_stage(family);
    }
    return family->stage < 0;
}

static void on_share_used_up(void *arg)
{
    struct family *family = arg;
    uint64_t now = loop_now_ns(family->loop),
             last = family->stop_began_ns + family->options.stop_ns + LAST_WORD_NS;
    FOR_MEMBERS(member, family)
    {
        if ((int)member->what.stage != family->stage || member->processes == NULL)
            continue;
        log_warn("process-hangs", "name=%s pid=%d action=%s", member->what.name, (int)member->processes->pid,
                 now >= last ? "left" : "kill");
        member_kill(member);
        if (now >= last) {
            member_abandon(member);
            family->exit_code = PROC_EXIT_FAILURE;
        }
    }
    loop_timer_start_at(family->timer, last > now ? last : now);
    family_changed(family);
}

/* --- both ------------------------------------------------------------------------------------------------------- */

/* Members change state from within loops over members, so the family looks at all of them at the end of the iteration.
 * What changes during the look is seen by its later steps. */
static void react(void *arg)
{
    struct family *family = arg;
    if (family->phase < PHASE_STOPPING && (lost(family, FAMILY_BROKER) || lost(family, FAMILY_WORKER))) {
        log_error("nothing-to-serve", "text=\"the broker, or every worker, is gone for good: stopping\"");
        family->exit_code = PROC_EXIT_PERMANENT;
        family_stop(family);
    }
    if (family->phase == PHASE_STARTING)
        go_on_starting(family);
    if (family->phase == PHASE_RUNNING && !family->ready_told && all_ready(family)) {
        family->ready_told = true;
        family->options.on_ready(family->options.arg);
    }
    handover_review(family);
    family_tell_changed(family);
    family_forget_doomed(family);
    bool over = family->phase == PHASE_STOPPING && go_on_stopping(family);
    family->reacting = false;
    if (over)
        finish(family); /* may free the family */
}

void family_changed(struct family *family)
{
    if (family->reacting || family->phase == PHASE_NEW || family->phase == PHASE_STOPPED)
        return;
    family->reacting = true;
    MUST(loop_defer(family->loop, react, family) == ERR_OK); /* room for one was made by family_new() */
}

static struct process *find_pid(struct family *family, pid_t pid)
{
    FOR_MEMBERS(member, family)
    {
        struct process *process = member_find_pid(member, pid);
        if (process != NULL)
            return process;
    }
    return NULL;
}

static void on_child(void *arg)
{
    struct family *family = arg;
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        pid_t pid = info.si_pid;
        struct process *process = find_pid(family, pid);
        int status = 0;
        if (process != NULL)
            kill(-pid, SIGKILL); /* what it may have left of its group */
        if (waitpid(pid, &status, 0) == pid && process != NULL)
            member_reaped(process->member, process, status);
        info.si_pid = 0;
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

struct family *family_new(struct loop *loop, const struct family_options *options)
{
    struct family *family = calloc(1, sizeof *family);
    if (family == NULL)
        return NULL;
    family->loop = loop;
    family->options = *options;
    family->stage = -1;
    family->timer = loop_timer_new(loop, on_share_used_up, family);
    family->on_child = loop_signal_new(loop, SIGCHLD, on_child, family);
    bool handover = handover_init(family) == ERR_OK;
    if (family->timer == NULL || family->on_child == NULL || !handover ||
        loop_defer(loop, nothing, NULL) != ERR_OK)
        family_free(&family);
    return family;
}

void family_start(struct family *family)
{
    MUST(family->phase == PHASE_NEW);
    family->phase = PHASE_STARTING;
    family_changed(family);
}

void family_stop(struct family *family)
{
    if (family->phase >= PHASE_STOPPING)
        return;
    family->phase = PHASE_STOPPING;
    family->stop_began_ns = loop_now_ns(family->loop);
    family->stage = FAMILY_STAGES;
    FOR_MEMBERS(member, family)
    if (member_process(member, PROCESS_NOW) == NULL) /* nothing more is started */
        member_retire(member);
    family_changed(family);
}

void family_kill(struct family *family)
{
    family_stop(family);
    FOR_MEMBERS(member, family)
    member_kill(member);
}

void family_free(struct family **out)
{
    struct family *family = *out;
    if (family == NULL)
        return;
    MUST(!family->reacting);
    for (size_t i = 0; i < family->count; i++)
        member_free(&family->members[i]);
    free(family->members);
    handover_fini(family);
    loop_timer_free(&family->timer);
    loop_signal_free(&family->on_child);
    free(family);
    *out = NULL;
}
