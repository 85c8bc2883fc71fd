/* Surveys that do not go well: who does not answer, dies, answers late, wrongly or without end; a bus that takes nothing. */
#include "survey_stage.h"

static struct result result;

/* --- silence and death -------------------------------------------------------------------------------------------- */

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

/* --- late, foreign and endless answers -------------------------------------------------------------------------- */

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

/* --- a bus that takes nothing -------------------------------------------------------------------------------------- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
