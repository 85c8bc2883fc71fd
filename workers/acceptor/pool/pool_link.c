/* One link: a non-blocking stream socket to one handler process, in the worker's loop (Hops: C2, R3).
 *
 *     DOWN ──connect──▶ GREETING ──WELCOME──▶ UP
 *      ▲  back-off        │ 5 s                │
 *      └──────────────────┴────────────────────┘ end of the stream, a breach, stuck
 *
 * A link ends when its stream has been read to the end, not when a write fails: what the process said before it died counts (a
 * TAKEN decides whether on_connect runs again). Only who breaks the protocol or is silent too long is not heard out.
 *
 * Reading: one read per wake-up into a buffer that grows as bytes come, never by what a header claims, and at most
 * POOL_FRAME_BUDGET frames; whole frames that are left are served in the loop's next iteration. Writing: one send() per iteration for
 * everything that it brought, out of one buffer. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "entropy.h"
#include "must.h"
#include "pool_internal.h"

#define LOG_PERIOD_NS  (10 * NS_PER_S)
#define LOG_BURST      4u
#define OUT_KEPT_BYTES (4 * POOL_OUT_BYTES)
#define LENGTH_BYTES   4u /* in front of a message (handler_wire.h) */

static void log_link(struct pool_link *link, enum log_level_e level, const char *event, const char *reason)
{
    uint32_t suppressed;
    if (log_limit_ok(&link->log_limit, pool_now(link->pool), LOG_PERIOD_NS, LOG_BURST, &suppressed))
        log_write(level, event, "handler=%s process=%u reason=\"%s\" suppressed=%u",
                  link->handler->conf->name, link->index, reason, suppressed);
}

/* --- what the loop watches --------------------------------------------------------------------------------------------- */

static void on_event(uv_poll_t *handle, int status, int events);

static void watch(struct pool_link *link)
{
    if (link->fd < 0)
        return;
    int wanted =
        (link->pause != PAUSE_NONE ? 0 : UV_READABLE) | (link->full && !link->broken ? UV_WRITABLE : 0);
    if (wanted == link->watched)
        return;
    link->watched = wanted;
    if (wanted == 0)
        uv_poll_stop(&link->poll->poll);
    else
        uv_poll_start(&link->poll->poll, wanted, on_event);
}

static void set_more(struct pool_link *link, bool more)
{
    link->pool->more += (more ? 1u : 0u) - (link->more ? 1u : 0u);
    link->more = more;
    pool_serve_more(link->pool);
}

