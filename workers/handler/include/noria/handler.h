/* noria/handler.h — a handler process in C: it answers what clients send to Noria's endpoints.
 *
 *     client ─ WebSocket ─▶ noria-worker ─ Unix socket ─▶ your process: on_connect, on_receive …, on_disconnect
 *
 * A whole program:
 *
 *     static int on_receive(struct noria_request *request, const msgpack_object *message)
 *     {
 *         msgpack_packer packer;
 *         msgpack_sbuffer *body = noria_body(noria_request_handler(request), &packer);
 *         msgpack_pack_map(&packer, 1);
 *         noria_pack_text(&packer, "message");
 *         msgpack_pack_object(&packer, *noria_member(message, "message"));
 *         noria_reply(request, NORIA_OK, body);
 *         return 0;
 *     }
 *
 *     int main(void)
 *     {
 *         static const struct noria_endpoint echo = {.path = "/echo", .on_receive = on_receive};
 *         return noria_handler_run(&(struct noria_handler_config){.endpoints = &echo, .endpoint_count = 1});
 *     }
 *
 * Noria's configuration names the program (`command`) and starts it, or names the socket at which it listens (`socket`). What it
 * prints to standard error stands in the log of `noria up`. The protocol below this library, for other languages: HANDLER.md.
 *
 * Threads. None are made, and nothing here may be called from two at once, but noria_handler_stop(), which any thread and any
 * signal handler may call. A callback that takes long keeps everybody waiting whom this process serves: answer later instead, or let
 * Noria start several processes. Callbacks may call everything but noria_handler_run(), _service() and _free().
 *
 * Exactly once. Each connection has one on_connect and one on_disconnect, whoever is killed meanwhile: this process, a worker, or
 * another handler process. A connection whose process dies goes on in another one: on_resume there. Only a call during which its process
 * dies is not repeated elsewhere. When this process stops, its connections go on elsewhere too: no on_disconnect then. The user
 * pointer is freed whenever the library forgets a connection.
 *
 * Errors. Functions return 0 or a negative errno:
 *     -EINVAL     no such status, close code or UTF-8; the body is not exactly one msgpack value
 *     -EMSGSIZE   larger than the worker takes, or deeper (31 levels) or with more values (1,048,576) than the protocol
 *     -EAGAIN     too much waits for a worker that does not read (max_unsent_bytes); nothing was sent
 *     -ENOTCONN   the worker is gone, and the connection with it; nobody is there to publish to
 *     -ENOMEM
 *
 * Bounds. A worker that does not read its answers is not read either, once 1 MiB waits for it; what it sends waits in its socket. */
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NORIA_API __attribute__((visibility("default")))

struct noria_handler; /* this process, as workers see it */
struct noria_conn; /* a client's connection; valid from on_connect or on_resume until on_disconnect returns */
struct noria_request; /* a message that is owed its reply; valid until noria_reply…() */

/* What clients see as statusCode. Any other is refused, but for NORIA_NO_REPLY. */
enum noria_status {
    NORIA_NO_REPLY = 0, /* the message is answered by nothing */
    NORIA_OK = 200,
    NORIA_CREATED = 201,
    NORIA_ACCEPTED = 202,
    NORIA_NO_CONTENT = 204, /* the client sees a null body */
    NORIA_BAD_REQUEST = 400,
    NORIA_UNAUTHORIZED = 401,
    NORIA_FORBIDDEN = 403,
    NORIA_NOT_FOUND = 404,
    NORIA_CONFLICT = 409,
    NORIA_UNPROCESSABLE = 422,
    NORIA_TOO_MANY_REQUESTS = 429,
    NORIA_INTERNAL_ERROR = 500,
    NORIA_UNAVAILABLE = 503
};

struct noria_endpoint {
    const char *path; /* as in Noria's configuration, "/chat" */

    /* A new connection, before its first message. Not 0: the client is closed with 1011. NULL: nothing to do. */
    int (*on_connect)(struct noria_conn *conn);

    /* A connection that another process had, whose on_connect ran there. What that process knew of it is not known here. NULL:
     * nothing to do. */
    void (*on_resume)(struct noria_conn *conn);

    /* The connection is gone: its client left, or its worker died. What is sent to it is dropped. NULL: nothing to do. */
    void (*on_disconnect)(struct noria_conn *conn);

