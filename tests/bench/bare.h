/* bare.h — the yardstick: the smallest epoll server that can send the same frames in the same batches.
 *
 * It answers a WebSocket handshake with a constant and then does nothing but what no server can avoid: one send(2) per
 * socket and batch, out of a log that is mapped twice back to back, with a cursor per connection. It has no rings,
 * subscriptions, pings or limits. What a worker does per delivery beyond this is Noria's own price.
 */
#pragma once

#include <stdint.h>

#include "gen.h"
#include "payload.h"
#include "source_table.h"

enum bare_command_e { BARE_PAUSE, BARE_RUN, BARE_STOP };

struct bare_options {
    int listen_fd;
    uint32_t machines;
    const struct payload *payload;
    uint32_t stream_bytes;      /* not 0: stream messages of that size instead of states */
    uint32_t send_buffer_bytes; /* SO_SNDBUF, as the worker's */
    struct source_table *table;
    int core; /* -1: any */
};

struct bare_shared {
    _Atomic uint32_t command; /* enum bare_command_e; the parent writes, like the next four */
    _Atomic uint64_t batch;   /* frames per round */
    _Atomic uint64_t rate;    /* frames per second; 0: as fast as the clients receive */
    _Atomic uint64_t window;  /* with rate 0: frames that may be on their way */
    struct gen_shared *gen;
    _Atomic uint32_t connections;
    _Atomic uint64_t frames, sends, short_sends, bytes, frame_bytes;
};

int bare_run(const struct bare_options *options, struct bare_shared *shared);
