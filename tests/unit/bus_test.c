/* bus: the router and its links, over ipc in a directory of their own. Waits are on what was received, with a deadline;
 * time limits run on a manual clock. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "bus.h"
#include "link.h"
#include "log.h"
#include "must.h"

#define DEADLINE_MS 20000
#define PEERS       8

/* --- the stage: one router that answers as a broker would, and up to a few links ---------------------------------- */

struct seen_peer {
    struct bus_identity identity;
    int connection; /* -1: closed */
    uint64_t incarnation;
};

struct stage {
    char dir[64], path[96], endpoint[128];
    struct bus_router *router;
    uint64_t gen;
    bool mute, refuse; /* how HELLO is answered */
    struct seen_peer peers[PEERS];
    size_t peer_count;
    uint64_t hellos, commands, goodbyes, heartbeats, malformed, closed, other_gen, commands_of_dead;
    uint64_t last_serial, said_after_end;
};

struct end {
    struct link *link;
    uint64_t ups, downs, refusals, messages, last_serial, ring_id;
    char reason[256];
};

static uint64_t real_ms(void)
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

static void broker_open(struct stage *stage, uint64_t gen)
{
    stage->gen = gen;
    stage->peer_count = 0;
    assert_int_equal(bus_router_open(stage->endpoint, &router_events, stage, &stage->router), ERR_OK);
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    snprintf(stage->dir, sizeof stage->dir, "/tmp/bus_test.XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->path, sizeof stage->path, "%s/broker.sock", stage->dir);
    snprintf(stage->endpoint, sizeof stage->endpoint, "ipc://%s", stage->path);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
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

static const struct link_events link_events = {on_hello, on_up, on_down, on_refused, on_link_message, NULL};

static void end_open(struct end *end, const struct stage *stage, uint64_t incarnation,
                     const struct clock *clock)
{
    struct link_config config = {.endpoint = stage->endpoint,
                                 .role = WIRE_WORKER,
                                 .incarnation = incarnation,
                                 .clock = clock,
                                 .events = &link_events,
                                 .arg = end};
    *end = (struct end){0};
    assert_int_equal(link_open(&config, &end->link), ERR_OK);
}

/* Services everything until *value reaches `at_least`. Only readable descriptors are serviced, and links that are due:
 * that is what shows that nothing else is needed. */
static void run_until(struct stage *stage, struct end *const *ends, size_t count, const uint64_t *value,
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

static void run_one(struct stage *stage, struct end *end, const uint64_t *value, uint64_t at_least)
{
    run_until(stage, &end, 1, value, at_least);
}

static bool readable(int fd)
{
    struct pollfd watch = {fd, POLLIN, 0};
    return poll(&watch, 1, 0) == 1;
}

static struct wire_message command(uint64_t serial)
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

static struct wire_message ack(const struct stage *stage, uint64_t serial)
{
    return (struct wire_message){
        .type = WIRE_OUTCOME_ACK, .broker_gen = stage->gen, .outcome_ack = {1, serial}};
}

/* --- the plays -------------------------------------------------------------------------------------------------------- */

static void a_link_says_hello_and_messages_go_both_ways(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    assert_int_equal(link_state(end.link), LINK_DOWN);
    struct wire_message message = command(1);
    assert_int_equal(link_send(end.link, &message), ERR_CLOSED);

    run_one(stage, &end, &end.ups, 1);
    assert_int_equal(link_state(end.link), LINK_UP);
    assert_int_equal(end.ring_id, 77);
    assert_true(link_broker_gen(end.link) == 11);
    assert_true(stage->peers[0].incarnation == 1001);

    for (uint64_t serial = 1; serial <= 100; serial++) {
        message = command(serial);
        assert_int_equal(link_send(end.link, &message), ERR_OK);
        message = ack(stage, serial);
        assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &message), ERR_OK);
    }
    run_one(stage, &end, &stage->commands, 100);
    run_one(stage, &end, &end.messages, 100);
    assert_int_equal(stage->last_serial, 100);
    assert_int_equal(end.last_serial, 100);
    assert_int_equal(stage->malformed, 0);

    link_close(&end.link);
    run_until(stage, NULL, 0, &stage->closed, 1);
    assert_int_equal(stage->goodbyes, 1);
}

static void a_link_may_be_there_before_its_broker(void **state)
{
    struct stage *stage = *state;
    struct end end;
    end_open(&end, stage, 1001, clock_system());
    assert_false(link_service(end.link, 64));
    broker_open(stage, 11);
    run_one(stage, &end, &end.ups, 1);
    link_close(&end.link);
}

static void a_new_broker_gets_a_new_hello_and_nothing_that_was_meant_for_the_old_one(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);

    bus_router_close(&stage->router);
    run_one(stage, &end, &end.downs, 1);
    struct wire_message message = command(1);
    assert_int_equal(link_send(end.link, &message), ERR_CLOSED);
    assert_int_equal(link_state(end.link), LINK_DOWN);

    broker_open(stage, 12);
    uint64_t start_ms = real_ms();
    run_one(stage, &end, &end.ups, 2);
    /* Not by the retry after a second: the HELLO finds the connection whose coming up it answers. */
    assert_true(real_ms() - start_ms < 900);
    assert_true(link_broker_gen(end.link) == 12);
    assert_int_equal(stage->commands, 0);
    message = command(2);
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    run_one(stage, &end, &stage->commands, 1);
    assert_int_equal(stage->other_gen, 0);
    link_close(&end.link);
}

