/* Hop: D7. See machine_set.h. Rejected: the event first and the table behind it, as for states: a worker that reads the event
 * would have to guess when the table follows. Rejected: a journal of intentions; the two words that a slot has anyway (its
 * sequence, the position it names) say enough. */
#include "machine_set.h"

#include <string.h>

#include "broker_metrics.h"
#include "fault_point.h"
#include "must.h"

enum err_e machine_set_remove(struct publisher *publisher, uint32_t slot, const struct machine_info *info,
                              bool told)
{
    if (!told) {
        if (slot != REGISTRY_NO_SLOT)
            lvt_writer_leave(publisher->lvt, slot);
        FAULT_POINT(BROKER_MACHINE_LEAVING);
        enum err_e err = publish_machine_event(publisher, info, false);
        if (err != ERR_OK)
            return err;
        publish_flush(publisher);
        FAULT_POINT(BROKER_MACHINE_REMOVED);
        log_info("machine-removed", "machine=%s", info->id);
    }
    if (slot != REGISTRY_NO_SLOT)
        lvt_writer_clear(publisher->lvt, slot);
    return ERR_OK;
}

enum err_e machine_set_add(struct publisher *publisher, struct machine *machine)
{
    MUST(machine->slot != REGISTRY_NO_SLOT);
    struct machine_state state = {.connection = CONNECTION_DISCONNECTED};
    machine->shown = state;
    machine->shown_gen = 0;
    machine->record_position = ring_writer_next(publisher->ring);
    publish_fill_slot(machine, &publisher->slot);
    publish_put_slot(publisher, machine->slot, &publisher->slot);
    FAULT_POINT(BROKER_MACHINE_PUT);
    enum err_e err = publish_machine_event(publisher, &machine->conf->info, true);
    if (err == ERR_OK)
        err = publish_state(publisher, machine, &state, 0, 0);
    if (err == ERR_OK)
        log_info("machine-added", "machine=%s slot=%u", machine->conf->info.id, machine->slot);
    return err;
}

bool machine_set_same(const struct machine_info *a, const struct machine_info *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->ip, b->ip) == 0 && a->port == b->port &&
           a->simulator == b->simulator;
}

/* --- a live reload ------------------------------------------------------------------------------------------------- */

static bool is_another(const struct registry_row *row)
{
    return row->before != NULL && !machine_set_same(&row->before->info, &row->conf->info);
}

static enum err_e tell_who_goes(struct publisher *publisher, const struct registry_next *next, bool *used)
{
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < next->gone_count && err == ERR_OK; i++) {
        used[next->gone[i]->slot] = true;
        err = machine_set_remove(publisher, next->gone[i]->slot, &next->gone[i]->conf->info, false);
    }
    for (size_t i = 0; i < next->count && err == ERR_OK; i++)
        if (is_another(&next->rows[i]))
            err = machine_set_remove(publisher, next->rows[i].machine->slot, &next->rows[i].before->info,
                                     false);
    return err;
}

static enum err_e tell_who_comes(struct publisher *publisher, const struct registry_next *next)
{
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < next->count && err == ERR_OK; i++) {
        const struct registry_row *row = &next->rows[i];
        struct machine_state state = row->machine->shown;
        if (row->before == NULL || is_another(row))
            err = machine_set_add(publisher, row->machine);
        else if (row->profile_hash != row->profile_before)
            err = publish_state(publisher, row->machine, &state, row->machine->shown_gen, 0);
    }
    return err;
}

enum err_e machine_set_change(struct publisher *publisher, struct registry *registry,
                              const struct registry_next *next, bool *used, bool *taken)
{
    MUST(next->taken);
    enum err_e err = tell_who_goes(publisher, next, used);
    if (err != ERR_OK)
        return err;
    registry_place(registry, lvt_writer_capacity(publisher->lvt), used, taken);
    return tell_who_comes(publisher, next);
}
