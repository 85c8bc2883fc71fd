/* db_schema.c — see db_schema.h.
 *
 * Entities: columns have the names of the members; times are ms since 1970; STRICT, and CHECKs hold the bounds of the API once more,
 * so that nothing else can come in on any way. Ids are AUTOINCREMENT: the number of a deleted row is never given again.
 *
 * events is the outbox and the history. `ring` numbers rings by first sight (rings.number), NULL: no address, because it is not published
 * yet, or nobody knows any more. (ring, n, id) is the order that clients saw. `upto_bytes` is the running total of payloads, so that the
 * size of the table is a subtraction. `own` 0: somebody else's, published without us.
 *
 * deletions: rows that are being deleted in turns (db_delete.c). A line goes in the transaction in which its row goes; turns go round by `number`.
 */
#include "db_schema.h"

#include <stddef.h>

#include "must.h"

#define COMMON                                                                                               \
    "id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL, created_at INTEGER NOT NULL, "          \
    "updated_at INTEGER NOT NULL, "
#define TIME_OK(column) "CHECK (" column " BETWEEN 0 AND 253402300799999)"

static const char entities[] =
    "CREATE TABLE sensors (" COMMON "tipo TEXT NOT NULL, modelo TEXT NOT NULL) STRICT;"

    "CREATE TABLE readings (" COMMON "sensor_id INTEGER NOT NULL REFERENCES sensors(id),"
    " temperatura REAL NOT NULL CHECK (temperatura BETWEEN -50 AND 60),"
    " humedad REAL NOT NULL CHECK (humedad BETWEEN 0 AND 100),"
    " timestamp INTEGER NOT NULL " TIME_OK(
        "timestamp") ") STRICT;"
                     "CREATE INDEX readings_sensor ON readings(sensor_id);"
                     "CREATE INDEX readings_measured ON readings(sensor_id, timestamp, id, temperatura, "
                     "humedad);"

                     "CREATE TABLE locations (" COMMON "sensor_id INTEGER NOT NULL REFERENCES sensors(id),"
                     " latitud REAL NOT NULL CHECK (latitud BETWEEN -90 AND 90),"
                     " longitud REAL NOT NULL CHECK (longitud BETWEEN -180 AND 180),"
                     " descripcion TEXT, UNIQUE (latitud, longitud)) STRICT;"
                     "CREATE INDEX locations_sensor ON locations(sensor_id);"

                     "CREATE TABLE anomalies (" COMMON
                     "lectura_id INTEGER REFERENCES readings(id), machine_id TEXT, tipo TEXT NOT NULL,"
                     " valor REAL NOT NULL, resuelta INTEGER NOT NULL CHECK (resuelta IN (0, 1)), "
                     "resuelta_at INTEGER,"
                     " CHECK ((lectura_id IS NULL) <> (machine_id IS NULL)), CHECK ((resuelta = 1) = "
                     "(resuelta_at IS NOT NULL))) STRICT;"
                     "CREATE INDEX anomalies_reading ON anomalies(lectura_id) WHERE lectura_id IS NOT NULL;"
                     "CREATE INDEX anomalies_machine ON anomalies(machine_id, tipo) WHERE machine_id IS NOT "
                     "NULL;"
                     "CREATE INDEX anomalies_solved ON anomalies(created_at) WHERE lectura_id IS NULL AND "
                     "resuelta = 1;"
                     "CREATE INDEX anomalies_kind ON anomalies(tipo, resuelta);"
                     "CREATE INDEX anomalies_created ON anomalies(created_at);"
                     "CREATE INDEX anomalies_unsolved ON anomalies(valor) WHERE resuelta = 0;"

                     "CREATE TABLE predictions (" COMMON
                     "ubicacion_id INTEGER NOT NULL REFERENCES locations(id),"
                     " probabilidad REAL NOT NULL CHECK (probabilidad BETWEEN 0 AND 1), comentario TEXT) "
                     "STRICT;"
                     "CREATE INDEX predictions_location ON predictions(ubicacion_id);"
                     "CREATE INDEX predictions_created ON predictions(created_at);"
                     "CREATE INDEX predictions_risk ON predictions(probabilidad);";

