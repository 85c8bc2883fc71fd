/* Publishing at the endpoint API: the window, the ring as its acknowledgement, brokers that come and go, senders that are
 * held. The broker is played as broker/streams.c has it: in order, once per number, in parts. */
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
#include "wire.h"
#include "ws_frame.h"

#define CONNS       300u
#define INCARNATION 7u

struct socket {
    struct endpoint_conn *conn;
    char text[4096]; /* the payloads that it was sent, each with a blank */
    unsigned frames, charged;
    bool full, held, closed;
    unsigned holds;
};

struct stage {
    char dir[32], ring_path[64], lvt_path[64];
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct clock_manual clock;
    struct conf conf;
    struct endpoint_host host;
    struct endpoint endpoint;
    struct socket sockets[CONNS];
    /* the played broker */
    bool up, full, refuses;
    unsigned limit;         /* messages that it takes before it dies; 0: any number */
    uint64_t floor;         /* highest number that it has published */
    uint64_t last;          /* highest number that it was sent: no gaps */
    unsigned sent, repeats; /* messages; those not above the floor */
};

/* --- the broker ------------------------------------------------------------------------------------------------------- */

static void append(struct stage *stage, const struct wire_publish *publish)
{
    static unsigned char memory[WIRE_PUBLISH_PAYLOAD_MAX + WS_HEADER_MAX];
    static struct topic topics[WIRE_PUBLISH_TOPICS_MAX];
    struct wire_text left = publish->topics, name;
    uint32_t count = 0;
    for (; wire_topics_next(&left, &name); count++)
        topic_make_stream(&topics[count], name.at + 7, name.len - 7);
    assert_int_equal(left.len, 0);
    assert_true(count > 0);
    memcpy(memory + WS_HEADER_MAX, publish->payload.at, publish->payload.len);
    struct record_stream meta = {publish->publish_seq, 0, (count + 15) / 16};
    struct ring_entry entry = {.kind = RECORD_STREAM,
                               .dialect = (enum record_dialect_e)publish->dialect,
                               .origin_mode = publish->echo ? ORIGIN_NONE : ORIGIN_NOT,
                               .origin = {INCARNATION, publish->session_serial},
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame =
                                   ws_frame_prepend(memory + WS_HEADER_MAX, publish->payload.len, WS_TEXT)};
    entry.frame_len = publish->payload.len + (uint32_t)ws_frame_header_len(publish->payload.len);
    for (; meta.part < meta.parts; meta.part++) {
        entry.topics = topics + 16 * meta.part;
        entry.topic_count = count - 16 * meta.part < 16 ? count - 16 * meta.part : 16;
        assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
        entry.frame_len = 0;
    }
    ring_writer_publish(stage->ring);
    stage->floor = publish->publish_seq;
}

static enum err_e send_message(void *arg, struct wire_message *message)
{
    static unsigned char buffer[WIRE_MAX];
    struct stage *stage = arg;
    struct wire_message decoded;
    if (!stage->up)
        return ERR_CLOSED;
    if (stage->full)
        return ERR_FULL;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_int_equal(wire_decode(buffer, len, &decoded), ERR_OK);
    assert_int_equal(decoded.type, WIRE_PUBLISH);
    assert_true(stage->sent == 0 || decoded.publish.publish_seq == stage->last + 1);
    stage->last = decoded.publish.publish_seq;
    stage->sent++;
    stage->repeats += stage->last <= stage->floor;
    bool dead = stage->limit > 0 && stage->sent > stage->limit; /* it lies in its socket */
    if (!dead && !stage->refuses && stage->last > stage->floor)
        append(stage, &decoded.publish);
    return ERR_OK;
}

static void broker_dies(struct stage *stage)
{
    stage->up = stage->full = false;
    stage->limit = stage->sent = stage->repeats = 0;
    host_broker_down(&stage->host);
}

