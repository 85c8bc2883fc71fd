/* The worker's side of the bell: a private epoll with the socket (until the broker goes) and the eventfd, edge-
 * triggered, so that taking an event from the epoll is what consumes the edge; nobody reads the eventfd.
 */
#include "bell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bell_wire.h"
#include "log.h"
#include "must.h"

#define MAGIC   0x454152u
#define FDS_MAX 8

struct bell_ear {
    uint32_t magic;
    uint32_t slot;
    int socket_fd, epoll_fd, event_fd;
    struct segment *segment;
};

static enum err_e failed(const char *what, const char *path)
{
    log_error("bell-failed", "call=%s path=%s error=\"%s\"", what, path, strerror(errno));
    return ERR_SYSTEM;
}

static enum err_e connect_to(struct bell_ear *ear, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return ERR_TOO_LARGE;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ear->socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ear->socket_fd < 0)
        return failed("socket", path);
    if (connect(ear->socket_fd, (struct sockaddr *)&address, sizeof address) == 0)
        return ERR_OK;
    return errno == ENOENT || errno == ECONNREFUSED ? ERR_NOT_FOUND : failed("connect", path);
}

static enum err_e watch(const struct bell_ear *ear, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(ear->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? ERR_OK : failed("epoll_ctl", "-");
}

static enum err_e start(struct bell_ear *ear, const char *path, uint64_t incarnation)
{
    struct bell_hello hello = {
        .magic = BELL_MAGIC, .version = BELL_VERSION, .slot = ear->slot, .incarnation = incarnation};
    ear->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (ear->epoll_fd < 0)
        return failed("epoll_create1", path);
    enum err_e err = connect_to(ear, path);
    if (err != ERR_OK)
        return err;
    if (send(ear->socket_fd, &hello, sizeof hello, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof hello)
        return failed("send", path);
    return watch(ear, ear->socket_fd, EPOLLIN | EPOLLRDHUP);
}

enum err_e bell_ear_open(const char *socket_path, uint32_t slot, uint64_t incarnation,
                         struct segment *segment, struct bell_ear **ear)
{
    struct bell_ear *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_MEMORY;
    *made = (struct bell_ear){
        .magic = MAGIC, .slot = slot, .socket_fd = -1, .epoll_fd = -1, .event_fd = -1, .segment = segment};
    enum err_e err = start(made, socket_path, incarnation);
    if (err != ERR_OK) {
        bell_ear_close(&made);
        return err;
    }
    *ear = made;
    return ERR_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void bell_ear_close(struct bell_ear **ear)
{
    struct bell_ear *dead = *ear;
    if (dead == NULL)
        return;
    MUST_MAGIC(dead, MAGIC);
    *ear = NULL;
    close_fd(&dead->socket_fd);
    close_fd(&dead->epoll_fd);
    close_fd(&dead->event_fd);
    dead->magic = 0;
    free(dead);
}

int bell_ear_fd(const struct bell_ear *ear)
{
    return ear->epoll_fd;
}

/* Takes the descriptor of a welcome; more than one is a mistake, and they are all closed. */
static int fd_take(struct msghdr *message)
{
    int fds[FDS_MAX];
    size_t count = 0;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(at), count * sizeof(int));
    }
    if (count == 1)
        return fds[0];
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    return -1;
}

static enum bell_event_e lost(struct bell_ear *ear)
{
    /* Closing alone would leave it in the epoll while a forked child holds a copy. */
    epoll_ctl(ear->epoll_fd, EPOLL_CTL_DEL, ear->socket_fd, NULL);
    close_fd(&ear->socket_fd);
    return BELL_LOST;
}

static enum bell_event_e socket_take(struct bell_ear *ear)
{
    struct bell_welcome welcome;
    struct iovec part = {.iov_base = &welcome, .iov_len = sizeof welcome};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(ear->socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return BELL_NOTHING;
    int fd = n > 0 ? fd_take(&message) : -1;
    bool good = fd >= 0 && ear->event_fd < 0 && n == (ssize_t)sizeof welcome &&
                (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && welcome.magic == BELL_MAGIC &&
                welcome.version == BELL_VERSION && welcome.slot == ear->slot;
    if (good && watch(ear, fd, EPOLLIN | EPOLLET) == ERR_OK) {
        ear->event_fd = fd;
        return BELL_READY;
    }
    close_fd(&fd);
    return lost(ear);
}

enum bell_event_e bell_ear_take(struct bell_ear *ear)
{
    MUST_MAGIC(ear, MAGIC);
    struct epoll_event event;
    if (epoll_wait(ear->epoll_fd, &event, 1, 0) != 1)
        return BELL_NOTHING;
    return event.data.fd == ear->socket_fd ? socket_take(ear) : BELL_RANG;
}

void bell_ear_sleep(struct bell_ear *ear)
{
    atomic_store_explicit(&segment_page(ear->segment)->sleeping, 1, memory_order_seq_cst);
}

void bell_ear_wake(struct bell_ear *ear)
{
    atomic_store_explicit(&segment_page(ear->segment)->sleeping, 0, memory_order_release);
}
