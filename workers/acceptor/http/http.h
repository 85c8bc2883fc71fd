/* http.h — plain HTTP/1.1 in a worker: one request, one answer, one connection (Hop: C1).
 *
 *     gate ── judged head ─▶ http_adopt ─▶ rules ──────────── refused ─────────────┐
 *                                           │ route found, may come in             │
 *                                           ▼                                      ▼
 *                                        reading the body ─▶ handler ─▶ answer ─▶ writing ─▶ lingering ─▶ closed
 *                                           (bounded)           │          ▲
 *                                                               └─ waits ──┘  or the peer goes: cancel(), once
 *
 * Every answer says `Connection: close`, so that nobody ever parses a second head on a connection that the gate has
 * judged once; what a client sends behind its request is thrown away. After the answer the sending side is shut and
 * what still arrives is discarded until the peer closes (bounded), so that no reset overtakes the answer.
 *
 * What is served is data: a *site* (what one listener offers) is a list of *APIs*; an API is a table of routes with one
 * form for its refusals. The engine itself does, for every API alike:
 *
 *     404, 405 + Allow    paths and methods that no route has
 *     HEAD, OPTIONS       HEAD is GET without its body; OPTIONS names the methods; CORS preflights get 204
 *     401                 a site that asks for a token, and none or a wrong one came
 *     403                 POST, PUT, PATCH, DELETE by a page of a foreign Origin (see gate_head.h: origin_allowed)
 *     413, 415, 417       body announced above the limit; body of another type than the route's; Expect other than
 *                         100-continue (which is answered once nothing stands against reading the body)
 *     408, 503, 504       the body was not whole in time; no memory left for bodies and answers, or no room for one more
 *                         request; a handler that did not answer in time
 *
 * A body must announce its length (the gate refuses Transfer-Encoding); it is read only when everything above is settled.
 * Bodies of GET and HEAD mean nothing and are discarded.
 *
 * One thread, on the worker's libuv loop; nothing here blocks. References: RFC 9110, RFC 9112, and the Fetch standard
 * for CORS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "gate_peer.h"

struct http;
struct http_exchange; /* one request and its answer */
struct gate_request;  /* gate_head.h */
struct identity;      /* identity.h */
typedef struct uv_loop_s uv_loop_t;

/* --- what is served ------------------------------------------------------------------------------------------------- */

enum http_method_e { /* bits; HEAD and OPTIONS are the engine's */
                     HTTP_GET = 1,
                     HTTP_POST = 2,
                     HTTP_PUT = 4,
                     HTTP_PATCH = 8,
                     HTTP_DELETE = 16
};

struct http_route {
    enum http_method_e method;
    const char
        *path; /* "/v1/machines/{id}/status": {…} is one segment that is not empty. A slash at the end of a
                            * request's path means nothing. At most HTTP_PARAMS_MAX of them */
    const char *body_type; /* media type that a body must have, e.g. "application/json"; NULL: any */
    bool open;             /* nobody is asked for a token, whatever site and API say */
    /* Answers, or calls http_wait() and answers later. What the functions below return is good until it returns. */
    void (*handle)(void *arg, struct http_exchange *exchange);
};

struct http_api {
    const char
        *prefix; /* "/v1": that path and all below it; "": every path. The first API that fits has the path */
    const struct http_route *routes;
    size_t route_count;
    /* Answers a request that comes to no handler (or is answered for it, 504), in the API's own form. `text` is one
     * sentence in plain ASCII. Headers that the status calls for (Allow, WWW-Authenticate, Retry-After) are added by
     * http_answer(). */
    void (*refuse)(void *arg, struct http_exchange *exchange, unsigned status, const char *text);
    void *arg;        /* of handle and refuse */
    bool needs_token; /* its routes ask for a token also at a site that does not */
};

struct http_site {
    const struct http_api *const *apis;
    size_t api_count;
    /* Who the bearer of this token (NULL: none came) is; NULL refuses with 401. The exchange puts back the reference that it
     * returns. */
    const struct identity *(*identify)(void *arg, const char *token);
    bool needs_token; /* all its routes ask for a token; else nobody has a name ("") unless the API asks */
    void *arg;
};

/* --- for handlers --------------------------------------------------------------------------------------------------- */

#define HTTP_PARAMS_MAX 4u

enum http_method_e http_method(const struct http_exchange *exchange);
const char *http_path(const struct http_exchange *exchange); /* as sent, without query */
/* The route that the request found: of several with its method that fit, the last in the table. */
const struct http_route *http_route_of(const struct http_exchange *exchange);
/* The decoded segment that stood for the n-th {…} of the route. No NUL within, else any bytes. */
const char *http_param(const struct http_exchange *exchange, unsigned n);
/* The decoded value of a query parameter ('+' is a space). ERR_NOT_FOUND, ERR_TOO_LARGE. */
enum err_e http_query(const struct http_exchange *exchange, const char *name, char *out, size_t size);
/* A request header by lower-case name ("if-match"); NULL if absent. Tokens are shown as "***". */
const char *http_header(const struct http_exchange *exchange, const char *name);
/* Is `value` (a Content-Type; NULL: none) this media type, whatever parameters it has? */
bool http_is_type(const char *value, const char *type);
const char *http_body(const struct http_exchange *exchange, size_t *len); /* any bytes, no NUL behind them */
void http_peer_name(const struct http_exchange *exchange,
                    char name[GATE_PEER_MAX]); /* also later, while it waits */
const char *
http_principal(const struct http_exchange *exchange); /* "" nobody; lives as long as the exchange */
const struct identity *http_identity(const struct http_exchange *exchange); /* likewise; never NULL */

