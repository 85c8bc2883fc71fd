/* Every scripted fault of a simulated PLC, over real TCP. */
#include "sim_play.h"

/* --- plays: faults ------------------------------------------------------------------------------------------------- */

static void late(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 late 500 count 1");
    put(c, "0101");
    wait_until(p, "get m1", "moving=1");
    put(c, "00");
    pass_ms(p, 499);
    hears_nothing(p, c);
    pass_ms(p, 1);
    expect(p, c, "da01da01"); /* made when it leaves: the machine has arrived */
    expect_word(p, "get m1", "fault=none");
    close(c);
    end(p);
}

static void a_client_that_leaves_before_a_late_reply(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 late 500 count 1");
    put(c, "00");
    wait_until(p, "counts m1", "request.0=1");
    close(c);
    wait_until(p, "get m1", "client=0");
    c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    pass_ms(p, 1000);
    hears_nothing(p, c);
    close(c);
    end(p);
}

static void split(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 split 250 count 1");
    put(c, "0101");
    expect(p, c, "db");
    pass_ms(p, 249);
    hears_nothing(p, c);
    pass_ms(p, 1);
    expect(p, c, "00"); /* of the same moment as the first byte */
    ask(p, c, "00", "da01");
    close(c);
    end(p);
}

static void missing(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 missing command 1 count 2");
    ask(p, c, "00", "da00");
    put(c, "0101");
    wait_until(p, "get m1", "moving=1");
    hears_nothing(p, c);
    ask(p, c, "010200", "db00"); /* the second move unanswered, the status answered */
    ask(p, c, "0103", "db00");
    expect_word(p, "counts m1", "faults=2");
    close(c);
    end(p);
}

static void missing_and_undone(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 missing undone command 1");
    ask(p, c, "010100", "da00");
    expect_word(p, "counts m1", "moves_started=0");
    expect_ok(p, "clear m1");
    ask(p, c, "0101", "db00");
    close(c);
    end(p);
}

static void duplicated(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 duplicated count 1");
    ask(p, c, "00", "da00da00");
    ask(p, c, "00", "da00");
    hears_nothing(p, c);
    close(c);
    end(p);
}

static void garbage(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 garbage ff00ff count 1");
    ask(p, c, "00", "ff00ff");
    ask(p, c, "00", "da00");
    hears_nothing(p, c);
    close(c);
    end(p);
}

static void reset(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 reset count 1");
    put(c, "0101");
    expect_end(p, c, ECONNRESET);
    expect_word(p, "get m1", "moving=1");
    c = connect_to(p, "m1");
    ask(p, c, "00", "db00");
    close(c);
    end(p);
}

static void half_open(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "fault m1 half-open count 1");
    put(c, "0101");
    wait_until(p, "counts m1", "request.1=1");
    put(c, "00");
    wait_until(p, "counts m1", "request.0=1");
    hears_nothing(p, c);
    expect_word(p, "get m1", "moving=0");
    shutdown(c, SHUT_WR);
    wait_until(p, "get m1", "client=0");
    hears_nothing(p, c); /* nor does it close */
    int next = connect_to(p, "m1");
    ask(p, next, "00", "da00");
    expect_ok(p, "clear m1");
    expect_end(p, c, 0);
    close(next);
    end(p);
}

static void refused(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    expect_ok(p, "fault m1 refused");
    expect_end(p, c, ECONNRESET);
    assert_int_equal(try_connect(p, "m1"), -1);
    assert_int_equal(errno, ECONNREFUSED);
    pass_ms(p, 1000000);
    assert_int_equal(try_connect(p, "m1"), -1);
    expect_ok(p, "clear m1");
    c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    close(c);
    end(p);
}

static void reboot(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1"), waiting = connect_to(p, "m1");
    ask(p, c, "0105", "db00");
    pass_ms(p, PACE_MS);
    expect_ok(p, "fault m1 missing command 1 count 1"); /* outlives the reboot */
    expect_ok(p, "fault m1 reboot 2000");
    expect_end(p, c, ECONNRESET);
    expect_end(p, waiting, ECONNRESET);
    expect_word(p, "get m1", "position=1");
    expect_word(p, "get m1", "moving=0");
    pass_ms(p, 1999);
    assert_int_equal(try_connect(p, "m1"), -1);
    pass_ms(p, 1);
    c = connect_to(p, "m1");
    ask(p, c, "00", "da01");
    expect_word(p, "get m1", "fault=missing");
    close(c);
    end(p);
}

static void a_reboot_can_be_cut_short(void **state)
{
    (void)state;
    struct play *p = begin(false);
    expect_ok(p, "fault m1 reboot 2000");
    expect_ok(p, "fault m1 refused");
    pass_ms(p, 5000);
    assert_int_equal(try_connect(p, "m1"), -1);
    expect_ok(p, "fault m1 reboot 2000");
    expect_ok(p, "clear m1");
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    pass_ms(p, 5000);
    ask(p, c, "00", "da00");
    close(c);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late),
        cmocka_unit_test(a_client_that_leaves_before_a_late_reply),
        cmocka_unit_test(split),
        cmocka_unit_test(missing),
        cmocka_unit_test(missing_and_undone),
        cmocka_unit_test(duplicated),
        cmocka_unit_test(garbage),
        cmocka_unit_test(reset),
        cmocka_unit_test(half_open),
        cmocka_unit_test(refused),
        cmocka_unit_test(reboot),
        cmocka_unit_test(a_reboot_can_be_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
