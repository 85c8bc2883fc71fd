/* db_row.c — rows: from statements, into JSON, into tables. See db_internal.h and db_row.h. */
#include "db_row.h"

#include "must.h"

#define READ(columns, table) "SELECT " columns " FROM " table " WHERE id = ?1"
#define EXISTS(table)        "SELECT 1 FROM " table " WHERE id = ?1"
#define OWNER(table, member) "SELECT " member " FROM " table " WHERE id = ?1"
#define REMOVE(table)        "DELETE FROM " table " WHERE id = ?1"
#define INSERT(table, members)                                                                               \
    "INSERT INTO " table " (version, created_at, updated_at, " members ") VALUES (1, ?1, ?1, "
#define UPDATE(table) "UPDATE " table " SET version = ?2, updated_at = ?3, "
/* Without being told, SQLite takes an index with more columns, and reads all of it to find the lowest id. */
#define OWNED(table, member, index)                                                                          \
    "SELECT id FROM " table " INDEXED BY " index " WHERE " member " = ?1 ORDER BY id LIMIT 1"

static const struct db_shape shapes[ENTITY_COUNT] = {
    [ENTITY_SENSOR] = {.table = "sensors",
                       .find = READ(DB_SENSOR_COLUMNS, "sensors"),
                       .exists = EXISTS("sensors"),
                       .insert = INSERT("sensors", "tipo, modelo") "?2, ?3)",
                       .update = UPDATE("sensors") "tipo = ?4, modelo = ?5 WHERE id = ?1",
                       .remove = REMOVE("sensors"),
                       .columns = DB_SENSOR_COLUMNS,
                       .missing = "Sensor no encontrado",
                       .going = "El sensor se está borrando",
                       .members = {ARG_TIPO, ARG_MODELO},
                       .member_count = 2,
                       .owned = {{ENTITY_READING, OWNED("readings", "sensor_id", "readings_sensor")},
                                 {ENTITY_LOCATION, OWNED("locations", "sensor_id", "locations_sensor")}}},
    [ENTITY_READING] =
        {.table = "readings",
         .find = READ(DB_READING_COLUMNS, "readings"),
         .exists = EXISTS("readings"),
         .insert = INSERT("readings", "sensor_id, temperatura, humedad, timestamp") "?2, ?3, ?4, ?5)",
         .update = UPDATE(
             "readings") "sensor_id = ?4, temperatura = ?5, humedad = ?6, timestamp = ?7 WHERE id = ?1",
         .remove = REMOVE("readings"),
         .columns = DB_READING_COLUMNS,
         .missing = "Lectura no encontrada",
         .going = "La lectura se está borrando",
         .members = {ARG_SENSOR_ID, ARG_TEMPERATURA, ARG_HUMEDAD, ARG_TIMESTAMP},
         .member_count = 4,
         .refers = ARG_SENSOR_ID,
         .referred = ENTITY_SENSOR,
         .owner = OWNER("readings", "sensor_id"),
         .owned = {{ENTITY_ANOMALY, OWNED("anomalies", "lectura_id", "anomalies_reading")}},
         .time = ARG_TIMESTAMP},
    [ENTITY_LOCATION] =
        {.table = "locations",
         .find = READ(DB_LOCATION_COLUMNS, "locations"),
         .exists = EXISTS("locations"),
         .insert = INSERT("locations", "sensor_id, latitud, longitud, descripcion") "?2, ?3, ?4, ?5)",
         .update = UPDATE(
             "locations") "sensor_id = ?4, latitud = ?5, longitud = ?6, descripcion = ?7 WHERE id = ?1",
         .remove = REMOVE("locations"),
         .columns = DB_LOCATION_COLUMNS,
         .missing = "Ubicación no encontrada",
         .going = "La ubicación se está borrando",
         .members = {ARG_SENSOR_ID, ARG_LATITUD, ARG_LONGITUD, ARG_DESCRIPCION},
         .member_count = 4,
         .refers = ARG_SENSOR_ID,
         .referred = ENTITY_SENSOR,
         .owner = OWNER("locations", "sensor_id"),
         .owned = {{ENTITY_PREDICTION, OWNED("predictions", "ubicacion_id", "predictions_location")}}},
    [ENTITY_ANOMALY] =
        {.table = "anomalies",
         .find = READ(DB_ANOMALY_COLUMNS, "anomalies"),
         .exists = EXISTS("anomalies"),
         .insert =
             INSERT("anomalies",
                    "lectura_id, machine_id, tipo, valor, resuelta, resuelta_at") "?2, ?3, ?4, ?5, ?6, ?7)",
         .update =
             UPDATE("anomalies") "lectura_id = ?4, machine_id = ?5, tipo = ?6, valor = ?7, resuelta = ?8, "
                                 "resuelta_at = ?9 WHERE id = ?1",
         .remove = REMOVE("anomalies"),
         .columns = DB_ANOMALY_COLUMNS,
         .missing = "Anomalía no encontrada",
         .members = {ARG_LECTURA_ID, ARG_MACHINE_ID, ARG_TIPO, ARG_VALOR, ARG_RESUELTA},
         .member_count = 5,
         .refers = ARG_LECTURA_ID,
         .referred = ENTITY_READING,
         .owner = OWNER("anomalies", "lectura_id")},
    [ENTITY_PREDICTION] =
        {.table = "predictions",
         .find = READ(DB_PREDICTION_COLUMNS, "predictions"),
         .exists = EXISTS("predictions"),
         .insert = INSERT("predictions", "ubicacion_id, probabilidad, comentario") "?2, ?3, ?4)",
         .update =
             UPDATE("predictions") "ubicacion_id = ?4, probabilidad = ?5, comentario = ?6 WHERE id = ?1",
         .remove = REMOVE("predictions"),
         .columns = DB_PREDICTION_COLUMNS,
         .missing = "Predicción no encontrada",
         .members = {ARG_UBICACION_ID, ARG_PROBABILIDAD, ARG_COMENTARIO},
         .member_count = 3,
         .refers = ARG_UBICACION_ID,
         .referred = ENTITY_LOCATION,
         .owner = OWNER("predictions", "ubicacion_id")},
};

