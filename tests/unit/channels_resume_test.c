/* Coming back: from the ring, from the store, from both, with and without holes; and a worker that lost its place. What matters is the same in each:
 * every event once, in order, and a gap told if one is missing. */
#include "channels_stage.h"

#define NUMBERS_MAX 600

static struct guest *come_since(struct stage *stage, unsigned worker, const char *channel, const char *seq)
{
    char query[160];
    snprintf(query, sizeof query, "channel=%s&since=%s", channel, seq);
    return come(stage, worker, query);
}

/* Events `from` to `to`; the seqs of those are seqs[from] … */
static void publish_many(struct stage *stage, unsigned from, unsigned to, size_t pad,
                         char seqs[][ENDPOINT_SEQ_MAX])
{
    for (unsigned i = from; i <= to; i++)
        publish(stage, "sensors", i, pad, seqs != NULL ? seqs[i] : NULL);
}

/* What stands behind the channel_stats, line for line. */
static const char *told(const struct guest *guest)
{
    const char *stats = strstr(guest->heard, "{\"type\":\"channel_stats\"");
    assert_non_null(stats);
    return strchr(stats, '\n') + 1;
}

/* --- from the ring -------------------------------------------------------------------------------------------------------- */

static void from_every_seq_the_same(void **state)
{
    struct stage *stage = *state;
    char seqs[41][ENDPOINT_SEQ_MAX];
    struct guest *all = come(stage, 0, "channel=sensors");
    run(stage);
    publish_many(stage, 1, 40, 0, seqs);
    run(stage);
    for (unsigned i = 1; i <= 40; i++) {
        struct guest *guest = come_since(stage, i % WORKERS, i % 2 ? "sensors" : "general", seqs[i]);
        pass_ms(stage, 200);
        expect_events(guest, i + 1, 40);
        const char *last = strstr(all->heard, seqs[i]);
        assert_string_equal(told(guest), strchr(last, '\n') + 1);
        go(guest);
    }
    assert_int_equal(stage->pages, 0);
}

static void what_happens_while_it_waits_comes_once(void **state)
{
    struct stage *stage = *state;
    char seqs[5][ENDPOINT_SEQ_MAX];
    publish_many(stage, 1, 2, 0, seqs);
    drain(stage);
    struct guest *guest = come_since(stage, 0, "general", seqs[1]);
    publish_many(stage, 3, 3, 0, seqs);
    drain(stage);
    run(stage);
    publish_many(stage, 4, 4, 0, seqs);
    run(stage);
    expect_events(guest, 2, 4);
}

static void another_worker_may_have_read_further(void **state)
{
    struct stage *stage = *state;
    char seqs[4][ENDPOINT_SEQ_MAX];
    publish_many(stage, 1, 2, 0, seqs);
    struct guest *guest = come_since(stage, 0, "general", seqs[2]); /* its tail has read nothing */
    publish_many(stage, 3, 3, 0, seqs);
    run(stage);
    expect_events(guest, 3, 3);
    assert_int_equal(heard(guest, "gap"), 0);
}

static void a_since_that_is_none_is_told_and_ignored(void **state)
{
    struct stage *stage = *state;
    const char *bad[] = {"since=x", "since=0123ABCD-1", "since=0123abcd", "since=0123abcd-1%00",
                         "since=0123abcd-11111111111111111111111111111111111111111"};
    publish_many(stage, 1, 1, 0, NULL);
    drain(stage);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct guest *guest = come(stage, 0, bad[i]);
        pass_ms(stage, 200);
        assert_string_equal(told(guest), "{\"type\":\"error\",\"message\":\"since no v\xc3\xa1lido\"}\n");
        assert_int_equal(guest->closed, 0);
        go(guest);
    }
    struct guest *guest = come(stage, 0, "since=");
    run(stage);
    assert_string_equal(told(guest), "");
}

/* --- from the store ------------------------------------------------------------------------------------------------------- */

