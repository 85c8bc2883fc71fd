/* db_internal.h — what the files of this folder share: kept statements, the answer under way, rows, events.
 *
 * An operation is one function, db_op_f (db_ops.h), that reads its arguments, runs statements and leaves one answer:
 *
 *     void db_query_readings_recent(struct db *db, const struct db_request *request, const struct store_row *row)
 *     {
 *         if (!db_must_exist(db, ENTITY_SENSOR, request->id))                          404 is answered already
 *             return;
 *         sqlite3_stmt *rows = db_sql(db, "SELECT " DB_READING_COLUMNS " FROM readings WHERE sensor_id = ?1 AND …");
 *         db_bind_id(rows, 1, request->id);
 *         db_answer_rows(db, rows, ENTITY_READING);                                     200 and an array; failures, too
 *     }
 *
 * Failures of the disk and of memory are sticky in db->failure: whoever meets one just returns, db_execute() answers 503 and undoes.
 * db_sql() gives NULL then, and every function here takes a NULL statement and does nothing: so no call needs a check of its own.
 * Statements are reset at the end of every db_execute(). A refusal (status ≥ 400) undoes what the operation wrote.
 */
#pragma once

#include <sqlite3.h>

#include "bytes.h"
#include "db.h"
#include "detect_cache.h"
#include "log.h"
#include "map.h"
#include "topic.h"

#define DB_STATEMENTS_MAX 24u /* of one operation at a time */

#define DB_MAGIC 0x64625f31u

struct db {
    uint32_t magic;
    sqlite3 *sqlite;
    const struct clock *clock;
    int lock_fd;
    struct map statements; /* by the literal's address, or db_sql_built()'s key */
    sqlite3_stmt *in_use[DB_STATEMENTS_MAX];
    unsigned in_use_count; /* to be reset when the operation ends */
    struct log_limit log;

    bool in_group;            /* between db_begin() and db_commit() or db_rollback() */
    enum err_e group_failure; /* nothing of the group will be committed; ERR_OK: it is whole so far */
    enum err_e failure;       /* of the operation under way; ERR_OK: none */
    int constraint;           /* of the last db_write_step(): SQLITE_CONSTRAINT_…; 0: none was broken */
    bool in_doubt;
    uint64_t now_ms; /* wall time of the operation: all its rows and events have this one */

    unsigned status; /* of the answer; 0: none yet */
    uint64_t answer_version;
    int64_t row_at;   /* which of several rows the operation is at; -1: there is one */
    struct out body;  /* grows by db_room() */
    struct out event; /* the payload that is being made, or was asked for: DB_EVENT_MAX */
    char channel[CHANNEL_NAME_MAX + 1];
    char failure_body[128];

    uint64_t source;
    uint64_t last_event, last_event_new;   /* committed; with those of the group */
    uint64_t event_bytes, event_bytes_new; /* running total of payloads: upto_bytes of the last event */
    struct detect_cache *windows;
    uint64_t read_steps;      /* of a question */
    int64_t looks_left;       /* of on_progress() until it is interrupted; below 0: no bound now */
    bool too_wide;            /* the operation under way was interrupted */
    unsigned delete_rows;     /* of one turn */
    int64_t deletions;        /* lines of the table, those of the group too; -1: to be counted */
    uint64_t deletions_ended; /* since db_open(); may count some that were taken back */
    uint64_t turn;            /* number of the deletion that had the last one */
    uint64_t group_mark;
    struct db_counts counts;
};

/* --- statements ---------------------------------------------------------------------------------------------------------- */

/* The kept statement of a literal, reset and without values; prepared when it is asked for first. Never with a text made from values. NULL: db->failure. */
sqlite3_stmt *db_sql(struct db *db, const char *literal);
/* The same for a text that was put together from tables; `key` (not 0, below DB_BUILT_KEYS) stands for it. `build` is called if it is new. */
#define DB_BUILT_KEYS 65536u /* no literal lies at such an address */
typedef void db_build_f(struct out *sql, const void *arg);
sqlite3_stmt *db_sql_built(struct db *db, uint64_t key, db_build_f *build, const void *arg);