const struct db_shape *db_shape(enum entity_e entity)
{
    MUST(entity > ENTITY_NONE && entity < ENTITY_COUNT);
    return &shapes[entity];
}

/* --- from statements ---------------------------------------------------------------------------------------------------- */

enum { COLUMN_ID, COLUMN_VERSION, COLUMN_CREATED, COLUMN_UPDATED, COLUMN_MEMBERS };

static struct store_value column(sqlite3_stmt *statement, int at, enum store_kind_e kind)
{
    struct store_value value = {.kind = kind};
    if (sqlite3_column_type(statement, at) == SQLITE_NULL)
        return (struct store_value){.kind = STORE_NULL};
    if (kind == STORE_INT)
        value.whole = sqlite3_column_int64(statement, at);
    else if (kind == STORE_REAL)
        value.real = sqlite3_column_double(statement, at);
    else if (kind == STORE_BOOL)
        value.truth = sqlite3_column_int(statement, at) != 0;
    else {
        value.text.at = (const char *)sqlite3_column_text(statement, at);
        value.text.len = (uint32_t)sqlite3_column_bytes(statement, at);
    }
    if (kind == STORE_TEXT && value.text.at == NULL) /* no memory: the next step says so */
        value.text = (struct store_text){"", 0};
    return value;
}

void db_row_read(sqlite3_stmt *statement, enum entity_e entity, struct db_row *row)
{
    const struct db_shape *shape = db_shape(entity);
    row->entity = entity;
    row->id = (uint64_t)sqlite3_column_int64(statement, COLUMN_ID);
    row->version = (uint64_t)sqlite3_column_int64(statement, COLUMN_VERSION);
    row->created_at = (uint64_t)sqlite3_column_int64(statement, COLUMN_CREATED);
    row->updated_at = (uint64_t)sqlite3_column_int64(statement, COLUMN_UPDATED);
    row->fields.present = 0;
    for (unsigned i = 0; i < shape->member_count; i++) {
        enum store_arg_e arg = shape->members[i];
        store_row_set(&row->fields, arg, column(statement, COLUMN_MEMBERS + (int)i, store_arg_kind(arg)));
    }
    row->resuelta_at = 0;
    if (entity == ENTITY_ANOMALY)
        row->resuelta_at =
            (uint64_t)sqlite3_column_int64(statement, COLUMN_MEMBERS + (int)shape->member_count);
}

