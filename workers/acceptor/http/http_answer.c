/* Hop: R4. The answer's bytes: status line, the headers that every answer has, those that its status and the request's Origin call
 * for, the handler's own, the body; written at once as far as the socket takes it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "bytes.h"
#include "http_internal.h"
#include "must.h"

#define SMALL_BYTES                                                                                          \
    16384u /* an answer that is written whatever the budget: a fresh socket takes it at once */

static const char *status_text(unsigned status)
{
    switch (status) {
#define X(number, text)                                                                                      \
    case number:                                                                                             \
        return text;
        HTTP_STATUSES(X)
#undef X
    default:
        return "Unknown";
    }
}

static void count_status(struct http_counts *counts, unsigned status)
{
    switch (status) {
#define X(number, text)                                                                                      \
    case number:                                                                                             \
        counts->answered_##number++;                                                                         \
        return;
        HTTP_STATUSES(X)
#undef X
    default:
        MUST_NOT_REACH(); /* a status that HTTP_STATUSES lacks */
    }
}

/* --- the head --------------------------------------------------------------------------------------------------------- */

static const char *date_now(struct http *http)
{
    uint64_t now = clock_wall_ms(http->config.clock) / 1000;
    if (now != http->date_s || http->date[0] == '\0') {
        time_t seconds = (time_t)now;
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(http->date, sizeof http->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        http->date_s = now;
    }
    return http->date;
}

static void put_header(struct out *out, const char *name, const char *value)
{
    out_text(out, name);
    out_literal(out, ": ");
    out_text(out, value);
    out_literal(out, "\r\n");
}

static void put_status_headers(struct out *out, const struct http_exchange *x,
                               const struct http_response *response)
{
    char list[64];
    unsigned status = response->status;
    if (status == 401)
        put_header(out, "WWW-Authenticate", "Bearer");
    if (status == 429 || status == 503) {
        out_literal(out, "Retry-After: ");
        out_u64(out, response->retry_after_s > 0 ? response->retry_after_s : 1);
        out_literal(out, "\r\n");
    }
    if (status == 405) {
        http_method_list(x->allowed, list, sizeof list);
        put_header(out, "Allow", list);
    }
}

static void put_cors(struct out *out, const struct http_exchange *x)
{
    put_header(out, "Vary", "Origin");
    if (x->origin == NULL)
        return;
    put_header(out, "Access-Control-Allow-Origin", x->origin);
    put_header(out, "Access-Control-Expose-Headers", "ETag, Location");
}

static bool has_no_body(unsigned status)
{
    return status == 204 || status == 304;
}

static void put_head(struct out *out, const struct http_exchange *x, const struct http_response *response)
{
    out_literal(out, "HTTP/1.1 ");
    out_u64(out, response->status);
    out_char(out, ' ');
    out_text(out, status_text(response->status));
    out_literal(out, "\r\n");
    put_header(out, "Date", date_now(x->http));
    if (!has_no_body(response->status)) {
        if (response->type != NULL)
            put_header(out, "Content-Type", response->type);
        out_literal(out, "Content-Length: ");
        out_u64(out, response->body_len);
        out_literal(out, "\r\n");
    }
    put_header(out, "Cache-Control", response->cache_control != NULL ? response->cache_control : "no-store");
    put_header(out, "X-Content-Type-Options", "nosniff");
    put_status_headers(out, x, response);
    put_cors(out, x);
    if (response->headers != NULL)
        out_text(out, response->headers);
    out_literal(out, "Connection: close\r\n\r\n");
    MUST(!out->overflow);
}

/* --- writing ---------------------------------------------------------------------------------------------------------- */

/* Keeps what the socket did not take. */
static bool keep_rest(struct http_exchange *x, const struct iovec pieces[2], size_t taken)
{
    size_t total = pieces[0].iov_len + pieces[1].iov_len, len = total - taken, n = 0;
    char *rest = malloc(len);
    if (rest == NULL)
        return false;
    for (int i = 0; i < 2; i++) {
        size_t skip = taken < pieces[i].iov_len ? taken : pieces[i].iov_len;
        taken -= skip;
        if (pieces[i].iov_len > skip)
            memcpy(rest + n, (const char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip);
        n += pieces[i].iov_len - skip;
    }
    exchange_forget(x); /* not before: the answer may stand in the request's memory */
    x->rest = rest;
    x->rest_len = len;
    return exchange_charge(x, len);
}

/* What the socket did not take of the head is kept, the body stays where it is. */
static bool hold_rest(struct http_exchange *x, const struct iovec pieces[2], size_t taken,
                      struct http_held *held)
{
    const struct iovec head[2] = {pieces[0], {NULL, 0}};
    size_t of_body = taken > pieces[0].iov_len ? taken - pieces[0].iov_len : 0;
    if (taken >= pieces[0].iov_len)
        exchange_forget(x);
    else if (!keep_rest(x, head, taken))
        return false;
    held->readers++;
    x->held = held;
    x->held_at = (const char *)pieces[1].iov_base + of_body;
    x->held_left = pieces[1].iov_len - of_body;
    return true;
}

static bool put_off(struct http_exchange *x, const struct iovec pieces[2], size_t taken,
                    struct http_held *held)
{
    bool kept = held != NULL ? hold_rest(x, pieces, taken, held) : keep_rest(x, pieces, taken);
    return kept && exchange_watch(x, EPOLLOUT);
}

static void write_out(struct http_exchange *x, const struct iovec pieces[2], struct http_held *held)
{
    struct iovec now[2] = {pieces[0], pieces[1]};
    struct msghdr message = {.msg_iov = now, .msg_iovlen = 2};
    size_t total = pieces[0].iov_len + pieces[1].iov_len;
    if (held != NULL && now[1].iov_len > HTTP_TURN_BYTES)
        now[1].iov_len = HTTP_TURN_BYTES;
    ssize_t sent = sendmsg(x->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    x->state = EXCHANGE_WRITING;
    exchange_to_list(x, &x->http->busy);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        x->http->counts.write_errors++;
        exchange_close(x);
        return;
    }
    size_t taken = sent > 0 ? (size_t)sent : 0;
    x->http->counts.bytes_out += taken;
    if (taken == total) {
        exchange_linger(x);
        return;
    }
    exchange_limit(x, x->http->config.write_timeout_ms * NS_PER_MS + http_slowest_ns(total));
    if (!put_off(x, pieces, taken, held)) {
        x->http->counts.over_budget++;
        exchange_close(x);
    }
}

static bool fits_budget(const struct http_exchange *x, size_t len)
{
    const struct http *http = x->http;
    return len <= SMALL_BYTES ||
           http->counts.memory_bytes - x->charged + len <= http->config.memory_budget_bytes;
}

void http_answer(struct http_exchange *x, const struct http_response *response)
{
    static const struct http_response no_room = {.status = 503};
    char head[HTTP_HEAD_MAX];
    MUST(x->state > EXCHANGE_FREE && x->state < EXCHANGE_WRITING);
    if (x->state == EXCHANGE_WAITING) {
        x->cancel = NULL;
        x->http->counts.waiting--;
        x->state = EXCHANGE_JUDGED;
    }
    if (response->held == NULL && !fits_budget(x, response->body_len)) {
        x->http->counts.over_budget++;
        response = &no_room;
    }
    bool no_body = x->head_only || has_no_body(response->status);
    struct out out = out_init(head, sizeof head);
    put_head(&out, x, response);
    count_status(&x->http->counts, response->status);
    struct iovec pieces[2] = {
        {.iov_base = head, .iov_len = out.len},
        {.iov_base = (void *)(uintptr_t)response->body, .iov_len = no_body ? 0 : response->body_len}};
    wheel_stop(&x->http->wheel, &x->timer);
    write_out(x, pieces, no_body ? NULL : response->held);
}

void http_refuse(struct http_exchange *x, unsigned status, const char *text)
{
    if (x->api != NULL) {
        x->api->refuse(x->api->arg, x, status, text);
        return;
    }
    char body[256];
    struct out out = out_init(body, sizeof body);
    out_literal(&out, "{\"detail\":");
    out_json_string(&out, text, strlen(text));
    out_char(&out, '}');
    MUST(!out.overflow);
    http_answer(x, &(struct http_response){
                       .status = status, .type = "application/json", .body = body, .body_len = out.len});
}
