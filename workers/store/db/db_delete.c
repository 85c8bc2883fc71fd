/* db_delete.c — DELETE: a row and what goes with it, the innermost first, one event each, at most db->delete_rows in one turn. See db.h, db_internal.h.
 *
 *     sensor ─▶ readings ─▶ anomalies          a walk from the row inwards takes the lowest number of what is there, so that it goes on where the
 *        └────▶ locations ─▶ predictions       turn before ended, without anything to remember but the row that was named
 *
 * The tables' foreign keys have no ON DELETE CASCADE: SQLite would delete without telling, and each deleted row owes an event. One that
 * were forgotten here would be refused there.
 *
 * What is not done within the first turn stands in the table of deletions, so that it is made to its end whoever dies. Deletions take turns in a
 * round: a small one does not wait for a large one. Finite, because what is being deleted takes nothing new at any depth (db_row_is_going()).
 * Rejected: repeating by the caller (half a sensor, if he does not); marking the row as deleted at once (rows and events would differ until the
 * end); counting what is owed first (a second walk; the first turn finds out).
 */
#include "db_ops.h"
#include "db_row.h"
#include "must.h"

/* --- the table ---------------------------------------------------------------------------------------------------------- */

static int64_t deletions(struct db *db)
{
    if (db->deletions < 0)
        db->deletions = db_number(db, db_sql(db, "SELECT count(*) FROM deletions"), -1);
    return db->deletions;
}

static void bind_row(sqlite3_stmt *statement, enum entity_e entity, uint64_t id)
{
    const char *type = entity_of(entity)->type;
    db_bind_text(statement, 1, type, strlen(type));
    db_bind_id(statement, 2, id);
}

static bool is_deleting(struct db *db, enum entity_e entity, uint64_t id)
{
    if (deletions(db) == 0 || db_shape(entity)->going == NULL)
        return false;
    sqlite3_stmt *find = db_sql(db, "SELECT 1 FROM deletions WHERE entity = ?1 AND row_id = ?2");
    bind_row(find, entity, id);
    return db_number(db, find, 0) != 0;
}

void db_deletion_begin(struct db *db, enum entity_e entity, uint64_t id, const char *action)
{
    if (is_deleting(db, entity, id))
        return;
    sqlite3_stmt *insert =
        db_sql(db, "INSERT INTO deletions (entity, row_id, action, began_at) VALUES (?1, ?2, ?3, ?4)");
    bind_row(insert, entity, id);
    db_bind_text(insert, 3, action, strlen(action));
    db_bind_int(insert, 4, (int64_t)db->now_ms);
    if (db_write_step(db, insert) == ERR_OK)
        db->deletions++;
}

/* The row is gone, and its line, if it has one, goes in the same transaction. */
static void deletion_end(struct db *db, enum entity_e entity, uint64_t id)
{
    if (deletions(db) == 0 || db_shape(entity)->going == NULL)
        return;
    sqlite3_stmt *end = db_sql(db, "DELETE FROM deletions WHERE entity = ?1 AND row_id = ?2");
    bind_row(end, entity, id);
    if (db_write_step(db, end) != ERR_OK || sqlite3_changes(db->sqlite) == 0)
        return;
    db->deletions--;
    db->deletions_ended++;
}

/* The one that this row belongs to. False: none, or db->failure. */
static bool find_owner(struct db *db, enum entity_e *entity, uint64_t *id)
{
    const struct db_shape *shape = db_shape(*entity);
    if (shape->owner == NULL)
        return false;
    sqlite3_stmt *find = db_sql(db, shape->owner);
    db_bind_id(find, 1, *id);
    int64_t owner = db_number(db, find, 0); /* of an anomaly of a machine: null, which is 0 */
    *id = (uint64_t)owner;
    *entity = shape->referred;
    return owner > 0;
}

bool db_row_is_going(struct db *db, enum entity_e entity, uint64_t id, enum store_arg_e member)
{
    if (deletions(db) == 0)
        return false;
    do {
        if (is_deleting(db, entity, id)) {
            db_refuse_member(db, 409, db_shape(entity)->going, member);
            return true;
        }
    } while (find_owner(db, &entity, &id));
    return db->failure != ERR_OK;
}

/* --- rows --------------------------------------------------------------------------------------------------------------- */

/* Two levels below a sensor, so this recursion ends. False: there is more, or db->failure. */
static bool delete_owned(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                         const char *cascade_from, unsigned *left)
{
    const struct db_shape *shape = db_shape(entity);
    for (unsigned i = 0; i < DB_OWNED_MAX && shape->owned[i].entity != ENTITY_NONE; i++)
        for (;;) {
            sqlite3_stmt *next = db_sql(db, shape->owned[i].next);
            db_bind_id(next, 1, id);
            int64_t owned = db_number(db, next, 0);
            if (owned <= 0)
                break;
            if (!db_row_delete(db, shape->owned[i].entity, (uint64_t)owned, action, cascade_from, left))
                return false;
        }
    return db->failure == ERR_OK;
}

