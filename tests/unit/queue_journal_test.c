/* The command queue and the journal: written only when the intent is durable and a new reading allows it, in whatever order
 * disk, PLC, time and trouble come; what is noted, where, how safely; and what happens while the journal is down.
 */
#include "queue_play.h"

/* --- every order ----------------------------------------------------------------------------------------------------- */

enum what_e { SETTLES, FAILS, RESTS, ALARMS, RUNS, STOPS, LOST, DEADLINE, DOWN, UP, WHATS };

static const char *const names[] = {"settles", "fails", "rests", "alarms", "runs",
                                    "stops",   "lost",  "late",  "down",   "up"};

#define DELTA_ALARM   (DELTA_REST | 0x08)
#define DELTA_RUNNING (DELTA_REST | 0x02)
#define DELTA_STOPPED (DELTA_REST & ~0x10)

/* What the rules of queue.h say, written down a second time. */
struct oracle {
    bool settled, read, latched, down, decided;
    unsigned losses;
    uint8_t raw;
    enum command_code_e code; /* decided; CODE_NONE: it is written */
    const char *text;         /* NULL: any */
};

static void decide(struct oracle *oracle, enum command_code_e code, const char *text)
{
    oracle->decided = true;
    oracle->code = code;
    oracle->text = text;
}

static void judge(struct oracle *oracle)
{
    if (oracle->decided || !oracle->settled || !oracle->read)
        return;
    if (oracle->raw == DELTA_STOPPED)
        decide(oracle, CODE_INTERLOCK, "emergency stop");
    else if (oracle->latched)
        decide(oracle, CODE_INTERLOCK, "emergency stop: not rearmed");
    else if (oracle->raw == DELTA_ALARM)
        decide(oracle, CODE_INTERLOCK, "alarm");
    else if (oracle->raw == DELTA_RUNNING)
        decide(oracle, CODE_BUSY, NULL);
    else if (oracle->down)
        decide(oracle, CODE_INTERNAL_ERROR, "the command journal is down: disk full");
    else
        decide(oracle, CODE_NONE, NULL);
}

static void foresee(struct oracle *oracle, enum what_e what)
{
    static const uint8_t raws[] = {
        [RESTS] = DELTA_REST, [ALARMS] = DELTA_ALARM, [RUNS] = DELTA_RUNNING, [STOPS] = DELTA_STOPPED};
    if (oracle->decided)
        return;
    if (what == SETTLES)
        oracle->settled = true;
    else if (what == FAILS && !oracle->settled)
        decide(oracle, CODE_INTERNAL_ERROR, NULL);
    else if (what == DEADLINE)
        decide(oracle, CODE_TIMEOUT, NULL);
    else if (what == DOWN || what == UP)
        oracle->down = what == DOWN;
    else if (what == LOST && (oracle->read = false, ++oracle->losses == 2))
        decide(oracle, CODE_CONNECTION_ERROR, NULL);
    if (what < RESTS || what > STOPS) {
        judge(oracle);
        return;
    }
    oracle->read = true;
    oracle->raw = raws[what];
    oracle->latched |= what == STOPS;
    judge(oracle);
}

static void happens(struct play *play, enum what_e what)
{
    static const uint8_t raws[] = {
        [RESTS] = DELTA_REST, [ALARMS] = DELTA_ALARM, [RUNS] = DELTA_RUNNING, [STOPS] = DELTA_STOPPED};
    switch (what) {
    case SETTLES:
    case FAILS:
        settle(play, what == SETTLES);
        return;
    case DEADLINE:
        pass_ms(play, DEADLINE_MS);
        return;
    case DOWN:
    case UP:
        queue_journal_state(play->queue, what == UP, "/var/x: disk full", 0);
        return;
    case LOST:
        until_asked(play);
        lose(play, DRIVER_CLOSED, DRIVER_NOT_SENT);
        return;
    default:
        until_asked(play);
        reply(play, raws[what], 3);
    }
}

static bool is_over(const struct play *play)
{
    return play->count > 0 || (fake->busy && fake->request.command == 1);
}

