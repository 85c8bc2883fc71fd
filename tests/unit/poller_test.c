/* The poller on a manual clock, its PLC a fake driver: rates, back-off, what the connection is called, whose turn it is.
 */
#include "fake_driver.h"

#include <string.h>

#include "backoff.h"
#include "clock.h"
#include "loop.h"
#include "poller.h"

#define INTERVAL_MS 250
#define MOVING_MS   50
#define MIN_MS      500
#define MAX_MS      30000
#define AT_REST     218
#define RUNNING     219

struct play {
    struct clock_manual clock;
    struct loop *loop;
    struct poller *poller;
    struct ages ages;
    unsigned readings, turns, changes;
    enum connection_e connection;
    struct poller_turn turn;
    bool command_in_turn; /* the next turn asks for a command */
};

static void on_reading(void *arg, const struct driver_answer *answer)
{
    struct play *play = arg;
    play->readings++;
    assert_int_equal(answer->result, DRIVER_REPLY);
}

static void on_connection(void *arg, enum connection_e connection, const struct driver_answer *answer)
{
    struct play *play = arg;
    (void)answer;
    play->changes++;
    play->connection = connection;
}

static void command(struct play *play)
{
    struct driver_request request = {1, 7, 0, UINT64_MAX};
    poller_command(play->poller, &request);
}

static void on_turn(void *arg, const struct poller_turn *turn)
{
    struct play *play = arg;
    play->turns++;
    play->turn = *turn;
    assert_true(poller_idle(play->poller));
    if (play->command_in_turn)
        command(play);
    play->command_in_turn = false;
}

static const struct poller_events events = {on_reading, on_connection, on_turn};

static void begin_with(struct play *play, bool persistent, uint64_t seed)
{
    memset(play, 0, sizeof *play);
    clock_manual_init(&play->clock, 77 * NS_PER_S, 1);
    play->loop = loop_new(&play->clock.clock);
    struct poller_config config = {
        .loop = play->loop,
        .ops = &fake_driver,
        .driver = {.persistent = persistent},
        .profile = profile_builtin("standard"),
        .interval_ns = INTERVAL_MS * NS_PER_MS,
        .moving_ns = MOVING_MS * NS_PER_MS,
        .backoff_min_ns = MIN_MS * NS_PER_MS,
        .backoff_max_ns = MAX_MS * NS_PER_MS,
        .reply_limit_ns = 1000 * NS_PER_MS,
        .seed = seed,
        .ages = &play->ages,
        .events = &events,
        .arg = play,
    };
    ages_init(&play->ages);
    assert_int_equal(poller_new(&config, &play->poller), ERR_OK);
    loop_poll(play->loop);
}

static void begin(struct play *play)
{
    begin_with(play, true, 1);
}

static void end(struct play *play)
{
    poller_free(&play->poller);
    assert_null(fake);
    loop_free(&play->loop);
}

static void pass_ns(struct play *play, uint64_t ns)
{
    clock_manual_advance_ns(&play->clock, ns);
    loop_poll(play->loop);
}

static void pass_ms(struct play *play, uint64_t ms)
{
    pass_ns(play, ms * NS_PER_MS);
}

/* Milliseconds, rounded up, until the next exchange begins; the clock then stands there. */
static uint64_t until_next_ms(struct play *play)
{
    uint64_t ms = 0;
    for (loop_poll(play->loop); !fake->busy && ms < 2 * MAX_MS; ms++)
        pass_ms(play, 1);
    assert_true(fake->busy);
    return ms;
}

/* Brings it to CONNECTED, at rest, with the next poll in flight. */
static void connect_and_poll(struct play *play)
{
    fake_reply(AT_REST, 0);
    assert_int_equal(play->connection, CONNECTION_CONNECTED);
    assert_int_equal(until_next_ms(play), INTERVAL_MS);
}

/* --- rates --------------------------------------------------------------------------------------------------------- */

