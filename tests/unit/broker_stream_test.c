/* broker: what clients and handlers say to clients is in the ring once, in order per worker. Brokers that die meanwhile are in
 * broker_stream_death_test.c. */
#include "broker_stream_stage.h"

static void a_message_is_one_record(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    say(&worker, 1, 2, "{\"a\": 1}");
    const struct seen_record *record = wait_record(stage, RECORD_STREAM, 0);
    assert_string_equal(record->frame, "{\"a\": 1}");
    assert_int_equal(record->dialect, DIALECT_STREAMS);
    assert_int_equal(record->origin_mode, ORIGIN_NOT);
    assert_true(record->origin.worker == 900 && record->origin.serial == SERIAL);
    assert_int_equal(record->topic_count, 2);
    assert_string_equal(record->topics[0], "stream/0");
    assert_string_equal(record->topics[1], "stream/1");
    assert_true(record->topics_hash == topic_hash("stream/0", 8) + topic_hash("stream/1", 8));
    assert_true(record->source_ns == 4711);
    has_exactly(stage, 900, 1, 1, 1);
    wait_counter(stage, "stream_messages", 1);
    assert_int_equal(counter(stage, "stream_parts"), 1);
}

/* Its worker finds its number, and nobody is left out. */
static void an_echo_names_its_origin_and_leaves_nobody_out(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    struct wire_message message = publish_message(1, names(0, 1, false), "");
    message.publish.echo = true;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    const struct seen_record *record = wait_record(stage, RECORD_STREAM, 0);
    assert_int_equal(record->origin_mode, ORIGIN_NONE);
    assert_true(record->origin.worker == 900 && record->origin.serial == SERIAL);
    assert_int_equal(record->frame_len, 2); /* an empty payload is a message, too */
}

static void a_handlers_message_is_a_record_of_its_dialect(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    static const struct wire_text to = TEXT("\016endpoint/chat#\022endpoint/chat#room");
    static const struct {
        uint64_t serial;
        bool echo, binary;
        enum record_origin_e mode;
    } sent[] = {{0, false, false, ORIGIN_NONE},
                {0, true, true, ORIGIN_NONE},
                {SERIAL, false, true, ORIGIN_NOT},
                {SERIAL, true, false, ORIGIN_NONE}};
    for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
        struct wire_message message = endpoint_message(i + 1, to, sent[i].serial);
        message.publish.echo = sent[i].echo;
        message.publish.binary = sent[i].binary;
        if (sent[i].binary)
            message.publish.payload = TEXT("\xff\xfe any");
        assert_int_equal(link_send(worker.link, &message), ERR_OK);
        const struct seen_record *record = wait_record(stage, RECORD_STREAM, i);
        assert_int_equal(record->dialect, DIALECT_ENDPOINTS);
        assert_int_equal(record->origin_mode, sent[i].mode);
        assert_true(record->origin.worker == 900 && record->origin.serial == sent[i].serial);
        assert_int_equal(record->opcode, sent[i].binary ? 0x82 : 0x81);
        assert_string_equal(record->frame, sent[i].binary ? "\xff\xfe any" : "{\"statusCode\": 200}");
        assert_string_equal(record->topics[0], "endpoint/chat#");
        assert_string_equal(record->topics[1], "endpoint/chat#room");
    }
    has_exactly(stage, 900, 1, ARRAY_LEN(sent), 1);
    assert_int_equal(counter(stage, "invalid"), 0);
}

static uint64_t hash_of_names(unsigned count)
{
    char name[WIRE_TOPIC_MAX + 1];
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += topic_hash(name, (size_t)snprintf(name, sizeof name, "stream/%0128u", i));
    return sum;
}

