#include "mirror.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "topic.h"

void mirror_init(struct mirror *mirror)
{
    *mirror = (struct mirror){0};
    map_init(&mirror->by_topic);
}

void mirror_fini(struct mirror *mirror)
{
    for (uint32_t i = 0; i < mirror->capacity; i++)
        free(mirror->slots[i]);
    free(mirror->slots);
    map_fini(&mirror->by_topic);
    mirror_init(mirror);
}

static enum err_e reserve_slots(struct mirror *mirror, uint32_t capacity)
{
    if (capacity <= mirror->capacity)
        return ERR_OK;
    struct mirror_machine **slots = realloc(mirror->slots, capacity * sizeof(*slots));
    if (slots == NULL)
        return ERR_MEMORY;
    memset(slots + mirror->capacity, 0, (capacity - mirror->capacity) * sizeof(*slots));
    mirror->slots = slots;
    mirror->capacity = capacity;
    return ERR_OK;
}

static void forget(struct mirror *mirror, struct mirror_machine *machine)
{
    if (machine == NULL || !machine->present)
        return;
    machine->present = false;
    mirror->present--;
    map_remove(&mirror->by_topic, machine->state_topic);
}

static void name_topics(struct mirror_machine *machine)
{
    struct topic topic;
    topic_make(&topic, TOPIC_STATE, machine->info.id);
    machine->state_topic = topic.hash;
    topic_make(&topic, TOPIC_RESULT, machine->info.id);
    machine->result_topic = topic.hash;
}

/* The object of a slot, made on first use and renamed when the slot changed hands. */
static struct mirror_machine *claim(struct mirror *mirror, uint32_t slot, const struct machine_info *info)
{
    struct mirror_machine *machine = mirror->slots[slot];
    if (machine == NULL) {
        machine = calloc(1, sizeof *machine);
        if (machine == NULL)
            return NULL;
        machine->slot = slot;
        mirror->slots[slot] = machine;
    }
    if (machine->present && strcmp(machine->info.id, info->id) != 0)
        forget(mirror, machine);
    machine->info = *info;
    if (machine->present)
        return machine;
    name_topics(machine);
    if (map_put(&mirror->by_topic, machine->state_topic, machine) != ERR_OK)
        return NULL;
    machine->present = true;
    machine->position = 0;
    mirror->present++;
    return machine;
}

static enum err_e take_slot(struct mirror *mirror, uint32_t slot, const struct lvt_machine *from,
                            uint64_t now, struct mirror_seeded *seeded)
{
    struct mirror_machine *machine = claim(mirror, slot, &from->info);
    if (machine == NULL)
        return ERR_MEMORY;
    if (from->record_position <= machine->position)
        return ERR_OK;
    machine->state = from->state;
    machine->position = from->record_position;
    if (machine->position < now && machine->position < seeded->owed_since)
        seeded->owed_since = machine->position;
    machine->text_len = from->text_len;
    memcpy(machine->text, from->text, from->text_len);
    return ERR_OK;
}

enum err_e mirror_seed(struct mirror *mirror, const struct lvt_reader *lvt, uint64_t now,
                       struct mirror_seeded *seeded)
{
    uint32_t used = lvt_reader_used(lvt);
    *seeded = (struct mirror_seeded){.owed_since = UINT64_MAX};
    if (reserve_slots(mirror, used) != ERR_OK)
        return ERR_MEMORY;
    for (uint32_t slot = 0; slot < mirror->capacity; slot++) {
        struct lvt_machine from;
        enum lvt_status_e status = slot < used ? lvt_reader_get(lvt, slot, &from) : LVT_EMPTY;
        if (status == LVT_EMPTY)
            forget(mirror, mirror->slots[slot]);
        else if (status != LVT_OK)
            seeded->unreadable++;
        else if (take_slot(mirror, slot, &from, now, seeded) != ERR_OK)
            return ERR_MEMORY;
    }
    mirror->used = used > mirror->used ? used : mirror->used;
    return ERR_OK;
}

void mirror_forget_positions(struct mirror *mirror)
{
    for (uint32_t i = 0; i < mirror->capacity; i++)
        if (mirror->slots[i] != NULL)
            mirror->slots[i]->position = 0;
}

static bool state_fits(const struct ring_record *record, const struct record_state *meta)
{
    return record->meta_len == sizeof *meta && meta->text_len <= MACHINE_TEXT_MAX &&
           meta->text_offset <= record->frame_len &&
           meta->text_len <= record->frame_len - meta->text_offset && meta->connection < CONNECTION_COUNT &&
           record->topic_count > 0;
}

enum mirror_fold_e mirror_fold(struct mirror *mirror, const struct ring_record *record)
{
    const struct record_state *meta = record->meta;
    if (!state_fits(record, meta))
        return MIRROR_MALFORMED;
    struct mirror_machine *machine = meta->slot < mirror->capacity ? mirror->slots[meta->slot] : NULL;
    if (machine == NULL || !machine->present || machine->state_topic != record->topics[0].hash)
        return MIRROR_UNKNOWN;
    if (record->position < machine->position)
        return MIRROR_OLD;
    machine->state = (struct machine_state){
        .connection = (enum connection_e)meta->connection,
        .has_reading = meta->has_reading != 0,
        .raw_status = (uint8_t)meta->raw_status,
        .position = (uint8_t)meta->position,
        .read_wall_ms = meta->read_wall_ms,
    };
    machine->position = record->position;
    machine->text_len = meta->text_len;
    memcpy(machine->text, (const char *)record->frame + meta->text_offset, meta->text_len);
    return MIRROR_FOLDED;
}

const struct mirror_machine *mirror_find(const struct mirror *mirror, const char *id, size_t len)
{
    if (!machine_id_valid(id, len))
        return NULL;
    char text[MACHINE_ID_MAX + 1];
    memcpy(text, id, len);
    text[len] = '\0';
    struct topic topic;
    topic_make(&topic, TOPIC_STATE, text);
    const struct mirror_machine *machine = map_get(&mirror->by_topic, topic.hash);
    return machine != NULL && strcmp(machine->info.id, text) == 0 ? machine : NULL;
}

const struct mirror_machine *mirror_slot(const struct mirror *mirror, uint32_t slot)
{
    const struct mirror_machine *machine = slot < mirror->capacity ? mirror->slots[slot] : NULL;
    return machine != NULL && machine->present ? machine : NULL;
}