void db_bind_id(sqlite3_stmt *statement, int at, uint64_t id);
void db_bind_int(sqlite3_stmt *statement, int at, int64_t value);
void db_bind_real(sqlite3_stmt *statement, int at, double value);
void db_bind_text(sqlite3_stmt *statement, int at, const char *text, size_t len); /* not copied */
void db_bind_null(sqlite3_stmt *statement, int at);
void db_bind_value(sqlite3_stmt *statement, int at, const struct store_value *value);

/* True: a row. False: the end, or db->failure. */
bool db_step(struct db *db, sqlite3_stmt *statement);
/* One INSERT, UPDATE or DELETE. ERR_OK; ERR_MISMATCH: a constraint says no, db->constraint which; else db->failure. */
enum err_e db_write_step(struct db *db, sqlite3_stmt *statement);
/* First column of the first row; `none` without a row. */
int64_t db_number(struct db *db, sqlite3_stmt *statement, int64_t none);
/* From now on the operation may take db->read_steps in all; false: what follows is not bounded. Only around what reads. */
void db_bound_steps(struct db *db, bool bounded);
void db_watch_steps(struct db *db); /* once, when it is opened */
/* A failure of SQLite is noted in db->failure and logged; it ends the group. */
void db_fail(struct db *db, int code, const char *what);
enum err_e db_code(int code);           /* SQLite's code as one of Noria's */
void db_statements_rest(struct db *db); /* resets what is in use */
void db_statements_free(struct db *db);

/* --- rows ------------------------------------------------------------------------------------------------------------------ */

/* What db_row_read() wants, in this order. Columns have the names of the members; times are milliseconds. */
#define DB_SENSOR_COLUMNS   "id, version, created_at, updated_at, tipo, modelo"
#define DB_READING_COLUMNS  "id, version, created_at, updated_at, sensor_id, temperatura, humedad, timestamp"
#define DB_LOCATION_COLUMNS "id, version, created_at, updated_at, sensor_id, latitud, longitud, descripcion"
#define DB_ANOMALY_COLUMNS                                                                                   \
    "id, version, created_at, updated_at, lectura_id, machine_id, tipo, valor, resuelta, resuelta_at"
#define DB_PREDICTION_COLUMNS "id, version, created_at, updated_at, ubicacion_id, probabilidad, comentario"

struct db_row {
    enum entity_e entity;
    uint64_t id, version, created_at, updated_at;
    uint64_t resuelta_at;    /* of an anomaly; 0: null */
    struct store_row fields; /* members that clients write, and machine_id */
};

/* The row that the statement stands on; texts are good until its next step or the end of the operation. */
void db_row_read(sqlite3_stmt *statement, enum entity_e entity, struct db_row *row);
/* By id. False: there is none, or db->failure. */
bool db_row_find(struct db *db, enum entity_e entity, uint64_t id, struct db_row *row);
/* The entity's JSON; `end` false leaves the closing brace to the caller, who adds members. */
void db_row_write(struct out *out, const struct db_row *row, bool end);
/* The same without updated_at and the closing brace. */
void db_row_write_created(struct out *out, const struct db_row *row);
/* Bytes that it takes at most. */
size_t db_row_room(const struct db_row *row);
/* Doubles: out_double() of bytes.h. */

/* In a transaction: makes the row (id, version and times are set here) and its event. ERR_MISMATCH: refused, db->constraint. */
enum db_made_e { DB_MADE_CREATED, DB_MADE_DETECTED, DB_MADE_COMPUTED };
enum err_e db_row_make(struct db *db, struct db_row *row, enum db_made_e made);
/* … changes it to what `row` says now; version and updated_at are set here. `changed`: bits ARG_…, at least one. */
enum err_e db_row_change(struct db *db, struct db_row *row, uint64_t changed);
/* … deletes what it owns, the innermost first, and then itself, each with its event (see db_event_deleted()), as far as *left rows go. True: it is
 * gone. False: *left is 0, or db->failure. Windows of the detection are the caller's. */
