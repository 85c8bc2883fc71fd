/* Hop: C1. One exchange, from a judged head to a closed socket; each state's events and its time limit.
 *
 * A request without a body, or whose body arrived with its head, is handled right in http_adopt(), out of the gate's own
 * buffer: nothing is copied and no descriptor is watched before the answer is out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_internal.h"
#include "must.h"

/* --- handling --------------------------------------------------------------------------------------------------------- */

/* Of the request nothing stays while its handler waits, but who may read the answer. */
static void keep_origin_only(struct http_exchange *x)
{
    char *own = x->origin != NULL ? strdup(x->origin) : NULL;
    exchange_forget(x);
    x->origin = x->own_origin = own;
}

static void start_waiting(struct http_exchange *x)
{
    x->state = EXCHANGE_WAITING;
    x->http->counts.waiting++;
    keep_origin_only(x);
    exchange_limit(x, x->limit_ns);
    if (!exchange_watch(x, EPOLLRDHUP))
        log_error("http-watch", "error=\"%s\"", strerror(errno)); /* its time limit still holds */
}

static void handle(struct http_exchange *x, const struct gate_request *request, const char *body, size_t len)
{
    struct http_current *current = &x->http->current;
    wheel_stop(&x->http->wheel, &x->timer);
    exchange_to_list(x, &x->http->busy);
    x->state = EXCHANGE_HANDLING;
    current->exchange = x;
    current->request = request;
    current->body = body;
    current->body_len = len;
    MUST(http_path_match(x->route->path, request->path, &current->params)); /* as when it was found */
    x->route->handle(x->api->arg, x);
    current->exchange = NULL;
    if (x->state != EXCHANGE_HANDLING)
        return;              /* answered */
    MUST(x->cancel != NULL); /* a handler answers or waits */
    start_waiting(x);
}

void http_wait(struct http_exchange *x, void (*cancel)(void *state), void *state, uint64_t limit_ms)
{
    MUST(x->state == EXCHANGE_HANDLING && cancel != NULL);
    x->cancel = cancel;
    x->cancel_state = state;
    x->limit_ns = limit_ms * NS_PER_MS;
}

void exchange_cancel(struct http_exchange *x)
{
    if (x->state != EXCHANGE_WAITING)
        return;
    void (*cancel)(void *state) = x->cancel;
    x->cancel = NULL;
    x->state = EXCHANGE_JUDGED;
    x->http->counts.waiting--;
    cancel(x->cancel_state);
}

/* --- the body --------------------------------------------------------------------------------------------------------- */

static const char *moved(const char *text, const char *from, size_t len, char *to)
{
    bool within = text >= from && text < from + len;
    return within ? to + (text - from)
                  : text; /* NULL, and texts that stand nowhere in the head ("***", "") */
}

/* The head out of the gate's buffer into memory of its own. Of the strings only those that are asked for later. */
static bool keep_head(struct http_exchange *x, const struct gate_request *request)
{
    const char *from = request->method; /* the head's first bytes; what arrived behind it begins at its end */
    size_t len = (size_t)(request->behind - from), total = sizeof *request + len;
    struct gate_request *kept = exchange_charge(x, total) ? malloc(total) : NULL;
    if (kept == NULL)
        return false;
    char *to = (char *)(kept + 1);
    memcpy(to, from, len);
    *kept = *request;
    kept->method = moved(request->method, from, len, to);
    kept->path = moved(request->path, from, len, to);
    kept->query = moved(request->query, from, len, to);
    for (size_t i = 0; i < request->header_count; i++)
        kept->headers[i] = (struct gate_header){moved(request->headers[i].name, from, len, to),
                                                moved(request->headers[i].value, from, len, to)};
    kept->host = kept->origin = kept->token = kept->key = kept->protocol = kept->behind = NULL;
    kept->protocol_count = kept->behind_len = 0;
    x->origin = moved(x->origin, from, len, to);
    x->request = kept;
    return true;
}

