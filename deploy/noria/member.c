/* member.c — start, readiness deadline, death and rest of one process (member.h). */
#include "member.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch_program.h"
#include "log.h"
#include "must.h"
#include "proc.h"

static const char READY[] = "READY\n";

static uint64_t now_ns(const struct member *member)
{
    return loop_now_ns(family_loop(member->family));
}

static uint64_t ready_ns(const struct member *member)
{
    return member->what.ready_ns != 0 ? member->what.ready_ns : family_options(member->family)->ready_ns;
}

static uint64_t ms(uint64_t ns)
{
    return ns / NS_PER_MS;
}

static void enter(struct member *member, enum member_state_e state)
{
    member->state = state;
    if (state != MEMBER_STARTING && state != MEMBER_RESTING)
        loop_timer_stop(member->timer);
    family_changed(member->family);
}

static void stop_listening(struct member *member)
{
    loop_fd_free(&member->ready_watch);
    if (member->ready_fd >= 0)
        close(member->ready_fd);
    member->ready_fd = -1;
}

static void became_ready(struct member *member)
{
    stop_listening(member);
    log_info("process-ready", "name=%s pid=%d took_ms=%" PRIu64, member->what.name, (int)member->pid,
             ms(now_ns(member) - member->started_ns));
    enter(member, MEMBER_READY);
}

/* The pipe closed without the word means nothing: the deadline, or the process's end, will tell. */
static void on_ready_pipe(void *arg, unsigned events)
{
    (void)events;
    struct member *member = arg;
    ssize_t n =
        read(member->ready_fd, member->heard + member->heard_len, sizeof READY - 1 - member->heard_len);
    member->heard_len += n > 0 ? (size_t)n : 0;
    if (member->heard_len == sizeof READY - 1 && memcmp(member->heard, READY, sizeof READY - 1) == 0)
        became_ready(member);
    else if (n <= 0 || member->heard_len == sizeof READY - 1)
        stop_listening(member);
}

static void rest(struct member *member)
{
    uint64_t delay_ns = restart_after_death(&member->restart, now_ns(member));
    member->failed_once = true;
    loop_timer_start(member->timer, delay_ns);
    enter(member, MEMBER_RESTING);
}

static bool watch_ready(struct member *member)
{
    member->heard_len = 0;
    member->ready_watch =
        loop_fd_new(family_loop(member->family), member->ready_fd, LOOP_READ, on_ready_pipe, member);
    return member->ready_watch != NULL;
}

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

static bool start_child(struct member *member)
{
    char path[PATH_MAX];
    struct child child = {member->what.argv[0], member->what.argv, member->what.sockets, member->what.handler,
                          member->what.directory};
    if (child.handler != NULL) {
        if (!find_handler(member, path))
            return false;
        child.program = path;
    }
    family_counts(member->family)->starts++;
    if (child_start(&child, family_options(member->family)->lock_fd, &member->pid, &member->ready_fd) ==
        ERR_OK)
        return true;
    family_counts(member->family)->deaths++;
    member->pid = 0;
    return false;
}

static void await_ready(struct member *member)
{
    if (!watch_ready(member)) {
        log_error("start-failed", "name=%s error=\"out of memory\"", member->what.name);
        stop_listening(member);
    }
    loop_timer_start(member->timer, ready_ns(member));
    enter(member, MEMBER_STARTING);
}

void member_start(struct member *member)
{
    MUST(member->pid == 0);
    member->started_ns = now_ns(member);
    if (!start_child(member)) {
        rest(member);
        return;
    }
    member->overdue = false;
    log_info("process-started", "name=%s pid=%d", member->what.name, (int)member->pid);
    if (member->what.handler != NULL)
        enter(member, MEMBER_READY);
    else
        await_ready(member);
}

static void on_timer(void *arg)
{
    struct member *member = arg;
    if (member->state == MEMBER_RESTING) {
        member_start(member);
        return;
    }
    MUST(member->state == MEMBER_STARTING);
    log_warn("process-not-ready", "name=%s pid=%d after_ms=%" PRIu64 " action=kill", member->what.name,
             (int)member->pid, ms(ready_ns(member)));
    family_counts(member->family)->not_ready++;
    member->overdue = true;
    member_kill(member);
}

static void describe(int status, char text[32])
{
    if (WIFSIGNALED(status))
        snprintf(text, 32, "signal=SIG%s",
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
    else
        snprintf(text, 32, "code=%d", WEXITSTATUS(status));
}

static void gone_for_good(struct member *member)
{
    log_error("process-permanent",
              "name=%s text=\"it says that starting it again would fail in the same way (see its "
              "last lines above); it is not started again\"",
              member->what.name);
    enter(member, MEMBER_GONE);
}

void member_died(struct member *member, int status)
{
    char how[32];
    uint64_t uptime_ms = ms(now_ns(member) - member->started_ns);
    pid_t pid = member->pid;
    describe(status, how);
    stop_listening(member);
    member->pid = 0;
    if (family_stopping(member->family)) {
        log_info("process-stopped", "name=%s pid=%d %s uptime_ms=%" PRIu64, member->what.name, (int)pid, how,
                 uptime_ms);
        enter(member, MEMBER_GONE);
        return;
    }
    family_counts(member->family)->deaths++;
    bool permanent = WIFEXITED(status) && WEXITSTATUS(status) == PROC_EXIT_PERMANENT;
    if (!permanent)
        rest(member);
    log_warn("process-died",
             "name=%s pid=%d %s%s uptime_ms=%" PRIu64 " deaths=%" PRIu64 " restart_in_ms=%" PRIu64,
             member->what.name, (int)pid, how, member->overdue ? " reason=not-ready" : "", uptime_ms,
             member->restart.deaths, ms(member->restart.delay_ns));
    if (permanent)
        gone_for_good(member);
}

void member_retire(struct member *member)
{
    loop_timer_stop(member->timer);
    if (member->pid == 0)
        enter(member, MEMBER_GONE);
    else
        kill(member->pid, SIGTERM);
}

void member_kill(struct member *member)
{
    if (member->pid == 0)
        return;
    family_counts(member->family)->killed++;
    kill(-member->pid, SIGKILL); /* its group, too */
    kill(member->pid, SIGKILL);
}

struct member *member_new(struct family *family, const struct family_member *what)
{
    struct member *member = calloc(1, sizeof *member);
    if (member == NULL)
        return NULL;
    member->what = *what;
    member->family = family;
    member->ready_fd = -1;
    member->timer = loop_timer_new(family_loop(family), on_timer, member);
    if (member->timer == NULL) {
        free(member);
        return NULL;
    }
    return member;
}

void member_free(struct member **member)
{
    if (*member == NULL)
        return;
    MUST((*member)->pid == 0);
    stop_listening(*member);
    loop_timer_free(&(*member)->timer);
    free(*member);
    *member = NULL;
}