static const char events[] =
    "CREATE TABLE source (one INTEGER PRIMARY KEY CHECK (one = 1), source INTEGER NOT NULL) STRICT;"
    "CREATE TABLE rings (number INTEGER PRIMARY KEY AUTOINCREMENT, ring_id INTEGER NOT NULL UNIQUE,"
    " forgotten_n INTEGER NOT NULL DEFAULT -1) STRICT;" /* the highest n whose event was removed */
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, payload TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, upto_bytes INTEGER NOT NULL, own INTEGER NOT NULL, published INTEGER NOT "
    "NULL,"
    " ring INTEGER, n INTEGER) STRICT;"
    "CREATE INDEX events_waiting ON events(id) WHERE published = 0;"
    "CREATE INDEX events_order ON events(ring, n) WHERE ring IS NOT NULL;"
    "CREATE UNIQUE INDEX events_foreign ON events(ring, n) WHERE own = 0;"
    "CREATE INDEX events_of_channel ON events(channel, ring, n) WHERE ring IS NOT NULL;";

static const char machines[] =
    "CREATE TABLE machines (machine_id TEXT PRIMARY KEY, active INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), ring_id INTEGER NOT NULL, position "
    "INTEGER NOT NULL) STRICT;"
    "INSERT INTO cursor VALUES (1, 0, 0);";

static const char deletions[] =
    "CREATE TABLE deletions (number INTEGER PRIMARY KEY, entity TEXT NOT NULL"
    " CHECK (entity IN ('sensor', 'lectura', 'ubicacion')), row_id INTEGER NOT NULL,"
    " action TEXT NOT NULL CHECK (action IN ('delete', 'expire')), began_at INTEGER NOT NULL,"
    " UNIQUE (entity, row_id)) STRICT;";

static const char *const steps[DB_SCHEMA_VERSION] = {entities, events, machines, deletions};
static const char *const numbers[DB_SCHEMA_VERSION] = {"PRAGMA user_version = 1", "PRAGMA user_version = 2",
                                                       "PRAGMA user_version = 3", "PRAGMA user_version = 4"};

static int run(sqlite3 *sqlite, const char *sql)
{
    return sqlite3_exec(sqlite, sql, NULL, NULL, NULL);
}

/* The step that makes the table of the source fills it. */
static int put_source(sqlite3 *sqlite, uint64_t source)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(sqlite, "INSERT INTO source VALUES (1, ?1)", -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)source);
    sqlite3_step(statement);
    return sqlite3_finalize(statement);
}

static int take_step(sqlite3 *sqlite, int step, uint64_t new_source)
{
    int code = run(sqlite, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK)
        return code;
    if (step == 0)
        code = run(sqlite, "PRAGMA application_id = 0x4e6f7269");
    if (code == SQLITE_OK)
        code = run(sqlite, steps[step]);
    if (code == SQLITE_OK && steps[step] == events)
        code = put_source(sqlite, new_source);
    if (code == SQLITE_OK)
        code = run(sqlite, numbers[step]);
    if (code == SQLITE_OK)
        code = run(sqlite, "COMMIT");
    if (code != SQLITE_OK && !sqlite3_get_autocommit(sqlite))
        run(sqlite, "ROLLBACK");
    return code;
}

static int pragma_number(sqlite3 *sqlite, const char *pragma, int *value)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(sqlite, pragma, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    *value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
    return sqlite3_finalize(statement);
}

int db_schema_version(sqlite3 *sqlite, int *version, int *application)
{
    int code = pragma_number(sqlite, "PRAGMA user_version", version);
    return code == SQLITE_OK ? pragma_number(sqlite, "PRAGMA application_id", application) : code;
}

int db_schema_migrate(sqlite3 *sqlite, int upto, uint64_t new_source)
{
    int version, application, code = db_schema_version(sqlite, &version, &application);
    MUST(upto <= DB_SCHEMA_VERSION);
    for (; code == SQLITE_OK && version < upto; version++)
        code = take_step(sqlite, version, new_source);
    return code;
}

int db_schema_touch(sqlite3 *sqlite)
{
    return run(sqlite, numbers[DB_SCHEMA_VERSION - 1]);
}