static void check_order(const struct play *play, const struct oracle *oracle, const char *order)
{
    bool written = fake->busy && fake->request.command == 1;
    if (written != (oracle->code == CODE_NONE))
        fail_msg("%s: written=%d", order, written);
    if (written)
        return;
    const struct outcome *o = last(play);
    if (o->code != oracle->code || (oracle->text != NULL && strcmp(o->text, oracle->text) != 0))
        fail_msg("%s: %s \"%s\" instead of %s", order, command_code_name(o->code), o->text,
                 command_code_name(oracle->code));
    assert_false(o->sent);
    const struct journal_record *note = &play->notes[play->noted - 1];
    assert_int_equal(note->event, JOURNAL_RESULT); /* like any other end */
    assert_int_equal(note->chain, JOURNAL_COMMANDS);
    assert_int_equal(play->safety[play->noted - 1], JOURNAL_DURABLE);
    assert_false(note->sent);
    assert_int_equal(note->written_mono_ns, 0);
}

/* Whatever comes first, it all ends: the disk settles and the machine rests. */
static void play_order(const enum what_e *order, size_t count)
{
    char name[64] = "";
    struct play *play = begin_with(profile_builtin("delta-as"), true, INTERVAL_MS);
    struct oracle oracle = {.raw = DELTA_REST};
    reply(play, DELTA_REST, 3);
    play->by_hand = true;
    send(play, 1, 7);
    assert_int_equal(play->notes[play->noted - 1].event, JOURNAL_INTENT);
    for (size_t i = 0; i < count + 4 && !is_over(play); i++) {
        enum what_e what = i < count ? order[i] : (i - count) % 2 ? RESTS : SETTLES;
        snprintf(name + strlen(name), sizeof name - strlen(name), " %s", names[what]);
        foresee(&oracle, what);
        happens(play, what);
    }
    assert_true(oracle.decided);
    check_order(play, &oracle, name);
    bool written = oracle.code == CODE_NONE;
    play->by_hand = false;
    for (int i = 0; i < 3; i++) {
        until_asked(play);
        reply(play, DELTA_REST, 3);
    }
    assert_int_equal(fake->written[1], written);
    end(play);
}

static void every_order(void **state)
{
    (void)state;
    for (int a = 0; a < WHATS; a++)
        for (int b = 0; b < WHATS; b++)
            for (int c = 0; c < WHATS; c++) {
                enum what_e order[] = {(enum what_e)a, (enum what_e)b, (enum what_e)c};
                play_order(order, 3);
            }
}

/* A reading that was on its way when the command was admitted says nothing about what came after. */
static void old_readings_do_not_count(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    until_asked(play); /* a poll is in flight */
    play->by_hand = true;
    send(play, 1, 7);
    assert_int_equal(play->noted, 0);
    reply(play, AT_REST, 3); /* admitted by it */
    assert_int_equal(play->noted, 1);
    settle(play, true);
    assert_int_equal(fake->request.command, 0); /* and asked anew */
    reply(play, MANUAL, 3);
    expect_refusal(play, CODE_INTERLOCK, "manual mode");
    end(play);
}

