/* What handler processes say (Hop: R3): one function per message, and what is a breach of the protocol.
 *
 * What a process may have said before it knew better is no breach: SEND, SUBSCRIBE, CLOSE of a connection that is gone or has moved, a
 * REPLY after the deadline. What no correct process can say is: TAKEN or REPLY of an event that it was not given, or twice. A PUBLISH
 * to a path that is not its own is a mistake in the handler's program, logged and counted; ending the link would move
 * all its connections for one wrong text. */
#include <limits.h>

#include "pool_internal.h"

#define LOG_PERIOD_NS (10 * NS_PER_S)

static enum hear_e breach(struct pool_link *link, const char *what)
{
    pool_link_breach(link, what);
    return HEAR_ENDED;
}

static void log_mistake(struct pool_link *link, const char *what, const char *reason)
{
    uint32_t suppressed;
    struct pool_handler *handler = link->handler;
    if (log_limit_ok(&handler->log_limit, pool_now(link->pool), LOG_PERIOD_NS, 1, &suppressed))
        log_warn("handler-mistake", "handler=%s process=%u message=%s reason=\"%s\" suppressed=%u",
                 handler->conf->name, link->index, what, reason, suppressed);
}

/* The body becomes objects, if it may: 24 bytes for each value of it. ERR_TOO_LARGE, ERR_MEMORY. */
static enum err_e unpack(struct pool_link *link, const char *what, struct handler_message *message)
{
    if (message->body_len <= link->pool->config.max_answer_bytes)
        return handler_decode_body(message, &link->pool->zone);
    log_mistake(link, what, err_text(ERR_TOO_LARGE));
    return ERR_TOO_LARGE;
}

static enum hear_e hear_welcome(struct pool_link *link, const struct handler_message *message)
{
    if (link->state != LINK_GREETING)
        return breach(link, "WELCOME again");
    if (message->version != HANDLER_VERSION)
        return breach(link, "it speaks another version of the protocol");
    pool_link_welcome(link, message->program);
    return HEARD;
}

static enum hear_e hear_taken(struct pool_link *link, const struct handler_message *message)
{
    return pool_event_taken(link, message->event) ? HEARD : breach(link, "TAKEN of no OPEN or CLOSED");
}

static enum hear_e hear_reply(struct pool_link *link, struct handler_message *message)
{
    struct pool_answer answer = {POOL_REPLY, message->status, &message->body};
    if (unpack(link, "REPLY", message) != ERR_OK)
        answer = (struct pool_answer){.outcome = POOL_FAILED};
    return pool_event_reply(link, message->event, &answer) ? HEARD : breach(link, "REPLY to no MESSAGE");
}

static void hear_send(struct pool_link *link, struct handler_message *message)
{
    struct pool *pool = link->pool;
    struct pool_conn *conn = pool_conn_of(link, message->conn);
    if (conn == NULL || unpack(link, "SEND", message) != ERR_OK) {
        pool->counts.sends_lost++;
        return;
    }
    pool->counts.sends++;
    pool->config.events->send(conn->owner, message->status, &message->body);
}

static void hear_subscribe(struct pool_link *link, const struct handler_message *message)
{
    struct pool_conn *conn = pool_conn_of(link, message->conn);
    if (conn != NULL)
        link->pool->config.events->subscribe(conn->owner, message->topic, message->type == HANDLER_SUBSCRIBE);
}

static enum hear_e hear_publish(struct pool_link *link, struct handler_message *message)
{
    struct pool *pool = link->pool;
    const struct pool_events *events = pool->config.events;
    if (!events->may_publish(pool->config.arg))
        return HEAR_WHEN_PUBLISHING;
    struct pool_conn *except = message->except ? map_get(&pool->conns, message->except) : NULL;
    void *owner = except != NULL && except->handler == link->handler ? except->owner : NULL;
    enum err_e err = unpack(link, "PUBLISH", message);
    if (err == ERR_OK)
        err = events->publish(pool->config.arg, link->handler->index, message->path, message->topic,
                              message->status, &message->body, owner);
    *(err == ERR_OK ? &pool->counts.publishes : &pool->counts.publishes_lost) += 1;
    if (err != ERR_OK)
        log_mistake(link, "PUBLISH", err_text(err));
    return HEARD;
}

static void hear_close(struct pool_link *link, const struct handler_message *message)
{
    struct pool_conn *conn = pool_conn_of(link, message->conn);
    if (conn == NULL)
        return;
    unsigned code = message->code < UINT_MAX ? (unsigned)message->code : UINT_MAX;
    link->pool->counts.closes++;
    link->pool->config.events->close(conn->owner, code, message->reason);
}

/* What nobody asked for has a price in time, so that a handler that speaks in a loop leaves the worker's time to others. False: not yet. */
static bool is_paid(struct pool_link *link, enum handler_message_e type)
{
    uint64_t now = pool_now(link->pool);
    if (type == HANDLER_TAKEN || type == HANDLER_REPLY || type == HANDLER_WELCOME)
        return true;
    uint64_t since = link->unasked_ns > now ? link->unasked_ns : now;
    if (since - now >= POOL_UNASKED_BURST * POOL_UNASKED_NS)
        return false;
    link->unasked_ns = since + POOL_UNASKED_NS;
    return true;
}

static enum hear_e hear(struct pool_link *link, struct handler_message *message)
{
    if (link->state == LINK_GREETING && message->type != HANDLER_WELCOME)
        return breach(link, "no WELCOME first");
    if (!is_paid(link, message->type))
        return HEAR_WHEN_PAID;
    switch (message->type) {
    case HANDLER_WELCOME:
        return hear_welcome(link, message);
    case HANDLER_TAKEN:
        return hear_taken(link, message);
    case HANDLER_REPLY:
        return hear_reply(link, message);
    case HANDLER_SEND:
        hear_send(link, message);
        return HEARD;
    case HANDLER_SUBSCRIBE:
    case HANDLER_UNSUBSCRIBE:
        hear_subscribe(link, message);
        return HEARD;
    case HANDLER_PUBLISH:
        return hear_publish(link, message);
    case HANDLER_CLOSE:
        hear_close(link, message);
        return HEARD;
    case HANDLER_HELLO:
    case HANDLER_OPEN:
    case HANDLER_MESSAGE:
    case HANDLER_CLOSED:
        break;
    }
    return breach(link, "a message that only workers send");
}

enum hear_e pool_hear(struct pool_link *link, const char *bytes, size_t len)
{
    struct handler_message message;
    struct pool *pool = link->pool;
    enum hear_e heard = HEARD;
    enum err_e err = handler_decode_head(bytes, len, &pool->zone, &message);
    pool_stuck_heard(link);
    if (err == ERR_OK) {
        heard = hear(link, &message);
    } else if (err == ERR_MEMORY) {
        pool_link_leave(link, "out of memory");
        heard = HEAR_ENDED;
    } else if (err != ERR_NOT_FOUND) {
        heard = breach(link, "a malformed message");
    }
    msgpack_zone_clear(&pool->zone);
    return heard;
}