/* A body that several answers read from where it stands: for large ones, which are neither copied nor in the memory budget. Its owner lets it
 * stand unchanged until nobody reads it any more. */
struct http_held {
    uint32_t readers; /* answers that are not with the kernel yet */
};

struct http_response {
    unsigned status;
    const char *type;          /* Content-Type; NULL: no body */
    const char *cache_control; /* NULL: no-store */
    const char
        *headers; /* further lines, each ended by CRLF ("ETag: \"5\"\r\n"); NULL: none. Below 512 bytes */
    uint32_t retry_after_s; /* of 429 and 503; 0: 1 */
    const void *body;       /* copied as far as the socket does not take it at once … */
    size_t body_len;
    struct http_held *held; /* … unless this says that it may be read where it stands; NULL: copied */
};

/* Answers; the exchange must not be touched afterwards. Allowed in `handle`, and later if it waits, from any callback of
 * the same thread. 204 and 304 carry no body. */
void http_answer(struct http_exchange *exchange, const struct http_response *response);

/* The same in the form of the exchange's API. */
void http_refuse(struct http_exchange *exchange, unsigned status, const char *text);

/* To be called in `handle` by a handler that answers later. `cancel` is called at most once, and then nothing may be
 * answered any more: when the peer has gone (it closed or shut its sending side, as other servers also read it), when
 * `limit_ms` has passed (the client then reads 504), and by http_free(). */
void http_wait(struct http_exchange *exchange, void (*cancel)(void *state), void *state, uint64_t limit_ms);

/* --- for the worker --------------------------------------------------------------------------------------------------- */

struct http_config {
    uv_loop_t *loop;
    const struct clock *clock;
    uint32_t
        max_exchanges; /* 0: 4096. When all places are taken, those that linger after their answer give way, then
                                 * the oldest of those whose body is not whole (503); then the new one gets 503 */
    uint32_t max_body_bytes;    /* 0: 65536 */
    size_t memory_budget_bytes; /* for all bodies, kept heads and unsent answers together; 0: 16 MiB */
    uint32_t
        body_timeout_ms; /* from the head to the whole body, and a second more per 16 KiB of it; 0: 10000 */
    uint32_t write_timeout_ms; /* the same for what the socket does not take of an answer at once; 0: 10000 */
    uint32_t linger_ms;        /* after the answer; 0: 2000 */
};

enum err_e http_new(const struct http_config *config,
                    struct http **http); /* ERR_MEMORY, ERR_SYSTEM (logged) */
/* Closes what is left, with cancel() for those that wait. Its libuv handles are closed by the loop's next iteration. Not
 * from a callback of http's. */
void http_free(struct http **http);

/* Another limit, for requests from now on; 0: 65536. */
void http_set_max_body(struct http *http, uint32_t bytes);

/* Takes over a connected, non-blocking socket whose head the gate has judged (a plain request). The site lives as long as
 * the exchange. The request is answered here and now, or later. */
void http_adopt(struct http *http, int fd, const struct gate_request *request, const struct http_site *site);

/* From now on, bodies that are not whole and new requests are answered 503; those that wait for their handlers may still
 * be answered. */
void http_stop(struct http *http);

/* Whoever still reads this body has its connection closed. */
void http_drop_readers(struct http *http, const struct http_held *held);

/* Requests that are not answered yet, or whose answer is not with the kernel yet. */
uint32_t http_busy(const struct http *http);

/* Every status that is answered has its counter. */
#define HTTP_STATUSES(X)                                                                                     \
    X(200, "OK")                                                                                             \
    X(201, "Created")                                                                                        \
    X(202, "Accepted")                                                                                       \
    X(204, "No Content")                                                                                     \
    X(304, "Not Modified")                                                                                   \
    X(400, "Bad Request")                                                                                    \
    X(401, "Unauthorized")                                                                                   \
    X(403, "Forbidden")                                                                                      \
    X(404, "Not Found")                                                                                      \
    X(405, "Method Not Allowed")                                                                             \
    X(408, "Request Timeout")                                                                                \
    X(409, "Conflict")                                                                                       \
    X(410, "Gone")                                                                                           \
    X(412, "Precondition Failed")                                                                            \
    X(413, "Content Too Large")                                                                              \
    X(415, "Unsupported Media Type")                                                                         \
    X(417, "Expectation Failed")                                                                             \
    X(422, "Unprocessable Content")                                                                          \
    X(429, "Too Many Requests")                                                                              \
    X(500, "Internal Server Error")                                                                          \
    X(503, "Service Unavailable")                                                                            \
    X(504, "Gateway Timeout")

struct http_counts {
    uint64_t requests;
#define X(status, text) uint64_t answered_##status;
    HTTP_STATUSES(X)
#undef X
    uint64_t abandoned;        /* the peer went while its body was read */
    uint64_t cancelled;        /* the peer went while a handler worked on its request */
    uint64_t body_timeouts;    /* answered 408 */
    uint64_t handler_timeouts; /* answered 504 */
    uint64_t write_timeouts;   /* the peer did not take its answer; dropped */
    uint64_t write_errors;     /* the peer went while its answer was written */
    uint64_t over_budget;      /* answered 503, or dropped where that was too late */
    uint64_t turned_away;      /* 503 without an exchange: all places taken */
    uint64_t evicted;          /* those that gave way, also as readers of a held body */
    uint64_t bytes_in, bytes_out;
    uint64_t exchanges, waiting, memory_bytes; /* now */
};
const struct http_counts *http_counts(const struct http *http);