static void first_poll_at_once(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    assert_true(fake->busy);
    assert_int_equal(fake->request.command, 0);
    assert_int_equal(fake->request.argument, DRIVER_NO_ARGUMENT);
    assert_int_equal(poller_connection(play.poller), CONNECTION_DISCONNECTED);
    assert_false(poller_fresh(play.poller));
    fake_reply(AT_REST, 3);
    assert_int_equal(play.readings, 1);
    assert_int_equal(play.turns, 1);
    assert_int_equal(play.changes, 1);
    assert_int_equal(play.connection, CONNECTION_CONNECTED);
    assert_true(poller_fresh(play.poller));
    end(&play);
}

static void rest_and_moving_rates(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    fake_reply(AT_REST, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(until_next_ms(&play), INTERVAL_MS);
        fake_reply(AT_REST, 0);
    }
    assert_int_equal(until_next_ms(&play), INTERVAL_MS);
    for (int i = 0; i < 5; i++) {
        fake_reply(RUNNING, 0);
        assert_int_equal(until_next_ms(&play), MOVING_MS);
    }
    fake_reply(AT_REST, 0);
    assert_int_equal(until_next_ms(&play), INTERVAL_MS);
    end(&play);
}

/* Start to start: the PLC's own time is inside the interval; a PLC slower than it is polled without a pause. */
static void interval_is_from_start_to_start(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    pass_ms(&play, 90);
    fake_reply(AT_REST, 0);
    assert_int_equal(until_next_ms(&play), INTERVAL_MS - 90);
    pass_ms(&play, 900);
    fake_reply(AT_REST, 0);
    assert_int_equal(until_next_ms(&play), 0);
    end(&play);
}

static void one_in_flight(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    unsigned before = fake->exchanges;
    for (int i = 0; i < 100; i++)
        pass_ms(&play, 1000);
    assert_int_equal(fake->exchanges, before);
    end(&play);
}

static void watched_polls_fast(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    fake_reply(AT_REST, 0);
    pass_ms(&play, 20);
    poller_watch(play.poller, true);
    assert_int_equal(until_next_ms(&play), MOVING_MS - 20);
    fake_reply(AT_REST, 0);
    assert_int_equal(until_next_ms(&play), MOVING_MS);
    poller_watch(play.poller, false);
    fake_reply(AT_REST, 0);
    assert_int_equal(until_next_ms(&play), INTERVAL_MS);
    end(&play);
}

static void lag_is_start_against_plan(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    assert_int_equal(poller_counts(play.poller)->poll_lag_us, 0);
    fake_reply(AT_REST, 0);
    pass_ms(&play, INTERVAL_MS + 7); /* the loop was away */
    assert_true(fake->busy);
    assert_int_equal(poller_counts(play.poller)->poll_lag_us, 7000);
    fake_reply(AT_REST, 0);
    assert_int_equal(poller_counts(play.poller)->exchange_us, 1000);
    assert_int_equal(stats_get(&play.ages.stats, AGE_PLC_ROUND_TRIP), 3);
    assert_int_equal(stats_sum_ns(&play.ages.stats, AGE_PLC_ROUND_TRIP), 3 * NS_PER_MS);
    assert_int_equal(stats_get(&play.ages.stats, AGE_POLL_LAG),
                     1); /* the others left, by this driver's word, before their plan */
    assert_int_equal(stats_sum_ns(&play.ages.stats, AGE_POLL_LAG), 6 * NS_PER_MS); /* to its first byte */
    end(&play);
}

/* --- failures ------------------------------------------------------------------------------------------------------ */

static void one_failure_is_tried_again_at_once(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    fake_fail(DRIVER_CLOSED, DRIVER_SENT);
    assert_int_equal(poller_connection(play.poller), CONNECTION_CONNECTED);
    assert_false(poller_fresh(play.poller));
    assert_int_equal(until_next_ms(&play), 0);
    fake_reply(AT_REST, 0);
    assert_int_equal(play.changes, 1);
    assert_int_equal(until_next_ms(&play), INTERVAL_MS);
    end(&play);
}

