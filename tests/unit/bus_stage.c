#include "bus_stage.h"

#include <poll.h>
#include <unistd.h>

uint64_t real_ms(void)
{
    return clock_mono_ns(clock_system()) / NS_PER_MS;
}

static struct seen_peer *seen(struct stage *stage, const struct bus_identity *identity)
{
    for (size_t i = 0; i < stage->peer_count; i++)
        if (stage->peers[i].identity.len == identity->len &&
            memcmp(stage->peers[i].identity.bytes, identity->bytes, identity->len) == 0)
            return &stage->peers[i];
    return NULL;
}

static void answer_hello(struct stage *stage, const struct bus_identity *from)
{
    struct wire_message ok = {.type = WIRE_HELLO_OK, .broker_gen = stage->gen};
    struct wire_message no = {
        .type = WIRE_REFUSED, .broker_gen = stage->gen, .refused.reason = wire_text("no room")};
    ok.hello_ok =
        (struct wire_hello_ok){.version = WIRE_VERSION, .slot = 3, .ring_id = 77, .profile_agrees = true};
    if (!stage->mute)
        bus_router_send(stage->router, from, stage->refuse ? &no : &ok);
}

static void on_message(void *arg, const struct bus_identity *from, int connection,
                       const struct wire_message *message)
{
    struct stage *stage = arg;
    struct seen_peer *peer = seen(stage, from);
    struct wire_message again = {.type = WIRE_RE_HELLO, .broker_gen = stage->gen};
    assert_true(connection >= 0);
    if (message->type == WIRE_HELLO) {
        stage->hellos++;
        if (peer == NULL && stage->peer_count < PEERS)
            peer = &stage->peers[stage->peer_count++];
        if (peer != NULL)
            *peer = (struct seen_peer){*from, connection, message->hello.incarnation};
        answer_hello(stage, from);
    } else if (message->broker_gen != stage->gen) {
        stage->other_gen++;
        bus_router_send(stage->router, from, &again);
    } else if (message->type == WIRE_COMMAND) {
        stage->commands++;
        stage->said_after_end += peer == NULL || peer->connection < 0;
        stage->last_serial = message->command.command_serial;
    } else if (message->type == WIRE_PUBLISH) {
        stage->publishes++;
        stage->last_publish_bytes = message->publish.topics.len + message->publish.payload.len;
    } else if (message->type == WIRE_GOODBYE) {
        stage->goodbyes++;
    } else if (message->type == WIRE_HEARTBEAT) {
        stage->heartbeats++;
    }
}

static void on_malformed(void *arg, const struct bus_identity *from, size_t len)
{
    struct stage *stage = arg;
    (void)from;
    (void)len;
    stage->malformed++;
}

static void on_closed(void *arg, int connection)
{
    struct stage *stage = arg;
    stage->closed++;
    for (size_t i = 0; i < stage->peer_count; i++)
        if (stage->peers[i].connection == connection)
            stage->peers[i].connection = -1;
}

static const struct bus_router_events router_events = {on_message, on_malformed, on_closed};

void broker_open(struct stage *stage, uint64_t gen)
{
    stage->gen = gen;
    stage->peer_count = 0;
    assert_int_equal(bus_router_open(stage->endpoint, &router_events, stage, &stage->router), ERR_OK);
}

int stage_set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    snprintf(stage->dir, sizeof stage->dir, "/tmp/bus_test.XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->path, sizeof stage->path, "%s/broker.sock", stage->dir);
    snprintf(stage->endpoint, sizeof stage->endpoint, "ipc://%s", stage->path);
    *state = stage;
    return 0;
}

int stage_tear_down(void **state)
{
    struct stage *stage = *state;
    bus_router_close(&stage->router);
    unlink(stage->path);
    assert_int_equal(rmdir(stage->dir), 0);
    free(stage);
    return 0;
}

/* --- a link's events ------------------------------------------------------------------------------------------------ */

static void on_hello(void *arg, struct wire_hello *hello)
{
    (void)arg;
    hello->slot = 3;
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct end *end = arg;
    end->ups++;
    end->ring_id = ok->ring_id;
}

static void on_down(void *arg)
{
    ((struct end *)arg)->downs++;
}

static void on_refused(void *arg, const char *reason)
{
    struct end *end = arg;
    end->refusals++;
    snprintf(end->reason, sizeof end->reason, "%s", reason);
}

static void on_link_message(void *arg, const struct wire_message *message)
{
    struct end *end = arg;
    end->messages++;
    if (message->type == WIRE_OUTCOME_ACK)
        end->last_serial = message->outcome_ack.outcome_seq;
}

static const struct link_events link_events = {on_hello,        on_up, on_down, on_refused,
                                               on_link_message, NULL,  NULL};

void end_open(struct end *end, const struct stage *stage, uint64_t incarnation, const struct clock *clock)
{
    struct link_config config = {.endpoint = stage->endpoint,
                                 .role = WIRE_WORKER,
                                 .incarnation = incarnation,
                                 .clock = clock,
                                 .events = &link_events,
                                 .arg = end,
                                 .gathers = stage->gathers};
    *end = (struct end){0};
    assert_int_equal(link_open(&config, &end->link), ERR_OK);
}

void run_until(struct stage *stage, struct end *const *ends, size_t count, const uint64_t *value,
               uint64_t at_least)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; *value < at_least;) {
        if (real_ms() > deadline)
            fail_msg("waited in vain: %llu of %llu", (unsigned long long)*value,
                     (unsigned long long)at_least);
        struct pollfd fds[PEERS + 1] = {{-1, POLLIN, 0}};
        if (stage->router != NULL)
            fds[0].fd = bus_router_fd(stage->router);
        for (size_t i = 0; i < count; i++)
            fds[i + 1] = (struct pollfd){link_fd(ends[i]->link), POLLIN, 0};
        poll(fds, (nfds_t)count + 1, 20);
        if (fds[0].revents != 0)
            bus_router_service(stage->router, 64);
        for (size_t i = 0; i < count; i++)
            if (fds[i + 1].revents != 0 || link_due_ns(ends[i]->link) <= clock_mono_ns(clock_system()))
                link_service(ends[i]->link, 64);
    }
}

void run_one(struct stage *stage, struct end *end, const uint64_t *value, uint64_t at_least)
{
    run_until(stage, &end, 1, value, at_least);
}

bool readable(int fd)
{
    struct pollfd watch = {fd, POLLIN, 0};
    return poll(&watch, 1, 0) == 1;
}

struct wire_message command(uint64_t serial)
{
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = 1,
                                            .command_serial = serial,
                                            .machine = wire_text("machine_1"),
                                            .request_id = wire_text("r"),
                                            .command = 1,
                                            .argument = 7,
                                            .deadline_ms = -1};
    return message;
}

struct wire_message ack(const struct stage *stage, uint64_t serial)
{
    return (struct wire_message){
        .type = WIRE_OUTCOME_ACK, .broker_gen = stage->gen, .outcome_ack = {1, serial}};
}
