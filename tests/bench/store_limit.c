/* store_limit.c — see store_limit.h. */
#include "store_limit.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bench.h"
#include "clock.h"
#include "db.h"
#include "log.h"
#include "must.h"
#include "poster.h"

#define SEEN_MS  10000
#define STOP_MS  10000
#define RING     0x5eed5eedu
#define ARGS_MAX 65536u

struct bare {
    sqlite3 *sqlite;
    sqlite3_stmt *begin, *reading, *event, *note, *commit;
    uint64_t noted, last; /* events: up to which places are noted; the last one */
    uint64_t bytes;
};

struct limit {
    struct limit_shared *shared;
    struct bare bare;
    struct db *db;
    uint64_t noted;     /* likewise */
    uint64_t serial;    /* of rows, through all transactions: sensors in turn */
    uint64_t notes_due; /* thousandths */
    char args[ARGS_MAX];
};

/* --- both files ----------------------------------------------------------------------------------------------------- */

static struct store_value whole(int64_t value)
{
    return (struct store_value){.kind = STORE_INT, .whole = value};
}

static struct store_value real(double value)
{
    return (struct store_value){.kind = STORE_REAL, .real = value};
}

static bool make_sensors(struct db *db)
{
    char memory[64];
    struct out out = out_init(memory, sizeof memory);
    struct store_row row = {0};
    store_row_set(&row, ARG_TIPO, (struct store_value){.kind = STORE_TEXT, .text = {"t", 1}});
    store_row_set(&row, ARG_MODELO, (struct store_value){.kind = STORE_TEXT, .text = {"m", 1}});
    store_args_put(&out, &row);
    if (db_begin(db) != ERR_OK)
        return false;
    for (unsigned i = 0; i < POST_SENSORS; i++) {
        struct db_request request = {.op = STORE_OP_CREATE, .entity = ENTITY_SENSOR, .who = ""};
        struct db_answer answer;
        request.args = (struct store_args){(const unsigned char *)memory, out.len};
        db_execute(db, &request, &answer);
        if (answer.status != 201) {
            db_rollback(db);
            return false;
        }
    }
    return db_commit(db) == ERR_OK;
}

static bool open_library(const char *path, struct db **db)
{
    char why[DB_WHY_MAX];
    struct db_config config = {path, clock_system(), 1, DB_INTEGRITY_QUICK};
    if (db_open(&config, db, why) != ERR_OK) {
        log_error("bench-limit", "path=%s %s", path, why);
        return false;
    }
    return make_sensors(*db);
}

static sqlite3_stmt *prepare(sqlite3 *sqlite, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        log_error("bench-limit", "%s: %s", sql, sqlite3_errmsg(sqlite));
    return statement;
}

static bool open_bare(const char *path, struct bare *bare)
{
    struct db *db = NULL;
    bool made = open_library(path, &db);
    db_close(&db);
    if (!made || sqlite3_open(path, &bare->sqlite) != SQLITE_OK)
        return false;
    bare->noted = bare->last = POST_SENSORS; /* whose events are there already */
    sqlite3_exec(bare->sqlite,
                 "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768", NULL,
                 NULL, NULL);
    bare->begin = prepare(bare->sqlite, "BEGIN IMMEDIATE");
    bare->reading = prepare(bare->sqlite,
                            "INSERT INTO readings (version, created_at, updated_at, sensor_id, temperatura, "
                            "humedad, timestamp) VALUES (1, ?1, ?1, ?2, ?3, 55.5, ?1)");
    bare->event =
        prepare(bare->sqlite, "INSERT INTO events (channel, payload, created_ms, upto_bytes, own, published) "
                              "VALUES ('readings', ?1, ?2, ?3, 1, 0)");
    bare->note = prepare(bare->sqlite, "UPDATE events SET published = 1, ring = 1, n = ?1 WHERE id = ?1");
    bare->commit = prepare(bare->sqlite, "COMMIT");
    return bare->begin && bare->reading && bare->event && bare->note && bare->commit;
}

/* --- SQLite alone --------------------------------------------------------------------------------------------------- */