static void broker_comes(struct stage *stage)
{
    stage->up = true;
    assert_int_equal(host_broker_up(&stage->host, ring_writer_id(stage->ring)), ERR_OK);
}

/* --- connections -------------------------------------------------------------------------------------------------------- */

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    struct socket *s = sink;
    *taken = 0;
    for (int i = 0; i < count; i++) {
        const unsigned char *at = pieces[i].iov_base, *end = at + pieces[i].iov_len;
        *taken += pieces[i].iov_len;
        for (; at < end; s->frames++) {
            size_t total = ws_frame_total_len(at, (size_t)(end - at)), used = strlen(s->text);
            size_t header = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
            if (total - header + used + 2 < sizeof s->text)
                snprintf(s->text + used, sizeof s->text - used, "%.*s ", (int)(total - header), at + header);
            at += total;
        }
    }
    return ERR_OK;
}

static bool sink_can_write(void *sink)
{
    const struct socket *s = sink;
    return !s->full && !s->closed;
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    struct socket *s = sink;
    (void)code;
    (void)reason;
    s->closed = true;
}

static void hold(void *sink, bool hold)
{
    struct socket *s = sink;
    assert_true(s->held != hold);
    s->held = hold;
    s->holds += hold;
}

static void charge(void *sink, unsigned messages)
{
    struct socket *s = sink;
    s->charged += messages;
}

static void peer_name(void *sink, char from[CALLER_FROM_MAX])
{
    (void)sink;
    strcpy(from, "127.0.0.1:9");
}

