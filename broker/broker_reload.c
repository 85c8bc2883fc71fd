/* Hop: D6, D7, C4. See broker_reload.h. */
#include "broker_reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "commands.h"
#include "fault_point.h"
#include "introduction.h"
#include "machine_set.h"

/* --- prepare --------------------------------------------------------------------------------------------------------- */

static void forget(struct broker_reload *reload)
{
    registry_next_fini(&reload->machines);
    bridges_fini(&reload->bridges);
    free(reload->used);
    free(reload->taken);
    *reload = (struct broker_reload){0};
}

enum err_e broker_reload_prepare(struct broker *broker, const struct conf *next, char *why, size_t why_size)
{
    struct broker_reload *reload = &broker->reload;
    uint32_t slots = lvt_writer_capacity(broker->publisher.lvt);
    uint64_t start_ns = broker_now_ns(broker);
    forget(reload);
    if (next->machine_count > slots) {
        snprintf(why, why_size, "%zu machines, but max_machines is %u", next->machine_count, slots);
        return ERR_FULL;
    }
    reload->used = calloc(slots, sizeof *reload->used);
    reload->taken = calloc(slots, sizeof *reload->taken);
    enum err_e err = reload->used != NULL && reload->taken != NULL ? ERR_OK : ERR_MEMORY;
    if (err == ERR_OK)
        err = registry_prepare(&broker->registry, next, &reload->machines);
    if (err == ERR_OK)
        err = bridges_make(&reload->bridges, next, &reload->machines.by_id);
    if (err != ERR_OK)
        forget(reload);
    stats_set(&broker->stats, BROKER_RELOAD_PREPARE_US, (broker_now_ns(broker) - start_ns) / NS_PER_US);
    return err;
}

void broker_reload_abort(struct broker *broker)
{
    forget(&broker->reload);
}

/* --- commit ---------------------------------------------------------------------------------------------------------- */

static void take(struct broker *broker, struct conf *next)
{
    registry_take(&broker->registry, &broker->reload.machines);
    bridges_take(&broker->bridges, &broker->reload.bridges, &broker->registry);
    broker->conf = next;
    FAULT_POINT(BROKER_RELOAD_TAKEN);
}

static void let_go(struct broker *broker, struct machine *machine)
{
    commands_machine_ends(broker, machine, CODE_MACHINE_NOT_FOUND);
    if (machine->agent != NULL)
        introduction_dismiss(broker, machine->agent, "the machine is not configured any more");
    segment_close(&machine->segment, true);
}

static bool stands_elsewhere(const struct registry_row *row)
{
    return row->before != NULL && (row->before->connect_port != row->conf->connect_port ||
                                   strcmp(row->before->connect_host, row->conf->connect_host) != 0);
}

/* What its agent says from now on is another PLC's word. */
static void cut_loose(struct broker *broker, struct machine *machine, uint64_t now_ns)
{
    commands_machine_ends(broker, machine, CODE_CONNECTION_ERROR);
    if (machine->agent == NULL)
        return;
    introduction_dismiss(broker, machine->agent, NULL);
    registry_await(machine, now_ns + BROKER_HOLD_NS);
}

static void end_what_ends(struct broker *broker, uint64_t now_ns)
{
    const struct registry_next *next = &broker->reload.machines;
    for (size_t i = 0; i < next->gone_count; i++)
        let_go(broker, next->gone[i]);
    for (size_t i = 0; i < next->count; i++) {
        const struct registry_row *row = &next->rows[i];
        if (row->before == NULL)
            registry_await(row->machine, now_ns + BROKER_HOLD_NS);
        else if (stands_elsewhere(row))
            cut_loose(broker, row->machine, now_ns);
    }
}

/* An agent that was started with the new configuration before it was in force here is to know that the profile is the same now. */
static void agree(struct broker *broker, struct machine *machine)
{
    bool agreed = machine->profile_agrees;
    machine->profile_agrees = registry_profile_agrees(machine);
    if (machine->profile_agrees && !agreed)
        introduction_again(broker, &machine->agent->identity);
}

static void go_on(struct broker *broker)
{
    const struct registry_next *next = &broker->reload.machines;
    for (size_t i = 0; i < next->count; i++) {
        const struct registry_row *row = &next->rows[i];
        struct machine *machine = row->machine;
        if (machine->agent != NULL) {
            machine->successor_due |= !conf_machine_same(row->before, row->conf);
            agree(broker, machine);
        }
        broker_refresh(broker, machine, 0);
    }
}

static void show(struct broker *broker, uint64_t start_ns)
{
    uint64_t us = (broker_now_ns(broker) - start_ns) / NS_PER_US;
    stats_set(&broker->stats, BROKER_RELOAD_US, us);
    stats_set(&broker->stats, BROKER_MACHINES, broker->registry.count);
    stats_set(&broker->stats, BROKER_CONF_DIGEST, broker->conf->digest);
    broker_count(broker, BROKER_RELOADS); /* last: who sees it sees what it brought */
    log_info("reloaded", "machines=%zu removed=%zu digest=%016llx took_us=%llu", broker->registry.count,
             broker->reload.machines.gone_count, (unsigned long long)broker->conf->digest,
             (unsigned long long)us);
}

void broker_reload_commit(struct broker *broker, struct conf *next)
{
    struct broker_reload *reload = &broker->reload;
    struct conf *before = broker->conf;
    uint64_t start_ns = broker_now_ns(broker);
    take(broker, next);
    end_what_ends(broker, start_ns);
    enum err_e err = machine_set_change(&broker->publisher, &broker->registry, &reload->machines,
                                        reload->used, reload->taken);
    if (err == ERR_OK)
        go_on(broker);
    publish_flush(&broker->publisher);
    publish_bell(&broker->publisher);
    FAULT_POINT(BROKER_RELOAD_TOLD);
    show(broker, start_ns);
    forget(reload);
    conf_free(&before);
    if (err == ERR_OK)
        return;
    log_error("reload-untold", "error=\"%s\" ending, for a broker that tells the rest", err_text(err));
    broker->shm_lost = true;
    loop_stop(broker->loop);
}
