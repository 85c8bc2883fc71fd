/* broker: what clients say to each other is in the ring once, in order per worker, whichever broker died when. */
#include "broker_stage.h"

#include <signal.h>
#include <sys/wait.h>

#include "log.h"
#include "record.h"

enum { SERIAL = 5, PAYLOAD_MAX = WIRE_PUBLISH_PAYLOAD_MAX };

static unsigned char topics[WIRE_TOPICS_BYTES_MAX];

/* The names of streams `first` to first + count - 1, each as long as a name may be if `longest`. */
static struct wire_text names(unsigned first, unsigned count, bool longest)
{
    char name[WIRE_TOPIC_MAX + 1];
    size_t len = 0;
    for (unsigned i = first; i < first + count; i++) {
        int n = snprintf(name, sizeof name, longest ? "stream/%0128u" : "stream/%u", i);
        assert_true(wire_topics_append(topics, sizeof topics, &len, name, (uint8_t)n));
    }
    return (struct wire_text){(const char *)topics, (uint32_t)len};
}

static struct wire_message publish_message(uint64_t seq, struct wire_text to, const char *payload)
{
    struct wire_message message = {.type = WIRE_PUBLISH};
    message.publish = (struct wire_publish){.publish_seq = seq,
                                            .session_serial = SERIAL,
                                            .dialect = DIALECT_STREAMS,
                                            .source_ns = 4711,
                                            .topics = to,
                                            .payload = wire_text(payload)};
    return message;
}

static void say(struct end *worker, uint64_t seq, unsigned topic_count, const char *payload)
{
    struct wire_message message = publish_message(seq, names(0, topic_count, false), payload);
    assert_int_equal(link_send(worker->link, &message), ERR_OK);
}

/* The ring has the messages `first` to `last` of the worker, each once and whole, in order, and no other. */
static void has_exactly(const struct stage *stage, uint64_t worker, uint64_t first, uint64_t last,
                        uint32_t parts)
{
    uint64_t seq = first;
    uint32_t part = 0;
    for (size_t i = 0; i < stage->record_count; i++) {
        const struct seen_record *record = &stage->records[i];
        if (record->kind != RECORD_STREAM || record->origin.worker != worker)
            continue;
        assert_int_equal(record->stream.publish_seq, seq);
        assert_int_equal(record->stream.part, part);
        assert_int_equal(record->stream.parts, parts);
        part = (part + 1) % parts;
        seq += part == 0;
    }
    assert_int_equal(seq, last + 1);
    assert_int_equal(part, 0);
}

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

#define TEXT(bytes) ((struct wire_text){bytes, sizeof bytes - 1})

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
    message = publish_message(++seq, names(0, 1001, false), "too many topics");
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    message = publish_message(++seq, names(0, 1, false), "");
    message.publish.payload = TEXT("a\0b \xf0\x9f\x8e\xa1 12345678 \xc3\xa9"); /* NUL is a character */
    assert_int_equal(link_send(worker.link, &message), ERR_OK);
    const struct seen_record *record = wait_record(stage, RECORD_STREAM, ARRAY_LEN(wrong));
    assert_int_equal(record->stream.publish_seq, seq);
    assert_memory_equal(record->frame, "a\0b \xf0\x9f\x8e\xa1 12345678 \xc3\xa9", 20);
    assert_int_equal(counter(stage, "invalid"), ARRAY_LEN(wrong) + 2);
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

/* --- brokers that die ---------------------------------------------------------------------------------------------- */

static void comes_back(struct stage *stage, struct end *worker)
{
    uint64_t ups = worker->ups;
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &worker->ups, ups + 1);
}

#ifdef NORIA_FAULT_POINTS
/* A worker does not know what its dead broker has published, and says all of it again. */
static void dies_at(struct stage *stage, const char *point, unsigned topic_count, uint64_t known)
{
    static struct end worker;
    char fault[64];
    enum { DEATH = 3, LAST = 6 };
    uint32_t parts = (topic_count + 15) / 16;
    snprintf(fault, sizeof fault, "%s:%d", point, DEATH);
    stop_broker(stage, SIGKILL);
    setenv("NORIA_FAULT", fault, 1);
    assert_int_equal(start_broker(stage), -1);
    unsetenv("NORIA_FAULT");
    worker_open(stage, &worker, 900 + topic_count, UINT32_MAX);
    for (uint64_t seq = 1; seq < LAST; seq++)
        say(&worker, seq, topic_count, "x");
    wait_for(stage, &worker.downs, 1);
    int status;
    assert_int_equal(waitpid(stage->broker, &status, 0), stage->broker);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    stage->broker = 0;
    read_ring(stage);
    has_exactly(stage, worker.incarnation, 1, known, parts); /* whole messages only */

    comes_back(stage, &worker);
    for (uint64_t seq = 1; seq <= LAST; seq++)
        say(&worker, seq, topic_count, "x");
    wait_counter(stage, "stream_messages", LAST - known);
    read_ring(stage);
    has_exactly(stage, worker.incarnation, 1, LAST, parts);
    assert_int_equal(counter(stage, "stream_repeats"), known);
    end_close(stage, &worker);
}
#endif