    /* A message; required. Of an endpoint with a schema: what the schema made of it (defaults set, unknown members dropped). Of
     * one without: the client's JSON text, byte for byte, as MSGPACK_OBJECT_STR, or MSGPACK_OBJECT_BIN if it sent bytes.
     * `message` is valid during the call only. Reply at once, or keep `request` and reply later; a client's replies reach it in the
     * order of its messages, whatever the order in which they are made. Not 0: the client is answered 500 (nothing, if the request
     * was replied to already), and `request` is no longer valid. */
    int (*on_receive)(struct noria_request *request, const msgpack_object *message);

    /* Frees what noria_conn_set_user() was given, when the library forgets the connection: after on_disconnect; and without it, when this
     * process stops or drops a worker that breaks the protocol. Who keeps pointers to connections gives each a user, and
     * lets go of them here. Never called with NULL. NULL: nothing to do. */
    void (*free_user)(void *user);

    void *reserved[3]; /* zero */
};

struct noria_handler_config {
    const char *name; /* of this program, for logs; NULL: what it was started as */
    const struct noria_endpoint *endpoints;
    size_t endpoint_count; /* at least one; all of this is copied but `path` and `arg` */
    const char *socket; /* where to listen, if nobody passed a socket (LISTEN_FDS); NULL: only that will do */
    size_t
        max_unsent_bytes; /* 0: 4 MiB. What may wait for one worker; replies are taken beyond it, at most 64 */
    unsigned stop_ms;     /* 0: 2000. How long noria_handler_free() may take to hand over what is unsent */
    void *arg;            /* noria_handler_arg() */
    void *reserved[4];    /* zero */
};

/* --- the process ------------------------------------------------------------------------------------------------- */

/* All of it: takes the listening socket that was passed down (LISTEN_FDS, and LISTEN_PID if set), else listens at `socket`, says READY to
 * NORIA_READY_FD if set, serves, and returns what main() returns: 0 after SIGTERM, SIGINT or noria_handler_stop(), in bounded
 * time; 78 if the same start would fail again (the configuration makes no sense); 1 otherwise. Says why on standard error. If a Noria launcher
 * started this process (NORIA_LAUNCHER_PID), it ends with it. One at a time per process; SIGTERM's and SIGINT's handlers are its own meanwhile. */
NORIA_API int noria_handler_run(const struct noria_handler_config *config);

/* The same for programs with a loop of their own, which leaves signals to them: new; while the descriptor is readable (POLLIN, level
 * triggered), service; free. NULL: errno says why. */
NORIA_API struct noria_handler *noria_handler_new(const struct noria_handler_config *config);
NORIA_API int noria_handler_fd(const struct noria_handler *handler);
/* Everything that is there to do now, callbacks included; does not block. 0: go on. 1: noria_handler_stop() was called. */
NORIA_API int noria_handler_service(struct noria_handler *handler);
/* Thread-safe, and safe in signal handlers. */
NORIA_API void noria_handler_stop(struct noria_handler *handler);
/* Handles what had arrived, hands over what is unsent, both within stop_ms, and leaves connections and open requests to other processes.
 * Requests that were not replied to are no longer valid, nor are connections. *handler becomes NULL. */
NORIA_API void noria_handler_free(struct noria_handler **handler);
NORIA_API void *noria_handler_arg(const struct noria_handler *handler);

/* --- replies ----------------------------------------------------------------------------------------------------- */

/* An empty buffer of the library's, and a packer that writes into it: for one msgpack value, given to one of the functions below.
 * Valid until the next call. Any other msgpack_sbuffer may be used in its place. */
NORIA_API msgpack_sbuffer *noria_body(struct noria_handler *handler, msgpack_packer *packer);

/* The one reply to a message. `body` NULL: none. The request is no longer valid afterwards, whatever is returned; with -EINVAL and -EMSGSIZE the
 * client is answered 500. -ENOTCONN: its worker is gone. Members of maps have names that are text; ext values, nan and inf have no
 * JSON and make the client's answer a 500. */
NORIA_API int noria_reply(struct noria_request *request, unsigned status, const msgpack_sbuffer *body);
/* To a traditional endpoint's message: a text frame (UTF-8, as it is), a binary frame. */
NORIA_API int noria_reply_text(struct noria_request *request, const char *text, size_t len);
NORIA_API int noria_reply_binary(struct noria_request *request, const void *bytes, size_t len);

