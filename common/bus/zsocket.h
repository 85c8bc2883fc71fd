/* zsocket.h — what ROUTER and DEALER ends share: a ZeroMQ socket, its monitor, and one pollable descriptor for both.
 * Internal to common/bus.
 *
 * ZMQ_FD is edge-triggered in meaning: any call on the socket, a send too, may swallow the edge while messages wait. So a third
 * descriptor, an eventfd, hangs in poll_fd: whoever leaves readable messages behind raises it, and poll_fd is readable
 * as long as there is something to do, which is what its users' loops expect. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

struct zsocket {
    void *context, *socket, *monitor;
    int poll_fd;  /* epoll over both ZMQ_FDs and nudge_fd */
    int nudge_fd; /* readable while `nudged` */
    bool nudged;
};

enum zevent_e { ZEVENT_NONE, ZEVENT_OTHER, ZEVENT_UP, ZEVENT_CLOSED };

/* Makes context and socket of `type` with the options both ends need; connect or bind is the caller's. A peer that sends a
 * message of more than `max_bytes` is hung up on. */
enum err_e zsocket_open(struct zsocket *z, int type, int64_t max_bytes);
/* Starts the monitor; before bind or connect, so that no event is missed. */
enum err_e zsocket_watch(struct zsocket *z);
void zsocket_close(struct zsocket *z, int linger_ms);

/* One event of the monitor; *connection is the descriptor it is about. ZEVENT_NONE: no more. */
enum zevent_e zsocket_event(struct zsocket *z, int *connection);
/* True if a message can be received. Reading ZMQ_EVENTS is what re-arms ZMQ_FD. */
bool zsocket_readable(struct zsocket *z);

/* Takes back the nudge: at the start of a service. */
void zsocket_begin(struct zsocket *z);
/* At the end of a service, and after a send outside of one: sees to it that poll_fd is readable if messages wait, and
 * returns whether they do. */
bool zsocket_leave(struct zsocket *z);

/* Receives and drops the rest of a multipart message whose last received part is `part` (a zmq_msg_t). True if there
 * was any: nobody of ours sends more than was taken. */
bool zsocket_drop_rest(struct zsocket *z, void *part);
