/* See the state picture in link.h. Identity on the bus = role letter and incarnation, unique per process start. */
#include "link.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus.h"
#include "log.h"
#include "must.h"
#include "zsocket.h"

struct link {
    struct link_config config;
    struct zsocket z;
    enum link_state_e state;
    uint64_t broker_gen;
    uint64_t boot;         /* whose monotonic time we have; 0: a test's */
    uint64_t heard_ns;     /* last message from this broker */
    uint64_t hello_ns;     /* last HELLO sent */
    uint64_t heartbeat_ns; /* next heartbeat due */
    uint64_t served_ns;    /* last link_service() */
    struct link_counts counts;
    bool serving;
    unsigned gathered;              /* messages taken since the last link_flush() */
    unsigned char buffer[WIRE_MAX]; /* of the message being sent; only a publisher touches all of its pages */
};

static uint64_t now_ns(const struct link *link)
{
    return clock_mono_ns(link->config.clock);
}

static bool set_dealer_options(struct link *link)
{
    static const char letters[] = {
        [WIRE_WORKER] = 'W', [WIRE_AGENT] = 'A', [WIRE_TOOL] = 'T', [WIRE_STORE] = 'S'};
    unsigned char identity[9] = {(unsigned char)letters[link->config.role]};
    uint64_t incarnation = htobe64(link->config.incarnation);
    memcpy(identity + 1, &incarnation, sizeof incarnation);
    /* The second bound keeps a thousand agents of a stopped broker from trying a hundred times a second each. */
    int on = 1, reconnect_ms = 10, reconnect_max_ms = 50, handshake_ms = 1000;
    void *s = link->z.socket;
    return zmq_setsockopt(s, ZMQ_ROUTING_ID, identity, sizeof identity) == 0 &&
           zmq_setsockopt(s, ZMQ_IMMEDIATE, &on, sizeof on) == 0 &&
           zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms) == 0 &&
           zmq_setsockopt(s, ZMQ_RECONNECT_IVL_MAX, &reconnect_max_ms, sizeof reconnect_max_ms) == 0 &&
           zmq_setsockopt(s, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms) == 0;
}

enum err_e link_open(const struct link_config *config, struct link **link)
{
    MUST(config->incarnation != 0);
    struct link *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_MEMORY;
    l->config = *config;
    l->boot = config->clock == clock_system() ? wire_boot() : 0;
    enum err_e err = zsocket_open(&l->z, ZMQ_DEALER, WIRE_DOWN_MAX);
    if (err != ERR_OK) {
        free(l);
        return err;
    }
    if (!set_dealer_options(l) || zsocket_watch(&l->z) != ERR_OK ||
        zmq_connect(l->z.socket, config->endpoint) != 0) {
        log_error("bus-connect", "endpoint=%s error=\"%s\"", config->endpoint, zmq_strerror(errno));
        zsocket_close(&l->z, 0);
        free(l);
        return ERR_SYSTEM;
    }
    *link = l;
    return ERR_OK;
}

static enum err_e send_message(struct link *link, const struct wire_message *message)
{
    size_t len = wire_encode(message, link->buffer, sizeof link->buffer);
    MUST(len > 0);
    int more = link->config.gathers ? ZMQ_SNDMORE : 0;
    if (zmq_send(link->z.socket, link->buffer, len, ZMQ_DONTWAIT | more) < 0) {
        link->counts.full++;
        return ERR_FULL;
    }
    link->counts.sent++;
    link->gathered += link->config.gathers;
    if (link->gathered == BUS_GATHER_MAX)
        link_flush(link);
    return ERR_OK;
}

void link_close(struct link **link)
{
    struct link *l = *link;
    if (l == NULL)
        return;
    struct wire_message bye = {.type = WIRE_GOODBYE, .goodbye = {l->config.incarnation}};
    bye.broker_gen = l->broker_gen;
    if (l->state == LINK_UP ||
        l->state == LINK_HELLO) /* welcomed yet or not: the broker may know it already */
        send_message(l, &bye);
    link_flush(l);
    zsocket_close(&l->z, 100);
    free(l);
    *link = NULL;
}

