/* bus: introductions, strangers, and connections that come and go. */
#include "bus_stage.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

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

static void what_is_gathered_leaves_together_and_in_order(void **state)
{
    struct stage *stage = *state;
    struct end end, other;
    struct end *ends[] = {&end, &other};
    stage->gathers = true;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    end_open(&other, stage, 1002, clock_system());
    run_until(stage, ends, 2, &end.ups, 1);
    run_until(stage, ends, 2, &other.ups, 1);

    struct wire_message message = command(1);
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    message = command(7);
    assert_int_equal(link_send(other.link, &message), ERR_OK);
    link_flush(other.link); /* the marker: what `end` said before has not left */
    run_until(stage, NULL, 0, &stage->commands, 1);
    assert_int_equal(stage->last_serial, 7);
    for (uint64_t serial = 2; serial <= 3 * BUS_GATHER_MAX; serial++) { /* full ones leave by themselves */
        message = command(serial);
        assert_int_equal(link_send(end.link, &message), ERR_OK);
        run_until(stage, NULL, 0, &stage->commands, 1 + serial / BUS_GATHER_MAX * BUS_GATHER_MAX);
        assert_int_equal(stage->commands, 1 + serial / BUS_GATHER_MAX * BUS_GATHER_MAX);
    }
    message = command(500);
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    link_look(end.link);
    run_until(stage, NULL, 0, &stage->commands, 2 + 3 * BUS_GATHER_MAX);
    assert_int_equal(stage->last_serial, 500);
    assert_int_equal(stage->malformed, 0);
    assert_int_equal(stage->said_after_end, 0);
    link_close(&end.link); /* its GOODBYE, too */
    link_close(&other.link);
    run_until(stage, NULL, 0, &stage->goodbyes, 2);
}

/* … and what a link gathered for one broker is nothing to the next one, nor in the way of its HELLO. */
/* libzmq forgets the parts of a message that was not complete when its peer went (pipe_t::process_hiccup()); what is sent between
 * these two is not looked for when the program ends. */
static void forgets(bool begin)
{
#ifdef __SANITIZE_ADDRESS__
    if (begin)
        __lsan_disable();
    else
        __lsan_enable();
#else
    (void)begin;
#endif
}

static void what_is_gathered_when_the_broker_dies_is_gone(void **state)
{
    struct stage *stage = *state;
    struct end end;
    stage->gathers = true;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    struct wire_message message = command(1);
    forgets(true);
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    forgets(false);
    bus_router_close(&stage->router);
    for (struct pollfd watch = {link_fd(end.link), POLLIN, 0}; poll(&watch, 1, 1000) == 0;)
        ; /* its end is known, and not looked at */
    message = command(2);
    forgets(true);
    link_send(end.link, &message);
    forgets(false);
    run_one(stage, &end, &end.downs, 1);

    broker_open(stage, 12);
    uint64_t start_ms = real_ms();
    run_one(stage, &end, &end.ups, 2);
    assert_true(real_ms() - start_ms < 900);
    message = command(3);
    assert_int_equal(link_send(end.link, &message), ERR_OK);
    link_flush(end.link);
    run_until(stage, NULL, 0, &stage->commands, 1);
    assert_int_equal(stage->last_serial, 3);
    assert_int_equal(stage->malformed, 0);
    link_close(&end.link);
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
    for (int part = 0; part < 20; part++) /* nothing behind a malformed part is looked at */
        zmq_send(raw, part == 0 ? "\xc1" : "\x93\x03\x00\x00", part == 0 ? 1 : 4,
                 part < 19 ? ZMQ_SNDMORE : 0);
    for (int part = 0; part < 100; part++) /* nor more than a link gathers */
        zmq_send(raw, "\x93\x03\x00\x00", 4, part < 99 ? ZMQ_SNDMORE : 0);
    struct wire_message hello = {.type = WIRE_HELLO, .hello = {.version = 1, .machine = wire_text("")}};
    size_t len = wire_encode(&hello, noise, sizeof noise);
    zmq_send(raw, "", 0, ZMQ_SNDMORE); /* as a REQ socket would */
    zmq_send(raw, noise, len, 0);
    sent += 4;
    run_one(stage, &end, &stage->malformed, sent);
    assert_int_equal(stage->hellos, 1);
    assert_int_equal(stage->other_gen, BUS_GATHER_MAX);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_link_says_hello_and_messages_go_both_ways),
        PLAY(what_is_gathered_leaves_together_and_in_order),
        PLAY(what_is_gathered_when_the_broker_dies_is_gone),
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
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("bus_test", LOG_WARN);
    return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