/* 500 events in 3 MiB of a ring of 1 MiB and a history of 8 MiB, which a worker that starts anew does not have. */
static void long_ago(struct stage *stage, char seqs[][ENDPOINT_SEQ_MAX])
{
    publish_many(stage, 1, 500, 6000, seqs);
    worker_restarts(stage, 0);
    pass_ms(stage, 2500); /* what the store has is settled */
}

static void older_than_the_ring_comes_from_the_store_page_by_page(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    pass_ms(stage, 300);
    expect_events(guest, 2, 500);
    assert_true(stage->pages >= 3); /* the rest is from the ring */
    assert_int_equal(counts(stage, 0)->paged, 1);
    publish_many(stage, 501, 501, 0, seqs);
    run(stage);
    expect_events(guest, 2, 501);
    assert_int_equal(heard(guest, "gap"), 0);
}

static void from_every_seq_the_same_whether_ring_or_store(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    struct guest *all = come(stage, 1, "channel=sensors");
    run(stage);
    for (unsigned i = 0; i < 10; i++) { /* the witness keeps up */
        publish_many(stage, 50 * i + 1, 50 * i + 50, 6000, seqs);
        drain(stage);
    }
    worker_restarts(stage, 0);
    pass_ms(stage, 2500);
    for (unsigned i = 1; i <= 500; i += 7) {
        struct guest *guest = come_since(stage, 0, i % 2 ? "sensors" : "general", seqs[i]);
        pass_ms(stage, 400);
        expect_events(guest, i + 1, 500);
        assert_string_equal(told(guest), strchr(strstr(all->heard, seqs[i]), '\n') + 1);
        go(guest);
    }
    assert_true(counts(stage, 0)->paged > 10 && counts(stage, 0)->resumed > 5);
}

static void a_page_waits_for_the_client_to_take_it(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    block(guest, true);
    pass_ms(stage, 1000);
    block(guest, false);
    block(guest, true);
    pass_ms(stage, 3000);
    assert_true(stage->pages <= 2);
    assert_true(stage->workers[0].host.outbox.counts.own_bytes <= 1024 * 1024);
    assert_int_equal(guest->closed, 0);
    block(guest, false);
    pass_ms(stage, 1000);
    expect_events(guest, 2, 500);
}

static void many_who_wait_for_the_same_page_share_it(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    stage->store_holds = true;
    for (unsigned i = 0; i < 300; i++)
        come_since(stage, 0, "sensors", seqs[200]);
    pass_ms(stage, 500);
    stage->store_holds = false;
    pass_ms(stage, 500);
    for (unsigned i = 0; i < stage->guest_count; i++)
        expect_events(stage->guests[i], 201, 500);
    assert_true(stage->pages > 0 && stage->pages <= 30);
}

static void of_an_earlier_ring(void **state)
{
    struct stage *stage = *state;
    char seqs[9][ENDPOINT_SEQ_MAX];
    publish_many(stage, 1, 4, 0, seqs);
    new_ring(stage);
    publish_many(stage, 5, 8, 0, seqs);
    pass_ms(stage, 200);
    for (unsigned i = 1; i <= 8; i++) {
        struct guest *guest = come_since(stage, 0, "sensors", seqs[i]);
        pass_ms(stage, 200);
        expect_events(guest, i + 1, 8);
        assert_int_equal(heard(guest, "gap"), 0);
        go(guest);
    }
}

static void who_was_connected_when_the_ring_was_replaced(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "channel=sensors");
    run(stage);
    publish_many(stage, 1, 4, 0, NULL);
    run(stage);
    new_ring(stage);
    publish_many(stage, 5, 8, 0, NULL);
    pass_ms(stage, 300);
    expect_events(guest, 1, 8);
    assert_int_equal(heard(guest, "gap"), 0);
}

/* What the ring has had for less than a moment, the store may not have noted: then its short page says nothing. */
static void a_short_page_counts_only_when_it_is_settled(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    publish_many(stage, 1, 1, 0, seqs);
    pass_ms(stage, 2500);
    unsigned before = stage->stored_count;
    publish_many(stage, 2, 300, 6000, seqs);
    unsigned noted = stage->stored_count;
    stage->stored_count = before; /* as if none of it were noted yet */
    worker_restarts(stage, 0);
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    pass_ms(stage, 500);
    assert_string_equal(told(guest), "");
    stage->stored_count = noted;
    pass_ms(stage, 2500);
    expect_events(guest, 2, 300);
    assert_int_equal(heard(guest, "gap"), 0);
}

