/* db_query_predictions.c — predictions: computed on demand, risky, recent, of a place, counted.
 *
 * PREDICTIONS_GENERATE takes each average from the request, else from all stored readings of the place's sensor; without either it is refused.
 * PREDICTIONS_STATISTICS: {"total_predicciones","probabilidad_promedio","probabilidad_maxima","alto_riesgo","ultimas_24h"}; average and
 * maximum are null without predictions, alto_riesgo counts those of THRESHOLD_USUAL or more.
 */
#include "db_ops.h"
#include "db_query.h"
#include "db_row.h"
#include "predict.h"

#define THRESHOLD_USUAL 0.7

/* --- computing ---------------------------------------------------------------------------------------------------------- */

static void take_comment(const struct store_row *row, struct db_row *made)
{
    struct store_value none = {.kind = STORE_NULL};
    store_row_set(&made->fields, ARG_COMENTARIO,
                  store_row_has(row, ARG_COMENTARIO) ? row->values[ARG_COMENTARIO] : none);
}

/* False: there is none, which is answered. */
static bool average(struct db *db, const struct store_row *row, enum store_arg_e arg, double stored,
                    uint64_t readings, double *value)
{
    *value = db_query_real(row, arg, stored);
    if (readings > 0 || (store_row_has(row, arg) && row->values[arg].kind == STORE_REAL))
        return true;
    if (db->failure == ERR_OK)
        db_refuse_member(db, 422, "Falta el promedio y la ubicación no tiene lecturas", arg);
    return false;
}

static bool has_both(const struct store_row *row)
{
    return store_row_has(row, ARG_TEMPERATURA_PROMEDIO) &&
           row->values[ARG_TEMPERATURA_PROMEDIO].kind == STORE_REAL &&
           store_row_has(row, ARG_HUMEDAD_PROMEDIO) && row->values[ARG_HUMEDAD_PROMEDIO].kind == STORE_REAL;
}

static void generate(struct db *db, const struct store_row *row, const struct db_row *place)
{
    struct db_query_averages stored = {0};
    struct db_row made = {.entity = ENTITY_PREDICTION};
    double temperatura, humedad;
    if (db_row_is_going(db, ENTITY_LOCATION, place->id, ARG_UBICACION_ID))
        return;
    if (!has_both(row)) {
        db_bound_steps(db, true);
        stored = db_query_averages(db, (uint64_t)place->fields.values[ARG_SENSOR_ID].whole);
        db_bound_steps(db, false);
    }
    if (db->too_wide ||
        !average(db, row, ARG_TEMPERATURA_PROMEDIO, stored.temperatura, stored.readings, &temperatura) ||
        !average(db, row, ARG_HUMEDAD_PROMEDIO, stored.humedad, stored.readings, &humedad))
        return;
    store_row_set(&made.fields, ARG_UBICACION_ID,
                  (struct store_value){.kind = STORE_INT, .whole = (int64_t)place->id});
    store_row_set(
        &made.fields, ARG_PROBABILIDAD,
        (struct store_value){.kind = STORE_REAL, .real = predict_probability(temperatura, humedad)});
    take_comment(row, &made);
    if (db_row_make(db, &made, DB_MADE_COMPUTED) == ERR_OK)
        db_answer_row(db, 201, &made);
}

void db_query_predictions_generate(struct db *db, const struct db_request *request,
                                   const struct store_row *row)
{
    struct db_row place;
    (void)request;
    if (!store_row_has(row, ARG_UBICACION_ID) || row->values[ARG_UBICACION_ID].kind != STORE_INT) {
        db_refuse_member(db, 422, "Falta el valor", ARG_UBICACION_ID);
        return;
    }
    if (db_row_find(db, ENTITY_LOCATION, (uint64_t)row->values[ARG_UBICACION_ID].whole, &place))
        generate(db, row, &place);
    else if (db->failure == ERR_OK)
        db_refuse_missing(db, ENTITY_LOCATION);
}

/* --- looking up --------------------------------------------------------------------------------------------------------- */