static void what_a_dead_broker_said_last_is_not_heard(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    while (stage->hellos == 0) { /* the answer waits in the link's queue, unread, when its broker goes */
        bus_router_service(stage->router, 64);
        if (link_state(end.link) == LINK_DOWN)
            link_service(end.link, 64);
    }
    bus_router_close(&stage->router);
    broker_open(stage, 12);
    run_one(stage, &end, &stage->hellos, 2);
    run_one(stage, &end, &end.ups, 1);
    assert_true(link_broker_gen(end.link) == 12);
    link_close(&end.link);
}

static void re_hello_makes_a_link_introduce_itself_again(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    stage->gen = 12; /* as if a broker with the same socket had been restarted unseen */
    struct wire_message message = command(1);
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    run_one(stage, &end, &end.ups, 2);
    assert_int_equal(end.downs, 1);
    assert_int_equal(stage->other_gen, 1);
    assert_int_equal(stage->commands, 0);
    assert_true(link_broker_gen(end.link) == 12);
    link_close(&end.link);
}

static void a_refusal_is_final(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    stage->refuse = true;
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.refusals, 1);
    assert_string_equal(end.reason, "no room");
    assert_int_equal(link_state(end.link), LINK_REFUSED);
    assert_true(link_due_ns(end.link) == UINT64_MAX);
    stage->refuse = false;
    bus_router_close(&stage->router);
    broker_open(stage, 12);
    struct end other; /* the marker: another link comes up at the new broker, this one stays silent */
    end_open(&other, stage, 1002, clock_system());
    struct end *ends[] = {&end, &other};
    run_until(stage, ends, 2, &other.ups, 1);
    assert_int_equal(stage->hellos, 2);
    assert_int_equal(link_state(end.link), LINK_REFUSED);
    link_close(&other.link);
    link_close(&end.link);
}

/* --- strangers --------------------------------------------------------------------------------------------------------- */

