/* Resuming at the endpoint API: what "RING-N" says, what was missed, when a gap must be told, and that nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "host.h"
#include "lvt_writer.h"
#include "ring_writer.h"

#define RING 1u /* MiB */

struct stage {
    char dir[32], ring_path[64], lvt_path[64];
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct clock_manual clock;
    struct conf conf;
    struct endpoint_host host;
    struct endpoint endpoint;
    struct endpoint_conn *conn;
    size_t frames; /* that the connection was sent */
    unsigned numbers;
};

/* --- the connection's socket counts frames; the dialect says nothing by itself ------------------------------------------ */

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    struct stage *stage = sink;
    *taken = 0;
    for (int i = 0; i < count; i++) {
        *taken += pieces[i].iov_len;
        stage->frames++;
    }
    return ERR_OK;
}

static bool sink_can_write(void *sink)
{
    (void)sink;
    return true;
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    (void)sink;
    fail_msg("closed with %u: %s", code, reason);
}

static void on_nothing(struct endpoint_conn *conn)
{
    (void)conn;
}

static void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    (void)conn;
    (void)request;
}

static enum err_e send_up(void *arg, const struct pending_entry *entry, bool resent)
{
    (void)arg;
    (void)entry;
    (void)resent;
    return ERR_FULL;
}

static const struct endpoint_dialect dialect = {.name = "played",
                                                .record_dialect = DIALECT_CAROUSEL,
                                                .on_connect = on_connect,
                                                .on_disconnect = on_nothing,
                                                .on_gap = on_nothing};

/* --- stage ---------------------------------------------------------------------------------------------------------------- */

/* A result of 30 KiB for m1 or m2; returns its place. */
static uint64_t publish(struct stage *stage, const char *machine, uint8_t kind_dialect)
{
    static unsigned char frame[30000];
    static const struct record_outcome outcome;
    struct topic topics[2];
    uint64_t at = ring_writer_next(stage->ring);
    topic_make(&topics[0], TOPIC_RESULT, machine);
    topic_make(&topics[1], TOPIC_RESULT, NULL);
    struct ring_entry entry = {.kind = RECORD_RESULT,
                               .dialect = kind_dialect,
                               .topics = topics,
                               .topic_count = 2,
                               .meta = &outcome,
                               .meta_len = sizeof outcome,
                               .frame = frame,
                               .frame_len = sizeof frame};
    assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
    ring_writer_publish(stage->ring);
    stage->numbers++;
    return at;
}

static void drain(struct stage *stage)
{
    while (tail_drain(&stage->host.tail, 100))
        ;
    while (outbox_slice(&stage->host.outbox, NS_PER_S))
        ;
}

static void host_begin(struct stage *stage)
{
    static const struct outbox_sink sink = {sink_writev, sink_can_write, sink_close};
    const struct host_config config = {.conf = &stage->conf,
                                       .clock = &stage->clock.clock,
                                       .incarnation = 7,
                                       .ring_path = stage->ring_path,
                                       .lvt_path = stage->lvt_path,
                                       .sink = &sink,
                                       .send_up = send_up};
    const struct endpoint_request request = {"/", "", "l", identity_nobody()};
    assert_int_equal(host_init(&stage->host, &config), ERR_OK);
    assert_int_equal(host_broker_up(&stage->host, ring_writer_id(stage->ring)), ERR_OK);
    stage->endpoint = (struct endpoint){.host = &stage->host, .dialect = &dialect, .listener = "l"};
    stage->conn = calloc(1, host_conn_bytes(&dialect));
    host_open(&stage->endpoint, stage->conn, stage, 1, &request);
}

static void host_end(struct stage *stage)
{
    host_closed(&stage->conn->client);
    free(stage->conn);
    host_fini(&stage->host);
}

