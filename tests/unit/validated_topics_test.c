/* Endpoints over a played API and a played pool: topics that a handler subscribes its clients to, and what it publishes there. */
#include "validated_internal.h"
#include "validated_play.h"

/* --- topics ------------------------------------------------------------------------------------------------------------- */

static void topics(void **state)
{
    (void)state;
    struct topic topic;
    struct endpoint_conn *c = stage_connect("/chat");
    topic_make_endpoint(&topic, "/chat", "room", 4);
    stage.events->subscribe(c, handler_text("room"), true);
    stage.events->subscribe(c, handler_text("room"), true); /* again: nothing */
    assert_int_equal(c->topic_count, 2);
    assert_true(endpoint_is_subscribed(c, &topic));
    stage.events->subscribe(c, handler_text("room"), false);
    stage.events->subscribe(c, handler_text("room"), false);
    assert_int_equal(c->topic_count, 1);
    stage.events->subscribe(c, handler_text(""), false); /* everybody's stays */
    stage.events->subscribe(c, handler_text(""), true);
    stage.events->subscribe(c, handler_text("a\xff"), true);
    char name[62];
    memset(name, 'n', sizeof name);
    stage.events->subscribe(c, (struct handler_text){name, 61}, true);
    assert_int_equal(c->topic_count, 1);
    assert_int_equal(faults(VALIDATED_FAULT_TOPIC), 4);
    stage.events->subscribe(c, (struct handler_text){name, 60}, true);
    assert_int_equal(c->topic_count, 2);
    /* one that has the hash of another */
    topic_make_endpoint(&topic, "/chat", "room", 4);
    c->topics[1].hash = topic.hash;
    stage.events->subscribe(c, handler_text("room"), true);
    stage.events->subscribe(c, handler_text("room"), false);
    assert_int_equal(c->topic_count, 2);
    assert_int_equal(faults(VALIDATED_FAULT_TOPIC), 6);
    c->wants_subscribe_error = true; /* more than a connection may have */
    stage.events->subscribe(c, handler_text("one more"), true);
    assert_int_equal(faults(VALIDATED_FAULT_TOPIC), 7);
    assert_int_equal(c->close_code, 0);
    stage_disconnect(c);
}

static void publications(void **state)
{
    (void)state;
    struct topic topic;
    struct endpoint_conn *c = stage_connect("/chat");
    assert_int_equal(stage_publish(0, "/chat", "room", 200, "{\"news\":[1]}", c), ERR_OK);
    topic_make_endpoint(&topic, "/chat", "room", 4);
    assert_int_equal(stage.publication.topic.hash, topic.hash);
    assert_string_equal(stage.publication.payload, "{\"statusCode\":200,\"body\":{\"news\":[1]}}");
    assert_false(stage.publication.binary);
    assert_ptr_equal(stage.publication.except, c);
    assert_int_equal(stage_publish(0, "/any", "", 201, "1", NULL), ERR_OK);
    assert_string_equal(stage.publication.payload, "{\"statusCode\":201,\"body\":1}");
    assert_true(stage.publication.binary);
    assert_int_equal(stage_publish(0, "/raw", "", 200, "\"bare\"", NULL), ERR_OK);
    assert_string_equal(stage.publication.payload, "bare");
    assert_false(stage.publication.binary);
    expect_nothing(c); /* it goes through the ring */
    assert_int_equal(validated_counts(&stage.own)->published, 3);
    assert_int_equal(stage_publish(0, "/other", "", 200, "1", NULL), ERR_NOT_FOUND); /* not its own */
    assert_int_equal(stage_publish(0, "/nowhere", "", 200, "1", NULL), ERR_NOT_FOUND);
    assert_int_equal(stage_publish(1, "/other", "", 200, "1", NULL), ERR_OK);
    assert_int_equal(stage_publish(0, "/chat", "a\xff", 200, "1", NULL), ERR_MALFORMED);
    assert_int_equal(stage_publish(0, "/chat", "", 600, "1", NULL), ERR_MALFORMED);
    char *text = letters(ENDPOINT_PUBLISH_MAX, 'x');
    assert_int_equal(stage_publish(0, "/raw", "", 200, text, NULL), ERR_OK);
    assert_int_equal(stage_publish(0, "/any", "", 200, text, NULL), ERR_MALFORMED);
    free(text);
    stage.will.publish = ERR_FULL;
    assert_int_equal(stage_publish(0, "/chat", "", 200, "1", NULL), ERR_FULL);
    assert_int_equal(stage.publications, 5);
    assert_true(stage.events->may_publish(stage.events_arg));
    stage.may_publish = false;
    assert_false(stage.events->may_publish(stage.events_arg));
    stage_disconnect(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(topics),
        PLAY(publications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
