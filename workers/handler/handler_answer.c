/* handler_answer.c — what a program says to connections (noria/handler.h): replies, messages, publications, closes.
 *
 * Everything is checked here, so that a fault of the program's is an error that it gets (and a 500 for the client, if it was the
 * reply) and never a broken protocol, which would cost it the worker. */
#include "handler_process.h"

#include <errno.h>

#include "must.h"
#include "utf8.h"

static bool status_is_known(unsigned status)
{
    static const unsigned short known[] = {
        NORIA_OK,          NORIA_CREATED,       NORIA_ACCEPTED,          NORIA_NO_CONTENT,
        NORIA_BAD_REQUEST, NORIA_UNAUTHORIZED,  NORIA_FORBIDDEN,         NORIA_NOT_FOUND,
        NORIA_CONFLICT,    NORIA_UNPROCESSABLE, NORIA_TOO_MANY_REQUESTS, NORIA_INTERNAL_ERROR,
        NORIA_UNAVAILABLE};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i] == status)
            return true;
    return false;
}

static int errno_of(enum err_e err)
{
    switch (err) {
    case ERR_OK:
        return 0;
    case ERR_TOO_LARGE:
        return -EMSGSIZE;
    case ERR_CLOSED:
        return -ENOTCONN;
    case ERR_MEMORY:
        return -ENOMEM;
    default:
        return -EINVAL;
    }
}

static void set_body(struct handler_message *message, const msgpack_sbuffer *body)
{
    static const char nil[] = "\xc0";
    message->body_bytes = body != NULL ? body->data : nil;
    message->body_len = body != NULL ? body->size : 1;
    if (message->body_bytes == NULL) /* an sbuffer that nothing was written to */
        message->body_bytes = nil, message->body_len = 0;
}

/* Room for `len` bytes in a value that is text or bytes; what does not fit memory is no value, and refused as such. */
static const msgpack_sbuffer *flat_body(struct noria_handler *handler, const void *bytes, size_t len,
                                        bool binary)
{
    msgpack_packer packer;
    msgpack_sbuffer *body = noria_body(handler, &packer);
    int failed =
        len > HANDLER_FRAME_MAX || (binary ? msgpack_pack_bin(&packer, len) : msgpack_pack_str(&packer, len));
    if (!failed && len > 0)
        failed = msgpack_sbuffer_write(body, bytes, len);
    if (failed)
        body->size = 0;
    return body;
}

static enum err_e say(struct link *link, const struct handler_message *message)
{
    if (message->body_bytes != NULL && message->body_len > link->max_answer_bytes)
        return ERR_TOO_LARGE;
    enum err_e err = link_say(link, message);
    if (!link->handler->serving && err == ERR_OK) {
        link_flush(link);
        link_watch(link);
    }
    return err;
}

static bool has_room(const struct link *link)
{
    return link_unsent(link) < link->handler->max_unsent_bytes;
}

/* --- replies --- */

int noria_reply(struct noria_request *request, unsigned status, const msgpack_sbuffer *body)
{
    struct handler_message reply = {.type = HANDLER_REPLY, .event = request->event, .status = status};
    set_body(&reply, body);
    enum err_e err = request->link == NULL || request->link->mute           ? ERR_CLOSED
                     : status != NORIA_NO_REPLY && !status_is_known(status) ? ERR_MALFORMED
                                                                            : say(request->link, &reply);
    if (err == ERR_MALFORMED || err == ERR_TOO_LARGE) {
        struct link *link = request->link;
        request_fail(request);
        if (!link->handler->serving) {
            link_flush(link);
            link_watch(link);
        }
    } else {
        request_free(request);
    }
    return errno_of(err);
}

int noria_reply_text(struct noria_request *request, const char *text, size_t len)
{
    if (!utf8_is_valid(text, len))
        return noria_reply(request, UINT32_MAX, NULL);
    return noria_reply(request, NORIA_OK, flat_body(request->handler, text, len, false));
}