static void garbage_is_counted_and_hurts_nobody(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);

    void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER);
    assert_int_equal(zmq_connect(raw, stage->endpoint), 0);
    char noise[4096];
    uint64_t sent = 0;
    srand(17);
    for (int round = 0; round < 200; round++, sent++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (char)rand();
        noise[0] = (char)0xc1; /* never a message */
        zmq_send(raw, noise, (size_t)rand() % sizeof noise, 0);
    }
    zmq_send(raw, "", 0, 0);
    for (int part = 0; part < 20;
         part++) /* one message of many parts, of which the last would be well-formed */
        zmq_send(raw, "\x93\x03\x00\x00", 4, part < 19 ? ZMQ_SNDMORE : 0);
    struct wire_message hello = {.type = WIRE_HELLO, .hello = {.version = 1, .machine = wire_text("")}};
    size_t len = wire_encode(&hello, noise, sizeof noise);
    zmq_send(raw, "", 0, ZMQ_SNDMORE); /* as a REQ socket would */
    zmq_send(raw, noise, len, 0);
    sent += 3;
    run_one(stage, &end, &stage->malformed, sent);
    assert_int_equal(stage->hellos, 1);

    struct wire_message message = command(1); /* and the link has noticed nothing */
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    run_one(stage, &end, &stage->commands, 1);
    assert_int_equal(end.downs, 0);

    int zero = 0;
    zmq_setsockopt(raw, ZMQ_LINGER, &zero, sizeof zero);
    zmq_close(raw);
    zmq_ctx_term(context);
    run_one(stage, &end, &stage->closed, 1);
    link_close(&end.link);
}

static void a_message_over_the_limit_ends_its_connection(void **state)
{
    struct stage *stage = *state;
    static char large[WIRE_MAX * 4];
    broker_open(stage, 11);
    void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER);
    int zero = 0;
    zmq_setsockopt(raw, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(raw, stage->endpoint), 0);
    zmq_send(raw, large, sizeof large, 0);
    run_until(stage, NULL, 0, &stage->closed, 1);
    assert_int_equal(stage->malformed, 0);
    zmq_close(raw);
    zmq_ctx_term(context);
}

/* libzmq takes whatever does not begin as its protocol for a peer of ZMTP 1.0 and reads frames from it: bounded, and
 * no frame is ever a message. */
static void bytes_that_are_not_zeromq_hurt_nobody(void **state)
{
    struct stage *stage = *state;
    struct end end;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: who took the wrong door\r\n\r\n";
    char noise[4096];
    broker_open(stage, 11);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", stage->path);
    srand(23);
    for (int round = 0; round < 50; round++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (char)rand();
        if (round == 0)
            send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
        else
            send(fd, noise, sizeof noise, MSG_NOSIGNAL);
        close(fd);
    }
    run_until(stage, NULL, 0, &stage->closed, 50);
    assert_int_equal(stage->hellos + stage->commands, 0);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    link_close(&end.link);
}

static void nobody_is_sent_to_who_is_not_there(void **state)
{
    struct stage *stage = *state;
    struct bus_identity nobody = {4, "nobo"};
    struct wire_message message = {.type = WIRE_RE_HELLO};
    broker_open(stage, 11);
    assert_int_equal(bus_router_send(stage->router, &nobody, &message), ERR_NOT_FOUND);
}

/* --- connections ------------------------------------------------------------------------------------------------------- */

static void the_newer_connection_of_an_identity_takes_over(void **state)
{
    struct stage *stage = *state;
    struct end first, second;
    broker_open(stage, 11);
    end_open(&first, stage, 1001, clock_system());
    run_one(stage, &first, &first.ups, 1);
    int before = stage->peers[0].connection;
    end_open(&second, stage, 1001, clock_system());
    run_one(stage, &second, &second.ups, 1);
    assert_int_equal(stage->peer_count, 1);
    assert_int_not_equal(stage->peers[0].connection, before);
    struct wire_message message = ack(stage, 5);
    assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &message), ERR_OK);
    run_one(stage, &second, &second.messages, 1);
    assert_int_equal(first.messages, 0);
    link_close(&first.link);
    link_close(&second.link);
}

/* A child that opens a link when told to, comes up, and then waits to be killed. Forked before this process has any
 * thread of ZeroMQ's. */
static pid_t fork_peer(const struct stage *stage, uint64_t incarnation, int go[2])
{
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        close(go[0]);
        return pid;
    }
    char byte;
    close(go[1]);
    if (read(go[0], &byte, 1) != 1)
        _exit(0);
    struct end end;
    end_open(&end, stage, incarnation, clock_system());
    for (;;) {
        struct pollfd watch = {link_fd(end.link), POLLIN, 0};
        poll(&watch, 1, 50);
        link_service(end.link, 64);
    }
}