/* Room for `want` bytes of body: what has arrived, doubled, never more than was announced. */
static bool grow_body(struct http_exchange *x, size_t want)
{
    size_t announced = (size_t)x->request->content_length, cap = x->body_cap ? x->body_cap : 1024;
    while (cap < want)
        cap *= 2;
    cap = cap < announced ? cap : announced;
    if (!exchange_charge(x, cap - x->body_cap))
        return false;
    char *grown = realloc(x->body, cap);
    if (grown == NULL)
        return false;
    x->body = grown;
    x->body_cap = cap;
    return true;
}

static void no_memory(struct http_exchange *x)
{
    x->http->counts.over_budget++;
    http_refuse(x, 503, "no memory left for request bodies");
}

static void send_continue(struct http_exchange *x)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t sent = send(x->fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent; /* a fresh socket's buffer takes it; a dead peer shows at the next read */
}

static void abandon(struct http_exchange *x)
{
    x->http->counts.abandoned++;
    exchange_close(x);
}

static void read_body(struct http_exchange *x)
{
    size_t announced = (size_t)x->request->content_length;
    while (x->body_have < announced) {
        if (x->body_have == x->body_cap && !grow_body(x, x->body_have + 1)) {
            no_memory(x);
            return;
        }
        ssize_t got = recv(x->fd, x->body + x->body_have, x->body_cap - x->body_have, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            abandon(x);
            return;
        }
        x->body_have += (size_t)got;
        x->http->counts.bytes_in += (uint64_t)got;
    }
    handle(x, x->request, x->body, x->body_have);
}

static void start_reading(struct http_exchange *x, const struct gate_request *request)
{
    size_t behind = request->behind_len;
    if (!keep_head(x, request) || !grow_body(x, behind + 1)) {
        no_memory(x);
        return;
    }
    memcpy(x->body, request->behind, behind);
    x->body_have = behind;
    x->state = EXCHANGE_READING;
    exchange_to_list(x, &x->http->reading);
    if (gate_request_header(x->request, "expect") != NULL)
        send_continue(x);
    exchange_limit(x, x->http->config.body_timeout_ms * NS_PER_MS + http_slowest_ns(request->content_length));
    if (!exchange_watch(x, EPOLLIN | EPOLLRDHUP))
        abandon(x);
}

static bool has_body(const struct http_exchange *x, const struct gate_request *request)
{
    return x->method != HTTP_GET && request->content_length > 0;
}

static void turn_away(struct http *http, int fd)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
                               "Cache-Control: no-store\r\nConnection: close\r\n\r\n";
    ssize_t sent = send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    http->counts.turned_away++;
    close(fd);
}

void http_adopt(struct http *http, int fd, const struct gate_request *request, const struct http_site *site)
{
    struct http_exchange *x = exchange_take(http);
    http->counts.requests++;
    if (x == NULL) {
        turn_away(http, fd);
        return;
    }
    MUST(!request->upgrade);
    x->fd = fd;
    x->site = site;
    x->identity = identity_get(identity_nobody());
    if (!exchange_judge(x, request))
        return;
    if (has_body(x, request) && request->behind_len < request->content_length) {
        start_reading(x, request);
        return;
    }
    size_t body_len = has_body(x, request) ? (size_t)request->content_length : 0;
    http->counts.bytes_in += body_len;
    handle(x, request, request->behind, body_len);
}

/* --- writing and lingering -------------------------------------------------------------------------------------------- */

void exchange_linger(struct http_exchange *x)
{
    exchange_forget(x);
    x->state = EXCHANGE_LINGERING;
    exchange_to_list(x, &x->http->lingering);
    shutdown(x->fd, SHUT_WR);
    exchange_limit(x, x->http->config.linger_ms * NS_PER_MS);
    if (!exchange_watch(x, EPOLLIN | EPOLLRDHUP))
        exchange_close(x);
}

static void note_sent(struct http_exchange *x, size_t sent)
{
    x->http->counts.bytes_out += sent;
    if (x->rest_at < x->rest_len) {
        x->rest_at += sent;
        return;
    }
    x->held_at += sent;
    x->held_left -= sent;
}

