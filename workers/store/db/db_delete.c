/* db_delete.c — DELETE: a row and what goes with it, the innermost first, one event each. See db_internal.h.
 *
 * The tables' foreign keys have no ON DELETE CASCADE: SQLite would delete without telling, and each deleted row owes an event. One that
 * were forgotten here would be refused there.
 */
#include "db_ops.h"
#include "db_row.h"

/* Two levels below a sensor, so this recursion ends. */
static void delete_owned(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                         const char *cascade_from)
{
    const struct db_shape *shape = db_shape(entity);
    for (unsigned i = 0; i < DB_OWNED_MAX && shape->owned[i].entity != ENTITY_NONE; i++)
        for (;;) {
            sqlite3_stmt *next = db_sql(db, shape->owned[i].next);
            db_bind_id(next, 1, id);
            int64_t owned = db_number(db, next, 0);
            if (owned <= 0)
                break;
            db_row_delete(db, shape->owned[i].entity, (uint64_t)owned, action, cascade_from);
        }
}

void db_row_delete(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                   const char *cascade_from)
{
    delete_owned(db, entity, id, action, cascade_from != NULL ? cascade_from : entity_of(entity)->type);
    sqlite3_stmt *remove = db_sql(db, db_shape(entity)->remove);
    db_bind_id(remove, 1, id);
    if (db_write_step(db, remove) == ERR_MISMATCH)
        db_fail(db, db->constraint, "a row goes with others that are not known here");
    db_event_deleted(db, entity, id, action, cascade_from);
}

void db_delete(struct db *db, const struct db_request *request, const struct store_row *args)
{
    struct db_row row;
    (void)args;
    if (!db_row_wanted(db, request, &row))
        return;
    if (row.entity == ENTITY_SENSOR)
        detect_cache_forget(db->windows, row.id);
    else if (row.entity == ENTITY_READING)
        detect_cache_forget(db->windows, (uint64_t)row.fields.values[ARG_SENSOR_ID].whole);
    db_row_delete(db, row.entity, row.id, "delete", NULL);
    db_answer_body(db, 204);
}
