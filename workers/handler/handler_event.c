/* handler_event.c — what a worker says, as calls of the program's functions: the rules of exactly once (HANDLER.md).
 *
 * TAKEN leaves before on_connect, on_resume or on_disconnect runs: a worker that has it never gives the event to another process,
 * one that has not always does. So the call is made once, unless this process dies within it. If TAKEN cannot leave because the
 * worker is dead, nobody else will ever hear of the connection: on_connect is left out, and on_disconnect with it; an on_disconnect that
 * is due runs.
 *
 * Rejected: TAKEN after the call (an event would run twice if the process died behind it), and on_connect at the first
 * message (a connection that only listens would have none).
 */
#include "handler_process.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

#define FAILED_CODE   1011
#define FAILED_REASON "The handler failed"

/* --- connections --- */

static const char *keep(char **room, struct handler_text text)
{
    char *at = *room;
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    at[text.len] = '\0';
    *room += text.len + 1;
    return at;
}

static const struct noria_endpoint *endpoint_at(const struct noria_handler *handler, struct handler_text path)
{
    for (size_t i = 0; i < handler->endpoint_count; i++)
        if (strlen(handler->endpoints[i].path) == path.len &&
            memcmp(handler->endpoints[i].path, path.at, path.len) == 0)
            return &handler->endpoints[i];
    return NULL;
}

static bool is_traditional(const struct link *link, struct handler_text path)
{
    for (size_t i = 0; i < link->path_count; i++)
        if (link->paths[i].len == path.len && memcmp(link->paths[i].at, path.at, path.len) == 0)
            return link->traditional[i];
    return false;
}

static struct noria_conn *conn_new(struct link *link, const struct handler_message *open)
{
    struct noria_conn *conn;
    conn =
        calloc(1, sizeof *conn + open->path.len + open->query.len + open->principal.len + open->peer.len + 4);
    if (conn == NULL || map_put(&link->conns, open->conn, conn) != ERR_OK) {
        free(conn);
        return NULL;
    }
    char *room = (char *)(conn + 1);
    conn->link = link;
    conn->number = open->conn;
    conn->endpoint = endpoint_at(link->handler, open->path);
    conn->traditional = is_traditional(link, open->path);
    conn->path = keep(&room, open->path);
    conn->query = keep(&room, open->query);
    conn->principal = keep(&room, open->principal);
    conn->peer = keep(&room, open->peer);
    list_append(&link->conn_list, &conn->node);
    return conn;
}

void conn_forget(struct noria_conn *conn, bool told)
{
    const struct noria_endpoint *endpoint = conn->endpoint;
    if (told && conn->taken && endpoint != NULL && endpoint->on_disconnect != NULL)
        endpoint->on_disconnect(conn);
    LIST_FOREACH (it, &conn->link->requests) {
        struct noria_request *request = LIST_ENTRY(it, struct noria_request, node);
        if (request->conn == conn)
            request->conn = NULL;
    }
    if (conn->user != NULL && endpoint != NULL && endpoint->free_user != NULL)
        endpoint->free_user(conn->user);
    map_remove(&conn->link->conns, conn->number);
    list_remove(&conn->node);
    free(conn);
}

/* --- requests --- */

static struct noria_request *request_new(struct noria_conn *conn, uint64_t event)
{
    struct noria_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->handler = conn->link->handler;
    request->link = conn->link;
    request->conn = conn;
    request->event = event;
    list_append(&conn->link->requests, &request->node);
    conn->link->request_count++;
    return request;
}

void request_free(struct noria_request *request)
{
    if (request->link != NULL)
        request->link->request_count--;
    list_remove(&request->node);
    free(request);
}

/* {"errorList": [{"loc": [], "type": "handler_failed", "msg": "The handler failed"}]} */
static const char failed_body[] = "\x81\xa9"
                                  "errorList\x91\x83\xa3"
                                  "loc\x90\xa4"
                                  "type\xae"
                                  "handler_failed\xa3"
                                  "msg\xb2" FAILED_REASON;

void request_fail(struct noria_request *request)
{
    struct handler_message reply = {.type = HANDLER_REPLY,
                                    .event = request->event,
                                    .status = NORIA_INTERNAL_ERROR,
                                    .body_bytes = failed_body,
                                    .body_len = sizeof failed_body - 1};
    if (request->link != NULL)
        link_say(request->link, &reply);
    request_free(request);
}

static bool is_open(const struct link *link, uint64_t event)
{
    LIST_FOREACH (it, &link->requests) {
        if (LIST_ENTRY(it, struct noria_request, node)->event == event)
            return true;
    }
    return false;
}

/* --- messages --- */

static enum event_e broken(const char **why, const char *text)
{
    *why = text;
    return EVENT_BROKEN;
}

/* True: the event is taken, and the worker can know it (or is dead: the link is mute). */
static bool take(struct link *link, uint64_t event)
{
    struct handler_message taken = {.type = HANDLER_TAKEN, .event = event};
    if (!link->taking)
        link_say(link, &taken);
    link->taking = true;
    link_flush(link);
    if (link_unsent(link) > 0 || link->dropped)
        return false;
    link->taking = false;
    return true;
}

