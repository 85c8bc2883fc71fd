/* db_group.c — transactions of requests, and one request in its savepoint (Hop: C6). See db.h.
 *
 *     BEGIN IMMEDIATE ─▶ { SAVEPOINT ─▶ operation ─▶ RELEASE │ ROLLBACK TO } × n ─▶ COMMIT
 *
 * A refusal undoes its own request. A fault of SQLite (disk, memory) undoes the group at once, because SQLite may have done so already and
 * nothing can be said of what is left of it. What is in memory beside the database (last event, size of the events, windows of the detection) goes
 * back with it.
 *
 * DELETE has no savepoint: within one, SQLite walks all that the savepoint could take back at the end of every DELETE of a row with foreign
 * keys, so that a cascade of 100,000 rows took 28 s instead of 1.
 *
 * A COMMIT whose fsync fails has written all its frames already: they are not part of the database, yet after a crash they would be taken for a
 * whole transaction. So a small one is written over them at once; if that fails, too, db_in_doubt() says so until a commit succeeds.
 */
#include <stdlib.h>

#include "db_ops.h"
#include "db_row.h"
#include "db_schema.h"
#include "must.h"

#define BODY_KEPT (256u * 1024u)

static db_op_f *const operations[STORE_OP_COUNT] = {
#define O(NAME, function) [STORE_OP_##NAME] = function,
    DB_OPS_TABLE(O)
#undef O
};

static bool run(struct db *db, const char *literal)
{
    sqlite3_stmt *statement = db_sql(db, literal);
    db_step(db, statement);
    if (statement != NULL)
        sqlite3_reset(statement);
    return db->failure == ERR_OK;
}

/* What is in memory goes back to where it was. */
struct before {
    uint64_t last_event, event_bytes, mark;
};

static void take_back(struct db *db, const struct before *before)
{
    db->last_event_new = before->last_event;
    db->event_bytes_new = before->event_bytes;
    detect_cache_forget_since(db->windows, before->mark);
}