NORIA_API struct noria_handler *noria_request_handler(const struct noria_request *request);
NORIA_API struct noria_conn *noria_request_conn(const struct noria_request *request); /* NULL: it is gone */

/* --- connections ------------------------------------------------------------------------------------------------- */

/* A message to a connection, beside its replies and without waiting for them. */
NORIA_API int noria_send(struct noria_conn *conn, unsigned status, const msgpack_sbuffer *body);
NORIA_API int noria_send_text(struct noria_conn *conn, const char *text, size_t len);
NORIA_API int noria_send_binary(struct noria_conn *conn, const void *bytes, size_t len);

/* To every connection of the endpoint `path` in the whole installation, at whatever worker and process, that is subscribed to `topic` (at most
 * 60 bytes of UTF-8; ""  is every connection), but `except` (NULL: none). Publications without `except` reach everybody in the order of the calls, and
 * so do those whose `except` is at the same worker. Nothing is lost when the broker dies. -ENOTCONN: no worker is here, or none knows the path. */
NORIA_API int noria_publish(struct noria_handler *handler, const char *path, const char *topic,
                            unsigned status, const msgpack_sbuffer *body, struct noria_conn *except);
NORIA_API int noria_publish_text(struct noria_handler *handler, const char *path, const char *topic,
                                 const char *text, size_t len, struct noria_conn *except);
NORIA_API int noria_publish_binary(struct noria_handler *handler, const char *path, const char *topic,
                                   const void *bytes, size_t len, struct noria_conn *except);

/* Which topics of its endpoint reach a connection. "" it has from the beginning. */
NORIA_API int noria_subscribe(struct noria_conn *conn, const char *topic);
NORIA_API int noria_unsubscribe(struct noria_conn *conn, const char *topic);

/* Closes it, after what was sent to it: `code` 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455, 7.4), `reason` at most 123 bytes
 * of UTF-8. on_disconnect comes later, never from within this call. */
NORIA_API int noria_close(struct noria_conn *conn, unsigned code, const char *reason);

/* What was sent leaves when the callbacks at hand are done, or now; for a callback that goes on for long. */
NORIA_API void noria_flush(struct noria_handler *handler);

NORIA_API void noria_conn_set_user(struct noria_conn *conn, void *user); /* the one before is not freed */
NORIA_API void *noria_conn_user(const struct noria_conn *conn);
NORIA_API struct noria_handler *noria_conn_handler(const struct noria_conn *conn);
/* Texts that live as long as the connection; "" if there is none. */
NORIA_API const char *noria_conn_path(const struct noria_conn *conn);
NORIA_API const char *
noria_conn_query(const struct noria_conn *conn); /* without '?', as the client wrote it */
NORIA_API const char *noria_conn_principal(const struct noria_conn *conn); /* who authenticated; "": nobody */
NORIA_API const char *noria_conn_peer(const struct noria_conn *conn);      /* "127.0.0.1:43210" */
NORIA_API bool noria_conn_traditional(const struct noria_conn *conn);      /* its endpoint has no schema */

/* --- reading and writing values ---------------------------------------------------------------------------------- */

/* A map's member; NULL: there is none, or `map` is NULL or no map. */
NORIA_API const msgpack_object *noria_member(const msgpack_object *map, const char *name);
/* False, and nothing else: not of that kind, or NULL. Texts are not NUL-terminated. */
NORIA_API bool noria_text(const msgpack_object *value, const char **text, size_t *len);
NORIA_API bool noria_integer(const msgpack_object *value, int64_t *integer);
NORIA_API bool noria_number(const msgpack_object *value, double *number); /* integers, too */
NORIA_API bool noria_flag(const msgpack_object *value, bool *flag);

static inline int noria_pack_text_len(msgpack_packer *packer, const char *text, size_t len)
{
    int failed = msgpack_pack_str(packer, len);
    return failed ? failed : msgpack_pack_str_body(packer, text, len);
}

static inline int noria_pack_text(msgpack_packer *packer, const char *text)
{
    return noria_pack_text_len(packer, text, strlen(text));
}

#ifdef __cplusplus
}
#endif
