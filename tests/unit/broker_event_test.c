/* broker: what the store has committed is in the ring once, in order, and acknowledged with its place. Brokers that die meanwhile are in
 * broker_event_death_test.c. */
#include "broker_store_stage.h"

enum { SOURCE = 0xabc, OTHER = 0xdef };

static void an_event_is_one_record_on_its_channel_and_on_general(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static const char payload[] = "{\"type\":\"entity_event\",\"data\":{\"modelo\":\"ñ\"}}";
    store_open(stage, &store, 700);
    store_says(&store, SOURCE, 1, "sensors", payload);
    const struct seen_record *event = wait_event(stage, SOURCE, 0);
    assert_int_equal(event->dialect, DIALECT_CHANNELS);
    assert_int_equal(event->origin_mode, ORIGIN_NONE);
    assert_int_equal(event->topic_count, 2);
    assert_string_equal(event->topics[0], "channel/sensors");
    assert_string_equal(event->topics[1], "channel/general");
    assert_true(event->source.source == SOURCE && event->source.source_seq == 1);
    assert_int_equal(event->source.position, 0);
    carries(stage, event, payload);
    is_ack(wait_ack(stage, &store, 0), SOURCE, 1, ring_reader_id(stage->ring), event->position);
    assert_int_equal(counter(stage, "channel_events"), 1);
}

static void one_on_general_names_it_once(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    store_says(&store, SOURCE, 1, "general", "{\"a\":1}");
    const struct seen_record *event = wait_event(stage, SOURCE, 0);
    assert_int_equal(event->topic_count, 1);
    assert_string_equal(event->topics[0], "channel/general");
}

static void an_object_without_members_gets_seq_alone(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static const char *const empty[] = {"{}", "{   }"};
    char expected[64];
    store_open(stage, &store, 700);
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        store_says(&store, SOURCE, i + 1, "sensors", empty[i]);
        const struct seen_record *event = wait_event(stage, SOURCE, i);
        snprintf(expected, sizeof expected, "{\"seq\":\"%08x-%llu\"}", ring_reader_id(stage->ring),
                 (unsigned long long)event->position / 64);
        assert_string_equal(event->frame, expected);
    }
}

static void the_largest_event_is_one_record_too(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static char payload[WIRE_EVENT_PAYLOAD_MAX + 1];
    memset(payload, 'x', sizeof payload - 1);
    memcpy(payload, "{\"a\":\"", 6);
    memcpy(payload + sizeof payload - 3, "\"}", 2);
    store_open(stage, &store, 700);
    store_says(&store, SOURCE, 1, "0123456789012345678901234567890123456789012345678901234567890123",
               payload);
    const struct seen_record *event = wait_event(stage, SOURCE, 0);
    assert_true(event->frame_len > WIRE_EVENT_PAYLOAD_MAX);
    assert_int_equal(strlen(event->topics[0]), 8 + 64);
}

static void a_source_is_told_its_last_number(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    store_says_source(&store, SOURCE);
    is_ack(wait_ack(stage, &store, 0), SOURCE, 0, 0, 0);
    store_says(&store, SOURCE, 41, "sensors", "{\"a\":1}");
    store_says(&store, SOURCE, 42, "sensors", "{\"a\":2}");
    store_says_source(&store, SOURCE);
    uint64_t ring_id = ring_reader_id(stage->ring);
    wait_ack(stage, &store, 3);
    is_ack(&store.acked[3], SOURCE, 42, ring_id, wait_event(stage, SOURCE, 1)->position);
    assert_int_equal(counter(stage, "event_gaps"), 0);
}

static void what_is_public_is_acknowledged_again_with_its_place(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    for (uint64_t seq = 1; seq <= WIRE_EVENTS_WINDOW + 3; seq++)
        store_says(&store, SOURCE, seq, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, WIRE_EVENTS_WINDOW + 2);
    static const uint64_t again[] = {1, 3, 4, WIRE_EVENTS_WINDOW, WIRE_EVENTS_WINDOW + 3};
    for (size_t i = 0; i < ARRAY_LEN(again); i++)
        store_says(&store, SOURCE, again[i], "sensors", "{\"a\":1}");
    wait_ack(stage, &store, WIRE_EVENTS_WINDOW + 2 + ARRAY_LEN(again));
    for (size_t i = 0; i < ARRAY_LEN(again); i++) {
        const struct wire_event_ack *ack = &store.acked[WIRE_EVENTS_WINDOW + 3 + i];
        if (again[i] > 3) /* of the last WIRE_EVENTS_WINDOW: the place is known */
            is_ack(ack, SOURCE, again[i], ring_reader_id(stage->ring),
                   wait_event(stage, SOURCE, again[i] - 1)->position);
        else
            is_ack(ack, SOURCE, again[i], 0, 0);
    }
    assert_int_equal(counter(stage, "event_repeats"), ARRAY_LEN(again));
    assert_null(nth_event(stage, SOURCE, WIRE_EVENTS_WINDOW + 3));
}

