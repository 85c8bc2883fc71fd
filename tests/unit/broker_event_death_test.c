/* broker: an event of the store is in the ring once, whichever broker died when, however old it is. */
#include "broker_store_stage.h"

#include <sys/wait.h>

enum { SOURCE = 0xabc, OTHER = 0xdef };

/* The ring has the events `first` to `last` of the source, each once, in order, and no other. */
static void has_exactly(const struct stage *stage, uint64_t source, uint64_t first, uint64_t last)
{
    const struct seen_record *event;
    for (uint64_t seq = first; seq <= last; seq++) {
        event = nth_event(stage, source, seq - first);
        assert_non_null(event);
        assert_int_equal(event->source.source_seq, seq);
    }
    assert_null(nth_event(stage, source, last + 1 - first));
}

static void comes_back(struct stage *stage, struct store *store)
{
    uint64_t ups = store->end.ups;
    assert_int_equal(start_broker(stage), -1);
    wait_for(stage, &store->end.ups, ups + 1);
}

#ifdef NORIA_FAULT_POINTS
static void wait_death(struct stage *stage)
{
    int status;
    assert_int_equal(waitpid(stage->broker, &status, 0), stage->broker);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    stage->broker = 0;
}

static void start_to_die(struct stage *stage, const char *point, unsigned nth)
{
    char fault[64];
    snprintf(fault, sizeof fault, "%s:%u", point, nth);
    stop_broker(stage, SIGKILL);
    setenv("NORIA_FAULT", fault, 1);
    assert_int_equal(start_broker(stage), -1);
    unsetenv("NORIA_FAULT");
}

/* As a store does that has heard of no acknowledgement: it asks for the last number, says all again, and is told the place of each. */
static void dies_at(struct stage *stage, const char *point, uint64_t source, uint64_t known)
{
    static struct store store;
    enum { DEATH = 3, LAST = 6 };
    start_to_die(stage, point, DEATH);
    store_open(stage, &store, 700);
    for (uint64_t seq = 1; seq <= DEATH; seq++)
        store_says(&store, source, seq, "sensors", "{\"a\":1}");
    for (uint64_t seq = DEATH + 1; seq < LAST; seq++) { /* whether it still takes them, or is dead already */
        struct wire_message message = event_message(source, seq, "sensors", "{\"a\":1}");
        (void)link_send(store.end.link, &message);
    }
    wait_for(stage, &store.end.downs, 1);
    wait_death(stage);
    read_ring(stage);
    has_exactly(stage, source, 1, known);

    comes_back(stage, &store);
    store.acks = 0;
    store_says_source(&store, source);
    for (uint64_t seq = 1; seq <= LAST; seq++)
        store_says(&store, source, seq, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, LAST);
    read_ring(stage);
    has_exactly(stage, source, 1, LAST);
    uint64_t ring_id = ring_reader_id(stage->ring);
    is_ack(&store.acked[0], source, known, ring_id, nth_event(stage, source, known - 1)->position);
    for (uint64_t seq = 1; seq <= LAST; seq++)
        is_ack(&store.acked[seq], source, seq, ring_id, nth_event(stage, source, seq - 1)->position);
    assert_int_equal(counter(stage, "event_repeats"), known);
    end_close(stage, &store.end);
}
#endif

static void a_broker_killed_anywhere_publishes_once(void **state)
{
#ifdef NORIA_FAULT_POINTS
    struct stage *stage = *state;
    static const struct {
        const char *point;
        uint64_t known; /* events in the ring when the broker is dead */
    } deaths[] = {{"broker.event.received", 2},
                  {"broker.event.appended", 2},
                  {"broker.event.published", 3},
                  {"broker.event.acked", 3}};
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++)
        dies_at(stage, deaths[i].point, SOURCE + i, deaths[i].known);
#else
    (void)state;
    skip();
#endif
}

