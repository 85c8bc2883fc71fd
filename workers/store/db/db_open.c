/* db_open.c — the file: locked, opened, checked, migrated; and closed. See db.h.
 *
 * One writer: a lock file beside the database, because a lock that kept other programs out of the database itself (locking_mode=EXCLUSIVE) would
 * keep a backup out, too. The kernel lets go of it when the process dies, however it dies. The database's own file is never opened by anybody but
 * SQLite while SQLite has it open: closing such a descriptor would drop SQLite's locks (https://www.sqlite.org/howtocorrupt.html, 2.2).
 *
 * Settings: WAL with synchronous=FULL, so that a commit is on the disk when it returns; foreign_keys; DEFENSIVE, trusted_schema off and cell_size_check, so that a
 * damaged or planted file is an error and no program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "bytes.h"
#include "db_schema.h"
#include "db_row.h"
#include "must.h"

static enum err_e explain(char why[DB_WHY_MAX], enum err_e err, const char *text, const char *detail)
{
    struct out out = out_init(why, DB_WHY_MAX - 1);
    out_bytes(&out, text, strnlen(text, DB_WHY_MAX / 2));
    if (detail != NULL) {
        out_literal(&out, ": ");
        out_bytes(&out, detail, strnlen(detail, DB_WHY_MAX / 2 - 3));
    }
    why[out.len] = '\0';
    return err;
}

static enum err_e explain_sqlite(struct db *db, int code, const char *what, char why[DB_WHY_MAX])
{
    return explain(why, db_code(code), what,
                   db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) : sqlite3_errstr(code));
}

/* --- files ------------------------------------------------------------------------------------------------------------------- */

static enum err_e take_lock(struct db *db, const char *path, char why[DB_WHY_MAX])
{
    char name[4096];
    if ((size_t)snprintf(name, sizeof name, "%s-lock", path) >= sizeof name)
        return explain(why, ERR_TOO_LARGE, "the path is too long", NULL);
    db->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0)
        return explain(why, ERR_SYSTEM, name, strerror(errno));
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    if (errno == EWOULDBLOCK)
        return explain(why, ERR_BUSY, "another process has the database open", NULL);
    return explain(why, ERR_SYSTEM, name, strerror(errno));
}

/* Makes it readable for its owner alone; SQLite gives its other files the same mode. */
static enum err_e make_file(const char *path, char why[DB_WHY_MAX])
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return explain(why, ERR_SYSTEM, path, strerror(errno));
    close(fd);
    return ERR_OK;
}

/* --- SQLite ------------------------------------------------------------------------------------------------------------------ */

static int set_up(sqlite3 *sqlite)
{
    static const char *const settings[] = {
        "PRAGMA trusted_schema = OFF",         "PRAGMA cell_size_check = ON", "PRAGMA temp_store = MEMORY",
        "PRAGMA cache_size = -32768",          "PRAGMA synchronous = FULL",   "PRAGMA foreign_keys = ON",
        "PRAGMA journal_size_limit = 67108864"};
    int code = SQLITE_OK;
    sqlite3_extended_result_codes(sqlite, 1);
    sqlite3_busy_timeout(sqlite, DB_BUSY_MS);
    sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    for (size_t i = 0; i < ARRAY_LEN(settings) && code == SQLITE_OK; i++)
        code = sqlite3_exec(sqlite, settings[i], NULL, NULL, NULL);
    return code;
}

/* First column of the first row, as text, into `out`. */
static int ask_text(sqlite3 *sqlite, const char *sql, char *out, size_t cap)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL);
    out[0] = '\0';
    if (code != SQLITE_OK)
        return code;
    if (sqlite3_step(statement) == SQLITE_ROW)
        snprintf(out, cap, "%s", (const char *)sqlite3_column_text(statement, 0));
    return sqlite3_finalize(statement);
}

static enum err_e judge_version(struct db *db, char why[DB_WHY_MAX], bool *is_new)
{
    int version, application;
    char tables[24];
    int code = db_schema_version(db->sqlite, &version, &application);
    if (code == SQLITE_OK)
        code = ask_text(db->sqlite, "SELECT count(*) FROM sqlite_schema", tables, sizeof tables);
    if (code != SQLITE_OK)
        return explain_sqlite(db, code, "it cannot be read", why);
    *is_new = version == 0 && strcmp(tables, "0") == 0;
    if (*is_new && application == 0)
        return ERR_OK;
    if (application != DB_APPLICATION_ID)
        return explain(why, ERR_CORRUPT, "the file is a database of another program", NULL);
    if (version > DB_SCHEMA_VERSION)
        return explain(why, ERR_CORRUPT, "the database is of a later version of Noria", NULL);
    return ERR_OK;
}

