/* The carousel driver: its codec in all splits, and its connection against plc-sim's PLCs with each of their faults,
 * over real TCP, on a manual clock. Time limits pass only when a test moves the clock.
 *
 * What every play holds: a value comes only from a whole reply to its own request; after a fault the next exchange is
 * right again.
 */
#include "plc_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "carousel_bytes.h"
#include "carousel_driver.h"
#include "interlock.h"
#include "profile.h"

#define CONNECT_MS 2000
#define REPLY_MS   1000

/* --- codec ------------------------------------------------------------------------------------------------------- */

static void request_bytes(void **state)
{
    (void)state;
    uint8_t out[CAROUSEL_REQUEST_MAX];
    assert_int_equal(carousel_request(0, -1, out), 1);
    assert_int_equal(out[0], 0);
    for (int command = 0; command < 256; command++)
        for (int argument = -1; argument < 256; argument++) {
            size_t len = carousel_request((uint8_t)command, argument, out);
            assert_int_equal(len, argument < 0 ? 1 : 2);
            assert_int_equal(out[0], command);
            if (argument >= 0)
                assert_int_equal(out[1], argument);
        }
}

/* Every way to cut 1 to 5 bytes into reads: complete at exactly two, spoilt by any read that goes past. */
static void reply_in_all_splits(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0xda, 7, 0xdb, 8, 9};
    for (size_t total = 1; total <= sizeof bytes; total++)
        for (unsigned cuts = 0; cuts < 1u << (total - 1); cuts++) {
            struct carousel_reply reply = {.have = 0};
            enum carousel_reply_e got = CAROUSEL_MORE;
            size_t from = 0;
            for (size_t at = 1; at <= total && got == CAROUSEL_MORE; at++) {
                if (at < total && !(cuts & 1u << (at - 1)))
                    continue;
                got = carousel_reply_feed(&reply, bytes + from, at - from);
                from = at;
            }
            enum carousel_reply_e want = from > 2    ? CAROUSEL_TOO_MANY
                                         : from == 2 ? CAROUSEL_COMPLETE
                                                     : CAROUSEL_MORE;
            assert_int_equal(got, want);
            if (got == CAROUSEL_COMPLETE) {
                assert_int_equal(reply.bytes[0], 0xda);
                assert_int_equal(reply.bytes[1], 7);
            }
        }
}

/* --- every byte of both profiles, by meaning ----------------------------------------------------------------------- */

static bool bit(unsigned raw, unsigned n)
{
    return (raw >> n & 1) != 0;
}

static void standard_bytes_by_meaning(void **state)
{
    (void)state;
    const struct profile *p = profile_builtin("standard");
    for (unsigned raw = 0; raw < 256; raw++) {
        uint8_t b = (uint8_t)raw;
        assert_int_equal(profile_says(p, b, MEANING_MOVING), bit(raw, 0));
        assert_int_equal(profile_says(p, b, MEANING_STOPPED), !bit(raw, 0));
        assert_int_equal(profile_says(p, b, MEANING_READY), bit(raw, 1));
        assert_int_equal(profile_says(p, b, MEANING_ALARM), bit(raw, 2));
        assert_int_equal(profile_says(p, b, MEANING_MANUAL), !bit(raw, 3));
        assert_false(profile_says(p, b, MEANING_ESTOP));
        const char *why = bit(raw, 2) ? "alarm" : !bit(raw, 3) ? "manual mode" : NULL;
        const char *got = interlock_forbids(p, b);
        assert_true(why == NULL ? got == NULL : got != NULL && strcmp(got, why) == 0);
        assert_int_equal(interlock_stops(p, b) != NULL, bit(raw, 2));
    }
}

static const char *delta_forbids(unsigned raw)
{
    if (!bit(raw, 4))
        return "emergency stop";
    if (bit(raw, 3))
        return "alarm";
    if (bit(raw, 5))
        return "drive fault";
    if (bit(raw, 6))
        return "positioning error";
    return bit(raw, 2) ? NULL : "manual mode";
}