static enum err_e send_up(void *arg, const struct pending_entry *entry, bool resent)
{
    (void)arg;
    (void)entry;
    (void)resent;
    return ERR_OK;
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

static const struct endpoint_dialect dialect = {.name = "played",
                                                .record_dialect = DIALECT_STREAMS,
                                                .on_connect = on_connect,
                                                .on_disconnect = on_nothing,
                                                .on_gap = on_nothing};

static struct endpoint_conn *open_conn(struct stage *stage, unsigned i, unsigned first, unsigned streams)
{
    static const struct endpoint_request request = {"/", "", "l", ""};
    static struct topic topics[4096];
    struct socket *s = &stage->sockets[i];
    assert_null(s->conn);
    *s = (struct socket){.conn = calloc(1, host_conn_bytes(&dialect))};
    host_open(&stage->endpoint, s->conn, s, i + 1, &request);
    for (unsigned n = 0; n < streams; n++) {
        char id[16];
        topic_make_stream(&topics[n], id, (size_t)snprintf(id, sizeof id, "s%u", first + n));
    }
    if (streams > 0)
        assert_int_equal(endpoint_subscribe(s->conn, topics, streams), ERR_OK);
    return s->conn;
}

static void close_conn(struct stage *stage, unsigned i)
{
    struct socket *s = &stage->sockets[i];
    if (s->conn == NULL)
        return;
    host_closed(&s->conn->client);
    assert_int_equal(s->conn->caller.held, 0);
    free(s->conn);
    s->conn = NULL;
}

/* --- stage -------------------------------------------------------------------------------------------------------------- */

static int stage_open(void **state)
{
    static const struct outbox_sink sink = {sink_writev, sink_can_write, sink_close};
    struct stage *stage = calloc(1, sizeof *stage);
    bool continued;
    strcpy(stage->dir, "/dev/shm/publishing-XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->ring_path, sizeof stage->ring_path, "%s/ring", stage->dir);
    snprintf(stage->lvt_path, sizeof stage->lvt_path, "%s/lvt", stage->dir);
    assert_int_equal(ring_writer_open(stage->ring_path, 16u << 20, &stage->ring, &continued), ERR_OK);
    assert_int_equal(
        lvt_writer_open(stage->lvt_path, 4, ring_writer_id(stage->ring), &stage->lvt, &continued), ERR_OK);
    clock_manual_init(&stage->clock, 1000 * NS_PER_S, 0);
    stage->conf =
        (struct conf){.slow_soft_bytes = 256 * 1024, .slow_soft_ms = 10000, .slow_hard_bytes = 1024 * 1024};
    const struct host_config config = {.conf = &stage->conf,
                                       .clock = &stage->clock.clock,
                                       .incarnation = INCARNATION,
                                       .ring_path = stage->ring_path,
                                       .lvt_path = stage->lvt_path,
                                       .sink = &sink,
                                       .send_up = send_up,
                                       .send_message = send_message,
                                       .peer_name = peer_name,
                                       .hold = hold,
                                       .charge = charge,
                                       .arg = stage};
    assert_int_equal(host_init(&stage->host, &config), ERR_OK);
    stage->endpoint = (struct endpoint){.host = &stage->host, .dialect = &dialect, .listener = "l"};
    broker_comes(stage);
    *state = stage;
    return 0;
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CONNS; i++)
        close_conn(stage, i);
    assert_int_equal(stage->host.sessions.count, 0);
    host_fini(&stage->host);
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    unlink(stage->ring_path);
    unlink(stage->lvt_path);
    rmdir(stage->dir);
    free(stage);
    return 0;
}

/* As the worker's pump. */
static void pump(struct stage *stage)
{
    bool more = true;
    while (more) {
        more = audiences_pressed(&stage->host.audiences) || tail_drain(&stage->host.tail, 1000);
        more |= outbox_slice(&stage->host.outbox, NS_PER_S);
    }
}

static enum err_e say(struct stage *stage, unsigned i, const char *text)
{
    return endpoint_publish(stage->sockets[i].conn, text, strlen(text), false);
}

static void expect_heard(struct stage *stage, unsigned i, const char *text)
{
    assert_string_equal(stage->sockets[i].text, text);
    stage->sockets[i].text[0] = '\0';
}

static void let_time_pass(struct stage *stage, uint64_t ns)
{
    clock_manual_advance_ns(&stage->clock, ns);
    host_tick(&stage->host);
}

static struct publishing *publishing(struct stage *stage)
{
    return &stage->host.publishing;
}

/* --- plays ---------------------------------------------------------------------------------------------------------------- */

static void a_message_goes_to_the_others_once(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 3);
    open_conn(stage, 1, 0, 3);
    open_conn(stage, 2, 2, 1);
    open_conn(stage, 3, 7, 1);
    assert_int_equal(say(stage, 0, "one"), ERR_OK);
    assert_int_equal(say(stage, 2, "two"), ERR_OK);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 2);
    pump(stage);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
    expect_heard(stage, 0, "two ");
    expect_heard(stage, 1, "one two ");
    expect_heard(stage, 2, "one ");
    expect_heard(stage, 3, "");
    assert_int_equal(endpoint_publish(stage->sockets[0].conn, "", 0, true), ERR_OK);
    pump(stage);
    expect_heard(stage, 0, " ");
    expect_heard(stage, 1, " ");
    assert_int_equal(publishing(stage)->counts.published, 3);
    assert_int_equal(publishing(stage)->counts.resent, 0);
    assert_int_equal(stage->host.counts.answers_without_client, 0);
}

static void what_cannot_be_published_is_refused(void **state)
{
    struct stage *stage = *state;
    static char large[ENDPOINT_PUBLISH_MAX + 1];
    struct endpoint_conn *conn = open_conn(stage, 0, 0, 0);
    memset(large, 'x', sizeof large);
    assert_int_equal(endpoint_publish(conn, "x", 1, false), ERR_NOT_FOUND);
    conn = open_conn(stage, 1, 0, 1000);
    assert_int_equal(endpoint_publish(conn, large, sizeof large, false), ERR_TOO_LARGE);
    assert_int_equal(endpoint_publish(conn, large, sizeof large - 1, false), ERR_OK);
    conn = open_conn(stage, 2, 0, 1001);
    assert_int_equal(endpoint_publish(conn, "x", 1, false), ERR_TOO_LARGE);
    endpoint_close(conn, 1000, "");
    assert_int_equal(endpoint_publish(conn, "x", 1, false), ERR_CLOSED);
    assert_int_equal(publishing(stage)->counts.published, 1);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 1);
    pump(stage);
    assert_int_equal(stage->host.tail.counts.parts, 62);
}