bool db_row_find(struct db *db, enum entity_e entity, uint64_t id, struct db_row *row)
{
    sqlite3_stmt *statement = db_sql(db, db_shape(entity)->find);
    db_bind_id(statement, 1, id);
    if (!db_step(db, statement))
        return false;
    db_row_read(statement, entity, row);
    return true;
}

/* --- into statements ---------------------------------------------------------------------------------------------------- */

void db_row_bind(sqlite3_stmt *statement, int first, const struct db_row *row)
{
    const struct db_shape *shape = db_shape(row->entity);
    for (unsigned i = 0; i < shape->member_count; i++)
        db_bind_value(statement, first + (int)i, &row->fields.values[shape->members[i]]);
    if (row->entity != ENTITY_ANOMALY)
        return;
    if (row->resuelta_at == 0)
        db_bind_null(statement, first + (int)shape->member_count);
    else
        db_bind_int(statement, first + (int)shape->member_count, (int64_t)row->resuelta_at);
}

/* --- into JSON ------------------------------------------------------------------------------------------------------------ */

static void write_name(struct out *out, const char *name)
{
    out_literal(out, ",\"");
    out_text(out, name);
    out_literal(out, "\":");
}

static void write_time(struct out *out, uint64_t wall_ms)
{
    out_char(out, '"');
    out_timestamp(out, wall_ms);
    out_char(out, '"');
}

void db_time_write(struct out *out, const char *name, uint64_t wall_ms)
{
    write_name(out, name);
    write_time(out, wall_ms);
}

void db_member_write(struct out *out, enum store_arg_e arg, const struct store_value *value)
{
    write_name(out, store_arg_name(arg));
    switch (value->kind) {
    case STORE_NULL:
        out_literal(out, "null");
        return;
    case STORE_INT:
        if (arg == ARG_TIMESTAMP)
            write_time(out, (uint64_t)value->whole);
        else
            out_i64(out, value->whole);
        return;
    case STORE_REAL:
        out_double(out, value->real);
        return;
    case STORE_TEXT:
        out_json_string(out, value->text.at, value->text.len);
        return;
    case STORE_BOOL:
        out_text(out, value->truth ? "true" : "false");
        return;
    }
    MUST_NOT_REACH();
}

void db_solved_write(struct out *out, const struct db_row *row)
{
    if (row->entity == ENTITY_ANOMALY && row->resuelta_at == 0)
        out_literal(out, ",\"resuelta_at\":null");
    else if (row->entity == ENTITY_ANOMALY)
        db_time_write(out, "resuelta_at", row->resuelta_at);
}

void db_row_write_created(struct out *out, const struct db_row *row)
{
    const struct db_shape *shape = db_shape(row->entity);
    out_literal(out, "{\"id\":");
    out_u64(out, row->id);
    for (unsigned i = 0; i < shape->member_count; i++)
        db_member_write(out, shape->members[i], &row->fields.values[shape->members[i]]);
    db_solved_write(out, row);
    db_time_write(out, "created_at", row->created_at);
}

void db_row_write(struct out *out, const struct db_row *row, bool end)
{
    db_row_write_created(out, row);
    db_time_write(out, "updated_at", row->updated_at);
    if (end)
        out_char(out, '}');
}

#define ESCAPED_MAX 6u /* \u001f */

size_t db_row_room(const struct db_row *row)
{
    const struct db_shape *shape = db_shape(row->entity);
    size_t room = 512;
    for (unsigned i = 0; i < shape->member_count; i++) {
        const struct store_value *value = &row->fields.values[shape->members[i]];
        if (value->kind == STORE_TEXT)
            room += ESCAPED_MAX * (size_t)value->text.len;
    }
    return room;
}