/* The largest message there is. Whoever sees a part of it sees all of it. */
static void a_thousand_topics_become_visible_at_once(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    static char payload[PAYLOAD_MAX];
    enum { PARTS = 63 };
    memset(payload, 'p', sizeof payload);
    worker_open(stage, &worker, 900, UINT32_MAX);
    struct wire_message message = publish_message(1, names(0, 1000, true), "");
    message.publish.payload = (struct wire_text){payload, sizeof payload};
    for (uint64_t round = 0; round < 5; round++) {
        stage->record_count = 0;
        message.publish.publish_seq = round + 1;
        uint64_t head = ring_reader_head(stage->ring), deadline = real_ms() + DEADLINE_MS;
        assert_int_equal(link_send(worker.link, &message), ERR_OK);
        while (ring_reader_head(stage->ring) == head)
            assert_true(real_ms() < deadline);
        read_ring(stage);
        has_exactly(stage, 900, round + 1, round + 1, PARTS);
        uint64_t hash = 0;
        for (size_t i = 0; i < PARTS; i++) {
            const struct seen_record *part = nth(stage, RECORD_STREAM, i);
            hash += part->topics_hash;
            assert_int_equal(part->topic_count, i < PARTS - 1 ? 16 : 1000 % 16);
            assert_int_equal(part->frame_len, i == 0 ? PAYLOAD_MAX + 10 : 0);
            assert_true(part->origin.worker == 900 && part->origin.serial == SERIAL);
            assert_int_equal(part->origin_mode, ORIGIN_NOT);
        }
        assert_true(hash == hash_of_names(1000));
    }
    wait_counter(stage, "stream_messages", 5);
    assert_int_equal(counter(stage, "stream_parts"), 5 * PARTS);
    assert_int_equal(counter(stage, "appends_failed"), 0);
}

static void sixteen_topics_are_one_record_and_seventeen_two(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    say(&worker, 1, 16, "one");
    say(&worker, 2, 17, "two");
    assert_int_equal(wait_record(stage, RECORD_STREAM, 2)->stream.part, 1);
    assert_int_equal(nth(stage, RECORD_STREAM, 0)->topic_count, 16);
    assert_int_equal(nth(stage, RECORD_STREAM, 1)->topic_count, 16);
    assert_int_equal(nth(stage, RECORD_STREAM, 2)->topic_count, 1);
    assert_string_equal(nth(stage, RECORD_STREAM, 2)->topics[0], "stream/16");
}

static void what_is_in_the_ring_is_not_published_again(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    static const uint64_t said[] = {1, 2, 3, 2, 3, 4, 1, 5};
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        say(&worker, said[i], 1, "x");
    wait_counter(stage, "stream_messages", 5);
    read_ring(stage);
    has_exactly(stage, 900, 1, 5, 1);
    assert_int_equal(counter(stage, "stream_repeats"), 3);
    assert_int_equal(counter(stage, "stream_gaps"), 0);
}

static void each_workers_messages_stay_in_order(void **state)
{
    struct stage *stage = *state;
    static struct end one, two;
    worker_open(stage, &one, 900, UINT32_MAX);
    worker_open(stage, &two, 901, UINT32_MAX);
    for (uint64_t seq = 1; seq <= 200; seq++) { /* both count from 1 */
        say(&one, seq, 1 + (unsigned)seq % 40, "one");
        say(&two, seq, 1, "two");
    }
    wait_counter(stage, "stream_messages", 400);
    read_ring(stage);
    has_exactly(stage, 901, 1, 200, 1);
    uint64_t seq = 0;
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        if (record->kind == RECORD_STREAM && record->origin.worker == 900 && record->stream.part == 0)
            assert_int_equal(record->stream.publish_seq, ++seq);
    }
    assert_int_equal(seq, 200);
}

/* --- what makes no sense ------------------------------------------------------------------------------------------- */

