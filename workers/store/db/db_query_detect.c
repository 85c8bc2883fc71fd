/* db_query_detect.c — anomalies of a reading: of a new one in its transaction, and of an old one when somebody asks.
 *
 * A reading is judged by its sensor's readings with lower ids (detect.h). The windows of sensors are kept (detect_cache.h): a new reading
 * costs no query unless its sensor is unknown. ANOMALIES_DETECT looks into the database, since the window of an old reading is none that is kept.
 */
#include "db_ops.h"
#include "db_query.h"

static struct detect_reading values_of(const struct db_row *reading)
{
    return (struct detect_reading){reading->fields.values[ARG_TEMPERATURA].real,
                                   reading->fields.values[ARG_HUMEDAD].real};
}

static uint64_t sensor_of(const struct db_row *reading)
{
    return (uint64_t)reading->fields.values[ARG_SENSOR_ID].whole;
}

/* The sensor's last readings below an id, oldest first. */
static void fill(struct db *db, struct detect_window *window, uint64_t sensor, uint64_t below)
{
    sqlite3_stmt *rows =
        db_sql(db, "SELECT temperatura, humedad FROM (SELECT id, temperatura, humedad FROM readings WHERE "
                   "sensor_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3) ORDER BY id");
    db_bind_id(rows, 1, sensor);
    db_bind_id(rows, 2, below);
    db_bind_int(rows, 3, DETECT_READINGS);
    while (db_step(db, rows))
        detect_window_add(
            window, &(struct detect_reading){sqlite3_column_double(rows, 0), sqlite3_column_double(rows, 1)});
}

static void make_anomaly(struct db *db, const struct db_row *reading, enum detect_kind_e kind)
{
    struct detect_reading values = values_of(reading);
    const char *tipo = detect_tipo(kind);
    struct db_row made = {.entity = ENTITY_ANOMALY};
    store_row_set(&made.fields, ARG_LECTURA_ID,
                  (struct store_value){.kind = STORE_INT, .whole = (int64_t)reading->id});
    store_row_set(&made.fields, ARG_TIPO,
                  (struct store_value){.kind = STORE_TEXT, .text = {tipo, (uint32_t)strlen(tipo)}});
    store_row_set(&made.fields, ARG_VALOR,
                  (struct store_value){.kind = STORE_REAL, .real = detect_valor(kind, &values)});
    store_row_set(&made.fields, ARG_RESUELTA, (struct store_value){.kind = STORE_BOOL, .truth = false});
    db_row_make(db, &made, DB_MADE_DETECTED);
}

static void make_anomalies(struct db *db, const struct db_row *reading, unsigned kinds)
{
    for (unsigned kind = 0; kind < DETECT_KIND_COUNT && db->failure == ERR_OK; kind++)
        if (kinds >> kind & 1)
            make_anomaly(db, reading, (enum detect_kind_e)kind);
}

void db_detect_new(struct db *db, const struct db_row *reading)
{
    struct detect_reading values = values_of(reading);
    uint64_t sensor = sensor_of(reading);
    struct detect_window *window = detect_cache_find(db->windows, sensor);
    if (window == NULL) {
        window = detect_cache_make(db->windows, sensor);
        fill(db, window, sensor, reading->id);
    }
    make_anomalies(db, reading, detect(window, &values));
    detect_window_add(window, &values);
}

/* --- when somebody asks ----------------------------------------------------------------------------------------------- */

/* Which kinds the reading has anomalies of already, solved or not. */
static unsigned kinds_known(struct db *db, uint64_t reading)
{
    unsigned kinds = 0;
    sqlite3_stmt *rows = db_sql(db, "SELECT tipo FROM anomalies WHERE lectura_id = ?1");
    db_bind_id(rows, 1, reading);
    while (db_step(db, rows)) {
        const char *tipo = (const char *)sqlite3_column_text(rows, 0);
        for (unsigned kind = 0; tipo != NULL && kind < DETECT_KIND_COUNT; kind++)
            if (strcmp(tipo, detect_tipo((enum detect_kind_e)kind)) == 0)
                kinds |= 1u << kind;
    }
    return kinds;
}

void db_query_anomalies_detect(struct db *db, const struct db_request *request, const struct store_row *row)
{
    struct db_row reading;
    struct detect_window window;
    (void)row;
    if (!db_row_find(db, ENTITY_READING, request->id, &reading)) {
        if (db->failure == ERR_OK)
            db_refuse_missing(db, ENTITY_READING);
        return;
    }
    if (db_row_is_going(db, ENTITY_READING, reading.id, STORE_ARG_END))
        return;
    struct detect_reading values = values_of(&reading);
    detect_window_clear(&window);
    fill(db, &window, sensor_of(&reading), reading.id);
    make_anomalies(db, &reading, detect(&window, &values) & ~kinds_known(db, reading.id));
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_ANOMALY_COLUMNS " FROM anomalies WHERE lectura_id = ?1 ORDER BY id");
    db_bind_id(rows, 1, reading.id);
    db_answer_rows(db, rows, ENTITY_ANOMALY);
}
