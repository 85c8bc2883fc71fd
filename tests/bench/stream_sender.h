/* stream_sender.h — a process that is one client of the streams dialect: it opens a stream and sends messages at a set rate, or
 * as fast as they are received, over one WebSocket connection as any client does (Hop: C1).
 *
 * Messages that are due go out together in one send(2), each a masked frame of its own. Never are more than `window` messages on
 * their way (sent, but not received by the average receiver): stream messages are never merged, so whoever sends more than
 * receivers take has them closed with 1013, and a phase could not tell such a loss from a fault. Window 0: no bound
 * but the worker, which stops reading a sender that is ahead of the broker.
 *
 * A message carries its running number and when the send(2) it went with was first called (stream_text.h).
 */
#pragma once

#include <stdint.h>

#include "gen.h"

enum stream_sender_command_e { STREAM_SENDER_PAUSE, STREAM_SENDER_RUN, STREAM_SENDER_STOP };

struct stream_sender_options {
    uint16_t port;    /* on 127.0.0.1 */
    const char *open; /* text that opens the stream */
    uint32_t len;     /* bytes of a message */
};

struct stream_sender_shared {
    _Atomic uint32_t command; /* enum stream_sender_command_e; the parent writes, like the next three */
    _Atomic uint64_t rate;    /* messages per second; 0: as fast as possible */
    _Atomic uint64_t window;
    struct gen_shared *gen;     /* whose clients receive them */
    _Atomic uint32_t open;      /* the stream is open */
    _Atomic uint64_t sent;      /* whole messages that the socket took */
    _Atomic uint64_t held;      /* times the socket was full */
    _Atomic uint64_t held_back; /* times messages were due, and the window was full */
    _Atomic uint64_t answers;   /* texts received: there is no reason for any */
    char first_answer[256];     /* whole once `answers` is not 0 */
};

/* Body of the child process; returns its exit code. */
int stream_sender_run(const struct stream_sender_options *options, struct stream_sender_shared *shared);
