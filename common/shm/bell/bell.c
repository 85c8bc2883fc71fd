/* The broker's side of the bell.
 *
 * A connection is waiting (no hello yet) or a worker (segment mapped, eventfd handed over). Waiting ones are few and
 * the oldest gives way, so that strangers who say nothing cannot fill the table. A worker's slot belongs to the newest
 * connection that proves it by the incarnation in its segment; an older connection of the same incarnation is dropped
 * in silence (the worker came back), one of another incarnation is reported gone.
 *
 * Ringing looks at `sleeping` of every worker: up to a few dozen loads, no list to keep in step with. Rejected: one
 * eventfd per worker (a system call each: 8 against 1 per message at 8 workers).
 */
#include "bell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bell_wire.h"
#include "clock.h"
#include "list.h"
#include "log.h"
#include "must.h"

#define MAGIC        0x42454c4cu
#define WAITING_MAX  32
#define WORKERS_MAX  1024
#define EVENTS_BATCH 32
#define SOCKET_MODE  0660
#define SHM_DIR_MAX  256

struct bell_connection {
    struct list_node node; /* bell->waiting or bell->workers */
    int fd;
    struct segment_view *view; /* NULL while it waits */
    uint32_t slot;
    uint64_t incarnation;
};

struct bell {
    uint32_t magic;
    int listen_fd, epoll_fd, event_fd;
    struct list_node waiting, workers;
    uint32_t waiting_count, worker_count;
    bell_gone_f *gone;
    void *arg;
    struct bell_counts counts;
    struct log_limit refusal_log;
    dev_t socket_dev;
    ino_t socket_ino;
    char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char shm_dir[SHM_DIR_MAX];
};

static enum err_e failed(const char *what, const char *path)
{
    log_error("bell-failed", "call=%s path=%s error=\"%s\"", what, path, strerror(errno));
    return ERR_SYSTEM;
}

/* --- opening and closing ----------------------------------------------------------------------------------------- */

/* A socket that a dead broker left goes; anything else under the name stays and is an error. */
static enum err_e path_free(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT ? ERR_OK : failed("lstat", path);
    if (!S_ISSOCK(status.st_mode)) {
        log_error("bell-failed", "path=%s error=\"exists and is not a socket\"", path);
        return ERR_EXISTS;
    }
    return unlink(path) == 0 || errno == ENOENT ? ERR_OK : failed("unlink", path);
}

static enum err_e listen_at(struct bell *bell)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    const char *path = bell->socket_path;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    enum err_e err = path_free(path);
    if (err != ERR_OK)
        return err;
    bell->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bell->listen_fd < 0 || bind(bell->listen_fd, (struct sockaddr *)&address, sizeof address) != 0)
        return failed("bind", path);
    if (lstat(path, &status) != 0)
        return failed("lstat", path);
    bell->socket_dev = status.st_dev;
    bell->socket_ino = status.st_ino;
    if (chmod(path, SOCKET_MODE) != 0 || listen(bell->listen_fd, WAITING_MAX) != 0)
        return failed("listen", path);
    return ERR_OK;
}

static enum err_e watch(struct bell *bell, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = what};
    return epoll_ctl(bell->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? ERR_OK
                                                                     : failed("epoll_ctl", bell->socket_path);
}

static enum err_e start(struct bell *bell)
{
    bell->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bell->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->epoll_fd < 0 || bell->event_fd < 0)
        return failed("eventfd", bell->socket_path);
    enum err_e err = listen_at(bell);
    return err == ERR_OK ? watch(bell, bell->listen_fd, NULL) : err;
}