static void a_killed_peer_is_noticed_by_its_socket(void **state)
{
    struct stage *stage = *state;
    int go[2], status;
    pid_t pid = fork_peer(stage, 1001, go);
    broker_open(stage, 11);
    assert_int_equal(write(go[1], "x", 1), 1);
    run_until(stage, NULL, 0, &stage->hellos, 1);
    int connection = stage->peers[0].connection;
    assert_true(connection >= 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    uint64_t start_ms = real_ms();
    run_until(stage, NULL, 0, &stage->closed, 1);
    assert_true(real_ms() - start_ms < 900);
    assert_int_equal(stage->peers[0].connection, -1);
    struct wire_message message = ack(stage, 1); /* the queue under the connection goes a moment after it */
    while (bus_router_send(stage->router, &stage->peers[0].identity, &message) != ERR_NOT_FOUND)
        assert_true(real_ms() - start_ms < DEADLINE_MS);
    close(go[1]);
}

static void what_a_peer_says_last_comes_before_its_end(void **state)
{
    struct stage *stage = *state;
    broker_open(stage, 11);
    for (uint64_t round = 1; round <= 20; round++) {
        struct end end;
        stage->peer_count = 0;
        end_open(&end, stage, 1000 + round, clock_system());
        run_one(stage, &end, &end.ups, 1);
        for (uint64_t serial = 1; serial <= 50; serial++) {
            struct wire_message message = command(serial);
            assert_int_equal(link_send(end.link, &message), ERR_OK);
        }
        link_close(&end.link); /* nothing is serviced meanwhile */
        run_until(stage, NULL, 0, &stage->closed, round);
        assert_int_equal(stage->commands, 50 * round);
        assert_int_equal(stage->goodbyes, round);
    }
    assert_int_equal(stage->said_after_end, 0);
}

/* A peer goes and another comes while the router looks away: the descriptor is reused, and the old end must not be taken
 * for the new one's. The router hears of both in one service. */
static void the_end_of_a_connection_is_never_taken_for_that_of_its_successor(void **state)
{
    struct stage *stage = *state;
    unsigned reused = 0;
    broker_open(stage, 11);
    for (uint64_t round = 0; round < 40; round++) {
        struct end first, second;
        uint64_t closed = stage->closed, hellos = stage->hellos;
        stage->peer_count = 0;
        end_open(&first, stage, 5000 + round, clock_system());
        run_one(stage, &first, &first.ups, 1);
        int before = stage->peers[0].connection;
        link_close(&first.link);

        end_open(&second, stage, 7000 + round, clock_system());
        while (link_counts(second.link)->hellos == 0) { /* only the link is serviced */
            struct pollfd watch = {link_fd(second.link), POLLIN, 0};
            poll(&watch, 1, 10);
            link_service(second.link, 64);
        }
        run_one(stage, &second, &second.ups, 1);
        assert_int_equal(stage->hellos, hellos + 2);
        assert_true(stage->closed >= closed + 1);
        reused += stage->peers[1].connection == before;
        assert_int_equal(stage->peers[0].connection, -1);
        assert_true(stage->peers[1].connection >= 0);
        link_close(&second.link);
        run_until(stage, NULL, 0, &stage->closed, closed + 2);
    }
    assert_true(reused > 0); /* else this play has shown nothing */
}

/* --- limits ------------------------------------------------------------------------------------------------------------ */

static void a_peer_that_does_not_read_costs_a_bounded_queue(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    uint64_t sent = 0;
    enum err_e err = ERR_OK;
    for (; sent < 1000000 && err == ERR_OK; sent += err == ERR_OK) {
        struct wire_message message = ack(stage, sent + 1);
        err = bus_router_send(stage->router, &stage->peers[0].identity, &message);
    }
    assert_int_equal(err, ERR_FULL);
    assert_in_range(sent, BUS_HIGH_WATER / 2, 200000);
    run_one(stage, &end, &end.messages, sent); /* none of those taken is lost */
    assert_int_equal(end.last_serial, sent);
    do { /* and there is room again, once the queue has told so */
        struct wire_message message = ack(stage, sent + 1);
        err = bus_router_send(stage->router, &stage->peers[0].identity, &message);
        bus_router_service(stage->router, 64);
    } while (err == ERR_FULL);
    assert_int_equal(err, ERR_OK);
    run_one(stage, &end, &end.messages, sent + 1);
    link_close(&end.link);
}

static void a_broker_that_does_not_read_is_told_by_err_full(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    uint64_t sent = 0;
    enum err_e err = ERR_OK;
    for (; sent < 1000000 && err == ERR_OK; sent += err == ERR_OK) {
        struct wire_message message = command(sent + 1);
        err = link_send(end.link, &message);
    }
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(link_counts(end.link)->full, 1);
    assert_in_range(sent, BUS_HIGH_WATER / 2, 200000);
    run_one(stage, &end, &stage->commands, sent);
    assert_int_equal(stage->last_serial, sent);
    link_close(&end.link);
}

/* ZMQ_FD alone would fall silent here: its edge is swallowed by the budget and by own sends. */
static void descriptors_stay_readable_while_there_is_something_to_do(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    for (uint64_t serial = 1; serial <= 500; serial++) {
        struct wire_message up = command(serial), down = ack(stage, serial);
        assert_int_equal(link_send(end.link, &up), ERR_OK);
        assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &down), ERR_OK);
    }
    for (uint64_t deadline = real_ms() + DEADLINE_MS; stage->commands < 500 && real_ms() < deadline;) {
        struct pollfd watch = {bus_router_fd(stage->router), POLLIN, 0};
        if (poll(&watch, 1, 100) == 1 && bus_router_service(stage->router, 1))
            assert_true(readable(bus_router_fd(stage->router)));
        struct wire_message down = ack(stage, stage->commands);
        bus_router_send(stage->router, &stage->peers[0].identity, &down);
    }
    assert_int_equal(stage->commands, 500);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; end.messages < 500 && real_ms() < deadline;) {
        struct pollfd watch = {link_fd(end.link), POLLIN, 0};
        struct wire_message up = command(1000);
        if (poll(&watch, 1, 100) == 1 && link_service(end.link, 1))
            assert_true(readable(link_fd(end.link)));
        link_send(end.link, &up);
    }
    assert_true(end.messages >= 500);
    link_close(&end.link);
}

