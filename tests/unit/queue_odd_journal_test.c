/* The command queue and a journal that is not as one wishes: it reaches back far, or is old, holds more than can be reported, comes late, or makes no sense.
 */
#include "recovery_play.h"

/* --- memory ---------------------------------------------------------------------------------------------------------------- */

static void the_horizon_moves_back(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    queue_journal_state(play->queue, true, NULL, ago(play, 5000));
    reply(play, AT_REST, 3);
    struct wire_command c = a_command(play, 1, 7);
    c.resent = true;
    c.age_ms = 5000; /* older than what the journal remembers */
    give(play, &c);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    c = a_command(play, 1, 7);
    c.resent = true;
    c.age_ms = 4999; /* the journal would know: nobody wrote it */
    give(play, &c);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void old_notes_are_forgotten(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    struct journal_record old = note(play, JOURNAL_RESULT, 3);
    old.mono_ns = ago(play, QUEUE_REMEMBER_NS / NS_PER_MS + 1);
    old.arrived_mono_ns = old.mono_ns;
    old.code = CODE_TIMEOUT;
    replay(play, &old);
    struct journal_record recent = note(play, JOURNAL_RESULT, 4);
    recent.serial = 2;
    recent.code = CODE_TIMEOUT;
    replay(play, &recent);
    queue_journal_state(play->queue, true, NULL, ago(play, QUEUE_REMEMBER_NS / NS_PER_MS));
    assert_int_equal(play->count, 1);
    assert_int_equal(play->outcomes[0].key.serial, 2);
    end(play);
}

/* The broker was away for long: reported is what fits, and room stays for what comes. */
static void more_than_fits(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    for (uint64_t n = 1; n <= 1000; n++) {
        struct journal_record refusal = note(play, JOURNAL_RESULT, n);
        refusal.chain = JOURNAL_REFUSALS;
        refusal.serial = n;
        refusal.code = CODE_BUSY;
        refusal.sent = false;
        refusal.request_id[0] = '\0';
        replay(play, &refusal);
    }
    play->shrinks = true;
    play->room = 200;
    read_it(play);
    assert_in_range(play->count, 100, 200 - QUEUE_ROOM);
    end(play);
}

/* Its disk hung. What was answered meanwhile stands; and the journal learns of it. */
static void late_journal(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    reply(play, AT_REST, 3);
    struct wire_command c = a_command(play, 1, 7);
    c.command_serial = 1;
    c.resent = true;
    play->journal_full = true;
    give(play, &c);
    assert_int_equal(play->outcomes[0].code, CODE_OUTCOME_UNKNOWN);
    send(play, 0, -1); /* written, and no reply yet */
    play->journal_full = false;
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    reply(play, RUNNING, 4);
    assert_int_equal(play->count, 2);
    assert_int_equal(told(play, 1, OUTCOME_RESULT)->code, CODE_OUTCOME_UNKNOWN);
    const struct journal_record *result = &play->notes[play->noted - 1];
    assert_int_equal(result->event, JOURNAL_RESULT);
    assert_int_equal(result->chain, JOURNAL_COMMANDS);
    assert_int_equal(result->serial, 1);
    end(play);
}

/* Something else was under way when the doubt became known. */
static void doubt_waits_for_its_turn(void **state)
{
    (void)state;
    struct play *play = begin_unread();
    reply(play, AT_REST, 3);
    play->serial = 10;
    send(play, 0, -1);
    replay_event(play, JOURNAL_INTENT, 2);
    read_it(play);
    send(play, 1, 9);
    expect_result(play, CODE_BUSY, false);
    reply(play, RUNNING, 4); /* the other one's */
    assert_true(fake->busy);
    reply(play, RUNNING, 4);
    assert_int_equal(told(play, 1, OUTCOME_RESULT)->code, CODE_NONE);
    end(play);
}

/* A journal that says anything: nothing breaks, nothing is written. */
static void nonsense(void **state)
{
    (void)state;
    uint64_t random = 12345;
    for (int round = 0; round < 300; round++) {
        struct play *play = begin_unread();
        play->twice_is_wrong = false;
        for (int i = 0; i < 12; i++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            struct journal_record record =
                note(play, (enum journal_event_e)((random >> 33) % JOURNAL_EVENT_COUNT), (random >> 40) % 9);
            record.chain = (enum journal_chain_e)((random >> 20) % 3 == 0);
            record.serial = (random >> 50) % 3;
            record.argument = (random >> 45) % 4 == 0 ? INT64_MAX - (int64_t)(random >> 60) : 7;
            record.command = (random >> 55) % 3;
            record.deadline_ms = (random >> 25) % 2 ? INT64_MAX : INT64_MIN;
            record.repeat = (random >> 27) % 4 == 0;
            record.mono_ns = (random >> 29) % 4 == 0 ? UINT64_MAX : record.mono_ns;
            record.arrived_mono_ns = (random >> 31) % 4 == 0 ? UINT64_MAX : record.arrived_mono_ns;
            record.written_mono_ns = (random >> 35) % 4 == 0 ? UINT64_MAX : record.written_mono_ns;
            record.after.known = (random >> 37) % 2;
            record.elsewhere = (random >> 39) % 4 == 0;
            replay(play, &record);
        }
        read_it(play);
        for (int i = 0; i < 3; i++) {
            until_asked(play);
            reply(play, i % 2 ? AT_REST : RUNNING, (uint8_t)(random >> 58));
        }
        assert_int_equal(fake->exchanges - (unsigned)fake->busy, fake->written[0]);
        end(play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_horizon_moves_back),   cmocka_unit_test(old_notes_are_forgotten),
        cmocka_unit_test(more_than_fits),           cmocka_unit_test(late_journal),
        cmocka_unit_test(doubt_waits_for_its_turn), cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