int link_fd(const struct link *link)
{
    return link->z.poll_fd;
}

enum link_state_e link_state(const struct link *link)
{
    return link->state;
}

uint64_t link_broker_gen(const struct link *link)
{
    return link->broker_gen;
}

const struct link_counts *link_counts(const struct link *link)
{
    return &link->counts;
}

/* Also where the connection ended meanwhile: the end of the message is what makes ZeroMQ take another. */
void link_flush(struct link *link)
{
    if (link->gathered > 0)
        zmq_send(link->z.socket, "", 0, ZMQ_DONTWAIT);
    link->gathered = 0;
}

enum err_e link_send(struct link *link, struct wire_message *message)
{
    if (link->state != LINK_UP)
        return ERR_CLOSED;
    message->broker_gen = link->broker_gen;
    if (message->type == WIRE_COMMAND)
        message->command.boot = link->boot;
    enum err_e err = send_message(link, message);
    if (!link->serving && !link->config.gathers)
        zsocket_leave(&link->z);
    return err;
}

/* --- the state machine ------------------------------------------------------------------------------------------- */

static void leave_up(struct link *link, enum link_state_e next)
{
    bool was_up = link->state == LINK_UP;
    link->state = next;
    if (was_up) {
        link->counts.downs++;
        link->config.events->down(link->config.arg);
    }
}

static void say_hello(struct link *link)
{
    struct wire_message message = {.type = WIRE_HELLO};
    message.hello.version = WIRE_VERSION;
    message.hello.role = link->config.role;
    message.hello.incarnation = link->config.incarnation;
    message.hello.slot = UINT32_MAX;
    message.hello.machine = wire_text("");
    link->config.events->hello(link->config.arg, &message.hello);
    leave_up(link, LINK_HELLO);
    link->hello_ns = now_ns(link);
    link->counts.hellos++;
    /* A send looks for a new connection at most once a millisecond; this look makes it find the one that is up now. */
    zsocket_readable(&link->z);
    send_message(link, &message); /* if it does not go, the retry says it again */
}

static void on_hello_ok(struct link *link, const struct wire_message *message)
{
    if (link->state != LINK_HELLO) /* answer to a HELLO that was said twice */
        return;
    if (message->hello_ok.version != WIRE_VERSION) {
        link->state = LINK_REFUSED;
        link->config.events->refused(link->config.arg,
                                     "the broker speaks another version of the bus protocol");
        return;
    }
    link->state = LINK_UP;
    link->broker_gen = message->broker_gen;
    link->heartbeat_ns = now_ns(link) + LINK_HEARTBEAT_NS;
    link->counts.ups++;
    link->config.events->up(link->config.arg, &message->hello_ok);
}

static void on_refused(struct link *link, const struct wire_message *message)
{
    char reason[256];
    wire_text_copy(message->refused.reason, reason, sizeof reason);
    leave_up(link, LINK_REFUSED);
    link->config.events->refused(link->config.arg, reason);
}

static void dispatch(struct link *link, struct wire_message *message)
{
    link->heard_ns = now_ns(link);
    switch (message->type) {
    case WIRE_HELLO_OK:
        on_hello_ok(link, message);
        return;
    case WIRE_RE_HELLO:
        if (link->state == LINK_UP)
            say_hello(link);
        return;
    case WIRE_REFUSED:
        on_refused(link, message);
        return;
    case WIRE_HEARTBEAT:
        if (link->state == LINK_UP && link->config.events->broker_heartbeat != NULL)
            link->config.events->broker_heartbeat(link->config.arg, &message->heartbeat);
        return;
    default:
        if (message->type == WIRE_COMMAND && link->boot != 0 && message->command.boot == link->boot)
            wire_command_arrived(&message->command, link->heard_ns);
        else if (message->type == WIRE_COMMAND)
            message->command.source_ns = 0;
        if (link->state == LINK_UP && message->broker_gen == link->broker_gen)
            link->config.events->message(link->config.arg, message);
        else
            link->counts.other_gen++;
    }
}

