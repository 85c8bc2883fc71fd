/* db_query_locations.c — places by their description, and by where they are.
 *
 * A search looks through all descriptions: places are few, thousands at most, and a person has typed the word. What is near is found in the
 * index of (latitud, longitud) by a box around the circle (geo.h), then by distance.
 */
#include "db_ops.h"
#include "db_query.h"
#include "db_row.h"
#include "fold.h"
#include "geo.h"

void db_query_locations_search(struct db *db, const struct db_request *request, const struct store_row *row)
{
    char folded[DB_TEXT_MAX];
    struct store_text q = {"", 0};
    (void)request;
    if (store_row_has(row, ARG_Q) && row->values[ARG_Q].kind == STORE_TEXT)
        q = row->values[ARG_Q].text;
    if (q.len > sizeof folded) {
        db_refuse_member(db, 422, "Texto demasiado largo", ARG_Q);
        return;
    }
    sqlite3_stmt *rows = db_sql(db, "SELECT " DB_LOCATION_COLUMNS " FROM locations WHERE "
                                    "noria_holds(descripcion, ?1) ORDER BY id LIMIT ?2 OFFSET ?3");
    db_bind_text(rows, 1, folded, fold_text(q.at, q.len, folded));
    db_query_bind_page(rows, 2, db_page(row));
    db_answer_rows(db, rows, ENTITY_LOCATION);
}

static sqlite3_stmt *places_near(struct db *db, const struct store_row *row)
{
    double latitud = db_query_real(row, ARG_LATITUD, 0), longitud = db_query_real(row, ARG_LONGITUD, 0);
    double radius = db_query_real(row, ARG_RADIO, 0);
    struct geo_box box = geo_box(latitud, longitud, radius);
    sqlite3_stmt *rows =
        db_sql(db, "SELECT " DB_LOCATION_COLUMNS ", noria_km(?1, ?2, latitud, longitud) AS km FROM locations "
                   "WHERE latitud BETWEEN ?4 AND ?5 "
                   "AND (longitud BETWEEN ?6 AND ?7 OR longitud BETWEEN ?8 AND ?9) AND km <= ?3 "
                   "ORDER BY km, id LIMIT ?10 OFFSET ?11");
    db_bind_real(rows, 1, latitud);
    db_bind_real(rows, 2, longitud);
    db_bind_real(rows, 3, radius);
    db_bind_real(rows, 4, box.south);
    db_bind_real(rows, 5, box.north);
    for (int i = 0; i < 2; i++) {
        db_bind_real(rows, 6 + 2 * i, box.west[i]);
        db_bind_real(rows, 7 + 2 * i, box.east[i]);
    }
    db_query_bind_page(rows, 10, db_query_page(row));
    return rows;
}

static bool write_place(struct db *db, sqlite3_stmt *rows, char before)
{
    struct db_row place;
    db_row_read(rows, ENTITY_LOCATION, &place);
    double km = sqlite3_column_double(rows, sqlite3_column_count(rows) - 1);
    if (!db_room(db, db_row_room(&place) + 64))
        return false;
    out_char(&db->body, before);
    db_row_write(&db->body, &place, false);
    out_literal(&db->body, ",\"distancia_km\":");
    out_double(&db->body, km);
    out_char(&db->body, '}');
    return true;
}

/* True: there, a number. */
static bool must_have(struct db *db, const struct store_row *row, enum store_arg_e arg)
{
    if (store_row_has(row, arg) && row->values[arg].kind == STORE_REAL)
        return true;
    db_refuse_member(db, 422, "Falta el valor", arg);
    return false;
}

void db_query_locations_nearby(struct db *db, const struct db_request *request, const struct store_row *row)
{
    char before = '[';
    (void)request;
    if (!must_have(db, row, ARG_LATITUD) || !must_have(db, row, ARG_LONGITUD) ||
        !must_have(db, row, ARG_RADIO))
        return;
    for (sqlite3_stmt *rows = places_near(db, row); db_step(db, rows); before = ',')
        if (!write_place(db, rows, before))
            return;
    if (!db_room(db, 2))
        return;
    out_text(&db->body, before == '[' ? "[]" : "]");
    db_answer_body(db, 200);
}
