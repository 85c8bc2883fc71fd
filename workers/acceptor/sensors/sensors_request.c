/* Hops: C2, C3, R3, R4. A request from its handler to its answer: may the client, is it valid, ask the store (twice where a condition names several
 * versions: which one is it, then the change at this version), answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "channels_stats.h"
#include "identity.h"
#include "must.h"
#include "sensors_internal.h"
#include "store_call.h"

#define FORBIDDEN "No autorizado"
#define BUSY      "Demasiadas peticiones en curso: no se ha hecho nada"
/* Two calls of the store, each with its grace, and a second. Whoever is asked answers before. */
#define WAIT_MS (2 * (STORE_CALL_DEADLINE_MS + 1000) + 1000)

struct sensors_request { /* one that waits */
    struct list_node link;
    struct sensors *sensors;
    struct http_exchange *exchange;
    struct sensors_asked asked;
    enum store_op_e op; /* under way */
    uint64_t id, ticket;
    struct conditions conditions;
    bool looks; /* the version is asked for; the change follows */
    size_t arguments_len;
    char arguments[]; /* of the change that follows */
};

/* --- the end of a request ------------------------------------------------------------------------------------------------- */

static struct http_exchange *take_exchange(struct sensors_request *request)
{
    struct http_exchange *x = request->exchange;
    list_remove(&request->link);
    free(request);
    return x;
}

static void forget_ticket(const struct sensors_request *request)
{
    struct endpoint *endpoint = request->sensors->config.endpoint;
    if (request->asked.op == STORE_OP_NONE)
        channels_stats_forget(endpoint, request->ticket);
    else
        store_call_forget(endpoint, request->ticket);
}

static void on_cancel(void *state)
{
    struct sensors_request *request = state;
    request->sensors->counts.orphaned++;
    forget_ticket(request);
    (void)take_exchange(request);
}

void sensors_give_up(struct sensors *sensors)
{
    while (!list_empty(&sensors->waiting)) {
        struct sensors_request *request = LIST_ENTRY(sensors->waiting.next, struct sensors_request, link);
        bool writes = store_op_writes(request->op);
        forget_ticket(request);
        sensors_refuse(take_exchange(request), 503,
                       writes ? "El servidor se detiene: no se sabe si el cambio se ha hecho"
                              : "El servidor se detiene");
    }
}

/* --- the answer ------------------------------------------------------------------------------------------------------------ */

/* Of a body that begins {"id":7: the store's are made so. */
static uint64_t id_made(const struct store_answer *answer)
{
    static const char begin[] = "{\"id\":";
    uint64_t id = 0;
    size_t at = sizeof begin - 1;
    if (answer->len <= at || memcmp(answer->body, begin, at) != 0)
        return 0;
    for (; at < answer->len && answer->body[at] >= '0' && answer->body[at] <= '9' && id < UINT64_MAX / 100;
         at++)
        id = 10 * id + (uint64_t)(answer->body[at] - '0');
    return id;
}

static void put_headers(struct out *out, const struct sensors_asked *asked, const struct store_answer *answer)
{
    uint64_t id = answer->status == 201 && asked->segment != NULL ? id_made(answer) : 0;
    if (answer->version > 0 && answer->status < 400) {
        out_literal(out, "ETag: \"");
        out_u64(out, answer->version);
        out_literal(out, "\"\r\n");
    }
    if (id > 0) {
        out_literal(out, "Location: /api/v1/");
        out_text(out, asked->segment);
        out_char(out, '/');
        out_u64(out, id);
        out_literal(out, "\r\n");
    }
    out_char(out, '\0');
    MUST(!out->overflow);
}

/* 304 where the client has it already; 412 where it wants another version. */
static unsigned status_of(const struct sensors_request *request, const struct store_answer *answer)
{
    const struct conditions *conditions = &request->conditions;
    if (request->op != STORE_OP_READ || answer->status != 200)
        return answer->status;
    if (conditions->match.given && !etags_have(&conditions->match, answer->version))
        return 412;
    return conditions->none_match.given && etags_have(&conditions->none_match, answer->version) ? 304 : 200;
}