int noria_reply_binary(struct noria_request *request, const void *bytes, size_t len)
{
    return noria_reply(request, NORIA_OK, flat_body(request->handler, bytes, len, true));
}

/* --- messages to a connection --- */

static int say_of_conn(struct noria_conn *conn, struct handler_message *message)
{
    message->conn = conn->number;
    return has_room(conn->link) ? errno_of(say(conn->link, message)) : -EAGAIN;
}

int noria_send(struct noria_conn *conn, unsigned status, const msgpack_sbuffer *body)
{
    struct handler_message message = {.type = HANDLER_SEND, .status = status};
    set_body(&message, body);
    return status_is_known(status) ? say_of_conn(conn, &message) : -EINVAL;
}

int noria_send_text(struct noria_conn *conn, const char *text, size_t len)
{
    if (!utf8_is_valid(text, len))
        return -EINVAL;
    return noria_send(conn, NORIA_OK, flat_body(conn->link->handler, text, len, false));
}

int noria_send_binary(struct noria_conn *conn, const void *bytes, size_t len)
{
    return noria_send(conn, NORIA_OK, flat_body(conn->link->handler, bytes, len, true));
}

int noria_subscribe(struct noria_conn *conn, const char *topic)
{
    struct handler_message message = {.type = HANDLER_SUBSCRIBE, .topic = handler_text(topic)};
    return say_of_conn(conn, &message);
}

int noria_unsubscribe(struct noria_conn *conn, const char *topic)
{
    struct handler_message message = {.type = HANDLER_UNSUBSCRIBE, .topic = handler_text(topic)};
    return say_of_conn(conn, &message);
}

int noria_close(struct noria_conn *conn, unsigned code, const char *reason)
{
    struct handler_message message = {
        .type = HANDLER_CLOSE, .code = code, .reason = handler_text(reason != NULL ? reason : "")};
    bool may_be_sent =
        (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    return may_be_sent ? say_of_conn(conn, &message) : -EINVAL;
}

/* --- publications --- */

static bool knows(const struct link *link, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < link->path_count; i++)
        if (link->paths[i].len == len && memcmp(link->paths[i].at, path, len) == 0)
            return true;
    return false;
}

/* The oldest that can: one and the same as long as it can, so that publications keep their order. */
static int publisher(struct noria_handler *handler, const char *path, struct link **found)
{
    int why_not = -ENOTCONN;
    LIST_FOREACH (it, &handler->links) {
        *found = LIST_ENTRY(it, struct link, node);
        if ((*found)->mute || (*found)->dropped || (*found)->ended || !knows(*found, path))
            continue;
        if (has_room(*found))
            return 0;
        why_not = -EAGAIN;
    }
    return why_not;
}

int noria_publish(struct noria_handler *handler, const char *path, const char *topic, unsigned status,
                  const msgpack_sbuffer *body, struct noria_conn *except)
{
    struct handler_message message = {
        .type = HANDLER_PUBLISH, .path = handler_text(path), .topic = handler_text(topic), .status = status};
    struct link *link = except != NULL && !except->link->mute ? except->link : NULL;
    int failed = !status_is_known(status) ? -EINVAL
                 : link == NULL           ? publisher(handler, path, &link)
                 : has_room(link)         ? 0
                                          : -EAGAIN;
    if (failed)
        return failed;
    if (except != NULL && link == except->link) /* whose worker is dead cannot be reached anyway */
        message.except = except->number;
    set_body(&message, body);
    return errno_of(say(link, &message));
}

int noria_publish_text(struct noria_handler *handler, const char *path, const char *topic, const char *text,
                       size_t len, struct noria_conn *except)
{
    if (!utf8_is_valid(text, len))
        return -EINVAL;
    return noria_publish(handler, path, topic, NORIA_OK, flat_body(handler, text, len, false), except);
}

int noria_publish_binary(struct noria_handler *handler, const char *path, const char *topic,
                         const void *bytes, size_t len, struct noria_conn *except)
{
    return noria_publish(handler, path, topic, NORIA_OK, flat_body(handler, bytes, len, true), except);
}