static void delta_bytes_by_meaning(void **state)
{
    (void)state;
    const struct profile *p = profile_builtin("delta-as");
    for (unsigned raw = 0; raw < 256; raw++) {
        uint8_t b = (uint8_t)raw;
        assert_int_equal(profile_says(p, b, MEANING_READY), !bit(raw, 0));
        assert_int_equal(profile_says(p, b, MEANING_MOVING), bit(raw, 1));
        assert_int_equal(profile_says(p, b, MEANING_REMOTE), bit(raw, 2));
        assert_int_equal(profile_says(p, b, MEANING_NO_ALARM), !bit(raw, 3));
        assert_int_equal(profile_says(p, b, MEANING_ESTOP), !bit(raw, 4));
        assert_int_equal(profile_says(p, b, MEANING_DRIVE_FAULT), bit(raw, 5));
        assert_int_equal(profile_says(p, b, MEANING_POSITIONING_ERROR), bit(raw, 6));
        assert_int_equal(profile_says(p, b, MEANING_DOWNWARD), bit(raw, 7));
        const char *why = delta_forbids(raw), *got = interlock_forbids(p, b);
        assert_true(why == NULL ? got == NULL : got != NULL && strcmp(got, why) == 0);
        bool stops = why != NULL && strcmp(why, "manual mode") != 0;
        assert_int_equal(interlock_stops(p, b) != NULL, stops);
    }
}

/* --- plays --------------------------------------------------------------------------------------------------------- */

struct play {
    struct plc_fixture f;
    struct sim_plc *plc;
    struct driver *driver;
    unsigned answers;
    struct driver_answer answer;
};

static void on_done(void *arg, const struct driver_answer *answer)
{
    struct play *play = arg;
    play->answers++;
    play->answer = *answer;
}

static void open_driver(struct play *play, const char *host, uint16_t port, bool persistent)
{
    struct driver_config config = {play->f.loop,           host,    port, persistent,
                                   CONNECT_MS * NS_PER_MS, on_done, play};
    assert_int_equal(carousel_driver.open(&config, &play->driver), ERR_OK);
}

static void begin(struct play *play, bool persistent)
{
    memset(play, 0, sizeof *play);
    plc_begin(&play->f, false);
    play->plc = plc_add(&play->f, "m1", "standard", 100);
    open_driver(play, "127.0.0.1", play->plc->port, persistent);
}

static void end(struct play *play)
{
    carousel_driver.close(&play->driver);
    assert_null(play->driver);
    plc_end(&play->f);
}

static void ask_by(struct play *play, uint8_t command, int16_t argument, uint64_t send_by_ns)
{
    struct driver_request request = {command, argument, REPLY_MS * NS_PER_MS, send_by_ns};
    carousel_driver.exchange(play->driver, &request);
    assert_int_equal(carousel_driver.state(play->driver), DRIVER_STATE_BUSY);
}

static void ask(struct play *play, uint8_t command, int16_t argument)
{
    ask_by(play, command, argument, UINT64_MAX);
}

static void expect(struct play *play, enum driver_result_e result, enum driver_sent_e sent)
{
    unsigned before = play->answers;
    TURN_UNTIL(play->f.loop, play->answers > before);
    assert_int_equal(play->answers, before + 1);
    assert_int_equal(play->answer.result, result);
    assert_int_equal(play->answer.sent, sent);
    if (result != DRIVER_REPLY)
        assert_int_equal(play->answer.status + play->answer.position, 0);
}

static void pass_ms(struct play *play, uint64_t ms)
{
    clock_manual_advance_ns(&play->f.manual, ms * NS_PER_MS);
}

static void expect_status(struct play *play, uint8_t position)
{
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play->answer.status, 218);
    assert_int_equal(play->answer.position, position);
}

static void both_ways(void (*body)(struct play *play))
{
    for (int persistent = 0; persistent < 2; persistent++) {
        struct play play;
        begin(&play, persistent);
        body(&play);
        end(&play);
    }
}

static void plain(struct play *play)
{
    expect_status(play, 0);
    plc_tell(&play->f, "set m1 position 25");
    expect_status(play, 25);
    ask(play, 1, 0);
    expect(play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play->answer.status, 219);
    assert_int_equal(plc_log_count(&play->f, "m1", "0100\n"), 1);
    assert_int_equal(carousel_driver.counts(play->driver)->connect_failures, 0);
}

static void exchanges(void **state)
{
    (void)state;
    both_ways(plain);
}

static void connections_are_kept_or_not(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        struct play play;
        begin(&play, persistent);
        for (int i = 0; i < 5; i++)
            expect_status(&play, 0);
        assert_int_equal(carousel_driver.counts(play.driver)->connects, persistent ? 1 : 5);
        enum driver_state_e idle = persistent ? DRIVER_STATE_OPEN : DRIVER_STATE_CLOSED;
        assert_int_equal(carousel_driver.state(play.driver), idle);
        end(&play);
    }
}

