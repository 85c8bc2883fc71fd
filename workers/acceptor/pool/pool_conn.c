/* Connections: which process has one, and what it needs next (Hop: C2).
 *
 *     NEW ──OPEN──▶ OPENING ──TAKEN──▶ OPEN ──(gone, nothing waits) CLOSED──▶ CLOSING ──TAKEN──▶ no more
 *      ▲               │                 │                                       │
 *      └───────────────┴────the link ends: another process, or homeless──────────┘   OPEN is `resumed` if one was TAKEN;
 *                                                                                   gone and never TAKEN: no more
 */
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "pool_internal.h"
#include "utf8.h"

enum handler_message_e pool_conn_next(const struct pool_conn *conn)
{
    if (conn->link == NULL)
        return 0;
    switch (conn->state) {
    case CONN_NEW:
        return HANDLER_OPEN;
    case CONN_OPENING:
    case CONN_OPEN:
        if (!list_empty(&conn->waiting))
            return HANDLER_MESSAGE;
        return conn->gone && conn->state == CONN_OPEN ? HANDLER_CLOSED : 0;
    case CONN_CLOSING:
        return 0;
    }
    MUST_NOT_REACH();
}

void pool_conn_ready(struct pool_conn *conn)
{
    if (!list_empty(&conn->ready) || pool_conn_next(conn) == 0)
        return;
    list_append(&conn->link->ready, &conn->ready);
    pool_link_dirty(conn->link);
}

/* --- whose it is -------------------------------------------------------------------------------------------------------- */

static bool takes_connections(const struct pool_link *link)
{
    return link->state == LINK_UP && !link->broken && !link->killed;
}

/* The one with the fewest; one with something overdue only if all have. */
static struct pool_link *best_link(struct pool_handler *handler)
{
    struct pool_link *best = NULL;
    bool best_overdue = false;
    for (uint32_t i = 0; i < handler->link_count; i++) {
        struct pool_link *link = &handler->links[i];
        if (!takes_connections(link))
            continue;
        bool overdue = pool_event_overdue(link);
        if (best == NULL || (best_overdue && !overdue) ||
            (best_overdue == overdue && link->conn_count < best->conn_count)) {
            best = link;
            best_overdue = overdue;
        }
    }
    return best;
}

void pool_conn_place(struct pool_conn *conn)
{
    struct pool_link *link = best_link(conn->handler);
    list_remove(&conn->of_link);
    conn->link = link;
    if (link == NULL) {
        list_append(&conn->handler->homeless, &conn->of_link);
        return;
    }
    list_append(&link->conns, &conn->of_link);
    link->conn_count++;
    pool_conn_ready(conn);
}

static void detach(struct pool_conn *conn)
{
    list_remove(&conn->of_link);
    list_remove(&conn->ready);
    if (conn->link != NULL)
        conn->link->conn_count--;
    conn->link = NULL;
}

void pool_conn_leave(struct pool_conn *conn)
{
    detach(conn);
    conn->state = CONN_NEW;
    if (conn->gone && !conn->taken)
        pool_conn_free(conn);
    else
        pool_conn_place(conn);
}

void pool_conn_anew(struct pool_conn *conn)
{
    bool told = conn->state == CONN_OPENING &&
                conn->life.written; /* it takes that, sees the end, and runs on_disconnect */
    if (!told && conn->state != CONN_OPEN && conn->state != CONN_CLOSING)
        return;
    conn->taken = false;
    conn->pool->counts.anew++;
}

void pool_conn_taken(struct pool_conn *conn)
{
    if (conn->state == CONN_CLOSING) {
        pool_conn_free(conn);
        return;
    }
    MUST(conn->state == CONN_OPENING);
    conn->state = CONN_OPEN;
    conn->taken = true;
    pool_conn_ready(conn);
}

struct pool_conn *pool_conn_of(const struct pool_link *link, uint64_t id)
{
    struct pool_conn *conn = id ? map_get(&link->pool->conns, id) : NULL;
    return conn != NULL && conn->link == link && !conn->gone ? conn : NULL;
}

/* --- beginning and end ---------------------------------------------------------------------------------------------------- */