/* The disk takes its time: the machine is polled on, and the last reading decides. */
static void slow_disk(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    play->by_hand = true;
    send(play, 1, 7);
    for (int i = 0; i < 8; i++) {
        reply(play, AT_REST, 3);
        assert_false(fake->busy);
        until_asked(play);
    }
    settle(play, true); /* the poll in flight is waited for */
    assert_int_equal(fake->request.command, 0);
    reply(play, AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    assert_true(fake->request.send_by_ns < loop_now_ns(play->loop) + DEADLINE_MS * NS_PER_MS);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

/* Its time is over; the next command is another, and the first one's late settlement does not write it. */
static void late_settlement_is_nobodys(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    play->by_hand = true;
    struct wire_command c = a_command(play, 1, 7);
    c.deadline_ms = 100;
    give(play, &c);
    reply(play, AT_REST, 3);
    pass_ms(play, 100);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    send(play, 1, 8);
    if (fake->busy)
        reply(play, AT_REST, 3);
    queue_journal_settled(play->queue, 2, true); /* the first one's intent and result */
    assert_false(fake->busy && fake->request.command == 1);
    if (fake->busy)
        reply(play, AT_REST, 3);
    settle(play, true);
    assert_int_equal(fake->request.command, 1);
    assert_int_equal(fake->request.argument, 8);
    reply(play, RUNNING, 3);
    end(play);
}

static void tried_again_by_the_same_intent(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    lose(play, DRIVER_REFUSED, DRIVER_NOT_SENT);
    reply(play, AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    reply(play, RUNNING, 3);
    unsigned intents = 0;
    for (uint64_t n = 0; n < play->noted; n++)
        intents += play->notes[n].event == JOURNAL_INTENT;
    assert_int_equal(intents, 1);
    end(play);
}

/* --- what is noted --------------------------------------------------------------------------------------------------- */

static void a_move_in_the_journal(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    struct wire_command c = a_command(play, 1, 7);
    c.scope = wire_text("p:wms");
    c.who = wire_text("wms");
    c.from = wire_text("10.0.0.7:4711");
    c.deadline_ms = 700;
    uint64_t arrived = loop_now_ns(play->loop);
    play->by_hand = true;
    give(play, &c);
    pass_ms(play, 5);
    reply(play, AT_REST, 4); /* it was pushed by hand meanwhile */
    settle(play, true);
    pass_ms(play, 10);
    reply(play, RUNNING, 4);
    settle(play, true);
    until_asked(play);
    reply(play, AT_REST, 7);
    const struct journal_record *intent = &play->notes[0], *result = &play->notes[1], *end_ = &play->notes[2];
    assert_int_equal(play->noted, 3);
    for (uint64_t n = 0; n < 3; n++) {
        const struct journal_record *r = &play->notes[n];
        assert_int_equal(r->chain, JOURNAL_COMMANDS);
        assert_int_equal(play->safety[n], JOURNAL_DURABLE);
        assert_int_equal(r->worker, 11);
        assert_int_equal(r->session, 22);
        assert_int_equal(r->serial, c.command_serial);
        assert_string_equal(r->who, "wms");
        assert_string_equal(r->from, "10.0.0.7:4711");
        assert_string_equal(r->request_id, "r-1");
        assert_string_equal(r->scope, "p:wms");
        assert_int_equal(r->command, 1);
        assert_int_equal(r->argument, 7);
    }
    assert_int_equal(intent->event, JOURNAL_INTENT);
    assert_int_equal(intent->arrived_mono_ns, arrived);
    assert_int_equal(intent->deadline_ms, 700);
    assert_true(intent->before.known && intent->before.raw == AT_REST && intent->before.position == 3);
    assert_int_equal(result->event, JOURNAL_RESULT);
    assert_true(result->sent);
    assert_false(result->reconciled);
    assert_int_equal(result->before.position, 4);
    assert_true(result->after.known && result->after.raw == RUNNING);
    assert_int_equal(result->written_mono_ns, arrived + 5 * NS_PER_MS);
    assert_int_equal(result->elapsed_ms, 15);
    assert_int_equal(end_->event, JOURNAL_COMPLETION);
    assert_int_equal(end_->code, CODE_NONE);
    assert_int_equal(end_->position, 7);
    assert_true(end_->after.known && end_->after.raw == AT_REST);
    assert_int_equal(play->outcomes[0].noted, 2); /* told when that is settled */
    assert_int_equal(play->outcomes[1].noted, 3);
    end(play);
}

/* No flood of these may push out a move. */
static void refusals_and_readings_go_elsewhere(void **state)
{
    (void)state;
    struct play *play = begin();
    reply(play, ALARM, 3);
    send(play, 1, 7);
    send(play, 1, -1);
    send(play, 0, -1);
    reply(play, ALARM, 3);
    assert_int_equal(play->noted, 3);
    for (uint64_t n = 0; n < 3; n++) {
        assert_int_equal(play->notes[n].event, JOURNAL_RESULT);
        assert_int_equal(play->notes[n].chain, JOURNAL_REFUSALS);
        assert_int_equal(play->safety[n], JOURNAL_WRITTEN);
        assert_int_equal(play->outcomes[n].noted, n + 1);
    }
    assert_string_equal(play->notes[0].text, "alarm");
    assert_true(play->notes[2].sent && play->notes[2].after.known);
    end(play);
}

static void repeats_are_noted_as_such(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    struct wire_command c = a_command(play, 1, 7);
    c.scope = wire_text("u:");
    give(play, &c);
    c.command_serial = ++play->serial;
    c.from = wire_text("elsewhere");
    give(play, &c); /* waits with the first */
    reply(play, RUNNING, 3);
    until_asked(play);
    reply(play, AT_REST, 7);
    unsigned repeats = 0;
    for (uint64_t n = 0; n < play->noted; n++) {
        if (!play->notes[n].repeat)
            continue;
        repeats++;
        assert_int_equal(play->notes[n].chain, JOURNAL_REFUSALS);
        assert_int_equal(play->notes[n].serial, c.command_serial);
        assert_string_equal(play->notes[n].from, "elsewhere");
    }
    assert_int_equal(repeats, 2);
    end(play);
}

static void lost_replies_are_noted_as_reconciled(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
        reply(play, AT_REST, taken ? 7 : 3);
        const struct journal_record *note = &play->notes[1];
        assert_int_equal(note->event, JOURNAL_RESULT);
        assert_true(note->reconciled && note->sent && note->after.known);
        assert_int_equal(note->code, taken ? CODE_NONE : CODE_OUTCOME_UNKNOWN);
        assert_int_equal(queue_counts(play->queue)->reconciled, taken);
        end(play);
    }
}

/* --- the journal is down --------------------------------------------------------------------------------------------- */

static void nothing_is_written_while_it_is_down(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    queue_journal_state(play->queue, false, "/state/agents/m1: cannot write: No space left on device", 0);
    play->journal_full = true;
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERNAL_ERROR,
                   "the command journal is down: cannot write: No space left on device");
    assert_int_equal(last(play)->noted, 0);
    assert_int_equal(queue_counts(play->queue)->unnoted, 1);
    struct wire_command c =
        a_command(play, 1, 8); /* it may have been written a moment ago, by another agent */
    c.resent = true;
    give(play, &c);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    send(play, 0, -1); /* readings go on */
    reply(play, AT_REST, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(fake->written[1], 0);
    play->journal_full = false;
    queue_journal_state(play->queue, true, NULL, 0);
    send(play, 1, 7);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void not_a_byte_before_it_was_read(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    queue_free(&play->queue);
    new_queue(play, profile_builtin("standard"));
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERNAL_ERROR, "the command journal is down: not read yet");
    end(play);
}

static void no_room_is_down(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    play->journal_full = true;
    send(play, 1, 7);
    expect_result(play, CODE_INTERNAL_ERROR, false);
    assert_false(fake->busy);
    end(play);
}

static unsigned notes_of(const struct play *play, enum journal_event_e event)
{
    unsigned count = 0;
    for (uint64_t n = 0; n < play->noted; n++)
        count += play->notes[n].event == event;
    return count;
}

/* It goes down between the write and the reply, by saying no or by failing later: the client is told, and the journal gets its
 * notes when it is up again. */
static void what_cannot_be_noted_is_told_and_owed(void **state)
{
    (void)state;
    for (int fails_late = 0; fails_late < 2; fails_late++) {
        struct play *play = begin_at_rest(3);
        send(play, 1, 7);
        play->by_hand = true;
        play->journal_full = !fails_late;
        fake_reply(RUNNING, 3);
        expect_result(play, CODE_NONE, true);
        until_asked(play);
        fake_reply(AT_REST, 7);
        expect_completion(play, CODE_NONE, "", 7);
        queue_journal_state(play->queue, false, "x: gone", 0);
        settle(play, false);
        assert_int_equal(notes_of(play, JOURNAL_RESULT), fails_late);
        play->journal_full = false;
        queue_journal_state(play->queue, true, NULL, 0);
        assert_int_equal(notes_of(play, JOURNAL_RESULT), fails_late + 1);
        assert_int_equal(notes_of(play, JOURNAL_COMPLETION), fails_late + 1);
        assert_int_equal(play->count, 2);
        settle(play, true);
        queue_journal_state(play->queue, true, NULL, 0); /* nothing is owed any more */
        assert_int_equal(notes_of(play, JOURNAL_RESULT), fails_late + 1);
        end(play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order),
        cmocka_unit_test(old_readings_do_not_count),
        cmocka_unit_test(slow_disk),
        cmocka_unit_test(late_settlement_is_nobodys),
        cmocka_unit_test(tried_again_by_the_same_intent),
        cmocka_unit_test(a_move_in_the_journal),
        cmocka_unit_test(refusals_and_readings_go_elsewhere),
        cmocka_unit_test(repeats_are_noted_as_such),
        cmocka_unit_test(lost_replies_are_noted_as_reconciled),
        cmocka_unit_test(nothing_is_written_while_it_is_down),
        cmocka_unit_test(not_a_byte_before_it_was_read),
        cmocka_unit_test(no_room_is_down),
        cmocka_unit_test(what_cannot_be_noted_is_told_and_owed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
