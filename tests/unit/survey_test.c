/* Surveys: everybody tells everything, once, or it is an error. */
#include "survey_stage.h"

static struct result result;

/* --- plays: the good way ---------------------------------------------------------------------------------------------- */

static void everybody_tells_everything(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 1);
    populate(rig, 2, 10000);
    for (unsigned asker = 0; asker < WORKERS; asker++) {
        assert_int_equal(survey(rig, asker, &result), ERR_OK);
        assert_int_equal(result.dones, 0);
        run(rig);
        expect_end(&result, ERR_OK, 0, 3);
        assert_int_equal(result.total, 10001);
        assert_int_equal(result.rows[1][1], 1);
        for (unsigned i = 1; i <= 10000; i++)
            assert_int_equal(result.rows[2][i], 1);
    }
    assert_true(result.pieces > 10);
    assert_int_equal(counts(rig, 0)->begun, 1);
    assert_int_equal(counts(rig, 0)->failed, 0);
    assert_int_equal(counts(rig, 0)->answered, 3);
    assert_int_equal(counts(rig, 2)->answered, rig->workers[2].registry.pieces);
    assert_int_equal(counts(rig, 2)->late, 0);
}

/* One piece per worker is on its way, never more. */
static void one_piece_at_a_time(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < WORKERS; i++)
        populate(rig, i, 5000);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    do {
        unsigned letters = 0;
        for (const struct letter *letter = rig->first; letter != NULL; letter = letter->next)
            letters++;
        assert_true(letters <= WORKERS);
    } while (step(rig));
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 15000);
}

static void come_and_go(struct rig *rig)
{
    static uint64_t next_gone, next_new;
    struct registry *registry = &rig->workers[2].registry;
    if (registry->count == 9000)
        next_gone = 3, next_new = 9001;
    for (unsigned i = 0; i < 30; i++, next_gone += 3) {
        registry_remove(registry, next_gone);
        registry_remove(registry, 9003 - next_gone);
    }
    for (unsigned i = 0; i < 5; i++)
        registry_add(registry, next_new++);
}

/* Every third connection may go between two pieces, others come: those that stood all the time are told exactly once. */
static void connections_come_and_go(void **state)
{
    struct rig *rig = *state;
    populate(rig, 2, 9000);
    rig->between = come_and_go;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    assert_true(rig->workers[2].registry.count < 9000);
    for (unsigned i = 1; i <= 9000; i++)
        assert_true(i % 3 != 0 ? result.rows[2][i] == 1 : result.rows[2][i] <= 1);
}

/* A worker that does not speak the dialect, or one that nobody surveys, has no such connections. */
static void who_has_no_such_dialect_has_no_rows(void **state)
{
    struct rig *rig = *state;
    worker_close(&rig->workers[2]);
    worker_open(rig, 2, &mute);
    populate(rig, 1, 7);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 7);

    memset(&result, 0, sizeof result);
    assert_int_equal(endpoint_survey(&rig->workers[2].endpoint, QUESTION, &result_events, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 0);
}

/* --- plays: who is there ------------------------------------------------------------------------------------------------ */

static void asks_again_until_complete(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 3);
    rig->complete = false;
    rig->workers[1].introduced = false;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    pass_ms(rig, 49);
    assert_int_equal(rig->lists, 1);
    pass_ms(rig, 1);
    assert_int_equal(rig->lists, 2);
    assert_int_equal(result.dones, 0);
    rig->complete = rig->workers[1].introduced = true;
    pass_ms(rig, 50);
    assert_int_equal(rig->lists, 3);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 3);
}

