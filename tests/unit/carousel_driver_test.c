/* The carousel driver: its codec in all splits, and its exchanges with plc-sim's PLCs with each of their faults, over real
 * TCP, on a manual clock. What PLCs do that the simulator does not is carousel_line_test.c's.
 *
 * What every play holds: a value comes only from a whole reply to its own request; after a fault the next exchange is
 * right again.
 */
#include "driver_play.h"

#include "carousel_bytes.h"
#include "interlock.h"
#include "profile.h"

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
        cmocka_unit_test(deadline_passed),
        cmocka_unit_test(wrong_addresses),
        cmocka_unit_test(closing_abandons),
        cmocka_unit_test(descriptors_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