static void nothing_is_lost_while_the_broker_is_away(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    broker_dies(stage);
    stage->up = true; /* it answers already, but its ring is not attached to */
    assert_int_equal(say(stage, 0, "a"), ERR_OK);
    assert_int_equal(say(stage, 1, "b"), ERR_OK);
    let_time_pass(stage, 60 * NS_PER_S);
    assert_int_equal(stage->sent, 0);
    assert_int_equal(publishing(stage)->counts.given_up, 0);
    broker_comes(stage);
    assert_int_equal(stage->sent, 2);
    pump(stage);
    expect_heard(stage, 0, "b ");
    expect_heard(stage, 1, "a ");
    assert_int_equal(publishing(stage)->counts.resent, 0);
}

/* It has published some of what it was sent, and the worker has read some of that. */
static void play_a_death(struct stage *stage, unsigned published, bool read)
{
    static const char *const all[] = {"1", "2", "3", "4", "5"};
    stage->limit = published;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(say(stage, 0, all[i]), ERR_OK);
    if (read)
        pump(stage);
    broker_dies(stage);
    assert_int_equal(say(stage, 0, "6"), ERR_OK);
    broker_comes(stage);
    assert_int_equal(stage->repeats, read ? 0 : published);
    pump(stage);
    expect_heard(stage, 1, "1 2 3 4 5 6 ");
    expect_heard(stage, 0, "");
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
}

static void every_message_is_published_once_whenever_the_broker_dies(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    for (unsigned published = 1; published <= 5; published++)
        for (int read = 0; read < 2; read++) {
            broker_dies(stage);
            broker_comes(stage);
            play_a_death(stage, published, read);
        }
    assert_int_equal(publishing(stage)->counts.given_up, 0);
}

static void a_full_bus_is_tried_again(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    stage->full = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(say(stage, 0, "x"), ERR_OK);
    host_tick(&stage->host);
    stage->full = false;
    publishing_send(&stage->host); /* the link was served */
    assert_int_equal(stage->sent, 3);
    stage->full = true;
    assert_int_equal(say(stage, 0, "y"), ERR_OK);
    stage->full = false;
    host_tick(&stage->host);
    assert_int_equal(stage->sent, 4);
    stage->full = true;
    assert_int_equal(say(stage, 0, "z"), ERR_OK);
    stage->full = false;
    pump(stage); /* what comes back makes room */
    pump(stage);
    expect_heard(stage, 1, "x x x y z ");
}

static void what_a_broker_refuses_is_given_up_in_time(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    stage->refuses = true;
    assert_int_equal(say(stage, 0, "bad"), ERR_OK);
    let_time_pass(stage, 20 * NS_PER_S);
    assert_int_equal(say(stage, 0, "bad, too"), ERR_OK);
    let_time_pass(stage, 11 * NS_PER_S);
    assert_int_equal(publishing(stage)->counts.given_up, 1);
    broker_dies(stage);
    let_time_pass(stage, 60 * NS_PER_S); /* away: it may yet come */
    assert_int_equal(publishing(stage)->counts.given_up, 1);
    broker_comes(stage);
    let_time_pass(stage, 29 * NS_PER_S); /* that one has had it for 29 seconds */
    assert_int_equal(publishing(stage)->counts.given_up, 1);
    let_time_pass(stage, NS_PER_S);
    assert_int_equal(publishing(stage)->counts.given_up, 2);
    stage->refuses = false;
    assert_int_equal(say(stage, 0, "good"), ERR_OK);
    pump(stage);
    expect_heard(stage, 1, "good ");
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
}

