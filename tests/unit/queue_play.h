/* queue_play.h — for the tests of the queue: it and its poller on a manual clock; the PLC is a fake driver, the broker a list
 * of outcomes, the journal a list of notes.
 *
 * Unless a test says `by_hand`, the journal settles at once and the reading that an admitted command waits for is like the one
 * before, in this or that order; so that send() is followed by the command's bytes.
 *
 * What every play holds (checked by `end` and `check_asked`): no command is answered twice, none is written twice, and none
 * was written whose intent was not settled.
 */
#pragma once

#include "fake_driver.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "completion.h"
#include "loop.h"
#include "poller.h"
#include "queue.h"
#include "recent.h"

#define INTERVAL_MS 250
#define MOVING_MS   50
#define MIN_MS      500
#define REPLY_MS    1000
#define DEADLINE_MS 5000
#define STALE_MS    3000
#define MOVE_MS     60000
#define AT_REST     218 /* standard: ready, remote */
#define RUNNING     219
#define ALARM       222
#define MANUAL      210
#define DELTA_REST  0x14 /* delta-as: ready, remote, no emergency stop */
#define OUTCOMES    4096
#define NOTES       8192

struct play {
    struct clock_manual clock;
    struct loop *loop;
    struct image image;
    struct poller *poller;
    struct queue *queue;
    struct outcome outcomes[OUTCOMES];
    uint64_t numbers[OUTCOMES];
    size_t count, again; /* outcomes with a number of their own; reports under an old number */
    uint64_t next, acked;
    size_t room;
    bool shrinks; /* with every outcome */
    uint64_t serial;
    bool twice_is_wrong;

    struct journal_record notes[NOTES]; /* number n stands at n - 1 */
    enum journal_safety_e safety[NOTES];
    uint64_t noted, settled;
    bool journal_full, by_hand, reading_first, rearm_automatic;
    bool confirm; /* an intent was noted, and the reading that follows is still to come */
};

/* --- wiring -------------------------------------------------------------------------------------------------------- */

static inline void on_reading(void *arg, const struct driver_answer *answer)
{
    struct play *play = arg;
    image_reading(&play->image, answer->status, answer->position, answer->readable_ns, 1);
}

static inline void on_connection(void *arg, enum connection_e connection, const struct driver_answer *answer)
{
    struct play *play = arg;
    image_connection(&play->image, connection, answer->readable_ns);
}

static inline void on_turn(void *arg, const struct poller_turn *turn)
{
    struct play *play = arg;
    queue_turn(play->queue, turn);
}

static inline uint64_t on_report(void *arg, const struct outcome *outcome, uint64_t earlier)
{
    struct play *play = arg;
    if (earlier > play->acked) {
        play->again++;
        return earlier;
    }
    assert_true(play->count < OUTCOMES);
    play->outcomes[play->count] = *outcome;
    play->numbers[play->count++] = play->next;
    return play->next++;
}

static inline size_t on_room(void *arg)
{
    struct play *play = arg;
    return play->shrinks ? play->room - play->count : play->room;
}

static inline uint64_t on_note(void *arg, const struct journal_record *record, enum journal_safety_e safety)
{
    struct play *play = arg;
    if (play->journal_full)
        return 0;
    assert_true(play->noted < NOTES);
    play->notes[play->noted] = *record;
    play->safety[play->noted] = safety;
    play->confirm |= record->event == JOURNAL_INTENT;
    play->reading_first ^= record->event == JOURNAL_INTENT;
    return ++play->noted;
}

static const struct poller_events poller_events = {on_reading, on_connection, on_turn};
static const struct queue_events queue_events = {on_report, on_room, on_note};

static inline void new_queue(struct play *play, const struct profile *profile)
{
    struct queue_config config = {
        .loop = play->loop,
        .poller = play->poller,
        .image = &play->image,
        .profile = profile,
        .deadline_ns = DEADLINE_MS * NS_PER_MS,
        .stale_after_ns = STALE_MS * NS_PER_MS,
        .move_timeout_ns = MOVE_MS * NS_PER_MS,
        .rearm_manual = !play->rearm_automatic,
        .events = &queue_events,
        .arg = play,
    };
    assert_int_equal(queue_new(&config, &play->queue), ERR_OK);
}

static inline void new_poller(struct play *play, const struct profile *profile, bool persistent,
                              uint64_t interval_ms)
{
    struct poller_config config = {
        .loop = play->loop,
        .ops = &fake_driver,
        .driver = {.persistent = persistent},
        .profile = profile,
        .interval_ns = interval_ms * NS_PER_MS,
        .moving_ns = MOVING_MS * NS_PER_MS,
        .backoff_min_ns = MIN_MS * NS_PER_MS,
        .backoff_max_ns = 30000 * NS_PER_MS,
        .reply_limit_ns = REPLY_MS * NS_PER_MS,
        .seed = 1,
        .events = &poller_events,
        .arg = play,
    };
    assert_int_equal(poller_new(&config, &play->poller), ERR_OK);
}

static inline struct play *begin_with(const struct profile *profile, bool persistent, uint64_t interval_ms)
{
    struct play *play = calloc(1, sizeof *play);
    clock_manual_init(&play->clock, 77 * NS_PER_S, 1);
    play->loop = loop_new(&play->clock.clock);
    play->room = 1024;
    play->next = 1;
    play->twice_is_wrong = true;
    image_init(&play->image);
    new_poller(play, profile, persistent, interval_ms);
    new_queue(play, profile);
    queue_journal_state(play->queue, true, NULL, loop_now_ns(play->loop));
    loop_poll(play->loop); /* the first poll is in flight */
    return play;
}

