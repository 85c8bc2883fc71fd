/* The command queue after a predecessor's death: what the journal holds, times what the first reading says. Told is what can
 * be known; nothing is ever written.
 */
#include "queue_play.h"

#define UUID "0192f1c4-7e1d-7b3a-9c55-aabbccddeeff"

static bool elsewhere; /* what is replayed went to a PLC at another address */

/* A queue that has not read its journal; the first poll is in flight. */
static struct play *begin_unread(void)
{
    elsewhere = false;
    struct play *play = begin();
    queue_free(&play->queue);
    clock_manual_advance_ns(&play->clock, 3600 * NS_PER_S); /* room for a past */
    new_queue(play, profile_builtin("standard"));
    return play;
}

static uint64_t ago(const struct play *play, uint64_t ms)
{
    return loop_now_ns(play->loop) - ms * NS_PER_MS;
}

/* A note of a move from 3 to 7 that came 1,000 ms ago and was written 10 ms later; `n` is also its command's serial. */
static struct journal_record note(const struct play *play, enum journal_event_e event, uint64_t n)
{
    return (struct journal_record){
        .event = event,
        .chain = JOURNAL_COMMANDS,
        .n = n,
        .mono_ns = ago(play, event == JOURNAL_INTENT ? 1000 : 980),
        .worker = 11,
        .session = 22,
        .serial = 1,
        .dialect = 1,
        .request_id = UUID,
        .scope = "u:",
        .who = "wms",
        .from = "there",
        .command = 1,
        .argument = 7,
        .arrived_mono_ns = ago(play, 1000),
        .deadline_ms = DEADLINE_MS,
        .before = {true, AT_REST, 3},
        .after = {event == JOURNAL_RESULT, RUNNING, 3},
        .sent = event == JOURNAL_RESULT,
        .written_mono_ns = event == JOURNAL_RESULT ? ago(play, 990) : 0,
        .position = event == JOURNAL_COMPLETION ? 7 : 3,
        .elapsed_ms = 20,
        .elsewhere = elsewhere,
    };
}

static void replay(struct play *play, const struct journal_record *record)
{
    queue_journal_replay(play->queue, record);
}

static void replay_event(struct play *play, enum journal_event_e event, uint64_t n)
{
    struct journal_record record = note(play, event, n);
    replay(play, &record);
}

static void replay_told(struct play *play, uint64_t upto)
{
    struct journal_record told = {
        .event = JOURNAL_TOLD, .chain = JOURNAL_COMMANDS, .n = upto + 1, .upto = upto};
    replay(play, &told);
}

static void read_it(struct play *play)
{
    queue_journal_state(play->queue, true, NULL, 1);
}

/* --- the table --------------------------------------------------------------------------------------------------------- */

enum holds_e { NOTHING, INTENT, INTENT_THERE, INTENT_OTHER, RESULT, RESULT_TOLD, REFUSED, DONE, DONE_TOLD };

static void replay_holds(struct play *play, enum holds_e holds)
{
    struct journal_record intent = note(play, JOURNAL_INTENT, 2), result = note(play, JOURNAL_RESULT, 3);
    if (holds == INTENT_THERE)
        intent.before.position = 7;
    if (holds == INTENT_OTHER)
        intent.command = 9;
    if (holds != NOTHING)
        replay(play, &intent);
    if (holds == REFUSED) {
        result.sent = result.after.known = false;
        result.written_mono_ns = 0;
        result.code = CODE_TIMEOUT;
    }
    if (holds >= RESULT)
        replay(play, &result);
    if (holds >= DONE)
        replay_event(play, JOURNAL_COMPLETION, 4);
    if (holds == RESULT_TOLD)
        replay_told(play, 3);
    if (holds == DONE_TOLD)
        replay_told(play, 4);
}

#define NONE (-1) /* no such outcome */
#define GONE 0    /* as raw: the PLC does not answer */

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

static const struct outcome *told(const struct play *play, uint64_t serial, enum outcome_kind_e kind)
{
    const struct outcome *found = NULL;
    for (size_t i = 0; i < play->count; i++) {
        if (play->outcomes[i].key.serial != serial || play->outcomes[i].kind != kind)
            continue;
        assert_null(found);
        found = &play->outcomes[i];
    }
    return found;
}

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
        cmocka_unit_test(another_plc_decides_nothing),
        cmocka_unit_test(watchers_hear_of_another_plc),
        cmocka_unit_test(another_plc_and_a_late_journal),
        cmocka_unit_test(the_latch_stays_at_another_address),
        cmocka_unit_test(the_horizon_moves_back),
        cmocka_unit_test(old_notes_are_forgotten),
        cmocka_unit_test(more_than_fits),
        cmocka_unit_test(late_journal),
        cmocka_unit_test(doubt_waits_for_its_turn),
        cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
