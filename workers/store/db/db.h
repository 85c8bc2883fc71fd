/* db.h — entities and events in one SQLite file; the only module that knows <sqlite3.h>.
 *
 *     db_begin ─▶ db_execute × n, each in a savepoint ─▶ db_commit: on the disk (WAL, synchronous=FULL) ─▶ answers, events
 *                     │ fails: it alone changes nothing        │ fails: the whole group changed nothing
 *
 * A change and its events are rows of one transaction: an event exists if and only if its change is committed, and it is numbered in the
 * order of commits. db_execute() outside of a transaction is for what only reads. One thread; calls block as long as the disk does.
 * Time and randomness come from the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "store_args.h"
#include "store_op.h"
#include "entities.h"

struct db;

enum db_integrity_e { DB_INTEGRITY_QUICK, DB_INTEGRITY_FULL, DB_INTEGRITY_OFF };

struct db_config {
    const char *path; /* its directory exists */
    const struct clock *clock;
    uint64_t new_source; /* random, not 0: taken by a new database */
    enum db_integrity_e integrity;
};

#define DB_WHY_MAX 256u

/* Opens or makes the file, migrates it, checks it. ERR_CORRUPT: it is damaged, no database, or of a later version of Noria; ERR_BUSY: another process
 * has it open for writing; ERR_SYSTEM, ERR_MEMORY. `why` says which, for a person. */
enum err_e db_open(const struct db_config *config, struct db **db, char why[DB_WHY_MAX]);
void db_close(struct db **db); /* a transaction that is open is rolled back */

/* --- transactions ------------------------------------------------------------------------------------------------------ */

struct db_request {
    enum store_op_e op;
    enum entity_e entity;
    uint64_t id, version;
    const char *who;
    struct store_args args;
};

struct db_answer { /* the body is good until the next call */
    unsigned status;
    uint64_t version;
    const char *body;
    size_t len;
};

enum err_e db_begin(struct db *db); /* ERR_FULL (disk), ERR_SYSTEM (I/O, read-only): logged */
/* Always answers: of the client's faults 4xx, of the disk's 503, of a body over DB_ANSWER_MAX 413. */
#define DB_ANSWER_MAX (8u * 1024u * 1024u)
void db_execute(struct db *db, const struct db_request *request, struct db_answer *answer);
enum err_e db_commit(struct db *db); /* an error: it was rolled back */
void db_rollback(struct db *db);

/* --- events --------------------------------------------------------------------------------------------------------------- */

struct db_event { /* texts are good until the next call */
    uint64_t seq;
    const char *channel;
    const char *payload;
    size_t len;
};

uint64_t db_source(const struct db *db);
uint64_t db_last_event(const struct db *db); /* number of the last committed; 0: none */
uint64_t db_first_unpublished(
    const struct db *db); /* the lowest without an acknowledgement; db_last_event() + 1: none */
/* The first committed event above `seq`. ERR_NOT_FOUND: none. */
enum err_e db_next_event(struct db *db, uint64_t seq, struct db_event *event);
/* In a transaction: the event is in the ring there; ring_id 0: it is, or was, somewhere. */
enum err_e db_note_published(struct db *db, uint64_t seq, uint32_t ring_id, uint64_t position);
/* The ring has events of this source that this database does not know: it is an older copy. Everything it has counts as published; events
 * from now on are of the new source. */
enum err_e db_change_source(struct db *db, uint64_t new_source);
/* In a transaction: an event that somebody else published. */
enum err_e db_note_foreign(struct db *db, uint32_t ring_id, uint64_t position, const char *channel,
                           const char *payload, size_t len);

/* --- machines --------------------------------------------------------------------------------------------------------------- */

#define DB_CONDITION_TABLE(C)                                                                                \
    C(ALARM, "alarma")                                                                                       \
    C(ESTOP, "parada_emergencia")                                                                            \
    C(DRIVE_FAULT, "fallo_variador")                                                                         \
    C(POSITIONING_ERROR, "error_posicionamiento")                                                            \
    C(LOST, "conexion_perdida")
enum db_condition_e {
#define C(NAME, tipo) DB_##NAME,
    DB_CONDITION_TABLE(C)
#undef C
        DB_CONDITION_COUNT
};

/* In a transaction: `active` has bit DB_… for each condition that holds now. What begins becomes an anomaly, what ends solves it; what was
 * known already does nothing. */
enum err_e db_machine(struct db *db, const char *machine, uint32_t active, uint64_t wall_ms);
/* Up to where the ring was read; 0, 0 in a new database. Set in the transaction of what was found there. */
enum err_e db_get_ring(struct db *db, uint32_t *ring_id, uint64_t *position);
enum err_e db_set_ring(struct db *db, uint32_t ring_id, uint64_t position);

/* --- upkeep ------------------------------------------------------------------------------------------------------------------- */

struct db_keep {
    uint32_t days, mib, events_days, events_mib;
};
/* In a transaction: removes at most `limit` rows that are too old or too many; true: there are more. */
enum err_e db_expire(struct db *db, const struct db_keep *keep, unsigned limit, bool *more);

/* Copies the database, as it is now, into a new file while others write (SQLite's online backup, a page at a time), checks the copy, and gives it its
 * name only then. ERR_EXISTS, ERR_SYSTEM, ERR_CORRUPT. May be called from another process than the store. */
enum err_e db_backup(const char *path, const char *to, char why[DB_WHY_MAX]);
