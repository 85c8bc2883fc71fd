/* handler_process.c — the handler process: listening socket, links, turns, the end (handler_process.h).
 *
 * epoll, level-triggered, in a descriptor that a program's own loop can wait for. Rejected: common/loop, which would make libevent a
 * dependency of everybody's handlers and own the loop.
 */
#include "handler_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"
#include "proc.h"

#define EVENTS_PER_TURN 32
#define ZONE_BYTES      4096

static bool config_is_good(const struct noria_handler_config *config)
{
    if (config->endpoint_count == 0 || config->endpoints == NULL)
        return false;
    for (size_t i = 0; i < config->endpoint_count; i++)
        if (config->endpoints[i].path == NULL || config->endpoints[i].on_receive == NULL)
            return false;
    return true;
}

static bool copy_config(struct noria_handler *handler, const struct noria_handler_config *config)
{
    snprintf(handler->name, sizeof handler->name, "%s",
             config->name != NULL ? config->name : program_invocation_short_name);
    handler->max_unsent_bytes = config->max_unsent_bytes > 0 ? config->max_unsent_bytes : PROCESS_UNSENT_MAX;
    handler->stop_ns = (config->stop_ms > 0 ? config->stop_ms : PROCESS_STOP_MS) * NS_PER_MS;
    handler->arg = config->arg;
    handler->endpoint_count = config->endpoint_count;
    handler->endpoints = calloc(config->endpoint_count, sizeof *handler->endpoints);
    if (handler->endpoints == NULL)
        return false;
    memcpy(handler->endpoints, config->endpoints, config->endpoint_count * sizeof *handler->endpoints);
    return msgpack_zone_init(&handler->zone, ZONE_BYTES);
}

static bool watch(struct noria_handler *handler, int *fd)
{
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = fd};
    return *fd >= 0 && epoll_ctl(handler->epoll_fd, EPOLL_CTL_ADD, *fd, &want) == 0;
}

static bool open_all(struct noria_handler *handler, const char *path)
{
    bool made = false;
    handler->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    handler->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    handler->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    handler->listen_fd = listen_open(path, &made);
    if (made && handler->listen_fd >= 0)
        snprintf(handler->path, sizeof handler->path, "%s", path);
    handler->listening = true;
    return handler->epoll_fd >= 0 && handler->reserve_fd >= 0 && watch(handler, &handler->stop_fd) &&
           watch(handler, &handler->listen_fd);
}

static void release(struct noria_handler *handler)
{
    int error = errno;
    const int fds[] = {handler->epoll_fd, handler->stop_fd, handler->reserve_fd, handler->listen_fd};
    if (handler->path[0] != '\0')
        unlink(handler->path);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (handler->zone.chunk_list.head != NULL)
        msgpack_zone_destroy(&handler->zone);
    msgpack_sbuffer_destroy(&handler->body);
    free(handler->endpoints);
    handler->magic = 0;
    free(handler);
    errno = error;
}

/* Of a Noria launcher's child alone: a program that somebody else started may outlive whoever that was. */
static bool has_its_launcher(void)
{
    if (getenv("NORIA_LAUNCHER_PID") == NULL || proc_tie())
        return true;
    errno = ESRCH;
    return false;
}

struct noria_handler *noria_handler_new(const struct noria_handler_config *config)
{
    struct noria_handler *handler = config_is_good(config) ? calloc(1, sizeof *handler) : NULL;
    if (handler == NULL) {
        errno = config_is_good(config) ? ENOMEM : EINVAL;
        return NULL;
    }
    handler->magic = PROCESS_MAGIC;
    handler->clock = clock_system();
    handler->epoll_fd = handler->stop_fd = handler->reserve_fd = handler->listen_fd = -1;
    list_init(&handler->links);
    list_init(&handler->ended);
    list_init(&handler->orphans);
    msgpack_sbuffer_init(&handler->body);
    errno = ENOMEM;
    bool good = copy_config(handler, config);
    if (good) {
        log_init(handler->name, LOG_INFO);
        good = has_its_launcher() && open_all(handler, config->socket);
    }
    if (!good) {
        release(handler);
        return NULL;
    }
    proc_ready();
    return handler;
}

int noria_handler_fd(const struct noria_handler *handler)
{
    return handler->epoll_fd;
}

void *noria_handler_arg(const struct noria_handler *handler)
{
    return handler->arg;
}

msgpack_sbuffer *noria_body(struct noria_handler *handler, msgpack_packer *packer)
{
    msgpack_sbuffer_clear(&handler->body);
    msgpack_packer_init(packer, &handler->body, msgpack_sbuffer_write);
    return &handler->body;
}

/* --- links --- */

static void listen_more(struct noria_handler *handler, bool listening)
{
    if (listening == handler->listening || handler->listen_fd < 0)
        return;
    struct epoll_event want = {.events = listening ? EPOLLIN : 0u, .data.ptr = &handler->listen_fd};
    int failed = epoll_ctl(handler->epoll_fd, EPOLL_CTL_MOD, handler->listen_fd, &want);
    MUST(failed == 0);
    handler->listening = listening;
}

