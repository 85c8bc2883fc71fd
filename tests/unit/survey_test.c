/* Surveys: everybody tells everything, once, or it is an error. */
#include "survey_stage.h"

static struct result result;

/* --- the good way ---------------------------------------------------------------------------------------------- */

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

/* --- who is there ------------------------------------------------------------------------------------------------ */

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

/* --- how often ------------------------------------------------------------------------------------------------------ */

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
    const struct CMUnitTest tests[] = {
        PLAY(everybody_tells_everything), PLAY(one_piece_at_a_time),
        PLAY(connections_come_and_go),    PLAY(who_has_no_such_dialect_has_no_rows),
        PLAY(asks_again_until_complete),  PLAY(never_complete),
        PLAY(lists_that_are_none),        PLAY(one_at_a_time),
        PLAY(not_from_within_its_events), PLAY(a_quarter_of_the_time_at_most),
        PLAY(making_the_answer_counts),   PLAY(silence_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
