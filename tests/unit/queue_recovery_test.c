/* The command queue after a predecessor's death: what the journal holds, times what the first reading says. Told is what can
 * be known; nothing is ever written.
 */
#include "recovery_play.h"

/* --- the table --------------------------------------------------------------------------------------------------------- */

static const struct {
    enum holds_e holds;
    uint8_t raw, position; /* the first reading */
    int result, completion;
    const char *why; /* of the completion */
    bool moves;      /* a move is watched afterwards */
} table[] = {
    {NOTHING, AT_REST, 3, NONE, NONE, "", false},
    {INTENT, AT_REST, 3, CODE_OUTCOME_UNKNOWN, NONE, "", false},
    {INTENT, AT_REST, 5, CODE_OUTCOME_UNKNOWN, NONE, "", false},
    {INTENT, ALARM, 3, CODE_OUTCOME_UNKNOWN, NONE, "", false},
    {INTENT, AT_REST, 7, CODE_NONE, CODE_NONE, "", false},
    {INTENT, RUNNING, 4, CODE_NONE, NONE, "", true},
    {INTENT, ALARM | 1, 4, CODE_NONE, CODE_INTERLOCK, "alarm", false},
    {INTENT, GONE, 0, CODE_OUTCOME_UNKNOWN, NONE, "", false},
    {INTENT_THERE, AT_REST, 7, CODE_OUTCOME_UNKNOWN, NONE, "", false}, /* it stood there before */
    {INTENT_THERE, RUNNING, 7, CODE_NONE, NONE, "", true},
    {INTENT_OTHER, RUNNING, 4, CODE_OUTCOME_UNKNOWN, NONE, "", false},
    {INTENT_OTHER, GONE, 0, CODE_OUTCOME_UNKNOWN, NONE, "", false},
    {RESULT, AT_REST, 7, CODE_NONE, CODE_NONE, "", false},
    {RESULT, RUNNING, 5, CODE_NONE, NONE, "", true},
    {RESULT, AT_REST, 5, CODE_NONE, CODE_INTERLOCK, "stopped elsewhere", false},
    {RESULT, ALARM, 7, CODE_NONE, CODE_NONE, "", false},
    {RESULT, ALARM, 6, CODE_NONE, CODE_INTERLOCK, "alarm", false},
    {RESULT_TOLD, AT_REST, 7, NONE, CODE_NONE, "", false},
    {RESULT_TOLD, RUNNING, 5, NONE, NONE, "", true},
    {REFUSED, AT_REST, 3, CODE_TIMEOUT, NONE, "", false},
    {DONE, AT_REST, 7, CODE_NONE, CODE_NONE, "", false},
    {DONE, RUNNING, 9, CODE_NONE, CODE_NONE, "", false},
    {DONE_TOLD, AT_REST, 7, NONE, NONE, "", false},
};

static void expect_told(const struct play *play, size_t row, enum outcome_kind_e kind, int code)
{
    const struct outcome *o = told(play, 1, kind);
    if ((o != NULL) != (code != NONE) || (o != NULL && (int)o->code != code))
        fail_msg("row %zu, kind %d: %s instead of %d", row, kind,
                 o == NULL ? "nothing" : command_code_name(o->code), code);
    if (o == NULL)
        return;
    assert_false(o->repeat);
    assert_string_equal(o->request_id, UUID);
    assert_int_equal(o->argument, 7);
    if (kind == OUTCOME_COMPLETION)
        assert_string_equal(o->text, table[row].why);
}

static void first_reading(struct play *play, size_t row)
{
    if (table[row].raw != GONE) {
        reply(play, table[row].raw, table[row].position);
        return;
    }
    for (int ms = 0; ms < DEADLINE_MS; ms += 10) {
        if (fake->busy)
            lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
        pass_ms(play, 10);
    }
}

/* The same command, sent again by its worker; and the same request by another session. Known, or else new. */
static void asked_again(struct play *play, size_t row)
{
    size_t before = play->count, again = play->again;
    struct wire_command c = a_command(play, table[row].holds == INTENT_OTHER ? 9 : 1, 7);
    c.request_id = wire_text(UUID);
    c.scope = wire_text("u:");
    c.command_serial = 1;
    c.resent = true;
    c.age_ms = 2000;
    queue_command(play->queue, &c);
    bool reported = table[row].result != NONE;
    assert_int_equal(play->count - before, !reported); /* nobody was told: under a new number */
    assert_int_equal(play->again - again, reported);
    play->count = before;
    c.command_serial = 50;
    c.session_serial = 99;
    queue_command(play->queue, &c);
    assert_true(play->count > before);
    assert_true(play->outcomes[before].repeat);
    assert_int_equal(play->outcomes[before].key.serial, 50);
}