static void never_complete(void **state)
{
    struct rig *rig = *state;
    rig->complete = false;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    for (unsigned ms = 0; ms < ENDPOINT_SURVEY_MS - 100; ms += 100)
        pass_ms(rig, 100);
    assert_int_equal(result.dones, 0);
    pass_ms(rig, 100);
    expect_end(&result, ERR_TIMEOUT, 0, 0);
    assert_int_equal(counts(rig, 0)->failed, 1);
    /* It cost nobody anything: the next may come at once. */
    rig->complete = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

static void give_list(struct rig *rig, const uint64_t *workers, uint32_t len)
{
    struct wire_message message = {.type = WIRE_SURVEY_WORKERS};
    message.survey_workers = (struct wire_survey_workers){
        rig->workers[0].host.surveys.last_query, true, {(const char *)workers, len}};
    hand_over(rig, 0, &message);
}

/* Not whole words, somebody twice, without the asker, empty: no list. */
static void lists_that_are_none(void **state)
{
    struct rig *rig = *state;
    const uint64_t odd[] = {incarnation(0), 0}, twice[] = {incarnation(0), incarnation(1), incarnation(1)},
                   without[] = {incarnation(1)};
    const struct {
        const uint64_t *words;
        uint32_t len;
    } lists[] = {{odd, 9}, {twice, 24}, {without, 8}, {odd, 0}};
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
        drop_letters(rig);
        give_list(rig, lists[i].words, lists[i].len);
        assert_null(rig->first);
        clock_manual_advance_ns(&rig->clock, 50 * NS_PER_MS);
        host_tick(&rig->workers[0].host); /* the question goes again */
        assert_non_null(rig->first);
    }
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

/* --- plays: silence and death -------------------------------------------------------------------------------------------- */

static void a_silent_worker(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 5);
    rig->workers[2].silent = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    clock_manual_advance_ns(&rig->clock, (ENDPOINT_SURVEY_MS - 1) * NS_PER_MS);
    host_tick(&rig->workers[0].host);
    assert_null(rig->first); /* it is not asked again and again */
    assert_int_equal(result.dones, 0);
    pass_ms(rig, 1);
    expect_end(&result, ERR_TIMEOUT, 1, 3);
    assert_int_equal(counts(rig, 0)->begun, 1);
    assert_int_equal(counts(rig, 0)->failed, 1);
}

static void a_target_that_is_gone(void **state)
{
    struct rig *rig = *state;
    populate(rig, 2, 5000);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    for (unsigned i = 0; i < 8; i++)
        assert_true(step(rig));
    assert_true(result.pieces > 0);
    rig->workers[2].introduced = false;
    run(rig);
    expect_end(&result, ERR_CLOSED, 1, 3);
}

static void the_broker_dies_before_anybody_is_asked(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 4);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    broker_dies(rig);
    pass_ms(rig, 300);
    assert_int_equal(result.dones, 0);
    broker_is_back(rig);
    pass_ms(rig, 100);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 4);
}

static void the_broker_dies_in_the_middle(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 4);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    assert_true(step(rig)); /* the list */
    assert_true(step(rig)); /* one question */
    broker_dies(rig);
    expect_end(&result, ERR_CLOSED, 3, 3);
    broker_is_back(rig);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

static void no_broker_at_all(void **state)
{
    struct rig *rig = *state;
    broker_dies(rig);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    pass_ms(rig, ENDPOINT_SURVEY_MS - 1);
    assert_int_equal(result.dones, 0);
    pass_ms(rig, 1);
    expect_end(&result, ERR_TIMEOUT, 0, 0);
}

static void the_process_ends(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    assert_true(step(rig));
    host_stop(&rig->workers[0].host);
    expect_end(&result, ERR_CLOSED, 3, 3);
    assert_int_equal(survey(rig, 0, &result), ERR_CLOSED);
    assert_int_equal(result.dones, 0);
}

/* --- plays: late, foreign and endless answers -------------------------------------------------------------------------- */

static void late_answers(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < WORKERS; i++)
        populate(rig, i, 2);
    rig->keep_answers = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    pass_ms(rig, ENDPOINT_SURVEY_MS);
    expect_end(&result, ERR_TIMEOUT, 1, 3);
    assert_int_equal(result.total, 4);
    assert_int_equal(counts(rig, 0)->late, 0);

    rig->keep_answers = false;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    assert_true(step(rig)); /* the list: everybody is asked again */
    hand_over_kept(rig);
    assert_int_equal(counts(rig, 0)->late, 1);
    assert_int_equal(result.pieces, 0);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 6);
    assert_int_equal(counts(rig, 0)->late, 1);
}

