/* Bounds, and processes that are not there. */
#include "pool_stage.h"

#include <sys/un.h>

static void wire_message(msgpack_sbuffer *out, const struct handler_message *message)
{
    assert_int_equal(handler_encode(message, out), ERR_OK);
}

/* --- what may wait ----------------------------------------------------------------------------------------------------------------- */

static void so_many_messages_wait(void **state)
{
    (void)state;
    struct visitor ana = {0}, other = {0};
    visitor_open(&ana, 0);
    visitor_open(&other, 2);
    for (uint64_t i = 0; i < POOL_WAITING_MAX; i++)
        assert_int_equal(visitor_send(&ana, i), ERR_OK);
    assert_int_equal(visitor_send(&ana, 1), ERR_FULL);
    assert_int_equal(counts()->full, 1);
    assert_int_equal(counts()->waiting, POOL_WAITING_MAX);
    assert_int_equal(visitor_send(&other, 1), ERR_OK); /* another handler */
    stage_pass(STAGE_DEADLINE_MS);
    assert_int_equal(ana.answers, POOL_WAITING_MAX);
    assert_int_equal(counts()->unavailable, POOL_WAITING_MAX + 1);
    assert_int_equal(visitor_send(&ana, 1), ERR_OK);
    visitor_close(&ana);
    visitor_close(&other);
    assert_int_equal(counts()->waiting, 0);
}

static void so_many_bytes_wait(void **state)
{
    (void)state;
    struct visitor ana = {0};
    visitor_open(&ana, 0);
    assert_int_equal(visitor_send_large(&ana, 1, 3 * POOL_WAITING_BYTES), ERR_OK); /* alone */
    assert_int_equal(visitor_send(&ana, 2), ERR_FULL);
    stage_pass(STAGE_DEADLINE_MS);
    assert_int_equal(visitor_send_large(&ana, 3, POOL_WAITING_BYTES / 2), ERR_OK);
    assert_int_equal(visitor_send_large(&ana, 4, POOL_WAITING_BYTES / 2), ERR_FULL);
    assert_int_equal(visitor_send(&ana, 5), ERR_OK);
    visitor_close(&ana);
    assert_int_equal(counts()->waiting_bytes, 0);
}

static void who_sends_should_be_held_from_the_half_to_a_quarter(void **state)
{
    (void)state;
    struct visitor ana = {0};
    visitor_open(&ana, 0);
    for (uint64_t i = 0; i < POOL_WAITING_MAX / 2; i++) {
        assert_false(pool_is_pressed(ana.conn));
        assert_int_equal(visitor_send(&ana, i), ERR_OK);
    }
    assert_true(pool_is_pressed(ana.conn));
    stage_pass(STAGE_DEADLINE_MS);
    assert_int_equal(stage->drained, 0); /* not from within pool_tick() either */
    stage_turn(1);
    assert_int_equal(stage->drained, 1);
    assert_false(pool_is_pressed(ana.conn));
    actor_greet(&stage->actors[0]);
    actor_open(&stage->actors[0], false);
    uint64_t sent = 0, got = 0;
    for (; !pool_is_pressed(ana.conn); sent++)
        visitor_send_large(&ana, sent, 20000);
    while (pool_is_pressed(ana.conn)) {
        assert_true(counts()->waiting_bytes >= POOL_WAITING_BYTES / 4);
        assert_int_equal(stage->drained, 1);
        actor_wait(&stage->actors[0], HANDLER_MESSAGE);
        actor_reply(&stage->actors[0], stage->actors[0].message.event, got++);
        stage_turn(2);
    }
    assert_int_equal(stage->drained, 2);
    assert_true(counts()->waiting_bytes < POOL_WAITING_BYTES / 4);
    visitor_close(&ana);
}

