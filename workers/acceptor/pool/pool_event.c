/* Messages, and OPEN and CLOSED, from waiting to answered (Hops: C2, R3; pool_internal.h has the picture). Every message leaves by
 * pool_event_free() alone, and whoever calls that has told its owner, or is about to, or there is none. */
#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "must.h"
#include "pool_internal.h"

static struct pool_event *event_of_conn(struct list_node *node)
{
    return LIST_ENTRY(node, struct pool_event, of_conn);
}

static struct pool_event *event_of_link(struct list_node *node)
{
    return LIST_ENTRY(node, struct pool_event, of_link);
}

/* --- a message's life ----------------------------------------------------------------------------------------------- */

static struct pool_event *event_new(const void *body, size_t len)
{
    bool small = len <= POOL_SMALL_BYTES;
    struct pool_event *event = malloc(sizeof *event + (small ? len : 0));
    if (event == NULL)
        return NULL;
    *event = (struct pool_event){.type = HANDLER_MESSAGE, .len = (uint32_t)len};
    event->body = small ? (char *)(event + 1) : malloc(len);
    if (event->body == NULL) {
        free(event);
        return NULL;
    }
    memcpy(event->body, body, len);
    list_init(&event->of_conn);
    list_init(&event->of_link);
    list_init(&event->due);
    return event;
}

static void body_free(struct pool_event *event)
{
    if (event->body != (char *)(event + 1))
        free(event->body);
    event->body = NULL;
}

static void count_waiting(struct pool_handler *handler, struct pool *pool, size_t len, bool more)
{
    handler->waiting += more ? 1 : -1u;
    handler->waiting_bytes += more ? len : 0 - len;
    pool->counts.waiting += more ? 1 : -(uint64_t)1;
    pool->counts.waiting_bytes += more ? len : 0 - len;
}

static bool has_room(const struct pool_handler *handler, size_t len)
{
    if (handler->waiting >= POOL_WAITING_MAX)
        return false;
    return handler->waiting == 0 || (handler->waiting_bytes < POOL_WAITING_BYTES &&
                                     len <= POOL_WAITING_BYTES - handler->waiting_bytes);
}

/* A part of what may wait: the half, a quarter. */
static bool waits_more_than(const struct pool_handler *handler, unsigned part)
{
    return handler->waiting >= POOL_WAITING_MAX / part || handler->waiting_bytes >= POOL_WAITING_BYTES / part;
}

enum err_e pool_event_wait(struct pool_conn *conn, const void *body, size_t len, uint64_t token)
{
    struct pool_handler *handler = conn->handler;
    if (!has_room(handler, len))
        return ERR_FULL;
    struct pool_event *event = event_new(body, len);
    if (event == NULL)
        return ERR_MEMORY;
    event->conn = conn;
    event->token = token;
    event->due_ns = pool_now(conn->pool) + handler->deadline_ns;
    list_append(&conn->waiting, &event->of_conn);
    list_append(&handler->due, &event->due);
    count_waiting(handler, conn->pool, len, true);
    if (!handler->pressed && waits_more_than(handler, 2)) {
        handler->pressed = true;
        conn->pool->pressed++;
    }
    return ERR_OK;
}

void pool_event_drained(struct pool *pool)
{
    for (size_t i = 0; i < pool->handler_count && pool->pressed > 0; i++) {
        struct pool_handler *handler = &pool->handlers[i];
        if (!handler->pressed || waits_more_than(handler, 4))
            continue;
        handler->pressed = false;
        pool->pressed--;
        if (pool->config.events->drained != NULL)
            pool->config.events->drained(pool->config.arg, i);
    }
}

void pool_event_free(struct pool_event *event)
{
    if (!event->written) /* then its connection is here */
        count_waiting(event->conn->handler, event->conn->pool, event->len, false);
    list_remove(&event->of_conn);
    list_remove(&event->of_link);
    list_remove(&event->due);
    body_free(event);
    free(event);
}

static bool is_wanted(const struct pool_event *event)
{
    return !list_empty(&event->due) && event->conn != NULL && !event->conn->gone;
}

/* The event is gone, and then its owner is told. */
static void conclude(struct pool_event *event, const struct pool_answer *answer)
{
    struct pool_conn *conn = event->conn;
    void *owner = conn->owner;
    uint64_t token = event->token;
    pool_event_free(event);
    conn->pool->config.events->answered(owner, token, answer);
}

