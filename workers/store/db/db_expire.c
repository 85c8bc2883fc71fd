/* db_expire.c — retention: what is too old or too much goes, a bounded number of rows at a time. See db.h.
 *
 *     readings by id ─▶ predictions ─▶ solved anomalies of machines ─▶ published events by id        each while the budget lasts
 *
 * The size of the data is that of the pages in use less an estimate for events: their payloads by the running total (upto_bytes) and
 * EVENT_OVERHEAD each. Pages that become free are used again; the file does not shrink. Rejected: sizes by dbstat (reads the whole file).
 */
#include "db_row.h"
#include "must.h"

#define DAY_MS         86400000ULL
#define MIB            (1024ULL * 1024)
#define EVENT_OVERHEAD 64u /* header, columns and four indexes; an estimate */

struct budget {
    unsigned limit, left;
    uint64_t older_than; /* ms; 0: nothing is too old */
    uint64_t most_bytes; /* UINT64_MAX: nothing is too much */
};

static struct budget budget_of(const struct db *db, uint32_t days, uint32_t mib, unsigned left)
{
    uint64_t age = days * DAY_MS;
    return (struct budget){left, left, days > 0 && db->now_ms > age ? db->now_ms - age : 0,
                           mib > 0 ? mib * MIB : UINT64_MAX};
}

static uint64_t pragma(struct db *db, const char *literal)
{
    return (uint64_t)db_number(db, db_sql(db, literal), 0);
}

uint64_t db_pages_bytes(struct db *db)
{
    uint64_t pages = pragma(db, "PRAGMA page_count"), unused = pragma(db, "PRAGMA freelist_count");
    return (pages - unused) * pragma(db, "PRAGMA page_size");
}

/* --- events ---------------------------------------------------------------------------------------------------------------- */

struct old_event {
    uint64_t id, created_ms, before_bytes; /* running total before it */
    int64_t ring, n;                       /* 0: no address */
    bool published;
};

/* The oldest but for the last own one, which says to where the numbers have come. */
static bool oldest_event(struct db *db, struct old_event *event)
{
    sqlite3_stmt *find =
        db_sql(db, "SELECT id, created_ms, upto_bytes - length(CAST(payload AS BLOB)), published, ring, n"
                   " FROM events WHERE id <> ?1 ORDER BY id LIMIT 1");
    db_bind_id(find, 1, db->last_event_new);
    if (!db_step(db, find))
        return false;
    *event = (struct old_event){.id = (uint64_t)sqlite3_column_int64(find, 0),
                                .created_ms = (uint64_t)sqlite3_column_int64(find, 1),
                                .before_bytes = (uint64_t)sqlite3_column_int64(find, 2),
                                .published = sqlite3_column_int(find, 3) != 0,
                                .ring = sqlite3_column_int64(find, 4),
                                .n = sqlite3_column_int64(find, 5)};
    sqlite3_reset(find);
    return true;
}

uint64_t db_events_bytes(struct db *db)
{
    struct old_event first;
    if (!oldest_event(db, &first))
        return 0;
    uint64_t count = db->last_event_new > first.id ? db->last_event_new - first.id + 1 : 1;
    return db->event_bytes_new - first.before_bytes + count * EVENT_OVERHEAD;
}

/* What goes from a ring is noted when another ring's turn comes, or at the end. */
static void note_forgotten(struct db *db, const struct old_event *last)
{
    if (last->ring == 0)
        return;
    sqlite3_stmt *note = db_sql(db, "UPDATE rings SET forgotten_n = max(forgotten_n, ?2) WHERE number = ?1");
    db_bind_int(note, 1, last->ring);
    db_bind_int(note, 2, last->n);
    (void)db_write_step(db, note);
}

static void remove_event(struct db *db, uint64_t id)
{
    sqlite3_stmt *remove = db_sql(db, "DELETE FROM events WHERE id = ?1");
    db_bind_id(remove, 1, id);
    (void)db_write_step(db, remove);
}

static void expire_events(struct db *db, struct budget *budget)
{
    struct old_event event, forgotten = {0};
    for (; budget->left > 0 && oldest_event(db, &event); budget->left--) {
        uint64_t bytes = db->event_bytes_new - event.before_bytes;
        if (!event.published || (event.created_ms >= budget->older_than && bytes <= budget->most_bytes))
            break;
        remove_event(db, event.id);
        if (event.ring != forgotten.ring)
            note_forgotten(db, &forgotten);
        if (event.ring != forgotten.ring || event.n > forgotten.n)
            forgotten = event;
    }
    note_forgotten(db, &forgotten);
}

/* --- rows ------------------------------------------------------------------------------------------------------------------- */

/* Removes one row if its statement finds one to be removed: id, created_at, sensor of a reading. What goes with it may take once more the limit of the
 * step; a row with more is deleted in turns (db_delete.c). */
static bool expire_row(struct db *db, struct budget *budget, enum entity_e entity, sqlite3_stmt *oldest,
                       bool too_much)
{
    if (budget->left == 0 || !db_step(db, oldest))
        return false;
    uint64_t id = (uint64_t)sqlite3_column_int64(oldest, 0),
             created = (uint64_t)sqlite3_column_int64(oldest, 1);
    uint64_t sensor = entity == ENTITY_READING ? (uint64_t)sqlite3_column_int64(oldest, 2) : 0;
    sqlite3_reset(oldest);
    if (!too_much && created >= budget->older_than)
        return false;
    unsigned left = budget->limit;
    bool gone = db_row_delete(db, entity, id, "expire", NULL, &left);
    if (sensor != 0)
        detect_cache_forget(db->windows, sensor);
    if (!gone && db->failure == ERR_OK)
        db_deletion_begin(db, entity, id, "expire");
    unsigned rows = budget->limit - left;
    budget->left -= rows < budget->left ? rows : budget->left;
    db->counts.expired += rows;
    return gone;
}

/* Pages become free with many rows; so the size is looked at once a step. */
static void expire_rows(struct db *db, struct budget *budget)
{
    uint64_t events = db_events_bytes(db), used = db_pages_bytes(db);
    bool too_much = used > events && used - events > budget->most_bytes;
    while (expire_row(db, budget, ENTITY_READING,
                      db_sql(db, "SELECT id, created_at, sensor_id FROM readings ORDER BY id LIMIT 1"),
                      too_much))
        ;
    while (expire_row(db, budget, ENTITY_PREDICTION,
                      db_sql(db, "SELECT id, created_at FROM predictions ORDER BY created_at LIMIT 1"),
                      too_much))
        ;
    while (
        expire_row(db, budget, ENTITY_ANOMALY,
                   db_sql(db, "SELECT id, created_at FROM anomalies WHERE lectura_id IS NULL AND resuelta = 1"
                              " ORDER BY created_at LIMIT 1"),
                   too_much))
        ;
}

enum err_e db_expire(struct db *db, const struct db_keep *keep, unsigned limit, bool *more)
{
    *more = false;
    if (!db_call_begin(db, true))
        return db_call_end(db);
    struct budget rows = budget_of(db, keep->days, keep->mib, limit);
    expire_rows(db, &rows);
    struct budget events = budget_of(db, keep->events_days, keep->events_mib, rows.left);
    expire_events(db, &events);
    *more = events.left == 0;
    return db_call_end(db);
}
