/* db_write.c — CREATE, CREATE_MANY, UPDATE: rows with their events. See store_op.h for what each answers. */
#include "db_ops.h"
#include "db_row.h"
#include "must.h"

/* --- members --------------------------------------------------------------------------------------------------------------- */

/* What the table of arguments allows and this member does not. */
static bool fits(struct db *db, const struct entity_field *field, const struct store_value *value)
{
    const char *text = NULL;
    if (value->kind == STORE_NULL && !field->nullable)
        text = "No puede ser null";
    else if (value->kind == STORE_TEXT && value->text.len > DB_TEXT_MAX)
        text = "Texto demasiado largo";
    if (text != NULL)
        db_refuse_member(db, 422, text, field->arg);
    return text == NULL;
}

/* As a column gives it back: it knows no -0.0. */
static struct store_value normal(struct store_value value)
{
    if (value.kind == STORE_REAL)
        value.real += 0.0;
    return value;
}

static struct store_value usual(const struct db *db, enum store_arg_e arg)
{
    if (arg == ARG_TIMESTAMP)
        return (struct store_value){.kind = STORE_INT, .whole = (int64_t)db->now_ms};
    if (arg == ARG_RESUELTA)
        return (struct store_value){.kind = STORE_BOOL, .truth = false};
    return (struct store_value){.kind = STORE_NULL};
}

static bool fill_row(struct db *db, enum entity_e entity, const struct store_row *args, struct db_row *row)
{
    const struct entity *of = entity_of(entity);
    *row = (struct db_row){.entity = entity};
    if (entity == ENTITY_ANOMALY)
        store_row_set(&row->fields, ARG_MACHINE_ID, (struct store_value){.kind = STORE_NULL});
    for (unsigned i = 0; i < of->field_count; i++) {
        const struct entity_field *field = &of->fields[i];
        bool given = store_row_has(args, field->arg);
        if (!given && field->required) {
            db_refuse_member(db, 422, "Falta el valor", field->arg);
            return false;
        }
        struct store_value value = given ? normal(args->values[field->arg]) : usual(db, field->arg);
        if (given && !fits(db, field, &value))
            return false;
        store_row_set(&row->fields, field->arg, value);
    }
    if (entity == ENTITY_ANOMALY && row->fields.values[ARG_RESUELTA].truth)
        row->resuelta_at = db->now_ms;
    return true;
}

/* --- creation -------------------------------------------------------------------------------------------------------------- */

enum err_e db_row_make(struct db *db, struct db_row *row, enum db_made_e made)
{
    sqlite3_stmt *insert = db_sql(db, db_shape(row->entity)->insert);
    row->version = 1;
    row->created_at = row->updated_at = db->now_ms;
    db_bind_int(insert, 1, (int64_t)db->now_ms);
    db_row_bind(insert, 2, row);
    enum err_e err = db_write_step(db, insert);
    if (err != ERR_OK)
        return err;
    row->id = (uint64_t)sqlite3_last_insert_rowid(db->sqlite);
    db->counts.anomalies += row->entity == ENTITY_ANOMALY;
    db_event_made(db, row, made);
    return db->failure;
}

/* The row, its event and, of a reading, its anomalies. False: refused, or db->failure. */
static bool create(struct db *db, enum entity_e entity, const struct store_row *args, struct db_row *row)
{
    const struct db_shape *shape = db_shape(entity);
    if (!fill_row(db, entity, args, row))
        return false;
    if (shape->refers != STORE_ARG_END &&
        db_row_is_going(db, shape->referred, (uint64_t)row->fields.values[shape->refers].whole,
                        shape->refers))
        return false;
    if (db_row_make(db, row, DB_MADE_CREATED) == ERR_MISMATCH)
        db_refuse_constraint(db, entity);
    else if (entity == ENTITY_READING && db->failure == ERR_OK && db->status == 0)
        db_detect_new(db, row);
    return db->failure == ERR_OK && db->status == 0;
}

void db_create(struct db *db, const struct db_request *request, const struct store_row *args)
{
    struct db_row row;
    if (create(db, request->entity, args, &row))
        db_answer_row(db, 201, &row);
}

/* The next row of several: made, and in the answer. */
static bool create_next(struct db *db, const struct store_row *args)
{
    struct db_row row;
    if (!create(db, ENTITY_READING, args, &row) || !db_room(db, db_row_room(&row) + 2))
        return false;
    out_char(&db->body, db->row_at == 0 ? '[' : ',');
    db_row_write(&db->body, &row, true);
    return true;
}

