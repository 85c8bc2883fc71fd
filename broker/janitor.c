/* Hop: D7, R2. In this order: peers that are silent, machines that are due, commands that are due; a machine whose agent was
 * given up is thus shown disconnected in the same tick. */
#include "janitor.h"

#include "agent_metrics.h"
#include "commands.h"
#include "introduction.h"
#include "relay.h"
#include "scrub.h"
#include "slot_sweep.h"

static void refresh_due(struct broker *broker, uint64_t now_ns)
{
    for (size_t i = 0; i < broker->registry.count; i++)
        if (broker->registry.due_ns[i] <= now_ns)
            broker_refresh(broker, broker->registry.machines[i], 0);
}

static void end_silent(struct broker *broker, uint64_t now_ns)
{
    for (struct peer *peer; (peer = peers_silent(&broker->peers, now_ns)) != NULL;) {
        broker_count(broker, BROKER_PEERS_SILENT);
        introduction_end(broker, peer, LEAVE_LOST, "silent");
    }
}

static void show_gauges(struct broker *broker)
{
    stats_set(&broker->stats, BROKER_WORKERS, broker->peers.workers);
    stats_set(&broker->stats, BROKER_AGENTS, broker->peers.agents);
    stats_set(&broker->stats, BROKER_TOOLS, broker->peers.tool_count);
    stats_set(&broker->stats, BROKER_STORES, broker->peers.store != NULL);
    stats_set(&broker->stats, BROKER_STORE_OPEN, broker->store_window.count);
    stats_set(&broker->stats, BROKER_STORE_OPEN_BYTES, broker->store_window.bytes);
    stats_set(&broker->stats, BROKER_COMMANDS_LIVE, broker->commands.live_count);
    stats_set(&broker->stats, BROKER_BELL_WORKERS, bell_workers(broker->publisher.bell));
}

void janitor_tick(void *arg)
{
    struct broker *broker = arg;
    uint64_t now = broker_now_ns(broker);
    if (now - broker->janitor.tick_ns > JANITOR_STALL_NS) {
        broker_count(broker, BROKER_STALLS);
        broker->janitor.excuse_ns = now + JANITOR_EXCUSE_NS;
    }
    broker->janitor.tick_ns = now;
    if (now >= broker->janitor.excuse_ns) {
        end_silent(broker, now);
        refresh_due(broker, now);
        commands_tick(broker, now);
    }
    relay_tick(broker, now);
    agent_metrics_tick(broker);
    slot_sweep_tick(broker, now);
    show_gauges(broker);
    broker->shm_lost = !scrub_tick(broker);
    if (broker->shm_lost) {
        loop_stop(broker->loop);
        return;
    }
    publish_bell(&broker->publisher);
}