static int stage_open(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    bool continued;
    snprintf(stage->dir, sizeof stage->dir, "/dev/shm/resume-test-XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->ring_path, sizeof stage->ring_path, "%s/ring", stage->dir);
    snprintf(stage->lvt_path, sizeof stage->lvt_path, "%s/lvt", stage->dir);
    assert_int_equal(ring_writer_open(stage->ring_path, RING << 20, &stage->ring, &continued), ERR_OK);
    assert_int_equal(
        lvt_writer_open(stage->lvt_path, 8, ring_writer_id(stage->ring), &stage->lvt, &continued), ERR_OK);
    clock_manual_init(&stage->clock, NS_PER_S, 0);
    stage->conf =
        (struct conf){.slow_soft_bytes = 256 * 1024, .slow_soft_ms = 10000, .slow_hard_bytes = 1024 * 1024};
    host_begin(stage);
    *state = stage;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    host_end(stage);
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    unlink(stage->ring_path);
    unlink(stage->lvt_path);
    rmdir(stage->dir);
    free(stage);
    return 0;
}

static struct endpoint_since since_of(struct stage *stage, uint64_t position)
{
    char seq[ENDPOINT_SEQ_MAX];
    struct endpoint_since since;
    endpoint_seq(&stage->endpoint, position, seq);
    assert_true(endpoint_parse_seq(&stage->endpoint, seq, strlen(seq), &since));
    assert_int_equal(since.position, position);
    return since;
}

static struct endpoint_missed missed_of(struct stage *stage, const char *machine, struct endpoint_since since)
{
    struct topic topics[2];
    topic_make(&topics[0], TOPIC_STATE, NULL);
    topic_make(&topics[1], TOPIC_RESULT, machine);
    return endpoint_missed(&stage->endpoint, topics, 2, since);
}

/* --- plays ----------------------------------------------------------------------------------------------------------------- */

static void a_seq_is_a_ring_and_a_number_and_nothing_else(void **state)
{
    struct stage *stage = *state;
    struct endpoint_since since;
    const char *bad[] = {
        "",           "0123abcd",    "0123abcd-",  "0123ABCD-1", "0123abcd-1x", "0123abcd--1", "0123abcd- 1",
        "0123abc-11", "0123abcdg-1", "x123abcd-1", "0123abcd-+1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(endpoint_parse_seq(&stage->endpoint, bad[i], strlen(bad[i]), &since));
    char seq[64];
    unsigned ring = stage->host.ring_id;
    snprintf(seq, sizeof seq, "%08x-%llu", ring ^ 1, 1000ULL);
    assert_true(endpoint_parse_seq(&stage->endpoint, seq, strlen(seq), &since));
    assert_false(since.known); /* another ring */
    snprintf(seq, sizeof seq, "%08x-%llu", ring, (unsigned long long)stage->host.outbox.position / 64);
    assert_true(endpoint_parse_seq(&stage->endpoint, seq, strlen(seq), &since));
    assert_false(since.known); /* the future */
    snprintf(seq, sizeof seq, "%08x-99999999999999999999999999", ring);
    assert_true(endpoint_parse_seq(&stage->endpoint, seq, strlen(seq), &since));
    assert_false(since.known);
    assert_true(since_of(stage, stage->host.outbox.position).known);
}

static void what_another_worker_has_read_is_read_first(void **state)
{
    struct stage *stage = *state;
    uint64_t before = stage->host.outbox.position;
    publish(stage, "m1", DIALECT_CAROUSEL);
    uint64_t second = publish(stage, "m1", DIALECT_CAROUSEL), third = publish(stage, "m1", DIALECT_CAROUSEL);
    assert_int_equal(stage->host.outbox.position, before); /* this worker has read none of them */
    struct endpoint_since since = since_of(stage, third);  /* the client has seen two */
    assert_true(since.known);
    assert_in_range(stage->host.outbox.position, third, ring_writer_next(stage->ring));
    assert_true(second < since.position);
    drain(stage);
    struct endpoint_missed missed = missed_of(stage, "m1", since);
    assert_false(missed.gap);
    assert_int_equal(missed.first, third);
}

static void what_was_missed_begins_with_the_first_frame_of_the_topics(void **state)
{
    struct stage *stage = *state;
    uint64_t begin = stage->host.outbox.position;
    uint64_t first = publish(stage, "m1", DIALECT_CAROUSEL), second = publish(stage, "m2", DIALECT_CAROUSEL);
    publish(stage, "m3", DIALECT_CHANNELS);
    drain(stage);
    uint64_t now = stage->host.outbox.position;
    assert_int_equal(missed_of(stage, "m1", since_of(stage, begin)).first, first);
    assert_int_equal(missed_of(stage, "m2", since_of(stage, begin)).first, second);
    assert_int_equal(missed_of(stage, NULL, since_of(stage, begin)).first, first);
    assert_int_equal(missed_of(stage, NULL, since_of(stage, first + 64)).first, second);
    assert_int_equal(missed_of(stage, "m1", since_of(stage, first + 64)).first, now);
    assert_int_equal(missed_of(stage, "m3", since_of(stage, begin)).first, now); /* of another dialect */
    assert_int_equal(missed_of(stage, NULL, since_of(stage, now)).first, now);
    assert_false(missed_of(stage, NULL, since_of(stage, begin)).gap);
}

static void a_gap_is_told_only_where_something_may_be_lost(void **state)
{
    struct stage *stage = *state;
    struct endpoint_since unknown = {.known = false};
    struct topic states;
    uint64_t begin = stage->host.outbox.position;
    assert_true(missed_of(stage, NULL, unknown).gap);
    topic_make(&states, TOPIC_STATE, NULL);
    assert_false(endpoint_missed(&stage->endpoint, &states, 1, unknown).gap); /* states are never missed */
    uint64_t first = publish(stage, "m1", DIALECT_CAROUSEL);
    for (unsigned n = 0; n < 60; n++) { /* the ring is through, the copies are not */
        publish(stage, "m2", DIALECT_CAROUSEL);
        drain(stage);
    }
    assert_true(ring_writer_next(stage->ring) - begin > RING << 20);
    assert_false(missed_of(stage, "m1", since_of(stage, begin)).gap);
    assert_int_equal(missed_of(stage, "m1", since_of(stage, begin)).first, first);
    while (stage->numbers < 300) { /* now the copies are, too */
        publish(stage, "m2", DIALECT_CAROUSEL);
        drain(stage);
    }
    assert_true(missed_of(stage, "m1", since_of(stage, begin)).gap);
    assert_true(missed_of(stage, "m1", since_of(stage, first)).gap);
    uint64_t known = stage->host.history.known_from;
    assert_true(missed_of(stage, "m1", since_of(stage, known - 64)).gap);
    assert_false(missed_of(stage, "m1", since_of(stage, known)).gap);
}

static void a_new_worker_knows_what_the_ring_holds(void **state)
{
    struct stage *stage = *state;
    uint64_t begin = stage->host.outbox.position;
    for (unsigned n = 0; n < 10; n++)
        publish(stage, "m1", DIALECT_CAROUSEL);
    host_end(stage);
    host_begin(stage);
    struct endpoint_missed missed = missed_of(stage, "m1", since_of(stage, begin));
    assert_false(missed.gap);
    assert_int_equal(missed.first, begin);
    struct topic topic;
    topic_make(&topic, TOPIC_RESULT, "m1");
    assert_false(endpoint_is_subscribed(stage->conn, &topic));
    assert_int_equal(endpoint_subscribe(stage->conn, &topic, 1), ERR_OK);
    assert_true(endpoint_is_subscribed(stage->conn, &topic));
    assert_int_equal(endpoint_replay(stage->conn, &topic, 1, missed), ERR_OK);
    assert_int_equal(stage->frames, 10);
    publish(stage, "m1", DIALECT_CAROUSEL);
    drain(stage);
    assert_int_equal(stage->frames, 11);
    assert_int_equal(endpoint_unsubscribe(stage->conn, &topic, 1), ERR_OK);
    assert_false(endpoint_is_subscribed(stage->conn, &topic));
    assert_true(endpoint_may_seq(stage->conn));
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_seq_is_a_ring_and_a_number_and_nothing_else),
        PLAY(what_another_worker_has_read_is_read_first),
        PLAY(what_was_missed_begins_with_the_first_frame_of_the_topics),
        PLAY(a_gap_is_told_only_where_something_may_be_lost),
        PLAY(a_new_worker_knows_what_the_ring_holds),
    };
    return cmocka_run_group_tests_name("endpoint_resume", tests, NULL, NULL);
}