bool db_row_delete(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                   const char *cascade_from, unsigned *left);
/* What is left of a row is deleted in turns from now on (db_delete_turn()). One that is already: nothing. */
void db_deletion_begin(struct db *db, enum entity_e entity, uint64_t id, const char *action);
/* True: the row, or one that it belongs to, is being deleted, so that it takes no change: 409 is answered, about `member`. Or db->failure. */
bool db_row_is_going(struct db *db, enum entity_e entity, uint64_t id, enum store_arg_e member);
/* The request's row as it is now. False: 404 or 412 is answered, or db->failure. */
bool db_row_wanted(struct db *db, const struct db_request *request, struct db_row *row);

/* --- answers --------------------------------------------------------------------------------------------------------------- */

/* Makes room for `bytes` in db->body. False: over DB_ANSWER_MAX (413 is answered) or no memory. */
bool db_room(struct db *db, size_t bytes);
/* 200 and an array of what the statement gives. */
void db_answer_rows(struct db *db, sqlite3_stmt *statement, enum entity_e entity);
/* The row alone, with its version. */
void db_answer_row(struct db *db, unsigned status, const struct db_row *row);
/* What stands in db->body, written by the caller. */
void db_answer_body(struct db *db, unsigned status);
/* {"detail": text} */
void db_refuse(struct db *db, unsigned status, const char *text);
/* The same with where: 422 is a list of {loc,type,msg}; others have "loc" if there are several rows. */
void db_refuse_member(struct db *db, unsigned status, const char *text, enum store_arg_e member);
/* By db->constraint, right behind the db_write_step() that met it. */
void db_refuse_constraint(struct db *db, enum entity_e entity);
/* 404 with "Sensor no encontrado" and the like. */
void db_refuse_missing(struct db *db, enum entity_e entity);
/* True: it does. False: 404 is answered, or db->failure. */
bool db_must_exist(struct db *db, enum entity_e entity, uint64_t id);

struct db_page {
    int64_t skip, limit;
};
/* `skip` and `limit` of the arguments within their bounds. */
struct db_page db_page(const struct store_row *row);

/* --- events ---------------------------------------------------------------------------------------------------------------- */

/* Adds the event of a change to the table, in the transaction of the change. */
void db_event_made(struct db *db, const struct db_row *row, enum db_made_e made);
/* `changed`: bits ARG_… of members that are others now; `solved`: action resolve_ instead of update_. */
void db_event_updated(struct db *db, const struct db_row *row, uint64_t changed, bool solved);
/* `action`: "delete" or "expire"; `cascade_from`: type of the row that was meant, or NULL. */
void db_event_deleted(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                      const char *cascade_from);
/* `data`: a JSON object. */
void db_event_system(struct db *db, const char *channel, size_t channel_len, const char *message,
                     const char *data);

/* --- calls other than db_execute() --------------------------------------------------------------------------------------------- */

/* True: go on. False: the group has failed already; end it all the same. `in_group`: it must be called in one. */
bool db_call_begin(struct db *db, bool in_group);
/* What it returns; a failure in a group undoes the group. */
enum err_e db_call_end(struct db *db);

/* Bytes of the pages in use; of the events, estimated. */
uint64_t db_pages_bytes(struct db *db);
uint64_t db_events_bytes(struct db *db);

/* --- what the files ask of each other ----------------------------------------------------------------------------------------- */

/* Of a new reading, in its transaction: its anomalies and their events (db_query_detect.c). */
void db_detect_new(struct db *db, const struct db_row *reading);
/* SQL functions for queries, when a file is opened (db_query_functions.c): SQLITE_OK or its error. */
int db_query_functions(sqlite3 *sqlite);