static void finish(struct sensors_request *request, const struct store_answer *answer)
{
    char headers[256];
    struct out out = out_init(headers, sizeof headers);
    struct sensors *sensors = request->sensors;
    unsigned status = status_of(request, answer);
    bool versioned = answer->version > 0 && status < 400;
    put_headers(&out, &request->asked, answer);
    struct http_exchange *x = take_exchange(request);
    sensors->counts.stale += status != answer->status;
    if (status == 412 && answer->status != 412) {
        sensors_refuse(x, 412, "La versi\xc3\xb3n ha cambiado");
        return;
    }
    bool empty = status == 204 || status == 304;
    http_answer(x, &(struct http_response){.status = status,
                                           .type = empty ? NULL : "application/json",
                                           .cache_control = versioned ? "private, no-cache" : NULL,
                                           .headers = headers,
                                           .body = empty ? NULL : answer->body,
                                           .body_len = empty ? 0 : answer->len});
}

/* --- asking ---------------------------------------------------------------------------------------------------------------- */

static void on_answer(void *arg, const struct store_answer *answer);

static enum err_e ask(struct sensors_request *request, enum store_op_e op, uint64_t version,
                      const void *arguments, size_t len)
{
    struct sensors *sensors = request->sensors;
    const struct store_call call = {.op = op,
                                    .entity = request->asked.row->entity,
                                    .id = request->id,
                                    .version = version,
                                    .who = http_principal(request->exchange),
                                    .arguments = arguments,
                                    .arguments_len = len};
    enum err_e err = store_call(sensors->config.endpoint, &call, on_answer, request, &request->ticket);
    if (err == ERR_OK && store_op_writes(op))
        sensors->counts.writes++;
    else if (err == ERR_OK)
        sensors->counts.reads++;
    return err;
}

static void refuse_full(struct sensors *sensors, struct http_exchange *x, enum err_e err)
{
    sensors->counts.refused++;
    if (err == ERR_TOO_LARGE)
        sensors_refuse(x, 413, "Demasiados datos en una petici\xc3\xb3n");
    else
        sensors_refuse(x, 503, BUSY);
}

/* The version is known: the change, if it goes ahead, is one of exactly this. */
static void change(struct sensors_request *request, const struct store_answer *now)
{
    struct sensors *sensors = request->sensors;
    if (now->status != 200) {
        finish(request, now);
        return;
    }
    if (!conditions_hold(&request->conditions, now->version)) {
        sensors->counts.stale++;
        sensors_refuse(take_exchange(request), 412, "La versi\xc3\xb3n ha cambiado");
        return;
    }
    request->looks = false;
    request->op = request->asked.op;
    enum err_e err = ask(request, request->op, now->version, request->arguments, request->arguments_len);
    if (err != ERR_OK)
        refuse_full(sensors, take_exchange(request), err);
}

static void on_answer(void *arg, const struct store_answer *answer)
{
    struct sensors_request *request = arg;
    if (request->looks)
        change(request, answer);
    else
        finish(request, answer);
}

static void on_stats(void *arg, unsigned status, const char *body, size_t len)
{
    finish(arg, &(struct store_answer){.status = status, .body = body, .len = len});
}

/* --- the request ------------------------------------------------------------------------------------------------------------ */

/* False: it was answered. */
static bool judge_entity(struct sensors *sensors, struct http_exchange *x, const struct sensors_row *row)
{
    const struct entity *entity = entity_of(row->entity);
    if (entity == NULL)
        return true;
    enum grant_e grant = row->grant == GRANTED_READ ? GRANT_ENTITIES_READ : GRANT_ENTITIES_WRITE;
    if (identity_may(http_identity(x), grant, entity->type, strlen(entity->type)))
        return true;
    sensors->counts.forbidden++;
    sensors_refuse(x, 403, FORBIDDEN);
    return false;
}

static bool judge_channel(struct sensors *sensors, struct http_exchange *x, const struct sensors_row *row,
                          const char *channel)
{
    const struct identity *identity = http_identity(x);
    bool may = true;
    if (row->grant == GRANTED_CHANNEL)
        may = channel != NULL && identity_may(identity, GRANT_CHANNELS, channel, strlen(channel));
    else if (row->grant == GRANTED_CHANNELS)
        may = identity_may_all(identity, GRANT_CHANNELS);
    if (may)
        return true;
    sensors->counts.forbidden++;
    sensors_refuse(x, 403, FORBIDDEN);
    return false;
}

