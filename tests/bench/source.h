/* source.h — a process that stands in for many agents: it says HELLO for each machine of a bench configuration and sends
 * STATE messages at a set rate, over the bus as real agents do (Hop: D5).
 *
 * Needed because real agents poll: thousands of changes per second from them would measure agents and simulators, not
 * the fan-out. Everything from the broker's ROUTER on is the system under test, unchanged.
 */
#pragma once

#include <stdint.h>

#include "gen.h"
#include "payload.h"
#include "source_table.h"

enum source_command_e { SOURCE_PAUSE, SOURCE_RUN, SOURCE_STOP };

struct source_options {
    const char *endpoint; /* "ipc:///…/bus/broker.sock" */
    uint32_t machines;    /* ids as rig_machine_id() */
    const struct payload *payload;
    struct source_table *table;
    int core; /* -1: any */
};

struct source_shared {
    _Atomic uint32_t command; /* enum source_command_e; the parent writes, like the next three */
    _Atomic uint64_t rate;    /* messages per second; 0: as fast as the clients receive */
    _Atomic uint64_t window;  /* with rate 0: messages that may be on their way */
    struct gen_shared *gen;   /* whose clients receive them */
    _Atomic uint32_t up;      /* machines the broker knows */
    _Atomic uint64_t sent;
    _Atomic uint64_t full; /* the bus did not take it; sent again */
    _Atomic uint64_t late; /* messages that the source itself sent over 10 ms after they were due */
};

/* Body of the child process; returns its exit code. */
int source_run(const struct source_options *options, struct source_shared *shared);