bool db_row_delete(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                   const char *cascade_from, unsigned *left)
{
    const char *from = cascade_from != NULL ? cascade_from : entity_of(entity)->type;
    if (!delete_owned(db, entity, id, action, from, left) || *left == 0)
        return false;
    --*left;
    sqlite3_stmt *remove = db_sql(db, db_shape(entity)->remove);
    db_bind_id(remove, 1, id);
    if (db_write_step(db, remove) == ERR_MISMATCH)
        db_fail(db, db->constraint, "a row goes with others that are not known here");
    db_event_deleted(db, entity, id, action, cascade_from);
    deletion_end(db, entity, id);
    return db->failure == ERR_OK;
}

/* In every turn: between two of them somebody may have asked for the window anew. */
static void forget_window(struct db *db, const struct db_row *row)
{
    if (row->entity == ENTITY_SENSOR)
        detect_cache_forget(db->windows, row->id);
    else if (row->entity == ENTITY_READING)
        detect_cache_forget(db->windows, (uint64_t)row->fields.values[ARG_SENSOR_ID].whole);
}

void db_delete(struct db *db, const struct db_request *request, const struct store_row *args)
{
    struct db_row row;
    unsigned left = db->delete_rows;
    (void)args;
    if (!db_row_wanted(db, request, &row))
        return;
    if (!is_deleting(db, row.entity, row.id)) {
        forget_window(db, &row);
        if (db_row_delete(db, row.entity, row.id, "delete", NULL, &left)) {
            db_answer_body(db, 204);
            return;
        }
        db_deletion_begin(db, row.entity, row.id, "delete");
    }
    if (db->failure == ERR_OK)
        db_refuse(db, 202, DB_GOES_ON_TEXT);
}

/* --- turns ---------------------------------------------------------------------------------------------------------------- */

struct deletion {
    uint64_t number, id;
    enum entity_e entity;
    bool expires;
};

static enum entity_e entity_of_type(const char *type)
{
    for (int e = ENTITY_NONE + 1; type != NULL && e < ENTITY_COUNT; e++)
        if (strcmp(type, entity_of((enum entity_e)e)->type) == 0)
            return (enum entity_e)e;
    return ENTITY_NONE;
}

/* The next one behind the one that had the last turn; behind the last one comes the first. */
static bool next_deletion(struct db *db, struct deletion *next)
{
    sqlite3_stmt *find = db_sql(db, "SELECT number, row_id, entity, action = 'expire' FROM deletions"
                                    " ORDER BY number <= ?1, number LIMIT 1");
    db_bind_id(find, 1, db->turn);
    if (!db_step(db, find))
        return false;
    *next = (struct deletion){.number = (uint64_t)sqlite3_column_int64(find, 0),
                              .id = (uint64_t)sqlite3_column_int64(find, 1),
                              .entity = entity_of_type((const char *)sqlite3_column_text(find, 2)),
                              .expires = sqlite3_column_int(find, 3) != 0};
    sqlite3_reset(find);
    if (next->entity == ENTITY_NONE)
        db_fail(db, SQLITE_CORRUPT, "deletions");
    return db->failure == ERR_OK;
}

enum err_e db_delete_turn(struct db *db)
{
    struct deletion next;
    struct db_row row;
    if (!db_call_begin(db, true))
        return db_call_end(db);
    if (deletions(db) != 0 && next_deletion(db, &next)) {
        unsigned left = db->delete_rows;
        db->turn = next.number;
        if (db_row_find(db, next.entity, next.id, &row)) {
            forget_window(db, &row);
            db_row_delete(db, next.entity, next.id, next.expires ? "expire" : "delete", NULL, &left);
            db->counts.expired += next.expires ? db->delete_rows - left : 0;
        } else {
            deletion_end(db, next.entity, next.id);
        }
    }
    return db_call_end(db);
}

/* --- for whoever makes them ------------------------------------------------------------------------------------------------- */

void db_set_delete_rows(struct db *db, unsigned rows)
{
    MUST(rows > 0);
    db->delete_rows = rows;
}

uint64_t db_deletions(struct db *db)
{
    if (db->deletions >= 0)
        return (uint64_t)db->deletions;
    db_call_begin(db, false);
    int64_t count = deletions(db);
    return db_call_end(db) == ERR_OK ? (uint64_t)count : 0;
}

uint64_t db_deletions_ended(const struct db *db)
{
    return db->deletions_ended;
}

bool db_is_deleting(struct db *db, enum entity_e entity, uint64_t id)
{
    db_call_begin(db, false);
    bool deleting = is_deleting(db, entity, id);
    return db_call_end(db) != ERR_OK || deleting;
}