static void undo_all(struct db *db)
{
    db_statements_rest(db);
    if (!sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    take_back(db, &(struct before){db->last_event, db->event_bytes, db->group_mark});
    db->deletions = -1;
}

/* --- groups ------------------------------------------------------------------------------------------------------------------ */

enum err_e db_begin(struct db *db)
{
    MUST_MAGIC(db, DB_MAGIC);
    MUST(!db->in_group);
    db->failure = db->group_failure = ERR_OK;
    db->group_mark = detect_cache_mark(db->windows);
    db->in_group = run(db, "BEGIN IMMEDIATE");
    if (!db->in_group)
        undo_all(db);
    db_statements_rest(db);
    return db->failure;
}

/* Over the frames of a commit that failed. SQLite writes this number even if it is the same; a row that does not change it would not write. */
static void write_over(struct db *db)
{
    db->in_doubt = db_schema_touch(db->sqlite) != SQLITE_OK;
}

enum err_e db_commit(struct db *db)
{
    MUST_MAGIC(db, DB_MAGIC);
    MUST(db->in_group);
    db->failure = db->group_failure;
    bool asked = db->failure == ERR_OK, done = asked && run(db, "COMMIT");
    db->in_group = false;
    db_statements_rest(db);
    if (done) {
        db->last_event = db->last_event_new;
        db->event_bytes = db->event_bytes_new;
        db->in_doubt = false;
        db->counts.commits++;
        return ERR_OK;
    }
    undo_all(db);
    db->counts.commits_failed++;
    if (asked)
        write_over(db);
    return db->failure;
}

void db_rollback(struct db *db)
{
    MUST_MAGIC(db, DB_MAGIC);
    MUST(db->in_group);
    db->in_group = false;
    undo_all(db);
}

bool db_in_doubt(const struct db *db)
{
    return db->in_doubt;
}

/* Ends a call other than db_execute(): in a group, its failure is the group's. */
enum err_e db_call_end(struct db *db)
{
    enum err_e err = db->failure;
    db_statements_rest(db);
    db->failure = ERR_OK;
    if (err != ERR_OK && db->in_group) {
        db->group_failure = err;
        undo_all(db);
    }
    return err;
}

/* … and begins it. False: the group has failed before. */
bool db_call_begin(struct db *db, bool in_group)
{
    MUST_MAGIC(db, DB_MAGIC);
    MUST(!in_group || db->in_group);
    db->failure = db->in_group ? db->group_failure : ERR_OK;
    db->now_ms = clock_wall_ms(db->clock);
    db->status = 0;
    db->too_wide = false;
    db->row_at = -1;
    return db->failure == ERR_OK;
}

/* --- requests ---------------------------------------------------------------------------------------------------------------- */

const char *db_failure_text(enum err_e err)
{
    switch (err) {
    case ERR_FULL:
        return "Disco lleno: no se ha guardado nada";
    case ERR_BUSY:
        return "Base de datos ocupada: no se ha guardado nada";
    case ERR_MEMORY:
        return "Memoria agotada: no se ha guardado nada";
    default:
        return "Base de datos no disponible: no se ha guardado nada";
    }
}

/* What comes from afar may name anything. */
static bool makes_sense(const struct db_request *request)
{
    switch (request->op) {
    case STORE_OP_CREATE:
    case STORE_OP_READ:
    case STORE_OP_LIST:
    case STORE_OP_UPDATE:
    case STORE_OP_DELETE:
        return entity_of(request->entity) != NULL;
    default:
        return request->op > STORE_OP_NONE && request->op < STORE_OP_COUNT;
    }
}

static void operate(struct db *db, const struct db_request *request)
{
    struct store_row row = {0};
    struct store_args args = request->args;
    enum err_e err = store_args_next(&args, &row);
    if (!makes_sense(request) || err == ERR_MALFORMED)
        db_refuse(db, 400, "Petición mal formada");
    else
        operations[request->op](db, request, &row);
    if (db->too_wide && db->failure == ERR_OK)
        db_refuse(db, 413, "Consulta demasiado amplia: acótela con filtros");
    MUST(db->status != 0 || db->failure != ERR_OK);
}

static void operate_in_savepoint(struct db *db, const struct db_request *request)
{
    struct before before = {db->last_event_new, db->event_bytes_new, detect_cache_mark(db->windows)};
    struct db_counts counts = db->counts;
    if (!run(db, "SAVEPOINT request"))
        return;
    operate(db, request);
    if (db->failure != ERR_OK)
        return;
    db_statements_rest(db);
    if (db->status >= 400) {
        run(db, "ROLLBACK TO request");
        take_back(db, &before);
        db->counts = counts;
    }
    run(db, "RELEASE request");
}

static void answer_failure(struct db *db, bool writes, struct db_answer *answer)
{
    const char *text = writes ? db_failure_text(db->failure) : "No se puede leer la base de datos";
    struct out out = out_init(db->failure_body, sizeof db->failure_body);
    out_literal(&out, "{\"detail\":");
    out_json_string(&out, text, strlen(text));
    out_char(&out, '}');
    *answer = (struct db_answer){.status = 503, .body = out.at, .len = out.len};
}

static void count(struct db *db, bool writes, unsigned status)
{
    *(writes ? &db->counts.writes : &db->counts.reads) += 1;
    db->counts.refused += status >= 400 && status < 500;
    db->counts.failed += status >= 500;
}

static void body_shrink(struct db *db)
{
    if (db->body.cap > BODY_KEPT) {
        free(db->body.at);
        db->body = (struct out){0};
    }
    db->body.len = 0;
    db->body.overflow = false;
}

void db_execute(struct db *db, const struct db_request *request, struct db_answer *answer)
{
    bool writes = store_op_writes(request->op);
    MUST(!writes || db->in_group);
    body_shrink(db);
    db->answer_version = 0;
    bool alive = db_call_begin(db, false);
    if (!writes) {
        db->failure = ERR_OK; /* of the group: what only reads goes on */
        db_bound_steps(db, true);
        operate(db, request);
        db_bound_steps(db, false);
    } else if (alive && request->op == STORE_OP_DELETE) {
        operate(db, request); /* it refuses before it writes, or not at all */
    } else if (alive) {
        operate_in_savepoint(db, request);
    }
    if (db->failure != ERR_OK)
        answer_failure(db, writes, answer);
    else
        *answer = (struct db_answer){db->status, db->answer_version, db->body.len > 0 ? db->body.at : "",
                                     db->body.len};
    count(db, writes, answer->status);
    (void)db_call_end(db);
}
