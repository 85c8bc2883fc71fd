/* change_meter.c — see change_meter.h. */
#include "change_meter.h"

#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"

#define ARRIVE_MS 5000u

/* Waits until `events` changes have reached every client. */
static bool wait_events(const struct change_meter *meter, uint32_t events)
{
    const struct gen_shared *shared = meter->fleet->shared[0];
    uint64_t deadline = clock_mono_ns(clock_system()) + ARRIVE_MS * NS_PER_MS;
    while (clock_mono_ns(clock_system()) < deadline) {
        uint32_t count = atomic_load_explicit(&shared->event_count, memory_order_acquire);
        if (count >= events && shared->events[events - 1].seen >= meter->clients)
            return true;
        bench_sleep_ms(1);
    }
    return false;
}

bool change_make(struct change_meter *meter)
{
    uint32_t before = atomic_load(&meter->fleet->shared[0]->event_count);
    char command[80], id[RIG_ID_MAX];
    rig_machine_id(0, id);
    snprintf(command, sizeof command, "set %s position %u", id, 1 + meter->made++ % 25);
    return before < GEN_EVENTS_MAX && sim_link_command(meter->rig, command) == ERR_OK &&
           wait_events(meter, before + 1);
}

static void add(struct hist *hist, uint64_t from, uint64_t to)
{
    hist_add(hist, to > from ? to - from : 0);
}

/* Pairs each change the clients saw with the answer of the simulator that first said it. */
uint32_t change_match(struct change_meter *meter, struct hist hists[CHANGE_SPANS])
{
    const struct gen_shared *shared = meter->fleet->shared[0];
    const struct sim_change *changes = meter->changes;
    size_t count = sim_link_changes(meter->rig, 0, meter->changes, CHANGES_MAX);
    uint32_t matched = 0;
    for (; meter->event < atomic_load(&shared->event_count); meter->event++) {
        const struct gen_event *event = &shared->events[meter->event];
        size_t at = meter->change;
        while (at < count && (changes[at].raw != event->raw || changes[at].position != event->position))
            at++;
        if (at == count)
            break;
        add(&hists[ASKED_TO_FIRST], changes[at].rx_ns, event->first_ns);
        add(&hists[ASKED_TO_LAST], changes[at].rx_ns, event->last_ns);
        add(&hists[ANSWERED_TO_FIRST], changes[at].tx_ns, event->first_ns);
        add(&hists[ANSWERED_TO_LAST], changes[at].tx_ns, event->last_ns);
        matched++;
        meter->change = at + 1;
    }
    return matched;
}