void db_create_many(struct db *db, const struct db_request *request, const struct store_row *first)
{
    struct store_args args = request->args;
    struct store_row row;
    enum err_e err;
    (void)first;
    for (db->row_at = 0; (err = store_args_next(&args, &row)) == ERR_OK; db->row_at++) {
        if (db->row_at == STORE_ROWS_MAX) {
            db->row_at = -1;
            db_refuse(db, 422, "Demasiadas lecturas");
            return;
        }
        if (!create_next(db, &row))
            return;
    }
    bool none = db->row_at == 0;
    db->row_at = -1;
    if (err == ERR_MALFORMED)
        db_refuse(db, 400, "Petición mal formada");
    else if (none)
        db_refuse(db, 422, "Ninguna lectura");
    else
        out_char(&db->body, ']');
    db_answer_body(db, 201);
}

/* --- change ---------------------------------------------------------------------------------------------------------------- */

static bool same(const struct store_value *a, const struct store_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case STORE_NULL:
        return true;
    case STORE_INT:
        return a->whole == b->whole;
    case STORE_REAL:
        return a->real <= b->real && a->real >= b->real;
    case STORE_TEXT:
        return a->text.len == b->text.len && memcmp(a->text.at, b->text.at, a->text.len) == 0;
    case STORE_BOOL:
        return a->truth == b->truth;
    }
    return false;
}

/* Puts into the row what is given and differs; *changed: bits ARG_… of that. */
static bool change_row(struct db *db, const struct store_row *args, struct db_row *row, uint64_t *changed)
{
    const struct entity *of = entity_of(row->entity);
    *changed = 0;
    for (unsigned i = 0; i < of->field_count; i++) {
        const struct entity_field *field = &of->fields[i];
        if (!field->changeable || !store_row_has(args, field->arg))
            continue;
        struct store_value value = normal(args->values[field->arg]);
        if (!fits(db, field, &value))
            return false;
        if (same(&value, &row->fields.values[field->arg]))
            continue;
        row->fields.values[field->arg] = value;
        *changed |= 1ULL << field->arg;
    }
    if ((*changed >> ARG_RESUELTA & 1) != 0)
        row->resuelta_at = row->fields.values[ARG_RESUELTA].truth ? db->now_ms : 0;
    return true;
}

static void forget_windows(struct db *db, uint64_t sensor_before, const struct db_row *row)
{
    detect_cache_forget(db->windows, sensor_before);
    detect_cache_forget(db->windows, (uint64_t)row->fields.values[ARG_SENSOR_ID].whole);
}

enum err_e db_row_change(struct db *db, struct db_row *row, uint64_t changed)
{
    sqlite3_stmt *update = db_sql(db, db_shape(row->entity)->update);
    row->version++;
    row->updated_at = db->now_ms;
    db_bind_id(update, 1, row->id);
    db_bind_int(update, 2, (int64_t)row->version);
    db_bind_int(update, 3, (int64_t)row->updated_at);
    db_row_bind(update, 4, row);
    enum err_e err = db_write_step(db, update);
    if (err != ERR_OK)
        return err;
    bool solved = (changed >> ARG_RESUELTA & 1) != 0 && row->resuelta_at != 0;
    db_event_updated(db, row, changed, solved);
    return db->failure;
}

bool db_row_wanted(struct db *db, const struct db_request *request, struct db_row *row)
{
    if (!db_row_find(db, request->entity, request->id, row)) {
        if (db->failure == ERR_OK)
            db_refuse_missing(db, request->entity);
        return false;
    }
    if (request->version == 0 || request->version == row->version)
        return true;
    db_refuse(db, 412, "La versión ha cambiado");
    return false;
}

/* It, or whose it would be. */
static bool is_going(struct db *db, const struct db_row *row, uint64_t changed)
{
    enum store_arg_e refers = db_shape(row->entity)->refers;
    if (db_row_is_going(db, row->entity, row->id, STORE_ARG_END))
        return true;
    return refers != STORE_ARG_END && (changed >> refers & 1) != 0 &&
           db_row_is_going(db, db_shape(row->entity)->referred, (uint64_t)row->fields.values[refers].whole,
                           refers);
}

void db_update(struct db *db, const struct db_request *request, const struct store_row *args)
{
    struct db_row row;
    uint64_t changed;
    if (!db_row_wanted(db, request, &row))
        return;
    uint64_t sensor_before =
        row.entity == ENTITY_READING ? (uint64_t)row.fields.values[ARG_SENSOR_ID].whole : 0;
    if (!change_row(db, args, &row, &changed) || is_going(db, &row, changed))
        return;
    if (changed != 0 && db_row_change(db, &row, changed) == ERR_MISMATCH)
        db_refuse_constraint(db, row.entity);
    if (changed != 0 && row.entity == ENTITY_READING)
        forget_windows(db, sensor_before, &row);
    db_answer_row(db, 200, &row);
}
