/* The pool and one process that behaves, then pools of several; what handlers may say; deadlines. */
#include "pool_stage.h"

static struct handler_text text(const char *value)
{
    return handler_text(value);
}

static msgpack_object value_of(uint64_t value)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = value};
}

static bool says(struct handler_text got, const char *expected)
{
    return got.len == strlen(expected) && memcmp(got.at, expected, got.len) == 0;
}

static void hello_says_who_and_what(void **state)
{
    (void)state;
    char path[CONF_PATH_MAX];
    struct actor *actor = &stage->actors[1];
    conf_handler_socket(&stage->conf, &stage->handlers[0], 1, path);
    actor_listen(actor, path);
    for (unsigned i = 0; i < 100 && !actor_accept(actor); i++) {
        stage_pass(100);
        stage_turn(1);
    }
    actor_wait(actor, HANDLER_HELLO);
    const struct handler_message *hello = &actor->message;
    assert_int_equal(hello->version, HANDLER_VERSION);
    assert_true(says(hello->handler, "chat"));
    assert_true(says(hello->worker, "worker.0"));
    assert_int_equal(hello->max_answer_bytes, STAGE_ANSWER_MAX);
    assert_int_equal(hello->deadline_ms, STAGE_DEADLINE_MS);
    assert_int_equal(hello->endpoint_count, 2);
    assert_true(says(hello->endpoints[0].path, "/chat"));
    assert_false(hello->endpoints[0].traditional);
    assert_true(says(hello->endpoints[1].path, "/chat-raw"));
    assert_true(hello->endpoints[1].traditional);
    assert_int_equal(counts()->links, 0);
}

static void one_round(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *actor = &stage->out;
    actor_greet(actor);
    visitor_open(&ana, 2);
    actor_wait(actor, HANDLER_OPEN);
    assert_true(says(actor->message.path, "/out"));
    assert_true(says(actor->message.query, "a=b"));
    assert_true(says(actor->message.principal, "ana"));
    assert_true(says(actor->message.peer, "127.0.0.1:4"));
    assert_false(actor->message.resumed);
    assert_int_equal(actor->message.event, 1);
    actor_taken(actor);
    assert_int_equal(visitor_send(&ana, 7), ERR_OK);
    uint64_t event = actor_message(actor, 7);
    assert_int_equal(event, 2);
    actor_reply(actor, event, 70);
    visitor_answered(&ana, 1, POOL_REPLY);
    assert_int_equal(ana.tokens[0], 7);
    assert_int_equal(ana.last.status, 200);
    assert_int_equal(ana.last_value, 70);
    visitor_close(&ana);
    actor_close(actor);
    stage_until(counts()->conns == 0);
    assert_int_equal(counts()->opened, 1);
    assert_int_equal(counts()->closed, 1);
    assert_int_equal(counts()->resumed, 0);
    assert_int_equal(counts()->waiting, 0);
    assert_int_equal(counts()->waiting_bytes, 0);
}

static void messages_do_not_wait_for_taken_and_replies_come_in_any_order(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *actor = &stage->out;
    actor_greet(actor);
    visitor_open(&ana, 2);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(visitor_send(&ana, i), ERR_OK);
    actor_wait(actor, HANDLER_OPEN);
    uint64_t open = actor->message.event, events[4];
    for (uint64_t i = 1; i <= 3; i++)
        events[i] = actor_message(actor, i);
    actor_say(actor, &(struct handler_message){.type = HANDLER_TAKEN, .event = open});
    for (uint64_t i = 3; i >= 1; i--)
        actor_reply(actor, events[i], i);
    visitor_answered(&ana, 3, POOL_REPLY);
    assert_int_equal(ana.tokens[0], 3);
    assert_int_equal(ana.tokens[2], 1);
    visitor_close(&ana);
    actor_close(actor);
    stage_until(counts()->conns == 0);
}

