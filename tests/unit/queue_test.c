/* The command queue with its poller on a manual clock; the PLC is a fake driver, the broker a list of outcomes.
 *
 * What every play holds (checked by `end`): no command is answered twice, and none is written twice.
 */
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
#define OUTCOMES    2048

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
    uint64_t serial;
    bool twice_is_wrong;
};

/* --- wiring -------------------------------------------------------------------------------------------------------- */

static void on_reading(void *arg, const struct driver_answer *answer)
{
    struct play *play = arg;
    image_reading(&play->image, answer->status, answer->position, answer->readable_ns, 1);
}

static void on_connection(void *arg, enum connection_e connection, const struct driver_answer *answer)
{
    struct play *play = arg;
    image_connection(&play->image, connection, answer->readable_ns);
}

static void on_turn(void *arg, const struct poller_turn *turn)
{
    struct play *play = arg;
    queue_turn(play->queue, turn);
}

static uint64_t on_report(void *arg, const struct outcome *outcome, uint64_t earlier)
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

static size_t on_room(void *arg)
{
    struct play *play = arg;
    return play->room;
}

static const struct poller_events poller_events = {on_reading, on_connection, on_turn};
static const struct queue_events queue_events = {on_report, on_room};

static void new_queue(struct play *play, const struct profile *profile)
{
    struct queue_config config = {
        .loop = play->loop,
        .poller = play->poller,
        .image = &play->image,
        .profile = profile,
        .deadline_ns = DEADLINE_MS * NS_PER_MS,
        .stale_after_ns = STALE_MS * NS_PER_MS,
        .move_timeout_ns = MOVE_MS * NS_PER_MS,
        .events = &queue_events,
        .arg = play,
    };
    assert_int_equal(queue_new(&config, &play->queue), ERR_OK);
}

static void new_poller(struct play *play, const struct profile *profile, bool persistent,
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

static struct play *begin_with(const struct profile *profile, bool persistent, uint64_t interval_ms)
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
    loop_poll(play->loop); /* the first poll is in flight */
    return play;
}

static struct play *begin(void)
{
    return begin_with(profile_builtin("standard"), true, INTERVAL_MS);
}

static struct play *begin_at_rest(uint8_t position)
{
    struct play *play = begin();
    fake_reply(AT_REST, position);
    return play;
}

static void end(struct play *play)
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

static void pass_ms(struct play *play, uint64_t ms)
{
    clock_manual_advance_ns(&play->clock, ms * NS_PER_MS);
    loop_poll(play->loop);
}

/* Lets time pass until the driver is asked. */
static void until_asked(struct play *play)
{
    loop_poll(play->loop);
    for (int ms = 0; !fake->busy && ms < 60000; ms++)
        pass_ms(play, 1);
    assert_true(fake->busy);
}

/* --- commands and outcomes ----------------------------------------------------------------------------------------- */

static struct wire_command a_command(struct play *play, uint64_t command, int64_t argument)
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

static struct wire_command send(struct play *play, uint64_t command, int64_t argument)
{
    struct wire_command c = a_command(play, command, argument);
    queue_command(play->queue, &c);
    return c;
}

static const struct outcome *last(const struct play *play)
{
    assert_true(play->count > 0);
    return &play->outcomes[play->count - 1];
}

static void expect_result(struct play *play, enum command_code_e code, bool sent)
{
    const struct outcome *o = last(play);
    assert_int_equal(o->kind, OUTCOME_RESULT);
    assert_int_equal(o->key.serial, play->serial);
    assert_string_equal(o->request_id, "r-1");
    if (o->code != code)
        fail_msg("%s instead of %s", command_code_name(o->code), command_code_name(code));
    assert_int_equal(o->sent, sent);
}

static void expect_refusal(struct play *play, enum command_code_e code, const char *text)
{
    expect_result(play, code, false);
    if (text != NULL)
        assert_string_equal(last(play)->text, text);
    assert_int_equal(queue_counts(play->queue)->refused, play->count);
}

static void expect_completion(struct play *play, enum command_code_e code, const char *text, int64_t position)
{
    const struct outcome *o = last(play);
    assert_int_equal(o->kind, OUTCOME_COMPLETION);
    assert_int_equal(o->code, code);
    assert_string_equal(o->text, text);
    assert_int_equal(o->position, position);
}

/* A move to 7 that the PLC has taken: RUN is up. */
static struct play *begin_moving(void)
{
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(play->count, 1);
    return play;
}