/* No descriptor is left: the worker is told so by the end of its stream, and tries again later. Without this the socket would stay readable
 * and the loop spin. */
static void refuse_one(struct noria_handler *handler)
{
    log_warn("worker-refused", "error=\"no descriptors left\"");
    close(handler->reserve_fd);
    int fd = accept4(handler->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        close(fd);
    handler->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_workers(struct noria_handler *handler)
{
    for (int i = 0; i < EVENTS_PER_TURN && handler->link_count < PROCESS_LINKS_MAX; i++) {
        int fd = accept4(handler->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            link_new(handler, fd);
        else if (errno == EMFILE || errno == ENFILE)
            refuse_one(handler);
        else
            break;
    }
    listen_more(handler, handler->link_count < PROCESS_LINKS_MAX);
}

/* What callbacks said to links whose turn it was not, links that were given up meanwhile, and the memory of those that ended. */
static void sweep(struct noria_handler *handler)
{
    LIST_FOREACH (it, &handler->links) {
        struct link *link = LIST_ENTRY(it, struct link, node);
        if (link->dropped) {
            link_end(link);
            continue;
        }
        if (!(link->watched & EPOLLOUT) && link_unsent(link) > 0)
            link_flush(link);
        link_watch(link);
    }
    LIST_FOREACH (it, &handler->ended) {
        link_free(LIST_ENTRY(it, struct link, node));
        listen_more(handler, !handler->stopped);
    }
}

/* Serves what is ready within `wait_ms`; returns how much that was. */
static int turn(struct noria_handler *handler, int wait_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(handler->epoll_fd, events, EVENTS_PER_TURN, wait_ms);
    handler->serving = true;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &handler->listen_fd)
            accept_workers(handler);
        else if (events[i].data.ptr == &handler->stop_fd)
            handler->stopped = true;
        else if (((struct link *)events[i].data.ptr)->fd >= 0)
            link_turn(events[i].data.ptr);
    }
    sweep(handler);
    handler->serving = false;
    return count;
}

int noria_handler_service(struct noria_handler *handler)
{
    MUST_MAGIC(handler, PROCESS_MAGIC);
    MUST(!handler->serving);
    if (!handler->stopped)
        turn(handler, 0);
    return handler->stopped;
}

void noria_flush(struct noria_handler *handler)
{
    LIST_FOREACH (it, &handler->links) {
        struct link *link = LIST_ENTRY(it, struct link, node);
        link_flush(link);
        link_watch(link);
    }
}

void noria_handler_stop(struct noria_handler *handler)
{
    int error = errno;
    uint64_t one = 1;
    ssize_t ignored = write(handler->stop_fd, &one, sizeof one);
    (void)ignored;
    errno = error;
}

/* --- the end --- */

static bool owes(const struct noria_handler *handler)
{
    LIST_FOREACH (it, &handler->links) {
        if (link_unsent(LIST_ENTRY(it, struct link, node)) > 0)
            return true;
    }
    return false;
}

/* Ends of streams that have come already are seen, so that their connections hear on_disconnect; what is unsent leaves. */
static void drain(struct noria_handler *handler)
{
    uint64_t end_ns = clock_mono_ns(handler->clock) + handler->stop_ns;
    epoll_ctl(handler->epoll_fd, EPOLL_CTL_DEL, handler->stop_fd, NULL);
    epoll_ctl(handler->epoll_fd, EPOLL_CTL_DEL, handler->listen_fd, NULL);
    close(handler->listen_fd);
    handler->listen_fd = -1;
    handler->stopped = true;
    for (uint64_t now_ns; (now_ns = clock_mono_ns(handler->clock)) < end_ns;) {
        int wait_ms = owes(handler) ? (int)((end_ns - now_ns) / NS_PER_MS) + 1 : 0;
        if (turn(handler, wait_ms) <= 0 && !owes(handler))
            break;
    }
}

void noria_handler_free(struct noria_handler **handler)
{
    struct noria_handler *gone = *handler;
    if (gone == NULL)
        return;
    MUST_MAGIC(gone, PROCESS_MAGIC);
    MUST(!gone->serving);
    *handler = NULL;
    drain(gone);
    gone->serving = true;
    LIST_FOREACH (it, &gone->links) {
        struct link *link = LIST_ENTRY(it, struct link, node);
        link->dropped = true; /* by this side, and nothing to complain of */
        link_end(link);
    }
    LIST_FOREACH (it, &gone->ended) {
        link_free(LIST_ENTRY(it, struct link, node));
    }
    LIST_FOREACH (it, &gone->orphans) {
        request_free(LIST_ENTRY(it, struct noria_request, node));
    }
    release(gone);
}
