/* db_open_test.c — which files are opened, by whom, and what becomes of old ones; copies of them. */
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_schema.h"
#include "db_stage.h"
#include "must.h"

static struct db_stage stage;

static int set_up(void **state)
{
    (void)state;
    db_stage_open(&stage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_stage_close(&stage);
    return 0;
}

static void fill(unsigned readings)
{
    struct store_row rows[STORE_ROWS_MAX];
    MUST(readings <= STORE_ROWS_MAX);
    assert_int_equal(
        ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")))
            ->status,
        201);
    for (unsigned i = 0; i < readings; i++)
        rows[i] = row(whole(ARG_SENSOR_ID, 1), real(ARG_TEMPERATURA, 20 + i % 7), real(ARG_HUMEDAD, 50));
    assert_int_equal(ask_many(&stage, rows, readings)->status, 201);
}

/* Runs SQL as another program would. */
static void by_hand(const char *path, const char *sql)
{
    sqlite3 *sqlite;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    if (sqlite3_exec(sqlite, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    sqlite3_close(sqlite);
}

static void overwrite(const char *path, long at, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && pwrite(fd, data, len, at) == (ssize_t)len);
    close(fd);
}

static void expect_refused(enum err_e err, const char *why)
{
    assert_int_equal(db_stage_try(&stage), err);
    assert_null(stage.db);
    if (strstr(stage.why, why) == NULL)
        fail_msg("%s", stage.why);
}

static void a_new_one_is_private_and_keeps_its_source(void **state)
{
    struct stat status;
    (void)state;
    assert_int_equal(stat(stage.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(db_source(stage.db) == STAGE_SOURCE);
    stage.config.new_source = 5;
    db_stage_again(&stage);
    assert_true(db_source(stage.db) == STAGE_SOURCE);
}

static void one_process_writes(void **state)
{
    struct db *first = stage.db;
    (void)state;
    expect_refused(ERR_BUSY, "another process");
    stage.db = first;
    db_stage_again(&stage);
}

static void rows_and_events_outlive_it(void **state)
{
    (void)state;
    fill(100);
    uint64_t last = db_last_event(stage.db);
    db_stage_again(&stage);
    assert_int_equal(db_last_event(stage.db), last);
    assert_int_equal(db_first_unpublished(stage.db), 1);
    db_stage_check(&stage);
}

static void what_is_not_noria_s_is_left_alone(void **state)
{
    (void)state;
    db_close(&stage.db);
    assert_int_equal(unlink(stage.path), 0);
    by_hand(stage.path, "CREATE TABLE theirs (a)");
    expect_refused(ERR_CORRUPT, "another program");
    by_hand(stage.path, "PRAGMA application_id = 5");
    expect_refused(ERR_CORRUPT, "another program");
    assert_int_equal(unlink(stage.path), 0);
    char text[8192];
    memset(text, 'x', sizeof text);
    overwrite(stage.path, 0, text, sizeof text);
    expect_refused(ERR_CORRUPT, "not a database");
}

static void a_later_version_is_refused(void **state)
{
    char sql[64];
    (void)state;
    db_close(&stage.db);
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", DB_SCHEMA_VERSION + 1);
    by_hand(stage.path, sql);
    expect_refused(ERR_CORRUPT, "later version");
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", DB_SCHEMA_VERSION);
    by_hand(stage.path, sql);
    assert_int_equal(db_stage_try(&stage), ERR_OK);
}

static void damage_is_found(void **state)
{
    unsigned char zeros[4096] = {0};
    (void)state;
    fill(1000);
    db_close(&stage.db);
    overwrite(stage.path, 20 * 4096L, zeros, sizeof zeros);
    expect_refused(ERR_CORRUPT, "damaged");
    stage.config.integrity = DB_INTEGRITY_QUICK;
    expect_refused(ERR_CORRUPT, "damaged");
    char why[DB_WHY_MAX], to[128];
    snprintf(to, sizeof to, "%s/copy", stage.dir);
    assert_int_equal(db_backup(stage.path, to, why), ERR_CORRUPT); /* a damaged copy gets no name */
    assert_int_equal(access(to, F_OK), -1);
}

static void a_row_that_refers_to_nothing_is_found(void **state)
{
    (void)state;
    fill(1);
    db_close(&stage.db);
    by_hand(stage.path, "PRAGMA foreign_keys = OFF; DELETE FROM sensors");
    expect_refused(ERR_CORRUPT, "refer");
}

static void a_directory_that_is_not_there_is_no_crash(void **state)
{
    (void)state;
    db_close(&stage.db);
    stage.config.path = "/nonexistent/noria/noria.db";
    expect_refused(ERR_SYSTEM, "No such file");
}

/* A database of each earlier version, with what it can hold. */
static void every_earlier_version_is_brought_up_to_date(void **state)
{
    (void)state;
    for (int version = 0; version < DB_SCHEMA_VERSION; version++) {
        sqlite3 *sqlite;
        db_close(&stage.db);
        assert_int_equal(unlink(stage.path), 0);
        assert_int_equal(sqlite3_open(stage.path, &sqlite), SQLITE_OK);
        assert_int_equal(db_schema_migrate(sqlite, version, 99), SQLITE_OK);
        sqlite3_close(sqlite);
        if (version >= 1)
            by_hand(stage.path, "INSERT INTO sensors VALUES (1, 1, 5, 5, 't', 'm');"
                                "INSERT INTO readings VALUES (3, 1, 5, 5, 1, 20.5, 50, 5)");
        if (version >= 2)
            by_hand(stage.path,
                    "INSERT INTO events (channel, payload, created_ms, upto_bytes, own, published)"
                    " VALUES ('sensors', '{}', 5, 2, 1, 0)");
        if (db_stage_try(&stage) != ERR_OK)
            fail_msg("%d: %s", version, stage.why);
        assert_true(db_source(stage.db) == (version >= 2 ? 99 : STAGE_SOURCE));
        assert_int_equal(db_last_event(stage.db), version >= 2);
        assert_int_equal(ask(&stage, STORE_OP_READ, ENTITY_READING, 3, 0, nothing)->status,
                         version >= 1 ? 200 : 404);
        fill(10);
        db_stage_again(&stage);
    }
}

/* --- copies ------------------------------------------------------------------------------------------------------------------- */

static uint64_t events_in(const char *path)
{
    struct db_stage copy = {0};
    strcpy(copy.path, path);
    copy.config = stage.config;
    copy.config.path = copy.path;
    if (db_stage_try(&copy) != ERR_OK)
        fail_msg("%s", copy.why);
    db_stage_check(&copy);
    uint64_t last = db_last_event(copy.db);
    db_close(&copy.db);
    json_decref(copy.said.json);
    free(copy.said.text);
    return last;
}

static void a_copy_is_whole_while_others_write(void **state)
{
    char to[128], why[DB_WHY_MAX];
    struct stat status;
    (void)state;
    fill(500);
    snprintf(to, sizeof to, "%s/copy.db", stage.dir);
    assert_int_equal(db_begin(stage.db), ERR_OK);
    assert_int_equal(ask_within(&stage, STORE_OP_DELETE, ENTITY_READING, 1, 0, nothing)->status, 204);
    if (db_backup(stage.path, to, why) != ERR_OK) /* in the middle of a transaction */
        fail_msg("%s", why);
    assert_int_equal(db_commit(stage.db), ERR_OK);
    assert_int_equal(events_in(to), 501);
    assert_int_equal(stat(to, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(db_backup(stage.path, to, why), ERR_EXISTS);
    assert_int_equal(events_in(to), 501);
    snprintf(to, sizeof to, "%s/copy2.db", stage.dir);
    char part[160];
    snprintf(part, sizeof part, "%s.part", to);
    overwrite(part, 0, "left by one that was killed", 27);
    assert_int_equal(db_backup(stage.path, to, why), ERR_OK);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(events_in(to), 502);
}

static void what_cannot_be_copied_says_so(void **state)
{
    char to[128], why[DB_WHY_MAX];
    (void)state;
    snprintf(to, sizeof to, "%s/copy.db", stage.dir);
    assert_int_equal(db_backup("/nonexistent/noria.db", to, why), ERR_SYSTEM);
    assert_int_equal(db_backup(stage.path, "/nonexistent/copy.db", why), ERR_SYSTEM);
    char theirs[128];
    snprintf(theirs, sizeof theirs, "%s/theirs.db", stage.dir);
    by_hand(theirs, "CREATE TABLE t (a)");
    assert_int_equal(db_backup(theirs, to, why), ERR_CORRUPT);
    assert_int_equal(access(to, F_OK), -1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_new_one_is_private_and_keeps_its_source),
        T(one_process_writes),
        T(rows_and_events_outlive_it),
        T(what_is_not_noria_s_is_left_alone),
        T(a_later_version_is_refused),
        T(damage_is_found),
        T(a_row_that_refers_to_nothing_is_found),
        T(a_directory_that_is_not_there_is_no_crash),
        T(every_earlier_version_is_brought_up_to_date),
        T(a_copy_is_whole_while_others_write),
        T(what_cannot_be_copied_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
