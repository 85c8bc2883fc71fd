/* The carousel driver against a PLC that the test plays byte by byte: how connections end, bytes that nobody asked for,
 * and a PLC that takes no connection. What plc-sim can do is carousel_driver_test.c's.
 */
#include "driver_play.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

/* --- what the simulator does not do: a server of the test's own ------------------------------------------------------ */

struct server {
    int listener, fd;
    uint16_t port;
};

static struct server listen_here(int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct server server = {socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), -1, 0};
    assert_int_equal(bind(server.listener, (void *)&address, len), 0);
    assert_int_equal(listen(server.listener, backlog), 0);
    assert_int_equal(getsockname(server.listener, (void *)&address, &len), 0);
    server.port = ntohs(address.sin_port);
    return server;
}

/* True once a connection has brought a status request; it has been read then. */
static bool asked(struct server *server)
{
    uint8_t byte;
    if (server->fd < 0)
        server->fd = accept(server->listener, NULL, NULL);
    return server->fd >= 0 && recv(server->fd, &byte, 1, MSG_DONTWAIT) == 1;
}

static void hang_up(struct server *server)
{
    close(server->fd);
    server->fd = -1;
}

static void begin_with(struct play *play, struct server *server, bool persistent)
{
    memset(play, 0, sizeof *play);
    plc_begin(&play->f, false);
    *server = listen_here(8);
    open_driver(play, "127.0.0.1", server->port, persistent);
}

static void end_with(struct play *play, struct server *server)
{
    close(server->listener);
    if (server->fd >= 0)
        close(server->fd);
    end(play);
}

/* close() alone would let the kernel go on delivering what it still holds; RST takes it back. */
static void failed_connections_are_reset(void **state)
{
    (void)state;
    struct play play;
    struct server server;
    begin_with(&play, &server, true);
    ask(&play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play.f.loop, asked(&server));
    pass_ms(&play, REPLY_MS);
    expect(&play, DRIVER_TIMEOUT, DRIVER_SENT);
    uint8_t byte;
    assert_int_equal(recv(server.fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    end_with(&play, &server);
}

/* Bytes after a reply: the reply stands, the bytes end the connection and never answer the next request. */
static void unasked_bytes_end_the_connection(void **state)
{
    (void)state;
    struct play play;
    struct server server;
    begin_with(&play, &server, true);
    ask(&play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play.f.loop, asked(&server));
    send(server.fd, "\xda\x05", 2, 0);
    expect(&play, DRIVER_REPLY, DRIVER_SENT);
    send(server.fd, "\xda\x06", 2, 0);
    TURN_UNTIL(play.f.loop, carousel_driver.state(play.driver) == DRIVER_STATE_CLOSED);
    assert_int_equal(carousel_driver.counts(play.driver)->bad_replies, 1);
    assert_int_equal(play.answers, 1);
    hang_up(&server);
    ask(&play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play.f.loop, asked(&server));
    send(server.fd, "\xda\x07", 2, 0);
    expect(&play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play.answer.position, 7);
    end_with(&play, &server);
}

/* The same bytes, but the loop has not reported them when the next request comes: it looks before it writes. */
static void unasked_bytes_are_seen_before_writing(void **state)
{
    (void)state;
    struct play play;
    struct server server;
    begin_with(&play, &server, true);
    ask(&play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play.f.loop, asked(&server));
    send(server.fd, "\xda\x05", 2, 0);
    expect(&play, DRIVER_REPLY, DRIVER_SENT);
    send(server.fd, "\xda\x06", 2, 0);
    ask(&play, 1, 9);
    uint8_t byte;
    assert_true(recv(server.fd, &byte, 1, 0) <= 0); /* the connection's end, and no move before it */
    hang_up(&server);
    TURN_UNTIL(play.f.loop, asked(&server));
    send(server.fd, "\xdb\x05", 2, 0);
    expect(&play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play.answer.status, 0xdb);
    end_with(&play, &server);
}

static void closed_between_exchanges_is_no_failure(void **state)
{
    (void)state;
    struct play play;
    struct server server;
    begin_with(&play, &server, true);
    for (uint8_t i = 1; i <= 3; i++) {
        ask(&play, 0, DRIVER_NO_ARGUMENT);
        TURN_UNTIL(play.f.loop, asked(&server));
        const uint8_t reply[] = {0xda, i};
        send(server.fd, reply, 2, 0);
        hang_up(&server);
        expect(&play, DRIVER_REPLY, DRIVER_SENT);
        assert_int_equal(play.answer.position, i);
        if (i == 2)
            TURN_UNTIL(play.f.loop, carousel_driver.state(play.driver) == DRIVER_STATE_CLOSED);
    }
    end_with(&play, &server);
}

static void half_a_reply_then_the_end(void **state)
{
    (void)state;
    struct play play;
    struct server server;
    begin_with(&play, &server, false);
    ask(&play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play.f.loop, asked(&server));
    send(server.fd, "\xda", 1, 0);
    hang_up(&server);
    expect(&play, DRIVER_BAD_REPLY, DRIVER_SENT);
    end_with(&play, &server);
}

/* A backlog that is full drops our SYN: neither refused nor connected. */
static void connect_limit_and_deadline(void **state)
{
    (void)state;
    struct play play;
    memset(&play, 0, sizeof play);
    plc_begin(&play.f, false);
    struct server server = listen_here(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fillers[3];
    for (int i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fillers[i], (void *)&address, sizeof address);
    }
    open_driver(&play, "127.0.0.1", server.port, true);
    ask(&play, 1, 4);
    for (int i = 0; i < 50; i++)
        loop_poll(play.f.loop);
    assert_int_equal(play.answers, 0);
    pass_ms(&play, CONNECT_MS);
    expect(&play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    ask_by(&play, 1, 4, loop_now_ns(play.f.loop) + 100 * NS_PER_MS);
    pass_ms(&play, 100);
    expect(&play, DRIVER_TIMEOUT, DRIVER_NOT_SENT);
    for (int i = 0; i < 3; i++)
        close(fillers[i]);
    close(server.listener);
    end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_connections_are_reset),
        cmocka_unit_test(unasked_bytes_end_the_connection),
        cmocka_unit_test(unasked_bytes_are_seen_before_writing),
        cmocka_unit_test(closed_between_exchanges_is_no_failure),
        cmocka_unit_test(half_a_reply_then_the_end),
        cmocka_unit_test(connect_limit_and_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
