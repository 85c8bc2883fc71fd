/* zsocket.h — what ROUTER and DEALER ends share: a ZeroMQ socket, its monitor, and one pollable descriptor for both.
 * Internal to common/bus. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

struct zsocket {
    void *context, *socket, *monitor;
    int poll_fd; /* epoll over both ZMQ_FDs */
};

enum zevent_e { ZEVENT_NONE, ZEVENT_OTHER, ZEVENT_UP, ZEVENT_CLOSED };

/* Makes context and socket of `type` with the options both ends need; connect or bind is the caller's. */
enum err_e zsocket_open(struct zsocket *z, int type);
/* Starts the monitor; before bind or connect, so that no event is missed. */
enum err_e zsocket_watch(struct zsocket *z);
void zsocket_close(struct zsocket *z, int linger_ms);

/* One event of the monitor; *connection is the descriptor it is about. ZEVENT_NONE: no more. */
enum zevent_e zsocket_event(struct zsocket *z, int *connection);
/* True if a message can be received. Reading ZMQ_EVENTS is what re-arms ZMQ_FD. */
bool zsocket_readable(struct zsocket *z);