static void two_failures_disconnect(void **state)
{
    (void)state;
    const enum driver_result_e results[] = {DRIVER_TIMEOUT, DRIVER_REFUSED, DRIVER_CLOSED};
    for (size_t i = 0; i < 3; i++) {
        struct play play;
        begin(&play);
        connect_and_poll(&play);
        enum driver_sent_e sent = results[i] == DRIVER_REFUSED ? DRIVER_NOT_SENT : DRIVER_SENT;
        fake_fail(results[i], sent);
        until_next_ms(&play);
        fake_fail(results[i], sent);
        assert_int_equal(play.connection, CONNECTION_DISCONNECTED);
        assert_int_equal(play.changes, 2);
        until_next_ms(&play);
        fake_reply(AT_REST, 0);
        assert_int_equal(play.connection, CONNECTION_CONNECTED);
        end(&play);
    }
}

static void bad_replies_in_a_row_are_an_error(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    fake_fail(DRIVER_BAD_REPLY, DRIVER_SENT);
    until_next_ms(&play);
    fake_fail(DRIVER_BAD_REPLY, DRIVER_SENT);
    assert_int_equal(play.connection, CONNECTION_ERROR);
    assert_in_range(until_next_ms(&play), MIN_MS * 3 / 4, MIN_MS);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_int_equal(play.connection, CONNECTION_DISCONNECTED);
    until_next_ms(&play);
    fake_fail(DRIVER_BAD_REPLY, DRIVER_SENT);
    assert_int_equal(play.connection, CONNECTION_DISCONNECTED); /* once is not yet unintelligible */
    until_next_ms(&play);
    fake_fail(DRIVER_BAD_REPLY, DRIVER_SENT);
    assert_int_equal(play.connection, CONNECTION_ERROR);
    until_next_ms(&play);
    fake_reply(AT_REST, 0);
    assert_int_equal(play.connection, CONNECTION_CONNECTED);
    end(&play);
}

static void backs_off_doubling(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    uint64_t step = MIN_MS;
    for (int i = 0; i < 12; i++) {
        fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
        assert_in_range(until_next_ms(&play), step * 3 / 4, step);
        step = step * 2 < MAX_MS ? step * 2 : MAX_MS;
    }
    assert_int_equal(play.changes, 0); /* it was never connected */
    fake_reply(AT_REST, 0);
    assert_int_equal(until_next_ms(&play), INTERVAL_MS);
    fake_fail(DRIVER_TIMEOUT, DRIVER_SENT);
    until_next_ms(&play);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_in_range(until_next_ms(&play), MIN_MS * 3 / 4, MIN_MS); /* a reading starts it anew */
    assert_int_equal(poller_counts(play.poller)->polls, 1);
    assert_int_equal(poller_counts(play.poller)->poll_failures, 14);
    end(&play);
}

/* 1,000 agents: every delay in its bounds, and spread over them. */
static void jitter_bounds(void **state)
{
    (void)state;
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct backoff backoff;
        backoff_init(&backoff, 1000, 5000, seed);
        uint64_t first = backoff_next_ns(&backoff);
        lowest = first < lowest ? first : lowest;
        highest = first > highest ? first : highest;
        assert_in_range(backoff_next_ns(&backoff), 1500, 2000);
        assert_in_range(backoff_next_ns(&backoff), 3000, 4000);
        for (int i = 0; i < 100; i++)
            assert_in_range(backoff_next_ns(&backoff), 3750, 5000);
        backoff_reset(&backoff);
        assert_in_range(backoff_next_ns(&backoff), 750, 1000);
    }
    assert_in_range(lowest, 750, 760);
    assert_in_range(highest, 990, 1000);
}

