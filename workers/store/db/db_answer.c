/* db_answer.c — the one answer of an operation: rows, or a refusal in the source's language. See db_internal.h.
 *
 * The body grows in db->body up to DB_ANSWER_MAX and is kept for the next operation; beyond DB_BODY_KEPT it is given back.
 */
#include <stdlib.h>

#include "db_row.h"
#include "must.h"

#define BODY_FIRST 8192u

bool db_room(struct db *db, size_t bytes)
{
    size_t need = db->body.len + bytes, cap = db->body.cap > 0 ? db->body.cap : BODY_FIRST;
    if (db->failure != ERR_OK || db->status == 413)
        return false;
    if (need <= db->body.cap)
        return true;
    if (need > DB_ANSWER_MAX) {
        db_refuse(db, 413, "Respuesta demasiado grande: use skip y limit");
        return false;
    }
    while (cap < need)
        cap *= 2;
    char *grown = realloc(db->body.at, cap);
    if (grown == NULL) {
        db_fail(db, SQLITE_NOMEM, "answer");
        return false;
    }
    db->body.at = grown;
    db->body.cap = cap;
    return true;
}

void db_answer_body(struct db *db, unsigned status)
{
    MUST(!db->body.overflow);
    if (db->failure == ERR_OK && db->status == 0)
        db->status = status;
}

void db_answer_row(struct db *db, unsigned status, const struct db_row *row)
{
    if (db->status != 0 || !db_room(db, db_row_room(row)))
        return;
    db_row_write(&db->body, row, true);
    db->answer_version = row->version;
    db_answer_body(db, status);
}

void db_answer_rows(struct db *db, sqlite3_stmt *statement, enum entity_e entity)
{
    struct db_row row;
    char before = '[';
    while (db_step(db, statement)) {
        db_row_read(statement, entity, &row);
        if (!db_room(db, db_row_room(&row) + 2))
            return;
        out_char(&db->body, before);
        db_row_write(&db->body, &row, true);
        before = ',';
    }
    if (!db_room(db, 2))
        return;
    out_text(&db->body, before == '[' ? "[]" : "]");
    db_answer_body(db, 200);
}

/* --- refusals --------------------------------------------------------------------------------------------------------------- */

/* ["body",3,"sensor_id"]: where in what the client sent. */
static void write_loc(struct db *db, enum store_arg_e member)
{
    out_literal(&db->body, "\"loc\":[\"body\"");
    if (db->row_at >= 0) {
        out_char(&db->body, ',');
        out_i64(&db->body, db->row_at);
    }
    if (member != STORE_ARG_END) {
        out_literal(&db->body, ",\"");
        out_text(&db->body, store_arg_name(member));
        out_char(&db->body, '"');
    }
    out_char(&db->body, ']');
}

void db_refuse_member(struct db *db, unsigned status, const char *text, enum store_arg_e member)
{
    db->body.len = 0;
    db->body.overflow = false;
    db->status = 0;
    if (!db_room(db, 256 + 2 * strlen(text)))
        return;
    if (status == 422) {
        out_literal(&db->body, "{\"detail\":[{");
        write_loc(db, member);
        out_literal(&db->body, ",\"type\":\"value_error\",\"msg\":");
        out_json_string(&db->body, text, strlen(text));
        out_literal(&db->body, "}]}");
    } else {
        out_literal(&db->body, "{\"detail\":");
        out_json_string(&db->body, text, strlen(text));
        if (db->row_at >= 0) {
            out_char(&db->body, ',');
            write_loc(db, member);
        }
        out_char(&db->body, '}');
    }
    db->answer_version = 0;
    db->status = status;
}

void db_refuse(struct db *db, unsigned status, const char *text)
{
    db_refuse_member(db, status, text, STORE_ARG_END);
}

void db_refuse_missing(struct db *db, enum entity_e entity)
{
    db_refuse(db, 404, db_shape(entity)->missing);
}

bool db_must_exist(struct db *db, enum entity_e entity, uint64_t id)
{
    sqlite3_stmt *statement = db_sql(db, db_shape(entity)->exists);
    db_bind_id(statement, 1, id);
    if (db_step(db, statement))
        return true;
    if (db->failure == ERR_OK)
        db_refuse_missing(db, entity);
    return false;
}

/* SQLite's text of a CHECK or NOT NULL that says no begins with the member's name, or has it behind the table's. */
static enum store_arg_e member_in_message(const char *message)
{
    const char *at = strstr(message, "failed: ");
    if (at == NULL)
        return STORE_ARG_END;
    at += strlen("failed: ");
    const char *dot = strchr(at, '.');
    if (dot != NULL && strchr(at, ' ') == NULL)
        at = dot + 1;
    return store_arg_find(at, strcspn(at, " "));
}

void db_refuse_constraint(struct db *db, enum entity_e entity)
{
    const struct db_shape *shape = db_shape(entity);
    enum store_arg_e member = member_in_message(sqlite3_errmsg(db->sqlite));
    switch (db->constraint) {
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        db_refuse_member(db, 404, db_shape(shape->referred)->missing, shape->refers);
        return;
    case SQLITE_CONSTRAINT_UNIQUE:
        db_refuse_member(db, 409, "Ya existe una ubicación con esas coordenadas", ARG_LATITUD);
        return;
    case SQLITE_CONSTRAINT_NOTNULL:
        db_refuse_member(db, 422, "Falta el valor", member);
        return;
    default:
        db_refuse_member(db, 422, "Valor fuera de rango", member);
    }
}

/* --- arguments -------------------------------------------------------------------------------------------------------------- */

static int64_t bounded(const struct store_row *row, enum store_arg_e arg, int64_t usual, int64_t max)
{
    int64_t value = usual;
    if (store_row_has(row, arg) && row->values[arg].kind == STORE_INT)
        value = row->values[arg].whole;
    return value < 0 ? 0 : value > max ? max : value;
}

struct db_page db_page(const struct store_row *row)
{
    return (struct db_page){bounded(row, ARG_SKIP, 0, INT64_MAX),
                            bounded(row, ARG_LIMIT, STORE_LIMIT_DEFAULT, STORE_LIMIT_MAX)};
}
