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

#define DB_WHY_MAX   256u
#define DB_TEXT_MAX  4096u  /* bytes of a text of an entity; longer: 422 */
#define DB_EVENT_MAX 16384u /* bytes of an event's payload; a change that would need more: 422 */

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

/* ERR_FULL (disk), ERR_SYSTEM (I/O, read-only), ERR_BUSY (another program writes, longer than DB_BUSY_MS), ERR_CORRUPT, ERR_MEMORY: logged. */
#define DB_BUSY_MS 2000
enum err_e db_begin(struct db *db);
/* Always answers: of the client's faults 4xx, of the disk's 503, of a body over DB_ANSWER_MAX 413. A fault of the disk ends the whole group: every
 * later write in it is answered 503, and db_commit() fails, so that answers given before must not be sent. */
#define DB_ANSWER_MAX (8u * 1024u * 1024u)
void db_execute(struct db *db, const struct db_request *request, struct db_answer *answer);
enum err_e db_commit(struct db *db); /* an error: it was rolled back, and logged */
void db_rollback(struct db *db);
/* A question that takes more steps of SQLite's machine is answered 413, so that nobody waits for it longer than about a second, whatever it asks: a
 * row that is passed over takes 2 to 4, one in an average 9. Holds for what only reads, and for averages of stored readings. */
#define DB_READ_STEPS 40000000u
void db_set_read_steps(struct db *db, uint64_t steps); /* rounded up to 1,000 */
/* After a db_commit() that failed: true if the disk refused to say whether it has the group, so that it could come back after a crash,
 * whole. False: nothing of it is on the disk. */
bool db_in_doubt(const struct db *db);

/* --- deletions ----------------------------------------------------------------------------------------------------------
 *
 *     db_execute(DELETE) ── at most `rows` go: all of them at once ─────────────────────────────▶ 204
 *            └── more: the innermost `rows`, and a line in the table of deletions ─▶ 202, then
 *                     db_begin ─▶ db_delete_turn ─▶ db_commit ─▶ … ─▶ the last one: the row itself, and the line
 *
 * Whoever has the database makes the turns, also after a restart: a deletion that has begun is made to its end. Meanwhile the row and all that belongs to
 * it can be read, and deleted, and takes no change and nothing new (409): so what is owed only gets less. DELETE of the same row is 202, too. */
#define DB_DELETE_ROWS  1000u /* of one turn, unless told otherwise */
#define DB_GOES_ON_TEXT "El borrado ha comenzado y sigue en curso: terminará sin repetirlo"
void db_set_delete_rows(struct db *db, unsigned rows); /* at least 1; from now on */
/* In a transaction: one turn of the deletion whose turn it is. Nothing under way: nothing. */
enum err_e db_delete_turn(struct db *db);
uint64_t db_deletions(struct db *db); /* under way; 0 if it cannot be read */
uint64_t db_deletions_ended(
    const struct db *db); /* rises when one ends, whoever removed its row; at times for nothing */
bool db_is_deleting(struct db *db, enum entity_e entity,
                    uint64_t id); /* this row itself; true if it cannot be read */

/* For a person: why nothing was written. */
const char *db_failure_text(enum err_e err);

struct db_counts { /* since db_open() */
    uint64_t commits, commits_failed;
    uint64_t reads, writes;   /* db_execute()s; writes in groups that failed, too */
    uint64_t refused, failed; /* answered 4xx; 5xx */
    uint64_t events, anomalies, expired;
    uint64_t file_bytes, event_bytes; /* as of the last commit: pages in use; payloads kept */
};
void db_get_counts(struct db *db, struct db_counts *counts);

/* --- events --------------------------------------------------------------------------------------------------------------- */

struct db_event { /* texts are good until the next call */
    uint64_t seq;
    const char *channel;
    const char *payload;
    size_t len;
};

/* Numbers rise in the order of commits, and may have gaps: foreign events are numbered among them. */
uint64_t db_source(const struct db *db);
uint64_t db_last_event(const struct db *db); /* number of the last committed; 0: none */
/* The lowest without an acknowledgement; db_last_event() + 1: none. As of now, also within a transaction. */
uint64_t db_first_unpublished(struct db *db);
/* The first committed own event above `seq`. ERR_NOT_FOUND: none. Not in a transaction. */
enum err_e db_next_event(struct db *db, uint64_t seq, struct db_event *event);
/* In a transaction: the event is in the ring there; ring_id 0: it is, or was, somewhere (then it counts as being where the one before it is). One that is
 * unknown or published already: nothing. */
enum err_e db_note_published(struct db *db, uint64_t seq, uint32_t ring_id, uint64_t position);
/* The ring has events of this source that this database does not know: it is an older copy. Everything it has counts as published; events
 * from now on are of the new source. A transaction of its own. */
enum err_e db_change_source(struct db *db, uint64_t new_source);
/* In a transaction: an event that somebody else published. One that is noted already at this place: nothing. */
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
/* In a transaction: removes at most `limit` rows that are too old or too many, and what goes with the last one (a row with more than `limit` is then
 * deleted in turns); *more: there are others. First readings (with their
 * anomalies), predictions and anomalies of machines, oldest first, each with an event of action expire_…; `mib` bounds the pages in use less what
 * events take. Then published events, without one; what is not published stays, and so does the last one. 0 of days or MiB: no bound. The wall
 * clock decides what is old. */
enum err_e db_expire(struct db *db, const struct db_keep *keep, unsigned limit, bool *more);

/* Copies the database, as it is now, into a new file while others write (SQLite's online backup, a page at a time), checks the copy, and gives it its
 * name only then. ERR_EXISTS, ERR_SYSTEM, ERR_CORRUPT. May be called from another process than the store. */
enum err_e db_backup(const char *path, const char *to, char why[DB_WHY_MAX]);
