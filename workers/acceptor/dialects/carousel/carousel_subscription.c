/* Hop: C2. See carousel_subscription.h, and endpoint.h "Resuming" for the order of a resumption's answers.
 *
 * A request is refused whole or done whole: everything that can go wrong is looked at before the connection's topics
 * change. Taking machines out of "all" replaces the one topic by those of all others, because a set of topics
 * can say "these", not "all but these", and so does "all" of a client that may see only some; rejected: exceptions per connection, which every record would have to look at. */
#include "carousel_subscription.h"

#include <stdlib.h>
#include <string.h>

#include "carousel_answer.h"
#include "must.h"

#define STATES  (1u << TOPIC_STATE)
#define RESULTS (1u << TOPIC_RESULT)
#define EVENTS  (1u << TOPIC_EVENT)

static const enum topic_kind_e all_kinds[] = {TOPIC_STATE, TOPIC_RESULT, TOPIC_EVENT};

static unsigned kinds_of(enum carousel_subscription_e subscription)
{
    switch (subscription) {
    case CAROUSEL_STATUS_UPDATES:
        return STATES;
    case CAROUSEL_COMMAND_RESULTS:
        return RESULTS;
    case CAROUSEL_ALL_EVENTS:
        return STATES | RESULTS | EVENTS;
    }
    MUST_NOT_REACH();
}

/* --- lists of topics ------------------------------------------------------------------------------------------------ */

struct topic_list {
    struct topic *at;
    uint32_t count, cap;
    bool failed; /* out of memory: the list is not complete */
};

static void list_push(struct topic_list *list, const struct topic *topic)
{
    if (list->count == list->cap && !list->failed) {
        uint32_t cap = list->cap > 0 ? 2 * list->cap : 4;
        struct topic *at = realloc(list->at, cap * sizeof *at);
        list->failed = at == NULL;
        list->at = at != NULL ? at : list->at;
        list->cap = at != NULL ? cap : list->cap;
    }
    if (!list->failed)
        list->at[list->count++] = *topic;
}

static void list_add(struct topic_list *list, enum topic_kind_e kind, const char *machine)
{
    struct topic topic;
    topic_make(&topic, kind, machine);
    list_push(list, &topic);
}

static bool has_topic(const struct endpoint_conn *conn, enum topic_kind_e kind, const char *machine)
{
    struct topic topic;
    topic_make(&topic, kind, machine);
    return endpoint_is_subscribed(conn, &topic);
}

/* --- a request ------------------------------------------------------------------------------------------------------ */

/* The machines that it names, in the client's order without repetition, or all in slot order. */
struct request {
    struct endpoint_conn *conn;
    struct endpoint *endpoint;
    const struct carousel_message *message;
    unsigned kinds;
    bool asked; /* by the client, who gets a confirmation or an error */
    const struct mirror_machine **machines;
    uint32_t count;
    unsigned char *named; /* a bit per slot */
};

static void refuse(const struct request *request, enum command_code_e code, const char *text,
                   const char *machine)
{
    if (request->asked)
        carousel_reply_error(request->conn, code, text, machine, "");
}

static bool is_named(const struct request *request, const struct mirror_machine *machine)
{
    return request->named[machine->slot / 8] >> machine->slot % 8 & 1;
}

static void name_machine(struct request *request, const struct mirror_machine *machine)
{
    if (is_named(request, machine))
        return;
    request->named[machine->slot / 8] |= (unsigned char)(1u << machine->slot % 8);
    request->machines[request->count++] = machine;
}

/* NULL, or the first id that names no machine: then the whole request is refused. */
static const struct carousel_id *resolve(struct request *request)
{
    const struct carousel_message *message = request->message;
    uint32_t slots = message->all_machines ? endpoint_machine_slots(request->endpoint) : 0;
    for (uint32_t slot = 0; slot < slots; slot++)
        if (carousel_machine(request->conn, slot) != NULL)
            name_machine(request, carousel_machine(request->conn, slot));
    for (uint32_t i = 0; i < message->id_count; i++) {
        const struct carousel_id *id = &message->ids[i];
        const struct mirror_machine *machine =
            carousel_find_machine(request->conn, id->text, strlen(id->text));
        if (machine == NULL)
            return id;
        name_machine(request, machine);
    }
    return NULL;
}

static void request_close(struct request *request)
{
    free(request->machines);
    free(request->named);
}

/* False: it was refused. */
static bool request_open(struct request *request, struct endpoint_conn *conn,
                         const struct carousel_message *message, bool asked)
{
    uint32_t slots = endpoint_machine_slots(endpoint_of(conn));
    *request = (struct request){.conn = conn,
                                .endpoint = endpoint_of(conn),
                                .message = message,
                                .kinds = kinds_of(message->subscription),
                                .asked = asked,
                                .machines = calloc(slots + 1, sizeof(*request->machines)),
                                .named = calloc(slots / 8 + 1, 1)};
    const struct carousel_id *unknown = NULL;
    bool memory = request->machines != NULL && request->named != NULL;
    if (memory)
        unknown = resolve(request);
    if (!memory)
        refuse(request, CODE_INTERNAL_ERROR, "", "");
    else if (unknown != NULL)
        refuse(request, CODE_MACHINE_NOT_FOUND, "", unknown->text);
    else if (carousel_states_bound(request->machines, request->count) > ENDPOINT_SCRATCH)
        refuse(request, CODE_RATE_LIMITED, "machine_ids: too many machines for one message; name fewer", "");
    else
        return true;
    request_close(request);
    return false;
}