static void set_pause(struct pool_link *link, enum pause_e pause)
{
    link->pool->paused += (pause != PAUSE_NONE ? 1u : 0u) - (link->pause != PAUSE_NONE ? 1u : 0u);
    link->pause = pause;
    if (pause == PAUSE_RATE) {
        link->pool->counts.throttled++;
        pool_arm(link->pool);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* --- connecting -------------------------------------------------------------------------------------------------------- */

static void try_later(struct pool_link *link)
{
    link->state = LINK_DOWN;
    link->due_ns = pool_now(link->pool) + backoff_next_ns(&link->backoff);
    pool_arm(link->pool);
}

static void close_socket(struct pool_link *link)
{
    if (link->poll != NULL)
        uv_close((uv_handle_t *)&link->poll->poll, on_poll_closed);
    if (link->fd >= 0)
        close(link->fd);
    link->poll = NULL;
    link->fd = -1;
    link->watched = 0;
    link->full = link->broken = link->killed = false;
    set_more(link, false);
    set_pause(link, PAUSE_NONE);
    pool_stuck_forget(link);
    free(link->in);
    link->in = NULL;
    link->in_at = link->in_len = link->in_cap = 0;
    msgpack_sbuffer_destroy(&link->out);
    msgpack_sbuffer_init(&link->out);
    link->out_at = 0;
    link->out_end = link->out_sent = 0;
    link->last_number = 0;
    link->unasked_ns = 0;
    list_remove(&link->dirty);
}

static void not_reached(struct pool_link *link, const char *reason)
{
    link->pool->counts.connects_failed++;
    if (!link->outage)
        log_link(link, LOG_WARN, "handler-away", reason);
    link->outage = true;
    close_socket(link);
    try_later(link);
}

static enum err_e say_hello(struct pool_link *link)
{
    const struct pool_config *config = &link->pool->config;
    const struct conf *conf = config->conf;
    struct handler_endpoint *endpoints = calloc(conf->endpoint_count + 1, sizeof *endpoints);
    if (endpoints == NULL)
        return ERR_MEMORY;
    struct handler_message hello = {.type = HANDLER_HELLO,
                                    .version = HANDLER_VERSION,
                                    .handler = handler_text(link->handler->conf->name),
                                    .worker = handler_text(config->worker),
                                    .max_answer_bytes = config->max_answer_bytes,
                                    .deadline_ms = link->handler->conf->deadline_ms,
                                    .endpoints = endpoints};
    for (size_t i = 0; i < conf->endpoint_count; i++)
        if (conf->endpoints[i].handler == link->handler->index)
            endpoints[hello.endpoint_count++] = (struct handler_endpoint){
                handler_text(conf->endpoints[i].path), conf->endpoints[i].schema[0] == '\0'};
    enum err_e err = handler_encode(&hello, &link->out);
    link->out_end = link->out.size;
    free(endpoints);
    return err;
}

static const char *open_socket(struct pool_link *link)
{
    char path[CONF_PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    conf_handler_socket(link->pool->config.conf, link->handler->conf, link->index, path);
    static_assert(sizeof path <= sizeof address.sun_path, "a path of a socket");
    memcpy(address.sun_path, path, strlen(path) + 1);
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return strerror(errno);
    pool_stuck_ask(link);
    if (connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return strerror(errno);
    return NULL;
}

void pool_link_connect(struct pool_link *link)
{
    const char *failure = open_socket(link);
    if (failure == NULL && say_hello(link) != ERR_OK)
        failure = "the greeting cannot be made";
    struct link_poll *poll = failure == NULL ? calloc(1, sizeof *poll) : NULL;
    if (failure == NULL &&
        (poll == NULL || uv_poll_init(link->pool->config.loop, &poll->poll, link->fd) != 0)) {
        free(poll);
        failure = "the loop cannot watch it";
    }
    if (failure != NULL) {
        not_reached(link, failure);
        return;
    }
    poll->link = link;
    poll->poll.data = poll;
    link->poll = poll;
    link->state = LINK_GREETING;
    link->due_ns = pool_now(link->pool) + POOL_WELCOME_NS;
    pool_link_dirty(link);
    watch(link);
}

void pool_link_welcome(struct pool_link *link, struct handler_text program)
{
    uint32_t suppressed;
    struct pool_handler *handler = link->handler;
    link->state = LINK_UP;
    link->up_ns = pool_now(link->pool);
    link->outage = false;
    link->pool->counts.connects++;
    link->pool->counts.links++;
    if (log_limit_ok(&link->log_limit, link->up_ns, LOG_PERIOD_NS, LOG_BURST, &suppressed))
        log_info("handler-up", "handler=%s process=%u program=\"%.*s\" suppressed=%u", handler->conf->name,
                 link->index, (int)program.len, program.at, suppressed);
    while (!list_empty(&handler->homeless))
        pool_conn_place(LIST_ENTRY(handler->homeless.next, struct pool_conn, of_link));
    pool_link_dirty(link);
}

/* --- the end ------------------------------------------------------------------------------------------------------------- */

static void conns_leave(struct pool_link *link, bool lives)
{
    while (!list_empty(&link->conns)) {
        struct pool_conn *conn = LIST_ENTRY(link->conns.next, struct pool_conn, of_link);
        if (lives)
            pool_conn_anew(conn);
        pool_conn_leave(conn);
    }
}

static void end(struct pool_link *link, const char *reason, bool lives)
{
    struct pool *pool = link->pool;
    if (link->state != LINK_UP) {
        not_reached(link, reason);
        return;
    }
    pool->counts.links--;
    pool->counts.links_lost++;
    log_link(link, LOG_WARN, "handler-lost", reason);
    link->outage = true;
    if (pool_now(pool) - link->up_ns >= POOL_SETTLED_NS)
        backoff_reset(&link->backoff);
    pool_event_link_ended(link);
    close_socket(link);
    try_later(link);
    conns_leave(link, lives);
    pool_event_tell_failed(pool);
}

void pool_link_end(struct pool_link *link, const char *reason)
{
    end(link, reason, false);
}

void pool_link_leave(struct pool_link *link, const char *reason)
{
    end(link, reason, true);
}

void pool_link_breach(struct pool_link *link, const char *what)
{
    link->pool->counts.malformed++;
    pool_link_leave(link, what);
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static bool has_frame(const struct pool_link *link)
{
    size_t message_len;
    return handler_frame(link->in + link->in_at, link->in_len - link->in_at, &message_len) != ERR_BUSY;
}

/* False: the link has ended. */
static bool take_frames(struct pool_link *link, unsigned *budget)
{
    while (*budget > 0 && link->in_len > link->in_at && link->pause == PAUSE_NONE) {
        size_t message_len;
        enum err_e err = handler_frame(link->in + link->in_at, link->in_len - link->in_at, &message_len);
        if (err == ERR_BUSY)
            return true;
        if (err != ERR_OK) {
            pool_link_breach(link, "a frame of impossible length");
            return false;
        }
        enum hear_e heard = pool_hear(link, link->in + link->in_at + LENGTH_BYTES, message_len);
        if (heard == HEAR_ENDED)
            return false;
        if (heard != HEARD) {
            set_pause(link, heard == HEAR_WHEN_PAID ? PAUSE_RATE : PAUSE_PUBLISH);
            return true;
        }
        link->in_at += LENGTH_BYTES + message_len;
        --*budget;
    }
    return true;
}

/* Room for more bytes: doubled when it is full of bytes that came, and no larger than the frame that is coming. */
static enum err_e make_room(struct pool_link *link)
{
    if (link->in_at > 0) {
        link->in_len -= link->in_at;
        memmove(link->in, link->in + link->in_at, link->in_len);
        link->in_at = 0;
    }
    if (link->in_len == 0 && link->in_cap > POOL_IN_BYTES) {
        free(link->in);
        link->in = NULL;
        link->in_cap = 0;
    }
    if (link->in_len < link->in_cap)
        return ERR_OK;
    size_t cap = POOL_IN_BYTES, message_len = 0;
    if (link->in_cap > 0) {
        MUST(handler_frame(link->in, link->in_len, &message_len) == ERR_BUSY);
        size_t frame_len = LENGTH_BYTES + message_len;
        cap = link->in_cap * 2 < frame_len ? link->in_cap * 2 : frame_len;
    }
    char *in = realloc(link->in, cap);
    if (in == NULL)
        return ERR_MEMORY;
    link->in = in;
    link->in_cap = cap;
    return ERR_OK;
}

/* Every whole frame that is here was heard: if the stream ends now, all of it was. False: the link has ended. */
static bool read_some(struct pool_link *link)
{
    if (make_room(link) != ERR_OK) {
        pool_link_leave(link, "out of memory");
        return false;
    }
    ssize_t got = pool_stuck_recv(link, link->in + link->in_len, link->in_cap - link->in_len);
    if (got > 0)
        link->in_len += (size_t)got;
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    pool_link_end(link, "closed by the handler"); /* ECONNRESET comes when everything is read, too */
    return false;
}

/* False: the link has ended. */
static bool take_turn(struct pool_link *link)
{
    unsigned budget = POOL_FRAME_BUDGET;
    if (!take_frames(link, &budget))
        return false;
    return budget == 0 || link->pause != PAUSE_NONE || (read_some(link) && take_frames(link, &budget));
}

void pool_link_serve(struct pool_link *link)
{
    const struct pool_config *config = &link->pool->config;
    if (take_turn(link)) {
        set_more(link, link->pause == PAUSE_NONE && link->in_len > link->in_at && has_frame(link));
        watch(link);
    }
    if (config->events->heard != NULL)
        config->events->heard(config->arg);
}

static bool may_go_on(const struct pool_link *link)
{
    const struct pool_config *config = &link->pool->config;
    if (link->pause == PAUSE_PUBLISH)
        return config->events->may_publish(config->arg);
    return pool_now(link->pool) >= pool_link_due(link);
}

void pool_link_resume(struct pool_link *link)
{
    if (!may_go_on(link))
        return;
    set_pause(link, PAUSE_NONE);
    pool_stuck_heard(link);
    pool_link_serve(link);
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

void pool_link_dirty(struct pool_link *link)
{
    if (list_empty(&link->dirty))
        list_append(&link->pool->dirty, &link->dirty);
}

static void drop_written(struct pool_link *link)
{
    size_t left = link->out.size - link->out_at;
    if (left == 0 && link->out.alloc > OUT_KEPT_BYTES) {
        msgpack_sbuffer_destroy(&link->out);
        msgpack_sbuffer_init(&link->out);
    } else if (link->out_at > 0) {
        memmove(link->out.data, link->out.data + link->out_at, left);
        link->out.size = left;
    }
    link->out_at = 0;
}

/* False: no more can be written now. */
static bool write_some(struct pool_link *link)
{
    ssize_t put = send(link->fd, link->out.data + link->out_at, link->out.size - link->out_at,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
        link->out_at += (size_t)put;
        link->out_sent += (uint64_t)put;
        pool_event_written(link);
        return true;
    }
    link->full = errno == EAGAIN;
    link->broken = errno != EAGAIN && errno != EINTR;
    if (link->broken)
        link->ending_ns = pool_now(link->pool) + POOL_ENDING_NS;
    return errno == EINTR;
}

void pool_link_flush(struct pool_link *link)
{
    list_remove(&link->dirty);
    if (link->state == LINK_DOWN || link->full || link->broken)
        return;
    do {
        drop_written(link);
        if (link->state == LINK_UP)
            pool_event_fill(link);
    } while (link->out.size > link->out_at && write_some(link));
    watch(link);
}

static void on_event(uv_poll_t *handle, int status, int events)
{
    struct pool_link *link = ((struct link_poll *)handle->data)->link;
    if (status <
        0) { /* POLLERR: the process died with something unread. libuv has stopped watching; what it said is read first */
        link->watched = 0;
        events = UV_READABLE;
    }
    if (events & UV_WRITABLE) {
        link->full = false;
        pool_link_dirty(link);
        watch(link);
    }
    if ((events & UV_READABLE) && !link->more && link->pause == PAUSE_NONE)
        pool_link_serve(link);
}

/* --- time ------------------------------------------------------------------------------------------------------------------ */

uint64_t pool_link_due(const struct pool_link *link)
{
    uint64_t half_burst = POOL_UNASKED_BURST / 2 * POOL_UNASKED_NS;
    if (link->state == LINK_DOWN)
        return link->due_ns;
    if (link->pause == PAUSE_RATE)
        return link->unasked_ns > half_burst ? link->unasked_ns - half_burst : 0;
    return UINT64_MAX;
}

/* Then the process has closed its end, and what it had said is read to the end. */
static bool is_hung_up(const struct pool_link *link)
{
    return link->pause != PAUSE_NONE || (pool_stuck_look(link) & POLLHUP) != 0;
}

void pool_link_tick(struct pool_link *link)
{
    uint64_t now = pool_now(link->pool);
    if (link->state == LINK_DOWN) {
        if (now >= link->due_ns)
            pool_link_connect(link);
        return;
    }
    if (link->state == LINK_GREETING) {
        if (now >= link->due_ns)
            pool_link_end(link, "no WELCOME in time");
        return;
    }
    if (!list_empty(&link->ready)) /* memory was short */
        pool_link_dirty(link);
    if ((link->broken || link->killed) && now >= link->ending_ns && !is_hung_up(link))
        pool_link_leave(link, link->killed ? "killed, and not gone" : "it does not read any more");
    else
        pool_stuck_tick(link);
}

void pool_link_init(struct pool *pool, struct pool_handler *handler, struct pool_link *link, uint32_t index)
{
    *link = (struct pool_link){
        .pool = pool, .handler = handler, .index = index, .fd = -1, .pidfd = -1, .due_ns = pool_now(pool)};
    struct list_node *lists[] = {&link->unwritten, &link->flying, &link->conns, &link->ready, &link->dirty};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    map_init(&link->window);
    msgpack_sbuffer_init(&link->out);
    uint64_t seed = pool->config.seed != 0 ? pool->config.seed + index : entropy_u64();
    backoff_init(&link->backoff, POOL_RETRY_MIN_NS, POOL_RETRY_MAX_NS, seed);
}

void pool_link_fini(struct pool_link *link)
{
    pool_event_link_ended(link);
    close_socket(link);
    map_fini(&link->window);
}