static void give_rows(struct rig *rig, uint64_t query, uint64_t asker, uint64_t target, const char *rows)
{
    struct wire_message message = {.type = WIRE_SURVEY_ROWS};
    message.survey_rows = (struct wire_survey_rows){
        .query = query, .asker = asker, .target = target, .answered = true, .last = true};
    message.survey_rows.rows = wire_text(rows);
    hand_over(rig, 0, &message);
}

static void foreign_messages(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 2);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    uint64_t query = rig->workers[0].host.surveys.last_query, late = 0;
    give_rows(rig, query, incarnation(0), incarnation(1), "1:1:................\n"); /* nobody was asked */
    assert_int_equal(counts(rig, 0)->late, ++late);
    assert_true(step(rig));
    give_list(rig, (const uint64_t[]){incarnation(0)}, 8); /* there is a list already */
    assert_int_equal(counts(rig, 0)->late, ++late);
    give_rows(rig, query + 1, incarnation(0), incarnation(1), "1:1:................\n");
    assert_int_equal(counts(rig, 0)->late, ++late);
    give_rows(rig, query, incarnation(1), incarnation(1), "1:1:................\n");
    assert_int_equal(counts(rig, 0)->late, ++late);
    give_rows(rig, query, incarnation(0), GONE, "1:1:................\n");
    assert_int_equal(counts(rig, 0)->late, ++late);
    struct wire_message ask = {.type = WIRE_SURVEY_ASK, .survey_ask = {.target = GONE, .dialect = 9}};
    hand_over(rig, 0, &ask);
    assert_int_equal(counts(rig, 0)->late, ++late);
    while (result.total < 2)
        assert_true(step(rig));
    give_rows(rig, query, incarnation(0), incarnation(1),
              "1:1:................\n"); /* it has told everything */
    assert_int_equal(counts(rig, 0)->late, ++late);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 2);
    give_rows(rig, query, incarnation(0), incarnation(1), "1:1:................\n"); /* it is over */
    assert_int_equal(counts(rig, 0)->late, ++late);
    assert_int_equal(result.total, 2);
}

static void a_worker_without_end(void **state)
{
    struct rig *rig = *state;
    rig->workers[1].registry.endless = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_TOO_LARGE, 1, 3);
    assert_true(rig->workers[1].registry.pieces <=
                SURVEY_BYTES_MAX / (WIRE_SURVEY_ROWS_MAX - 2 * ENDPOINT_ROW_MAX) + 1);
    rig->workers[1].registry.endless = false;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

static void a_worker_that_gives_nothing(void **state)
{
    struct rig *rig = *state;
    rig->workers[1].registry.empty = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_MALFORMED, 2, 3);
}

static void a_worker_that_stands_still(void **state)
{
    struct rig *rig = *state;
    rig->workers[1].registry.stuck = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_MALFORMED, 2, 3);
    assert_int_equal(rig->workers[1].registry.pieces, 1);
}

/* --- plays: a bus that takes nothing -------------------------------------------------------------------------------------- */

static void the_askers_bus_is_full(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 2);
    rig->workers[0].full = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    assert_int_equal(rig->lists, 0);
    rig->workers[0].full = false;
    clock_manual_advance_ns(&rig->clock, 50 * NS_PER_MS);
    host_tick(&rig->workers[0].host);
    rig->workers[0].full = true; /* again, when the workers are to be asked */
    run(rig);
    assert_int_equal(rig->lists, 1);
    assert_int_equal(result.dones, 0);
    rig->workers[0].full = false;
    pass_ms(rig, 50);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.total, 2);
}

