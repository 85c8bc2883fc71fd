/* See store_group.h. */
#include "store_group.h"

#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "bytes.h"
#include "must.h"
#include "store_metrics.h"

struct group_request {
    struct list_node link;
    uint64_t worker, serial;
    uint64_t taken_ns, due_ns;
    size_t bytes; /* of this object */
    struct db_request what;
    struct db_answer answer; /* of a write: body within group->answers */
    char memory[];           /* who, arguments */
};

static const char text_full[] = "{\"detail\":\"El almacén tiene demasiadas peticiones en espera; nada se ha "
                                "guardado. Reintente más tarde\"}";
static const char text_late[] = "{\"detail\":\"Tiempo agotado antes de empezar; nada se ha guardado\"}";
static const char text_doubt[] = "El disco no ha confirmado la escritura: puede haberse guardado o no";
static const char text_incomplete[] =
    "{\"detail\":\"Los últimos eventos se están publicando. Reintente en unos segundos\"}";
static const char text_goes_on[] = "{\"detail\":\"" DB_GOES_ON_TEXT "\"}";
static const char text_unknown[] = "{\"detail\":\"Operación desconocida\"}";

#define FIXED(code, text)                                                                                    \
    (struct db_answer)                                                                                       \
    {                                                                                                        \
        .status = (code), .body = (text), .len = sizeof(text) - 1                                            \
    }

enum err_e store_group_init(struct store_group *group)
{
    list_init(&group->reads);
    list_init(&group->writes);
    list_init(&group->deleting);
    group->turn_retry_ns = 0;
    group->ended = db_deletions_ended(group->db);
    group->waiting = 0;
    group->waiting_bytes = 0;
    group->answers_len = 0;
    group->answers = malloc(GROUP_ANSWERS_BYTES);
    return group->answers != NULL ? ERR_OK : ERR_MEMORY;
}

static void move(struct group_request *request, struct list_node *list)
{
    list_remove(&request->link);
    list_append(list, &request->link);
}

static void drop(struct store_group *group, struct group_request *request)
{
    list_remove(&request->link);
    group->waiting--;
    group->waiting_bytes -= request->bytes;
    free(request);
}

static void drop_all(struct store_group *group, struct list_node *list)
{
    LIST_FOREACH (node, list)
        drop(group, LIST_ENTRY(node, struct group_request, link));
}

void store_group_forget(struct store_group *group)
{
    drop_all(group, &group->reads);
    drop_all(group, &group->writes);
    drop_all(group, &group->deleting);
    stats_set(group->stats, STORE_REQUESTS_WAITING, 0);
}

void store_group_fini(struct store_group *group)
{
    store_group_forget(group);
    free(group->answers);
    group->answers = NULL;
}

/* --- replies ----------------------------------------------------------------------------------------------------------- */

/* In parts, in order; if one does not go, the rest would make no sense. */
static void reply(struct store_group *group, uint64_t worker, uint64_t serial, const struct db_answer *answer)
{
    size_t offset = 0;
    do {
        size_t part = answer->len - offset;
        if (part > WIRE_STORE_BODY_MAX)
            part = WIRE_STORE_BODY_MAX;
        struct wire_message message = {.type = WIRE_STORE_REPLY};
        message.store_reply = (struct wire_store_reply){.worker = worker,
                                                        .serial = serial,
                                                        .status = answer->status,
                                                        .version = answer->version,
                                                        .offset = offset,
                                                        .last = offset + part == answer->len,
                                                        .body = {answer->body + offset, (uint32_t)part}};
        if (part == 0)
            message.store_reply.body = wire_text("");
        if (group->send(group->arg, &message) != ERR_OK) {
            stats_add(group->stats, STORE_REPLIES_LOST, 1);
            return;
        }
        offset += part;
    } while (offset < answer->len);
    stats_add(group->stats, STORE_REPLIES, 1);
}

static void answer(struct store_group *group, struct group_request *request, const struct db_answer *with)
{
    reply(group, request->worker, request->serial, with);
    stats_observe_ns(group->stats, STORE_REQUEST_TO_REPLY, clock_mono_ns(group->clock) - request->taken_ns);
    drop(group, request);
}

