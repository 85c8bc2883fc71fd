/* db_saga.c — see db_saga.h. */
#include "db_saga.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hash.h"
#include "must.h"

/* --- requests: true if they are answered as they should be ---------------------------------------------------------------------- */

static bool make(struct db_stage *stage, enum entity_e entity, struct store_row args)
{
    return ask_within(stage, STORE_OP_CREATE, entity, 0, 0, args)->status == 201;
}

static bool some_sensors(struct db_stage *stage)
{
    return make(stage, ENTITY_SENSOR, row(text(ARG_TIPO, "temperatura"), text(ARG_MODELO, "DHT22"))) &&
           make(stage, ENTITY_SENSOR, row(text(ARG_TIPO, "humedad"), text(ARG_MODELO, "BME280"))) &&
           ask_within(stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, "x")))->status == 422;
}

static bool some_readings(struct db_stage *stage)
{
    bool all = true;
    for (int i = 0; i < 12 && all; i++)
        all = make(
            stage, ENTITY_READING,
            row(whole(ARG_SENSOR_ID, 1 + i % 2), real(ARG_TEMPERATURA, 34.5 + i % 3), real(ARG_HUMEDAD, 50)));
    return all && ask_within(stage, STORE_OP_CREATE, ENTITY_READING, 0, 0,
                             row(whole(ARG_SENSOR_ID, 9), real(ARG_TEMPERATURA, 1), real(ARG_HUMEDAD, 1)))
                          ->status == 404;
}

static bool places(struct db_stage *stage)
{
    return make(stage, ENTITY_LOCATION,
                row(whole(ARG_SENSOR_ID, 1), real(ARG_LATITUD, 1.5), real(ARG_LONGITUD, 2))) &&
           make(stage, ENTITY_LOCATION,
                row(whole(ARG_SENSOR_ID, 2), real(ARG_LATITUD, 1.5), real(ARG_LONGITUD, 3),
                    text(ARG_DESCRIPCION, "Nave"))) &&
           make(stage, ENTITY_PREDICTION, row(whole(ARG_UBICACION_ID, 1), real(ARG_PROBABILIDAD, 0.25))) &&
           ask_within(stage, STORE_OP_PREDICTIONS_GENERATE, ENTITY_NONE, 0, 0,
                      row(whole(ARG_UBICACION_ID, 2)))
                   ->status == 201;
}

static bool changes(struct db_stage *stage)
{
    return ask_within(stage, STORE_OP_UPDATE, ENTITY_SENSOR, 1, 1, row(text(ARG_MODELO, "DHT11")))->status ==
               200 &&
           ask_within(stage, STORE_OP_UPDATE, ENTITY_ANOMALY, 1, 0, row(truth(ARG_RESUELTA, true)))->status ==
               200 &&
           ask_within(stage, STORE_OP_UPDATE, ENTITY_LOCATION, 1, 0, row(real(ARG_LONGITUD, 3)))->status ==
               409 &&
           ask_within(stage, STORE_OP_TEST_EVENT, ENTITY_NONE, 0, 0,
                      row(text(ARG_CHANNEL, "general"), text(ARG_MESSAGE, "Prueba")))
                   ->status == 200;
}

static bool machines(struct db_stage *stage)
{
    return db_machine(stage->db, "m1", 1u << DB_ALARM | 1u << DB_LOST, STAGE_START_MS) == ERR_OK &&
           db_set_ring(stage->db, 0xabcdef01, 6400) == ERR_OK &&
           db_machine(stage->db, "m1", 1u << DB_LOST, STAGE_START_MS) == ERR_OK &&
           db_note_foreign(stage->db, 0xabcdef01, 640, "general", "{\"type\":\"system_event\"}", 23) ==
               ERR_OK;
}

static bool notes(struct db_stage *stage)
{
    for (uint64_t seq = 1; seq <= 12; seq++)
        if (db_note_published(stage->db, seq, seq % 5 == 0 ? 0 : 0xabcdef01, 1000 * 64 + seq * 64) != ERR_OK)
            return false;
    return true;
}

/* What is being deleted takes nothing new. */
static bool make_refused(struct db_stage *stage)
{
    return ask_within(stage, STORE_OP_CREATE, ENTITY_READING, 0, 0,
                      row(whole(ARG_SENSOR_ID, 2), real(ARG_TEMPERATURA, 1), real(ARG_HUMEDAD, 1)))
               ->status == 409;
}

