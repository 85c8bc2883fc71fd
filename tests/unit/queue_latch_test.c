/* The command queue: the latch that an emergency stop leaves, and COMMAND_REARM. */
#include "queue_play.h"

#define STOPPED (DELTA_REST & ~0x10)

static struct play *begin_stopped(void)
{
    struct play *play = begin_with(profile_builtin("delta-as"), true, INTERVAL_MS);
    reply(play, DELTA_REST, 3);
    until_asked(play);
    reply(play, STOPPED, 3);
    assert_true(queue_rearm_needed(play->queue));
    return play;
}

static struct play *begin_latched(void)
{
    struct play *play = begin_stopped();
    until_asked(play);
    reply(play, DELTA_REST, 3);
    return play;
}

/* The rearm of somebody; the reading that it needs is in flight. */
static void rearm(struct play *play)
{
    struct wire_command c = a_command(play, COMMAND_REARM, -1);
    c.who = wire_text("maria");
    c.from = wire_text("noria rearm, uid 0");
    give(play, &c);
}

static unsigned notes_of(const struct play *play, enum journal_event_e event)
{
    unsigned count = 0;
    for (uint64_t n = 0; n < play->noted; n++)
        count += play->notes[n].event == event;
    return count;
}

static void a_stop_latches(void **state)
{
    (void)state;
    struct play *play = begin_stopped();
    assert_int_equal(play->notes[0].event, JOURNAL_LATCHED);
    assert_int_equal(play->notes[0].chain, JOURNAL_COMMANDS);
    assert_int_equal(play->safety[0], JOURNAL_DURABLE);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop");
    until_asked(play);
    reply(play, DELTA_REST, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop: not rearmed");
    send(play, 99, -1);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop: not rearmed");
    until_asked(play);
    reply(play, DELTA_REST | 0x0a, 3); /* the latch is named before an alarm, and before BUSY */
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop: not rearmed");
    send(play, 0, -1);
    reply(play, DELTA_REST, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(notes_of(play, JOURNAL_LATCHED), 1);
    assert_int_equal(fake->written[1], 0);
    end(play);
}

static void rearming(void **state)
{
    (void)state;
    struct play *play = begin_latched();
    rearm(play);
    assert_int_equal(play->count, 0);
    assert_true(fake->busy); /* it needs a reading of its own */
    reply(play, DELTA_REST, 3);
    expect_result(play, CODE_NONE, false);
    assert_true(last(play)->repeat); /* for the asker alone */
    assert_int_equal(last(play)->position, 3);
    assert_int_equal(last(play)->noted, play->noted);
    assert_false(queue_rearm_needed(play->queue));
    const struct journal_record *rearmed = &play->notes[play->noted - 2];
    assert_int_equal(rearmed->event, JOURNAL_REARMED);
    assert_int_equal(rearmed->chain, JOURNAL_COMMANDS);
    assert_string_equal(rearmed->who, "maria");
    assert_string_equal(rearmed->from, "noria rearm, uid 0");
    assert_int_equal(play->safety[play->noted - 2], JOURNAL_DURABLE);
    assert_int_equal(rearmed[1].event, JOURNAL_RESULT);
    assert_int_equal(rearmed[1].chain, JOURNAL_COMMANDS);
    send(play, 1, 7);
    reply(play, DELTA_REST | 2, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(fake->written[1], 1);
    assert_int_equal(fake->exchanges, fake->written[0] + 1); /* nothing of the rearm itself */
    end(play);
}

static void not_while_the_stop_is_on(void **state)
{
    (void)state;
    struct play *play = begin_latched();
    rearm(play);
    reply(play, STOPPED, 3); /* pressed again meanwhile */
    expect_refusal(play, CODE_INTERLOCK, "emergency stop");
    assert_true(queue_rearm_needed(play->queue));
    assert_int_equal(notes_of(play, JOURNAL_REARMED), 0);
    rearm(play);
    lose(play, DRIVER_CLOSED, DRIVER_NOT_SENT);
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    assert_true(queue_rearm_needed(play->queue));
    end(play);
}

/* A poll that was under way when it came may be of before the stop. */
static void needs_a_reading_of_its_own(void **state)
{
    (void)state;
    struct play *play = begin_latched();
    until_asked(play);
    pass_ms(play, 1);
    rearm(play);
    reply(play, DELTA_REST, 3);
    assert_int_equal(play->count, 0);
    reply(play, STOPPED, 3);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop");
    end(play);
}

static void what_is_not_latched_is_rearmed_already(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    rearm(play);
    reply(play, AT_REST, 3);
    expect_result(play, CODE_NONE, false);
    assert_int_equal(notes_of(play, JOURNAL_REARMED), 0);
    assert_int_equal(play->notes[play->noted - 1].chain, JOURNAL_REFUSALS);
    struct wire_command c = a_command(play, COMMAND_REARM, 0);
    give(play, &c);
    expect_result(play, CODE_INVALID_COMMAND, false);
    end(play);
}

static void while_a_move_ends_or_a_command_is_under_way(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    rearm(play); /* a watched move is no obstacle */
    reply(play, RUNNING, 4);
    expect_result(play, CODE_NONE, false);
    until_asked(play);
    reply(play, AT_REST, 7);
    send(play, 1, 3);
    assert_int_equal(fake->request.command, 1);
    rearm(play);
    expect_result(play, CODE_BUSY, false);
    reply(play, RUNNING, 7);
    end(play);
}

/* The stop comes between admission and the write; and ends a move. */
static void a_stop_in_between(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("delta-as"), true, INTERVAL_MS);
    reply(play, DELTA_REST, 3);
    play->by_hand = true;
    send(play, 1, 7);
    reply(play, STOPPED, 3);
    until_asked(play);
    reply(play, DELTA_REST, 3); /* released again before the disk was ready */
    settle(play, true);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop: not rearmed");
    play->by_hand = play->confirm = false;
    rearm(play);
    reply(play, DELTA_REST, 3);
    send(play, 1, 7);
    reply(play, DELTA_REST | 2, 3);
    until_asked(play);
    reply(play, STOPPED, 5);
    expect_completion(play, CODE_INTERLOCK, "emergency stop", 5);
    assert_true(queue_rearm_needed(play->queue));
    end(play);
}

static void automatic_has_no_latch(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("delta-as"), true, INTERVAL_MS);
    queue_free(&play->queue);
    play->rearm_automatic = true;
    new_queue(play, profile_builtin("delta-as"));
    queue_journal_state(play->queue, true, NULL, 0);
    reply(play, STOPPED, 3);
    assert_false(queue_rearm_needed(play->queue));
    until_asked(play);
    reply(play, DELTA_REST, 3);
    send(play, 1, 7);
    reply(play, DELTA_REST | 2, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(notes_of(play, JOURNAL_LATCHED), 0);
    end(play);
}

/* In memory it works all the same, and the journal learns the last word. */
static void while_the_journal_is_down(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("delta-as"), true, INTERVAL_MS);
    queue_journal_state(play->queue, false, "gone", 0);
    play->journal_full = true;
    reply(play, STOPPED, 3);
    until_asked(play);
    reply(play, DELTA_REST, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "emergency stop: not rearmed");
    rearm(play);
    reply(play, DELTA_REST, 3);
    expect_result(play, CODE_NONE, false);
    until_asked(play);
    reply(play, STOPPED, 3);
    play->journal_full = false;
    queue_journal_state(play->queue, true, NULL, 0);
    assert_int_equal(play->noted, 1);
    assert_int_equal(play->notes[0].event, JOURNAL_LATCHED);
    end(play);
}

/* --- over an agent's death --------------------------------------------------------------------------------------------- */

static void replay(struct play *play, enum journal_event_e event, bool latched)
{
    struct journal_record record = {
        .event = event, .chain = JOURNAL_COMMANDS, .n = 1, .mono_ns = 1, .latched = latched};
    queue_journal_replay(play->queue, &record);
}

static struct play *begin_unread(void)
{
    struct play *play = begin_with(profile_builtin("delta-as"), true, INTERVAL_MS);
    queue_free(&play->queue);
    new_queue(play, profile_builtin("delta-as"));
    return play;
}

static void stays_over_a_restart(void **state)
{
    (void)state;
    const struct {
        bool segment;
        enum journal_event_e then;
        bool set;
    } cases[] = {
        {true, JOURNAL_NONE, true},    {false, JOURNAL_NONE, false},   {false, JOURNAL_LATCHED, true},
        {true, JOURNAL_LATCHED, true}, {true, JOURNAL_REARMED, false}, {false, JOURNAL_REARMED, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct play *play = begin_unread();
        replay(play, JOURNAL_SEGMENT, cases[i].segment);
        if (cases[i].then != JOURNAL_NONE)
            replay(play, cases[i].then, false);
        queue_journal_state(play->queue, true, NULL, 1);
        reply(play, DELTA_REST, 3);
        assert_int_equal(queue_rearm_needed(play->queue), cases[i].set);
        assert_int_equal(play->noted, 0);
        end(play);
    }
}

/* What was seen while the journal could not be read is newer than what it says. */
static void seen_is_newer_than_read(void **state)
{
    (void)state;
    for (int rearmed = 0; rearmed < 2; rearmed++) {
        struct play *play = begin_unread();
        reply(play, STOPPED, 3);
        if (rearmed) {
            until_asked(play);
            reply(play, DELTA_REST, 3);
            rearm(play);
            reply(play, DELTA_REST, 3);
        }
        replay(play, JOURNAL_SEGMENT, rearmed);
        queue_journal_state(play->queue, true, NULL, 1);
        assert_int_equal(queue_rearm_needed(play->queue), !rearmed);
        end(play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_latches),
        cmocka_unit_test(rearming),
        cmocka_unit_test(not_while_the_stop_is_on),
        cmocka_unit_test(needs_a_reading_of_its_own),
        cmocka_unit_test(what_is_not_latched_is_rearmed_already),
        cmocka_unit_test(while_a_move_ends_or_a_command_is_under_way),
        cmocka_unit_test(a_stop_in_between),
        cmocka_unit_test(automatic_has_no_latch),
        cmocka_unit_test(while_the_journal_is_down),
        cmocka_unit_test(stays_over_a_restart),
        cmocka_unit_test(seen_is_newer_than_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
