/* db_machine.c — what machines' conditions become, and how far the ring was read. See db.h.
 *
 * What is known of a machine stands beside its anomalies, not in them: people solve and delete anomalies by hand, and that ends no condition.
 */
#include "db_row.h"
#include "must.h"

static const char *const tipos[DB_CONDITION_COUNT] = {
#define C(NAME, tipo) [DB_##NAME] = tipo,
    DB_CONDITION_TABLE(C)
#undef C
};

static struct store_value text_value(const char *text)
{
    return (struct store_value){.kind = STORE_TEXT, .text = {text, (uint32_t)strlen(text)}};
}

static void begins(struct db *db, const char *machine, const char *tipo)
{
    struct db_row row = {.entity = ENTITY_ANOMALY};
    store_row_set(&row.fields, ARG_LECTURA_ID, (struct store_value){.kind = STORE_NULL});
    store_row_set(&row.fields, ARG_MACHINE_ID, text_value(machine));
    store_row_set(&row.fields, ARG_TIPO, text_value(tipo));
    store_row_set(&row.fields, ARG_VALOR, (struct store_value){.kind = STORE_REAL, .real = 1});
    store_row_set(&row.fields, ARG_RESUELTA, (struct store_value){.kind = STORE_BOOL});
    if (db_row_make(db, &row, DB_MADE_DETECTED) == ERR_MISMATCH)
        db_fail(db, db->constraint, "an anomaly of a machine");
}

/* The one that began last; older ones were solved, or somebody opened them again by hand. */
static void ends(struct db *db, const char *machine, const char *tipo)
{
    struct db_row row;
    sqlite3_stmt *find =
        db_sql(db, "SELECT " DB_ANOMALY_COLUMNS " FROM anomalies WHERE machine_id = ?1 AND tipo = ?2"
                   " ORDER BY id DESC LIMIT 1");
    db_bind_text(find, 1, machine, strlen(machine));
    db_bind_text(find, 2, tipo, strlen(tipo));
    if (!db_step(db, find))
        return;
    db_row_read(find, ENTITY_ANOMALY, &row);
    if (row.fields.values[ARG_RESUELTA].truth)
        return;
    row.fields.values[ARG_RESUELTA].truth = true;
    row.resuelta_at = db->now_ms;
    if (db_row_change(db, &row, 1ULL << ARG_RESUELTA) == ERR_MISMATCH)
        db_fail(db, db->constraint, "an anomaly of a machine");
}

static uint32_t known(struct db *db, const char *machine)
{
    sqlite3_stmt *find = db_sql(db, "SELECT active FROM machines WHERE machine_id = ?1");
    db_bind_text(find, 1, machine, strlen(machine));
    return (uint32_t)db_number(db, find, 0);
}

static void know(struct db *db, const char *machine, uint32_t active)
{
    sqlite3_stmt *put =
        db_sql(db, "INSERT INTO machines VALUES (?1, ?2) ON CONFLICT DO UPDATE SET active = ?2");
    db_bind_text(put, 1, machine, strlen(machine));
    db_bind_int(put, 2, active);
    (void)db_write_step(db, put);
}

enum err_e db_machine(struct db *db, const char *machine, uint32_t active, uint64_t wall_ms)
{
    if (!db_call_begin(db, true))
        return db_call_end(db);
    MUST(active >> DB_CONDITION_COUNT == 0);
    db->now_ms = wall_ms;
    uint32_t before = known(db, machine);
    for (unsigned condition = 0; condition < DB_CONDITION_COUNT; condition++) {
        uint32_t bit = 1u << condition;
        if ((active & bit) != 0 && (before & bit) == 0)
            begins(db, machine, tipos[condition]);
        if ((active & bit) == 0 && (before & bit) != 0)
            ends(db, machine, tipos[condition]);
        db_statements_rest(db);
    }
    if (active != before)
        know(db, machine, active);
    return db_call_end(db);
}

enum err_e db_get_ring(struct db *db, uint32_t *ring_id, uint64_t *position)
{
    db_call_begin(db, false);
    sqlite3_stmt *find = db_sql(db, "SELECT ring_id, position FROM cursor");
    if (db_step(db, find)) {
        *ring_id = (uint32_t)sqlite3_column_int64(find, 0);
        *position = (uint64_t)sqlite3_column_int64(find, 1);
    }
    return db_call_end(db);
}

enum err_e db_set_ring(struct db *db, uint32_t ring_id, uint64_t position)
{
    if (!db_call_begin(db, true))
        return db_call_end(db);
    sqlite3_stmt *set = db_sql(db, "UPDATE cursor SET ring_id = ?1, position = ?2");
    db_bind_int(set, 1, ring_id);
    db_bind_int(set, 2, (int64_t)position);
    (void)db_write_step(db, set);
    return db_call_end(db);
}
