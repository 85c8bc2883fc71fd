/* Hops: C3, R3. See store_call.h and store_calls.h. */
#include "store_call.h"

#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "host.h"
#include "must.h"
#include "store_calls.h"

_Static_assert(STORE_CALL_ANSWER_MAX <= STORE_CALL_BYTES_MAX, "one answer fits");

#define UNAVAILABLE "Almac\xc3\xa9n no disponible"
#define NOT_BEGUN   "{\"detail\":\"" UNAVAILABLE ": no se ha hecho nada\"}"
#define READ_FAILED "{\"detail\":\"" UNAVAILABLE ": no ha respondido\"}"
#define UNKNOWN     "{\"detail\":\"" UNAVAILABLE ": no se sabe si el cambio se ha hecho\"}"

struct store_pending {
    struct list_node link;
    uint64_t serial;
    enum store_op_e op;
    bool taken; /* the link has it */
    uint64_t deadline_ns;
    store_done_f *done;
    void *arg;
    unsigned status; /* of the first part; 0: none came */
    uint64_t version;
    char *body;
    size_t len, cap;
};

void store_calls_init(struct store_calls *calls)
{
    *calls = (struct store_calls){0};
    list_init(&calls->open);
    map_init(&calls->by_serial);
}

/* --- how a call ends --------------------------------------------------------------------------------------------------- */

static void drop(struct store_calls *calls, struct store_pending *call)
{
    list_remove(&call->link);
    map_remove(&calls->by_serial, call->serial);
    calls->count--;
    calls->bytes -= call->cap;
    free(call->body);
    free(call);
}

/* The call is gone before its owner is told, who may ask again. A body of its own stays until he has read it. */
static void finish(struct store_calls *calls, struct store_pending *call, const struct store_answer *answer)
{
    store_done_f *done = call->done;
    void *arg = call->arg;
    char *body = call->body;
    calls->bytes -= call->cap;
    call->body = NULL;
    call->cap = 0;
    drop(calls, call);
    done(arg, answer);
    free(body);
}

static void fail(struct store_calls *calls, struct store_pending *call)
{
    const char *text = !call->taken ? NOT_BEGUN : store_op_writes(call->op) ? UNKNOWN : READ_FAILED;
    finish(calls, call, &(struct store_answer){.status = 503, .body = text, .len = strlen(text)});
}

/* Those on a list of their own, so that whoever is told may ask anew, or forget others of them. */
static void fail_all(struct store_calls *calls, struct list_node *ended, uint64_t *count)
{
    while (!list_empty(ended)) {
        *count += 1;
        fail(calls, LIST_ENTRY(ended->next, struct store_pending, link));
    }
}

static void move(struct list_node *to, struct store_pending *call)
{
    list_remove(&call->link);
    list_append(to, &call->link);
}

static void lose_taken(struct store_calls *calls)
{
    struct list_node ended;
    list_init(&ended);
    LIST_FOREACH (node, &calls->open) {
        struct store_pending *call = LIST_ENTRY(node, struct store_pending, link);
        if (call->taken)
            move(&ended, call);
    }
    fail_all(calls, &ended, &calls->counts.lost);
}

void store_calls_broker_down(struct endpoint_host *host)
{
    lose_taken(&host->store_calls);
}

void store_calls_tick(struct endpoint_host *host)
{
    struct store_calls *calls = &host->store_calls;
    uint64_t now = clock_mono_ns(host->clock);
    struct list_node untaken, late;
    list_init(&untaken);
    list_init(&late);
    LIST_FOREACH (node, &calls->open) {
        struct store_pending *call = LIST_ENTRY(node, struct store_pending, link);
        if (!call->taken)
            move(&untaken, call);
        else if (now >= call->deadline_ns)
            move(&late, call);
    }
    fail_all(calls, &untaken, &calls->counts.unavailable);
    fail_all(calls, &late, &calls->counts.timeouts);
}

void store_calls_stop(struct endpoint_host *host)
{
    struct store_calls *calls = &host->store_calls;
    calls->stopped = true;
    fail_all(calls, &calls->open, &calls->counts.lost);
}

void store_calls_fini(struct store_calls *calls)
{
    while (calls->count > 0)
        drop(calls, LIST_ENTRY(calls->open.next, struct store_pending, link));
    map_fini(&calls->by_serial);
}

/* --- the reply ----------------------------------------------------------------------------------------------------------- */

static bool is_status(uint64_t status)
{
    static const unsigned known[] = {200, 201, 202, 204, 400, 403, 404, 409,
                                     410, 412, 413, 422, 500, 503, 504};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i] == status)
            return true;
    return false;
}

static bool makes_sense(const struct store_pending *call, const struct wire_store_reply *reply)
{
    bool first = call->status == 0;
    if (reply->offset != call->len || !is_status(reply->status) || (reply->body.len == 0 && !reply->last))
        return false;
    if (!first && (reply->status != call->status || reply->version != call->version))
        return false;
    return (reply->status == 204) == (call->len + reply->body.len == 0);
}

/* False: no room. */
static bool reserve(struct store_calls *calls, struct store_pending *call, size_t len)
{
    if (len <= call->cap)
        return true;
    size_t cap = len > STORE_CALL_ANSWER_MAX / 2 ? STORE_CALL_ANSWER_MAX : 2 * len;
    if (len > STORE_CALL_ANSWER_MAX || calls->bytes - call->cap + cap > STORE_CALL_BYTES_MAX)
        return false;
    char *grown = realloc(call->body, cap);
    if (grown == NULL)
        return false;
    calls->bytes += cap - call->cap;
    call->body = grown;
    call->cap = cap;
    return true;
}

