/* uplink.h — what goes up to the broker: births, differences, heartbeats and outcomes (Hop: D5, R1).
 *
 *     image ── differs? ──▶ STATE ─┐
 *     queue ── outcome ──▶ kept ───┼──▶ link ──▶ broker
 *                 ▲ ▲ dropped by   │
 *         settled ┘ └ OUTCOME_ACK ─┴◀── COMMAND
 *
 * After each HELLO_OK: first a birth (the whole state), then every outcome that was not acknowledged, in order and
 * with its number, then what is new. Outcomes are numbered from 1 without gaps, and sent in that order; while ZeroMQ
 * takes none, nothing overtakes. One that is noted in the journal (`noted`) waits until the journal has settled up to that number,
 * well or not, and so do those behind it. States are not queued: if one cannot go, the newest goes when it can.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ages.h"
#include "image.h"
#include "link.h"
#include "loop.h"
#include "outcome.h"
#include "profile.h"
#include "wire_metrics.h"

#define UPLINK_OUTCOMES 1024 /* kept until acknowledged */

#define X(NAME, name, kind) UPLINK_METRIC_##NAME,
enum uplink_metric_e { WIRE_AGENT_METRICS(X) UPLINK_METRICS };
#undef X

struct uplink;

struct uplink_events {
    /* The broker knows us. `profile_agrees`: it shows the machine by the profile that we read it with. */
    void (*up)(void *arg, bool profile_agrees);
    void (*refused)(void *arg, const char *reason); /* for good */
    void (*command)(void *arg, const struct wire_command *command);
    /* The broker has published it; once for each, in order. It is no more kept after the call. */
    void (*acked)(void *arg, const struct outcome *outcome);
    /* Before a heartbeat: all but what the uplink counts itself. */
    void (*metrics)(void *arg, uint64_t metrics[UPLINK_METRICS]);
};

struct uplink_config {
    struct loop *loop;
    const char *endpoint;
    const char *machine_id;
    const struct profile *profile; /* NULL: unknown */
    uint64_t address;              /* wire_address() of the PLC */
    uint64_t incarnation;
    struct image *image; /* marked as sent here */
    struct ages *ages;   /* told with each heartbeat; that of a STATE's way is noted here */
    const struct uplink_events *events;
    void *arg;
};

/* ERR_MEMORY, ERR_SYSTEM. Says nothing to the broker until uplink_start(). */
enum err_e uplink_new(const struct uplink_config *config, struct uplink **uplink);
void uplink_start(struct uplink *uplink); /* HELLO; again: nothing */
void uplink_free(struct uplink **uplink); /* says GOODBYE; may take 100 ms to let go what is queued */

/* The image may have changed: sends the difference, if clients would see one. */
void uplink_state(struct uplink *uplink);

/* Sends the outcome, now or when it can, and returns its number. `earlier`: the number it had before, 0 for none; if
 * that is not acknowledged yet, the kept one is sent again under it, else the outcome gets a new number. 0: no room. */
uint64_t uplink_outcome(struct uplink *uplink, const struct outcome *outcome, uint64_t earlier);
size_t uplink_room(const struct uplink *uplink);
/* The journal is done with all notes up to this number. */
void uplink_settled(struct uplink *uplink, uint64_t upto);
bool uplink_waits(const struct uplink *uplink); /* an outcome waits for the journal */

struct uplink_counts {
    uint64_t states_sent, outcomes_sent, outcomes_resent;
    uint64_t malformed; /* messages that make no sense to an agent */
};
const struct uplink_counts *uplink_counts(const struct uplink *uplink);
const struct link_counts *uplink_link_counts(const struct uplink *uplink);