static void events_of_the_pool_may_use_it(void **state)
{
    (void)state;
    struct visitor ana = {.again = 2, .close_when_answered = false}, eva = {.close_when_answered = true};
    struct actor *actor = &stage->out;
    actor_greet(actor);
    visitor_open(&ana, 2);
    visitor_open(&eva, 2);
    actor_open(actor, false);
    actor_open(actor, false);
    visitor_send(&ana, 1);
    visitor_send(&eva, 2);
    visitor_send(&eva, 3);
    for (unsigned i = 0; i < 6; i++) {
        stage_until(actor_take(actor));
        if (actor->message.type == HANDLER_MESSAGE)
            actor_reply(actor, actor->message.event, 9);
        else
            actor_taken(actor); /* eva's CLOSED */
    }
    stage_until(ana.answers == 3 && counts()->late == 1);
    assert_int_equal(ana.tokens[2], 2001);
    assert_int_equal(eva.answers, 1); /* it closed: the other is nobody's */
    assert_int_equal(counts()->abandoned, 1);
    visitor_close(&ana);
    actor_close(actor);
    stage_until(counts()->conns == 0);
}

/* --- whose a connection is ------------------------------------------------------------------------------------------------------ */

static void the_process_with_the_fewest(void **state)
{
    (void)state;
    struct visitor visitors[6] = {0};
    unsigned had[STAGE_PROCESSES] = {0};
    for (unsigned k = 0; k < STAGE_PROCESSES; k++)
        actor_greet(&stage->actors[k]);
    for (unsigned i = 0; i < 6; i++) {
        visitor_open(&visitors[i], i % 2);
        struct actor *actor = actor_any();
        actor_open(actor, false);
        had[actor - stage->actors]++;
    }
    for (unsigned k = 0; k < STAGE_PROCESSES; k++)
        assert_int_equal(had[k], 2);
    for (unsigned i = 0; i < 6; i++)
        visitor_close(&visitors[i]);
    for (unsigned i = 0; i < 6; i++)
        actor_close(actor_any());
    stage_until(counts()->conns == 0);
}

static void one_that_is_overdue_is_avoided(void **state)
{
    (void)state;
    struct visitor first = {0}, others[4] = {0};
    actor_greet(&stage->actors[0]);
    visitor_open(&first, 0);
    actor_open(&stage->actors[0], false);
    visitor_send(&first, 1);
    actor_message(&stage->actors[0], 1);
    actor_greet(&stage->actors[1]);
    stage_pass(STAGE_DEADLINE_MS);
    visitor_answered(&first, 1, POOL_TIMEOUT);
    for (unsigned i = 0; i < 4; i++) {
        visitor_open(&others[i], 0);
        actor_open(&stage->actors[1], false);
    }
    actor_quiet(&stage->actors[0]);
    actor_reply(&stage->actors[0], stage->actors[0].message.event, 1);
    stage_until(counts()->late == 1);
    assert_int_equal(first.answers, 1);
    visitor_close(&first);
    actor_close(&stage->actors[0]);
    for (unsigned i = 0; i < 4; i++) {
        visitor_close(&others[i]);
        actor_close(&stage->actors[1]);
    }
    stage_until(counts()->conns == 0);
}

static void connections_wait_for_a_process(void **state)
{
    (void)state;
    struct visitor ana = {0}, eva = {0};
    visitor_open(&ana, 2);
    visitor_open(&eva, 2);
    visitor_send(&eva, 5);
    visitor_close(&ana); /* before its OPEN was written: nothing of it is */
    stage_turn(4);
    actor_greet(&stage->out);
    actor_open(&stage->out, false);
    actor_reply(&stage->out, actor_message(&stage->out, 5), 5);
    visitor_answered(&eva, 1, POOL_REPLY);
    assert_int_equal(counts()->opened, 1);
    visitor_close(&eva);
    actor_close(&stage->out);
    actor_quiet(&stage->out);
}

static void what_a_client_said_before_it_went_arrives(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    visitor_send(&ana, 1);
    visitor_send(&ana, 2);
    visitor_close(&ana);
    assert_int_equal(counts()->abandoned, 2);
    uint64_t first = actor_message(&stage->out, 1), second = actor_message(&stage->out, 2);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
    actor_reply(&stage->out, first, 1);
    actor_reply(&stage->out, second, 1);
    stage_until(counts()->late == 2);
}

