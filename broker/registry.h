/* registry.h — the machines of the configuration, and what is to be shown of each (part of Hops D6, D7).
 *
 * Three things are known of a machine: what its agent last `reported`, what clients are `shown`, and when its newest
 * good reading was taken (`fresh_ns`, on the broker's clock). registry_target() derives from them, and from the time,
 * what should be shown; whoever changed one of them compares, and publishes a difference (publish.h). Rules:
 *
 *     no agent attached        → disconnected, the last reading stays. Within `hold_until_ns` after the broker's
 *                                start: what the last-value table says, so that a broker restart is invisible
 *     attached, no STATE yet   → what was shown
 *     reported connected, but the reading is older than stale_ns → stale
 *     otherwise                → as reported; without a reading of its own, the last known one stays
 *
 * No I/O, no clock of its own: unit-tested with times as numbers. Machines are never added or removed after boot (a live
 * reload is issue 8's; machine_set.h is made for both).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "list.h"
#include "map.h"
#include "segment.h"
#include "stats.h"
#include "topic.h"
#include "wire.h"

/* The broker learns of readings that change nothing from heartbeats only, once a second: a limit below that would
 * show a healthy machine stale between two of them. So stale_ns is never less than poll_interval_ms and this. */
#define REGISTRY_STALE_SLACK_MS 1250u

#define REGISTRY_NO_SLOT UINT32_MAX

struct peer;
struct bridge_set;

struct machine {
    const struct conf_machine *conf;
    uint32_t slot; /* in the last-value table */
    uint64_t profile_hash;
    uint64_t stale_ns;
    struct topic state_topic, result_topic, event_topic;
    struct bridge_set *bridged[CONF_BRIDGE_SOURCES]; /* streams that get them, too (bridges.h); NULL: none */

    struct peer *agent; /* NULL: none attached. Owned by peers.h */
    bool awaited;       /* no agent has attached since the broker's start */
    bool profile_agrees;

    bool has_report; /* a STATE came from the attached agent */
    struct machine_state reported;
    uint64_t report_gen, report_seq;
    uint64_t fresh_ns;

    struct machine_state shown;
    uint64_t shown_gen;       /* agent_gen in the last-value table */
    uint64_t record_position; /* of the state record that clients saw last */

    struct list_node commands; /* live entries of command_table.h, by their at_machine */
    struct segment *segment;   /* shm/agent.<slot> (agent_metrics.h); NULL: none */
    struct stats metrics;
    uint64_t segment_gen; /* incarnation it was made for */
};

struct registry {
    struct machine *machines;
    size_t count;
    uint64_t *due_ns; /* per machine: when time alone changes what is to be shown; UINT64_MAX never */
    struct map by_id; /* hash of the id → machine */
    uint64_t hold_until_ns;
};

/* ERR_MEMORY; ERR_EXISTS: two ids with one hash. `conf` must outlive it. */
enum err_e registry_init(struct registry *registry, const struct conf *conf);
void registry_fini(struct registry *registry);
/* Agents can reach the broker now, and have until then to do so unseen. Until this is called nothing is due. */
void registry_hold(struct registry *registry, uint64_t until_ns);

struct machine *registry_find(const struct registry *registry, const char *id,
                              size_t len); /* NULL: not configured */
size_t registry_index(const struct registry *registry, const struct machine *machine);

/* Slots: first registry_keep_slot() for each slot that the table holds (false: its machine is not configured any more,
 * or was seen before: clear it), then registry_assign_slots(), which gives the others their index in the file if that
 * is free, else the lowest free one; slots in `used` (cleared just now) come last, so that a worker which still knows
 * the former machine is not confused. ERR_FULL: more machines than slots. */
bool registry_keep_slot(struct registry *registry, uint32_t slot, const char *id);
enum err_e registry_assign_slots(struct registry *registry, uint32_t capacity, const bool *used);

/* What changed. registry_report() false: not newer than the report before (of the same agent_gen). */
void registry_attach(struct machine *machine, struct peer *agent, bool profile_agrees, uint64_t now_ns);
void registry_detach(struct machine *machine);
bool registry_report(struct machine *machine, const struct wire_state *state, uint64_t now_ns);
void registry_heartbeat(struct machine *machine, int64_t reading_age_ms, uint64_t now_ns);

/* What should be shown now, and when that may change by itself. */
struct machine_state registry_target(const struct registry *registry, const struct machine *machine,
                                     uint64_t now_ns);
void registry_plan(struct registry *registry, struct machine *machine);

/* True if commands that act may go to it: a profile that broker and agent read alike. */
static inline bool registry_writable(const struct machine *machine)
{
    return machine->conf->profile != NULL && machine->profile_agrees;
}
