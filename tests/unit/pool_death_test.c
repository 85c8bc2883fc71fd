/* Processes that die, at every point of a connection's and a message's life. What has to hold: one answer for each message, and over
 * all processes one OPEN that is not resumed and one CLOSED for each connection whose OPEN was ever TAKEN. */
#include "pool_stage.h"

static struct actor *actor(unsigned k)
{
    return &stage->actors[k];
}

/* Process 0 has the connection, process 1 stands by. */
static void two_processes(struct visitor *visitor)
{
    actor_greet(actor(0));
    visitor_open(visitor, 0);
    stage_until(actor_take(actor(0)));
    assert_int_equal(actor(0)->message.type, HANDLER_OPEN);
    actor_greet(actor(1));
}

static void dies(unsigned k)
{
    uint64_t lost = counts()->links_lost;
    actor_die(actor(k));
    stage_until(counts()->links_lost == lost + 1);
}

static void ends(struct visitor *visitor, unsigned k)
{
    visitor_close(visitor);
    actor_close(actor(k));
    stage_until(counts()->conns == 0);
    actor_quiet(actor(k));
}

static void open_written_not_taken(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    dies(0);
    actor_open(actor(1), false);
    ends(&ana, 1);
    assert_int_equal(counts()->resumed, 0);
    assert_int_equal(counts()->opened, 2); /* written twice, taken once */
}

static void open_taken(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    stage_turn(4);
    dies(0);
    actor_open(actor(1), true);
    ends(&ana, 1);
}

static void taken_is_read_although_the_process_is_dead(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    visitor_send(&ana, 1); /* not read by the process: its end is a reset */
    stage_turn(4);
    actor_taken(actor(0));
    dies(0);
    visitor_answered(&ana, 1, POOL_FAILED);
    actor_open(actor(1), true);
    ends(&ana, 1);
}

static void a_reply_counts_although_the_process_is_dead(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    visitor_send(&ana, 1);
    visitor_send(&ana, 2);
    actor_reply(actor(0), actor_message(actor(0), 1), 5);
    dies(0);
    stage_until(ana.answers == 2);
    assert_int_equal(ana.tokens[0], 1);
    assert_int_equal(ana.tokens[1], 2);
    assert_int_equal(counts()->replies, 1);
    assert_int_equal(counts()->failed, 1);
    actor_open(actor(1), true);
    ends(&ana, 1);
}

static void a_write_that_fails_is_not_the_end(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    actor_die(actor(0));
    visitor_send(&ana, 1); /* written into the void, or refused: its answer says which */
    stage_until(counts()->links_lost == 1);
    actor_open(actor(1), true);
    if (ana.answers == 0) {
        actor_reply(actor(1), actor_message(actor(1), 1), 1);
        visitor_answered(&ana, 1, POOL_REPLY);
    } else {
        assert_int_equal(ana.last.outcome, POOL_FAILED);
    }
    ends(&ana, 1);
}