/* False: the connection is as it was, and the client was told why. */
static bool accept(const struct request *request, enum err_e err)
{
    if (err == ERR_TOO_LARGE)
        refuse(request, CODE_RATE_LIMITED, "machine_ids: more subscriptions than a connection may have", "");
    else if (err != ERR_OK && err != ERR_CLOSED)
        refuse(request, CODE_INTERNAL_ERROR, "", "");
    return err == ERR_OK;
}

static void confirm(const struct request *request, const char *type)
{
    struct out out = carousel_large(request->conn);
    out_literal(&out, "{\"type\":");
    carousel_put_text(&out, type);
    out_literal(&out, ",\"subscription_type\":");
    carousel_put_text(&out, carousel_subscription_text(request->message->subscription));
    out_literal(&out, ",\"machine_ids\":[");
    for (uint32_t i = 0; i < request->count; i++) {
        if (i > 0)
            out_char(&out, ',');
        carousel_put_text(&out, request->machines[i]->info.id);
    }
    out_char(&out, ']');
    carousel_put_timestamp(&out, request->endpoint);
    out_char(&out, '}');
    carousel_reply(request->conn, &out);
}

/* --- subscribe ------------------------------------------------------------------------------------------------------ */

/* "All machines" of somebody who may see only some: each that is named, also of those that come later. `fresh`: that is not subscribed to. */
static void add_granted(const struct request *request, enum topic_kind_e kind, bool fresh,
                        struct topic_list *list)
{
    static const enum grant_e grants[] = {GRANT_MACHINES_VIEW, GRANT_MACHINES_COMMAND};
    for (unsigned g = 0; g < ARRAY_LEN(grants); g++) {
        uint32_t count;
        const char *const *names = identity_names(endpoint_identity(request->conn), grants[g], &count);
        for (uint32_t i = 0; i < count; i++)
            if (machine_id_valid(names[i], strlen(names[i])) &&
                !(fresh && has_topic(request->conn, kind, names[i])))
                list_add(list, kind, names[i]);
    }
}

static bool sees_all(const struct request *request)
{
    return endpoint_may_all(request->conn, GRANT_MACHINES_VIEW);
}

static void add_asked(const struct request *request, enum topic_kind_e kind, struct topic_list *list)
{
    bool all = request->message->all_machines;
    if (all && sees_all(request))
        list_add(list, kind, NULL);
    else if (all)
        add_granted(request, kind, false, list);
    for (uint32_t i = 0; !all && i < request->count; i++)
        list_add(list, kind, request->machines[i]->info.id);
}

static bool has_any(const struct request *request, enum topic_kind_e kind)
{
    for (uint32_t i = 0; i < request->count; i++)
        if (has_topic(request->conn, kind, request->machines[i]->info.id))
            return true;
    return false;
}

/* What is asked for and not subscribed to yet: of the rest, the connection has had every frame. */
static void add_fresh(const struct request *request, enum topic_kind_e kind, struct topic_list *list)
{
    if (has_topic(request->conn, kind, NULL))
        return;
    if (request->message->all_machines && !sees_all(request)) {
        add_granted(request, kind, true, list);
        return;
    }
    if (request->message->all_machines && !has_any(request, kind)) {
        list_add(list, kind, NULL);
        return;
    }
    for (uint32_t i = 0; i < request->count; i++)
        if (!has_topic(request->conn, kind, request->machines[i]->info.id))
            list_add(list, kind, request->machines[i]->info.id);
}

/* A status_broadcast of `count` machines that is complete up to `position`. */
static void send_snapshot(const struct request *request, const struct mirror_machine *const *machines,
                          uint32_t count, uint64_t position)
{
    char *payload = endpoint_scratch(request->endpoint);
    size_t len =
        carousel_write_states(request->endpoint, machines, count,
                              endpoint_may_seq(request->conn) ? position : 0, payload, ENDPOINT_SCRATCH);
    endpoint_reply(request->conn, payload, len);
}

/* Keeps the machines that changed since; an unknown ring keeps all. */
static void keep_changed(struct request *request, struct endpoint_since since)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < request->count; i++)
        if (!since.known || request->machines[i]->position >= since.position)
            request->machines[kept++] = request->machines[i];
    request->count = kept;
}

