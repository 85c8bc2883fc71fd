/* launch_process.c — see launch_process.h.
 *
 * What comes from a child is bounded and not trusted: READY is six bytes, control packets are read a few at a time, and what only the
 * launcher may say is dropped.
 */
#include "launch_process.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blackbox.h"
#include "log.h"
#include "member.h"
#include "must.h"

#define PACKETS_PER_TURN 16

static const char READY[] = "READY\n";

static struct loop *loop_of(const struct process *process)
{
    return family_loop(process->member->family);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- what it says ----------------------------------------------------------------------------------------------- */

static void stop_listening(struct process *process)
{
    loop_fd_free(&process->ready_watch);
    close_fd(&process->ready_fd);
}

/* The pipe closed without the word means nothing: the deadline, or the process's end, will tell. */
static void on_ready_pipe(void *arg, unsigned events)
{
    (void)events;
    struct process *process = arg;
    ssize_t n =
        read(process->ready_fd, process->heard + process->heard_len, sizeof READY - 1 - process->heard_len);
    process->heard_len += n > 0 ? (size_t)n : 0;
    if (process->heard_len == sizeof READY - 1 && memcmp(process->heard, READY, sizeof READY - 1) == 0) {
        stop_listening(process);
        process->ready = true;
        if (process->told == TOLD_NOTHING)
            loop_timer_stop(process->timer);
        member_process_ready(process);
    } else if (n <= 0 || process->heard_len == sizeof READY - 1) {
        stop_listening(process);
    }
}

static void stop_hearing(struct process *process)
{
    loop_fd_free(&process->control_watch);
    close_fd(&process->control_fd);
}

static bool is_childs(enum control_type_e type)
{
    return type == CONTROL_PREPARED || type == CONTROL_REFUSED || type == CONTROL_DONE ||
           type == CONTROL_DRAINING;
}

static void close_received(struct control_message *message)
{
    for (unsigned i = 0; i < message->fd_count; i++)
        close(message->fds[i]);
    message->fd_count = 0;
}

/* One that says what is not its to say is heard no more: it cannot fill the log. */
static void on_control(void *arg, unsigned events)
{
    (void)events;
    struct process *process = arg;
    struct control_message message;
    for (int i = 0; i < PACKETS_PER_TURN; i++) {
        enum err_e err = control_receive(process->control_fd, &message);
        if (err == ERR_BUSY)
            return;
        if (err == ERR_OK)
            close_received(&message);
        if (err == ERR_OK && is_childs(message.type)) {
            member_process_says(process, &message);
            continue;
        }
        if (err != ERR_CLOSED)
            log_warn("control-nonsense", "name=%s pid=%d says=%s", process->member->what.name,
                     (int)process->pid, err == ERR_OK ? control_type_name(message.type) : err_text(err));
        stop_hearing(process);
        return;
    }
}

enum err_e process_send(struct process *process, const struct control_message *message)
{
    return process->control_fd >= 0 ? control_send(process->control_fd, message) : ERR_CLOSED;
}

/* --- its end ---------------------------------------------------------------------------------------------------- */

void process_kill(struct process *process)
{
    loop_timer_stop(process->timer);
    process->told = TOLD_KILL;
    family_counts(process->member->family)->killed++;
    kill(-process->pid, SIGKILL); /* its group, too */
    kill(process->pid, SIGKILL);
}

void process_terminate(struct process *process)
{
    if (process->told >= TOLD_TERM)
        return;
    process->told = TOLD_TERM;
    kill(process->pid, SIGTERM);
    if (family_stopping(process->member->family)) /* which has deadlines of its own */
        loop_timer_stop(process->timer);
    else
        loop_timer_start(process->timer, family_options(process->member->family)->stop_ns);
}

/* SIGUSR1 says the same, with the window that the worker has read itself. */
void process_drain(struct process *process, uint64_t window_ns)
{
    if (process->told >= TOLD_DRAIN)
        return;
    process->told = TOLD_DRAIN;
    const struct control_message message = {.type = CONTROL_DRAIN,
                                            .number = (uint32_t)(window_ns / NS_PER_MS)};
    if (process_send(process, &message) != ERR_OK)
        kill(process->pid, SIGUSR1);
    process_await_drained(process, window_ns);
}

void process_await_drained(struct process *process, uint64_t window_ns)
{
    process->told = TOLD_DRAIN;
    loop_timer_start(process->timer, window_ns + FAMILY_LEAVE_NS);
}

static void on_timer(void *arg)
{
    struct process *process = arg;
    switch (process->told) {
    case TOLD_NOTHING:
        member_process_late(process);
        return;
    case TOLD_DRAIN:
        log_warn("drain-overdue", "name=%s pid=%d action=SIGTERM", process->member->what.name,
                 (int)process->pid);
        process->overdue = true;
        process_terminate(process);
        break;
    default:
        log_warn("process-hangs", "name=%s pid=%d action=kill", process->member->what.name,
                 (int)process->pid);
        process_kill(process);
    }
    family_changed(process->member->family);
}

/* --- as a whole ------------------------------------------------------------------------------------------------- */

/* All that can fail is had before the fork. */
static struct process *make(struct member *member)
{
    struct process *process = calloc(1, sizeof *process);
    if (process == NULL)
        return NULL;
    process->member = member;
    process->ready_fd = process->control_fd = process->blackbox_fd = -1;
    process->timer = loop_timer_new(family_loop(member->family), on_timer, process);
    if (process->timer == NULL)
        process_free(&process);
    return process;
}

/* Without a black box a process runs as well; blackbox_new() has said why. */
static bool equip(struct process *process, struct child *child)
{
    child->control_fd = child->blackbox_fd = -1;
    child->conf_copy = family_options(process->member->family)->conf_copy;
    if (child->handler != NULL)
        return true;
    process->blackbox_fd = child->blackbox_fd = blackbox_new();
    if (control_pair(&process->control_fd, &child->control_fd) != ERR_OK)
        return false;
    process->control_watch =
        loop_fd_new(loop_of(process), process->control_fd, LOOP_READ, on_control, process);
    return process->control_watch != NULL;
}

static bool watch_ready(struct process *process)
{
    if (process->ready_fd < 0)
        return true;
    process->ready_watch =
        loop_fd_new(loop_of(process), process->ready_fd, LOOP_READ, on_ready_pipe, process);
    return process->ready_watch != NULL;
}

struct process *process_start(struct member *member, struct child *child, uint64_t start)
{
    struct process *process = make(member);
    bool equipped = process != NULL && equip(process, child);
    if (!equipped)
        log_error("start-failed", "name=%s error=\"out of memory or descriptors\"", member->what.name);
    bool started = equipped && child_start(child, family_options(member->family)->lock_fd, &process->pid,
                                           &process->ready_fd) == ERR_OK;
    if (process != NULL)
        close_fd(&child->control_fd);
    if (!started) {
        process_free(&process);
        return NULL;
    }
    process->start = start;
    process->started_ns = loop_now_ns(loop_of(process));
    process->started_wall_ms = clock_wall_ms(loop_clock(loop_of(process)));
    if (!watch_ready(process)) /* it counts as not ready in time, then */
        log_error("start-failed", "name=%s error=\"out of memory\"", member->what.name);
    return process;
}

void process_free(struct process **out)
{
    struct process *process = *out;
    if (process == NULL)
        return;
    stop_listening(process);
    stop_hearing(process);
    close_fd(&process->blackbox_fd);
    loop_timer_free(&process->timer);
    free(process);
    *out = NULL;
}