/* The store's own table has rows between its events. */
static void a_jump_is_counted_and_right(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static const uint64_t numbers[] = {5, 6, 9, 9 + WIRE_EVENTS_WINDOW, 2000};
    store_open(stage, &store, 700);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        store_says(&store, SOURCE, numbers[i], "sensors", "{\"a\":1}");
    store_says(&store, SOURCE, 8, "sensors", "{\"a\":1}"); /* never was */
    wait_ack(stage, &store, ARRAY_LEN(numbers));
    is_ack(&store.acked[ARRAY_LEN(numbers)], SOURCE, 8, 0, 0);
    assert_int_equal(counter(stage, "event_gaps"), 3);
    assert_int_equal(counter(stage, "channel_events"), ARRAY_LEN(numbers));
}

static void sources_do_not_know_each_other(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        store_says(&store, SOURCE, seq, "sensors", "{\"a\":1}");
        store_says(&store, OTHER, seq + 10, "readings", "{\"b\":1}");
    }
    store_says(&store, SOURCE, 3, "sensors", "{\"a\":1}");
    store_says(&store, OTHER, 13, "readings", "{\"b\":1}");
    wait_ack(stage, &store, 7);
    uint64_t ring_id = ring_reader_id(stage->ring);
    is_ack(&store.acked[6], SOURCE, 3, ring_id, wait_event(stage, SOURCE, 2)->position);
    is_ack(&store.acked[7], OTHER, 13, ring_id, wait_event(stage, OTHER, 2)->position);
    assert_int_equal(counter(stage, "channel_events"), 6);
}

/* It would stand in the way of all that follow. */
static void what_makes_no_sense_is_not_shown_and_acknowledged_all_the_same(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static const struct {
        const char *channel, *payload;
    } senseless[] = {{"", "{\"a\":1}"},
                     {"sen sors", "{\"a\":1}"},
                     {"a/b", "{\"a\":1}"},
                     {"sensors", ""},
                     {"sensors", "{"},
                     {"sensors", "}"},
                     {"sensors", "[1]"},
                     {"sensors", "{\"a\":1} "},
                     {"sensors", " {\"a\":1}"},
                     {"sensors", "{\"a\":\"\xff\"}"},
                     {"sensors", "{\"a\":\"\xed\xa0\x80\"}"},
                     {"sensors", "{\"a\":\"\n\"}"}};
    store_open(stage, &store, 700);
    uint64_t seq = 0;
    for (size_t i = 0; i < ARRAY_LEN(senseless); i++)
        store_says(&store, SOURCE, ++seq, senseless[i].channel, senseless[i].payload);
    struct wire_message zero = event_message(SOURCE, ++seq, "sensors", "");
    zero.event.payload = (struct wire_text){"{\"a\":\"\0\"}", 9};
    assert_int_equal(link_send(store.end.link, &zero), ERR_OK);
    for (size_t i = 0; i < seq; i++)
        is_ack(wait_ack(stage, &store, i), SOURCE, i + 1, 0, 0);
    assert_int_equal(counter(stage, "invalid"), seq);
    store_says(&store, SOURCE, ++seq, "sensors", "{\"a\":1}");
    const struct seen_record *event = wait_event(stage, SOURCE, 0);
    assert_int_equal(event->source.source_seq, seq);
    assert_int_equal(counter(stage, "channel_events"), 1);
}

static void numbers_are_not_zero_and_only_a_store_has_them(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker;
    struct wire_message event = event_message(SOURCE, 1, "sensors", "{\"a\":1}");
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    assert_int_equal(link_send(worker.end.link, &event), ERR_OK);
    struct wire_message source = {.type = WIRE_SOURCE, .source = {SOURCE}};
    assert_int_equal(link_send(worker.end.link, &source), ERR_OK);
    wait_counter(stage, "invalid", 2);
    store_says(&store, 0, 1, "sensors", "{\"a\":1}");
    store_says(&store, SOURCE, 0, "sensors", "{\"a\":1}");
    store_says_source(&store, 0);
    store_says(&store, SOURCE, 1, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, 0);
    assert_int_equal(store.acks, 1);
    assert_int_equal(counter(stage, "invalid"), 5);
    assert_int_equal(worker.end.downs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(an_event_is_one_record_on_its_channel_and_on_general),
        PLAY(one_on_general_names_it_once),
        PLAY(an_object_without_members_gets_seq_alone),
        PLAY(the_largest_event_is_one_record_too),
        PLAY(a_source_is_told_its_last_number),
        PLAY(what_is_public_is_acknowledged_again_with_its_place),
        PLAY(a_jump_is_counted_and_right),
        PLAY(sources_do_not_know_each_other),
        PLAY(what_makes_no_sense_is_not_shown_and_acknowledged_all_the_same),
        PLAY(numbers_are_not_zero_and_only_a_store_has_them),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_event_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker events", tests, NULL, NULL);
}