/* A move to 7 whose reply is lost; the reading that follows is in flight. */
static struct play *begin_lost(enum driver_result_e result, enum driver_sent_e sent)
{
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    assert_int_equal(fake->request.command, 1);
    fake_fail(result, sent);
    assert_int_equal(play->count, 0);
    loop_poll(play->loop);
    assert_true(fake->busy);
    assert_int_equal(fake->request.command, 0);
    return play;
}

/* --- success ------------------------------------------------------------------------------------------------------- */

static void move_and_completion(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    pass_ms(play, 10);
    send(play, 1, 7);
    assert_int_equal(fake->request.command, 1);
    assert_int_equal(fake->request.argument, 7);
    pass_ms(play, 5);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(last(play)->position, 3);
    assert_int_equal(last(play)->elapsed_ms, 5);
    assert_string_equal(last(play)->text, "");
    for (uint8_t position = 4; position < 7; position++) {
        until_asked(play);
        fake_reply(RUNNING, position);
    }
    until_asked(play);
    fake_reply(RUNNING, 7); /* at the target, not yet standing */
    assert_int_equal(play->count, 1);
    until_asked(play);
    fake_reply(AT_REST, 7);
    assert_int_equal(play->count, 2);
    expect_completion(play, CODE_NONE, "", 7);
    assert_int_equal(last(play)->elapsed_ms, 5 * MOVING_MS);
    assert_int_equal(fake->written[1], 1);
    assert_int_equal(queue_counts(play->queue)->written, 1);
    end(play);
}

static void already_there(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(7);
    send(play, 1, 7);
    fake_reply(AT_REST, 7);
    assert_int_equal(play->count, 2);
    assert_int_equal(play->outcomes[0].kind, OUTCOME_RESULT);
    expect_completion(play, CODE_NONE, "", 7);
    end(play);
}

/* The PLC replies before it moves, and the whole move falls between two readings. */
static void short_move_nobody_saw(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 4);
    fake_reply(AT_REST, 3);
    assert_int_equal(play->count, 1);
    pass_ms(play, MOVING_MS); /* watched, it is polled as if it moved */
    assert_true(fake->busy);
    fake_reply(AT_REST, 3); /* not begun: nothing to say yet */
    assert_int_equal(play->count, 1);
    until_asked(play);
    fake_reply(AT_REST, 4);
    expect_completion(play, CODE_NONE, "", 4);
    end(play);
}

static void status_command_reads(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 0, 5); /* an argument that the PLC would take for a command is not written */
    assert_int_equal(fake->request.command, 0);
    assert_int_equal(fake->request.argument, DRIVER_NO_ARGUMENT);
    fake_reply(ALARM, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(last(play)->position, 3);
    assert_int_equal(last(play)->argument, 5);
    send(play, 0, -1); /* interlocks do not concern it */
    fake_reply(ALARM, 3);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(play->count, 2);
    end(play);
}

