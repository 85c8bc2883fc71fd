/* registry.h — the machines of the configuration, and what is to be shown of each (part of Hops D6, D7).
 *
 * Three things are known of a machine: what its agent last `reported`, what clients are `shown`, and when its newest
 * good reading was taken (`fresh_ns`, on the broker's clock). registry_target() derives from them, and from the time,
 * what should be shown; whoever changed one of them compares, and publishes a difference (publish.h). Rules:
 *
 *     no agent attached        → disconnected, the last reading stays. While one is `awaited`, until `hold_until_ns`: as
 *                                before, so that a broker's restart, or an agent's for another configuration, is invisible
 *     attached, no STATE yet   → what was shown
 *     reported connected, but the reading is older than stale_ns → stale
 *     otherwise                → as reported; without a reading of its own, the last known one stays
 *
 * No I/O, no clock of its own: unit-tested with times as numbers. Which machines there are is exchanged as a whole, by
 * registry_next.h, at the boot and at each reload; a machine that stays keeps its address, because peers and commands point to it.
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
    size_t index, next_index; /* in `machines` of its registry; where it will be (registry_next.h) */
    uint32_t slot;            /* in the last-value table */
    uint64_t profile_hash;
    uint64_t address; /* wire_address() of its PLC */
    uint64_t stale_ns;
    struct topic state_topic, result_topic, event_topic;
    struct bridge_set *bridged[CONF_BRIDGE_SOURCES]; /* streams that get them, too (bridges.h); NULL: none */

    struct peer *agent; /* NULL: none attached. Owned by peers.h */
    bool
        awaited; /* one is expected: none has attached since the broker's start, or it makes way for a new one */
    uint64_t hold_until_ns; /* … until then unseen */
    bool successor_due;     /* the one that is attached was told another configuration than is in force */
    bool profile_agrees;
    uint64_t agent_profile; /* hash of the one that the agent reads it with */

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
    struct machine **machines; /* in the order of the configuration */
    size_t count;
    uint64_t *due_ns; /* per machine: when time alone changes what is to be shown; UINT64_MAX never */
    struct map by_id; /* hash of the id → machine */
};

/* ERR_MEMORY; ERR_EXISTS: two ids with one hash. `conf` must outlive it, or be followed (registry_next.h). */
enum err_e registry_init(struct registry *registry, const struct conf *conf);
void registry_fini(struct registry *registry);
/* Agents can reach the broker now, and have until then to do so unseen. Until this is called nothing is due. */
void registry_hold(struct registry *registry, uint64_t until_ns);

uint64_t registry_key(const char *id, size_t len); /* in by_id */

struct machine *registry_find(const struct registry *registry, const char *id,
                              size_t len); /* NULL: not configured */
size_t registry_index(const struct registry *registry, const struct machine *machine);

/* Slots: first registry_keep_slot() for each slot that the table holds (false: its machine is not configured any more,
 * or was seen before: clear it), then registry_assign_slots(), which gives the others their index in the file if that
 * is free, else the lowest free one; slots in `used` (cleared just now) come last, so that a worker which still knows
 * the former machine is not confused. ERR_FULL: more machines than slots. */
bool registry_keep_slot(struct registry *registry, uint32_t slot, const char *id);
enum err_e registry_assign_slots(struct registry *registry, uint32_t capacity, const bool *used);
/* The same, where nothing can fail: there are slots enough; `taken` is `capacity` false ones, and used up. */
void registry_place(struct registry *registry, uint32_t capacity, const bool *used, bool *taken);

/* What changed. registry_report() false: not newer than the report before (of the same agent_gen). */
void registry_attach(struct machine *machine, struct peer *agent, uint64_t profile_hash, uint64_t now_ns);
void registry_detach(struct machine *machine);
void registry_await(struct machine *machine, uint64_t until_ns); /* none is attached; one comes by then */
bool registry_report(struct machine *machine, const struct wire_state *state, uint64_t now_ns);
void registry_heartbeat(struct machine *machine, int64_t reading_age_ms, uint64_t now_ns);

/* What should be shown now, and when that may change by itself. */
struct machine_state registry_target(const struct machine *machine, uint64_t now_ns);
void registry_plan(struct registry *registry, struct machine *machine);

/* True if a machine without an agent is to have one in a moment. */
static inline bool registry_awaits(const struct machine *machine, uint64_t now_ns)
{
    return machine->awaited && now_ns < machine->hold_until_ns;
}

/* True if the attached agent reads the machine by the same profile. */
static inline bool registry_profile_agrees(const struct machine *machine)
{
    return machine->conf->profile != NULL && machine->agent_profile == machine->profile_hash;
}

/* True if commands that act may go to it: a profile that broker and agent read alike. */
static inline bool registry_writable(const struct machine *machine)
{
    return machine->conf->profile != NULL && machine->profile_agrees;
}