/* --- taking ------------------------------------------------------------------------------------------------------------- */

static struct group_request *copy(const struct wire_store_request *from)
{
    size_t bytes = sizeof(struct group_request) + from->who.len + 1 + from->arguments.len;
    struct group_request *request = malloc(bytes);
    if (request == NULL)
        return NULL;
    char *arguments = request->memory + from->who.len + 1;
    wire_text_copy(from->who, request->memory, from->who.len + 1);
    if (from->arguments.len > 0)
        memcpy(arguments, from->arguments.at, from->arguments.len);
    *request = (struct group_request){
        .worker = from->worker,
        .serial = from->serial,
        .bytes = bytes,
        .what = {.op = (enum store_op_e)from->operation,
                 .entity = (enum entity_e)from->entity,
                 .id = from->id,
                 .version = from->version,
                 .who = request->memory,
                 .args = {(const unsigned char *)arguments, from->arguments.len}},
    };
    list_init(&request->link);
    return request;
}

static void keep(struct store_group *group, struct group_request *request, int64_t deadline_ms)
{
    request->taken_ns = clock_mono_ns(group->clock);
    request->due_ns = request->taken_ns + (deadline_ms > 0 ? (uint64_t)deadline_ms * NS_PER_MS : 0);
    list_append(store_op_writes(request->what.op) ? &group->writes : &group->reads, &request->link);
    group->waiting++;
    group->waiting_bytes += request->bytes;
    stats_set(group->stats, STORE_REQUESTS_WAITING, group->waiting);
    FAULT_POINT(STORE_RECEIVED);
}

static bool is_known(const struct wire_store_request *request)
{
    return request->operation > STORE_OP_NONE && request->operation < STORE_OP_COUNT &&
           request->entity < ENTITY_COUNT && request->deadline_ms <= INT64_MAX / (int64_t)(2 * NS_PER_MS);
}

void store_group_take(struct store_group *group, const struct wire_store_request *request)
{
    stats_add(group->stats, STORE_REQUESTS, 1);
    if (!is_known(request)) {
        stats_add(group->stats, STORE_REQUESTS_MALFORMED, 1);
        reply(group, request->worker, request->serial, &FIXED(400, text_unknown));
        return;
    }
    bool room = group->waiting < GROUP_WAITING_MAX && group->waiting_bytes < GROUP_WAITING_BYTES;
    struct group_request *kept = room ? copy(request) : NULL;
    if (kept == NULL) {
        stats_add(group->stats, STORE_REQUESTS_REFUSED, 1);
        reply(group, request->worker, request->serial, &FIXED(503, text_full));
        return;
    }
    keep(group, kept, request->deadline_ms);
}

/* --- executing ------------------------------------------------------------------------------------------------------------ */

/* The next that is not late; NULL: none. */
static struct group_request *next_of(struct store_group *group, struct list_node *list, uint64_t now)
{
    LIST_FOREACH (node, list) {
        struct group_request *request = LIST_ENTRY(node, struct group_request, link);
        if (now < request->due_ns)
            return request;
        stats_add(group->stats, STORE_REQUESTS_LATE, 1);
        answer(group, request, &FIXED(503, text_late));
    }
    return NULL;
}

static bool must_wait(const struct store_group *group, const struct group_request *request)
{
    return request->what.op == STORE_OP_EVENTS && group->events_complete != NULL &&
           !group->events_complete(group->arg);
}

static void run_read(struct store_group *group, struct group_request *request)
{
    if (must_wait(group, request)) {
        stats_add(group->stats, STORE_EVENTS_PUT_OFF, 1);
        answer(group, request, &FIXED(503, text_incomplete));
        return;
    }
    db_execute(group->db, &request->what, &request->answer);
    stats_add(group->stats, STORE_READS, 1);
    answer(group, request, &request->answer);
}