/* --- gaps ------------------------------------------------------------------------------------------------------------------- */

static const char gap[] = "{\"type\":\"gap\",\"channel\":\"sensors\",\"timestamp\":\"2025-01-01T";

static void without_a_store_a_gap_and_what_there_is(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    stage->store_status = 503;
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    pass_ms(stage, 2500);
    assert_string_equal(told(guest), "");
    pass_ms(stage, 1000);
    assert_int_equal(strncmp(told(guest), gap, strlen(gap)), 0);
    assert_int_equal(heard(guest, "\"number\":500,"), 1);
    assert_true(heard(guest, "\"number\":") > 100);
    assert_int_equal(counts(stage, 0)->gaps, 1);
}

static void a_store_that_is_back_in_time_makes_no_gap(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    stage->store_status = 503;
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    pass_ms(stage, 2500);
    stage->store_status = 200;
    pass_ms(stage, 500);
    expect_events(guest, 2, 500);
}

static void a_broker_s_death_on_the_way(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    stage->store_holds = true;
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    pass_ms(stage, 200);
    broker_dies(stage);
    stage->store_holds = false;
    pass_ms(stage, 500);
    broker_is_back(stage);
    pass_ms(stage, 500);
    expect_events(guest, 2, 500);
}

static void a_ring_that_never_was(void **state)
{
    struct stage *stage = *state;
    publish_many(stage, 1, 3, 0, NULL);
    drain(stage);
    struct guest *guest = come_since(stage, 0, "sensors", "00000001-7");
    pass_ms(stage, 300);
    publish_many(stage, 4, 4, 0, NULL);
    run(stage);
    assert_int_equal(strncmp(told(guest), gap, strlen(gap)), 0);
    expect_events(guest, 4, 4);
}

static void rows_that_were_removed(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    stage->store_status = 410;
    struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
    pass_ms(stage, 300);
    assert_int_equal(strncmp(told(guest), gap, strlen(gap)), 0);
    assert_int_equal(heard(guest, "\"number\":500,"), 1);
}

static void a_place_in_the_future(void **state)
{
    struct stage *stage = *state;
    char seqs[3][ENDPOINT_SEQ_MAX], future[64];
    publish_many(stage, 1, 2, 0, seqs);
    drain(stage);
    snprintf(future, sizeof future, "%.9s99999999", seqs[1]);
    struct guest *guest = come_since(stage, 0, "sensors", future);
    pass_ms(stage, 3500);
    publish_many(stage, 3, 3, 0, NULL);
    run(stage);
    assert_int_equal(strncmp(told(guest), gap, strlen(gap)), 0);
    expect_events(guest, 3, 3);
}

static void pages_that_are_none(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    const char *garbage[] = {"",     "[",
                             "{}",   "[{]",
                             "[{}]", "[{\"a\":1,\"seq\":\"x\"}]",
                             "[1]",  "[{\"a\":1,\"seq\":\"0123abcd-1\"}"};
    long_ago(stage, seqs);
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        stage->garbage = garbage[i];
        struct guest *guest = come_since(stage, 0, "sensors", seqs[1]);
        pass_ms(stage, 3500);
        assert_int_equal(heard(guest, "\"type\":\"gap\""), 1);
        assert_int_equal(heard(guest, "\"number\":500,"), 1);
        go(guest);
    }
}

static void who_goes_while_its_page_is_on_the_way(void **state)
{
    struct stage *stage = *state;
    static char seqs[NUMBERS_MAX][ENDPOINT_SEQ_MAX];
    long_ago(stage, seqs);
    stage->store_holds = true;
    struct guest *one = come_since(stage, 0, "sensors", seqs[1]),
                 *two = come_since(stage, 0, "sensors", seqs[1]);
    struct guest *alone = come_since(stage, 0, "general", seqs[1]);
    pass_ms(stage, 200);
    assert_int_equal(counts(stage, 0)->paging, 3);
    go(one);
    go(alone);
    stage->store_holds = false;
    pass_ms(stage, 500);
    expect_events(two, 2, 500);
    assert_int_equal(counts(stage, 0)->paging, 0);
}

