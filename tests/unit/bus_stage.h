/* bus_stage.h — the stage of the bus's plays: a router that answers as a broker would, and links, over ipc in a directory of
 * their own. Waits are on what was received, with a deadline; time limits run on a manual clock. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus.h"
#include "link.h"
#include "log.h"
#include "must.h"

#define DEADLINE_MS 20000
#define PEERS       8

struct seen_peer {
    struct bus_identity identity;
    int connection; /* -1: closed */
    uint64_t incarnation;
};

struct stage {
    char dir[64], path[96], endpoint[128];
    struct bus_router *router;
    uint64_t gen;
    bool mute, refuse; /* how HELLO is answered */
    bool gathers;      /* links do */
    struct seen_peer peers[PEERS];
    size_t peer_count;
    uint64_t hellos, commands, goodbyes, heartbeats, malformed, closed, other_gen, commands_of_dead;
    uint64_t last_serial, said_after_end;
    uint64_t publishes, last_publish_bytes;
};

struct end {
    struct link *link;
    uint64_t ups, downs, refusals, messages, last_serial, ring_id;
    char reason[256];
};

#define PLAY(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)
int stage_set_up(void **state);
int stage_tear_down(void **state);
void broker_open(struct stage *stage, uint64_t gen);

void end_open(struct end *end, const struct stage *stage, uint64_t incarnation, const struct clock *clock);

/* Services everything until *value reaches `at_least`. Only readable descriptors are serviced, and links that are due:
 * that is what shows that nothing else is needed. */
void run_until(struct stage *stage, struct end *const *ends, size_t count, const uint64_t *value,
               uint64_t at_least);
void run_one(struct stage *stage, struct end *end, const uint64_t *value, uint64_t at_least);
bool readable(int fd);
uint64_t real_ms(void);

struct wire_message command(uint64_t serial);
struct wire_message ack(const struct stage *stage, uint64_t serial);