static void closed_waits_for_taken(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_wait(&stage->out, HANDLER_OPEN);
    visitor_close(&ana);
    actor_quiet(&stage->out);
    actor_taken(&stage->out);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

/* --- deadlines -------------------------------------------------------------------------------------------------------------------- */

static void a_deadline_runs_from_the_sending(void **state)
{
    (void)state;
    struct visitor ana = {0};
    visitor_open(&ana, 2);
    visitor_send(&ana, 1);
    stage_pass(STAGE_DEADLINE_MS - 1);
    assert_int_equal(ana.answers, 0);
    visitor_send(&ana, 2);
    stage_pass(1);
    visitor_answered(&ana, 1, POOL_UNAVAILABLE);
    assert_int_equal(ana.tokens[0], 1);
    actor_greet(&stage->out); /* time passes */
    actor_open(&stage->out, false);
    if (ana.answers == 1)
        actor_reply(&stage->out, actor_message(&stage->out, 2), 1);
    else
        actor_quiet(&stage->out);
    stage_until(ana.answers == 2);
    visitor_send(&ana, 3);
    uint64_t event = actor_message(&stage->out, 3);
    stage_pass(STAGE_DEADLINE_MS);
    visitor_answered(&ana, 3, POOL_TIMEOUT);
    actor_reply(&stage->out, event, 3);
    stage_until(counts()->late == 1);
    assert_int_equal(ana.answers, 3);
    visitor_close(&ana);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

static void a_deadline_of_a_client_that_is_gone_tells_nobody(void **state)
{
    (void)state;
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_open(&stage->out, false);
    visitor_send(&ana, 1);
    uint64_t event = actor_message(&stage->out, 1);
    visitor_close(&ana);
    stage_pass(STAGE_DEADLINE_MS);
    assert_int_equal(counts()->timeouts, 0);
    actor_reply(&stage->out, event, 1);
    actor_close(&stage->out);
    stage_until(counts()->late == 1 && counts()->conns == 0);
}

/* --- what handlers say ---------------------------------------------------------------------------------------------------------------- */

static void handlers_speak_unasked(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *actor = &stage->out;
    actor_greet(actor);
    visitor_open(&ana, 2);
    actor_open(actor, false);
    uint64_t conn = actor->message.conn;
    actor_say(actor, &(struct handler_message){
                         .type = HANDLER_SEND, .conn = conn, .status = 201, .body = value_of(4)});
    stage_until(ana.sends == 1);
    assert_int_equal(ana.last.status, 201);
    assert_int_equal(ana.last_value, 4);
    actor_say(actor,
              &(struct handler_message){.type = HANDLER_SUBSCRIBE, .conn = conn, .topic = text("küche")});
    stage_until(ana.subscribes == 1);
    assert_string_equal(ana.text, "küche");
    actor_say(actor,
              &(struct handler_message){.type = HANDLER_UNSUBSCRIBE, .conn = conn, .topic = text("a")});
    stage_until(ana.unsubscribes == 1);
    actor_say(actor, &(struct handler_message){.type = HANDLER_PUBLISH,
                                               .path = text("/out"),
                                               .topic = text("küche"),
                                               .status = 200,
                                               .body = value_of(11),
                                               .except = conn});
    stage_until(counts()->publishes == 1);
    assert_string_equal(stage->published_to, "1 /out küche");
    assert_int_equal(stage->published_value, 11);
    assert_ptr_equal(stage->published_except, &ana);
    actor_say(actor, &(struct handler_message){
                         .type = HANDLER_CLOSE, .conn = conn, .code = 1u << 31, .reason = text("genug")});
    stage_until(ana.closes == 1);
    assert_int_equal(ana.close_code, 1u << 31); /* whether it may be is the owner's business */
    assert_string_equal(ana.text, "genug");
    actor_wait(actor, HANDLER_CLOSED);
    actor_say(actor, &(struct handler_message){
                         .type = HANDLER_SEND, .conn = conn, .status = 200, .body = value_of(4)});
    actor_taken(actor);
    stage_until(counts()->conns == 0);
    assert_int_equal(counts()->sends_lost, 1);
    assert_int_equal(counts()->links, 1);
}

static void a_publication_that_cannot_be_is_no_breach(void **state)
{
    (void)state;
    struct actor *actor = &stage->out;
    actor_greet(actor);
    stage->publish_result = ERR_NOT_FOUND;
    actor_say(actor, &(struct handler_message){.type = HANDLER_PUBLISH,
                                               .path = text("/oops"),
                                               .topic = text(""),
                                               .status = 200,
                                               .body = value_of(1),
                                               .except = 99});
    stage_until(counts()->publishes_lost == 1);
    assert_null(stage->published_except);
    assert_int_equal(counts()->links, 1);
}

static void a_link_pauses_while_nothing_may_be_published(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *actor = &stage->out;
    actor_greet(actor);
    visitor_open(&ana, 2);
    actor_open(actor, false);
    visitor_send(&ana, 1);
    uint64_t event = actor_message(actor, 1);
    stage->may_publish = false;
    struct handler_message publish = {
        .type = HANDLER_PUBLISH, .path = text("/out"), .topic = text(""), .status = 200, .body = value_of(1)};
    for (unsigned i = 0; i < 3; i++)
        actor_say(actor, &publish);
    actor_reply(actor, event, 1);
    stage_until(stage->pool->paused == 1);
    stage_turn(5);
    assert_int_equal(stage->publishes, 0);
    assert_int_equal(ana.answers, 0);
    stage->may_publish = true;
    pool_tick(stage->pool);
    assert_int_equal(stage->publishes, 3);
    visitor_answered(&ana, 1, POOL_REPLY);
    stage->may_publish = false; /* and at the end of the stream, too */
    actor_say(actor, &publish);
    actor_die(actor);
    stage_until(stage->pool->paused == 1);
    stage_turn(5);
    assert_int_equal(counts()->links, 1);
    stage->may_publish = true;
    stage_until(counts()->links == 0);
    assert_int_equal(stage->publishes, 4);
    visitor_close(&ana);
}

static void unknown_messages_are_ignored(void **state)
{
    (void)state;
    static const unsigned char later[] = {0, 0, 0, 4, 0x92, 0xcc, 200, 0xc0};
    struct visitor ana = {0};
    actor_greet(&stage->out);
    visitor_open(&ana, 2);
    actor_wait(&stage->out, HANDLER_OPEN);
    actor_say_bytes(&stage->out, later, sizeof later);
    actor_taken(&stage->out);
    visitor_send(&ana, 1);
    actor_reply(&stage->out, actor_message(&stage->out, 1), 1);
    visitor_answered(&ana, 1, POOL_REPLY);
    assert_int_equal(counts()->malformed, 0);
    visitor_close(&ana);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

static void bodies_that_no_message_carries_are_refused(void **state)
{
    (void)state;
    struct visitor ana = {0};
    char deep[HANDLER_DEPTH_MAX + 2];
    memset(deep, 0x91, sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    visitor_open(&ana, 2);
    assert_int_equal(pool_send(ana.conn, "\xc1", 1, 1), ERR_MALFORMED);
    assert_int_equal(pool_send(ana.conn, deep, sizeof deep, 1), ERR_TOO_LARGE);
    assert_int_equal(counts()->messages, 0);
    struct pool_client bad = {.endpoint = 2, .query = "a=\xff", .principal = "", .peer = ""};
    assert_null(pool_open(stage->pool, &bad, &ana));
    visitor_close(&ana);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(hello_says_who_and_what),
        T(one_round),
        T(messages_do_not_wait_for_taken_and_replies_come_in_any_order),
        T(events_of_the_pool_may_use_it),
        T(the_process_with_the_fewest),
        T(one_that_is_overdue_is_avoided),
        T(connections_wait_for_a_process),
        T(what_a_client_said_before_it_went_arrives),
        T(closed_waits_for_taken),
        T(a_deadline_runs_from_the_sending),
        T(a_deadline_of_a_client_that_is_gone_tells_nobody),
        T(handlers_speak_unasked),
        T(a_publication_that_cannot_be_is_no_breach),
        T(a_link_pauses_while_nothing_may_be_published),
        T(unknown_messages_are_ignored),
        T(bodies_that_no_message_carries_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