/* A request, or an answer, dies with the broker that had it: neither is handed on twice. */
static void a_request_or_its_answer_may_die_with_the_broker(void **state)
{
#ifdef NORIA_FAULT_POINTS
    struct stage *stage = *state;
    static const char *const points[] = {"broker.request.received", "broker.reply.received"};
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        static struct store store;
        static struct asker worker;
        struct wire_message request = {
            .type = WIRE_STORE_REQUEST,
            .store_request = {
                .worker = 900 + i, .serial = 1, .who = wire_text(""), .arguments = wire_text("x")}};
        struct wire_message reply = {.type = WIRE_STORE_REPLY,
                                     .store_reply = {900 + i, 1, 200, 0, 0, true, wire_text("x")}};
        start_to_die(stage, points[i], 1);
        store_open(stage, &store, 700);
        asker_open(stage, &worker, 900 + i);
        assert_int_equal(link_send(worker.end.link, &request), ERR_OK);
        if (i == 1) {
            wait_for(stage, &store.requests, 1);
            assert_int_equal(link_send(store.end.link, &reply), ERR_OK);
        }
        wait_for(stage, &worker.end.downs, 1);
        wait_death(stage);
        comes_back(stage, &store);
        wait_for(stage, &worker.end.ups, 2);
        request.store_request.serial = reply.store_reply.serial = 2;
        assert_int_equal(link_send(worker.end.link, &request), ERR_OK);
        wait_for(stage, &store.requests, i + 1);
        assert_int_equal(store.last.serial, 2);
        assert_int_equal(link_send(store.end.link, &reply), ERR_OK);
        wait_for(stage, &worker.replies, 1);
        assert_int_equal(worker.last.serial, 2);
        assert_int_equal(store.requests, i + 1);
        end_close(stage, &store.end);
        end_close(stage, &worker.end);
    }
#else
    (void)state;
    skip();
#endif
}

static void numbers_outlive_many_brokers(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    for (uint64_t seq = 1; seq <= 2; seq++)
        store_says(&store, SOURCE, seq, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, 1);
    for (uint64_t i = 0; i < 3; i++) {
        stop_broker(stage, SIGKILL);
        wait_for(stage, &store.end.downs, i + 1);
        comes_back(stage, &store);
        store_says_source(&store, SOURCE);
        wait_for(stage, &store.acks, 3 + i);
        assert_int_equal(store.acked[2 + i].source_seq, 2);
    }
    store_says(&store, SOURCE, 2, "sensors", "{\"a\":1}");
    store_says(&store, SOURCE, 3, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, 6);
    read_ring(stage);
    has_exactly(stage, SOURCE, 1, 3);
}

/* --- a ring that goes round ------------------------------------------------------------------------------------------------ */

/* A worker fills the ring, of 1 MiB, `times` over, in messages of 50 KB and several records each. */
static void fill(struct stage *stage, struct end *worker, uint64_t *seq, unsigned times)
{
    static char payload[50000];
    unsigned char topics[WIRE_TOPICS_BYTES_MAX];
    char name[16];
    size_t len = 0;
    for (unsigned i = 0; i < 20; i++) {
        int n = snprintf(name, sizeof name, "stream/%u", i);
        assert_true(wire_topics_append(topics, sizeof topics, &len, name, (uint8_t)n));
    }
    memset(payload, 'p', sizeof payload);
    for (uint64_t end = *seq + 21u * times; *seq < end;) {
        struct wire_message message = {.type = WIRE_PUBLISH};
        message.publish = (struct wire_publish){.publish_seq = ++*seq,
                                                .session_serial = 5,
                                                .dialect = DIALECT_STREAMS,
                                                .topics = {(const char *)topics, (uint32_t)len},
                                                .payload = {payload, sizeof payload}};
        assert_int_equal(link_send(worker->link, &message), ERR_OK);
        if (*seq % 5 == 0 || *seq == end) {
            wait_counter(stage, "stream_messages", *seq);
            read_ring(stage);
            stage->record_count = 0;
        }
    }
}

/* Long after its record is gone, through one broker after the other, the last number is known, and its place; and no event is
 * published twice. */