static void an_answer_that_the_bus_does_not_take(void **state)
{
    struct rig *rig = *state;
    rig->workers[2].full = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    assert_int_equal(counts(rig, 2)->unsent, 1);
    assert_int_equal(counts(rig, 2)->answered, 0);
    pass_ms(rig, ENDPOINT_SURVEY_MS);
    expect_end(&result, ERR_TIMEOUT, 1, 3);
}

/* --- plays: how often ------------------------------------------------------------------------------------------------------ */

static void one_at_a_time(void **state)
{
    struct rig *rig = *state;
    static struct result other;
    populate(rig, 1, 2);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    assert_int_equal(survey(rig, 0, &other), ERR_BUSY);
    assert_int_equal(survey(rig, 1, &other), ERR_OK); /* other workers have their own */
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    expect_end(&other, ERR_OK, 0, 3);
    assert_int_equal(result.total, 2);
    assert_int_equal(other.total, 2);
}

static void not_from_within_its_events(void **state)
{
    struct rig *rig = *state;
    populate(rig, 1, 2);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    result.again = &rig->workers[0].endpoint;
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    assert_int_equal(result.again_err, ERR_BUSY);
    assert_int_equal(counts(rig, 0)->begun, 1);
}

static void piece_takes_10_ms(struct rig *rig)
{
    clock_manual_advance_ns(&rig->clock, 10 * NS_PER_MS);
}

static void a_quarter_of_the_time_at_most(void **state)
{
    struct rig *rig = *state;
    rig->between = piece_takes_10_ms;
    clock_manual_advance_ns(&rig->clock, NS_PER_S);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig); /* the last of three answers is there after 20 ms; "between" lets 10 more pass */
    expect_end(&result, ERR_OK, 0, 3);
    clock_manual_advance_ns(&rig->clock, 50 * NS_PER_MS - 1);
    assert_int_equal(survey(rig, 0, &result), ERR_BUSY);
    clock_manual_advance_ns(&rig->clock, 1);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

/* The asker makes something of the rows: that is its worker's time. */
static void making_the_answer_counts(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    result.clock = &rig->clock;
    result.making_ns = 7 * NS_PER_MS;
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
    clock_manual_advance_ns(&rig->clock, 21 * NS_PER_MS - 1);
    assert_int_equal(survey(rig, 0, &result), ERR_BUSY);
    clock_manual_advance_ns(&rig->clock, 1);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

/* What was waited for in vain cost nobody anything. */
static void silence_does_not_count(void **state)
{
    struct rig *rig = *state;
    rig->between = piece_takes_10_ms;
    rig->workers[2].silent = true;
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    run(rig);
    pass_ms(rig, ENDPOINT_SURVEY_MS);
    expect_end(&result, ERR_TIMEOUT, 1, 3);
    assert_int_equal(survey(rig, 0, &result), ERR_OK);
    rig->workers[2].silent = false;
    run(rig);
    expect_end(&result, ERR_OK, 0, 3);
}

int main(void)
{
#define PLAY(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        PLAY(everybody_tells_everything),
        PLAY(one_piece_at_a_time),
        PLAY(connections_come_and_go),
        PLAY(who_has_no_such_dialect_has_no_rows),
        PLAY(asks_again_until_complete),
        PLAY(never_complete),
        PLAY(lists_that_are_none),
        PLAY(a_silent_worker),
        PLAY(a_target_that_is_gone),
        PLAY(the_broker_dies_before_anybody_is_asked),
        PLAY(the_broker_dies_in_the_middle),
        PLAY(no_broker_at_all),
        PLAY(the_process_ends),
        PLAY(late_answers),
        PLAY(foreign_messages),
        PLAY(a_worker_without_end),
        PLAY(a_worker_that_gives_nothing),
        PLAY(a_worker_that_stands_still),
        PLAY(the_askers_bus_is_full),
        PLAY(an_answer_that_the_bus_does_not_take),
        PLAY(one_at_a_time),
        PLAY(not_from_within_its_events),
        PLAY(a_quarter_of_the_time_at_most),
        PLAY(making_the_answer_counts),
        PLAY(silence_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
