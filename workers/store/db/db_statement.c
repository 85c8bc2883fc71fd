/* db_statement.c — kept statements, and what their failures mean. See db_internal.h.
 *
 * The key of a kept statement is the address of its literal: no table of all statements, each stands where it is used, and finding one is a
 * look-up of an integer. Rejected: preparing each time (8 to 40 µs), keys by content (as long as the text).
 */
#include "db_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "must.h"

#define LOG_PERIOD_NS (10 * NS_PER_S)
#define LOG_BURST     4u
#define SQL_MAX       1024u

enum err_e db_code(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_NOMEM:
        return ERR_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    case SQLITE_CONSTRAINT:
        return ERR_MISMATCH;
    default:
        return ERR_SYSTEM;
    }
}

static void say(struct db *db, int code, const char *what)
{
    uint32_t suppressed;
    if (!log_limit_ok(&db->log, clock_mono_ns(db->clock), LOG_PERIOD_NS, LOG_BURST, &suppressed))
        return;
    log_error("database-failed", "what=\"%s\" code=%d text=\"%s\" os_error=%d suppressed=%" PRIu32, what,
              code, sqlite3_errstr(code), sqlite3_system_errno(db->sqlite), suppressed);
}

void db_fail(struct db *db, int code, const char *what)
{
    if (db->failure == ERR_OK) {
        db->failure = db_code(code);
        say(db, code, what);
    }
}

/* --- statements ------------------------------------------------------------------------------------------------------- */

static void use(struct db *db, sqlite3_stmt *statement)
{
    for (unsigned i = 0; i < db->in_use_count; i++)
        if (db->in_use[i] == statement) {
            sqlite3_reset(statement);
            sqlite3_clear_bindings(statement);
            return;
        }
    MUST(db->in_use_count < DB_STATEMENTS_MAX);
    db->in_use[db->in_use_count++] = statement;
}

static sqlite3_stmt *prepare(struct db *db, uint64_t key, const char *sql, size_t len)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v3(db->sqlite, sql, (int)len, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (code == SQLITE_OK && map_put(&db->statements, key, statement) != ERR_OK) {
        sqlite3_finalize(statement);
        code = SQLITE_NOMEM;
    }
    if (code == SQLITE_OK)
        return statement;
    db_fail(db, code, sqlite3_errmsg(db->sqlite));
    return NULL;
}

sqlite3_stmt *db_sql(struct db *db, const char *literal)
{
    uint64_t key = (uint64_t)(uintptr_t)literal;
    if (db->failure != ERR_OK)
        return NULL;
    sqlite3_stmt *statement = map_get(&db->statements, key);
    if (statement == NULL)
        statement = prepare(db, key, literal, strlen(literal));
    if (statement != NULL)
        use(db, statement);
    return statement;
}

sqlite3_stmt *db_sql_built(struct db *db, uint64_t key, db_build_f *build, const void *arg)
{
    char text[SQL_MAX];
    struct out sql = out_init(text, sizeof text);
    MUST(key > 0 && key < DB_BUILT_KEYS);
    if (db->failure != ERR_OK)
        return NULL;
    sqlite3_stmt *statement = map_get(&db->statements, key);
    if (statement == NULL) {
        build(&sql, arg);
        MUST(!sql.overflow);
        statement = prepare(db, key, sql.at, sql.len);
    }
    if (statement != NULL)
        use(db, statement);
    return statement;
}

void db_statements_rest(struct db *db)
{
    for (unsigned i = 0; i < db->in_use_count; i++) {
        sqlite3_reset(db->in_use[i]);
        sqlite3_clear_bindings(db->in_use[i]);
    }
    db->in_use_count = 0;
}

void db_statements_free(struct db *db)
{
    db->in_use_count = 0;
    for (size_t i = 0; i < db->statements.capacity; i++)
        if (db->statements.entries[i].key != 0)
            sqlite3_finalize(db->statements.entries[i].value);
    map_fini(&db->statements);
}

/* --- values --------------------------------------------------------------------------------------------------------------- */

