/* db_query_readings.c — readings of one sensor: all, recent ones, their averages. Newest is what was measured last; of two at the same
 * time, the one that came later. Averages are over all that are stored: one look through an index that holds the values, too.
 */
#include "db_ops.h"
#include "db_query.h"

void db_query_readings_of_sensor(struct db *db, const struct db_request *request, const struct store_row *row)
{
    if (!db_must_exist(db, ENTITY_SENSOR, request->id))
        return;
    sqlite3_stmt *rows = db_sql(db, "SELECT " DB_READING_COLUMNS " FROM readings WHERE sensor_id = ?1 "
                                    "ORDER BY timestamp DESC, id DESC LIMIT ?2 OFFSET ?3");
    db_bind_id(rows, 1, request->id);
    db_query_bind_page(rows, 2, db_page(row));
    db_answer_rows(db, rows, ENTITY_READING);
}

void db_query_readings_recent(struct db *db, const struct db_request *request, const struct store_row *row)
{
    if (!db_must_exist(db, ENTITY_SENSOR, request->id))
        return;
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_READING_COLUMNS " FROM readings WHERE sensor_id = ?1 AND timestamp >= ?2 "
                   "ORDER BY timestamp DESC, id DESC LIMIT ?3 OFFSET ?4");
    db_bind_id(rows, 1, request->id);
    db_bind_int(rows, 2, db_query_since(db, row));
    db_query_bind_page(rows, 3, db_query_page(row));
    db_answer_rows(db, rows, ENTITY_READING);
}

struct db_query_averages db_query_averages(struct db *db, uint64_t sensor)
{
    struct db_query_averages averages = {0};
    sqlite3_stmt *found =
        db_sql(db, "SELECT count(*), total(temperatura), total(humedad) FROM readings WHERE sensor_id = ?1");
    db_bind_id(found, 1, sensor);
    if (!db_step(db, found))
        return averages;
    averages.readings = (uint64_t)sqlite3_column_int64(found, 0);
    if (averages.readings > 0) {
        averages.temperatura = sqlite3_column_double(found, 1) / (double)averages.readings;
        averages.humedad = sqlite3_column_double(found, 2) / (double)averages.readings;
    }
    return averages;
}

static void write_average(struct out *out, double average, bool any)
{
    if (any)
        out_double(out, average);
    else
        out_literal(out, "null");
}

void db_query_readings_stats(struct db *db, const struct db_request *request, const struct store_row *row)
{
    (void)row;
    if (!db_must_exist(db, ENTITY_SENSOR, request->id))
        return;
    struct db_query_averages averages = db_query_averages(db, request->id);
    if (!db_room(db, 256))
        return;
    out_literal(&db->body, "{\"temperatura_promedio\":");
    write_average(&db->body, averages.temperatura, averages.readings > 0);
    out_literal(&db->body, ",\"humedad_promedio\":");
    write_average(&db->body, averages.humedad, averages.readings > 0);
    out_literal(&db->body, ",\"total_lecturas\":");
    out_u64(&db->body, averages.readings);
    out_char(&db->body, '}');
    db_answer_body(db, 200);
}