static void a_floor_remembers_what_the_ring_has_forgotten(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct end worker;
    uint64_t seq = 0, ring_id = ring_reader_id(stage->ring);
    store_open(stage, &store, 700);
    for (uint64_t n = 1; n <= 5; n++)
        store_says(&store, SOURCE, n, "sensors", "{\"a\":1}");
    store_says(&store, OTHER, 9, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, 5);
    uint64_t fourth = store.acked[3].position, fifth = store.acked[4].position,
             other = store.acked[5].position;
    for (uint64_t i = 0; i < 3; i++) {
        worker_open(stage, &worker, 900 + i, UINT32_MAX);
        seq = 0;
        fill(stage, &worker, &seq, 3);
        assert_true(ring_reader_tail(stage->ring) > other);
        assert_true(counter(stage, "event_floors") >= 2 * 5); /* at least every half of a ring */
        assert_true(counter(stage, "event_floors") <= 2 * 8);
        end_leaves(stage, &worker);
        stop_broker(stage, SIGKILL);
        wait_for(stage, &store.end.downs, i + 1);
        comes_back(stage, &store);
        store.acks = 0;
        store_says_source(&store, SOURCE);
        store_says_source(&store, OTHER);
        store_says(&store, SOURCE, 4, "sensors", "{\"a\":1}");
        store_says(&store, SOURCE, 5, "sensors", "{\"a\":1}");
        wait_ack(stage, &store, 3);
        is_ack(&store.acked[0], SOURCE, 5, ring_id, fifth);
        is_ack(&store.acked[1], OTHER, 9, ring_id, other);
        assert_int_equal(store.acked[2].ring_id, 0); /* only the last one's place is said again */
        is_ack(&store.acked[3], SOURCE, 5, ring_id, fifth);
        assert_true(fourth < fifth);
        assert_int_equal(counter(stage, "channel_events"), 0);
    }
    store_says(&store, SOURCE, 6, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, 4);
    read_ring(stage);
    assert_int_equal(wait_event(stage, SOURCE, 0)->source.source_seq, 6);
}

/* For nobody: no topics, no frame. */
static void a_floor_is_for_brokers_alone(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct end worker;
    struct ring_record record;
    enum ring_status_e status;
    uint64_t seq = 0, floors = 0;
    store_open(stage, &store, 700);
    worker_open(stage, &worker, 900, UINT32_MAX);
    store_says(&store, SOURCE, 7, "sensors", "{\"a\":1}");
    uint64_t position = wait_ack(stage, &store, 0)->position;
    fill(stage, &worker, &seq, 2);
    assert_int_equal(ring_reader_seek(stage->ring, ring_reader_tail(stage->ring)), ERR_OK);
    while ((status = ring_reader_next(stage->ring, &record)) == RING_MORE) {
        struct record_source meta;
        if (record.kind != RECORD_FLOOR)
            continue;
        assert_true(record.topic_count == 0 && record.frame_len == 0 && record.meta_len == sizeof meta);
        memcpy(&meta, record.meta, sizeof meta);
        assert_true(meta.source == SOURCE && meta.source_seq == 7 && meta.position == position);
        floors++;
    }
    assert_int_equal(status, RING_EMPTY);
    assert_true(floors > 0);
}

/* An older copy of the database counts again from where it was: it takes another source, and what it says then is new. */
static void a_change_of_source_begins_anew(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    for (uint64_t seq = 1; seq <= 5; seq++)
        store_says(&store, SOURCE, seq, "sensors", "{\"a\":1}");
    wait_ack(stage, &store, 4);
    end_leaves(stage, &store.end);
    restart(stage);
    store_open(stage, &store, 701);
    store_says_source(&store, SOURCE);
    assert_int_equal(wait_ack(stage, &store, 0)->source_seq, 5); /* but it has only 3 */
    store_says_source(&store, OTHER);
    assert_int_equal(wait_ack(stage, &store, 1)->source_seq, 0);
    store_says(&store, OTHER, 4, "sensors", "{\"b\":1}");
    store_says(&store, OTHER, 5, "sensors", "{\"b\":1}");
    wait_ack(stage, &store, 3);
    read_ring(stage);
    has_exactly(stage, SOURCE, 1, 5);
    has_exactly(stage, OTHER, 4, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_broker_killed_anywhere_publishes_once),
        PLAY(a_request_or_its_answer_may_die_with_the_broker),
        PLAY(numbers_outlive_many_brokers),
        PLAY(a_floor_remembers_what_the_ring_has_forgotten),
        PLAY(a_floor_is_for_brokers_alone),
        PLAY(a_change_of_source_begins_anew),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_event_death_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker events, deaths", tests, NULL, NULL);
}