/* The journal has settled all that it took. */
static inline void settle(struct play *play, bool ok)
{
    uint64_t upto = play->noted;
    if (upto == play->settled)
        return;
    play->settled = upto;
    queue_journal_settled(play->queue, upto, ok);
}

static inline void confirm(struct play *play)
{
    if (!play->confirm || !fake->busy || fake->request.command != 0)
        return;
    play->confirm = false;
    fake_reply(play->image.now.raw_status, play->image.now.position);
}

static inline void smooth(struct play *play)
{
    if (play->by_hand)
        return;
    if (play->reading_first)
        confirm(play);
    settle(play, true);
    confirm(play);
    settle(play, true);
}

/* What the driver was asked, if it writes: its intent is durable. */
static inline void check_asked(const struct play *play)
{
    if (!fake->busy || fake->request.command == 0)
        return;
    uint64_t n = play->noted;
    while (n > 0 && play->notes[n - 1].event != JOURNAL_INTENT)
        n--;
    assert_true(n > 0 && n <= play->settled);
    assert_int_equal(play->notes[n - 1].command, fake->request.command);
    assert_int_equal(play->notes[n - 1].argument, fake->request.argument);
    assert_int_equal(play->notes[n - 1].chain, JOURNAL_COMMANDS);
    assert_int_equal(play->safety[n - 1], JOURNAL_DURABLE);
}

static inline void reply(struct play *play, uint8_t status, uint8_t position)
{
    check_asked(play);
    fake_reply(status, position);
    smooth(play);
}

static inline void lose(struct play *play, enum driver_result_e result, enum driver_sent_e sent)
{
    check_asked(play);
    fake_fail(result, sent);
    smooth(play);
}

static inline void give(struct play *play, const struct wire_command *command)
{
    queue_command(play->queue, command);
    smooth(play);
    check_asked(play);
}

static inline struct play *begin(void)
{
    return begin_with(profile_builtin("standard"), true, INTERVAL_MS);
}

static inline struct play *begin_at_rest(uint8_t position)
{
    struct play *play = begin();
    reply(play, AT_REST, position);
    return play;
}

static inline void end(struct play *play)
{
    for (size_t i = 0; play->twice_is_wrong && i < play->count; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(command_key_equals(&play->outcomes[i].key, &play->outcomes[k].key) &&
                         play->outcomes[i].kind == play->outcomes[k].kind);
    queue_free(&play->queue);
    poller_free(&play->poller);
    loop_free(&play->loop);
    free(play);
}

static inline void pass_ms(struct play *play, uint64_t ms)
{
    clock_manual_advance_ns(&play->clock, ms * NS_PER_MS);
    loop_poll(play->loop);
}

/* Lets time pass until the driver is asked. */
static inline void until_asked(struct play *play)
{
    loop_poll(play->loop);
    for (int ms = 0; !fake->busy && ms < 60000; ms++)
        pass_ms(play, 1);
    assert_true(fake->busy);
}

/* --- commands and outcomes ----------------------------------------------------------------------------------------- */

static inline struct wire_command a_command(struct play *play, uint64_t command, int64_t argument)
{
    return (struct wire_command){
        .session_worker = 11,
        .session_serial = 22,
        .command_serial = ++play->serial,
        .dialect = 1,
        .machine = wire_text("m1"),
        .request_id = wire_text("r-1"),
        .command = command,
        .argument = argument,
        .deadline_ms = -1,
    };
}

static inline struct wire_command send(struct play *play, uint64_t command, int64_t argument)
{
    struct wire_command c = a_command(play, command, argument);
    give(play, &c);
    return c;
}

static const struct outcome *last(const struct play *play)
{
    assert_true(play->count > 0);
    return &play->outcomes[play->count - 1];
}

static inline void expect_result(struct play *play, enum command_code_e code, bool sent)
{
    const struct outcome *o = last(play);
    assert_int_equal(o->kind, OUTCOME_RESULT);
    assert_int_equal(o->key.serial, play->serial);
    assert_string_equal(o->request_id, "r-1");
    if (o->code != code)
        fail_msg("%s instead of %s", command_code_name(o->code), command_code_name(code));
    assert_int_equal(o->sent, sent);
}

static inline void expect_refusal(struct play *play, enum command_code_e code, const char *text)
{
    expect_result(play, code, false);
    if (text != NULL)
        assert_string_equal(last(play)->text, text);
    assert_int_equal(queue_counts(play->queue)->refused, play->count);
}

static inline void expect_completion(struct play *play, enum command_code_e code, const char *text,
                                     int64_t position)
{
    const struct outcome *o = last(play);
    assert_int_equal(o->kind, OUTCOME_COMPLETION);
    assert_int_equal(o->code, code);
    assert_string_equal(o->text, text);
    assert_int_equal(o->position, position);
}

/* A move to 7 that the PLC has taken: RUN is up. */
static inline struct play *begin_moving(void)
{
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(play->count, 1);
    return play;
}

/* A move to 7 whose reply is lost; the reading that follows is in flight. */
static inline struct play *begin_lost(enum driver_result_e result, enum driver_sent_e sent)
{
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    assert_int_equal(fake->request.command, 1);
    lose(play, result, sent);
    assert_int_equal(play->count, 0);
    loop_poll(play->loop);
    assert_true(fake->busy);
    assert_int_equal(fake->request.command, 0);
    return play;
}