static bool may_be_sent(const char *text, size_t max)
{
    size_t len = strlen(text);
    return len <= max && utf8_is_valid(text, len);
}

static struct handler_text copy_text(char **at, const char *text)
{
    struct handler_text copy = {*at, (uint32_t)strlen(text)};
    memcpy(*at, text, copy.len);
    *at += copy.len;
    return copy;
}

static struct pool_conn *conn_new(struct pool *pool, const struct pool_client *client, void *owner)
{
    size_t texts = strlen(client->query) + strlen(client->principal) + strlen(client->peer);
    struct pool_conn *conn = malloc(sizeof *conn + texts);
    if (conn == NULL || map_put(&pool->conns, pool->last_conn + 1, conn) != ERR_OK) {
        free(conn);
        return NULL;
    }
    *conn = (struct pool_conn){
        .pool = pool, .owner = owner, .id = ++pool->last_conn, .endpoint = client->endpoint};
    char *at = conn->texts;
    conn->query = copy_text(&at, client->query);
    conn->principal = copy_text(&at, client->principal);
    conn->peer = copy_text(&at, client->peer);
    conn->life.conn = conn;
    struct list_node *nodes[] = {&conn->of_link,      &conn->ready,        &conn->waiting, &conn->sent,
                                 &conn->life.of_conn, &conn->life.of_link, &conn->life.due};
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
        list_init(nodes[i]);
    pool->counts.conns++;
    return conn;
}

struct pool_conn *pool_open(struct pool *pool, const struct pool_client *client, void *owner)
{
    MUST(client->endpoint < pool->config.conf->endpoint_count);
    size_t handler = pool->config.conf->endpoints[client->endpoint].handler;
    MUST(handler < pool->handler_count);
    if (!may_be_sent(client->query, HANDLER_QUERY_MAX) || !may_be_sent(client->principal, HANDLER_NAME_MAX) ||
        !may_be_sent(client->peer, HANDLER_NAME_MAX))
        return NULL;
    struct pool_conn *conn = conn_new(pool, client, owner);
    if (conn == NULL)
        return NULL;
    conn->handler = &pool->handlers[handler];
    pool_conn_place(conn);
    return conn;
}

void pool_conn_free(struct pool_conn *conn)
{
    detach(conn);
    LIST_FOREACH (it, &conn->waiting)
        pool_event_free(LIST_ENTRY(it, struct pool_event, of_conn));
    LIST_FOREACH (it, &conn->sent) { /* answered or not, nobody is told any more */
        struct pool_event *event = LIST_ENTRY(it, struct pool_event, of_conn);
        list_remove(&event->of_conn);
        list_remove(&event->due);
        if (event->written)
            event->conn = NULL;
        else
            pool_event_free(event); /* it is on no link: CLOSED goes behind all of them */
    }
    map_remove(&conn->pool->conns, conn->id);
    conn->pool->counts.conns--;
    free(conn);
}

enum err_e pool_send(struct pool_conn *conn, const void *body, size_t len, uint64_t token)
{
    MUST(!conn->gone);
    struct pool_counts *counts = &conn->pool->counts;
    enum err_e err = handler_value(body, len);
    if (err == ERR_OK)
        err = pool_event_wait(conn, body, len, token);
    if (err == ERR_FULL)
        counts->full++;
    if (err != ERR_OK)
        return err;
    counts->messages++;
    pool_conn_ready(conn);
    return ERR_OK;
}

bool pool_is_pressed(const struct pool_conn *conn)
{
    return conn->handler->pressed;
}

static void abandon(struct pool *pool, struct list_node *events)
{
    LIST_FOREACH (it, events)
        pool->counts.abandoned += !list_empty(&LIST_ENTRY(it, struct pool_event, of_conn)->due);
}

void pool_close(struct pool_conn *conn)
{
    MUST(!conn->gone);
    conn->gone = true;
    conn->owner = NULL;
    abandon(conn->pool, &conn->waiting);
    abandon(conn->pool, &conn->sent);
    if (conn->state == CONN_NEW && !conn->taken)
        pool_conn_free(conn);
    else
        pool_conn_ready(conn);
}
