/* See store_watch.h. */
#include "store_watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "lvt_reader.h"
#include "store_metrics.h"
#include "topic.h"

#define RETRY_NS (1 * NS_PER_S) /* after a transaction that failed */

struct watch_machine {
    const struct profile *profile; /* NULL: unknown */
    const struct profile *next;    /* within store_watch_conf() */
    uint32_t active;
    bool sure; /* `active` is what the database has */
};

void store_watch_init(struct store_watch *watch)
{
    watch->ring = NULL;
    watch->expected = 0;
    watch->compare = false;
    watch->open = false;
    watch->noted_ns = clock_mono_ns(watch->clock);
    watch->noted = 0;
    watch->retry_ns = 0;
    watch->log_limit = (struct log_limit){0};
    map_init(&watch->known);
}

void store_watch_fini(struct store_watch *watch)
{
    ring_reader_close(&watch->ring);
    for (size_t i = 0; i < watch->known.capacity; i++)
        if (watch->known.entries[i].key != 0)
            free(watch->known.entries[i].value);
    map_fini(&watch->known);
}

void store_watch_broker(struct store_watch *watch, uint32_t ring_id)
{
    watch->expected = ring_id;
}

/* --- another configuration ---------------------------------------------------------------------------------------------- */

static bool reads_alike(const struct profile *a, const struct profile *b)
{
    return a == NULL || b == NULL ? a == b : profile_hash(a) == profile_hash(b);
}

/* True: its bytes mean something else now. */
static bool change_profile(struct watch_machine *machine)
{
    bool changed = !reads_alike(machine->profile, machine->next);
    machine->profile = machine->next;
    machine->next = NULL;
    machine->sure = machine->sure && !changed;
    return changed;
}

void store_watch_conf(struct store_watch *watch, const struct conf *conf)
{
    watch->conf = conf;
    for (size_t i = 0; i < conf->machine_count; i++) {
        const char *id = conf->machines[i].info.id;
        struct watch_machine *machine = map_get(&watch->known, topic_hash(id, strlen(id)));
        if (machine != NULL)
            machine->next = conf->machines[i].profile;
    }
    for (size_t i = 0; i < watch->known.capacity; i++)
        if (watch->known.entries[i].key != 0 && change_profile(watch->known.entries[i].value))
            watch->compare = true;
}

/* --- transactions ------------------------------------------------------------------------------------------------------- */

static bool begun(struct store_watch *watch)
{
    if (!watch->open)
        watch->open = db_begin(watch->db) == ERR_OK;
    return watch->open;
}

static void forget_known(struct store_watch *watch)
{
    for (size_t i = 0; i < watch->known.capacity; i++)
        if (watch->known.entries[i].key != 0)
            ((struct watch_machine *)watch->known.entries[i].value)->sure = false;
}

/* ERR_OK: all that was found is in the database, with the cursor. Else nothing is, and the reader must go back. */
static enum err_e end(struct store_watch *watch, enum err_e err)
{
    uint64_t position = ring_reader_position(watch->ring);
    if (watch->open && err == ERR_OK && !watch->compare)
        err = db_set_ring(watch->db, ring_reader_id(watch->ring), position);
    if (watch->open && err == ERR_OK)
        err = db_commit(watch->db);
    else if (watch->open)
        db_rollback(watch->db);
    if (watch->open && err == ERR_OK && !watch->compare) {
        watch->noted = position;
        watch->noted_ns = clock_mono_ns(watch->clock);
    }
    watch->open = false;
    if (err != ERR_OK) {
        forget_known(watch);
        watch->retry_ns = clock_mono_ns(watch->clock) + RETRY_NS;
        stats_add(watch->stats, STORE_WATCH_FAILED, 1);
    }
    return err;
}

/* --- what is found --------------------------------------------------------------------------------------------------------- */

static struct watch_machine *machine_of(struct store_watch *watch, const char *id)
{
    uint64_t key = topic_hash(id, strlen(id));
    struct watch_machine *machine = map_get(&watch->known, key);
    if (machine != NULL)
        return machine;
    machine = calloc(1, sizeof *machine);
    if (machine == NULL || map_put(&watch->known, key, machine) != ERR_OK) {
        free(machine);
        return NULL;
    }
    const struct conf_machine *conf = conf_machine(watch->conf, id);
    machine->profile = conf != NULL ? conf->profile : NULL;
    return machine;
}

