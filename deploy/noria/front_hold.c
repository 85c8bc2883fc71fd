/* See front_hold.h. */
#include "front_hold.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "front.h"
#include "health.h"
#include "log.h"
#include "proc.h"

struct held { /* a connection */
    struct front *front;
    int fd; /* -1: free */
    bool served;
    struct loop_fd *watch;
    struct loop_timer *patience;
};

struct front {
    struct loop *loop;
    struct sockaddr_un address;
    int fd;
    bool bound;
    struct loop_fd *watch;
    struct loop_timer *pause;
    bool paused; /* accept() failed, and has not worked since */
    size_t count;
    struct held held[FRONT_WORKERS_MAX];
};

static void let_go(struct held *held)
{
    loop_fd_free(&held->watch);
    loop_timer_free(&held->patience);
    close(held->fd);
    held->fd = -1;
    held->front->count--;
}

/* --- sockets -------------------------------------------------------------------------------------------------------- */

static void refuse(struct held *held, const char *why)
{
    struct control_message message = {.type = CONTROL_REFUSED};
    snprintf(message.text, sizeof message.text, "%s", why);
    log_warn("front-refused", "error=\"%s\"", why);
    (void)control_send(held->fd, &message); /* who does not read has its end */
    let_go(held);
}

static bool well_asked(const struct control_message *request)
{
    size_t count = strlen(request->text);
    return request->type == CONTROL_SOCKETS && count >= 1 && count <= CONTROL_FDS_MAX &&
           strspn(request->text, "46") == count;
}

/* False: errno says why not all of them. */
static bool make_sockets(struct control_message *message)
{
    for (const char *family = message->text; *family != '\0'; family++) {
        int fd = socket(*family == '6' ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        IPPROTO_TCP);
        if (fd < 0)
            return false;
        message->fds[message->fd_count++] = fd;
    }
    return true;
}

static void serve(struct held *held, struct control_message *message)
{
    message->number = proc_tcp_migrates();
    message->digest = 0;
    bool given = make_sockets(message) && control_send(held->fd, message) == ERR_OK;
    int error = errno;
    control_drop_fds(message); /* what was sent is the worker's alone */
    held->served = given;
    if (given)
        loop_timer_stop(held->patience);
    else
        refuse(held, strerror(error));
}

static void on_worker(void *arg, unsigned events)
{
    struct held *held = arg;
    struct control_message message;
    (void)events;
    enum err_e err = control_receive(held->fd, &message);
    if (err == ERR_BUSY)
        return;
    if (err != ERR_OK && err != ERR_MALFORMED) {
        let_go(held);
        return;
    }
    control_drop_fds(&message); /* nobody asked for any */
    if (err == ERR_OK && !held->served && well_asked(&message))
        serve(held, &message);
    else
        refuse(held, held->served ? "was served already" : "no request for sockets");
}

/* --- connections ---------------------------------------------------------------------------------------------------- */

static void on_silence(void *arg)
{
    refuse(arg, "asks for nothing");
}

static bool hold(struct held *held, int fd)
{
    struct loop *loop = held->front->loop;
    held->watch = loop_fd_new(loop, fd, LOOP_READ, on_worker, held);
    held->patience = loop_timer_new(loop, on_silence, held);
    if (held->watch == NULL || held->patience == NULL) {
        loop_fd_free(&held->watch);
        loop_timer_free(&held->patience);
        return false;
    }
    held->fd = fd;
    held->served = false;
    held->front->count++;
    loop_timer_start(held->patience, FRONT_PATIENCE_NS);
    return true;
}

static struct held *free_place(struct front *front)
{
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        if (front->held[i].fd < 0)
            return &front->held[i];
    return NULL;
}

static bool is_ours(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid())
        return true;
    log_warn("front-refused", "uid=%d error=\"another user\"", (int)peer.uid);
    return false;
}

static void take(struct front *front, int fd)
{
    struct held *place = free_place(front);
    if (place == NULL)
        log_warn("front-full", "workers=%zu", front->count);
    if (place == NULL || !is_ours(fd) || !hold(place, fd))
        close(fd);
}

