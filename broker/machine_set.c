/* Hop: D7. See machine_set.h. Rejected: the event first and the table behind it, as for states: a worker that reads the event
 * would have to guess when the table follows. Rejected: a journal of intentions; the two words that a slot has anyway (its
 * sequence, the position it names) say enough. */
#include "machine_set.h"

#include "broker_metrics.h"
#include "must.h"

enum err_e machine_set_remove(struct publisher *publisher, uint32_t slot, const struct machine_info *info,
                              bool told)
{
    if (!told) {
        if (slot != REGISTRY_NO_SLOT)
            lvt_writer_leave(publisher->lvt, slot);
        enum err_e err = publish_machine_event(publisher, info, false);
        if (err != ERR_OK)
            return err;
        publish_flush(publisher);
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
    enum err_e err = publish_machine_event(publisher, &machine->conf->info, true);
    if (err == ERR_OK)
        err = publish_state(publisher, machine, &state, 0, 0);
    if (err == ERR_OK)
        log_info("machine-added", "machine=%s slot=%u", machine->conf->info.id, machine->slot);
    return err;
}
