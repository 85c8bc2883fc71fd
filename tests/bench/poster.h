/* poster.h — the generator of REST writes: so many clients, each with one POST /api/v1/readings under way, on one epoll loop, in a process of
 * its own.
 *
 *     scenario (parent) ── struct post_shared (anonymous shared memory) ── poster (child)
 *
 * A request is a connection of its own, because that is what the server gives: connect, send, read to the end. Sources are 127.0.0.2 and up,
 * so that ports do not run out. The answer must be 201 and as long as it says. Latency runs from before the connect to the answer's
 * last byte. Counters only grow; a phase is the difference of two looks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_hist.h"
#include "child.h"

#define POST_SENSORS     16u /* readings are of sensors 1 to this, which exist */
#define POST_CLIENTS_MAX 256u
#define POST_ROWS_MAX    1000u

enum post_command_e { POST_PAUSE, POST_RUN, POST_STOP };

struct post_options {
    uint16_t port; /* on 127.0.0.1 */
    uint32_t clients;
    uint32_t rows; /* 1: an object; more: an array of so many */
    int core;      /* -1: any */
};

struct post_shared {
    _Atomic uint32_t command; /* enum post_command_e; the parent writes */
    _Atomic uint64_t under_way, answers, wrong;
    struct hist latency;
    char first_wrong[256]; /* the first answer that was no 201, cut */
};

struct poster {
    struct post_options options;
    struct post_shared *shared;
    struct child child;
};

enum err_e poster_start(struct poster *poster, const struct post_options *options); /* pauses */
void poster_set(struct poster *poster, enum post_command_e command);
/* Pauses, and waits until every request was answered; false: one was not. */
bool poster_drain(struct poster *poster, uint32_t timeout_ms);
bool poster_stop(struct poster *poster); /* true if it ended cleanly */

/* The JSON of so many readings; its length. */
#define POST_BODY_MAX 65536u
size_t post_body(char body[POST_BODY_MAX], uint32_t rows, uint32_t first_sensor);