/* --- a worker that lost its place --------------------------------------------------------------------------------------------- */

static void a_lapped_worker_catches_up_from_the_store(void **state)
{
    struct stage *stage = *state;
    struct guest *guests[20];
    for (unsigned i = 0; i < 20; i++)
        guests[i] = come(stage, 0, i % 2 ? "channel=sensors" : "");
    pass_ms(stage, 300);
    publish_many(stage, 1, 10, 0, NULL);
    drain(stage);
    publish_many(stage, 11, 200, 0, NULL);
    flood(stage);
    publish_many(stage, 201, 210, 0, NULL);
    pass_ms(stage, 3500);
    publish_many(stage, 211, 211, 0, NULL);
    run(stage);
    for (unsigned i = 0; i < 20; i++) {
        expect_events(guests[i], 1, 211);
        assert_int_equal(heard(guests[i], "gap"), 0);
    }
    assert_int_equal(counts(stage, 0)->lapped, 20);
}

static void a_lapped_worker_without_a_store_tells_a_gap(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "channel=sensors");
    run(stage);
    publish_many(stage, 1, 10, 0, NULL);
    drain(stage);
    stage->store_status = 503;
    publish_many(stage, 11, 20, 0, NULL);
    flood(stage);
    pass_ms(stage, 4000);
    publish_many(stage, 21, 21, 0, NULL);
    run(stage);
    assert_int_equal(heard(guest, "\"number\":"), 11);
    assert_int_equal(heard(guest, "\"type\":\"gap\""), 1);
    assert_int_equal(heard(guest, "\"number\":21,"), 1);
    assert_true(strstr(guest->heard, "\"gap\"") < strstr(guest->heard, "\"number\":21,"));
}

static void a_slow_client_of_a_lapped_worker(void **state)
{
    struct stage *stage = *state;
    struct guest *guest = come(stage, 0, "channel=sensors");
    run(stage);
    publish_many(stage, 1, 5, 0, NULL);
    drain(stage);
    block(guest, true);
    publish_many(stage, 6, 20, 3000, NULL);
    drain(stage);
    publish_many(stage, 21, 40, 0, NULL);
    flood(stage);
    pass_ms(stage, 1000);
    block(guest, false);
    pass_ms(stage, 3500);
    publish_many(stage, 41, 41, 0, NULL);
    run(stage);
    expect_events(guest, 1, 41);
    assert_int_equal(heard(guest, "gap"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(from_every_seq_the_same),
        PLAY(what_happens_while_it_waits_comes_once),
        PLAY(another_worker_may_have_read_further),
        PLAY(a_since_that_is_none_is_told_and_ignored),
        PLAY(older_than_the_ring_comes_from_the_store_page_by_page),
        PLAY(from_every_seq_the_same_whether_ring_or_store),
        PLAY(a_page_waits_for_the_client_to_take_it),
        PLAY(many_who_wait_for_the_same_page_share_it),
        PLAY(of_an_earlier_ring),
        PLAY(who_was_connected_when_the_ring_was_replaced),
        PLAY(a_short_page_counts_only_when_it_is_settled),
        PLAY(without_a_store_a_gap_and_what_there_is),
        PLAY(a_store_that_is_back_in_time_makes_no_gap),
        PLAY(a_broker_s_death_on_the_way),
        PLAY(a_ring_that_never_was),
        PLAY(rows_that_were_removed),
        PLAY(a_place_in_the_future),
        PLAY(pages_that_are_none),
        PLAY(who_goes_while_its_page_is_on_the_way),
        PLAY(a_lapped_worker_catches_up_from_the_store),
        PLAY(a_lapped_worker_without_a_store_tells_a_gap),
        PLAY(a_slow_client_of_a_lapped_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
