/* db_bench.c — writes per second of workers/store/db beside SQLite's own for the same statements. Figures for workers/store/db/README.md.
 *
 *     db_bench DIRECTORY [SECONDS]     the disk that is measured; seconds per phase (1); 0: only deletions
 *
 * A: requests through db_begin, db_execute, db_commit: decoded, judged, savepoint, reading, event, detection, answer. B: only SQLite with the same
 * file, settings and INSERTs of a reading and of its event, ready-made values, no savepoints. A B A B …, medians of PAIRS; per group of N.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db.h"
#include "must.h"

#define PAIRS       5
#define EVENT_BYTES 312

static char path[512];
static double seconds = 1;

static struct db *open_database(void)
{
    struct db_config config = {path, clock_system(), 7, DB_INTEGRITY_OFF};
    char why[DB_WHY_MAX];
    struct db *db;
    if (db_open(&config, &db, why) != ERR_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return db;
}

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    char name[600];
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static struct store_row reading(unsigned n)
{
    struct store_row row = {0};
    store_row_set(&row, ARG_SENSOR_ID, (struct store_value){.kind = STORE_INT, .whole = 1 + n % 16});
    store_row_set(&row, ARG_TEMPERATURA,
                  (struct store_value){.kind = STORE_REAL, .real = 20 + n % 10 / 10.0});
    store_row_set(&row, ARG_HUMEDAD, (struct store_value){.kind = STORE_REAL, .real = 50 + n % 7 / 10.0});
    return row;
}

static void execute(struct db *db, enum store_op_e op, enum entity_e entity, const struct out *args)
{
    struct db_request request = {
        .op = op, .entity = entity, .who = "", .args = {(const unsigned char *)args->at, args->len}};
    struct db_answer answer;
    db_execute(db, &request, &answer);
    MUST(answer.status == 201);
}

static void make_sensors(struct db *db)
{
    char memory[256];
    struct store_row row = {0};
    store_row_set(&row, ARG_TIPO, (struct store_value){.kind = STORE_TEXT, .text = {"t", 1}});
    store_row_set(&row, ARG_MODELO, (struct store_value){.kind = STORE_TEXT, .text = {"m", 1}});
    struct out args = out_init(memory, sizeof memory);
    store_args_put(&args, &row);
    MUST(db_begin(db) == ERR_OK);
    for (int i = 0; i < 16; i++)
        execute(db, STORE_OP_CREATE, ENTITY_SENSOR, &args);
    MUST(db_commit(db) == ERR_OK);
}

/* --- A ---------------------------------------------------------------------------------------------------------------------- */

static double ours(unsigned group, bool many)
{
    static char memory[256 * 1024];
    struct db *db = open_database();
    uint64_t start = clock_mono_ns(clock_system()), now = start;
    unsigned written = 0;
    for (; now - start < (uint64_t)(seconds * 1e9); now = clock_mono_ns(clock_system())) {
        MUST(db_begin(db) == ERR_OK);
        struct out args = out_init(memory, sizeof memory);
        for (unsigned i = 0; i < group; i++) {
            struct store_row row = reading(written + i);
            if (!many)
                args.len = 0;
            store_args_put(&args, &row);
            if (!many)
                execute(db, STORE_OP_CREATE, ENTITY_READING, &args);
        }
        if (many)
            execute(db, STORE_OP_CREATE_MANY, ENTITY_READING, &args);
        MUST(db_commit(db) == ERR_OK);
        written += group;
    }
    db_close(&db);
    return written / ((double)(now - start) / 1e9);
}

/* --- B ---------------------------------------------------------------------------------------------------------------------- */