/* A reader on the same host empties its socket as fast as it is filled: the turn ends before the answer does. */
void exchange_write_on(struct http_exchange *x)
{
    size_t turn = HTTP_TURN_BYTES;
    while (x->rest_at < x->rest_len || x->held_left > 0) {
        bool kept = x->rest_at < x->rest_len;
        size_t len = kept ? x->rest_len - x->rest_at : x->held_left;
        len = len < turn ? len : turn;
        if (len == 0)
            return;
        ssize_t sent =
            send(x->fd, kept ? x->rest + x->rest_at : x->held_at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (sent < 0) {
            x->http->counts.write_errors++;
            exchange_close(x);
            return;
        }
        note_sent(x, (size_t)sent);
        turn -= (size_t)sent;
    }
    exchange_linger(x);
}

/* TCP's MSG_TRUNC throws bytes away without copying them: discarding costs less than sending did. The buffer only says how
 * many; nothing ever comes to stand in it. */
static void discard(struct http_exchange *x)
{
    static char nowhere[65536];
    for (unsigned turns = 0; turns < 16; turns++) {
        ssize_t got = recv(x->fd, nowhere, sizeof nowhere, MSG_TRUNC | MSG_DONTWAIT);
        if (got > 0)
            x->discarded += (size_t)got;
        bool more = got > 0 && x->discarded < HTTP_LINGER_BYTES;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (!more) {
            exchange_close(x);
            return;
        }
    }
}

/* --- events and time limits ------------------------------------------------------------------------------------------- */

void exchange_event(struct http_exchange *x, uint32_t events)
{
    switch (x->state) {
    case EXCHANGE_READING:
        read_body(x);
        return;
    case EXCHANGE_WAITING: /* only that the peer has gone was asked for */
        x->http->counts.cancelled++;
        exchange_close(x);
        return;
    case EXCHANGE_WRITING:
        if (events & (EPOLLERR | EPOLLHUP)) {
            x->http->counts.write_errors++;
            exchange_close(x);
        } else {
            exchange_write_on(x);
        }
        return;
    case EXCHANGE_LINGERING:
        discard(x);
        return;
    case EXCHANGE_FREE:
    case EXCHANGE_JUDGED:
    case EXCHANGE_HANDLING:
        break;
    }
    MUST_NOT_REACH();
}

void exchange_timeout(struct http_exchange *x)
{
    struct http_counts *counts = &x->http->counts;
    switch (x->state) {
    case EXCHANGE_READING:
        counts->body_timeouts++;
        http_refuse(x, 408, "the body was not whole in time");
        return;
    case EXCHANGE_WAITING:
        counts->handler_timeouts++;
        exchange_cancel(x);
        http_refuse(x, 504, "no answer in time");
        return;
    case EXCHANGE_WRITING:
        counts->write_timeouts++;
        exchange_close(x);
        return;
    case EXCHANGE_LINGERING:
        exchange_close(x);
        return;
    case EXCHANGE_FREE:
    case EXCHANGE_JUDGED:
    case EXCHANGE_HANDLING:
        break;
    }
    MUST_NOT_REACH();
}

/* --- what handlers ask ------------------------------------------------------------------------------------------------ */

static const struct http_current *current(const struct http_exchange *x)
{
    MUST(x->http->current.exchange == x);
    return &x->http->current;
}

enum http_method_e http_method(const struct http_exchange *x)
{
    return x->method;
}

const char *http_path(const struct http_exchange *x)
{
    return current(x)->request->path;
}

const struct http_route *http_route_of(const struct http_exchange *x)
{
    return x->route;
}

const char *http_param(const struct http_exchange *x, unsigned n)
{
    MUST(n < current(x)->params.count);
    return current(x)->params.value[n];
}

enum err_e http_query(const struct http_exchange *x, const char *name, char *out, size_t size)
{
    return http_query_find(current(x)->request->query, name, out, size);
}

const char *http_header(const struct http_exchange *x, const char *name)
{
    return gate_request_header(current(x)->request, name);
}

const char *http_body(const struct http_exchange *x, size_t *len)
{
    *len = current(x)->body_len;
    return current(x)->body;
}

void http_peer_name(const struct http_exchange *x, char name[GATE_PEER_MAX])
{
    gate_peer_name(x->fd, name);
}

const char *http_principal(const struct http_exchange *x)
{
    return identity_name(x->identity);
}

const struct identity *http_identity(const struct http_exchange *x)
{
    return x->identity;
}
