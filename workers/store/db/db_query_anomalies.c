/* db_query_anomalies.c — anomalies: recent, critical, counted.
 *
 * ANOMALIES_STATISTICS: {"total_anomalias","resueltas","pendientes","ultimas_24h","por_tipo":{"temperatura_alta":3,…}}; por_tipo has the
 * TIPOS_MAX most frequent, most frequent first, since clients may write any tipo.
 */
#include "db_ops.h"
#include "db_query.h"

#define THRESHOLD_USUAL 50.0
#define TIPOS_MAX       100u

void db_query_anomalies_recent(struct db *db, const struct db_request *request, const struct store_row *row)
{
    (void)request;
    sqlite3_stmt *rows = db_sql(db, "SELECT " DB_ANOMALY_COLUMNS " FROM anomalies WHERE created_at >= ?1 "
                                    "ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3");
    db_bind_int(rows, 1, db_query_since(db, row));
    db_query_bind_page(rows, 2, db_query_page(row));
    db_answer_rows(db, rows, ENTITY_ANOMALY);
}

void db_query_anomalies_critical(struct db *db, const struct db_request *request, const struct store_row *row)
{
    (void)request;
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_ANOMALY_COLUMNS " FROM anomalies WHERE resuelta = 0 AND valor >= ?1 "
                   "ORDER BY valor DESC, id DESC LIMIT ?2 OFFSET ?3");
    db_bind_real(rows, 1, db_query_real(row, ARG_THRESHOLD, THRESHOLD_USUAL));
    db_query_bind_page(rows, 2, db_query_page(row));
    db_answer_rows(db, rows, ENTITY_ANOMALY);
}

/* --- statistics --------------------------------------------------------------------------------------------------------- */

static bool write_totals(struct db *db)
{
    sqlite3_stmt *totals = db_sql(db, "SELECT count(*), coalesce(sum(resuelta), 0) FROM anomalies");
    sqlite3_stmt *recent = db_sql(db, "SELECT count(*) FROM anomalies WHERE created_at >= ?1");
    if (!db_step(db, totals) || !db_room(db, 256))
        return false;
    int64_t total = sqlite3_column_int64(totals, 0), solved = sqlite3_column_int64(totals, 1);
    out_literal(&db->body, "{\"total_anomalias\":");
    out_i64(&db->body, total);
    out_literal(&db->body, ",\"resueltas\":");
    out_i64(&db->body, solved);
    out_literal(&db->body, ",\"pendientes\":");
    out_i64(&db->body, total - solved);
    db_bind_int(recent, 1, (int64_t)db->now_ms - DB_QUERY_DAY_MS);
    out_literal(&db->body, ",\"ultimas_24h\":");
    out_i64(&db->body, db_number(db, recent, 0));
    out_literal(&db->body, ",\"por_tipo\":{");
    return true;
}

void db_query_anomalies_statistics(struct db *db, const struct db_request *request,
                                   const struct store_row *row)
{
    const char *before = "";
    (void)request, (void)row;
    if (!write_totals(db))
        return;
    sqlite3_stmt *tipos = db_sql(
        db, "SELECT tipo, count(*) AS times FROM anomalies GROUP BY tipo ORDER BY times DESC, tipo LIMIT ?1");
    db_bind_int(tipos, 1, TIPOS_MAX);
    for (; db_step(db, tipos); before = ",") {
        size_t len = (size_t)sqlite3_column_bytes(tipos, 0);
        if (!db_room(db, 64 + 6 * len))
            return;
        out_text(&db->body, before);
        out_json_string(&db->body, (const char *)sqlite3_column_text(tipos, 0), len);
        out_char(&db->body, ':');
        out_i64(&db->body, sqlite3_column_int64(tipos, 1));
    }
    if (!db_room(db, 64))
        return;
    out_literal(&db->body, "}}");
    db_answer_body(db, 200);
}
