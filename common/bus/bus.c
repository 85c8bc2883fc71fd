/* Which connection a message came by is ZMQ_SRCFD, the descriptor under it; when that closes, the monitor names the
 * same descriptor. Two orders matter:
 *
 *   - What a peer said last comes before its end. Ends are collected at the start of a round and delivered when the
 *     queue is empty (or after one more round, so that a flood of others cannot put them off).
 *   - The end of a connection comes before a HELLO by its successor, which may have the same descriptor: before a HELLO is
 *     delivered, so are all ends that have happened.
 *
 * Messages are encoded into a buffer of the router's (and of the link's): on the stack, with a probe per page as we build, the room for
 * the largest PUBLISH costs every send 1.0 µs; encoding a small one takes 0.02.
 *
 * Rejected: ZMQ_ROUTER_NOTIFY (draft API, not in Debian's build) and waiting for heartbeats (seconds instead of
 * milliseconds). */
#include "bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "log.h"
#include "must.h"
#include "zsocket.h"

#define ENDED_MAX 256 /* ends put off; beyond it they are delivered early */

struct bus_router {
    struct zsocket z;
    const struct bus_router_events *events;
    void *arg;
    bool serving;
    bool carried;       /* ends were put off by a round already */
    size_t ended_count; /* ends not delivered yet */
    int ended[ENDED_MAX];
    unsigned char buffer[WIRE_DOWN_MAX]; /* of the message being sent */
};

static bool set_router_options(void *socket)
{
    int on = 1, backlog = BUS_HIGH_WATER; /* all peers come back at once after a restart */
    return zmq_setsockopt(socket, ZMQ_ROUTER_HANDOVER, &on, sizeof on) == 0 &&
           zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on) == 0 &&
           zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog) == 0;
}

enum err_e bus_router_open(const char *endpoint, const struct bus_router_events *events, void *arg,
                           struct bus_router **router)
{
    struct bus_router *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_MEMORY;
    r->events = events;
    r->arg = arg;
    enum err_e err = zsocket_open(&r->z, ZMQ_ROUTER, WIRE_MAX);
    if (err != ERR_OK) {
        free(r);
        return err;
    }
    if (!set_router_options(r->z.socket) || zsocket_watch(&r->z) != ERR_OK ||
        zmq_bind(r->z.socket, endpoint) != 0) {
        log_error("bus-bind", "endpoint=%s error=\"%s\"", endpoint, zmq_strerror(errno));
        bus_router_close(&r);
        return ERR_SYSTEM;
    }
    *router = r;
    return ERR_OK;
}

void bus_router_close(struct bus_router **router)
{
    if (*router == NULL)
        return;
    zsocket_close(&(*router)->z, 100); /* last answers get 100 ms to leave */
    free(*router);
    *router = NULL;
}

int bus_router_fd(const struct bus_router *router)
{
    return router->z.poll_fd;
}

static void deliver_ends(struct bus_router *router)
{
    for (size_t i = 0; i < router->ended_count; i++)
        router->events->closed(router->arg, router->ended[i]);
    router->ended_count = 0;
    router->carried = false;
}

static void collect_ends(struct bus_router *router)
{
    int connection;
    for (enum zevent_e e; (e = zsocket_event(&router->z, &connection)) != ZEVENT_NONE;) {
        if (e != ZEVENT_CLOSED)
            continue;
        if (router->ended_count == ENDED_MAX)
            deliver_ends(router);
        router->ended[router->ended_count++] = connection;
    }
}

/* False: it is malformed, which was told. */
static bool deliver(struct bus_router *router, const struct bus_identity *from, zmq_msg_t *body, bool whole)
{
    struct wire_message message;
    if (!whole || wire_decode(zmq_msg_data(body), zmq_msg_size(body), &message) != ERR_OK) {
        router->events->malformed(router->arg, from, zmq_msg_size(body));
        return false;
    }
    if (message.type == WIRE_HELLO) {
        collect_ends(router);
        deliver_ends(router);
    }
    router->events->message(router->arg, from, zmq_msg_get(body, ZMQ_SRCFD), &message);
    return true;
}

/* What a link gathered: a message in each part, and behind them an empty one (link.c); or a single message. What stands behind a
 * malformed one is not looked at. */
static void deliver_parts(struct bus_router *router, const struct bus_identity *from, zmq_msg_t *part)
{
    bool good = true;
    for (unsigned count = 0; good && zmq_msg_more(part); count++) {
        if (zmq_msg_recv(part, router->z.socket, ZMQ_DONTWAIT) < 0)
            return;
        bool end = count > 0 && zmq_msg_size(part) == 0 && !zmq_msg_more(part);
        good = end || deliver(router, from, part, count < BUS_GATHER_MAX);
    }
}

static bool receive_one(struct bus_router *router)
{
    struct bus_identity from;
    zmq_msg_t part;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, router->z.socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&part);
        return false;
    }
    size_t len = zmq_msg_size(&part);
    from.len = (uint8_t)(len <= BUS_IDENTITY_MAX ? len : BUS_IDENTITY_MAX);
    memcpy(from.bytes, zmq_msg_data(&part), from.len);
    if (len <= BUS_IDENTITY_MAX && zmq_msg_more(&part))
        deliver_parts(router, &from, &part);
    else
        deliver(router, &from, &part, false);
    zsocket_drop_rest(&router->z, &part);
    zmq_msg_close(&part);
    return true;
}

bool bus_router_service(struct bus_router *router, unsigned budget)
{
    router->serving = true;
    zsocket_begin(&router->z);
    collect_ends(router);
    while (budget > 0 && receive_one(router)) /* asking ZMQ_EVENTS before each would cost a poll(2) each */
        budget--;
    if (router->carried || !zsocket_readable(&router->z))
        deliver_ends(router);
    else
        router->carried = router->ended_count > 0;
    router->serving = false;
    return zsocket_leave(&router->z);
}

static enum err_e send_parts(void *socket, const struct bus_identity *to, const void *body, size_t len)
{
    if (zmq_send(socket, to->bytes, to->len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno == EHOSTUNREACH ? ERR_NOT_FOUND : ERR_FULL;
    return zmq_send(socket, body, len, ZMQ_DONTWAIT) < 0 ? ERR_FULL : ERR_OK;
}

enum err_e bus_router_send(struct bus_router *router, const struct bus_identity *to,
                           const struct wire_message *message)
{
    size_t len = wire_encode(message, router->buffer, sizeof router->buffer);
    MUST(len > 0);
    enum err_e err = send_parts(router->z.socket, to, router->buffer, len);
    if (!router->serving)
        zsocket_leave(&router->z);
    return err;
}