static bool step(sqlite3_stmt *statement)
{
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return done;
}

static bool write_row(struct bare *bare, uint64_t sensor, uint64_t now_ms)
{
    char payload[512], time[CLOCK_ISO_LEN + 1];
    clock_iso8601(now_ms, time);
    sqlite3_bind_int64(bare->reading, 1, (sqlite3_int64)now_ms);
    sqlite3_bind_int64(bare->reading, 2, (sqlite3_int64)(1 + sensor));
    sqlite3_bind_double(bare->reading, 3, 20.5 + (double)(sensor % 2));
    if (!step(bare->reading))
        return false;
    int len = snprintf(
        payload, sizeof payload,
        "{\"type\":\"entity_event\",\"entity_type\":\"lectura\",\"event_type\":\"created\",\"entity_id\":%"
        "lld,"
        "\"data\":{\"id\":%lld,\"sensor_id\":%u,\"temperatura\":%u.5,\"humedad\":55.5,\"timestamp\":\"%s\","
        "\"created_at\":\"%s\"},\"timestamp\":\"%s\",\"metadata\":{\"action\":\"create_lectura\"}}",
        sqlite3_last_insert_rowid(bare->sqlite), sqlite3_last_insert_rowid(bare->sqlite),
        1 + (unsigned)sensor, 20 + (unsigned)(sensor % 2), time, time, time);
    bare->bytes += (uint64_t)len;
    sqlite3_bind_text(bare->event, 1, payload, len, SQLITE_STATIC);
    sqlite3_bind_int64(bare->event, 2, (sqlite3_int64)now_ms);
    sqlite3_bind_int64(bare->event, 3, (sqlite3_int64)bare->bytes);
    return step(bare->event);
}

/* How many of the events that wait are noted in a transaction of so many rows. */
static uint64_t notes_due(struct limit *limit, uint64_t rows, uint64_t waiting)
{
    limit->notes_due += rows * limit->shared->load.noted_per_mille;
    uint64_t due = limit->notes_due / 1000;
    limit->notes_due %= 1000;
    return due < waiting ? due : waiting;
}

static bool bare_transaction(struct limit *limit, const struct limit_load *load)
{
    struct bare *bare = &limit->bare;
    uint64_t now_ms = clock_wall_ms(clock_system()), rows = (uint64_t)load->rows * load->requests;
    uint64_t due = notes_due(limit, rows, bare->last - bare->noted);
    bool ok = step(bare->begin);
    for (uint64_t row = 0; row < rows && ok; row++)
        ok = write_row(bare, limit->serial++ % load->sensors, now_ms);
    uint64_t last = (uint64_t)sqlite3_last_insert_rowid(bare->sqlite);
    for (; due > 0 && ok; due--) {
        sqlite3_bind_int64(bare->note, 1, (sqlite3_int64)++bare->noted);
        ok = step(bare->note);
    }
    bare->last = last;
    return step(bare->commit) && ok;
}

/* --- the library ---------------------------------------------------------------------------------------------------- */

static struct store_args make_args(struct limit *limit, const struct limit_load *load)
{
    struct out out = out_init(limit->args, sizeof limit->args);
    for (uint32_t i = 0; i < load->rows; i++, limit->serial++) {
        struct store_row row = {0};
        store_row_set(&row, ARG_SENSOR_ID, whole((int64_t)(1 + limit->serial % load->sensors)));
        store_row_set(&row, ARG_TEMPERATURA, real(20.5 + i % 2));
        store_row_set(&row, ARG_HUMEDAD, real(55.5));
        store_args_put(&out, &row);
    }
    MUST(!out.overflow);
    return (struct store_args){(const unsigned char *)out.at, out.len};
}