static void an_idle_descriptor_is_not_readable(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    for (int quiet = 0, rounds = 0; quiet < 3; rounds++) { /* settles after a few services: no busy loop */
        assert_true(rounds < 1000);
        bool busy = false;
        struct pollfd watch[] = {{bus_router_fd(stage->router), POLLIN, 0}, {link_fd(end.link), POLLIN, 0}};
        if (poll(watch, 2, 20) > 0)
            busy = true;
        if (watch[0].revents != 0)
            bus_router_service(stage->router, 64);
        if (watch[1].revents != 0)
            link_service(end.link, 64);
        quiet = busy ? 0 : quiet + 1;
    }
    link_close(&end.link);
}

/* --- time -------------------------------------------------------------------------------------------------------------- */

/* Services the link, whose clock stands still, until *value reaches at_least. */
static void run_manual(struct stage *stage, struct end *end, const uint64_t *value, uint64_t at_least)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; *value < at_least;) {
        assert_true(real_ms() < deadline);
        struct pollfd fds[] = {{bus_router_fd(stage->router), POLLIN, 0}, {link_fd(end->link), POLLIN, 0}};
        poll(fds, 2, 20);
        bus_router_service(stage->router, 64);
        link_service(end->link, 64);
    }
}

static void time_makes_a_link_ask_again_beat_and_give_up(void **state)
{
    struct stage *stage = *state;
    struct end end;
    struct clock_manual clock;
    clock_manual_init(&clock, 1000 * NS_PER_S, 0);
    broker_open(stage, 11);
    stage->mute = true;
    end_open(&end, stage, 1001, &clock.clock);
    run_manual(stage, &end, &stage->hellos, 1);
    assert_true(link_due_ns(end.link) == clock.mono_now_ns + LINK_RETRY_NS);
    clock_manual_advance_ns(&clock, LINK_RETRY_NS - 1);
    link_service(end.link, 64);
    assert_int_equal(link_counts(end.link)->hellos, 1);
    clock_manual_advance_ns(&clock, 1);
    run_manual(stage, &end, &stage->hellos, 2);

    stage->mute = false;
    clock_manual_advance_ns(&clock, LINK_RETRY_NS);
    run_manual(stage, &end, &end.ups, 1);
    assert_true(link_due_ns(end.link) == clock.mono_now_ns + LINK_HEARTBEAT_NS);
    clock_manual_advance_ns(&clock, LINK_HEARTBEAT_NS - 1);
    link_service(end.link, 64);
    uint64_t sent = link_counts(end.link)->sent;
    clock_manual_advance_ns(&clock, 1);
    link_service(end.link, 64);
    assert_int_equal(link_counts(end.link)->sent, sent + 1);
    run_manual(stage, &end, &stage->heartbeats, 1);

    for (unsigned i = 0; i < 2; i++) { /* in steps, as a loop would; at once would be a stall */
        clock_manual_advance_ns(&clock, (LINK_SILENCE_NS - LINK_HEARTBEAT_NS) / 2 - i);
        link_service(end.link, 64);
    }
    assert_int_equal(link_state(end.link), LINK_UP);
    clock_manual_advance_ns(&clock, 1); /* the broker has said nothing for three seconds */
    link_service(end.link, 64);
    assert_int_equal(end.downs, 1);
    assert_int_equal(link_state(end.link), LINK_HELLO);
    run_manual(stage, &end, &end.ups, 2);
    link_close(&end.link);
}