/* --- to the link ---------------------------------------------------------------------------------------------------- */

static enum err_e encode(struct pool_link *link, const struct pool_conn *conn, const struct pool_event *event,
                         enum handler_message_e type)
{
    struct handler_message message = {.type = type, .event = link->last_number + 1, .conn = conn->id};
    if (type == HANDLER_OPEN) {
        message.path = handler_text(link->pool->config.conf->endpoints[conn->endpoint].path);
        message.query = conn->query;
        message.principal = conn->principal;
        message.peer = conn->peer;
        message.resumed = conn->taken;
    } else if (type == HANDLER_MESSAGE) {
        message.body_bytes = event->body;
        message.body_len = event->len;
    }
    size_t before = link->out.size;
    enum err_e err = handler_encode(&message, &link->out);
    link->out_end += link->out.size - before;
    return err;
}

static void into_window(struct pool_link *link, struct pool_event *event)
{
    if (link->window.count == 0)
        link->quiet_since_ns = link->pool->awake_ns;
    event->number = ++link->last_number;
    event->end = link->out_end;
    MUST(map_put(&link->window, event->number, event) == ERR_OK); /* it is reserved */
    list_append(&link->unwritten, &event->of_link);
}

static void out_of_window(struct pool_link *link, struct pool_event *event)
{
    map_remove(&link->window, event->number);
    list_remove(&event->of_link);
    event->number = 0;
}

/* ERR_MEMORY: nothing has happened. */
static enum err_e put_next(struct pool_link *link, struct pool_conn *conn)
{
    enum handler_message_e type = pool_conn_next(conn);
    if (type == 0)
        return ERR_OK;
    bool message = type == HANDLER_MESSAGE;
    struct pool_event *event = message ? event_of_conn(conn->waiting.next) : &conn->life;
    enum err_e err = encode(link, conn, event, type);
    if (err == ERR_MEMORY)
        return err;
    if (message) {
        list_remove(&event->of_conn);
        list_append(&conn->sent, &event->of_conn);
    }
    if (err != ERR_OK) { /* of a message: pool_open() has looked at what OPEN says */
        MUST(message);
        list_append(&link->pool->failed, &event->of_link);
        return ERR_OK;
    }
    event->type = type;
    event->written = false;
    conn->state = type == HANDLER_OPEN ? CONN_OPENING : type == HANDLER_CLOSED ? CONN_CLOSING : conn->state;
    into_window(link, event);
    return ERR_OK;
}

static bool has_room_for_more(const struct pool_link *link)
{
    return link->window.count < HANDLER_WINDOW && link->out.size - link->out_at < POOL_OUT_BYTES;
}

/* Several in a row: answers that come in a row leave with one write to their client. */
static enum err_e put_turn(struct pool_link *link, struct pool_conn *conn)
{
    enum err_e err = ERR_OK;
    for (unsigned n = 0; n < POOL_TURN && err == ERR_OK && has_room_for_more(link); n++)
        err = put_next(link, conn);
    return err;
}

void pool_event_fill(struct pool_link *link)
{
    while (has_room_for_more(link) && !list_empty(&link->ready)) {
        struct pool_conn *conn = LIST_ENTRY(link->ready.next, struct pool_conn, ready);
        if (put_turn(link, conn) == ERR_MEMORY)
            return; /* pool_tick() has it tried again */
        list_remove(&conn->ready);
        pool_conn_ready(conn);
    }
}

static void is_written(struct pool_link *link, struct pool_event *event, uint64_t now)
{
    struct pool_counts *counts = &link->pool->counts;
    event->written = true;
    event->sent_ns = now;
    list_remove(&event->of_link);
    list_append(&link->flying, &event->of_link);
    if (event->type == HANDLER_MESSAGE) {
        count_waiting(link->handler, link->pool, event->len, false);
        if (event->len > POOL_SMALL_BYTES)
            body_free(event);
        FAULT_POINT(WORKER_HANDLER_MESSAGE_SENT);
    } else if (event->type == HANDLER_OPEN) {
        *(event->conn->taken ? &counts->resumed : &counts->opened) += 1;
        FAULT_POINT(WORKER_HANDLER_OPEN_SENT);
    } else {
        counts->closed++;
        FAULT_POINT(WORKER_HANDLER_CLOSED_SENT);
    }
}