static bool receive_one(struct link *link)
{
    zmq_msg_t body;
    zmq_msg_init(&body);
    if (zmq_msg_recv(&body, link->z.socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&body);
        return false;
    }
    struct wire_message message;
    link->counts.received++;
    if (!zsocket_drop_rest(&link->z, &body) &&
        wire_decode(zmq_msg_data(&body), zmq_msg_size(&body), &message) == ERR_OK)
        dispatch(link, &message);
    else
        link->counts.malformed++;
    zmq_msg_close(&body);
    return true;
}

/* What a dead broker said last is not for the next one's time: its HELLO_OK would be taken for the new one's. */
static void drop_queued(struct link *link)
{
    while (zsocket_readable(&link->z)) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        bool received = zmq_msg_recv(&part, link->z.socket, ZMQ_DONTWAIT) >= 0;
        zmq_msg_close(&part);
        if (!received)
            return;
        link->counts.received++;
        link->counts.other_gen++;
    }
}

static void service_events(struct link *link)
{
    int connection;
    for (enum zevent_e e; (e = zsocket_event(&link->z, &connection)) != ZEVENT_NONE;) {
        if (link->state == LINK_REFUSED)
            continue;
        if (e == ZEVENT_CLOSED) {
            drop_queued(link);
            leave_up(link, LINK_DOWN);
        } else if (e == ZEVENT_UP) {
            say_hello(link);
        }
    }
}

static void service_timers(struct link *link)
{
    uint64_t now = now_ns(link);
    if (link->state == LINK_HELLO && now >= link->hello_ns + LINK_RETRY_NS)
        say_hello(link);
    if (link->state != LINK_UP)
        return;
    if (now >= link->heard_ns + LINK_SILENCE_NS) {
        say_hello(link);
        return;
    }
    if (now >= link->heartbeat_ns) {
        struct wire_message message = {.type = WIRE_HEARTBEAT};
        message.heartbeat.incarnation = link->config.incarnation;
        message.heartbeat.reading_age_ms = -1;
        message.heartbeat.metrics = wire_text("");
        if (link->config.events->heartbeat != NULL)
            link->config.events->heartbeat(link->config.arg, &message.heartbeat);
        link->heartbeat_ns = now + LINK_HEARTBEAT_NS;
        link_send(link, &message);
    }
}

/* This process stood still (stopped, starved): what waits was sent to it long ago, and the time left in a command is
 * no longer what it says. It is dropped; after the new HELLO the broker sends again what is still wanted. */
static void service_stall(struct link *link)
{
    uint64_t now = now_ns(link);
    bool stalled = link->state == LINK_UP && now - link->served_ns >= LINK_STALL_NS;
    link->served_ns = now;
    if (!stalled)
        return;
    drop_queued(link);
    say_hello(link);
}

bool link_service(struct link *link, unsigned budget)
{
    link->serving = true;
    zsocket_begin(&link->z);
    link_flush(link); /* what a dead connection gathered would swallow the HELLO */
    service_stall(link);
    service_events(link);
    while (budget > 0 && receive_one(link))
        budget--;
    service_timers(link);
    link_flush(link);
    link->serving = false;
    return zsocket_leave(&link->z);
}

void link_look(struct link *link)
{
    link_flush(link);
    zsocket_leave(&link->z);
}

uint64_t link_due_ns(const struct link *link)
{
    uint64_t silence = link->heard_ns + LINK_SILENCE_NS;
    switch (link->state) {
    case LINK_HELLO:
        return link->hello_ns + LINK_RETRY_NS;
    case LINK_UP:
        return silence < link->heartbeat_ns ? silence : link->heartbeat_ns;
    default:
        return UINT64_MAX;
    }
}