static void what_makes_no_sense_is_dropped_and_stops_nothing(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    static const struct {
        uint64_t dialect;
        struct wire_text topics, payload;
    } wrong[] = {
        {0, TEXT("\011stream/a0"), TEXT("dialect")},
        {DIALECT_CAROUSEL, TEXT("\011stream/a0"), TEXT("dialect")},
        {DIALECT_CHANNELS, TEXT("\011stream/a0"), TEXT("dialect")},
        {UINT64_MAX, TEXT("\011stream/a0"), TEXT("dialect")},
        {DIALECT_STREAMS, TEXT(""), TEXT("no topic")},
        {DIALECT_STREAMS, TEXT("\010state/m1"), TEXT("another's topic")},
        {DIALECT_STREAMS, TEXT("\011stream/a0\007state/#"), TEXT("another's topic")},
        {DIALECT_STREAMS, TEXT("\007stream/"), TEXT("no id")},
        {DIALECT_STREAMS, TEXT("\006stream"), TEXT("no id")},
        {DIALECT_STREAMS, TEXT("\001s"), TEXT("no id")},
        {DIALECT_STREAMS, TEXT("\011stream/a0\011stream/a"), TEXT("cut")},
        {DIALECT_STREAMS, TEXT("\011stream/a0\0"), TEXT("an empty name")},
        {DIALECT_STREAMS, TEXT("\011stream/a0"), TEXT("\xff")},
        {DIALECT_STREAMS, TEXT("\011stream/a0"), TEXT("12345678901234567\xc0\x80")},
        {DIALECT_STREAMS, TEXT("\011stream/a0"), TEXT("1234567\xed\xa0\x80 surrogate")},
        {DIALECT_STREAMS, TEXT("\011stream/a0"), TEXT("cut \xe2\x82")},
        {DIALECT_STREAMS, TEXT("\011stream/a0"), TEXT("\xf4\x90\x80\x80")},
        {DIALECT_STREAMS, TEXT("\017endpoint/chat#0"), TEXT("another's topic")},
        {DIALECT_ENDPOINTS, TEXT("\011stream/a0"), TEXT("another's topic")},
        {DIALECT_ENDPOINTS, TEXT("\017endpoint/chat#0\010state/m1"), TEXT("another's topic")},
        {DIALECT_ENDPOINTS, TEXT("\015endpoint/chat"), TEXT("no name, not even an empty one")},
        {DIALECT_ENDPOINTS, TEXT("\016endpoint.chat#"), TEXT("no path")},
        {DIALECT_ENDPOINTS, TEXT("\017endpoint/chat#0"), TEXT("\xff")},
    };
    uint64_t seq = 0;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct wire_message message = publish_message(++seq, wrong[i].topics, "");
        message.publish.dialect = wrong[i].dialect;
        message.publish.payload = wrong[i].payload;
        assert_int_equal(link_send(worker.link, &message), ERR_OK);
        say(&worker, ++seq, 1, "good"); /* it stands in nobody's way */
        assert_int_equal(wait_record(stage, RECORD_STREAM, i)->stream.publish_seq, seq);
        assert_string_equal(nth(stage, RECORD_STREAM, i)->frame, "good");
        assert_int_equal(counter(stage, "invalid"), i + 1);
    }
    struct wire_message message = publish_message(0, names(0, 1, false), "no number");
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    message = publish_message(++seq, names(0, 1, false), "binary, in streams");
    message.publish.binary = true;
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    message = publish_message(++seq, names(0, 1001, false), "too many topics");
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    message = publish_message(++seq, names(0, 1, false), "");
    message.publish.payload = TEXT("a\0b \xf0\x9f\x8e\xa1 12345678 \xc3\xa9"); /* NUL is a character */
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    const struct seen_record *record = wait_record(stage, RECORD_STREAM, ARRAY_LEN(wrong));
    assert_int_equal(record->stream.publish_seq, seq);
    assert_memory_equal(record->frame, "a\0b \xf0\x9f\x8e\xa1 12345678 \xc3\xa9", 20);
    assert_int_equal(counter(stage, "invalid"), ARRAY_LEN(wrong) + 3);
    assert_int_equal(counter(stage, "stream_messages"), ARRAY_LEN(wrong) + 1);
    assert_true(counter(stage, "stream_gaps") > 0);
}

static void only_workers_publish(void **state)
{
    struct stage *stage = *state;
    static struct end worker, agent, tool;
    worker_open(stage, &worker, 900, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    tool_open(stage, &tool, 300);
    say(&agent, 1, 1, "agent");
    say(&tool, 1, 1, "tool");
    wait_counter(stage, "invalid", 2);
    say(&worker, 1, 1, "worker");
    assert_string_equal(wait_record(stage, RECORD_STREAM, 0)->frame, "worker");
    assert_int_equal(counter(stage, "stream_messages"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_message_is_one_record),
        PLAY(an_echo_names_its_origin_and_leaves_nobody_out),
        PLAY(a_handlers_message_is_a_record_of_its_dialect),
        PLAY(a_thousand_topics_become_visible_at_once),
        PLAY(sixteen_topics_are_one_record_and_seventeen_two),
        PLAY(what_is_in_the_ring_is_not_published_again),
        PLAY(each_workers_messages_stay_in_order),
        PLAY(what_makes_no_sense_is_dropped_and_stops_nothing),
        PLAY(only_workers_publish),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_stream_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker streams", tests, NULL, NULL);
}