static enum err_e check(struct db *db, enum db_integrity_e integrity, char why[DB_WHY_MAX])
{
    char said[160];
    if (integrity == DB_INTEGRITY_OFF)
        return ERR_OK;
    int code = ask_text(
        db->sqlite, integrity == DB_INTEGRITY_FULL ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)",
        said, sizeof said);
    if (code != SQLITE_OK)
        return explain_sqlite(db, code, "it cannot be checked", why);
    if (strcmp(said, "ok") != 0)
        return explain(why, ERR_CORRUPT, "the database is damaged", said);
    if (integrity != DB_INTEGRITY_FULL)
        return ERR_OK;
    code = ask_text(db->sqlite, "PRAGMA foreign_key_check", said, sizeof said);
    if (code != SQLITE_OK)
        return explain_sqlite(db, code, "it cannot be checked", why);
    return said[0] == '\0'
               ? ERR_OK
               : explain(why, ERR_CORRUPT, "rows refer to rows that are not there, in table", said);
}

static enum err_e use_wal(struct db *db, char why[DB_WHY_MAX])
{
    char mode[16];
    int code = ask_text(db->sqlite, "PRAGMA journal_mode = WAL", mode, sizeof mode);
    if (code != SQLITE_OK)
        return explain_sqlite(db, code, "it cannot be opened", why);
    return strcmp(mode, "wal") == 0
               ? ERR_OK
               : explain(why, ERR_SYSTEM, "there is no write-ahead log on this file system", NULL);
}

static enum err_e open_sqlite(struct db *db, const struct db_config *config, char why[DB_WHY_MAX])
{
    bool is_new = false;
    int code = sqlite3_open_v2(config->path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = set_up(db->sqlite);
    if (code != SQLITE_OK)
        return explain_sqlite(db, code, "it cannot be opened", why);
    enum err_e err = judge_version(db, why, &is_new);
    if (err == ERR_OK)
        err = use_wal(db, why);
    if (err == ERR_OK && !is_new)
        err = check(db, config->integrity, why);
    if (err != ERR_OK)
        return err;
    code = db_schema_migrate(db->sqlite, DB_SCHEMA_VERSION, config->new_source);
    if (code == SQLITE_OK)
        code = db_query_functions(db->sqlite);
    db_watch_steps(db);
    return code == SQLITE_OK ? ERR_OK : explain_sqlite(db, code, "it cannot be brought up to date", why);
}

/* --- what is known beside it ---------------------------------------------------------------------------------------------------- */

static enum err_e load(struct db *db, char why[DB_WHY_MAX])
{
    db_call_begin(db, false);
    db->source = (uint64_t)db_number(db, db_sql(db, "SELECT source FROM source"), 0);
    db->last_event = (uint64_t)db_number(db, db_sql(db, "SELECT max(id) FROM events WHERE own = 1"), 0);
    db->event_bytes =
        (uint64_t)db_number(db, db_sql(db, "SELECT upto_bytes FROM events ORDER BY id DESC LIMIT 1"), 0);
    db->last_event_new = db->last_event;
    db->event_bytes_new = db->event_bytes;
    enum err_e err = db_call_end(db);
    return err == ERR_OK ? ERR_OK : explain(why, err, "it cannot be read", sqlite3_errmsg(db->sqlite));
}

static enum err_e make_memory(struct db *db, char why[DB_WHY_MAX])
{
    db->event.at = malloc(DB_EVENT_MAX);
    db->event.cap = DB_EVENT_MAX;
    db->windows = detect_cache_new(DETECT_CACHE_SENSORS);
    if (db->event.at == NULL || db->windows == NULL)
        return explain(why, ERR_MEMORY, "out of memory", NULL);
    return ERR_OK;
}

enum err_e db_open(const struct db_config *config, struct db **out, char why[DB_WHY_MAX])
{
    struct db *db = calloc(1, sizeof *db);
    why[0] = '\0';
    *out = NULL;
    if (db == NULL)
        return explain(why, ERR_MEMORY, "out of memory", NULL);
    MUST(config->new_source != 0);
    *db = (struct db){.magic = DB_MAGIC,
                      .clock = config->clock,
                      .lock_fd = -1,
                      .read_steps = DB_READ_STEPS,
                      .looks_left = -1,
                      .delete_rows = DB_DELETE_ROWS,
                      .deletions = -1};
    map_init(&db->statements);
    enum err_e err = take_lock(db, config->path, why);
    if (err == ERR_OK)
        err = make_memory(db, why);
    if (err == ERR_OK)
        err = make_file(config->path, why);
    if (err == ERR_OK)
        err = open_sqlite(db, config, why);
    if (err == ERR_OK)
        err = load(db, why);
    *out = db;
    if (err != ERR_OK)
        db_close(out);
    return err;
}

void db_close(struct db **out)
{
    struct db *db = *out;
    if (db == NULL)
        return;
    MUST_MAGIC(db, DB_MAGIC);
    if (db->in_group)
        db_rollback(db);
    db_statements_free(db);
    MUST(sqlite3_close(db->sqlite) == SQLITE_OK);
    detect_cache_free(&db->windows);
    free(db->event.at);
    free(db->body.at);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    db->magic = 0;
    free(db);
    *out = NULL;
}

void db_get_counts(struct db *db, struct db_counts *counts)
{
    db_call_begin(db, false);
    db->counts.file_bytes = db_pages_bytes(db);
    db->counts.event_bytes = db_events_bytes(db);
    (void)db_call_end(db);
    *counts = db->counts;
}