static void on_pause_over(void *arg)
{
    struct front *front = arg;
    loop_fd_set(front->watch, LOOP_READ);
}

/* Who waits there would wake the loop at once, again and again. */
static void pause_accepting(struct front *front, int error)
{
    if (!front->paused)
        log_error("front-accept", "workers=%zu error=\"%s\" nobody comes in until that is over", front->count,
                  strerror(error));
    front->paused = true;
    loop_fd_set(front->watch, 0);
    loop_timer_start(front->pause, FRONT_PAUSE_NS);
}

static void on_connection(void *arg, unsigned events)
{
    struct front *front = arg;
    (void)events;
    int fd = accept4(front->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        front->paused = false;
        take(front, fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        pause_accepting(front, errno);
    }
}

/* --- begin and end -------------------------------------------------------------------------------------------------- */

static enum err_e listen_at(struct front *front, const char *path)
{
    if (!health_address(path, &front->address))
        return ERR_TOO_LARGE;
    if (health_accepts(path, SOCK_SEQPACKET) || errno == EAGAIN) /* its queue is full */
        return ERR_EXISTS;
    unlink(path); /* an earlier front's, killed: nobody listens there */
    front->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    front->bound =
        front->fd >= 0 && bind(front->fd, (struct sockaddr *)&front->address, sizeof front->address) == 0;
    return front->bound && listen(front->fd, FRONT_WORKERS_MAX) == 0 ? ERR_OK : ERR_SYSTEM;
}

static enum err_e start(struct front *front, const char *path)
{
    enum err_e err = listen_at(front, path);
    if (err != ERR_OK) {
        log_error("front-socket", "path=%s error=\"%s\"", path,
                  err == ERR_SYSTEM ? strerror(errno) : err_text(err));
        return err;
    }
    front->watch = loop_fd_new(front->loop, front->fd, LOOP_READ, on_connection, front);
    front->pause = loop_timer_new(front->loop, on_pause_over, front);
    return front->watch != NULL && front->pause != NULL ? ERR_OK : ERR_MEMORY;
}

enum err_e front_open(struct loop *loop, const char *path, struct front **out)
{
    struct front *front = *out = calloc(1, sizeof *front);
    if (front == NULL)
        return ERR_MEMORY;
    front->loop = loop;
    front->fd = -1;
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        front->held[i] = (struct held){.front = front, .fd = -1};
    enum err_e err = start(front, path);
    if (err != ERR_OK)
        front_close(out);
    return err;
}

size_t front_count(const struct front *front)
{
    return front->count;
}

void front_close(struct front **out)
{
    struct front *front = *out;
    if (front == NULL)
        return;
    for (size_t i = 0; i < FRONT_WORKERS_MAX; i++)
        if (front->held[i].fd >= 0)
            let_go(&front->held[i]);
    loop_timer_free(&front->pause);
    loop_fd_free(&front->watch);
    if (front->bound)
        unlink(front->address
                   .sun_path); /* still its own: as long as it listens, no other front takes the name */
    if (front->fd >= 0)
        close(front->fd);
    free(front);
    *out = NULL;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static enum err_e run(struct loop *loop, const char *path)
{
    struct front *front;
    enum err_e err = front_open(loop, path, &front);
    if (err != ERR_OK)
        return err;
    log_info("front-ready", "path=%s", path);
    proc_ready();
    loop_run(loop);
    log_info("front-stopped", "workers=%zu", front_count(front));
    front_close(&front);
    return ERR_OK;
}

enum err_e front_hold(const char *path)
{
    struct loop *loop = loop_new(clock_system());
    if (loop == NULL)
        return ERR_MEMORY;
    struct loop_signal *on_term = loop_signal_new(loop, SIGTERM, stop, loop),
                       *on_int = loop_signal_new(loop, SIGINT, stop, loop);
    enum err_e err = on_term != NULL && on_int != NULL ? run(loop, path) : ERR_MEMORY;
    loop_signal_free(&on_term);
    loop_signal_free(&on_int);
    loop_free(&loop);
    return err;
}