static void what_is_held_and_what_is_read(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof table / sizeof table[0]; row++) {
        struct play *play = begin_unread();
        replay_holds(play, table[row].holds);
        read_it(play);
        first_reading(play, row);
        expect_told(play, row, OUTCOME_RESULT, table[row].result);
        expect_told(play, row, OUTCOME_COMPLETION, table[row].completion);
        if (table[row].holds != NOTHING)
            asked_again(play, row);
        assert_int_equal(fake->written[1] + fake->written[9], 0);
        if (table[row].moves) {
            struct wire_command c = a_command(play, 1, 9);
            give(play, &c);
            assert_int_equal(last(play)->code, CODE_BUSY);
            until_asked(play);
            reply(play, AT_REST, 7);
            assert_int_equal(told(play, 1, OUTCOME_COMPLETION)->position, 7);
        }
        end(play);
    }
}

/* --- in doubt ------------------------------------------------------------------------------------------------------------ */

static void others_are_busy_while_in_doubt(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    play->serial = 1;
    send(play, 1, 9);
    expect_result(play, CODE_BUSY, false);
    send(play, 0, -1);
    expect_result(play, CODE_BUSY, false);
    struct wire_command c = a_command(play, 1, 7); /* the same request: it waits with the first */
    c.request_id = wire_text(UUID);
    c.scope = wire_text("u:");
    c.resent = true;
    give(play, &c);
    assert_int_equal(play->count, 2);
    reply(play, RUNNING, 4);
    assert_int_equal(play->count, 4);
    assert_false(told(play, 1, OUTCOME_RESULT)->repeat);
    assert_true(told(play, c.command_serial, OUTCOME_RESULT)->repeat);
    until_asked(play);
    reply(play, AT_REST, 7);
    assert_int_equal(play->count, 6);
    assert_int_equal(queue_counts(play->queue)->recovered, 1);
    assert_int_equal(queue_counts(play->queue)->reconciled, 1);
    send(play, 1, 8);
    reply(play, RUNNING, 7);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void its_result_is_noted_like_any_other(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    reply(play, AT_REST, 3);
    assert_int_equal(play->noted, 1);
    const struct journal_record *result = &play->notes[0];
    assert_int_equal(result->event, JOURNAL_RESULT);
    assert_int_equal(result->chain, JOURNAL_COMMANDS);
    assert_int_equal(play->safety[0], JOURNAL_DURABLE);
    assert_true(result->sent && result->reconciled);
    assert_int_equal(result->code, CODE_OUTCOME_UNKNOWN);
    assert_string_equal(result->who, "wms");
    assert_int_equal(play->outcomes[0].noted, 1);
    end(play);
}

static void too_late_to_know(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    struct journal_record intent = note(play, JOURNAL_INTENT, 2);
    intent.deadline_ms = 900;
    replay(play, &intent);
    read_it(play);
    assert_int_equal(play->count, 1); /* before any reading */
    assert_int_equal(play->outcomes[0].code, CODE_OUTCOME_UNKNOWN);
    assert_true(play->outcomes[0].sent);
    reply(play, RUNNING, 4);
    assert_int_equal(play->count, 1);
    end(play);
}

static void readings_before_the_journal_do_not_decide(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    reply(play, AT_REST, 3);
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    assert_int_equal(play->count, 0);
    assert_true(fake->busy); /* asked at once */
    reply(play, RUNNING, 4);
    assert_int_equal(told(play, 1, OUTCOME_RESULT)->code, CODE_NONE);
    end(play);
}

static void a_stop_leaves_the_doubt_to_the_next(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    queue_stop(play->queue);
    assert_true(queue_idle(play->queue));
    queue_give_up(play->queue);
    assert_int_equal(play->count, 0);
    assert_int_equal(play->noted, 0);
    end(play);
}

/* --- moves under way ------------------------------------------------------------------------------------------------------ */

/* Its time runs since it was written, not since the restart; over, there is still one look. */
static void move_timeout_counts_from_the_write(void **state)
{
    (void)state;
    const struct {
        uint64_t written_ms, ends_ms;
    } cases[] = {{990, MOVE_MS - 990}, {MOVE_MS - 5000, 5000}, {MOVE_MS - 100, 3000}, {10 * MOVE_MS, 3000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct play *play = begin_unread();
        struct journal_record result = note(play, JOURNAL_RESULT, 3);
        result.arrived_mono_ns = result.written_mono_ns = result.mono_ns = ago(play, cases[i].written_ms);
        replay(play, &result);
        replay_told(play, 3);
        read_it(play);
        uint64_t begun = loop_now_ns(play->loop);
        while (play->count == 0) {
            if (fake->busy)
                reply(play, RUNNING, 4);
            pass_ms(play, 10);
            assert_true(loop_now_ns(play->loop) - begun <= (cases[i].ends_ms + 20) * NS_PER_MS);
        }
        expect_completion(play, CODE_TIMEOUT, "move timeout", 4);
        assert_in_range((loop_now_ns(play->loop) - begun) / NS_PER_MS, cases[i].ends_ms,
                        cases[i].ends_ms + 20);
        end(play);
    }
}

/* What was read while the journal was being read counts, if it is newer than the note. */
static void readings_before_the_journal_end_a_move(void **state)
{
    (void)state;
    for (int newer = 0; newer < 2; newer++) {
        struct play *play = begin_unread();
        reply(play, AT_REST, 7);
        struct journal_record result = note(play, JOURNAL_RESULT, 3);
        if (!newer)
            result.mono_ns = loop_now_ns(play->loop);
        replay(play, &result);
        read_it(play);
        assert_int_equal(play->count, 1 + newer);
        end(play);
    }
}

/* Who had asked for it besides, and has the result, hears of the end as well. */
static void watchers_are_found_again(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    replay_event(play, JOURNAL_RESULT, 3);
    replay_told(play, 3);
    struct journal_record repeat = note(play, JOURNAL_RESULT, 1);
    repeat.chain = JOURNAL_REFUSALS;
    repeat.repeat = true;
    repeat.serial = 5;
    replay(play, &repeat);
    read_it(play);
    assert_int_equal(play->count, 1); /* its own chain was not told */
    reply(play, AT_REST, 7);
    assert_non_null(told(play, 1, OUTCOME_COMPLETION));
    assert_true(told(play, 5, OUTCOME_COMPLETION)->repeat);
    end(play);
}

/* The end was noted for the first asker, and then the agent died: the other one is told all the same, once. */
static void a_repeat_that_missed_the_end(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    replay_event(play, JOURNAL_RESULT, 3);
    replay_event(play, JOURNAL_COMPLETION, 4);
    replay_told(play, 4);
    struct journal_record repeat = note(play, JOURNAL_RESULT, 1);
    repeat.chain = JOURNAL_REFUSALS;
    repeat.repeat = true;
    for (uint64_t serial = 5; serial <= 6; serial++) {
        repeat.serial = serial;
        replay(play, &repeat);
    }
    struct journal_record end_ = note(play, JOURNAL_COMPLETION, 2);
    end_.chain = JOURNAL_REFUSALS;
    end_.repeat = true;
    end_.serial = 5;
    replay(play, &end_);
    struct journal_record told_ = {.event = JOURNAL_TOLD, .chain = JOURNAL_REFUSALS, .n = 3, .upto = 2};
    replay(play, &told_);
    read_it(play);
    assert_int_equal(play->count, 1);
    assert_non_null(told(play, 6, OUTCOME_COMPLETION));
    assert_true(play->outcomes[0].repeat);
    assert_int_equal(play->outcomes[0].position, 7);
    assert_int_equal(play->notes[play->noted - 1].event, JOURNAL_COMPLETION);
    assert_int_equal(play->notes[play->noted - 1].serial, 6);
    end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_and_what_is_read),
        cmocka_unit_test(others_are_busy_while_in_doubt),
        cmocka_unit_test(its_result_is_noted_like_any_other),
        cmocka_unit_test(too_late_to_know),
        cmocka_unit_test(readings_before_the_journal_do_not_decide),
        cmocka_unit_test(a_stop_leaves_the_doubt_to_the_next),
        cmocka_unit_test(move_timeout_counts_from_the_write),
        cmocka_unit_test(readings_before_the_journal_end_a_move),
        cmocka_unit_test(watchers_are_found_again),
        cmocka_unit_test(a_repeat_that_missed_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