static void copy_paths(struct link *link, const struct handler_message *hello)
{
    char *room = (char *)(link->paths + hello->endpoint_count);
    link->path_count = hello->endpoint_count;
    for (size_t i = 0; i < link->path_count; i++) {
        struct handler_text path = hello->endpoints[i].path;
        link->paths[i] = (struct handler_text){room, path.len};
        if (path.len > 0)
            memcpy(room, path.at, path.len);
        room += path.len;
        link->traditional[i] = hello->endpoints[i].traditional;
        if (endpoint_at(link->handler, path) == NULL)
            log_warn("endpoint-not-served", "path=\"%.*s\"", (int)path.len, path.at);
    }
}

static enum event_e on_hello(struct link *link, const struct handler_message *hello, const char **why)
{
    struct handler_message welcome = {
        .type = HANDLER_WELCOME, .version = HANDLER_VERSION, .program = handler_text(link->handler->name)};
    if (hello->version == 0)
        return broken(why, "a version 0");
    size_t bytes = 1;
    for (uint32_t i = 0; i < hello->endpoint_count; i++)
        bytes += sizeof *link->paths + hello->endpoints[i].path.len;
    link->paths = malloc(bytes);
    link->traditional = malloc(hello->endpoint_count + sizeof(bool));
    if (link->paths == NULL || link->traditional == NULL)
        return broken(why, "no memory for its endpoints");
    char *name = link->worker;
    keep(&name, hello->worker);
    copy_paths(link, hello);
    link->max_answer_bytes = hello->max_answer_bytes;
    link->greeted = true;
    link_say(link, &welcome);
    log_info("worker-here", "worker=%s version=%llu", link->worker, (unsigned long long)hello->version);
    return EVENT_DONE;
}

static void tell_open(struct noria_conn *conn, bool resumed)
{
    const struct noria_endpoint *endpoint = conn->endpoint;
    if (endpoint == NULL)
        return;
    if (resumed && endpoint->on_resume != NULL)
        endpoint->on_resume(conn);
    if (!resumed && endpoint->on_connect != NULL && endpoint->on_connect(conn) != 0)
        noria_close(conn, FAILED_CODE, FAILED_REASON);
}

/* The connection is made before its TAKEN: memory that is not there is found out while the event can still go elsewhere. */
static enum event_e on_open(struct link *link, const struct handler_message *open, const char **why)
{
    struct noria_conn *conn = map_get(&link->conns, open->conn);
    if (open->conn == 0 || (conn != NULL && !link->taking))
        return broken(why, "OPEN of a connection that is open");
    if (conn == NULL)
        conn = conn_new(link, open);
    if (conn == NULL)
        return broken(why, "no memory for a connection");
    if (!take(link, open->event))
        return EVENT_WAITS;
    conn->taken = !link->mute;
    if (conn->taken)
        tell_open(conn, open->resumed);
    return EVENT_DONE;
}

static enum event_e on_message(struct link *link, struct handler_message *message, const char **why)
{
    struct noria_conn *conn = map_get(&link->conns, message->conn);
    if (conn == NULL)
        return broken(why, "MESSAGE of a connection that is not open");
    if (link->request_count >= HANDLER_WINDOW)
        return broken(why, "more messages under way than the window");
    struct noria_request *request = request_new(conn, message->event);
    if (request == NULL || handler_decode_body(message, &link->handler->zone) != ERR_OK)
        return broken(why, "no memory for a message");
    if (conn->endpoint == NULL || !conn->taken)
        request_fail(request);
    else if (conn->endpoint->on_receive(request, &message->body) != 0 && is_open(link, message->event))
        request_fail(request);
    return EVENT_DONE;
}

static enum event_e on_closed(struct link *link, const struct handler_message *closed, const char **why)
{
    struct noria_conn *conn = map_get(&link->conns, closed->conn);
    if (conn == NULL)
        return broken(why, "CLOSED of a connection that is not open");
    if (!take(link, closed->event))
        return EVENT_WAITS;
    conn_forget(conn, true);
    return EVENT_DONE;
}

static enum event_e on_event(struct link *link, struct handler_message *message, const char **why)
{
    if (!link->greeted)
        return broken(why, "no HELLO first");
    if (message->event != link->last_event + 1)
        return broken(why, "events out of order");
    enum event_e event = message->type == HANDLER_OPEN      ? on_open(link, message, why)
                         : message->type == HANDLER_MESSAGE ? on_message(link, message, why)
                                                            : on_closed(link, message, why);
    if (event == EVENT_DONE)
        link->last_event++;
    return event;
}

enum event_e event_handle(struct link *link, const char *bytes, size_t len, const char **why)
{
    struct handler_message message;
    msgpack_zone *zone = &link->handler->zone;
    msgpack_zone_clear(zone);
    enum err_e err = handler_decode_head(bytes, len, zone, &message);
    if (err == ERR_NOT_FOUND)
        return EVENT_DONE;
    if (err != ERR_OK)
        return broken(why, err == ERR_MEMORY ? "no memory for a message" : "a malformed message");
    switch (message.type) {
    case HANDLER_HELLO:
        return link->greeted ? broken(why, "a second HELLO") : on_hello(link, &message, why);
    case HANDLER_OPEN:
    case HANDLER_MESSAGE:
    case HANDLER_CLOSED:
        return on_event(link, &message, why);
    default:
        return broken(why, "a message that only handlers send");
    }
}
