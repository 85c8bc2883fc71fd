/* member_end.c — a process of a member has ended (member.h): was that planned, who is told, and what follows. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "member.h"
#include "must.h"
#include "proc.h"

/* A program of the user's may say by its exit code what it likes when it is told to go; one of Noria's may find out meanwhile that it would not
 * be let in again. */
static bool may_end_with(const struct process *process, int code)
{
    bool told = process->told >= TOLD_TERM || process->member->end_expected;
    return code == 0 || (told && code == PROC_EXIT_PERMANENT) || process->member->what.handler != NULL;
}

static bool as_told(const struct process *process, int status)
{
    if ((process->told == TOLD_NOTHING && !process->member->end_expected) || process->not_ready_in_time)
        return false;
    if (WIFEXITED(status))
        return may_end_with(process, WEXITSTATUS(status));
    return (WTERMSIG(status) == SIGTERM && process->told >= TOLD_TERM) ||
           (WTERMSIG(status) == SIGKILL && process->told == TOLD_KILL);
}

static bool permanent(const struct process *process, int status)
{
    return process->told == TOLD_NOTHING && !process->member->end_expected && WIFEXITED(status) &&
           WEXITSTATUS(status) == PROC_EXIT_PERMANENT;
}

/* --- told ------------------------------------------------------------------------------------------------------- */

static void describe(int status, char text[32])
{
    if (WIFSIGNALED(status))
        snprintf(text, 32, "SIG%s", sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(text, 32, "exit %d", WEXITSTATUS(status));
}

static const char *what_it_was_told(const struct process *process)
{
    static const char *const words[] = {"nothing", "to drain", "SIGTERM", "SIGKILL"};
    return process->not_ready_in_time ? "SIGKILL, because it was not ready in time" : words[process->told];
}

static uint64_t uptime_ms(const struct process *process)
{
    return member_ms(loop_now_ns(family_loop(process->member->family)) - process->started_ns);
}

static const char *what_follows(const struct member *member, const struct process *process, int status)
{
    if (family_stopping(member->family) || member->doomed)
        return "it is not started again: it was to stop";
    if (process->role == PROCESS_LEAVING)
        return "its successor is there already";
    if (process->role == PROCESS_NEXT)
        return "the process that it was to succeed goes on";
    if (member_process(member, PROCESS_NEXT) != NULL)
        return "its successor takes its place";
    if (member->start_again)
        return "it is started again";
    return permanent(process, status)
               ? "it is not started again: it says that this would fail in the same way"
               : "it is started again";
}

static void tell_death(const struct member *member, const struct process *process, int status)
{
    const struct family_options *options = family_options(member->family);
    const struct family_death death = {.member = member_view(member),
                                       .pid = process->pid,
                                       .status = status,
                                       .uptime_ms = uptime_ms(process),
                                       .started_wall_ms = process->started_wall_ms,
                                       .deaths = member->record.deaths,
                                       .told = what_it_was_told(process),
                                       .next = what_follows(member, process, status),
                                       .blackbox = process->blackbox_fd};
    if (options->on_death != NULL)
        options->on_death(options->arg, &death);
}

static void count(struct member *member, const struct process *process, int status, bool planned)
{
    struct family_tally *tally = family_counts(member->family);
    struct member_record *record = &member->record;
    record->last_exit =
        WIFSIGNALED(status) ? 128 + (uint64_t)WTERMSIG(status) : (uint64_t)WEXITSTATUS(status);
    tally->planned_ends += planned;
    record->planned_ends += planned;
    tally->deaths += !planned;
    record->deaths += !planned;
    tally->permanent += permanent(process, status);
    record->permanent += permanent(process, status);
}

/* --- what follows ----------------------------------------------------------------------------------------------- */

static void unlink_process(struct member *member, struct process *process)
{
    struct process **at = &member->processes;
    while (*at != process)
        at = &(*at)->older;
    *at = process->older;
}

static void gone_for_good(struct member *member)
{
    if (!member->end_expected)
        log_error("process-permanent",
                  "name=%s text=\"it says that starting it again would fail in the same way (see its "
                  "last lines above); it is not started again\"",
                  member->what.name);
    member_enter(member, MEMBER_GONE);
}

static void log_end(const struct member *member, const struct process *process, int status, bool planned,
                    uint64_t delay_ns)
{
    char how[32];
    describe(status, how);
    if (planned) {
        log_info("process-stopped", "name=%s pid=%d ended=\"%s\" uptime_ms=%" PRIu64, member->what.name,
                 (int)process->pid, how, uptime_ms(process));
        return;
    }
    log_warn("process-died",
             "name=%s pid=%d ended=\"%s\" reason=\"%s\" uptime_ms=%" PRIu64 " deaths=%" PRIu64
             " restart_in_ms=%" PRIu64,
             member->what.name, (int)process->pid, how, process->not_ready_in_time ? "not ready in time" : "",
             uptime_ms(process), member->record.deaths, member_ms(delay_ns));
    if (process->role == PROCESS_NEXT)
        log_warn("successor-failed", "name=%s pid=%d text=\"the process that it was to succeed goes on\"",
                 member->what.name, (int)process->pid);
}

/* After the end of its process NOW. */
enum next_e { NEXT_NONE, NEXT_GONE, NEXT_SUCCESSOR, NEXT_AT_ONCE, NEXT_AFTER_REST };

static enum next_e decide(const struct member *member, const struct process *process, int status,
                          bool planned)
{
    if (family_stopping(member->family) || member->doomed || process->role != PROCESS_NOW)
        return NEXT_NONE;
    if (permanent(process, status) || (planned && member->end_expected))
        return NEXT_GONE;
    if (member_process(member, PROCESS_NEXT) != NULL)
        return NEXT_SUCCESSOR;
    return planned || member->start_again ? NEXT_AT_ONCE : NEXT_AFTER_REST;
}

static void go_on(struct member *member, enum next_e next)
{
    switch (next) {
    case NEXT_GONE:
        gone_for_good(member);
        break;
    case NEXT_SUCCESSOR:
        member_promote(member);
        break;
    case NEXT_AT_ONCE:
        member_start(member);
        break;
    case NEXT_AFTER_REST:
        member_rest(member);
        break;
    case NEXT_NONE:
        if (member->processes == NULL && (family_stopping(member->family) || member->doomed))
            member_enter(member, MEMBER_GONE);
    }
}

void member_reaped(struct member *member, struct process *process, int status)
{
    bool planned = as_told(process, status);
    enum next_e next = decide(member, process, status, planned);
    uint64_t delay_ns = next == NEXT_AFTER_REST
                            ? restart_after_death(&member->restart, loop_now_ns(family_loop(member->family)))
                            : 0;
    count(member, process, status, planned);
    log_end(member, process, status, planned, delay_ns);
    if (!planned)
        tell_death(member, process, status);
    unlink_process(member, process);
    go_on(member, next);
    process_free(&process);
    member_show(member);
}

void member_abandon(struct member *member)
{
    while (member->processes != NULL) {
        struct process *process = member->processes;
        member->processes = process->older;
        process_free(&process);
    }
    member_enter(member, MEMBER_GONE);
}
