#include "zsocket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "bus.h"
#include "log.h"
#include "must.h"

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(void *socket, int64_t max_bytes)
{
    return set_int(socket, ZMQ_LINGER, 0) && set_int(socket, ZMQ_SNDHWM, BUS_HIGH_WATER) &&
           set_int(socket, ZMQ_RCVHWM, BUS_HIGH_WATER) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0;
}

static bool poll_descriptor(struct zsocket *z, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(z->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool poll_socket(struct zsocket *z, void *socket)
{
    int fd;
    size_t size = sizeof fd;
    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 && poll_descriptor(z, fd);
}

enum err_e zsocket_open(struct zsocket *z, int type, int64_t max_bytes)
{
    *z = (struct zsocket){.poll_fd = epoll_create1(EPOLL_CLOEXEC),
                          .nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    z->context = zmq_ctx_new();
    if (z->context != NULL && z->poll_fd >= 0 && z->nudge_fd >= 0 && poll_descriptor(z, z->nudge_fd)) {
        zmq_ctx_set(z->context, ZMQ_BLOCKY, 0);
        z->socket = zmq_socket(z->context, type);
    }
    if (z->socket == NULL || !set_options(z->socket, max_bytes) || !poll_socket(z, z->socket)) {
        log_error("bus-open", "error=\"cannot make a ZeroMQ socket: %s\"", zmq_strerror(errno));
        zsocket_close(z, 0);
        return ERR_SYSTEM;
    }
    return ERR_OK;
}

enum err_e zsocket_watch(struct zsocket *z)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://monitor-%p", z->socket);
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(z->socket, name, events) != 0)
        return ERR_SYSTEM;
    z->monitor = zmq_socket(z->context, ZMQ_PAIR);
    /* Its queue must never drop an event: a lost "closed" would be a peer that lives for ever. */
    if (z->monitor == NULL || !set_int(z->monitor, ZMQ_RCVHWM, 0) || zmq_connect(z->monitor, name) != 0 ||
        !poll_socket(z, z->monitor))
        return ERR_SYSTEM;
    return ERR_OK;
}

void zsocket_close(struct zsocket *z, int linger_ms)
{
    if (z->socket != NULL) {
        set_int(z->socket, ZMQ_LINGER, linger_ms);
        zmq_socket_monitor(z->socket, NULL, 0);
        zmq_close(z->socket);
    }
    if (z->monitor != NULL)
        zmq_close(z->monitor);
    if (z->context != NULL)
        zmq_ctx_term(z->context);
    if (z->poll_fd >= 0)
        close(z->poll_fd);
    if (z->nudge_fd >= 0)
        close(z->nudge_fd);
    *z = (struct zsocket){.poll_fd = -1, .nudge_fd = -1};
}

static enum zevent_e event_kind(uint16_t event)
{
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        return ZEVENT_UP;
    return event == ZMQ_EVENT_DISCONNECTED ? ZEVENT_CLOSED : ZEVENT_OTHER;
}

/* A monitor message is two frames: {uint16 event, uint32 value} and the endpoint. */
enum zevent_e zsocket_event(struct zsocket *z, int *connection)
{
    unsigned char frame[6];
    char endpoint[256];
    int len = zmq_recv(z->monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    if (len < 0)
        return ZEVENT_NONE;
    zmq_recv(z->monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    if (len != (int)sizeof frame)
        return ZEVENT_OTHER;
    uint16_t event;
    int32_t value;
    memcpy(&event, frame, sizeof event);
    memcpy(&value, frame + 2, sizeof value);
    *connection = value;
    return event_kind(event);
}

bool zsocket_readable(struct zsocket *z)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(z->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

void zsocket_begin(struct zsocket *z)
{
    uint64_t count;
    if (z->nudged && read(z->nudge_fd, &count, sizeof count) == (ssize_t)sizeof count)
        z->nudged = false;
}

bool zsocket_leave(struct zsocket *z)
{
    uint64_t one = 1;
    bool waiting = zsocket_readable(z);
    if (waiting && !z->nudged)
        z->nudged = write(z->nudge_fd, &one, sizeof one) == (ssize_t)sizeof one;
    return waiting;
}

bool zsocket_drop_rest(struct zsocket *z, void *part)
{
    bool dropped = false;
    for (int more = zmq_msg_more(part); more; dropped = true) {
        zmq_msg_t extra;
        zmq_msg_init(&extra);
        more = zmq_msg_recv(&extra, z->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&extra);
        zmq_msg_close(&extra);
    }
    return dropped;
}