static void run_reads(struct store_group *group)
{
    uint64_t now = clock_mono_ns(group->clock), end = now + GROUP_MAX_NS;
    for (unsigned n = 0; n < GROUP_READS_MAX && now < end; n++) {
        struct group_request *request = next_of(group, &group->reads, now);
        if (request == NULL)
            return;
        run_read(group, request);
        now = clock_mono_ns(group->clock);
    }
}

static void execute_write(struct store_group *group, struct group_request *request)
{
    struct db_answer *a = &request->answer;
    db_execute(group->db, &request->what, a);
    MUST(a->len <= GROUP_ANSWERS_BYTES - group->answers_len);
    char *at = group->answers + group->answers_len;
    if (a->len > 0)
        memcpy(at, a->body, a->len);
    a->body = at;
    group->answers_len += a->len;
    if (a->status < 400)
        FAULT_POINT(STORE_EXECUTED);
}

/* Moves what it executes into `group_of`. */
static unsigned execute_writes(struct store_group *group, struct list_node *group_of)
{
    uint64_t now = clock_mono_ns(group->clock), end = now + GROUP_MAX_NS;
    unsigned count = 0;
    group->answers_len = 0;
    while (count < GROUP_WRITES_MAX && now < end &&
           group->answers_len + DB_ANSWER_MAX <= GROUP_ANSWERS_BYTES) {
        struct group_request *request = next_of(group, &group->writes, now);
        if (request == NULL)
            break;
        execute_write(group, request);
        move(request, group_of);
        count++;
        now = clock_mono_ns(group->clock);
    }
    return count;
}

static enum err_e commit(struct store_group *group)
{
    enum err_e err = group->join != NULL ? group->join(group->arg) : ERR_OK;
    uint64_t began = clock_mono_ns(group->clock);
    if (err != ERR_OK) {
        db_rollback(group->db);
        return err;
    }
    err = db_commit(group->db);
    if (err != ERR_OK)
        return err;
    stats_observe_ns(group->stats, STORE_COMMIT, clock_mono_ns(group->clock) - began);
    FAULT_POINT(STORE_COMMITTED);
    if (group->committed != NULL)
        group->committed(group->arg);
    return ERR_OK;
}

static void count_group(struct store_group *group, unsigned writes, bool failed)
{
    stats_add(group->stats, failed ? STORE_GROUPS_FAILED : STORE_GROUPS, 1);
    if (writes > stats_get(group->stats, STORE_GROUP_LARGEST))
        stats_set(group->stats, STORE_GROUP_LARGEST, writes);
}

static void answer_write(struct store_group *group, struct group_request *request,
                         const struct db_answer *with)
{
    stats_add(group->stats,
              with->status < 400   ? STORE_WRITES
              : with->status < 500 ? STORE_WRITES_REFUSED
                                   : STORE_WRITES_FAILED,
              1);
    answer(group, request, with);
}

static struct db_answer failure(enum err_e err, bool doubt, struct out *body)
{
    const char *text = doubt ? text_doubt : db_failure_text(err);
    out_literal(body, "{\"detail\":");
    out_json_string(body, text, strlen(text));
    out_char(body, '}');
    return (struct db_answer){.status = 503, .body = body->at, .len = body->len};
}

static void answer_writes(struct store_group *group, struct list_node *group_of, enum err_e err, bool doubt)
{
    char memory[256];
    struct out body = out_init(memory, sizeof memory);
    struct db_answer instead = {0};
    if (err != ERR_OK)
        instead = failure(err, doubt, &body);
    LIST_FOREACH (node, group_of) {
        struct group_request *request = LIST_ENTRY(node, struct group_request, link);
        if (err != ERR_OK)
            request->answer = instead;
        if (request->answer.status == 202)
            move(request, &group->deleting);
        else
            answer_write(group, request, &request->answer);
    }
}

/* Where no transaction can be begun, those that could have been in it are answered. */
static unsigned fail_writes(struct store_group *group, struct list_node *group_of)
{
    unsigned count = 0;
    uint64_t now = clock_mono_ns(group->clock);
    for (; count < GROUP_WRITES_MAX; count++) {
        struct group_request *request = next_of(group, &group->writes, now);
        if (request == NULL)
            break;
        move(request, group_of);
    }
    return count;
}