static enum err_e take_state(struct store_watch *watch, const char *id, const struct machine_state *state,
                             uint64_t wall_ms)
{
    struct watch_machine *machine = machine_of(watch, id);
    uint32_t active;
    if (machine == NULL)
        return ERR_MEMORY;
    if (!store_fold_conditions(state, machine->profile, &active) ||
        (machine->sure && machine->active == active))
        return ERR_OK;
    bool told = machine->sure || active != 0; /* else: the first look at a machine without any */
    if (told)
        FAULT_POINT(STORE_MACHINE_SEEN);
    if (!begun(watch))
        return ERR_SYSTEM;
    enum err_e err = db_machine(watch->db, id, active, wall_ms);
    if (err != ERR_OK)
        return err;
    stats_add(watch->stats, STORE_MACHINE_CHANGES, told);
    machine->active = active;
    machine->sure = true;
    return ERR_OK;
}

static enum err_e take_foreign(struct store_watch *watch, const struct ring_record *record)
{
    struct store_foreign foreign;
    uint32_t ring_id = ring_reader_id(watch->ring);
    if (!store_fold_foreign(record, ring_id, watch->text, &foreign))
        return ERR_OK;
    if (!begun(watch))
        return ERR_SYSTEM;
    enum err_e err =
        db_note_foreign(watch->db, ring_id, record->position, foreign.channel, foreign.payload, foreign.len);
    if (err == ERR_OK)
        stats_add(watch->stats, STORE_FOREIGN_EVENTS, 1);
    return err;
}

static enum err_e take(struct store_watch *watch, const struct ring_record *record)
{
    char id[MACHINE_ID_MAX + 1];
    struct machine_state state;
    stats_add(watch->stats, STORE_RING_RECORDS, 1);
    if (record->kind == RECORD_CHANNEL)
        return take_foreign(watch, record);
    if (record->kind != RECORD_STATE || watch->compare)
        return ERR_OK;
    if (store_fold_state(record, id, &state) != ERR_OK) {
        stats_add(watch->stats, STORE_RING_CORRUPT, 1);
        return ERR_OK;
    }
    return take_state(watch, id, &state, record->wall_ms);
}

/* --- the table --------------------------------------------------------------------------------------------------------------- */

static enum err_e compare_slots(struct store_watch *watch, const struct lvt_reader *lvt)
{
    enum err_e err = ERR_OK;
    uint64_t position = ring_reader_position(watch->ring), wall_ms = clock_wall_ms(watch->clock);
    for (uint32_t slot = 0; slot < lvt_reader_used(lvt) && err == ERR_OK; slot++) {
        struct lvt_machine machine;
        enum lvt_status_e status = lvt_reader_get(lvt, slot, &machine);
        if (status == LVT_BUSY || status == LVT_GONE)
            err = ERR_BUSY;
        else if (status == LVT_OK && machine.record_position < position)
            err = take_state(watch, machine.info.id, &machine.state, wall_ms);
    }
    return err;
}

/* The slots show every state whose record lies before `settled`, which is looked at first; what lies behind it must be read. */
static bool stand_where_complete(struct ring_reader *ring, const struct lvt_reader *lvt)
{
    uint64_t settled;
    return lvt_reader_ring_id(lvt) == ring_reader_id(ring) && lvt_reader_settled(lvt, &settled) &&
           (settled >= ring_reader_position(ring) || ring_reader_seek(ring, settled) == ERR_OK);
}

/* ERR_BUSY, ERR_NOT_FOUND: not now. */
static enum err_e compare(struct store_watch *watch)
{
    struct lvt_reader *lvt = NULL;
    enum err_e err = lvt_reader_open(watch->lvt_path, &lvt);
    if (err == ERR_OK && !stand_where_complete(watch->ring, lvt))
        err = ERR_BUSY;
    if (err == ERR_OK)
        err = compare_slots(watch, lvt);
    lvt_reader_close(&lvt);
    if (err != ERR_OK)
        return err;
    if (!begun(watch))
        return ERR_SYSTEM;
    watch->compare = false;
    stats_add(watch->stats, STORE_RING_SEEDED, 1);
    return ERR_OK;
}

/* --- the ring ---------------------------------------------------------------------------------------------------------------- */