void pool_event_written(struct pool_link *link)
{
    uint64_t now = pool_now(link->pool);
    while (!list_empty(&link->unwritten)) {
        struct pool_event *event = event_of_link(link->unwritten.next);
        if (event->end > link->out_sent)
            return;
        is_written(link, event, now);
    }
}

bool pool_event_overdue(const struct pool_link *link)
{
    if (list_empty(&link->flying))
        return false;
    uint64_t sent = event_of_link(link->flying.next)->sent_ns;
    return pool_now(link->pool) - sent >= link->handler->deadline_ns;
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

bool pool_event_taken(struct pool_link *link, uint64_t number)
{
    struct pool_event *event = number ? map_get(&link->window, number) : NULL;
    if (event == NULL || !event->written || event->type == HANDLER_MESSAGE)
        return false;
    out_of_window(link, event);
    pool_link_dirty(link);
    pool_conn_taken(event->conn);
    return true;
}

bool pool_event_reply(struct pool_link *link, uint64_t number, const struct pool_answer *answer)
{
    struct pool_event *event = number ? map_get(&link->window, number) : NULL;
    if (event == NULL || !event->written || event->type != HANDLER_MESSAGE)
        return false;
    out_of_window(link, event);
    pool_link_dirty(link);
    struct pool_counts *counts = &link->pool->counts;
    if (!is_wanted(event)) {
        counts->late++;
        pool_event_free(event);
        return true;
    }
    *(answer->outcome == POOL_REPLY ? &counts->replies : &counts->failed) += 1;
    FAULT_POINT(WORKER_HANDLER_REPLIED);
    conclude(event, answer);
    return true;
}

/* Its deadline has passed. What a process has stays in that one's window until it is answered. */
static void time_out(struct pool_event *event)
{
    struct pool_conn *conn = event->conn;
    bool waits = event->number == 0, wanted = is_wanted(event);
    uint64_t token = event->token;
    list_remove(&event->due);
    if (waits)
        pool_event_free(
            event); /* its connection still stands among the ready ones of its link, if it has one */
    if (!wanted)
        return;
    struct pool_counts *counts = &conn->pool->counts;
    *(waits ? &counts->unavailable : &counts->timeouts) += 1;
    struct pool_answer answer = {.outcome = waits ? POOL_UNAVAILABLE : POOL_TIMEOUT};
    conn->pool->config.events->answered(conn->owner, token, &answer);
}

void pool_event_timeouts(struct pool_handler *handler)
{
    uint64_t now = pool_now(handler->pool);
    while (!list_empty(&handler->due)) {
        struct pool_event *event = LIST_ENTRY(handler->due.next, struct pool_event, due);
        if (event->due_ns > now)
            return;
        time_out(event);
    }
}

/* --- the end of a link ------------------------------------------------------------------------------------------------ */

/* Nobody has read it whole: to the head of what waits at its connection. */
static void take_back(struct pool_event *event)
{
    if (event->type != HANDLER_MESSAGE)
        return;
    if (list_empty(&event->due)) { /* answered */
        pool_event_free(event);
        return;
    }
    list_remove(&event->of_conn);
    list_append(event->conn->waiting.next, &event->of_conn);
}

static void lose(struct pool *pool, struct pool_event *event)
{
    if (event->type != HANDLER_MESSAGE)
        return;
    if (is_wanted(event))
        list_append(&pool->failed, &event->of_link);
    else
        pool_event_free(event);
}

void pool_event_link_ended(struct pool_link *link)
{
    while (!list_empty(&link->unwritten)) { /* the newest first */
        struct pool_event *event = event_of_link(link->unwritten.prev);
        out_of_window(link, event);
        take_back(event);
    }
    while (!list_empty(&link->flying)) {
        struct pool_event *event = event_of_link(link->flying.next);
        out_of_window(link, event);
        lose(link->pool, event);
    }
}

void pool_event_tell_failed(struct pool *pool)
{
    static const struct pool_answer failed = {.outcome = POOL_FAILED};
    while (!list_empty(&pool->failed)) {
        struct pool_event *event = event_of_link(pool->failed.next);
        if (is_wanted(event)) {
            pool->counts.failed++;
            conclude(event, &failed);
        } else {
            pool_event_free(event);
        }
    }
}