/* Behind the confirmation: gap, snapshot, and the frames that `since` has not seen. */
static void resume(struct request *request, struct endpoint_since since, const struct topic_list *fresh)
{
    struct endpoint_missed missed = {false, endpoint_position(request->endpoint)};
    if (fresh->count > 0)
        missed = endpoint_missed(request->endpoint, fresh->at, fresh->count, since);
    if (missed.gap)
        carousel_reply_gap(request->conn);
    keep_changed(request, since);
    if (request->kinds & STATES)
        send_snapshot(request, request->machines, request->count, missed.first);
    if (fresh->count > 0 && endpoint_replay(request->conn, fresh->at, fresh->count, missed) == ERR_MEMORY)
        carousel_reply_gap(request->conn);
}

static void subscribe_to(struct request *request, const struct endpoint_since *since)
{
    struct topic_list asked = {0}, fresh = {0};
    for (unsigned i = 0; i < ARRAY_LEN(all_kinds); i++) {
        enum topic_kind_e kind = all_kinds[i];
        if (!(request->kinds & 1u << kind))
            continue;
        add_asked(request, kind, &asked);
        if (since != NULL && kind != TOPIC_STATE)
            add_fresh(request, kind, &fresh);
    }
    enum err_e err = asked.failed || fresh.failed ? ERR_MEMORY : ERR_OK;
    if (err == ERR_OK && asked.count > 0)
        err = endpoint_subscribe(request->conn, asked.at, asked.count);
    if (accept(request, err)) {
        if (request->asked)
            confirm(request, "subscription_confirmed");
        if (since != NULL)
            resume(request, *since, &fresh);
        else if (request->kinds & STATES)
            send_snapshot(request, request->machines, request->count, endpoint_position(request->endpoint));
    }
    free(asked.at);
    free(fresh.at);
}

void carousel_subscribe(struct endpoint_conn *conn, const struct carousel_message *message)
{
    struct endpoint_since since;
    struct request request;
    if (message->has_since &&
        !endpoint_parse_seq(endpoint_of(conn), message->since, strlen(message->since), &since)) {
        carousel_reply_error(conn, CODE_INVALID_MESSAGE_FORMAT, "since: expected the seq of a frame, RING-N",
                             "", "");
        return;
    }
    if (!request_open(&request, conn, message, true))
        return;
    subscribe_to(&request, message->has_since ? &since : NULL);
    request_close(&request);
}

void carousel_subscribe_unasked(struct endpoint_conn *conn)
{
    struct carousel_message message;
    struct request request;
    message.subscription = CAROUSEL_STATUS_UPDATES;
    message.has_since = false;
    message.all_machines = true;
    message.id_count = 0;
    if (!request_open(&request, conn, &message, false))
        return;
    subscribe_to(&request, NULL);
    request_close(&request);
}

/* --- unsubscribe ---------------------------------------------------------------------------------------------------- */

/* All of the kind that the connection has, also of machines that are gone. */
static void leave_all(const struct request *request, enum topic_kind_e kind, struct topic_list *leave)
{
    const struct topic *topics;
    struct topic all;
    topic_make(&all, kind, NULL);
    size_t prefix = all.len - 1u; /* "state/#" without its last character */
    uint32_t count = endpoint_topics(request->conn, &topics);
    for (uint32_t i = 0; i < count; i++)
        if (topics[i].len > prefix && memcmp(topics[i].name, all.name, prefix) == 0)
            list_push(leave, &topics[i]);
}

/* `enter`: what stands for "all" from now on, if machines are taken out of it. */
static void leave_machines(const struct request *request, enum topic_kind_e kind, struct topic_list *leave,
                           struct topic_list *enter)
{
    bool all = request->count > 0 && has_topic(request->conn, kind, NULL);
    if (all)
        list_add(leave, kind, NULL);
    for (uint32_t i = 0; i < request->count; i++)
        list_add(leave, kind, request->machines[i]->info.id);
    for (uint32_t slot = 0; all && slot < endpoint_machine_slots(request->endpoint); slot++) {
        const struct mirror_machine *machine = endpoint_machine(request->endpoint, slot);
        if (machine != NULL && !is_named(request, machine))
            list_add(enter, kind, machine->info.id);
    }
}

void carousel_unsubscribe(struct endpoint_conn *conn, const struct carousel_message *message)
{
    struct request request;
    struct topic_list leave = {0}, enter = {0};
    if (!request_open(&request, conn, message, true))
        return;
    for (unsigned i = 0; i < ARRAY_LEN(all_kinds); i++) {
        if (!(request.kinds & 1u << all_kinds[i]))
            continue;
        if (message->all_machines)
            leave_all(&request, all_kinds[i], &leave);
        else
            leave_machines(&request, all_kinds[i], &leave, &enter);
    }
    enum err_e err = leave.failed || enter.failed ? ERR_MEMORY : ERR_OK;
    if (err == ERR_OK && enter.count > 0)
        err = endpoint_subscribe(conn, enter.at, enter.count);
    if (err == ERR_OK && leave.count > 0)
        err = endpoint_unsubscribe(conn, leave.at, leave.count);
    if (accept(&request, err))
        confirm(&request, "unsubscription_confirmed");
    free(leave.at);
    free(enter.at);
    request_close(&request);
}
