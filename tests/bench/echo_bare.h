/* echo_bare.h — the yardstick of round trips: the smallest epoll server that answers a WebSocket message with the same bytes that a
 * validated endpoint answers.
 *
 * It does what no server can avoid: one recv(2) per readable socket, finding the frames in it, taking their mask off, and one
 * send(2) with all answers. It checks no JSON, keeps no order but the socket's, has no limits, pings and subscriptions. What a worker does per
 * round trip beyond this is the price of validation, of Noria's endpoints and, where there is one, of the handler process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ask.h"
#include "child.h"

enum echo_command_e { ECHO_RUN, ECHO_STOP };

struct echo_shared {
    _Atomic uint32_t command; /* enum echo_command_e; the parent writes */
    _Atomic uint64_t messages, sends, dropped;
};

struct echo_bare {
    struct echo_shared *shared;
    struct child child;
    const char *head, *tail; /* around the message in an answer */
    int listen_fd;
    uint16_t port;
};

/* Listens on a free port of 127.0.0.1. ERR_SYSTEM, ERR_MEMORY. */
enum err_e echo_bare_start(struct echo_bare *bare, const char *head, const char *tail, int core);
bool echo_bare_stop(struct echo_bare *bare); /* true if it dropped nobody and ended cleanly */