static void what_was_not_written_goes_on_in_order(void **state)
{
    (void)state;
    struct visitor ana = {0}, eva = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    stage_turn(4);
    enum { COUNT = 20, LARGE = 30000 };
    for (uint64_t i = 0; i < COUNT; i++)
        assert_int_equal(visitor_send_large(&ana, i, LARGE), ERR_OK);
    stage_turn(4);
    uint64_t waiting = counts()->waiting;
    assert_true(waiting > 2 && waiting < COUNT);
    actor_die(actor(1)); /* so that eva goes to 0, too */
    stage_until(counts()->links == 1);
    visitor_open(&eva, 0);
    stage_turn(4);
    actor_greet(actor(1));
    dies(0);
    stage_until(ana.answers == COUNT - waiting);
    assert_int_equal(counts()->failed, COUNT - waiting);
    for (unsigned i = 0; i < COUNT - waiting; i++)
        assert_int_equal(ana.tokens[i], i);
    unsigned opens = 0, heard = 0;
    while (opens < 2 || heard < waiting) {
        stage_until(actor_take(actor(1)));
        struct handler_message *message = &actor(1)->message;
        if (message->type == HANDLER_OPEN) {
            assert_int_equal(message->resumed, message->conn == 1);
            assert_true(message->conn != 1 || heard == 0);
            opens++;
            actor_taken(actor(1));
        } else {
            assert_int_equal(message->type, HANDLER_MESSAGE);
            assert_int_equal(message->conn, 1);
            heard++;
            actor_reply(actor(1), message->event, heard);
        }
    }
    stage_until(ana.answers == COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(ana.tokens[i], i);
    visitor_close(&ana);
    actor_close(actor(1));
    ends(&eva, 1);
    assert_int_equal(counts()->waiting_bytes, 0);
}

static void closed_written_not_taken(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    visitor_close(&ana);
    actor_wait(actor(0), HANDLER_CLOSED);
    dies(0);
    actor_open(actor(1), true);
    actor_close(actor(1));
    stage_until(counts()->conns == 0);
    actor_quiet(actor(1));
}

static void closed_taken(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    visitor_close(&ana);
    actor_close(actor(0));
    dies(0);
    assert_int_equal(counts()->conns, 0);
    actor_quiet(actor(1));
}

static void gone_and_never_taken_gets_neither(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    visitor_send(&ana, 1);
    visitor_close(&ana);
    dies(0);
    assert_int_equal(counts()->conns, 0);
    actor_quiet(actor(1));
}

static void gone_while_nobody_was_there(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    stage_turn(4);
    dies(1);
    dies(0);
    visitor_send(&ana, 1);
    visitor_close(&ana);
    assert_int_equal(counts()->conns, 1);
    actor_greet(actor(2));
    actor_open(actor(2), true);
    actor_wait(actor(2), HANDLER_MESSAGE);
    actor_reply(actor(2), actor(2)->message.event, 1);
    actor_close(actor(2));
    stage_until(counts()->conns == 0);
    assert_int_equal(counts()->late, 1);
}

static void three_deaths_on_the_way(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    dies(0);
    actor_wait(actor(1), HANDLER_OPEN);
    assert_false(actor(1)->message.resumed);
    actor_greet(actor(0));
    actor_taken(actor(1));
    stage_turn(4);
    dies(1);
    actor_wait(actor(0), HANDLER_OPEN);
    assert_true(actor(0)->message.resumed);
    actor_greet(actor(1));
    dies(0); /* a resumed OPEN that was not taken stays one */
    actor_open(actor(1), true);
    visitor_send(&ana, 3);
    actor_reply(actor(1), actor_message(actor(1), 3), 3);
    visitor_answered(&ana, 1, POOL_REPLY);
    ends(&ana, 1);
}

static void an_event_may_close_what_fails_with_it(void **state)
{
    (void)state;
    struct visitor ana = {.close_when_answered = true}, eva = {.again = 1};
    two_processes(&ana);
    actor_taken(actor(0));
    actor_die(actor(1));
    stage_until(counts()->links == 1);
    visitor_open(&eva, 0);
    actor_open(actor(0), false);
    visitor_send(&ana, 1);
    visitor_send(&ana, 2);
    visitor_send(&eva, 3);
    actor_wait(actor(0), HANDLER_MESSAGE);
    dies(0);
    assert_int_equal(ana.answers, 1);
    assert_int_equal(eva.answers, 1);
    actor_greet(actor(0));
    for (unsigned left = 4; left > 0; left--) { /* OPEN, OPEN, CLOSED, MESSAGE */
        stage_until(actor_take(actor(0)));
        if (actor(0)->message.type == HANDLER_MESSAGE)
            actor_reply(actor(0), actor(0)->message.event, 1);
        else
            actor_taken(actor(0));
    }
    visitor_answered(&eva, 2, POOL_REPLY);
    assert_int_equal(eva.tokens[1], 1003);
    ends(&eva, 0);
}

/* --- processes that are left, and live ---------------------------------------------------------------------------------------------- */

static void breaks_the_protocol(struct actor *bad)
{
    uint64_t lost = counts()->links_lost;
    actor_say(bad, &(struct handler_message){.type = HANDLER_TAKEN, .event = UINT64_MAX});
    stage_until(counts()->links_lost == lost + 1);
    assert_true(actor_is_left(bad));
}

/* It sees the end of the stream, and runs on_disconnect of what it has taken and of what it has yet to take. */
static void connections_of_a_process_that_is_left_begin_anew(void **state)
{
    (void)state;
    struct visitor taken = {0}, written = {0}, gone = {0}, closing = {0};
    two_processes(&taken);
    actor_taken(actor(0));
    dies(1);
    visitor_open(&closing, 0);
    actor_open(actor(0), false);
    visitor_close(&closing);
    actor_wait(actor(0), HANDLER_CLOSED); /* not taken */
    visitor_open(&gone, 0);
    actor_open(actor(0), false);
    visitor_send(&gone, 1);
    visitor_open(&written, 0);
    stage_turn(4);
    visitor_close(&gone);
    breaks_the_protocol(actor(0));
    assert_int_equal(counts()->conns, 2); /* `gone` and `closing` had their end there */
    actor_greet(actor(1));
    actor_open(actor(1), false);
    actor_open(actor(1), false);
    visitor_close(&written);
    actor_close(actor(1));
    ends(&taken, 1);
}

/* A resumed OPEN that it has not read whole is none of its business; one that it will read is. */
static void what_the_process_that_is_left_was_never_told_goes_on(void **state)
{
    (void)state;
    struct visitor ana = {0}, eva = {0};
    two_processes(&ana);
    actor_taken(actor(0));
    visitor_open(&eva, 0);
    actor_open(actor(1), false);
    dies(1);
    actor_open(actor(0), true); /* eva */
    stage_turn(4);
    dies(0); /* both homeless */
    actor_greet(actor(0));
    actor_wait(actor(0), HANDLER_OPEN);
    assert_true(actor(0)->message.resumed);
    breaks_the_protocol(actor(0)); /* both OPENs are written */
    actor_greet(actor(1));
    actor_open(actor(1), false);
    actor_open(actor(1), false);
    visitor_close(&eva);
    actor_close(actor(1));
    ends(&ana, 1);
}

static void what_a_dead_process_said_is_read_however_long_it_takes(void **state)
{
    (void)state;
    struct visitor ana = {0};
    two_processes(&ana);
    stage->may_publish = false;
    struct handler_message publish = {.type = HANDLER_PUBLISH, .path = handler_text("/chat"), .status = 200};
    for (unsigned i = 0; i < 100; i++) /* more than one wake-up reads */
        actor_say(actor(0), &publish);
    actor_taken(actor(0));
    stage_until(stage->pool->paused == 1);
    actor_die(actor(0));
    visitor_send(&ana, 1); /* the write fails */
    stage_turn(2);
    stage_pass(2 * POOL_ENDING_NS / NS_PER_MS);
    stage->may_publish = true;
    stage_pass(1);
    stage_until(counts()->links == 1);
    assert_int_equal(stage->publishes, 100);
    actor_open(actor(1), true);
    ends(&ana, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(open_written_not_taken),
        T(open_taken),
        T(taken_is_read_although_the_process_is_dead),
        T(a_reply_counts_although_the_process_is_dead),
        T(a_write_that_fails_is_not_the_end),
        T(what_was_not_written_goes_on_in_order),
        T(closed_written_not_taken),
        T(closed_taken),
        T(gone_and_never_taken_gets_neither),
        T(gone_while_nobody_was_there),
        T(three_deaths_on_the_way),
        T(an_event_may_close_what_fails_with_it),
        T(connections_of_a_process_that_is_left_begin_anew),
        T(what_the_process_that_is_left_was_never_told_goes_on),
        T(what_a_dead_process_said_is_read_however_long_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