static bool read_conditions(struct http_exchange *x, const struct sensors_row *row,
                            struct conditions *conditions)
{
    *conditions = (struct conditions){0};
    if (row->op != STORE_OP_READ && row->op != STORE_OP_UPDATE && row->op != STORE_OP_DELETE)
        return true;
    if (!etags_parse(http_header(x, "if-match"), false, &conditions->match)) {
        sensors_refuse(x, 400, "If-Match: se espera una lista de ETags");
        return false;
    }
    if (!etags_parse(http_header(x, "if-none-match"), true, &conditions->none_match)) {
        sensors_refuse(x, 400, "If-None-Match: se espera una lista de ETags");
        return false;
    }
    return true;
}

static struct sensors_request *request_new(struct sensors *sensors, struct http_exchange *x,
                                           const struct sensors_asked *asked, size_t room)
{
    struct sensors_request *request = calloc(1, sizeof *request + room);
    if (request == NULL)
        return NULL;
    request->sensors = sensors;
    request->exchange = x;
    request->asked = *asked;
    request->op = asked->op;
    list_init(&request->link);
    list_append(&sensors->waiting, &request->link);
    return request;
}

static void waits(struct sensors *sensors, struct sensors_request *request, enum err_e err)
{
    struct http_exchange *x = request->exchange;
    if (err == ERR_OK)
        http_wait(x, on_cancel, request, WAIT_MS);
    else
        refuse_full(sensors, take_exchange(request), err);
}

static void ask_store(struct sensors *sensors, struct http_exchange *x, const struct sensors_asked *asked,
                      const struct sensors_wanted *wanted, const struct out *arguments)
{
    struct conditions conditions;
    uint64_t version = 0;
    if (!read_conditions(x, asked->row, &conditions))
        return;
    bool looks = asked->op != STORE_OP_READ && !conditions_are_simple(&conditions, &version);
    struct sensors_request *request = request_new(sensors, x, asked, looks ? arguments->len : 0);
    if (request == NULL) {
        refuse_full(sensors, x, ERR_MEMORY);
        return;
    }
    request->id = wanted->id;
    request->conditions = conditions;
    request->looks = looks;
    if (looks) {
        memcpy(request->arguments, arguments->at, arguments->len);
        request->arguments_len = arguments->len;
        request->op = STORE_OP_READ;
        waits(sensors, request, ask(request, STORE_OP_READ, 0, "", 0));
        return;
    }
    if (asked->op == STORE_OP_READ)
        version = 0; /* status_of() judges that */
    waits(sensors, request, ask(request, request->op, version, arguments->at, arguments->len));
}

static void ask_channels(struct sensors *sensors, struct http_exchange *x, const struct sensors_asked *asked,
                         const char *channel)
{
    struct sensors_request *request = request_new(sensors, x, asked, 0);
    if (request == NULL) {
        refuse_full(sensors, x, ERR_MEMORY);
        return;
    }
    sensors->counts.stats++;
    waits(sensors, request,
          channels_stats(sensors->config.endpoint, channel, channel != NULL ? strlen(channel) : 0, on_stats,
                         request, &request->ticket));
}

void sensors_handle(void *arg, struct http_exchange *x)
{
    struct sensors *sensors = arg;
    struct sensors_asked asked = sensors->asked[http_route_of(x) - sensors->routes];
    struct sensors_wanted wanted;
    if (!judge_entity(sensors, x, asked.row))
        return;
    json_t *valid = sensors_input(sensors, x, &asked);
    if (valid == NULL)
        return;
    struct out arguments = out_init(endpoint_scratch(sensors->config.endpoint), ENDPOINT_SCRATCH);
    sensors_arguments(valid, &wanted, &arguments);
    MUST(!arguments.overflow); /* a body is far smaller */
    if (json_is_array(json_object_get(valid, "body")))
        asked.op = STORE_OP_CREATE_MANY;
    if (judge_channel(sensors, x, asked.row, wanted.channel)) {
        if (asked.op == STORE_OP_NONE)
            ask_channels(sensors, x, &asked, wanted.channel);
        else
            ask_store(sensors, x, &asked, &wanted, &arguments);
    }
    json_decref(valid);
}