static sqlite3_stmt *prepare(sqlite3 *sqlite, const char *sql)
{
    sqlite3_stmt *statement;
    MUST(sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void step(sqlite3_stmt *statement)
{
    MUST(sqlite3_step(statement) == SQLITE_DONE);
    sqlite3_reset(statement);
}

static double bare(unsigned group)
{
    static char payload[EVENT_BYTES];
    sqlite3 *sqlite;
    memset(payload, 'x', sizeof payload);
    MUST(sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK);
    sqlite3_exec(sqlite,
                 "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768; PRAGMA "
                 "temp_store = MEMORY",
                 NULL, NULL, NULL);
    sqlite3_stmt *begin = prepare(sqlite, "BEGIN IMMEDIATE"), *commit = prepare(sqlite, "COMMIT");
    sqlite3_stmt *row = prepare(
        sqlite,
        "INSERT INTO readings (version, created_at, updated_at, sensor_id, temperatura, humedad, timestamp)"
        " VALUES (1, ?1, ?1, ?2, ?3, ?4, ?5)");
    sqlite3_stmt *event =
        prepare(sqlite, "INSERT INTO events (channel, payload, created_ms, upto_bytes, own, published)"
                        " VALUES ('readings', ?1, ?2, ?3, 1, 0)");
    uint64_t start = clock_mono_ns(clock_system()), now = start;
    int64_t wall = (int64_t)clock_wall_ms(clock_system());
    unsigned written = 0;
    for (; now - start < (uint64_t)(seconds * 1e9); now = clock_mono_ns(clock_system())) {
        step(begin);
        for (unsigned i = 0; i < group; i++, written++) {
            sqlite3_bind_int64(row, 1, wall);
            sqlite3_bind_int64(row, 2, 1 + written % 16);
            sqlite3_bind_double(row, 3, 20 + written % 10 / 10.0);
            sqlite3_bind_double(row, 4, 50 + written % 7 / 10.0);
            sqlite3_bind_int64(row, 5, wall);
            step(row);
            sqlite3_bind_text(event, 1, payload, sizeof payload, SQLITE_STATIC);
            sqlite3_bind_int64(event, 2, wall);
            sqlite3_bind_int64(event, 3, (int64_t)written * EVENT_BYTES);
            step(event);
        }
        step(commit);
    }
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_finalize(row);
    sqlite3_finalize(event);
    MUST(sqlite3_close(sqlite) == SQLITE_OK);
    return written / ((double)(now - start) / 1e9);
}

/* --- pairs -------------------------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, PAIRS, sizeof *values, ascending);
    return values[PAIRS / 2];
}

static void measure(const char *name, unsigned group, bool many)
{
    double a[PAIRS], b[PAIRS], ratio[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        remove_files();
        struct db *db = open_database();
        make_sensors(db);
        db_close(&db);
        a[i] = ours(group, many);
        b[i] = bare(group);
        ratio[i] = a[i] / b[i];
    }
    printf("%-28s %10.0f /s  SQLite alone %10.0f /s  ratio %.2f\n", name, median(a), median(b),
           median(ratio));
    fflush(stdout);
}

/* --- deletions ---------------------------------------------------------------------------------------------------------------- */

/* So many readings of sensor 1, their events known as published. */
static struct db *with_readings(unsigned rows)
{
    static char memory[256 * 1024];
    struct out args = out_init(memory, sizeof memory);
    remove_files();
    struct db *db = open_database();
    make_sensors(db);
    for (unsigned i = 0; i < STORE_ROWS_MAX; i++) {
        struct store_row row = reading(i * 16);
        store_args_put(&args, &row);
    }
    for (unsigned i = 0; i < rows / STORE_ROWS_MAX; i++) {
        MUST(db_begin(db) == ERR_OK);
        execute(db, STORE_OP_CREATE_MANY, ENTITY_READING, &args);
        MUST(db_commit(db) == ERR_OK);
    }
    MUST(db_change_source(db, 9) == ERR_OK); /* all are */
    return db;
}

/* As store_group.c has it: the transaction of a turn takes along that the events of the turn before are published. */
static void note(struct db *db, uint64_t *noted, uint64_t upto)
{
    for (; *noted < upto; ++*noted)
        MUST(db_note_published(db, *noted + 1, 7, (*noted + 1) * 512) == ERR_OK);
}

struct turns {
    unsigned count;
    double total_ms, longest_ms;
};

static void take_time(struct turns *turns, uint64_t since)
{
    double ms = (double)(clock_mono_ns(clock_system()) - since) / 1e6;
    turns->count++;
    turns->total_ms += ms;
    turns->longest_ms = ms > turns->longest_ms ? ms : turns->longest_ms;
}

/* How long others wait for a DELETE of a sensor with so many readings. */
static void measure_deletion(unsigned rows, unsigned of_turn)
{
    struct db *db = with_readings(rows);
    struct db_request request = {.op = STORE_OP_DELETE, .entity = ENTITY_SENSOR, .id = 1, .who = ""};
    struct db_answer answer;
    struct turns turns = {0};
    uint64_t noted = db_last_event(db), start = clock_mono_ns(clock_system());
    db_set_delete_rows(db, of_turn);
    MUST(db_begin(db) == ERR_OK);
    db_execute(db, &request, &answer);
    MUST(answer.status < 400 && db_commit(db) == ERR_OK);
    take_time(&turns, start);
    while (db_deletions(db) > 0) {
        uint64_t upto = db_last_event(db);
        start = clock_mono_ns(clock_system());
        MUST(db_begin(db) == ERR_OK && db_delete_turn(db) == ERR_OK);
        note(db, &noted, upto);
        MUST(db_commit(db) == ERR_OK);
        take_time(&turns, start);
    }
    printf("DELETE of a sensor with %u readings, %u at a time: %u turns, %.0f ms, %.1f ms each, the longest "
           "%.1f ms\n",
           rows, of_turn, turns.count, turns.total_ms, turns.total_ms / turns.count, turns.longest_ms);
    fflush(stdout);
    db_close(&db);
}

static void measure_deletions(void)
{
    static const unsigned of_turn[] = {UINT32_MAX, 250, 500, 1000, 2000};
    for (size_t i = 0; i < ARRAY_LEN(of_turn); i++)
        measure_deletion(100000, of_turn[i]);
    measure_deletion(1000000, UINT32_MAX);
    measure_deletion(1000000, DB_DELETE_ROWS);
}

static void measure_writes(void)
{
    measure("single, a commit each", 1, false);
    measure("single, groups of 32", 32, false);
    measure("single, groups of 256", 256, false);
    measure("arrays of 100", 100, true);
    measure("arrays of 1000", 1000, true);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "db_bench DIRECTORY [SECONDS]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/db_bench.db", argv[1]);
    seconds = argc > 2 ? atof(argv[2]) : 1;
    if (seconds > 0)
        measure_writes();
    measure_deletions();
    remove_files();
    return 0;
}
