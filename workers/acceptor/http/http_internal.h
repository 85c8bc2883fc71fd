/* http_internal.h — what http's files share; private to this module. */
#pragma once

#include "gate_head.h"
#include "http.h"
#include "identity.h"
#include "http_path.h"
#include "list.h"
#include "log.h"
#include "wheel.h"

#define HTTP_TICK_NS      (50 * NS_PER_MS)
#define HTTP_EVENT_BUDGET 64
#define HTTP_LINGER_BYTES                                                                                    \
    (16u << 20)                /* discarded after an answer, then the connection is closed all the same */
#define HTTP_TURN_BYTES 65536u /* of one answer between two looks at other descriptors */
#define HTTP_ORIGIN_MAX 255u   /* longer ones are no Origin that anybody was allowed */
#define HTTP_HEAD_MAX   2048u  /* of an answer */

/* An exchange's life; it only goes forward. */
enum exchange_state_e {
    EXCHANGE_FREE,
    EXCHANGE_JUDGED,   /* its head stands in the gate's buffer; nothing decided yet */
    EXCHANGE_READING,  /* its body */
    EXCHANGE_HANDLING, /* its handler is being called */
    EXCHANGE_WAITING,  /* for its handler to answer */
    EXCHANGE_WRITING,
    EXCHANGE_LINGERING
};

struct http_exchange {
    struct http *http;
    struct list_node link; /* http->free, reading, busy or lingering */
    struct wheel_node timer;
    uint32_t generation; /* an event for an earlier life of this place is dropped */
    enum exchange_state_e state;
    int fd;
    uint32_t watched; /* epoll events asked for; 0: not in the set */
    bool head_only;   /* HEAD */
    enum http_method_e method;
    unsigned allowed; /* methods of the path, bits, for Allow */
    const struct http_site *site;
    const struct http_api *api;     /* NULL: no API has this path */
    const struct http_route *route; /* NULL: refused before */
    const struct identity *identity;
    const char *origin;           /* to be told that it may read the answer; NULL: no or foreign Origin */
    struct gate_request *request; /* the kept head (own memory, `charged`), while the body is read */
    char *own_origin;             /* its copy, while the handler waits */
    char *body;                   /* what was read of it */
    size_t body_have, body_cap;
    char *rest; /* what the socket did not take of the answer */
    size_t rest_at, rest_len;
    struct http_held *held; /* behind that, what it did not take of a held body; NULL: none */
    const char *held_at;
    size_t held_left;
    size_t charged; /* bytes of the memory budget */
    size_t discarded;
    uint64_t limit_ns; /* how long the handler may take */
    void (*cancel)(void *state);
    void *cancel_state;
};

/* The request that a handler or a rule is looking at. */
struct http_current {
    const struct http_exchange *exchange;
    const struct gate_request *request;
    const char *body;
    size_t body_len;
    struct http_params params;
};

struct http_uv;

struct http {
    struct http_config config;
    struct http_uv *uv;
    int epoll_fd;
    bool stopping;
    struct http_exchange *exchanges;
    uint32_t fresh; /* places from this one on were never used: an untouched page costs nothing */
    struct list_node free, reading, busy, lingering;
    struct wheel wheel;
    struct http_current current;
    uint64_t date_s; /* the second that `date` shows */
    char date[32];
    struct log_limit log_limit;
    struct http_counts counts;
};

/* How long a peer may take for `bytes`, in either direction, beside its fixed time limit: 16 KiB a second. */
static inline uint64_t http_slowest_ns(uint64_t bytes)
{
    return bytes * (NS_PER_S / 16384);
}

static inline uint64_t http_now(const struct http *http)
{
    return clock_mono_ns(http->config.clock);
}

/* http.c */
void http_update_timer(struct http *http);
struct http_exchange *exchange_take(struct http *http); /* NULL: none free */
void exchange_to_list(struct http_exchange *x, struct list_node *list);
bool exchange_watch(struct http_exchange *x, uint32_t events);
void exchange_limit(struct http_exchange *x, uint64_t ns);
bool exchange_charge(struct http_exchange *x, size_t bytes); /* false: over the budget, nothing charged */
void exchange_forget(struct http_exchange *x);               /* frees all memory of the request */
void exchange_close(struct http_exchange *x); /* the socket too; the place is free afterwards */

/* http_exchange.c */
void exchange_event(struct http_exchange *x, uint32_t events);
void exchange_timeout(struct http_exchange *x);
void exchange_cancel(struct http_exchange *x); /* calls cancel(), if it waits */
void exchange_linger(struct http_exchange *x);
void exchange_write_on(struct http_exchange *x);

/* http_rules.c: finds the route; false: the request was answered */
bool exchange_judge(struct http_exchange *x, const struct gate_request *request);
/* "Allow: GET, HEAD\r\n" style list of the path's methods. */
void http_method_list(unsigned allowed, char *out, size_t size);