static bool turn(struct db_stage *stage)
{
    return db_delete_turn(stage->db) == ERR_OK;
}

static bool deletions(struct db_stage *stage)
{
    return ask_within(stage, STORE_OP_DELETE, ENTITY_LOCATION, 1, 1, nothing)->status == 204 &&
           ask_within(stage, STORE_OP_DELETE, ENTITY_SENSOR, 2, 1, nothing)->status == 202 &&
           make_refused(stage) &&
           ask_within(stage, STORE_OP_DELETE, ENTITY_READING, 1, 9, nothing)->status == 412;
}

static bool expiry(struct db_stage *stage)
{
    bool more;
    return db_expire(stage->db, &(struct db_keep){.days = 1, .events_days = 1}, 9, &more) == ERR_OK;
}

static bool in_group(struct db_stage *stage, bool (*part)(struct db_stage *stage))
{
    if (db_begin(stage->db) != ERR_OK)
        return false;
    bool done = part(stage);
    if (db_commit(stage->db) == ERR_OK) {
        MUST(done);
        return true;
    }
    return false;
}

static bool many(struct db_stage *stage)
{
    struct store_row rows[20];
    for (int i = 0; i < 20; i++)
        rows[i] = row(whole(ARG_SENSOR_ID, 1), real(ARG_TEMPERATURA, i), real(ARG_HUMEDAD, 50));
    return ask_many(stage, rows, 20)->status == 201;
}

static bool new_source(struct db_stage *stage)
{
    return db_change_source(stage->db, 0x42) == ERR_OK;
}

static bool open_again(struct db_stage *stage)
{
    db_close(&stage->db);
    return db_stage_try(stage) == ERR_OK;
}

/* What only reads fails or is right, and changes nothing. */
static bool look(struct db_stage *stage)
{
    unsigned status =
        ask_within(stage, STORE_OP_LIST, ENTITY_READING, 0, 0, row(whole(ARG_SENSOR_ID, 1)))->status;
    MUST(status == 200 || status == 503);
    struct db_event event;
    enum err_e err = db_next_event(stage->db, 0, &event);
    MUST(err != ERR_NOT_FOUND);
    return status == 200 && err == ERR_OK;
}

static const struct {
    bool (*in_group)(struct db_stage *stage);
    bool (*alone)(struct db_stage *stage);
} steps[] = {{.in_group = some_sensors},
             {.in_group = some_readings},
             {.in_group = places},
             {.in_group = changes},
             {.alone = look},
             {.in_group = machines},
             {.in_group = notes},
             {.alone = many},
             {.alone = new_source},
             {.alone = open_again},
             {.in_group = deletions},
             {.in_group = turn},
             {.in_group = turn},
             {.in_group = turn},
             {.in_group = turn},
             {.in_group = expiry},
             {.in_group = expiry},
             {.alone = look}};

unsigned saga_steps(void)
{
    return ARRAY_LEN(steps);
}

bool saga_step(struct db_stage *stage, unsigned step)
{
    stage->delete_rows = 3;
    stage->clock.wall_now_ms = STAGE_START_MS + (step >= saga_steps() - 3 ? 3 * 86400000ULL : step * 1000);
    if (stage->db == NULL && db_stage_try(stage) != ERR_OK)
        return false;
    return steps[step].in_group != NULL ? in_group(stage, steps[step].in_group) : steps[step].alone(stage);
}

/* --- what it holds --------------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t digest, sqlite3_stmt *statement)
{
    while (sqlite3_step(statement) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const void *value = sqlite3_column_text(statement, i);
            digest = hash_bytes(value != NULL ? value : "-", (size_t)sqlite3_column_bytes(statement, i),
                                digest + 1);
        }
    return digest;
}

static uint64_t digest_of(sqlite3 *sqlite, const char *sql, uint64_t digest)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL), SQLITE_OK);
    digest = mix(digest, statement);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    return digest;
}

uint64_t saga_digest(const char *path)
{
    static const char *const tables[] = {"sensors",     "readings", "locations", "anomalies",
                                         "predictions", "source",   "rings",     "events",
                                         "machines",    "cursor",   "deletions"};
    sqlite3 *sqlite;
    uint64_t digest = 0;
    char sql[64];
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY 1", tables[i]);
        digest = digest_of(sqlite, sql, digest);
    }
    digest = digest_of(sqlite, "SELECT name, seq FROM sqlite_sequence ORDER BY name", digest);
    sqlite3_close(sqlite);
    return digest;
}