static void status_command_while_moving(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    send(play, 0, -1);
    fake_reply(AT_REST, 7); /* the same reading ends the move; its completion comes first */
    assert_int_equal(play->count, 3);
    assert_int_equal(play->outcomes[1].kind, OUTCOME_COMPLETION);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void other_codes_have_no_completion(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 200, 9);
    assert_int_equal(fake->request.command, 200);
    assert_int_equal(fake->request.argument, 9);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    until_asked(play);
    fake_reply(AT_REST, 9);
    assert_int_equal(play->count, 1);
    send(play, 2, -1);
    assert_int_equal(fake->request.argument, DRIVER_NO_ARGUMENT);
    fake_reply(AT_REST, 9);
    assert_int_equal(play->count, 2);
    end(play);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

static void invalid_commands(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    const struct {
        uint64_t command;
        int64_t argument;
        const char *text;
    } wrong[] = {
        {256, -1, "command is not in 0..255"},       {UINT64_MAX, 0, "command is not in 0..255"},
        {1, -2, "argument is not in 0..255"},        {1, 256, "argument is not in 0..255"},
        {0, INT64_MIN, "argument is not in 0..255"}, {3, INT64_MAX, "argument is not in 0..255"},
        {1, -1, "a move needs a position"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        send(play, wrong[i].command, wrong[i].argument);
        expect_refusal(play, CODE_INVALID_COMMAND, wrong[i].text);
    }
    assert_int_equal(fake->exchanges, 1);
    end(play);
}

static void interlock(const char *profile, uint8_t raw, const char *text)
{
    struct play *play = begin_with(profile_builtin(profile), true, INTERVAL_MS);
    fake_reply(raw, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, text);
    send(play, 99, -1); /* an unknown code is treated as a move */
    expect_refusal(play, CODE_INTERLOCK, text);
    assert_false(fake->busy);
    end(play);
}

static void interlocks(void **state)
{
    (void)state;
    interlock("standard", ALARM, "alarm");
    interlock("standard", MANUAL, "manual mode");
    interlock("delta-as", DELTA_REST & (uint8_t)~0x10, "emergency stop");
    interlock("delta-as", DELTA_REST | 0x08, "alarm");
    interlock("delta-as", DELTA_REST & (uint8_t)~0x04, "manual mode");
    interlock("delta-as", DELTA_REST | 0x20, "drive fault");
    interlock("delta-as", DELTA_REST | 0x40, "positioning error");
    interlock("delta-as", 0x08, "emergency stop"); /* the gravest of several */
}

static void unknown_profile(void **state)
{
    (void)state;
    struct play *play = begin_with(NULL, true, INTERVAL_MS);
    fake_reply(AT_REST, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "unknown profile");
    send(play, 0, -1);
    fake_reply(AT_REST, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void profiles_disagree(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    queue_profile_agrees(play->queue, false);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "unknown profile");
    queue_profile_agrees(play->queue, true);
    send(play, 1, 7);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void stale_state(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("standard"), true, 2 * STALE_MS);
    fake_reply(AT_REST, 3);
    pass_ms(play, STALE_MS + 1);
    send(play, 1, 7);
    expect_refusal(play, CODE_INTERLOCK, "stale state");
    end(play);
}

static void busy_with_another(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    send(play, 1, 8); /* the first is written */
    expect_refusal(play, CODE_BUSY, NULL);
    send(play, 0, -1);
    expect_refusal(play, CODE_BUSY, NULL);
    fake_reply(RUNNING, 3);
    play->serial = 1;
    expect_result(play, CODE_NONE, true);
    play->serial = 10;
    send(play, 1, 8); /* it moves */
    expect_result(play, CODE_BUSY, false);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void busy_until_completion(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    fake_reply(AT_REST, 3); /* taken, RUN not up yet */
    until_asked(play);
    fake_reply(AT_REST, 3);
    send(play, 1, 8);
    expect_result(play, CODE_BUSY, false);
    until_asked(play);
    fake_reply(AT_REST, 7);
    send(play, 1, 8);
    fake_reply(RUNNING, 7);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(fake->written[1], 2);
    end(play);
}

static void busy_while_it_moves_by_itself(void **state)
{
    (void)state;
    struct play *play = begin();
    fake_reply(RUNNING, 3);
    send(play, 1, 7);
    expect_refusal(play, CODE_BUSY, NULL);
    until_asked(play);
    fake_reply(AT_REST, 4);
    send(play, 1, 7);
    fake_reply(RUNNING, 4);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void busy_while_one_waits(void **state)
{
    (void)state;
    struct play *play = begin(); /* the first poll is in flight */
    send(play, 1, 7);
    send(play, 1, 8);
    expect_refusal(play, CODE_BUSY, NULL);
    fake_reply(AT_REST, 3);
    assert_int_equal(fake->request.argument, 7);
    fake_reply(RUNNING, 3);
    assert_int_equal(play->count, 2);
    end(play);
}

static void room_for_outcomes_runs_out(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    play->room = QUEUE_ROOM - 1;
    send(play, 1, 7);
    assert_int_equal(play->count, 0);
    assert_int_equal(queue_counts(play->queue)->dropped, 1);
    assert_false(fake->busy);
    play->room = QUEUE_ROOM;
    send(play, 1, 7);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

/* --- deadlines ----------------------------------------------------------------------------------------------------- */

static struct wire_command send_within(struct play *play, int64_t deadline_ms)
{
    struct wire_command c = a_command(play, 1, 7);
    c.deadline_ms = deadline_ms;
    queue_command(play->queue, &c);
    return c;
}

static void deadline_on_arrival(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    const int64_t passed[] = {0, -2, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        send_within(play, passed[i]);
        expect_refusal(play, CODE_TIMEOUT, NULL);
    }
    struct wire_command c = a_command(play, 1, 7); /* the default, used up on the way */
    c.age_ms = DEADLINE_MS;
    queue_command(play->queue, &c);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    assert_int_equal(fake->exchanges, 1);
    end(play);
}

static void deadline_reaches_the_driver(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send_within(play, 40);
    assert_int_equal(fake->request.send_by_ns, loop_now_ns(play->loop) + 40 * NS_PER_MS);
    fake_fail(DRIVER_TIMEOUT, DRIVER_NOT_SENT); /* connecting took longer */
    expect_refusal(play, CODE_TIMEOUT, NULL);
    fake->open = true;
    struct wire_command c = a_command(play, 1, 7);
    c.age_ms = 1000;
    queue_command(play->queue, &c);
    assert_int_equal(fake->request.send_by_ns, loop_now_ns(play->loop) + (DEADLINE_MS - 1000) * NS_PER_MS);
    fake_reply(RUNNING, 3);
    end(play);
}

static void endless_deadline_is_bounded(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send_within(play, INT64_MAX);
    assert_int_equal(fake->request.send_by_ns, loop_now_ns(play->loop) + 24 * 3600 * NS_PER_S);
    fake_reply(RUNNING, 3);
    end(play);
}

static void deadline_passes_while_waiting(void **state)
{
    (void)state;
    struct play *play = begin(); /* the first poll is in flight, and stays there */
    send_within(play, 300);
    pass_ms(play, 299);
    assert_int_equal(play->count, 0);
    pass_ms(play, 1);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    fake_reply(AT_REST, 3);
    assert_false(fake->busy); /* never sent late */
    end(play);
}

/* The poll ends at the deadline itself, and the loop reports it before the timer. */
static void deadline_and_turn_at_once(void **state)
{
    (void)state;
    struct play *play = begin();
    send_within(play, 300);
    clock_manual_advance_ns(&play->clock, 300 * NS_PER_MS);
    fake_reply(AT_REST, 3);
    expect_refusal(play, CODE_TIMEOUT, NULL);
    assert_false(fake->busy);
    end(play);
}

/* --- no connection ------------------------------------------------------------------------------------------------- */

static void waits_for_the_poll_in_flight(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    until_asked(play);
    send(play, 1, 7);
    assert_int_equal(play->count, 0);
    assert_int_equal(fake->request.command, 0);
    fake_reply(ALARM, 3); /* interlocks are checked on the newest reading */
    expect_refusal(play, CODE_INTERLOCK, "alarm");
    end(play);
}

static void poll_in_flight_fails_then_another_helps(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    until_asked(play);
    send(play, 1, 7);
    fake_fail(DRIVER_CLOSED, DRIVER_SENT);
    assert_true(fake->busy);
    assert_int_equal(fake->request.command, 0);
    fake_reply(AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void not_connected(void **state)
{
    (void)state;
    struct play *play = begin();
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    send(play, 1, 7); /* tried a moment ago */
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    assert_false(fake->busy);
    until_asked(play);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    pass_ms(play, MIN_MS);
    assert_false(fake->busy); /* in back-off */
    send(play, 1, 7);
    assert_true(fake->busy); /* one try for it */
    assert_int_equal(fake->request.command, 0);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    end(play);
}

static void command_brings_the_connection_back(void **state)
{
    (void)state;
    struct play *play = begin();
    for (int i = 0; i < 4; i++) {
        fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
        until_asked(play);
    }
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    pass_ms(play, MIN_MS);
    send(play, 1, 7);
    fake_reply(AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

/* Persistent, and the PLC has ended the connection since: a poll makes the new one, not the command. */
static void no_command_as_first_on_a_connection(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    fake->open = false;
    send(play, 1, 7);
    assert_int_equal(fake->request.command, 0);
    fake_reply(AT_REST, 3);
    assert_int_equal(fake->request.command, 1);
    fake_reply(RUNNING, 3);
    end(play);
}

static void not_sent_is_tried_three_times(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fake->request.command, 1);
        assert_int_equal(play->count, 0);
        fake_fail(i % 2 ? DRIVER_CLOSED : DRIVER_REFUSED, DRIVER_NOT_SENT);
        if (i == 2)
            break;
        assert_int_equal(fake->request.command, 0); /* each try after a new reading */
        fake_reply(AT_REST, 3);
    }
    expect_refusal(play, CODE_CONNECTION_ERROR, NULL);
    assert_int_equal(fake->written[1], 0);
    end(play);
}

static void not_sent_then_forbidden(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    fake_fail(DRIVER_CLOSED, DRIVER_NOT_SENT);
    fake_reply(MANUAL, 3);
    expect_refusal(play, CODE_INTERLOCK, "manual mode");
    end(play);
}

/* --- lost replies -------------------------------------------------------------------------------------------------- */

static const struct {
    enum driver_result_e result;
    enum driver_sent_e sent;
} losses[] = {
    {DRIVER_TIMEOUT, DRIVER_SENT},
    {DRIVER_CLOSED, DRIVER_SENT},
    {DRIVER_BAD_REPLY, DRIVER_SENT},
    {DRIVER_CLOSED, DRIVER_PARTLY_SENT},
};
#define EACH_LOSS(i) (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++)

static void lost_reply_at_target(void **state)
{
    (void)state;
    for
        EACH_LOSS(i)
        {
            struct play *play = begin_lost(losses[i].result, losses[i].sent);
            fake_reply(AT_REST, 7);
            assert_int_equal(play->count, 2);
            assert_int_equal(play->outcomes[0].code, CODE_NONE);
            assert_int_equal(play->outcomes[0].position, 7);
            expect_completion(play, CODE_NONE, "", 7);
            assert_int_equal(fake->written[1], 1);
            end(play);
        }
}

static void lost_reply_moving(void **state)
{
    (void)state;
    for
        EACH_LOSS(i)
        {
            struct play *play = begin_lost(losses[i].result, losses[i].sent);
            fake_reply(RUNNING, 4);
            expect_result(play, CODE_NONE, true);
            until_asked(play);
            fake_reply(RUNNING, 6);
            until_asked(play);
            fake_reply(AT_REST, 7);
            expect_completion(play, CODE_NONE, "", 7);
            assert_int_equal(fake->written[1], 1);
            end(play);
        }
}

static void lost_reply_moving_elsewhere(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
    fake_reply(RUNNING, 2);
    expect_result(play, CODE_NONE, true);
    until_asked(play);
    fake_reply(AT_REST, 1);
    expect_completion(play, CODE_INTERLOCK, "stopped elsewhere", 1);
    end(play);
}

static void lost_reply_elsewhere(void **state)
{
    (void)state;
    for
        EACH_LOSS(i)
        {
            struct play *play = begin_lost(losses[i].result, losses[i].sent);
            fake_reply(AT_REST, 3);
            expect_result(play, CODE_OUTCOME_UNKNOWN, true);
            until_asked(play);
            fake_reply(AT_REST, 7); /* too late to be told */
            assert_int_equal(play->count, 1);
            assert_int_equal(fake->written[1], 1);
            end(play);
        }
}

static void lost_reply_unreachable(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
    uint64_t begun = loop_now_ns(play->loop);
    while (play->count == 0) {
        if (fake->busy)
            fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
        pass_ms(play, 1);
        assert_true(loop_now_ns(play->loop) - begun < 2 * DEADLINE_MS * NS_PER_MS);
    }
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    assert_int_equal((loop_now_ns(play->loop) - begun) / NS_PER_MS, DEADLINE_MS);
    end(play);
}

static void lost_reply_reachable_again(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_CLOSED, DRIVER_SENT);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    until_asked(play);
    fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    assert_int_equal(play->count, 0);
    until_asked(play);
    fake_reply(AT_REST, 7);
    assert_int_equal(play->count, 2);
    expect_completion(play, CODE_NONE, "", 7);
    end(play);
}

/* The deadline is over before the lost reply is given up: still one look. */
static void lost_reply_after_the_deadline(void **state)
{
    (void)state;
    for (int found = 0; found < 2; found++) {
        struct play *play = begin_at_rest(3);
        send_within(play, 100);
        pass_ms(play, 1000);
        fake_fail(DRIVER_TIMEOUT, DRIVER_SENT);
        loop_poll(play->loop);
        loop_poll(play->loop);
        assert_int_equal(play->count, 0);
        assert_int_equal(fake->request.command, 0);
        if (found)
            fake_reply(RUNNING, 4);
        else
            fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
        expect_result(play, found ? CODE_NONE : CODE_OUTCOME_UNKNOWN, true);
        end(play);
    }
}

static void deadline_during_the_look(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT);
    pass_ms(play, DEADLINE_MS + 1);
    assert_int_equal(play->count, 0); /* the look is still in flight */
    fake_reply(AT_REST, 7);
    assert_int_equal(play->outcomes[0].code, CODE_NONE);
    assert_int_equal(play->count, 2);
    end(play);
}

static void lost_reply_of_other_commands(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 9, 1);
    fake_fail(DRIVER_TIMEOUT, DRIVER_SENT);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true); /* nothing to reconcile it by */
    until_asked(play);
    fake_reply(AT_REST, 3);
    send(play, 0, -1);
    fake_fail(DRIVER_TIMEOUT, DRIVER_SENT);
    loop_poll(play->loop);
    fake_reply(AT_REST, 3); /* a reading is what it asked for */
    expect_result(play, CODE_NONE, true);
    assert_int_equal(play->count, 2);
    end(play);
}

/* --- the end of a move --------------------------------------------------------------------------------------------- */

static void move_times_out(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    uint64_t begun = loop_now_ns(play->loop);
    while (play->count == 1) {
        if (fake->busy)
            fake_reply(RUNNING, 4);
        pass_ms(play, 10);
        assert_true(loop_now_ns(play->loop) - begun <= MOVE_MS * NS_PER_MS);
    }
    expect_completion(play, CODE_TIMEOUT, "move timeout", 4);
    assert_int_equal(last(play)->elapsed_ms, MOVE_MS);
    send(play, 1, 8);
    if (fake->busy && fake->request.command == 0)
        fake_reply(RUNNING, 4);
    expect_result(play, CODE_BUSY, false); /* it still moves */
    end(play);
}

static void move_is_never_begun(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 99); /* no such position, says the PLC by doing nothing */
    fake_reply(AT_REST, 3);
    while (play->count == 1) {
        until_asked(play);
        fake_reply(AT_REST, 3);
    }
    expect_completion(play, CODE_TIMEOUT, "move timeout", 3);
    end(play);
}

static void stopped_by(const char *profile, uint8_t rest, uint8_t running, uint8_t raw, const char *text)
{
    struct play *play = begin_with(profile_builtin(profile), true, INTERVAL_MS);
    fake_reply(rest, 3);
    send(play, 1, 7);
    fake_reply(running, 3);
    until_asked(play);
    fake_reply(raw, 5);
    assert_int_equal(play->count, 2);
    expect_completion(play, CODE_INTERLOCK, text, 5);
    end(play);
}

static void move_is_stopped(void **state)
{
    (void)state;
    uint8_t rest = DELTA_REST, running = DELTA_REST | 2;
    stopped_by("standard", AT_REST, RUNNING, ALARM, "alarm");
    stopped_by("standard", AT_REST, RUNNING, ALARM | 1, "alarm"); /* RUN still up */
    stopped_by("standard", AT_REST, RUNNING, AT_REST, "stopped elsewhere");
    stopped_by("standard", AT_REST, RUNNING, MANUAL, "stopped elsewhere");
    stopped_by("delta-as", rest, running, rest & (uint8_t)~0x10, "emergency stop");
    stopped_by("delta-as", rest, running, rest | 0x20, "drive fault");
    stopped_by("delta-as", rest, running, rest | 0x40, "positioning error");
}

static void manual_mode_alone_ends_no_move(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    until_asked(play);
    fake_reply(MANUAL | 1, 5);
    assert_int_equal(play->count, 1);
    until_asked(play);
    fake_reply(MANUAL, 7);
    expect_completion(play, CODE_NONE, "", 7);
    end(play);
}

static void connection_lost_while_moving(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    for (int i = 0; i < 3; i++) {
        until_asked(play);
        fake_fail(DRIVER_REFUSED, DRIVER_NOT_SENT);
    }
    assert_int_equal(play->count, 1);
    until_asked(play);
    fake_reply(AT_REST, 7);
    expect_completion(play, CODE_NONE, "", 7);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

/* --- the same command again ---------------------------------------------------------------------------------------- */

static void again_while_under_way(void **state)
{
    (void)state;
    struct play *play = begin();
    struct wire_command c = send(play, 1, 7);
    c.resent = true;
    c.age_ms = 100000;              /* known is known, however old */
    queue_command(play->queue, &c); /* waiting */
    fake_reply(AT_REST, 3);
    queue_command(play->queue, &c); /* written */
    fake_fail(DRIVER_TIMEOUT, DRIVER_SENT);
    queue_command(play->queue, &c); /* reconciling */
    loop_poll(play->loop);
    fake_reply(RUNNING, 4);
    assert_int_equal(play->count, 1);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(queue_counts(play->queue)->repeated, 3);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void again_when_answered(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    struct wire_command c = send(play, 1, 7);
    fake_reply(RUNNING, 3);
    c.resent = true;
    queue_command(play->queue, &c); /* not acknowledged: its old number */
    assert_int_equal(play->count, 1);
    assert_int_equal(play->again, 1);
    play->acked = play->numbers[0];
    play->twice_is_wrong = false;
    queue_command(play->queue, &c); /* acknowledged: a new one, the same content */
    assert_int_equal(play->count, 2);
    assert_memory_equal(&play->outcomes[0], &play->outcomes[1], sizeof play->outcomes[0]);
    queue_command(play->queue, &c); /* not acknowledged, again */
    assert_int_equal(play->count, 2);
    assert_int_equal(play->again, 2);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void again_when_refused(void **state)
{
    (void)state;
    struct play *play = begin();
    fake_reply(ALARM, 3);
    struct wire_command c = send(play, 1, 7);
    until_asked(play);
    fake_reply(AT_REST, 3);
    queue_command(play->queue, &c); /* by now it would be allowed; the answer stays */
    assert_int_equal(play->again, 1);
    assert_int_equal(play->count, 1);
    assert_false(fake->busy);
    end(play);
}

static void another_key_is_another_command(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(7);
    struct wire_command c = send(play, 1, 7);
    fake_reply(AT_REST, 7);
    struct wire_command others[3] = {c, c, c};
    others[0].session_worker++;
    others[1].session_serial++;
    others[2].command_serial++;
    for (int i = 0; i < 3; i++) {
        queue_command(play->queue, &others[i]);
        fake_reply(AT_REST, 7);
    }
    assert_int_equal(play->count, 8);
    assert_int_equal(queue_counts(play->queue)->repeated, 0);
    end(play);
}

static void resent_and_unknown(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    pass_ms(play, 100);
    if (fake->busy)
        fake_reply(AT_REST, 3);
    struct wire_command c = a_command(play, 1, 7);
    c.resent = true;
    c.age_ms = 100; /* as old as this agent: a predecessor may have had it */
    queue_command(play->queue, &c);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    assert_false(fake->busy);
    queue_command(play->queue, &c);
    assert_int_equal(play->again, 1);
    c = a_command(play, 0, -1);
    c.resent = true;
    c.age_ms = 100; /* reading twice does no harm */
    queue_command(play->queue, &c);
    fake_reply(AT_REST, 3);
    expect_result(play, CODE_NONE, true);
    c = a_command(play, 1, 7);
    c.resent = true;
    c.age_ms = 99; /* it never reached anyone */
    queue_command(play->queue, &c);
    fake_reply(RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void forgotten_is_unknown(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("standard"), false, 2 * STALE_MS);
    fake_reply(AT_REST, 7);
    pass_ms(play, 1000);
    struct wire_command first = send(play, 1, 7);
    fake_reply(AT_REST, 7);
    pass_ms(play, 1000);
    for (int i = 0; i < QUEUE_REMEMBER; i++) {
        send(play, 0, -1);
        fake_reply(AT_REST, 7);
    }
    first.resent = true;
    first.age_ms = 1000;
    queue_command(play->queue, &first);
    assert_int_equal(last(play)->key.serial, first.command_serial);
    assert_int_equal(last(play)->code, CODE_OUTCOME_UNKNOWN);
    play->twice_is_wrong = false;
    end(play);
}

static void recent_forgets_by_age(void **state)
{
    (void)state;
    struct recent *recent = NULL;
    assert_int_equal(recent_new(4, 100, 1000, &recent), ERR_OK);
    assert_int_equal(recent_horizon_ns(recent), 1000);
    struct outcome o = {.key = {1, 2, 3}};
    recent_put(recent, &o, 1, 1010, 1020);
    assert_non_null(recent_find(recent, &o.key, 1120));
    assert_int_equal(recent_horizon_ns(recent), 1000);
    assert_null(recent_find(recent, &o.key, 1121));
    assert_int_equal(recent_horizon_ns(recent), 1010);
    for (uint64_t i = 0; i < 100; i++) {
        o.key.serial = 10 + i;
        recent_put(recent, &o, i, 2000 + i, 2000 + i);
        assert_int_equal(recent_find(recent, &o.key, 2000 + i)->seq, i);
        assert_true(recent_count(recent) <= 4);
    }
    o.key.serial = 10 + 95;
    assert_null(recent_find(recent, &o.key, 2100));
    o.key.serial = 10 + 96;
    assert_non_null(recent_find(recent, &o.key, 2100));
    assert_int_equal(recent_horizon_ns(recent), 2095);
    recent_free(&recent);
}

/* --- stopping ------------------------------------------------------------------------------------------------------ */

static void stop_refuses_what_waits(void **state)
{
    (void)state;
    struct play *play = begin();
    send(play, 1, 7);
    queue_stop(play->queue);
    expect_refusal(play, CODE_CONNECTION_ERROR, "The agent is stopping");
    assert_true(queue_settled(play->queue));
    send(play, 1, 7);
    expect_refusal(play, CODE_CONNECTION_ERROR, "The agent is stopping");
    end(play);
}

static void stop_lets_a_written_one_end(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    queue_stop(play->queue);
    assert_false(queue_settled(play->queue));
    fake_reply(RUNNING, 3);
    assert_true(queue_settled(play->queue));
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void stop_gives_up_honestly(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    send(play, 1, 7);
    queue_stop(play->queue);
    queue_give_up(play->queue);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    queue_give_up(play->queue);
    assert_int_equal(play->count, 1);
    end(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(move_and_completion),
        cmocka_unit_test(already_there),
        cmocka_unit_test(short_move_nobody_saw),
        cmocka_unit_test(status_command_reads),
        cmocka_unit_test(status_command_while_moving),
        cmocka_unit_test(other_codes_have_no_completion),
        cmocka_unit_test(invalid_commands),
        cmocka_unit_test(interlocks),
        cmocka_unit_test(unknown_profile),
        cmocka_unit_test(profiles_disagree),
        cmocka_unit_test(stale_state),
        cmocka_unit_test(busy_with_another),
        cmocka_unit_test(busy_until_completion),
        cmocka_unit_test(busy_while_it_moves_by_itself),
        cmocka_unit_test(busy_while_one_waits),
        cmocka_unit_test(room_for_outcomes_runs_out),
        cmocka_unit_test(deadline_on_arrival),
        cmocka_unit_test(deadline_reaches_the_driver),
        cmocka_unit_test(endless_deadline_is_bounded),
        cmocka_unit_test(deadline_passes_while_waiting),
        cmocka_unit_test(deadline_and_turn_at_once),
        cmocka_unit_test(waits_for_the_poll_in_flight),
        cmocka_unit_test(poll_in_flight_fails_then_another_helps),
        cmocka_unit_test(not_connected),
        cmocka_unit_test(command_brings_the_connection_back),
        cmocka_unit_test(no_command_as_first_on_a_connection),
        cmocka_unit_test(not_sent_is_tried_three_times),
        cmocka_unit_test(not_sent_then_forbidden),
        cmocka_unit_test(lost_reply_at_target),
        cmocka_unit_test(lost_reply_moving),
        cmocka_unit_test(lost_reply_moving_elsewhere),
        cmocka_unit_test(lost_reply_elsewhere),
        cmocka_unit_test(lost_reply_unreachable),
        cmocka_unit_test(lost_reply_reachable_again),
        cmocka_unit_test(lost_reply_after_the_deadline),
        cmocka_unit_test(deadline_during_the_look),
        cmocka_unit_test(lost_reply_of_other_commands),
        cmocka_unit_test(move_times_out),
        cmocka_unit_test(move_is_never_begun),
        cmocka_unit_test(move_is_stopped),
        cmocka_unit_test(manual_mode_alone_ends_no_move),
        cmocka_unit_test(connection_lost_while_moving),
        cmocka_unit_test(again_while_under_way),
        cmocka_unit_test(again_when_answered),
        cmocka_unit_test(again_when_refused),
        cmocka_unit_test(another_key_is_another_command),
        cmocka_unit_test(resent_and_unknown),
        cmocka_unit_test(forgotten_is_unknown),
        cmocka_unit_test(recent_forgets_by_age),
        cmocka_unit_test(stop_refuses_what_waits),
        cmocka_unit_test(stop_lets_a_written_one_end),
        cmocka_unit_test(stop_gives_up_honestly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
