/* agent.h — one machine's agent, put together: driver and poller below, image and queue in the middle, uplink above.
 *
 *     PLC ◀─▶ driver ◀─▶ poller ──▶ image ──▶ uplink ◀─▶ broker
 *                           ▲ └──▶ queue ──▶──┘ ▲ │
 *                           └──────┘▲│◀─────────┼─┘
 *                                   │▼ settled  │
 *                                 journal ──────┘
 *
 * The parts know each other only by the events wired here. All of it runs on one loop, in one thread; the journal has another
 * one for its disk. HELLO waits until the journal has said how it is, at most AGENT_JOURNAL_WAIT_NS; polling waits for nothing.
 */
#pragma once

#include <stdint.h>

#include "conf.h"
#include "driver.h"
#include "image.h"
#include "journal.h"
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
    uint64_t incarnation;          /* random, never 0 */
    uint64_t seed;                 /* of the back-off's jitter */
    const char *journal_directory; /* this machine's own */
    uint64_t journal_keep_bytes, journal_keep_ms;
    const struct journal_disk *journal_disk; /* NULL: the real one */
    /* It has ended, with this exit code: stopped, or refused by the broker. Not from within agent_new(). */
    void (*ended)(void *arg, int exit_code);
    void *arg;
};

/* ERR_CONFIG, ERR_MEMORY, ERR_SYSTEM; all logged. */
enum err_e agent_new(const struct agent_config *config, struct agent **agent);
void agent_free(struct agent **agent); /* says GOODBYE to the broker; may take 100 ms */

#define AGENT_JOURNAL_WAIT_NS (2 * NS_PER_S)

/* Takes no more commands, lets a written one get its answer (at most AGENT_STOP_NS) and the journal note it (at most
 * AGENT_NOTE_NS more), then reports `ended`. */
#define AGENT_STOP_NS (1500 * NS_PER_MS)
#define AGENT_NOTE_NS (300 * NS_PER_MS)
void agent_stop(struct agent *agent);

/* As agent_stop(), but not before what is under way has ended, the move with its completion; commands that come meanwhile are
 * taken as ever. For an agent whose machine is configured otherwise now. */
void agent_leave(struct agent *agent);

void agent_metrics(const struct agent *agent, uint64_t metrics[UPLINK_METRICS]);
const struct image *agent_image(const struct agent *agent);
