/* Endpoints over a played API and a played pool: a handler that is pressed. Whoever speaks to it is held and released by and by, nobody waits for ever,
 * and what is under way stays bounded.
 */
#include "validated_play.h"

/* --- a handler that is pressed ------------------------------------------------------------------------------------------ */

static unsigned held_of(struct endpoint_conn *const *conns, unsigned count)
{
    unsigned held = 0;
    for (unsigned i = 0; i < count; i++)
        held += conns[i]->held;
    return held;
}

/* Who sends is held, each with its next message; others of another handler are not. */
static void a_pressed_handler(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/raw"), *quiet = stage_connect("/raw"),
                         *other = stage_connect("/other");
    stage.pressed[0] = true;
    stage_say(c, "1");
    stage_say(other, "1");
    assert_true(c->held);
    assert_false(quiet->held || other->held);
    stage_say(c, "2"); /* was read already */
    stage_say(c, "?");
    assert_int_equal(stage.message_count, 2);
    stage_answer(0, 200, "1");
    expect(c, "1");
    assert_true(c->held); /* nothing is under way, and it still waits */
    validated_dialect.tick(&stage.own);
    assert_true(c->held);
    assert_int_equal(validated_counts(&stage.own)->pressed, 1);
    stage.pressed[0] = false;
    stage.events->drained(stage.events_arg, 1);
    assert_true(c->held);
    stage.events->drained(stage.events_arg, 0);
    assert_false(c->held);
    assert_int_equal(stage.message_count, 3);
    stage_answer(2, 200, "2");
    expect(c, "2");
    assert_non_null(strstr(stage_read(c), "json_invalid"));
    assert_int_equal(validated_counts(&stage.own)->pressed, 0);
    stage_disconnect(c);
    stage_disconnect(quiet);
    stage_disconnect(other);
}

/* Some at a time, and the next with a tick; while they are let go it may be pressed again; and they may leave meanwhile. */
static void many_are_released_by_and_by(void **state)
{
    enum { CONNS = 300 };
    static struct endpoint_conn *conns[CONNS];
    (void)state;
    stage.pressed[0] = true;
    for (unsigned i = 0; i < CONNS; i++) {
        conns[i] = stage_connect("/raw");
        stage_say(conns[i], "1");
        stage_say(conns[i], "2");
    }
    assert_int_equal(held_of(conns, CONNS), CONNS);
    for (unsigned i = 0; i < 20; i++) {
        stage_disconnect(conns[i * 7]);
        conns[i * 7] = stage_connect("/raw");
    }
    assert_int_equal(held_of(conns, CONNS), 280);
    assert_int_equal(stage.message_count, CONNS);
    stage.pressed[0] = false;
    stage.events->drained(stage.events_arg, 0);
    assert_int_equal(held_of(conns, CONNS), 280 - 128);
    stage.pressed[0] = true;
    validated_dialect.tick(&stage.own);
    assert_int_equal(held_of(conns, CONNS), 280 - 128);
    stage.pressed[0] = false;
    validated_dialect.tick(&stage.own);
    validated_dialect.tick(&stage.own);
    assert_int_equal(held_of(conns, CONNS), 0);
    assert_int_equal(stage.message_count, CONNS + 280);
    for (unsigned i = 0; i < CONNS; i++)
        stage_disconnect(conns[i]);
}

/* A handler that takes one message at a time: everybody has a turn, also who was there before others came and went. */
static void nobody_waits_for_ever(void **state)
{
    enum { CONNS = 6 };
    struct endpoint_conn *conns[CONNS];
    (void)state;
    stage.pressed[0] = true;
    for (unsigned i = 0; i < CONNS; i++) {
        conns[i] = stage_connect("/raw");
        for (int k = 0; k < 15; k++)
            stage_say(conns[i], "1");
    }
    for (unsigned round = 0; round < 2 * CONNS; round++) {
        stage.pressed[0] = false;
        stage.room = 1;
        stage.events->drained(stage.events_arg, 0);
        assert_true(stage.pressed[0]);
        assert_int_equal(held_of(conns, CONNS), CONNS);
    }
    for (unsigned i = 0; i < CONNS; i++) {
        assert_true(stage_pool_conn(conns[i])->sent >= 2);
        stage_disconnect(conns[i]);
    }
}

/* Sixteen under way, too: it is read when neither stands. */
static void pressed_and_sixteen(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 15; i++)
        stage_say(c, "1");
    stage.pressed[0] = true;
    stage_say(c, "1");
    stage_say(c, "2");
    for (unsigned i = 0; i < 16; i++)
        stage_answer(i, 200, "1");
    assert_true(c->held);
    stage.pressed[0] = false;
    stage.events->drained(stage.events_arg, 0);
    assert_false(c->held);
    stage.pressed[0] = true;
    stage_answer(16, 200, "2");
    for (int i = 0; i < 17; i++)
        stage_say(c, "3");
    assert_int_equal(stage.message_count, 18); /* the first of them */
    stage.pressed[0] = false;
    validated_dialect.tick(&stage.own);
    assert_int_equal(stage.message_count, 17 + 16);
    assert_true(c->held);
    for (unsigned i = 17; i < 34; i++)
        stage_answer(i, 200, "3");
    assert_false(c->held);
    assert_int_equal(c->holds, 2);
    stage_disconnect(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_pressed_handler),
        PLAY(many_are_released_by_and_by),
        PLAY(nobody_waits_for_ever),
        PLAY(pressed_and_sixteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