static void a_broker_killed_anywhere_publishes_once(void **state)
{
#ifdef NORIA_FAULT_POINTS
    struct stage *stage = *state;
    static const struct {
        const char *point;
        uint64_t known; /* messages in the ring when the broker is dead */
    } deaths[] = {
        {"broker.stream.received", 2}, {"broker.stream.appended", 2}, {"broker.stream.published", 3}};
    static const unsigned topic_counts[] = {1, 100};
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++)
        for (size_t k = 0; k < ARRAY_LEN(topic_counts); k++) {
            stage->record_count = 0;
            dies_at(stage, deaths[i].point, topic_counts[k] + (unsigned)i, deaths[i].known);
        }
#else
    (void)state;
    skip();
#endif
}

/* Numbers are read back as far as the ring goes, and a worker whose last message it does not hold any more goes on, too. */
static void a_ring_that_has_wrapped_is_read_back(void **state)
{
    struct stage *stage = *state;
    static struct end quiet, loud;
    static char payload[50001];
    memset(payload, 'p', sizeof payload - 1);
    worker_open(stage, &quiet, 900, UINT32_MAX);
    worker_open(stage, &loud, 901, UINT32_MAX);
    for (uint64_t seq = 1; seq <= 3; seq++)
        say(&quiet, seq, 1, "quiet");
    wait_record(stage, RECORD_STREAM, 2);
    uint64_t first = nth(stage, RECORD_STREAM, 0)->position;
    for (uint64_t seq = 1; seq <= 60; seq++) { /* three times the ring */
        say(&loud, seq, 20, payload);
        if (seq % 5 == 0)
            wait_counter(stage, "stream_messages", seq + 3);
    }
    stop_broker(stage, SIGKILL);
    wait_for(stage, &quiet.downs, 1);
    wait_for(stage, &loud.downs, 1);
    read_ring(stage);
    assert_true(ring_reader_tail(stage->ring) > first);
    stage->record_count = 0;
    comes_back(stage, &loud);
    wait_for(stage, &quiet.ups, 2);
    for (uint64_t seq = 58; seq <= 61; seq++)
        say(&loud, seq, 20, payload);
    say(&quiet, 4, 1, "quiet");
    wait_counter(stage, "stream_messages", 2);
    read_ring(stage);
    has_exactly(stage, 901, 61, 61, 2);
    has_exactly(stage, 900, 4, 4, 1);
    assert_int_equal(counter(stage, "stream_repeats"), 3);
}

/* Two brokers later the numbers are still known, though the one in between published nothing. */
static void numbers_outlive_many_brokers(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 900, UINT32_MAX);
    say(&worker, 1, 30, "x");
    say(&worker, 2, 30, "x");
    wait_counter(stage, "stream_messages", 2);
    for (int i = 0; i < 3; i++) {
        stop_broker(stage, SIGKILL);
        wait_for(stage, &worker.downs, (uint64_t)i + 1);
        comes_back(stage, &worker);
        say(&worker, 1, 30, "x");
        say(&worker, 2, 30, "x");
        wait_counter(stage, "stream_repeats", 2);
    }
    say(&worker, 3, 30, "x");
    wait_counter(stage, "stream_messages", 1);
    read_ring(stage);
    has_exactly(stage, 900, 1, 3, 2);
}

/* What a dead worker's socket had delivered is published; the next incarnation counts from 1 again. */
static void the_next_worker_begins_anew(void **state)
{
    struct stage *stage = *state;
    static struct end first, second;
    worker_open(stage, &first, 900, UINT32_MAX);
    say(&first, 1, 1, "x");
    say(&first, 2, 1, "x");
    end_close(stage, &first);
    wait_counter(stage, "stream_messages", 2);
    worker_open(stage, &second, 901, UINT32_MAX);
    assert_int_equal(second.slot, 0);
    say(&second, 1, 1, "x");
    wait_counter(stage, "stream_messages", 3);
    read_ring(stage);
    has_exactly(stage, 900, 1, 2, 1);
    has_exactly(stage, 901, 1, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_message_is_one_record),
        PLAY(an_echo_names_its_origin_and_leaves_nobody_out),
        PLAY(a_thousand_topics_become_visible_at_once),
        PLAY(sixteen_topics_are_one_record_and_seventeen_two),
        PLAY(what_is_in_the_ring_is_not_published_again),
        PLAY(each_workers_messages_stay_in_order),
        PLAY(what_makes_no_sense_is_dropped_and_stops_nothing),
        PLAY(only_workers_publish),
        PLAY(a_broker_killed_anywhere_publishes_once),
        PLAY(a_ring_that_has_wrapped_is_read_back),
        PLAY(numbers_outlive_many_brokers),
        PLAY(the_next_worker_begins_anew),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_stream_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker streams", tests, NULL, NULL);
}
