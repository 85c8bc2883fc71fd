/* broker: what clients and handlers say to clients is in the ring once, whichever broker died when. */
#include "broker_stream_stage.h"

#include <sys/wait.h>

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
    for (uint64_t seq = 1; seq <= DEATH; seq++)
        say(&worker, seq, topic_count, "x");
    for (uint64_t seq = DEATH + 1; seq < LAST; seq++) { /* whether it still takes them, or is dead already */
        struct wire_message message = publish_message(seq, names(0, topic_count, false), "x");
        (void)link_send(worker.link, &message);
    }
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

/* Streams and endpoints of a worker have one row of numbers, before and after a broker's death. */
static void both_dialects_share_the_numbers(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    static const struct wire_text to = TEXT("\016endpoint/chat#");
    worker_open(stage, &worker, 900, UINT32_MAX);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        struct wire_message message = endpoint_message(seq, to, 0);
        if (seq % 2 > 0)
            assert_int_equal(link_send(worker.link, &message), ERR_OK);
        else
            say(&worker, seq, 1, "x");
    }
    struct wire_message last = endpoint_message(7, to, 0);
    assert_int_equal(link_send(worker.link, &last), ERR_OK);
    wait_counter(stage, "stream_messages", 7);
    stop_broker(stage, SIGKILL);
    wait_for(stage, &worker.downs, 1);
    comes_back(stage, &worker);
    say(&worker, 6, 1, "x");
    assert_int_equal(link_send(worker.link, &last), ERR_OK);
    last.publish.publish_seq = 8;
    assert_int_equal(link_send(worker.link, &last), ERR_OK);
    wait_counter(stage, "stream_messages", 1);
    assert_int_equal(counter(stage, "stream_repeats"), 2);
    assert_int_equal(counter(stage, "stream_gaps"), 0);
    read_ring(stage);
    has_exactly(stage, 900, 1, 8, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_broker_killed_anywhere_publishes_once),
        PLAY(a_ring_that_has_wrapped_is_read_back),
        PLAY(numbers_outlive_many_brokers),
        PLAY(the_next_worker_begins_anew),
        PLAY(both_dialects_share_the_numbers),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_stream_death_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker streams, deaths", tests, NULL, NULL);
}
