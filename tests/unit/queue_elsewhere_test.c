/* The command queue after a predecessor's death, at another address: what the PLC there says decides nothing about what was asked of the
 * first one; the latch stays.
 */
#include "recovery_play.h"

/* --- another PLC ----------------------------------------------------------------------------------------------------------- */

#define MOVED "the PLC's address has changed"

static const struct {
    enum holds_e holds;
    int result, completion;
} at_another_address[] = {
    {NOTHING, NONE, NONE},
    {INTENT, CODE_OUTCOME_UNKNOWN, NONE},
    {INTENT_THERE, CODE_OUTCOME_UNKNOWN, NONE},
    {INTENT_OTHER, CODE_OUTCOME_UNKNOWN, NONE},
    {RESULT, CODE_NONE, CODE_OUTCOME_UNKNOWN}, /* what was answered stands */
    {RESULT_TOLD, NONE, CODE_OUTCOME_UNKNOWN},
    {REFUSED, CODE_TIMEOUT, NONE},
    {DONE, CODE_NONE, CODE_NONE},
    {DONE_TOLD, NONE, NONE},
};

static void expect_not_known(const struct play *play, size_t row, enum outcome_kind_e kind, int code)
{
    const struct outcome *o = told(play, 1, kind);
    if ((o != NULL) != (code != NONE) || (o != NULL && (int)o->code != code))
        fail_msg("row %zu, kind %d: %s instead of %d", row, kind,
                 o == NULL ? "nothing" : command_code_name(o->code), code);
    if (o == NULL || code != CODE_OUTCOME_UNKNOWN)
        return;
    assert_string_equal(o->text, MOVED);
    assert_true(o->sent);
    assert_int_equal(o->position, -1);
    const struct journal_record *noted = &play->notes[o->noted - 1];
    assert_int_equal(noted->event, kind == OUTCOME_RESULT ? JOURNAL_RESULT : JOURNAL_COMPLETION);
    assert_int_equal(noted->chain, JOURNAL_COMMANDS);
    assert_int_equal(noted->code, CODE_OUTCOME_UNKNOWN);
    assert_int_equal(play->safety[o->noted - 1], JOURNAL_DURABLE);
    assert_true(kind == OUTCOME_COMPLETION ? !noted->after.known : noted->reconciled);
}

/* Whatever the PLC at the new address says, and whether it was read before or after the journal: it is not asked. */
static void another_plc_decides_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof at_another_address / sizeof at_another_address[0]; i++) {
        size_t row = i / 2;
        bool read_first = i % 2 == 1;
        struct play *play = begin_unread();
        if (read_first)
            reply(play, AT_REST, 7); /* where it was to go */
        elsewhere = true;
        replay_holds(play, at_another_address[row].holds);
        read_it(play);
        size_t count = play->count;
        expect_not_known(play, row, OUTCOME_RESULT, at_another_address[row].result);
        expect_not_known(play, row, OUTCOME_COMPLETION, at_another_address[row].completion);
        until_asked(play);
        reply(play, RUNNING, 4);
        until_asked(play);
        reply(play, AT_REST, 7);
        assert_int_equal(play->count, count);
        play->serial = 1;
        send(play, 1, 9); /* nothing is under way any more */
        until_asked(play);
        reply(play, RUNNING, 7);
        expect_result(play, CODE_NONE, true);
        end(play);
    }
}

/* Who had asked for the move besides is told its end as well. */
static void watchers_hear_of_another_plc(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    elsewhere = true;
    replay_event(play, JOURNAL_RESULT, 3);
    replay_told(play, 3);
    struct journal_record repeat = note(play, JOURNAL_RESULT, 1);
    repeat.chain = JOURNAL_REFUSALS;
    repeat.repeat = true;
    repeat.serial = 5;
    replay(play, &repeat);
    read_it(play);
    assert_int_equal(told(play, 1, OUTCOME_COMPLETION)->code, CODE_OUTCOME_UNKNOWN);
    assert_int_equal(told(play, 5, OUTCOME_COMPLETION)->code, CODE_OUTCOME_UNKNOWN);
    assert_string_equal(told(play, 5, OUTCOME_COMPLETION)->text, MOVED);
    assert_int_equal(queue_counts(play->queue)->recovered,
                     2); /* the move, and the result that was not told */
    end(play);
}

/* The doubt waited behind something else: still not by a reading. */
static void another_plc_and_a_late_journal(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    reply(play, AT_REST, 3);
    play->serial = 10;
    send(play, 0, -1);
    elsewhere = true;
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    assert_null(told(play, 1, OUTCOME_RESULT));
    reply(play, RUNNING, 7); /* the other one's */
    assert_int_equal(told(play, 1, OUTCOME_RESULT)->code, CODE_OUTCOME_UNKNOWN);
    assert_string_equal(told(play, 1, OUTCOME_RESULT)->text, MOVED);
    end(play);
}

static void the_latch_stays_at_another_address(void **state)
{
    (void)state;
    for (int in_head = 0; in_head < 2; in_head++) {
        struct play *play = begin_unread();
        struct journal_record record = {.event = in_head ? JOURNAL_SEGMENT : JOURNAL_LATCHED,
                                        .chain = JOURNAL_COMMANDS,
                                        .latched = true,
                                        .elsewhere = true};
        replay(play, &record);
        read_it(play);
        reply(play, AT_REST, 3);
        assert_true(queue_rearm_needed(play->queue));
        send(play, 1, 7);
        expect_result(play, CODE_INTERLOCK, false);
        end(play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_plc_decides_nothing),
        cmocka_unit_test(watchers_hear_of_another_plc),
        cmocka_unit_test(another_plc_and_a_late_journal),
        cmocka_unit_test(the_latch_stays_at_another_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
