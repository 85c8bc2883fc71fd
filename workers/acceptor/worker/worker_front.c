/* The process that holds the network (NORIA_FRONT=1): under Compose all workers live in the network namespace of one service, `front`. When
 * that is started again it has a new one, and a worker that stayed would listen where nobody comes. So each holds a connection to front's
 * abstract socket, which belongs to the namespace, too, and ends when that ends; its engine starts it again, in the new one.
 *
 *     SEEKING ── connected ──▶ HELD ── its end ──▶ LOST ── front is back ──▶ exit 1
 *        └── FRONT_SEEK_NS without ───────────────▲
 *
 * Front is there again before its workers are (front.h says how that is seen). Nothing is said on the connection. Clients are not told: there is no way
 * to them any more. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "front.h"
#include "log.h"
#include "proc.h"
#include "worker.h"

#define FRONT_SEEK_NS (5 * NS_PER_S)

static void set_state(struct worker *w, enum worker_front_e state)
{
    w->front.state = state;
    w->front.since_ns = clock_mono_ns(w->clock);
}

static void lose(struct worker *w, const char *why)
{
    log_error("front-lost", "error=\"%s\" the holder of the network is gone: ending when it is back", why);
    set_state(w, WORKER_FRONT_LOST);
}

static void on_front(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *w = poll->data;
    char byte;
    ssize_t got = recvfrom(w->front.fd, &byte, 1, MSG_DONTWAIT, NULL, NULL);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    uv_poll_stop(poll);
    lose(w, got == 0 ? "its socket was closed" : strerror(errno));
}

/* -1: it is not there, and errno says how. */
static int reach(const struct sockaddr_un *address, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int reach_front(void)
{
    struct sockaddr_un address;
    socklen_t len = front_address(&address);
    return reach(&address, len);
}

/* Front was started again, in another namespace; or it is no use to wait any longer. */
static bool front_is_back(const struct worker *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static_assert(sizeof address.sun_path >= CONF_PATH_MAX, "conf_path() fits");
    uint64_t waited_ns = clock_mono_ns(w->clock) - w->front.since_ns;
    conf_path(w->conf, FRONT_BEACON, address.sun_path);
    int fd = reach(&address, sizeof address);
    if (fd >= 0) {
        close(fd);
        return true;
    }
    return waited_ns >= (errno == ENOENT ? FRONT_GONE_NS : FRONT_PATIENCE_NS);
}

static void seek(struct worker *w)
{
    w->front.fd = reach_front();
    if (w->front.fd >= 0) {
        w->front.poll.data = w;
        if (uv_poll_init(&w->loop, &w->front.poll, w->front.fd) == 0 &&
            uv_poll_start(&w->front.poll, UV_READABLE, on_front) == 0)
            set_state(w, WORKER_FRONT_HELD);
        else
            lose(w, "it cannot be watched");
    } else if (clock_mono_ns(w->clock) - w->front.since_ns >= FRONT_SEEK_NS) {
        lose(w, strerror(errno));
    }
}

void worker_front_start(struct worker *w, bool wanted)
{
    w->front.fd = -1;
    if (!wanted)
        return;
    set_state(w, WORKER_FRONT_SEEKING);
    seek(w);
}

void worker_front_tick(struct worker *w)
{
    if (w->front.state == WORKER_FRONT_SEEKING)
        seek(w);
    else if (w->front.state == WORKER_FRONT_LOST && front_is_back(w))
        worker_end(w, PROC_EXIT_FAILURE);
}

void worker_front_stop(struct worker *w)
{
    if (w->front.fd >= 0)
        close(w->front.fd);
    w->front.fd = -1;
}