void db_bind_id(sqlite3_stmt *statement, int at, uint64_t id)
{
    db_bind_int(statement, at, id <= INT64_MAX ? (int64_t)id : -1); /* no row has a number like that */
}

void db_bind_int(sqlite3_stmt *statement, int at, int64_t value)
{
    if (statement != NULL)
        MUST(sqlite3_bind_int64(statement, at, value) == SQLITE_OK);
}

void db_bind_real(sqlite3_stmt *statement, int at, double value)
{
    if (statement != NULL)
        MUST(sqlite3_bind_double(statement, at, value) == SQLITE_OK);
}

void db_bind_text(sqlite3_stmt *statement, int at, const char *text, size_t len)
{
    if (statement != NULL) /* a static text of moderate length takes no memory, so this cannot fail */
        MUST(sqlite3_bind_text(statement, at, text, (int)len, SQLITE_STATIC) == SQLITE_OK);
}

void db_bind_null(sqlite3_stmt *statement, int at)
{
    if (statement != NULL)
        MUST(sqlite3_bind_null(statement, at) == SQLITE_OK);
}

void db_bind_value(sqlite3_stmt *statement, int at, const struct store_value *value)
{
    switch (value->kind) {
    case STORE_NULL:
        db_bind_null(statement, at);
        return;
    case STORE_INT:
        db_bind_int(statement, at, value->whole);
        return;
    case STORE_REAL:
        db_bind_real(statement, at, value->real);
        return;
    case STORE_TEXT:
        db_bind_text(statement, at, value->text.at, value->text.len);
        return;
    case STORE_BOOL:
        db_bind_int(statement, at, value->truth ? 1 : 0);
        return;
    }
    MUST_NOT_REACH();
}

/* --- bounds ---------------------------------------------------------------------------------------------------------------- */

#define STEPS_PER_LOOK 1000

static int on_progress(void *arg)
{
    struct db *db = arg;
    if (db->looks_left < 0)
        return 0;
    if (db->looks_left > 0)
        db->looks_left--;
    return db->looks_left == 0;
}

void db_watch_steps(struct db *db)
{
    db->looks_left = -1;
    sqlite3_progress_handler(db->sqlite, STEPS_PER_LOOK, on_progress, db);
}

void db_bound_steps(struct db *db, bool bounded)
{
    db->looks_left = bounded ? (int64_t)(db->read_steps / STEPS_PER_LOOK) + 1 : -1;
}

void db_set_read_steps(struct db *db, uint64_t steps)
{
    db->read_steps = steps;
}

/* Sticky like a failure, because db_room() refuses from now on; what is in the body by then is replaced when the operation ends. */
static void interrupt(struct db *db)
{
    db->too_wide = true;
    db->status = 413;
}

/* --- steps ------------------------------------------------------------------------------------------------------------------ */

bool db_step(struct db *db, sqlite3_stmt *statement)
{
    if (statement == NULL || db->failure != ERR_OK)
        return false;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return true;
    if (code == SQLITE_INTERRUPT && db->looks_left == 0)
        interrupt(db);
    else if (code != SQLITE_DONE)
        db_fail(db, code, sqlite3_sql(statement));
    return false;
}

enum err_e db_write_step(struct db *db, sqlite3_stmt *statement)
{
    if (statement == NULL || db->failure != ERR_OK)
        return db->failure;
    int code = sqlite3_step(statement);
    db->constraint = 0;
    if (code == SQLITE_DONE) {
        sqlite3_reset(statement);
        return ERR_OK;
    }
    if ((code & 0xff) == SQLITE_CONSTRAINT) {
        db->constraint = code;
        sqlite3_reset(statement);
        return ERR_MISMATCH;
    }
    db_fail(db, code, sqlite3_sql(statement));
    return db->failure;
}

int64_t db_number(struct db *db, sqlite3_stmt *statement, int64_t none)
{
    int64_t value = db_step(db, statement) ? sqlite3_column_int64(statement, 0) : none;
    if (statement != NULL)
        sqlite3_reset(statement);
    return value;
}
