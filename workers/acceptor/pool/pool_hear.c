/* What handler processes say (Hop: R3): one function per message, and what is a breach of the protocol.
 *
 * What a process may have said before it knew better is no breach: SEND, SUBSCRIBE, CLOSE of a connection that is gone or has moved, a
 * REPLY after the deadline. What no correct process can say is: TAKEN or REPLY of an event that it was not given, or twice. A PUBLISH
 * to a path that is not its own is a mistake in the handler's program, logged and counted; ending the link would move
 * all its connections for one wrong text. */
#include "must.h"
#include "pool_internal.h"
#include "utf8.h"

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

static bool too_large(const struct pool_link *link, size_t len, size_t head)
{
    size_t max = link->pool->config.max_answer_bytes;
    return len > head && len - head > max;
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

static enum hear_e hear_reply(struct pool_link *link, const struct handler_message *message, size_t len)
{
    struct pool_answer answer = {POOL_REPLY, message->status, &message->body};
    if (too_large(link, len, POOL_HEAD_BYTES)) {
        log_mistake(link, "REPLY", err_text(ERR_TOO_LARGE));
        answer = (struct pool_answer){.outcome = POOL_FAILED};
    }
    return pool_event_reply(link, message->event, &answer) ? HEARD : breach(link, "REPLY to no MESSAGE");
}

static void hear_send(struct pool_link *link, const struct handler_message *message, size_t len)
{
    struct pool *pool = link->pool;
    struct pool_conn *conn = pool_conn_of(link, message->conn);
    bool large = too_large(link, len, POOL_HEAD_BYTES);
    if (large)
        log_mistake(link, "SEND", err_text(ERR_TOO_LARGE));
    if (large || conn == NULL) {
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

static enum hear_e hear_publish(struct pool_link *link, const struct handler_message *message, size_t len)
{
    struct pool *pool = link->pool;
    const struct pool_events *events = pool->config.events;
    if (!events->may_publish(pool->config.arg))
        return HEAR_LATER;
    size_t head = POOL_HEAD_BYTES + message->path.len + message->topic.len;
    struct pool_conn *except = message->except ? map_get(&pool->conns, message->except) : NULL;
    void *owner = except != NULL && except->handler == link->handler ? except->owner : NULL;
    enum err_e err = ERR_TOO_LARGE;
    if (!too_large(link, len, head))
        err = events->publish(pool->config.arg, link->handler->index, message->path, message->topic,
                              message->status, &message->body, owner);
    *(err == ERR_OK ? &pool->counts.publishes : &pool->counts.publishes_lost) += 1;
    if (err != ERR_OK)
        log_mistake(link, "PUBLISH", err_text(err));
    return HEARD;
}

/* RFC 6455, section 7.4: codes that may stand in a close frame. */
static bool is_close_code(uint64_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum hear_e hear_close(struct pool_link *link, const struct handler_message *message)
{
    struct pool_conn *conn = pool_conn_of(link, message->conn);
    if (!is_close_code(message->code))
        return breach(link, "CLOSE with a code that no close frame may have");
    if (conn == NULL)
        return HEARD;
    link->pool->counts.closes++;
    link->pool->config.events->close(conn->owner, (unsigned)message->code, message->reason);
    return HEARD;
}

static enum hear_e hear(struct pool_link *link, const struct handler_message *message, size_t len)
{
    if (link->state == LINK_GREETING && message->type != HANDLER_WELCOME)
        return breach(link, "no WELCOME first");
    switch (message->type) {
    case HANDLER_WELCOME:
        return hear_welcome(link, message);
    case HANDLER_TAKEN:
        return hear_taken(link, message);
    case HANDLER_REPLY:
        return hear_reply(link, message, len);
    case HANDLER_SEND:
        hear_send(link, message, len);
        return HEARD;
    case HANDLER_SUBSCRIBE:
    case HANDLER_UNSUBSCRIBE:
        hear_subscribe(link, message);
        return HEARD;
    case HANDLER_PUBLISH:
        return hear_publish(link, message, len);
    case HANDLER_CLOSE:
        return hear_close(link, message);
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
    enum err_e err = handler_decode(bytes, len, &pool->zone, &message);
    pool_stuck_heard(link);
    if (err == ERR_OK) {
        heard = hear(link, &message, len);
    } else if (err == ERR_MEMORY) {
        pool_link_end(link, "out of memory");
        heard = HEAR_ENDED;
    } else if (err != ERR_NOT_FOUND) {
        heard = breach(link, "a malformed message");
    }
    msgpack_zone_clear(&pool->zone);
    return heard;
}