void db_query_predictions_high_risk(struct db *db, const struct db_request *request,
                                    const struct store_row *row)
{
    (void)request;
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_PREDICTION_COLUMNS " FROM predictions WHERE probabilidad >= ?1 "
                   "ORDER BY probabilidad DESC, id DESC LIMIT ?2 OFFSET ?3");
    db_bind_real(rows, 1, db_query_real(row, ARG_THRESHOLD, THRESHOLD_USUAL));
    db_query_bind_page(rows, 2, db_query_page(row));
    db_answer_rows(db, rows, ENTITY_PREDICTION);
}

void db_query_predictions_recent(struct db *db, const struct db_request *request, const struct store_row *row)
{
    (void)request;
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_PREDICTION_COLUMNS " FROM predictions WHERE created_at >= ?1 "
                   "ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3");
    db_bind_int(rows, 1, db_query_since(db, row));
    db_query_bind_page(rows, 2, db_query_page(row));
    db_answer_rows(db, rows, ENTITY_PREDICTION);
}

void db_query_predictions_of_location(struct db *db, const struct db_request *request,
                                      const struct store_row *row)
{
    if (!db_must_exist(db, ENTITY_LOCATION, request->id))
        return;
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_PREDICTION_COLUMNS " FROM predictions WHERE ubicacion_id = ?1 "
                   "ORDER BY id DESC LIMIT ?2 OFFSET ?3");
    db_bind_id(rows, 1, request->id);
    db_query_bind_page(rows, 2, db_page(row));
    db_answer_rows(db, rows, ENTITY_PREDICTION);
}

void db_query_predictions_latest(struct db *db, const struct db_request *request, const struct store_row *row)
{
    struct db_row latest;
    (void)row;
    if (!db_must_exist(db, ENTITY_LOCATION, request->id))
        return;
    sqlite3_stmt *rows = db_sql(db, "SELECT " DB_PREDICTION_COLUMNS
                                    " FROM predictions WHERE ubicacion_id = ?1 ORDER BY id DESC LIMIT 1");
    db_bind_id(rows, 1, request->id);
    if (db_step(db, rows)) {
        db_row_read(rows, ENTITY_PREDICTION, &latest);
        db_answer_row(db, 200, &latest);
    } else if (db->failure == ERR_OK) {
        db_refuse_missing(db, ENTITY_PREDICTION);
    }
}

/* --- statistics --------------------------------------------------------------------------------------------------------- */

static void write_real(struct out *out, sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        out_literal(out, "null");
    else
        out_double(out, sqlite3_column_double(statement, column));
}

void db_query_predictions_statistics(struct db *db, const struct db_request *request,
                                     const struct store_row *row)
{
    (void)request, (void)row;
    sqlite3_stmt *all = db_sql(db, "SELECT count(*), avg(probabilidad), max(probabilidad) FROM predictions");
    sqlite3_stmt *risky = db_sql(db, "SELECT count(*) FROM predictions WHERE probabilidad >= ?1");
    sqlite3_stmt *recent = db_sql(db, "SELECT count(*) FROM predictions WHERE created_at >= ?1");
    if (!db_step(db, all) || !db_room(db, 512))
        return;
    db_bind_real(risky, 1, THRESHOLD_USUAL);
    db_bind_int(recent, 1, (int64_t)db->now_ms - DB_QUERY_DAY_MS);
    out_literal(&db->body, "{\"total_predicciones\":");
    out_i64(&db->body, sqlite3_column_int64(all, 0));
    out_literal(&db->body, ",\"probabilidad_promedio\":");
    write_real(&db->body, all, 1);
    out_literal(&db->body, ",\"probabilidad_maxima\":");
    write_real(&db->body, all, 2);
    out_literal(&db->body, ",\"alto_riesgo\":");
    out_i64(&db->body, db_number(db, risky, 0));
    out_literal(&db->body, ",\"ultimas_24h\":");
    out_i64(&db->body, db_number(db, recent, 0));
    out_char(&db->body, '}');
    db_answer_body(db, 200);
}