static void split(struct play *play)
{
    plc_tell(&play->f, "fault m1 split 300 count 1");
    plc_tell(&play->f, "set m1 position 4");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play->f.loop, play->plc->conn.state == SIM_CONN_SPLIT);
    for (int i = 0; i < 50; i++)
        loop_poll(play->f.loop);
    assert_int_equal(play->answers, 0); /* one byte is no reply */
    pass_ms(play, 300);
    expect(play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play->answer.position, 4);
    expect_status(play, 4);
}

static void split_reply(void **state)
{
    (void)state;
    both_ways(split);
}

static void late(struct play *play)
{
    plc_tell(&play->f, "set m1 position 5");
    plc_tell(&play->f, "hold m1");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play->f.loop, play->plc->conn.state == SIM_CONN_HELD);
    pass_ms(play, REPLY_MS - 1);
    for (int i = 0; i < 50; i++)
        loop_poll(play->f.loop);
    assert_int_equal(play->answers, 0);
    pass_ms(play, 1);
    expect(play, DRIVER_TIMEOUT, DRIVER_SENT);
    assert_int_equal(carousel_driver.counts(play->driver)->reply_timeouts, 1);
    assert_int_equal(carousel_driver.state(play->driver), DRIVER_STATE_CLOSED);
    plc_tell(&play->f, "release m1"); /* 218 5 leaves for a connection that is gone */
    plc_tell(&play->f, "set m1 position 9");
    expect_status(play, 9);
    expect_status(play, 9);
}

static void late_reply_meets_nobody(void **state)
{
    (void)state;
    both_ways(late);
}

static void missing(struct play *play)
{
    plc_tell(&play->f, "fault m1 missing count 1");
    ask(play, 1, 7);
    TURN_UNTIL(play->f.loop, play->plc->counts.request[1] == 1);
    pass_ms(play, REPLY_MS);
    expect(play, DRIVER_TIMEOUT, DRIVER_SENT);
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play->plc->counts.request[1], 1);
}

static void missing_reply(void **state)
{
    (void)state;
    both_ways(missing);
}

static void duplicated(struct play *play)
{
    plc_tell(&play->f, "fault m1 duplicated count 1");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_BAD_REPLY, DRIVER_SENT);
    assert_int_equal(carousel_driver.counts(play->driver)->bad_replies, 1);
    expect_status(play, 0);
}

static void duplicated_reply(void **state)
{
    (void)state;
    both_ways(duplicated);
}

static void garbage(struct play *play)
{
    plc_tell(&play->f, "fault m1 garbage ffffff count 1");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_BAD_REPLY, DRIVER_SENT);
    expect_status(play, 0);
    plc_tell(&play->f, "fault m1 garbage 11 count 1"); /* half a reply */
    ask(play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play->f.loop, play->plc->counts.faults == 2);
    pass_ms(play, REPLY_MS);
    expect(play, DRIVER_TIMEOUT, DRIVER_SENT);
    expect_status(play, 0);
}

static void garbage_reply(void **state)
{
    (void)state;
    both_ways(garbage);
}

static void reset(struct play *play)
{
    plc_tell(&play->f, "fault m1 reset count 1");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_CLOSED, DRIVER_SENT);
    expect_status(play, 0);
}

static void reset_instead_of_a_reply(void **state)
{
    (void)state;
    both_ways(reset);
}

static void half_open(struct play *play)
{
    expect_status(play, 0);
    plc_tell(&play->f, "fault m1 half-open count 1");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play->f.loop, play->plc->conn.state == SIM_CONN_DEAD);
    pass_ms(play, REPLY_MS);
    expect(play, DRIVER_TIMEOUT, DRIVER_SENT);
    expect_status(play, 0);
}

static void half_open_connection(void **state)
{
    (void)state;
    both_ways(half_open);
}