static void a_later_message_in_the_ring_settles_a_refused_one(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    stage->refuses = true;
    assert_int_equal(say(stage, 0, "bad"), ERR_OK);
    stage->refuses = false;
    assert_int_equal(say(stage, 0, "good"), ERR_OK);
    pump(stage);
    assert_int_equal(publish_window_count(&publishing(stage)->window), 0);
    let_time_pass(stage, 60 * NS_PER_S);
    assert_int_equal(publishing(stage)->counts.given_up, 0);
}

static void a_sender_may_be_gone_when_its_message_comes(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    assert_int_equal(say(stage, 0, "last words"), ERR_OK);
    close_conn(stage, 0);
    broker_dies(stage);
    broker_comes(stage);
    pump(stage);
    expect_heard(stage, 1, "last words ");
    assert_int_equal(stage->host.counts.answers_without_client, 0);
}

/* --- senders that are held --------------------------------------------------------------------------------------------- */

static char kib[1025];

static void fill(struct stage *stage, unsigned i, size_t bytes)
{
    memset(kib, 'k', 1024);
    while (publishing(stage)->window.bytes <= bytes)
        assert_int_equal(say(stage, i, kib), ERR_OK);
}

static void above_the_soft_mark_senders_are_held(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 4; i++)
        open_conn(stage, i, i < 2 ? 0 : 5, 1);
    broker_dies(stage);
    fill(stage, 0, PUBLISH_SOFT_BYTES - 3000);
    assert_false(stage->sockets[0].held);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    assert_true(stage->sockets[0].held);
    assert_int_equal(say(stage, 0, "the rest of the read"), ERR_OK);
    assert_int_equal(say(stage, 2, "me, too"), ERR_OK);
    assert_true(stage->sockets[2].held);
    assert_false(stage->sockets[1].held || stage->sockets[3].held); /* have not sent anything */
    close_conn(stage, 2);
    assert_int_equal(publishing(stage)->held_count, 1);
    host_tick(&stage->host);
    assert_true(stage->sockets[0].held);
    broker_comes(stage);
    assert_true(stage->sockets[0].held); /* taken, but not in the ring yet, for all that is known */
    while (publishing(stage)->window.bytes >= PUBLISH_SOFT_BYTES / 2) {
        assert_true(stage->sockets[0].held);
        tail_drain(&stage->host.tail, 1);
    }
    assert_false(stage->sockets[0].held);
    assert_int_equal(stage->sockets[0].holds, 1);
    pump(stage);
    assert_int_equal(stage->sockets[1].frames, publishing(stage)->counts.published - 1);
    assert_int_equal(stage->sockets[3].frames, 1);
}

static void the_hard_bound_refuses_and_holds(void **state)
{
    struct stage *stage = *state;
    open_conn(stage, 0, 0, 1);
    open_conn(stage, 1, 0, 1);
    broker_dies(stage);
    memset(kib, 'k', 1024);
    while (say(stage, 0, kib) == ERR_OK)
        assert_true(publishing(stage)->window.block_bytes <= PUBLISH_HARD_BYTES);
    uint64_t published = publishing(stage)->counts.published;
    assert_int_equal(say(stage, 1, kib), ERR_FULL);
    assert_true(stage->sockets[1].held);
    assert_int_equal(publishing(stage)->counts.full, 2);
    assert_int_equal(publishing(stage)->counts.published, published);
    broker_comes(stage);
    for (unsigned n = 0; publish_window_count(&publishing(stage)->window) > 0; n++) {
        assert_true(n < 100);
        pump(stage);
    }
    assert_int_equal(stage->sockets[1].frames, published);
    assert_int_equal(publishing(stage)->held_count, 0);
}