static void run_writes(struct store_group *group)
{
    struct list_node group_of;
    list_init(&group_of);
    if (next_of(group, &group->writes, clock_mono_ns(group->clock)) == NULL)
        return;
    enum err_e err = db_begin(group->db);
    bool begun = err == ERR_OK;
    unsigned count = begun ? execute_writes(group, &group_of) : fail_writes(group, &group_of);
    if (begun)
        err = commit(group);
    count_group(group, count, err != ERR_OK);
    answer_writes(group, &group_of, err, begun && db_in_doubt(group->db));
}

/* --- deletions ------------------------------------------------------------------------------------------------------------- */

static bool turn_is_due(const struct store_group *group)
{
    return db_deletions(group->db) > 0 && clock_mono_ns(group->clock) >= group->turn_retry_ns &&
           (group->may_turn == NULL || group->may_turn(group->arg));
}

static enum err_e turn(struct store_group *group)
{
    enum err_e err = db_begin(group->db);
    if (err != ERR_OK)
        return err;
    err = db_delete_turn(group->db);
    if (err == ERR_OK)
        return commit(group);
    db_rollback(group->db);
    return err;
}

static void run_turn(struct store_group *group)
{
    if (!turn_is_due(group))
        return;
    enum err_e err = turn(group);
    stats_add(group->stats, err == ERR_OK ? STORE_DELETE_TURNS : STORE_DELETE_TURNS_FAILED, 1);
    if (err != ERR_OK)
        group->turn_retry_ns = clock_mono_ns(group->clock) + GROUP_TURN_RETRY_NS;
    else if (db_deletions(group->db) > 0)
        FAULT_POINT(STORE_DELETE_TURN);
}

/* The first of those who wait for this row has his answer; the others ask again. */
static void ask_again(struct store_group *group, struct list_node *waiting, const struct db_request *what)
{
    LIST_FOREACH (node, waiting) {
        struct group_request *request = LIST_ENTRY(node, struct group_request, link);
        if (request->what.entity == what->entity && request->what.id == what->id)
            move(request, &group->writes);
    }
}

/* A deletion ended; whose it was, and who removed the row, this one or another, is looked up. */
static void answer_ended(struct store_group *group)
{
    struct list_node waiting;
    if (group->ended == db_deletions_ended(group->db))
        return;
    group->ended = db_deletions_ended(group->db);
    list_init(&waiting);
    LIST_FOREACH (node, &group->deleting)
        move(LIST_ENTRY(node, struct group_request, link), &waiting);
    while (!list_empty(&waiting)) {
        struct group_request *request = LIST_ENTRY(waiting.next, struct group_request, link);
        struct db_request what = request->what;
        if (db_is_deleting(group->db, what.entity, what.id)) {
            move(request, &group->deleting);
            continue;
        }
        answer_write(group, request, &(struct db_answer){.status = 204, .body = ""});
        ask_again(group, &waiting, &what);
    }
}

static void answer_late(struct store_group *group, uint64_t now)
{
    LIST_FOREACH (node, &group->deleting) {
        struct group_request *request = LIST_ENTRY(node, struct group_request, link);
        if (now >= request->due_ns)
            answer_write(group, request, &FIXED(202, text_goes_on));
    }
}

void store_group_leave(struct store_group *group)
{
    answer_late(group, UINT64_MAX);
}

/* --- all of it ---------------------------------------------------------------------------------------------------------------- */

bool store_group_is_idle(const struct store_group *group)
{
    return group->waiting == 0 && db_deletions(group->db) == 0;
}

bool store_group_run(struct store_group *group)
{
    if (store_group_is_idle(group))
        return false;
    run_reads(group);
    run_writes(group);
    run_turn(group);
    answer_ended(group);
    answer_late(group, clock_mono_ns(group->clock));
    stats_set(group->stats, STORE_REQUESTS_WAITING, group->waiting);
    stats_set(group->stats, STORE_DELETIONS, db_deletions(group->db));
    return !list_empty(&group->reads) || !list_empty(&group->writes) || turn_is_due(group);
}