static bool library_transaction(struct limit *limit, const struct limit_load *load)
{
    uint64_t rows = (uint64_t)load->rows * load->requests;
    uint64_t due = notes_due(limit, rows, db_last_event(limit->db) - limit->noted);
    bool ok = true;
    if (db_begin(limit->db) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < load->requests && ok; i++) {
        struct db_request request = {.op = load->rows > 1 ? STORE_OP_CREATE_MANY : STORE_OP_CREATE,
                                     .entity = ENTITY_READING,
                                     .who = "",
                                     .args = make_args(limit, load)};
        struct db_answer answer;
        db_execute(limit->db, &request, &answer);
        ok = answer.status == 201;
    }
    for (; due > 0 && ok; due--, limit->noted++)
        ok = db_note_published(limit->db, limit->noted + 1, RING, (limit->noted + 1) * 64) == ERR_OK;
    return db_commit(limit->db) == ERR_OK && ok;
}

/* --- the process ---------------------------------------------------------------------------------------------------- */

static bool work(struct limit *limit)
{
    struct limit_shared *shared = limit->shared;
    bool ok = true;
    for (uint32_t command; ok && (command = atomic_load(&shared->command)) != LIMIT_STOP;) {
        const struct limit_load *load = &shared->load;
        atomic_store(&shared->doing, command);
        if (command == LIMIT_PAUSE) {
            bench_sleep_ms(1);
            continue;
        }
        uint64_t begun = clock_mono_ns(clock_system());
        ok = command == LIMIT_SQLITE ? bare_transaction(limit, load) : library_transaction(limit, load);
        hist_add(&shared->transaction, clock_mono_ns(clock_system()) - begun);
        atomic_fetch_add(&shared->written, (uint64_t)load->rows * load->requests);
        atomic_fetch_add(&shared->commits, 1);
    }
    return ok;
}

static void close_bare(struct bare *bare)
{
    sqlite3_stmt *all[] = {bare->begin, bare->reading, bare->event, bare->note, bare->commit};
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        sqlite3_finalize(all[i]);
    sqlite3_close(bare->sqlite);
}

static int body(void *arg)
{
    static struct limit limit;
    const struct store_limit *parent = arg;
    char bare[192], library[192];
    limit = (struct limit){.shared = parent->shared};
    snprintf(bare, sizeof bare, "%s/bare.db", parent->dir);
    snprintf(library, sizeof library, "%s/library.db", parent->dir);
    bool ok = open_bare(bare, &limit.bare) && open_library(library, &limit.db) && work(&limit);
    close_bare(&limit.bare);
    db_close(&limit.db);
    return ok ? 0 : 1;
}

enum err_e store_limit_start(struct store_limit *limit, const char *dir, int core)
{
    void *memory =
        mmap(NULL, sizeof *limit->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *limit = (struct store_limit){.shared = memory != MAP_FAILED ? memory : NULL};
    snprintf(limit->dir, sizeof limit->dir, "%s/limit", dir);
    if (limit->shared == NULL)
        return ERR_MEMORY;
    if (mkdir(limit->dir, 0700) != 0)
        return ERR_SYSTEM;
    atomic_store(&limit->shared->doing, LIMIT_STOP);
    enum err_e err = child_fork("bench-limit", core, body, limit, &limit->child);
    if (err == ERR_OK && !store_limit_set(limit, LIMIT_PAUSE))
        err = ERR_CLOSED;
    return err;
}

void store_limit_load(struct store_limit *limit, const struct limit_load *load)
{
    MUST(atomic_load(&limit->shared->doing) == LIMIT_PAUSE && load->sensors > 0);
    limit->shared->load = *load;
}

bool store_limit_set(struct store_limit *limit, enum limit_command_e command)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + SEEN_MS * NS_PER_MS;
    atomic_store(&limit->shared->command, command);
    while (atomic_load(&limit->shared->doing) != command) {
        if (!child_alive(&limit->child) || clock_mono_ns(clock_system()) >= deadline)
            return false;
        bench_sleep_ms(1);
    }
    return true;
}

bool store_limit_stop(struct store_limit *limit)
{
    if (limit->shared == NULL)
        return true;
    atomic_store(&limit->shared->command, LIMIT_STOP);
    bool clean = limit->child.name[0] == '\0' || child_wait(&limit->child, STOP_MS);
    munmap(limit->shared, sizeof *limit->shared);
    limit->shared = NULL;
    return clean;
}
