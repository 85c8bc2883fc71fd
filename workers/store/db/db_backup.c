/* db_backup.c — a copy of the database as it is now, while others write. See db.h.
 *
 *     TO.part: sqlite3_backup in steps ─▶ integrity_check, application_id ─▶ fsync ─▶ link to TO (never over another file), unlink ─▶ fsync of the directory
 *
 * The source's connection is in one read transaction all the time: WAL gives it one state, and the backup does not start again whenever
 * somebody writes, as it otherwise would (https://www.sqlite.org/backup.html). Until it ends, the log cannot be cut back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "db.h"
#include "db_schema.h"
#include "db_internal.h"

#define PATH_MAX_BYTES 4096u
#define STEP_PAGES     256
#define TRIES_MAX      50 /* steps that find the source busy, one after the other, each of DB_BUSY_MS at most */

struct backup {
    char part[PATH_MAX_BYTES];
    const char *to;
    sqlite3 *source, *copy;
    char *why;
};

static enum err_e explain(struct backup *backup, enum err_e err, const char *what, const char *text)
{
    snprintf(backup->why, DB_WHY_MAX, "%.100s: %.150s", what, text);
    return err;
}

static enum err_e explain_sqlite(struct backup *backup, sqlite3 *sqlite, int code, const char *what)
{
    return explain(backup, db_code(code), what,
                   sqlite != NULL ? sqlite3_errmsg(sqlite) : sqlite3_errstr(code));
}

static enum err_e open_source(struct backup *backup, const char *path)
{
    int version, application, code = sqlite3_open_v2(path, &backup->source, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(backup->source, DB_BUSY_MS);
        code = db_schema_version(backup->source, &version, &application);
    }
    if (code == SQLITE_OK && application != DB_APPLICATION_ID)
        return explain(backup, ERR_CORRUPT, path, "the file is no database of Noria");
    if (code == SQLITE_OK)
        code = sqlite3_exec(backup->source, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    return code == SQLITE_OK ? ERR_OK : explain_sqlite(backup, backup->source, code, path);
}

static enum err_e open_copy(struct backup *backup)
{
    int fd = open(backup->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return explain(backup, ERR_SYSTEM, backup->part, strerror(errno));
    close(fd);
    int code = sqlite3_open_v2(backup->part, &backup->copy, SQLITE_OPEN_READWRITE, NULL);
    return code == SQLITE_OK ? ERR_OK : explain_sqlite(backup, backup->copy, code, backup->part);
}

static enum err_e copy_pages(struct backup *backup)
{
    sqlite3_backup *pages = sqlite3_backup_init(backup->copy, "main", backup->source, "main");
    int code = SQLITE_OK;
    if (pages == NULL)
        return explain_sqlite(backup, backup->copy, sqlite3_errcode(backup->copy), "backup");
    for (unsigned tries = 0; code != SQLITE_DONE && tries < TRIES_MAX;) {
        code = sqlite3_backup_step(pages, STEP_PAGES);
        if (code == SQLITE_OK)
            tries = 0;
        else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
            tries++;
        else
            break;
    }
    int end = sqlite3_backup_finish(pages);
    if (code == SQLITE_DONE && end == SQLITE_OK)
        return ERR_OK;
    return explain_sqlite(backup, backup->copy, end != SQLITE_OK ? end : code, "backup");
}

/* The copy's whole content is looked at, by reading the file again; it stays a plain file without a log beside it. */
static enum err_e check_copy(struct backup *backup)
{
    sqlite3_stmt *statement = NULL;
    char said[160] = "";
    sqlite3_close(backup->copy);
    backup->copy = NULL;
    int code = sqlite3_open_v2(backup->part, &backup->copy, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(backup->copy, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        snprintf(said, sizeof said, "%s", (const char *)sqlite3_column_text(statement, 0));
    if (code == SQLITE_OK)
        code = sqlite3_finalize(statement);
    if (code != SQLITE_OK)
        return explain_sqlite(backup, backup->copy, code, "check of the copy");
    if (strcmp(said, "ok") != 0)
        return explain(backup, ERR_CORRUPT, "check of the copy", said);
    code = sqlite3_close(backup->copy); /* the last one takes its log with it */
    backup->copy = NULL;
    return code == SQLITE_OK ? ERR_OK : explain_sqlite(backup, NULL, code, "check of the copy");
}

static bool sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return done;
}

static enum err_e give_name(struct backup *backup)
{
    char directory[PATH_MAX_BYTES];
    const char *slash = strrchr(backup->to, '/');
    snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - backup->to) + 1 : 1,
             slash != NULL ? backup->to : ".");
    if (!sync_path(backup->part, O_RDWR))
        return explain(backup, ERR_SYSTEM, backup->part, strerror(errno));
    if (link(backup->part, backup->to) != 0)
        return explain(backup, errno == EEXIST ? ERR_EXISTS : ERR_SYSTEM, backup->to, strerror(errno));
    if (!sync_path(directory, O_RDONLY | O_DIRECTORY))
        return explain(backup, ERR_SYSTEM, backup->to, strerror(errno));
    return ERR_OK;
}

static enum err_e make_backup(struct backup *backup, const char *path)
{
    enum err_e err = open_source(backup, path);
    if (err == ERR_OK)
        err = open_copy(backup);
    if (err == ERR_OK)
        err = copy_pages(backup);
    sqlite3_close(backup->source);
    backup->source = NULL;
    if (err == ERR_OK)
        err = check_copy(backup);
    sqlite3_close(backup->copy);
    backup->copy = NULL;
    return err == ERR_OK ? give_name(backup) : err;
}

enum err_e db_backup(const char *path, const char *to, char why[DB_WHY_MAX])
{
    struct backup backup = {.to = to, .why = why};
    why[0] = '\0';
    if ((size_t)snprintf(backup.part, sizeof backup.part, "%s.part", to) >= sizeof backup.part)
        return explain(&backup, ERR_TOO_LARGE, to, "the path is too long");
    if (access(to, F_OK) == 0)
        return explain(&backup, ERR_EXISTS, to, strerror(EEXIST));
    enum err_e err = make_backup(&backup, path);
    unlink(backup.part);
    return err;
}
