/* See front_hold.h. */
#include "front_hold.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "front.h"
#include "log.h"
#include "loop.h"
#include "proc.h"

struct held { /* a worker's connection */
    struct front *front;
    int fd; /* -1: free */
    struct loop_fd *watch;
};

struct front {
    struct loop *loop;
    int fd, beacon_fd;
    struct loop_fd *watch, *beacon_watch;
    struct loop_signal *on_term, *on_int;
    size_t count;
    struct held held[FRONT_WORKERS_MAX];
};

static void stop(void *arg)
{
    struct front *front = arg;
    loop_stop(front->loop);
}

static void let_go(struct held *held)
{
    loop_fd_free(&held->watch);
    close(held->fd);
    held->fd = -1;
    held->front->count--;
}

/* Nothing is to be said: what comes is thrown away, and the end is what counts. */
static void on_worker(void *arg, unsigned events)
{
    struct held *held = arg;
    char bytes[256];
    (void)events;
    ssize_t n = recv(held->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        let_go(held);
}

static bool hold(struct front *front, int fd)
{
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++) {
        struct held *held = &front->held[i];
        if (held->fd >= 0)
            continue;
        held->watch = loop_fd_new(front->loop, fd, LOOP_READ, on_worker, held);
        if (held->watch == NULL)
            return false;
        held->fd = fd;
        front->count++;
        return true;
    }
    return false;
}

static void on_connection(void *arg, unsigned events)
{
    struct front *front = arg;
    (void)events;
    int fd = accept4(front->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && !hold(front, fd)) {
        log_warn("front-full", "workers=%zu", front->count);
        close(fd);
    }
}

static void on_beacon(void *arg, unsigned events)
{
    struct front *front = arg;
    (void)events;
    int fd = accept4(front->beacon_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd); /* that somebody accepts is all there is to know */
}

static bool bind_beacon(struct front *front, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    unlink(path); /* an earlier front's, killed: nobody listens there */
    front->beacon_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return front->beacon_fd >= 0 &&
           bind(front->beacon_fd, (struct sockaddr *)&address, sizeof address) == 0 &&
           listen(front->beacon_fd, FRONT_WORKERS_MAX) == 0;
}

static void light_beacon(struct front *front, const char *path)
{
    if (bind_beacon(front, path))
        front->beacon_watch = loop_fd_new(front->loop, front->beacon_fd, LOOP_READ, on_beacon, front);
    if (front->beacon_watch == NULL)
        log_warn("front-beacon",
                 "path=%s error=\"%s\" workers will not see when this front was started again", path,
                 strerror(errno));
}

static enum err_e open_socket(struct front *front)
{
    struct sockaddr_un address;
    socklen_t len = front_address(&address);
    front->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (front->fd >= 0 && bind(front->fd, (struct sockaddr *)&address, len) == 0 &&
        listen(front->fd, FRONT_WORKERS_MAX) == 0)
        return ERR_OK;
    int error = errno;
    log_error("front-socket", "socket=@" FRONT_SOCKET " error=\"%s\"", strerror(error));
    return error == EADDRINUSE ? ERR_BUSY : ERR_SYSTEM;
}

static enum err_e set_up(struct front *front, const char *beacon)
{
    front->loop = loop_new(clock_system());
    if (front->loop == NULL)
        return ERR_MEMORY;
    enum err_e err = open_socket(front);
    if (err != ERR_OK)
        return err;
    light_beacon(front, beacon);
    front->watch = loop_fd_new(front->loop, front->fd, LOOP_READ, on_connection, front);
    front->on_term = loop_signal_new(front->loop, SIGTERM, stop, front);
    front->on_int = loop_signal_new(front->loop, SIGINT, stop, front);
    return front->watch != NULL && front->on_term != NULL && front->on_int != NULL ? ERR_OK : ERR_MEMORY;
}

static void tear_down(struct front *front)
{
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        if (front->held[i].fd >= 0)
            let_go(&front->held[i]);
    loop_signal_free(&front->on_int);
    loop_signal_free(&front->on_term);
    loop_fd_free(&front->watch);
    loop_fd_free(&front->beacon_watch);
    if (front->beacon_fd >= 0)
        close(front->beacon_fd);
    if (front->fd >= 0)
        close(front->fd);
    if (front->loop != NULL)
        loop_free(&front->loop);
    free(front);
}

enum err_e front_hold(const char *beacon)
{
    struct front *front = calloc(1, sizeof *front);
    if (front == NULL)
        return ERR_MEMORY;
    front->fd = front->beacon_fd = -1;
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        front->held[i] = (struct held){.front = front, .fd = -1};
    enum err_e err = set_up(front, beacon);
    if (err == ERR_OK) {
        log_info("front-ready", "socket=@" FRONT_SOCKET);
        proc_ready();
        loop_run(front->loop);
        log_info("front-stopped", "workers=%zu", front->count);
    }
    tear_down(front);
    return err;
}