/* Goes on where the database says; in a ring that it does not know, from its oldest record. */
static void find_place(struct store_watch *watch)
{
    uint32_t ring_id = 0;
    uint64_t position = 0;
    bool known =
        db_get_ring(watch->db, &ring_id, &position) == ERR_OK && ring_id == ring_reader_id(watch->ring);
    watch->compare = !known || ring_reader_seek(watch->ring, position) != ERR_OK;
    if (watch->compare)
        (void)ring_reader_seek(watch->ring, ring_reader_tail(watch->ring));
    if (known && watch->compare)
        stats_add(watch->stats, STORE_RING_LAPPED, 1);
    watch->noted = ring_reader_position(watch->ring);
    log_info("ring", "id=%08" PRIx32 " position=%" PRIu64 " compare=%d", ring_reader_id(watch->ring),
             watch->noted, watch->compare);
}

static bool attach(struct store_watch *watch)
{
    uint32_t suppressed;
    enum err_e err = ring_reader_open(watch->ring_path, &watch->ring);
    if (err == ERR_OK) {
        find_place(watch);
        return true;
    }
    if (err != ERR_NOT_FOUND &&
        log_limit_ok(&watch->log_limit, clock_mono_ns(watch->clock), 60 * NS_PER_S, 1, &suppressed))
        log_warn("ring", "path=%s error=\"%s\" suppressed=%u cannot be read yet", watch->ring_path,
                 err_text(err), suppressed);
    return false;
}

/* Reads on; ERR_OK: as far as the budget goes. *more: there is more. */
static enum err_e read_on(struct store_watch *watch, bool *more)
{
    struct ring_record record;
    enum err_e err = ERR_OK;
    *more = true;
    for (unsigned budget = WATCH_BUDGET; budget > 0 && err == ERR_OK && *more; budget--) {
        enum ring_status_e status = ring_reader_next(watch->ring, &record);
        if (status == RING_MORE) {
            err = take(watch, &record);
        } else if (status == RING_LAPPED || status == RING_CORRUPT) {
            stats_add(watch->stats, status == RING_LAPPED ? STORE_RING_LAPPED : STORE_RING_CORRUPT, 1);
            watch->compare = true;
        } else {
            *more = false;
            if (status == RING_GONE)
                err = ERR_CLOSED;
        }
    }
    return err;
}

static bool cursor_is_old(const struct store_watch *watch)
{
    return !watch->compare && ring_reader_position(watch->ring) != watch->noted &&
           clock_mono_ns(watch->clock) >= watch->noted_ns + WATCH_CURSOR_NS;
}

/* The broker names another ring than this one, and this one was read to its end. */
static bool is_left(const struct store_watch *watch, bool more)
{
    return !more && watch->expected != 0 && watch->expected != ring_reader_id(watch->ring);
}

/* Before the step again: what it found is not in the database. */
static void go_back(struct store_watch *watch, uint64_t position, bool comparing)
{
    watch->compare = comparing || ring_reader_seek(watch->ring, position) != ERR_OK;
    if (comparing)
        (void)ring_reader_seek(watch->ring, position);
}

/* Reads, compares where that is due, and leaves all that was found in an open transaction. */
static enum err_e look(struct store_watch *watch, bool *more, bool *gone)
{
    enum err_e err = read_on(watch, more);
    *gone = err == ERR_CLOSED || (err == ERR_OK && is_left(watch, *more));
    if (*gone)
        return ERR_OK;
    if (err == ERR_OK && watch->compare && !*more) {
        err = compare(watch);
        if (err == ERR_BUSY || err == ERR_NOT_FOUND) /* the next step tries again */
            err = ERR_OK;
    }
    if (err == ERR_OK && cursor_is_old(watch))
        (void)begun(watch);
    return err;
}

bool store_watch_step(struct store_watch *watch)
{
    bool more = false;
    if (clock_mono_ns(watch->clock) < watch->retry_ns || (watch->ring == NULL && !attach(watch)))
        return false;
    bool gone = false, comparing = watch->compare;
    uint64_t position = ring_reader_position(watch->ring);
    enum err_e err = end(watch, look(watch, &more, &gone));
    if (err != ERR_OK) {
        go_back(watch, position, comparing);
        return false;
    }
    if (gone)
        ring_reader_close(&watch->ring);
    return more;
}