enum err_e bell_open(const char *socket_path, const char *shm_dir, bell_gone_f *gone, void *arg,
                     struct bell **bell)
{
    struct bell *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_MEMORY;
    made->magic = MAGIC;
    made->listen_fd = made->epoll_fd = made->event_fd = -1;
    made->gone = gone;
    made->arg = arg;
    list_init(&made->waiting);
    list_init(&made->workers);
    enum err_e err = ERR_TOO_LARGE;
    if (strlen(socket_path) < sizeof made->socket_path && strlen(shm_dir) < sizeof made->shm_dir) {
        snprintf(made->socket_path, sizeof made->socket_path, "%s", socket_path);
        snprintf(made->shm_dir, sizeof made->shm_dir, "%s", shm_dir);
        err = start(made);
    }
    if (err != ERR_OK) {
        bell_close(&made);
        return err;
    }
    *bell = made;
    return ERR_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* The descriptor leaves the epoll by name: closing it is not enough while a forked child holds a copy. */
static void connection_free(struct bell *bell, struct bell_connection *connection)
{
    epoll_ctl(bell->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    if (connection->view != NULL)
        bell->worker_count--;
    else
        bell->waiting_count--;
    list_remove(&connection->node);
    segment_view_close(&connection->view);
    close(connection->fd);
    free(connection);
}

static void socket_unlink(const struct bell *bell)
{
    struct stat status;
    if (lstat(bell->socket_path, &status) == 0 && status.st_dev == bell->socket_dev &&
        status.st_ino == bell->socket_ino)
        unlink(bell->socket_path);
}

void bell_close(struct bell **bell)
{
    struct bell *dead = *bell;
    if (dead == NULL)
        return;
    MUST_MAGIC(dead, MAGIC);
    *bell = NULL;
    LIST_FOREACH (node, &dead->waiting) {
        connection_free(dead, LIST_ENTRY(node, struct bell_connection, node));
    }
    LIST_FOREACH (node, &dead->workers) {
        connection_free(dead, LIST_ENTRY(node, struct bell_connection, node));
    }
    socket_unlink(dead);
    close_fd(dead->listen_fd);
    close_fd(dead->epoll_fd);
    close_fd(dead->event_fd);
    dead->magic = 0;
    free(dead);
}

int bell_fd(const struct bell *bell)
{
    return bell->epoll_fd;
}

uint32_t bell_workers(const struct bell *bell)
{
    return bell->worker_count;
}

struct bell_counts bell_counts(const struct bell *bell)
{
    return bell->counts;
}

/* --- connections --------------------------------------------------------------------------------------------------- */

static void refusal_note(struct bell *bell, const char *why)
{
    uint32_t suppressed;
    bell->counts.refused++;
    if (log_limit_ok(&bell->refusal_log, clock_mono_ns(clock_system()), 10 * NS_PER_S, 5, &suppressed))
        log_warn("bell-refused", "reason=\"%s\" suppressed=%u", why, suppressed);
}

static void refuse(struct bell *bell, struct bell_connection *connection, const char *why)
{
    refusal_note(bell, why);
    connection_free(bell, connection);
}

/* A worker's connection has ended, or its slot has a new owner. */
static void worker_end(struct bell *bell, struct bell_connection *connection, bool tell)
{
    uint32_t slot = connection->slot;
    uint64_t incarnation = connection->incarnation;
    connection_free(bell, connection);
    if (tell)
        bell->gone(bell->arg, slot, incarnation);
}

static bool same_uid(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

static void connection_new(struct bell *bell, int fd)
{
    struct bell_connection *made = same_uid(fd) ? calloc(1, sizeof *made) : NULL;
    if (made == NULL) {
        close(fd);
        refusal_note(bell, "another uid, or no memory");
        return;
    }
    if (bell->waiting_count == WAITING_MAX)
        refuse(bell, LIST_ENTRY(bell->waiting.next, struct bell_connection, node),
               "too many without a hello");
    made->fd = fd;
    list_append(&bell->waiting, &made->node);
    bell->waiting_count++;
    if (watch(bell, fd, made) != ERR_OK)
        refuse(bell, made, "cannot be watched");
}

/* A descriptor shortage leaves the peer in the backlog; the level-triggered listener tries again at the next service. */
static void accept_all(struct bell *bell)
{
    for (int i = 0; i < EVENTS_BATCH; i++) {
        int fd = accept4(bell->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            connection_new(bell, fd);
        else if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static bool welcome_send(const struct bell *bell, const struct bell_connection *connection)
{
    struct bell_welcome welcome = {.magic = BELL_MAGIC, .version = BELL_VERSION, .slot = connection->slot};
    struct iovec part = {.iov_base = &welcome, .iov_len = sizeof welcome};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &bell->event_fd, sizeof(int));
    return sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof welcome;
}

static struct bell_connection *worker_find(const struct bell *bell, uint32_t slot)
{
    LIST_FOREACH (node, &bell->workers) {
        struct bell_connection *worker = LIST_ENTRY(node, struct bell_connection, node);
        if (worker->slot == slot)
            return worker;
    }
    return NULL;
}

/* Maps the segment of a hello's slot, and believes it only if the segment names the same incarnation. */
static struct segment_view *segment_of(const struct bell *bell, const struct bell_hello *hello)
{
    char path[SHM_DIR_MAX + 32];
    struct segment_view *view = NULL;
    snprintf(path, sizeof path, "%s/worker.%u", bell->shm_dir, hello->slot);
    if (segment_view_open(path, &view) == ERR_OK &&
        segment_view_page(view)->incarnation != hello->incarnation)
        segment_view_close(&view);
    return view;
}

static bool worker_begin(struct bell *bell, struct bell_connection *connection,
                         const struct bell_hello *hello)
{
    struct segment_view *view = segment_of(bell, hello);
    if (view == NULL) {
        refuse(bell, connection, "no segment of that slot and incarnation");
        return false;
    }
    list_remove(&connection->node);
    list_append(&bell->workers, &connection->node);
    bell->waiting_count--;
    bell->worker_count++;
    connection->view = view;
    connection->slot = hello->slot;
    connection->incarnation = hello->incarnation;
    if (!welcome_send(bell, connection)) {
        refuse(bell, connection, "eventfd not sent");
        return false;
    }
    bell->counts.welcomed++;
    return true;
}

static void hello_take(struct bell *bell, struct bell_connection *connection, const struct bell_hello *hello)
{
    if (hello->magic != BELL_MAGIC || hello->version != BELL_VERSION || hello->slot >= WORKERS_MAX) {
        refuse(bell, connection,
               hello->magic == BELL_MAGIC ? "another version, or slot out of range" : "no hello");
        return;
    }
    struct bell_connection *old = worker_find(bell, hello->slot);
    if (worker_begin(bell, connection, hello) && old != NULL)
        worker_end(bell, old, old->incarnation != hello->incarnation);
}

static void connection_read(struct bell *bell, struct bell_connection *connection)
{
    struct bell_hello hello;
    char extra[8];
    struct iovec parts[] = {{&hello, sizeof hello}, {extra, sizeof extra}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    /* No control buffer: descriptors that a peer sends along are closed by the kernel. */
    ssize_t n = recvmsg(connection->fd, &message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (connection->view != NULL)
        worker_end(bell, connection, true);
    else if (n == (ssize_t)sizeof hello)
        hello_take(bell, connection, &hello);
    else if (n == 0 || (n < 0 && errno == ECONNRESET))
        connection_free(bell, connection); /* left without a word */
    else
        refuse(bell, connection, "no hello");
}

/* One event at a time: handling one may free the connection that a second one names. */
void bell_service(struct bell *bell)
{
    MUST_MAGIC(bell, MAGIC);
    struct epoll_event event;
    for (int i = 0; i < EVENTS_BATCH; i++) {
        if (epoll_wait(bell->epoll_fd, &event, 1, 0) != 1)
            return;
        if (event.data.ptr == NULL)
            accept_all(bell);
        else
            connection_read(bell, event.data.ptr);
    }
}

bool bell_ring(struct bell *bell)
{
    bool asleep = false;
    LIST_FOREACH (node, &bell->workers) {
        const struct bell_connection *worker = LIST_ENTRY(node, struct bell_connection, node);
        asleep |= atomic_load_explicit(&segment_view_page(worker->view)->sleeping, memory_order_seq_cst) != 0;
    }
    if (!asleep)
        return false;
    uint64_t one = 1;
    /* Nobody reads the counter; it is full after 584 years of a write per nanosecond. */
    if (write(bell->event_fd, &one, sizeof one) != (ssize_t)sizeof one)
        return false;
    bell->counts.rung++;
    return true;
}
