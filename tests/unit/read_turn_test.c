/* fanout: the replies to the messages of one read leave with one write, in their place, and are never left behind. */
#include "fanout_stage.h"

static struct socket *read_by(struct stage *stage, unsigned i, size_t room)
{
    struct socket *s = arrive(stage, i, room);
    outbox_begin_read(&stage->outbox, &s->client);
    return s;
}

static void settle(struct stage *stage, struct socket *s)
{
    outbox_settle(&stage->outbox, &s->client);
}

static void the_replies_of_a_read_are_one_write(void **state)
{
    struct stage *stage = *state;
    struct socket *other = arrive(stage, 1, PLENTY), *s = read_by(stage, 0, PLENTY);
    reply(stage, s, "P=1;");
    outbox_begin_read(&stage->outbox, &s->client); /* its next message */
    reply(stage, s, "P=2;");
    assert_int_equal(s->heard_len + stage->outbox.counts.writes, 0);
    reply(stage, other, "P=3;"); /* is not read: at once */
    assert_int_equal(listen_to(other).frames, 1);
    settle(stage, other); /* nothing */
    assert_int_equal(s->heard_len, 0);
    settle(stage, s);
    assert_int_equal(stage->outbox.counts.writes, 2);
    assert_int_equal(listen_to(s).frames, 2);
    settle(stage, s);
    reply(stage, s, "P=4;"); /* behind the read: at once */
    assert_int_equal(stage->outbox.counts.writes, 3);
    assert_int_equal(listen_to(s).frames, 3);
}

static void they_keep_their_place_among_frames(void **state)
{
    struct stage *stage = *state;
    struct socket *s = read_by(stage, 0, PLENTY);
    reply(stage, s, "P=1;");
    assert_int_equal(add_topic(stage, s, TOPIC_EVENT, NULL), ERR_OK); /* whoever moves is owed nothing */
    assert_string_equal(listen_to(s).order, "P");
    reply(stage, s, "P=2;");
    outbox_flush(&stage->outbox, &s->client);
    assert_string_equal(listen_to(s).order, "PP");
    publish_number(stage, RECORD_EVENT, 0, 0, NO_ORIGIN);
    assert_true(tail_drain(&stage->tail, 1) || !tail_has_more(&stage->tail));
    reply(stage, s, "P=3;"); /* it is owed a frame: that first */
    assert_string_equal(listen_to(s).order, "PPEP");
    reply(stage, s, "P=4;");
    settle(stage, s);
    assert_string_equal(listen_to(s).order, "PPEPP");
}

/* The socket takes a part, or, though it had room when they were kept, nothing. */
static void what_the_socket_does_not_take_keeps_its_place(void **state)
{
    struct stage *stage = *state;
    for (size_t room = 0; room < 18; room++) {
        struct socket *s = read_by(stage, 0, PLENTY);
        reply(stage, s, "P=1;");
        reply(stage, s, "P=2;");
        s->room = room;
        reply(stage, s, "P=3;");
        settle(stage, s);
        assert_true(s->client.choked);
        reply(stage, s, "P=4;");
        give_room(stage, s, PLENTY);
        struct heard heard = listen_to(s);
        assert_string_equal(heard.order, "PPPP");
        assert_int_equal(s->client.own_bytes, 0);
        static const char *const all[] = {"P=1;", "P=2;", "P=3;", "P=4;"};
        for (unsigned i = 0; i < 4; i++)
            assert_memory_equal(s->heard + 6 * i + 2, all[i], 4);
        leave(stage, s);
    }
}

/* It is full before it is settled: a later reply does not overtake. */
static void a_socket_that_fills_up_within_the_read(void **state)
{
    struct stage *stage = *state;
    struct socket *s = read_by(stage, 0, PLENTY);
    reply(stage, s, "P=1;");
    s->remainder = true; /* of a Pong */
    s->room = 0;
    reply(stage, s, "P=2;");
    settle(stage, s);
    assert_int_equal(s->heard_len, 0);
    give_room(stage, s, PLENTY);
    assert_memory_equal(s->heard + 2, "P=1;", 4);
    assert_memory_equal(s->heard + 8, "P=2;", 4);
}

static void who_is_closed_hears_them_first(void **state)
{
    struct stage *stage = *state;
    struct socket *s = read_by(stage, 0, PLENTY);
    reply(stage, s, "P=1;");
    outbox_close(&stage->outbox, &s->client, 1000, "");
    assert_true(s->closed);
    assert_int_equal(listen_to(s).frames, 1);
    reply(stage, s, "P=2;");
    settle(stage, s);
    assert_int_equal(listen_to(s).frames, 1);
}

/* A connection that dies within its read is not settled. */
static void who_is_gone_leaves_nothing(void **state)
{
    struct stage *stage = *state;
    struct socket *gone = read_by(stage, 0, PLENTY);
    reply(stage, gone, "P=1;");
    leave(stage, gone);
    assert_null(stage->outbox.reading);
    struct socket *dead = read_by(stage, 1, PLENTY);
    reply(stage, dead, "P=1;");
    dead->closed = true; /* and is not told yet */
    struct socket *s = read_by(stage, 2, PLENTY);
    reply(stage, s, "P=2;");
    settle(stage, s);
    assert_int_equal(listen_to(s).frames, 1);
    assert_memory_equal(s->heard + 2, "P=2;", 4);
}

static void what_is_kept_is_bounded(void **state)
{
    struct stage *stage = *state;
    static unsigned char frame[OUTBOX_KEPT_MAX + 64];
    struct socket *s = read_by(stage, 0, PLENTY);
    reply(stage, s, "P=1;");
    uint32_t len = make_frame(frame, "P=2;", 4, OUTBOX_KEPT_MAX);
    outbox_own_frame(&stage->outbox, &s->client, frame, len); /* too large to be kept: both go */
    assert_int_equal(listen_to(s).frames, 2);
    len = make_frame(frame, "P=3;", 4, 1000);
    unsigned fit = OUTBOX_KEPT_MAX / len;
    for (unsigned n = 0; n < fit; n++)
        outbox_own_frame(&stage->outbox, &s->client, frame, len);
    assert_int_equal(listen_to(s).frames, 2);
    outbox_own_frame(&stage->outbox, &s->client, frame, len);
    assert_int_equal(listen_to(s).frames, 2 + fit + 1);
    settle(stage, s);
    assert_int_equal(listen_to(s).frames, 2 + fit + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(the_replies_of_a_read_are_one_write),
        PLAY(they_keep_their_place_among_frames),
        PLAY(what_the_socket_does_not_take_keeps_its_place),
        PLAY(a_socket_that_fills_up_within_the_read),
        PLAY(who_is_closed_hears_them_first),
        PLAY(who_is_gone_leaves_nothing),
        PLAY(what_is_kept_is_bounded),
    };
    return cmocka_run_group_tests_name("read_turn", tests, NULL, NULL);
}
