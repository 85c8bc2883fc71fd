/* Hop: D7, at boot. The record wins over the table, because it is what clients have seen; the ring's reader has validated
 * each one (its check, its lengths). Records are read oldest first, so that the last word about anything stays. */
#include "reattach.h"

#include <stdlib.h>
#include <string.h>

#include "broker_metrics.h"
#include "ring_reader.h"

/* --- the ring ---------------------------------------------------------------------------------------------------- */

static struct machine *machine_of_topic(const struct registry *registry, const struct ring_record *record)
{
    static const char prefix[] = "state/";
    const struct ring_topic *topic = &record->topics[0];
    size_t skip = sizeof prefix - 1;
    if (record->topic_count == 0 || topic->len <= skip || memcmp(topic->name, prefix, skip) != 0)
        return NULL;
    return registry_find(registry, topic->name + skip, topic->len - skip);
}

/* The last state that clients saw wins over the table's, which is written after it. */
static void take_state(struct reattach *reattach, const struct ring_record *record)
{
    struct record_state meta;
    struct machine *machine = machine_of_topic(reattach->registry, record);
    if (machine == NULL || record->meta_len != sizeof meta)
        return;
    memcpy(&meta, record->meta, sizeof meta);
    if (meta.connection >= CONNECTION_COUNT || meta.raw_status > UINT8_MAX || meta.position > UINT8_MAX)
        return;
    machine->shown = (struct machine_state){.connection = (enum connection_e)meta.connection,
                                            .has_reading = meta.has_reading != 0,
                                            .raw_status = (uint8_t)meta.raw_status,
                                            .position = (uint8_t)meta.position,
                                            .read_wall_ms = meta.read_wall_ms};
    machine->shown_gen = meta.agent_gen;
    machine->record_position = record->position;
}

static void take_outcome(struct reattach *reattach, const struct ring_record *record)
{
    struct record_outcome meta;
    if (record->meta_len != sizeof meta)
        return;
    memcpy(&meta, record->meta, sizeof meta);
    if (meta.agent_gen != 0)
        outcome_floors_raise(reattach->floors, meta.agent_gen, meta.outcome_seq);
    struct command_key key = {record->origin.worker, record->origin.serial, meta.command_serial};
    struct command_entry *entry = command_table_note_answered(reattach->commands, &key);
    if (entry == NULL)
        return;
    entry->completed |= record->kind == RECORD_COMPLETION;
    entry->agent_told |= meta.agent_gen != 0;
}

static void take_record(struct reattach *reattach, const struct ring_record *record)
{
    if (record->kind == RECORD_STATE)
        take_state(reattach, record);
    else if (record->kind == RECORD_RESULT || record->kind == RECORD_COMPLETION ||
             record->kind == RECORD_REFUSAL)
        take_outcome(reattach, record);
}

static void read_ring(struct reattach *reattach)
{
    struct ring_reader *reader;
    struct ring_record record;
    enum err_e err = ring_reader_open(reattach->ring_path, &reader);
    if (err == ERR_OK) {
        err = ring_reader_seek(reader, ring_reader_tail(reader));
        enum ring_status_e status = RING_EMPTY;
        uint64_t count = 0;
        while (err == ERR_OK && (status = ring_reader_next(reader, &record)) == RING_MORE) {
            take_record(reattach, &record);
            count++;
        }
        if (err == ERR_OK && status != RING_EMPTY)
            err = ERR_CORRUPT;
        stats_set(reattach->stats, BROKER_RESTORE_RECORDS, count);
        ring_reader_close(&reader);
    }
    if (err != ERR_OK)
        log_warn("ring-unreadable", "path=%s: %s; outcomes sent again may be seen twice", reattach->ring_path,
                 err_text(err));
}

/* --- the last-value table ---------------------------------------------------------------------------------------- */

/* Takes the slots over: *used tells which were in use, `slots` what they said, for machines that keep theirs. */
static void read_table(struct reattach *reattach, bool *used)
{
    struct lvt_writer *lvt = reattach->publisher->lvt;
    struct lvt_machine *slot = &reattach->publisher->slot;
    for (uint32_t i = 0; i < lvt_writer_capacity(lvt); i++) {
        if (!lvt_writer_get(lvt, i, slot))
            continue;
        used[i] = true;
        if (!registry_keep_slot(reattach->registry, i, slot->info.id)) {
            lvt_writer_clear(lvt, i);
            continue;
        }
        struct machine *machine = registry_find(reattach->registry, slot->info.id, strlen(slot->info.id));
        machine->shown = slot->state;
        machine->shown_gen = slot->agent_gen;
        machine->record_position = slot->record_position;
    }
}

static bool same_info(const struct machine_info *a, const struct machine_info *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->ip, b->ip) == 0 && a->port == b->port &&
           a->simulator == b->simulator;
}

/* Does the slot repeat the machine's last record, as today's configuration would write it? */
static bool slot_stands(struct reattach *reattach, const struct machine *machine, struct lvt_machine *should)
{
    struct lvt_machine *is = &reattach->publisher->slot;
    if (!lvt_writer_get(reattach->publisher->lvt, machine->slot, is) ||
        strcmp(is->info.id, machine->conf->info.id) != 0)
        return false;
    publish_fill_slot(machine, should);
    return is->record_position == should->record_position && is->text_len == should->text_len &&
           memcmp(is->text, should->text, is->text_len) == 0 && same_info(&is->info, &should->info);
}

static void publish_missing(struct reattach *reattach, struct lvt_machine *scratch)
{
    for (size_t i = 0; i < reattach->registry->count; i++) {
        struct machine *machine = &reattach->registry->machines[i];
        struct machine_state state = machine->shown;
        if (!slot_stands(reattach, machine, scratch) &&
            publish_state(reattach->publisher, machine, &state, machine->shown_gen, 0) == ERR_OK)
            stats_add(reattach->stats, BROKER_STATES_RESTORED, 1);
    }
}

enum err_e reattach(struct reattach *reattach, bool ring_continued)
{
    uint32_t capacity = lvt_writer_capacity(reattach->publisher->lvt);
    uint64_t start_ns = clock_mono_ns(reattach->publisher->clock);
    bool *used = calloc(capacity, sizeof *used);
    struct lvt_machine *scratch = calloc(1, sizeof *scratch);
    enum err_e err = ERR_MEMORY;
    if (used != NULL && scratch != NULL) {
        read_table(reattach, used);
        err = registry_assign_slots(reattach->registry, capacity, used);
        if (err == ERR_OK && ring_continued)
            read_ring(reattach);
        if (err == ERR_OK)
            publish_missing(reattach, scratch);
    }
    free(scratch);
    free(used);
    stats_set(reattach->stats, BROKER_RESTORE_US,
              (clock_mono_ns(reattach->publisher->clock) - start_ns) / NS_PER_US);
    return err;
}