static void backoff_at_its_edges(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 0, 0, 1);
    assert_int_equal(backoff_next_ns(&backoff), 0);
    backoff_init(&backoff, 10, 5, 1); /* a maximum below the minimum is the minimum */
    for (int i = 0; i < 10; i++)
        assert_in_range(backoff_next_ns(&backoff), 8, 10);
    backoff_init(&backoff, UINT64_MAX / 2, UINT64_MAX, 1);
    for (int i = 0; i < 10; i++)
        assert_true(backoff_next_ns(&backoff) >= UINT64_MAX / 2 / 4 * 3);
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static void command_goes_before_the_next_poll(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    play.command_in_turn = true;
    fake_reply(AT_REST, 0);
    assert_true(fake->busy);
    assert_int_equal(fake->request.command, 1);
    assert_int_equal(fake->request.argument, 7);
    assert_int_equal(fake->request.reply_limit_ns, 1000 * NS_PER_MS);
    unsigned before = fake->exchanges;
    pass_ms(&play, 900); /* the poll's time passes; it waits */
    assert_int_equal(fake->exchanges, before);
    fake_reply(RUNNING, 0);
    assert_true(play.turn.command);
    assert_int_equal(play.readings, 3);
    assert_int_equal(until_next_ms(&play), 0);
    assert_int_equal(fake->request.command, 0);
    end(&play);
}

static void command_between_polls_moves_the_next(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    fake_reply(AT_REST, 0);
    pass_ms(&play, 100);
    command(&play);
    fake_reply(RUNNING, 0);
    assert_int_equal(until_next_ms(&play), MOVING_MS);
    end(&play);
}

static void unsent_for_its_deadline_says_nothing(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    fake_reply(AT_REST, 0);
    command(&play);
    fake_fail(DRIVER_TIMEOUT, DRIVER_NOT_SENT);
    assert_int_equal(poller_connection(play.poller), CONNECTION_CONNECTED);
    assert_int_equal(until_next_ms(&play), INTERVAL_MS);
    end(&play);
}

static void fresh_means_this_connection(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        struct play play;
        begin_with(&play, persistent, 1);
        fake_reply(AT_REST, 0);
        assert_true(poller_fresh(play.poller));
        fake->open = false; /* the PLC has ended it between two polls */
        assert_int_equal(poller_fresh(play.poller), !persistent);
        end(&play);
    }
}

static void commands_cannot_hammer_a_lost_plc(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_false(poller_poll_now(play.poller));
    until_next_ms(&play);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    pass_ms(&play, MIN_MS - 1); /* of the 750 to 1000 ms that are planned */
    assert_false(poller_poll_now(play.poller));
    pass_ms(&play, 1);
    assert_true(poller_poll_now(play.poller));
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_in_range(until_next_ms(&play), 2 * MIN_MS * 3 / 4 - MIN_MS, MIN_MS); /* the plan stands */
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_in_range(until_next_ms(&play), 4 * MIN_MS * 3 / 4,
                    4 * MIN_MS); /* and has not grown by the extra try */
    end(&play);
}

static void stopped_polls_no_more(void **state)
{
    (void)state;
    struct play play;
    begin(&play);
    connect_and_poll(&play);
    poller_stop(play.poller);
    fake_reply(AT_REST, 0);
    assert_int_equal(play.turns, 2);
    unsigned before = fake->exchanges;
    for (int i = 0; i < 10; i++)
        pass_ms(&play, 1000);
    assert_int_equal(fake->exchanges, before);
    end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_poll_at_once),
        cmocka_unit_test(rest_and_moving_rates),
        cmocka_unit_test(interval_is_from_start_to_start),
        cmocka_unit_test(one_in_flight),
        cmocka_unit_test(watched_polls_fast),
        cmocka_unit_test(lag_is_start_against_plan),
        cmocka_unit_test(one_failure_is_tried_again_at_once),
        cmocka_unit_test(two_failures_disconnect),
        cmocka_unit_test(bad_replies_in_a_row_are_an_error),
        cmocka_unit_test(backs_off_doubling),
        cmocka_unit_test(jitter_bounds),
        cmocka_unit_test(backoff_at_its_edges),
        cmocka_unit_test(command_goes_before_the_next_poll),
        cmocka_unit_test(command_between_polls_moves_the_next),
        cmocka_unit_test(unsent_for_its_deadline_says_nothing),
        cmocka_unit_test(fresh_means_this_connection),
        cmocka_unit_test(commands_cannot_hammer_a_lost_plc),
        cmocka_unit_test(stopped_polls_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