static bool append(struct store_calls *calls, struct store_pending *call, struct wire_text part)
{
    if (!reserve(calls, call, call->len + part.len))
        return false;
    if (part.len > 0)
        memcpy(call->body + call->len, part.at, part.len);
    call->len += part.len;
    return true;
}

static void note(struct endpoint_host *host, const char *what)
{
    uint32_t suppressed;
    if (log_limit_ok(&host->store_calls.log_limit, clock_mono_ns(host->clock), 10 * NS_PER_S, 1, &suppressed))
        log_error("store-reply", "error=\"%s\" suppressed=%u answered 503", what, suppressed);
}

static void take(struct endpoint_host *host, struct store_pending *call, const struct wire_store_reply *reply)
{
    struct store_calls *calls = &host->store_calls;
    struct wire_text whole = reply->body;
    bool alone = call->status == 0 && reply->last;
    call->status = (unsigned)reply->status;
    call->version = reply->version;
    if (!alone && !append(calls, call, reply->body)) {
        calls->counts.over_budget++;
        note(host, "no room for the store's answer");
        fail(calls, call);
        return;
    }
    if (!reply->last)
        return;
    if (!alone)
        whole = (struct wire_text){call->body, (uint32_t)call->len};
    calls->counts.answered++;
    FAULT_POINT(WORKER_REPLY_HEARD);
    finish(calls, call, &(struct store_answer){call->status, call->version, whole.at, whole.len});
}

static void on_reply(struct endpoint_host *host, const struct wire_store_reply *reply)
{
    struct store_calls *calls = &host->store_calls;
    struct store_pending *call = map_get(&calls->by_serial, reply->serial);
    if (call == NULL || !call->taken || reply->worker != host->incarnation) {
        calls->counts.late++;
    } else if (!makes_sense(call, reply)) {
        calls->counts.strange++;
        note(host, "the store's answer makes no sense");
        fail(calls, call);
    } else {
        take(host, call, reply);
    }
}

bool store_calls_hear(struct endpoint_host *host, const struct wire_message *message)
{
    if (message->type == WIRE_STORE_REPLY)
        on_reply(host, &message->store_reply);
    else if (message->type == WIRE_STORE_LOST)
        lose_taken(&host->store_calls);
    else
        return false;
    return true;
}

/* --- the request --------------------------------------------------------------------------------------------------------- */

static enum err_e send_up(struct endpoint_host *host, const struct store_call *call, uint64_t serial,
                          int64_t deadline_ms)
{
    struct wire_message message = {.type = WIRE_STORE_REQUEST};
    message.store_request = (struct wire_store_request){
        .worker = host->incarnation,
        .serial = serial,
        .operation = call->op,
        .entity = call->entity,
        .id = call->id,
        .version = call->version,
        .deadline_ms = deadline_ms,
        .who = wire_text(call->who),
        .arguments = {call->arguments_len > 0 ? call->arguments : "", (uint32_t)call->arguments_len},
    };
    return host->send_message(host->arg, &message);
}

static struct store_pending *add(struct store_calls *calls, const struct store_call *asked,
                                 store_done_f *done, void *arg)
{
    struct store_pending *call = calloc(1, sizeof *call);
    if (call == NULL || map_put(&calls->by_serial, calls->last_serial + 1, call) != ERR_OK) {
        free(call);
        return NULL;
    }
    call->serial = ++calls->last_serial;
    call->op = asked->op;
    call->done = done;
    call->arg = arg;
    list_init(&call->link);
    list_append(&calls->open, &call->link);
    calls->count++;
    return call;
}

enum err_e store_call(struct endpoint *endpoint, const struct store_call *asked, store_done_f *done,
                      void *arg, uint64_t *ticket)
{
    struct endpoint_host *host = endpoint->host;
    struct store_calls *calls = &host->store_calls;
    int64_t deadline_ms = asked->deadline_ms > 0 ? asked->deadline_ms : STORE_CALL_DEADLINE_MS;
    MUST(strlen(asked->who) <= IDENTITY_NAME_MAX);
    if (asked->arguments_len > WIRE_STORE_ARGUMENTS_MAX)
        return ERR_TOO_LARGE;
    if (calls->count == STORE_CALLS_MAX || calls->stopped) {
        calls->counts.full++;
        return ERR_FULL;
    }
    struct store_pending *call = add(calls, asked, done, arg);
    if (call == NULL)
        return ERR_MEMORY;
    call->deadline_ns =
        clock_mono_ns(host->clock) + ((uint64_t)deadline_ms + STORE_CALL_GRACE_MS) * NS_PER_MS;
    FAULT_POINT(WORKER_REQUEST_PENDING);
    enum err_e err = send_up(host, asked, call->serial, deadline_ms);
    if (err == ERR_FULL || err == ERR_MEMORY) {
        calls->counts.full++;
        drop(calls, call);
        return ERR_FULL;
    }
    call->taken = err == ERR_OK;
    if (call->taken) {
        calls->counts.asked++;
        FAULT_POINT(WORKER_REQUEST_SENT);
    }
    *ticket = call->serial;
    return ERR_OK;
}

void store_call_forget(struct endpoint *endpoint, uint64_t ticket)
{
    struct store_calls *calls = &endpoint->host->store_calls;
    struct store_pending *call = map_get(&calls->by_serial, ticket);
    if (call == NULL)
        return;
    calls->counts.forgotten++;
    drop(calls, call);
}