static void many_are_let_go_in_portions(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CONNS; i++)
        open_conn(stage, i, 0, 1);
    broker_dies(stage);
    fill(stage, 0, PUBLISH_SOFT_BYTES);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(say(stage, i, "x"), ERR_OK);
    assert_int_equal(publishing(stage)->held_count, CONNS);
    for (unsigned i = 0; i < CONNS; i += 3)
        close_conn(stage, i);
    assert_int_equal(publishing(stage)->held_count, CONNS * 2 / 3);
    publish_window_acknowledged(&publishing(stage)->window, publishing(stage)->window.last_seq);
    host_tick(&stage->host);
    assert_int_equal(publishing(stage)->held_count, CONNS * 2 / 3 - PUBLISH_RELEASE);
    host_tick(&stage->host);
    assert_int_equal(publishing(stage)->held_count, 0);
    for (unsigned i = 0; i < CONNS; i++)
        assert_true(stage->sockets[i].conn == NULL || !stage->sockets[i].held);
}

/* --- what it costs ----------------------------------------------------------------------------------------------------- */

static void topics_are_charged(void **state)
{
    struct stage *stage = *state;
    struct topic topics[40];
    struct socket *s = &stage->sockets[0];
    open_conn(stage, 0, 0, 16);
    assert_int_equal(say(stage, 0, "x"), ERR_OK);
    assert_int_equal(s->charged, 0);
    close_conn(stage, 0);
    open_conn(stage, 0, 0, 40);
    assert_int_equal(s->charged, 0);
    assert_int_equal(say(stage, 0, "x"), ERR_OK);
    assert_int_equal(s->charged, 2);
    close_conn(stage, 0);
    open_conn(stage, 0, 0, 640);
    assert_int_equal(s->charged, 10);
    uint32_t count = 40;
    for (uint32_t i = 0; i < count; i++)
        topics[i] = *audience_topic(s->conn->client.audience, i * 16);
    assert_int_equal(endpoint_subscribe(s->conn, topics, count), ERR_OK); /* nothing new */
    assert_int_equal(endpoint_subscribe(s->conn, NULL, 0), ERR_OK);
    assert_int_equal(s->charged, 10);
    topic_make_stream(&topics[20], "new", 3);
    assert_int_equal(endpoint_subscribe(s->conn, topics, count), ERR_OK);
    assert_int_equal(s->charged, 20);
    endpoint_charge(s->conn, 5);
    assert_int_equal(s->charged, 25);
    assert_int_equal(endpoint_unsubscribe(s->conn, topics, 1), ERR_OK);
    assert_int_equal(s->charged, 35);
}

static void small_questions(void **state)
{
    struct stage *stage = *state;
    char peer[ENDPOINT_PEER_MAX];
    struct endpoint_conn *conn = open_conn(stage, 4, 0, 1);
    assert_int_equal(endpoint_serial(conn), 5);
    endpoint_peer(conn, peer);
    assert_string_equal(peer, "127.0.0.1:9");
    assert_true(endpoint_is_writable(conn));
    stage->sockets[4].full = true;
    assert_false(endpoint_is_writable(conn));
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_message_goes_to_the_others_once),
        PLAY(what_cannot_be_published_is_refused),
        PLAY(nothing_is_lost_while_the_broker_is_away),
        PLAY(every_message_is_published_once_whenever_the_broker_dies),
        PLAY(a_full_bus_is_tried_again),
        PLAY(what_a_broker_refuses_is_given_up_in_time),
        PLAY(a_later_message_in_the_ring_settles_a_refused_one),
        PLAY(a_sender_may_be_gone_when_its_message_comes),
        PLAY(above_the_soft_mark_senders_are_held),
        PLAY(the_hard_bound_refuses_and_holds),
        PLAY(many_are_let_go_in_portions),
        PLAY(topics_are_charged),
        PLAY(small_questions),
    };
    return cmocka_run_group_tests_name("publishing", tests, NULL, NULL);
}
