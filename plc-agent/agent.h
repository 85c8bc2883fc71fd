/* agent.h — one machine's agent, put together: driver and poller below, image and queue in the middle, uplink above.
 *
 *     PLC ◀─▶ driver ◀─▶ poller ──▶ image ──▶ uplink ◀─▶ broker
 *                           ▲ └──▶ queue ──▶──┘ │
 *                           └───────┘◀──────────┘
 *
 * The parts know each other only by the events wired here. All of it runs on one loop, in one thread.
 */
#pragma once

#include <stdint.h>

#include "conf.h"
#include "driver.h"
#include "image.h"
#include "loop.h"
#include "poller.h"
#include "queue.h"
#include "uplink.h"

struct agent;

struct agent_config {
    struct loop *loop;
    const struct conf_machine *machine;
    const char *endpoint; /* of the broker */
    const struct driver_ops *driver;
    uint64_t incarnation; /* random, never 0 */
    uint64_t seed;        /* of the back-off's jitter */
    /* It has ended, with this exit code: stopped, or refused by the broker. Not from within agent_new(). */
    void (*ended)(void *arg, int exit_code);
    void *arg;
};

/* ERR_CONFIG, ERR_MEMORY, ERR_SYSTEM; all logged. */
enum err_e agent_new(const struct agent_config *config, struct agent **agent);
void agent_free(struct agent **agent); /* says GOODBYE to the broker; may take 100 ms */

/* Takes no more commands, lets a written one get its answer (at most AGENT_STOP_NS), then reports `ended`. */
#define AGENT_STOP_NS (1500 * NS_PER_MS)
void agent_stop(struct agent *agent);

void agent_metrics(const struct agent *agent, uint64_t metrics[UPLINK_METRICS]);
const struct image *agent_image(const struct agent *agent);
