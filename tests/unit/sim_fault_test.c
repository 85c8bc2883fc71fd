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

/* Commands, bytes, clients and time in random order; afterwards both PLCs answer as ever, and nothing has leaked. */
static void anything_in_any_order(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "fault m1 late 50 count 2",
        "fault m1 split 30",
        "fault m1 missing undone",
        "fault m1 duplicated count 3",
        "fault m1 garbage 0102030405",
        "fault m1 reset",
        "fault m1 half-open count 1",
        "fault m1 refused",
        "fault m1 reboot 40",
        "clear m1",
        "clear m1",
        "hold m1",
        "hold m1 command 1",
        "release m1",
        "release m1",
        "set m1 alarm on",
        "set m1 alarm off",
        "set m1 position 12",
        "pace m1 manual",
        "pace m1 0",
        "pace m1 20",
        "step m1 3",
        "get m1",
        "counts m1",
    };
    struct play *p = begin(false);
    uint64_t random = 1;
    int clients[4] = {-1, -1, -1, -1};
    for (int round = 0; round < 20000; round++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        int *client = &clients[random >> 62];
        unsigned dice = (unsigned)(random >> 40) % 100;
        uint8_t bytes[] = {(uint8_t)(dice & 1), (uint8_t)(random >> 33) % 32, 0, 9, 9};
        if (dice < 30)
            tell(p, commands[(random >> 20) % ARRAY_LEN(commands)]);
        else if (dice < 45)
            pass_ms(p, (random >> 20) % 60);
        else if (*client < 0)
            *client = try_connect(p, "m1");
        else if (dice < 90)
            send(*client, bytes, 1 + (random >> 20) % sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (dice >= 90 && *client >= 0) {
            close(*client);
            *client = -1;
        }
        turn(p);
    }
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        if (clients[i] >= 0)
            close(clients[i]);
    expect_ok(p, "clear m1");
    expect_ok(p, "release m1");
    expect_ok(p, "set m1 alarm off");
    expect_ok(p, "set m1 position 3");
    expect_ok(p, "pace m1 0");
    const struct sim_counts *counts = &sim_server_find(p->server, "m1")->counts;
    print_message("%lu connections, %lu replies, %lu faults, %lu held\n", counts->connections,
                  counts->replies, counts->faults, counts->held);
    assert_true(counts->connections > 100 && counts->replies > 100 && counts->faults > 100 &&
                counts->held > 10);
    int c = connect_to(p, "m1"); /* behind whatever stands in the backlog */
    ask(p, c, "0107", "da07");
    ask(p, c, "00", "da07");
    hears_nothing(p, c);
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
        cmocka_unit_test(anything_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