static void a_message_larger_than_every_buffer(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    assert_int_equal(visitor_send_large(&ana, 1, 5u << 20), ERR_OK);
    actor_wait(&stage->out, HANDLER_MESSAGE);
    assert_int_equal(stage->out.message.body.via.str.size, 5u << 20);
    actor_reply(&stage->out, stage->out.message.event, 1);
    visitor_answered(&ana, 1, POOL_REPLY);
    stage_turn(2);
    assert_true(stage->pool->links[STAGE_PROCESSES].out.alloc < 1u << 20); /* given back */
    visitor_close(&ana);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

static void a_process_that_answers_nothing_has_a_window(void **state)
{
    (void)state;
    struct visitor ana = {0}, eva = {0};
    actor_greet(&stage->actors[0]);
    visitor_open(&ana, 0);
    actor_open(&stage->actors[0], false);
    uint64_t events[HANDLER_WINDOW];
    for (uint64_t i = 0; i < HANDLER_WINDOW + 10; i++)
        visitor_send(&ana, i);
    for (uint64_t i = 0; i < HANDLER_WINDOW; i++)
        events[i] = actor_message(&stage->actors[0], i);
    actor_quiet(&stage->actors[0]);
    assert_int_equal(counts()->waiting, 10);
    actor_greet(&stage->actors[1]); /* others of the pool go on */
    visitor_open(&eva, 0);
    actor_open(&stage->actors[1], false);
    visitor_send(&eva, 1);
    actor_reply(&stage->actors[1], actor_message(&stage->actors[1], 1), 1);
    visitor_answered(&eva, 1, POOL_REPLY);
    stage_pass(STAGE_DEADLINE_MS);
    assert_int_equal(ana.answers, HANDLER_WINDOW + 10);
    assert_int_equal(counts()->timeouts, HANDLER_WINDOW);
    assert_int_equal(counts()->unavailable, 10);
    visitor_send(&ana, 99);
    actor_quiet(&stage->actors[0]); /* what it has is still its */
    actor_reply(&stage->actors[0], events[5], 1);
    actor_reply(&stage->actors[0], actor_message(&stage->actors[0], 99), 1);
    visitor_answered(&ana, HANDLER_WINDOW + 11, POOL_REPLY);
    assert_int_equal(counts()->late, 1);
    visitor_close(&ana);
    visitor_close(&eva);
    actor_close(&stage->actors[0]);
    actor_close(&stage->actors[1]);
    stage_until(counts()->conns == 0);
}

static void a_process_that_does_not_read(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    uint64_t taken_on = 0;
    while (visitor_send_large(&ana, taken_on, 20000) == ERR_OK)
        if (++taken_on % 40 == 0) /* more at once than a socket takes */
            stage_turn(1);
    const struct pool_link *link = &stage->pool->links[STAGE_PROCESSES];
    assert_true(link->full);
    assert_true(link->out.size - link->out_at <= POOL_OUT_BYTES + 20100);
    assert_true(counts()->waiting_bytes <= POOL_WAITING_BYTES);
    for (uint64_t i = 0; i < taken_on; i++) {
        actor_wait(&stage->out, HANDLER_MESSAGE);
        assert_int_equal(stage->out.message.event, i + 2);
        actor_reply(&stage->out, stage->out.message.event, i);
    }
    visitor_answered(&ana, (unsigned)taken_on, POOL_REPLY);
    visitor_close(&ana);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------- */

static void an_announced_frame_costs_what_came(void **state)
{
    (void)state;
    static const unsigned char header[] = {0x01, 0x40, 0, 0}; /* 20 MiB */
    static const char filler[200000];
    const struct pool_link *link = &stage->pool->links[STAGE_PROCESSES];
    actor_greet(&stage->out);
    actor_say_bytes(&stage->out, header, sizeof header);
    stage_until(link->in_len == sizeof header);
    assert_true(link->in_cap <= POOL_IN_BYTES);
    actor_say_bytes(&stage->out, filler, sizeof filler);
    stage_until(link->in_len == sizeof header + sizeof filler);
    assert_true(link->in_cap <= 2 * link->in_len);
}

static void replies_that_are_large_or_come_in_bytes(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    visitor_send(&ana, 1);
    uint64_t event = actor_message(&stage->out, 1);
    static char text[STAGE_ANSWER_MAX - 3];
    struct handler_message reply = {
        .type = HANDLER_REPLY,
        .event = event,
        .status = 200,
        .body = {.type = MSGPACK_OBJECT_STR,
                 .via.str = {sizeof text, text}}}; /* with its header just the limit */
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    wire_message(&out, &reply);
    for (size_t i = 0; i < out.size; i++) {
        assert_int_equal(ana.answers, 0);
        actor_say_bytes(&stage->out, out.data + i, 1);
        if (i % 7 == 0)
            stage_turn(1);
    }
    visitor_answered(&ana, 1, POOL_REPLY);
    visitor_send(&ana, 2);
    reply.event = actor_message(&stage->out, 2);
    reply.body.via.str.size++;
    static char larger[STAGE_ANSWER_MAX];
    reply.body.via.str.ptr = larger;
    actor_say(&stage->out, &reply);
    visitor_answered(&ana, 2, POOL_FAILED);
    reply.type = HANDLER_SEND;
    reply.conn = 1;
    actor_say(&stage->out, &reply);
    stage_until(counts()->sends_lost == 1);
    reply.type = HANDLER_PUBLISH;
    reply.path = handler_text("/out");
    actor_say(&stage->out, &reply);
    stage_until(counts()->publishes_lost == 1);
    assert_int_equal(counts()->links, 1);
    msgpack_sbuffer_destroy(&out);
    visitor_close(&ana);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

static void many_frames_do_not_hold_up_the_loop(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    enum { COUNT = 1000 };
    for (unsigned i = 0; i < COUNT; i++)
        wire_message(&out, &(struct handler_message){.type = HANDLER_SEND, .conn = 1, .status = 200});
    actor_say_bytes(&stage->out, out.data, out.size);
    msgpack_sbuffer_destroy(&out);
    unsigned turns = 0;
    for (unsigned before = 0; ana.sends < COUNT; before = ana.sends, turns++) {
        assert_true(turns < 10 * COUNT);
        stage_pass(POOL_FRAME_BUDGET * 2 * POOL_UNASKED_NS / NS_PER_MS +
                   1); /* its rate bounds nothing here */
        stage_turn(1);
        assert_true(ana.sends - before <=
                    2 * POOL_FRAME_BUDGET); /* in the idle and the poll phase of one turn */
    }
    assert_true(turns >= COUNT / (2 * POOL_FRAME_BUDGET));
    actor_die(&stage->out);
    stage_until(counts()->links == 0);
    visitor_close(&ana);
}

static void who_speaks_in_a_loop_is_heard_so_often(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *out = &stage->out;
    actor_greet(out);
    visitor_open(&ana, 2);
    actor_open(out, false);
    uint64_t conn = out->message.conn;
    struct pollfd room = {.fd = out->fd, .events = POLLOUT};
    struct handler_message word = {.type = HANDLER_SEND, .conn = conn, .status = 200};
    unsigned said = 0;
    for (unsigned full = 0; full < 20; full = poll(&room, 1, 0) == 1 ? 0 : full + 1) {
        if (poll(&room, 1, 0) == 1 && ++said)
            actor_say(out, &word);
        stage_turn(1);
    }
    assert_int_equal(ana.sends, POOL_UNASKED_BURST);
    assert_int_equal(counts()->throttled, 1);
    assert_true(said > POOL_UNASKED_BURST);
    uint64_t pause_ms = POOL_UNASKED_BURST / 2 * POOL_UNASKED_NS / NS_PER_MS;
    stage_pass(pause_ms - 1);
    stage_turn(5);
    assert_int_equal(ana.sends, POOL_UNASKED_BURST);
    stage_pass(1);
    unsigned left = said - POOL_UNASKED_BURST < POOL_UNASKED_BURST / 2 ? said - POOL_UNASKED_BURST
                                                                       : POOL_UNASKED_BURST / 2;
    stage_until(ana.sends == POOL_UNASKED_BURST + left);
    visitor_send(&ana, 1); /* what it was asked costs nothing; it comes behind the rest */
    actor_reply(out, actor_message(out, 1), 1);
    for (unsigned i = 0; i < 100 && ana.answers == 0; i++) {
        stage_pass(5);
        stage_turn(20);
    }
    assert_int_equal(ana.last.outcome, POOL_REPLY);
    visitor_close(&ana);
    actor_close(out);
    stage_until(counts()->conns == 0);
}

static void frames_left_in_the_buffer_count_at_the_end_of_the_stream(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    enum { COUNT = 100 }; /* more than a turn's budget, fewer than its rate lets through at once */
    for (unsigned i = 0; i < COUNT; i++)
        wire_message(&out, &(struct handler_message){.type = HANDLER_SEND, .conn = 1, .status = 200});
    actor_say_bytes(&stage->out, out.data, out.size - 1); /* the last is torn */
    msgpack_sbuffer_destroy(&out);
    actor_die(&stage->out);
    stage_until(counts()->links == 0);
    assert_int_equal(ana.sends, COUNT - 1);
    visitor_close(&ana);
}

/* --- processes that are not there -------------------------------------------------------------------------------------------------------- */

static void nobody_listens(void **state)
{
    (void)state;
    stage_turn(4);
    uint64_t tries = counts()->connects_failed, links = STAGE_PROCESSES + 1;
    for (unsigned ms = 0; ms < 60000; ms += 10)
        stage_pass(10);
    tries = counts()->connects_failed - tries;
    assert_true(tries >= links * 60 &&
                tries <= links * 90); /* one a second, jitter a quarter, the first ones sooner */
    actor_greet(&stage->out);
    actor_die(&stage->out);
    stage_until(counts()->links == 0);
    actor_greet(&stage->out);
}

static void an_outage_after_a_good_time_begins_with_the_shortest_pause(void **state)
{
    (void)state;
    const struct pool_link *link = &stage->pool->links[STAGE_PROCESSES];
    stage_pass_slowly(20000); /* the pauses are at their longest */
    actor_greet(&stage->out);
    stage_pass_slowly(2000);
    actor_die(&stage->out);
    stage_until(counts()->links == 0);
    assert_true(link->due_ns - clock_mono_ns(&stage->clock.clock) <= POOL_RETRY_MIN_NS);
    stage_pass(10);
    stage_until(actor_accept(&stage->out)); /* the backlog had it, or the loop's timer */
    actor_die(&stage->out);
    stage_until(link->state == LINK_DOWN);
}

static void who_accepts_and_never_says_welcome(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *mute = &stage->actors[0];
    char path[CONF_PATH_MAX];
    conf_handler_socket(&stage->conf, &stage->handlers[0], 0, path);
    actor_listen(mute, path);
    for (unsigned i = 0; i < 200 && !actor_accept(mute); i++) {
        stage_pass(100);
        stage_turn(1);
    }
    visitor_open(&ana, 0);
    stage_turn(4);
    actor_greet(&stage->actors[1]);
    actor_open(&stage->actors[1], false);
    const struct pool_link *link = &stage->pool->links[0];
    assert_int_equal(link->state, LINK_GREETING);
    stage_pass_slowly(4500);
    assert_int_equal(counts()->malformed, 0);
    stage_pass_slowly(1000);
    actor_wait(mute, HANDLER_HELLO);
    actor_die(mute); /* if it was left already, another one is in the backlog */
    assert_true(link->state == LINK_DOWN || link->due_ns > clock_mono_ns(&stage->clock.clock));
    visitor_close(&ana);
    actor_close(&stage->actors[1]);
    stage_until(counts()->conns == 0);
}

static void who_shuts_its_reading_side_is_left(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    shutdown(stage->out.fd, SHUT_RD);
    visitor_open(&ana, 2);
    stage_turn(4);
    assert_int_equal(counts()->links, 1);
    stage_pass(6000);
    assert_int_equal(counts()->links_lost, 1);
    visitor_close(&ana);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(so_many_messages_wait),
        T(so_many_bytes_wait),
        T(who_sends_should_be_held_from_the_half_to_a_quarter),
        T(a_message_larger_than_every_buffer),
        T(a_process_that_answers_nothing_has_a_window),
        T(a_process_that_does_not_read),
        T(an_announced_frame_costs_what_came),
        T(replies_that_are_large_or_come_in_bytes),
        T(many_frames_do_not_hold_up_the_loop),
        T(who_speaks_in_a_loop_is_heard_so_often),
        T(frames_left_in_the_buffer_count_at_the_end_of_the_stream),
        T(nobody_listens),
        T(an_outage_after_a_good_time_begins_with_the_shortest_pause),
        T(who_accepts_and_never_says_welcome),
        T(who_shuts_its_reading_side_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