static void a_process_that_stood_still_hears_nothing_old(void **state)
{
    struct stage *stage = *state;
    struct end end;
    struct clock_manual clock;
    clock_manual_init(&clock, 1000 * NS_PER_S, 0);
    broker_open(stage, 11);
    end_open(&end, stage, 1001, &clock.clock);
    run_manual(stage, &end, &end.ups, 1);
    struct wire_message old = {.type = WIRE_OUTCOME_ACK, .broker_gen = 11, .outcome_ack = {1, 7}};
    assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &old), ERR_OK);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; !readable(link_fd(end.link));)
        assert_true(real_ms() < deadline);
    clock_manual_advance_ns(&clock, LINK_STALL_NS);
    run_manual(stage, &end, &end.ups, 2);
    assert_int_equal(end.messages, 0);
    assert_int_equal(link_counts(end.link)->other_gen, 1);
    old.outcome_ack.outcome_seq = 8; /* what comes after the new HELLO is heard */
    assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &old), ERR_OK);
    run_manual(stage, &end, &end.messages, 1);
    assert_int_equal(end.last_serial, 8);
    link_close(&end.link);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_link_says_hello_and_messages_go_both_ways),
        PLAY(a_link_may_be_there_before_its_broker),
        PLAY(a_new_broker_gets_a_new_hello_and_nothing_that_was_meant_for_the_old_one),
        PLAY(what_a_dead_broker_said_last_is_not_heard),
        PLAY(re_hello_makes_a_link_introduce_itself_again),
        PLAY(a_refusal_is_final),
        PLAY(garbage_is_counted_and_hurts_nobody),
        PLAY(a_message_over_the_limit_ends_its_connection),
        PLAY(bytes_that_are_not_zeromq_hurt_nobody),
        PLAY(nobody_is_sent_to_who_is_not_there),
        PLAY(the_newer_connection_of_an_identity_takes_over),
        PLAY(a_killed_peer_is_noticed_by_its_socket),
        PLAY(what_a_peer_says_last_comes_before_its_end),
        PLAY(the_end_of_a_connection_is_never_taken_for_that_of_its_successor),
        PLAY(a_peer_that_does_not_read_costs_a_bounded_queue),
        PLAY(a_broker_that_does_not_read_is_told_by_err_full),
        PLAY(descriptors_stay_readable_while_there_is_something_to_do),
        PLAY(an_idle_descriptor_is_not_readable),
        PLAY(time_makes_a_link_ask_again_beat_and_give_up),
        PLAY(a_process_that_stood_still_hears_nothing_old),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("bus_test", LOG_WARN);
    return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
