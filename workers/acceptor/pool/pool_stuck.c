/* A process that answers nothing for stuck_ms while it has something to answer.
 *
 * A worker may kill what the launcher runs, because the launcher starts it again. Whom: not by SO_PEERCRED, which names who called
 * listen() (the launcher), but by the credentials of who sends (SO_PASSCRED, unix(7)), filled in by the kernel, from the first bytes
 * of a link; held as a pidfd, so that a number that was given to somebody else meanwhile is never killed. One behind a configured socket is
 * somebody else's: it is only left (its end of the link then sees every connection end).
 *
 * Silence is measured on a clock that a standing worker stops (POOL_STRIDE_NS): after a frozen host nobody is guilty. What has arrived and
 * was not read yet is no silence. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"
#include "pool_internal.h"

static bool may_kill(const struct pool_link *link)
{
    return link->handler->conf->command != NULL;
}

static void set_passcred(int fd, int on)
{
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
        log_debug("handler-credentials", "error=\"%s\"", strerror(errno)); /* then it is left, not killed */
}

void pool_stuck_ask(struct pool_link *link)
{
    if (may_kill(link))
        set_passcred(link->fd, 1);
}

short pool_stuck_look(const struct pool_link *link)
{
    struct pollfd look = {.fd = link->fd, .events = POLLIN};
    return poll(&look, 1, 0) < 0 ? 0 : look.revents;
}

/* The link still stands after the pidfd was opened: so it is the process that sent, not one that got its number. */
static void remember(struct pool_link *link, pid_t pid)
{
    int fd = pid > 0 && pid != getpid() ? pidfd_open(pid, 0) : -1;
    if (fd >= 0 && (pool_stuck_look(link) & POLLHUP)) {
        close(fd);
        fd = -1;
    }
    link->pidfd = fd;
    if (fd >= 0)
        set_passcred(link->fd, 0);
}

/* Descriptors that somebody sends along are nothing that was asked for. */
static void close_sent(const struct cmsghdr *control)
{
    size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
        close(fd);
    }
}

static void take_control(struct pool_link *link, const struct cmsghdr *control)
{
    struct ucred who;
    if (control->cmsg_level != SOL_SOCKET)
        return;
    if (control->cmsg_type == SCM_RIGHTS)
        close_sent(control);
    if (control->cmsg_type == SCM_CREDENTIALS && link->pidfd < 0) {
        memcpy(&who, CMSG_DATA(control), sizeof who);
        remember(link, who.pid);
    }
}

ssize_t pool_stuck_recv(struct pool_link *link, void *to, size_t room)
{
    if (link->pidfd >= 0 || !may_kill(link))
        return recv(link->fd, to, room, 0);
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec piece = {to, room};
    struct msghdr header = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(link->fd, &header, MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&header) : NULL; c != NULL; c = CMSG_NXTHDR(&header, c))
        take_control(link, c);
    return got;
}

void pool_stuck_forget(struct pool_link *link)
{
    if (link->pidfd >= 0)
        close(link->pidfd);
    link->pidfd = -1;
}

void pool_stuck_heard(struct pool_link *link)
{
    link->quiet_since_ns = link->pool->awake_ns;
}

static void deal_with(struct pool_link *link)
{
    if (link->pidfd < 0) {
        pool_link_leave(link, "stuck");
        return;
    }
    log_warn("handler-stuck", "handler=%s process=%u silent_ms=%u killed=1", link->handler->conf->name,
             link->index, link->handler->conf->stuck_ms);
    if (pidfd_send_signal(link->pidfd, SIGKILL, NULL, 0) != 0 && errno != ESRCH) {
        pool_link_leave(link, "stuck, and may not be killed");
        return;
    }
    link->pool->counts.killed++;
    link->killed = true; /* what it said is still read */
    link->ending_ns = pool_now(link->pool) + POOL_ENDING_NS;
}

void pool_stuck_tick(struct pool_link *link)
{
    if (link->window.count == 0 || link->pause != PAUSE_NONE || link->killed ||
        link->pool->awake_ns - link->quiet_since_ns < link->handler->stuck_ns)
        return;
    if (pool_stuck_look(link) & (POLLIN | POLLHUP))
        return;
    deal_with(link);
}