static void refused(struct play *play)
{
    expect_status(play, 0);
    plc_tell(&play->f, "fault m1 refused");
    for (int i = 0; i < 3; i++) {
        ask(play, 1, 3);
        expect(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    }
    assert_int_equal(carousel_driver.counts(play->driver)->connect_failures, 3);
    assert_int_equal(play->plc->counts.request[1], 0);
    plc_tell(&play->f, "clear m1");
    expect_status(play, 0);
}

static void refused_connections(void **state)
{
    (void)state;
    both_ways(refused);
}

static void reboot(struct play *play)
{
    expect_status(play, 0);
    plc_tell(&play->f, "fault m1 reboot 5000");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    pass_ms(play, 5000);
    TURN_UNTIL(play->f.loop, !play->plc->rebooting);
    expect_status(play, 0);
}

static void rebooting_plc(void **state)
{
    (void)state;
    both_ways(reboot);
}

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

static void never_sent_late(struct play *play)
{
    expect_status(play, 0);
    ask_by(play, 1, 4, loop_now_ns(play->f.loop));
    expect(play, DRIVER_TIMEOUT, DRIVER_NOT_SENT);
    ask_by(play, 1, 4, loop_now_ns(play->f.loop) - 1);
    expect(play, DRIVER_TIMEOUT, DRIVER_NOT_SENT);
    expect_status(play, 0); /* a later marker on the same way */
    assert_int_equal(play->plc->counts.request[1], 0);
}

static void deadline_passed(void **state)
{
    (void)state;
    both_ways(never_sent_late);
}

static void wrong_addresses(void **state)
{
    (void)state;
    struct plc_fixture f;
    plc_begin(&f, false);
    const char *hosts[] = {"", "plc.example", "1.2.3", "1.2.3.4.5", "localhost"};
    for (size_t i = 0; i < 5; i++) {
        struct driver *driver = NULL;
        struct driver_config config = {f.loop, hosts[i], 3200, true, NS_PER_S, on_done, NULL};
        if (strcmp(hosts[i], "1.2.3") == 0)
            continue; /* inet_aton's old forms are numeric, too */
        assert_int_equal(carousel_driver.open(&config, &driver), ERR_CONFIG);
        assert_null(driver);
    }
    plc_end(&f);
}

static void close_while_busy(struct play *play)
{
    plc_tell(&play->f, "hold m1");
    ask(play, 0, DRIVER_NO_ARGUMENT);
    TURN_UNTIL(play->f.loop, play->plc->conn.state == SIM_CONN_HELD);
    carousel_driver.close(&play->driver);
    TURN_UNTIL(play->f.loop, play->plc->conn.state == SIM_CONN_NONE);
    plc_tell(&play->f, "fault m1 refused");
    open_driver(play, "127.0.0.1", play->plc->port, true);
    ask(play, 0, DRIVER_NO_ARGUMENT); /* closed while the refusal is still to be told */
    assert_int_equal(play->answers, 0);
}

static void closing_abandons(void **state)
{
    (void)state;
    both_ways(close_while_busy);
}

/* --- many ---------------------------------------------------------------------------------------------------------- */

static void descriptors_are_stable(void **state)
{
    (void)state;
    struct play play;
    begin(&play, false);
    expect_status(&play, 0);
    unsigned before = open_descriptors();
    for (int i = 0; i < 1000; i++)
        expect_status(&play, 0);
    for (int i = 0; i < 200; i++) {
        plc_tell(&play.f, "fault m1 reset count 1");
        ask(&play, 0, DRIVER_NO_ARGUMENT);
        expect(&play, DRIVER_CLOSED, DRIVER_SENT);
    }
    expect_status(&play, 0);
    TURN_UNTIL(play.f.loop, play.plc->conn.state == SIM_CONN_NONE);
    assert_in_range(open_descriptors(), before - 1, before); /* the sim may have closed its side since */
    assert_true(carousel_driver.counts(play.driver)->connects >= 1201);
    end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_bytes),
        cmocka_unit_test(reply_in_all_splits),
        cmocka_unit_test(standard_bytes_by_meaning),
        cmocka_unit_test(delta_bytes_by_meaning),
        cmocka_unit_test(exchanges),
        cmocka_unit_test(connections_are_kept_or_not),
        cmocka_unit_test(split_reply),
        cmocka_unit_test(late_reply_meets_nobody),
        cmocka_unit_test(missing_reply),
        cmocka_unit_test(duplicated_reply),
        cmocka_unit_test(garbage_reply),
        cmocka_unit_test(reset_instead_of_a_reply),
        cmocka_unit_test(half_open_connection),
        cmocka_unit_test(refused_connections),
        cmocka_unit_test(rebooting_plc),
        cmocka_unit_test(failed_connections_are_reset),
        cmocka_unit_test(unasked_bytes_end_the_connection),
        cmocka_unit_test(unasked_bytes_are_seen_before_writing),
        cmocka_unit_test(closed_between_exchanges_is_no_failure),
        cmocka_unit_test(half_a_reply_then_the_end),
        cmocka_unit_test(connect_limit_and_deadline),
        cmocka_unit_test(deadline_passed),
        cmocka_unit_test(wrong_addresses),
        cmocka_unit_test(closing_abandons),
        cmocka_unit_test(descriptors_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
