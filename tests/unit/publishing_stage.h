/* publishing_stage.h — a host whose connections publish, and whose endpoints are published to: a real ring, played sockets, and a
 * broker that is played as broker/streams.c has it: in order, once per number, in parts. */
#pragma once

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
    char text[4096]; /* the payloads that it was sent, each with a blank, binary ones in brackets */
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
    struct endpoint endpoint, endpoints; /* of streams; of endpoints */
    struct socket sockets[CONNS];
    /* the played broker */
    bool up, full, refuses;
    unsigned limit;         /* messages that it takes before it dies; 0: any number */
    uint64_t floor;         /* highest number that it has published */
    uint64_t last;          /* highest number that it was sent: no gaps */
    unsigned sent, repeats; /* messages; those not above the floor */
};

/* --- the broker ------------------------------------------------------------------------------------------------------- */

static inline void append(struct stage *stage, const struct wire_publish *publish)
{
    static unsigned char memory[WIRE_PUBLISH_PAYLOAD_MAX + WS_HEADER_MAX];
    static struct topic topics[WIRE_PUBLISH_TOPICS_MAX];
    struct wire_text left = publish->topics, name;
    uint32_t count = 0;
    for (size_t id_len; wire_topics_next(&left, &name); count++) {
        assert_non_null(publish->dialect == DIALECT_STREAMS ? topic_stream_id(name.at, name.len, &id_len)
                                                            : topic_endpoint_id(name.at, name.len, &id_len));
        topics[count] = (struct topic){.hash = topic_hash(name.at, name.len), .len = (uint8_t)name.len};
        memcpy(topics[count].name, name.at, name.len);
    }
    assert_int_equal(left.len, 0);
    assert_true(count > 0);
    memcpy(memory + WS_HEADER_MAX, publish->payload.at, publish->payload.len);
    struct record_stream meta = {publish->publish_seq, 0, (count + 15) / 16};
    struct ring_entry entry = {.kind = RECORD_STREAM,
                               .dialect = (enum record_dialect_e)publish->dialect,
                               .origin_mode =
                                   publish->echo || publish->session_serial == 0 ? ORIGIN_NONE : ORIGIN_NOT,
                               .origin = {INCARNATION, publish->session_serial},
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = ws_frame_prepend(memory + WS_HEADER_MAX, publish->payload.len,
                                                         publish->binary ? WS_BINARY : WS_TEXT)};
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

static inline enum err_e send_message(void *arg, struct wire_message *message)
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

static inline void broker_dies(struct stage *stage)
{
    stage->up = stage->full = false;
    stage->limit = stage->sent = stage->repeats = 0;
    host_broker_down(&stage->host);
}

static inline void broker_comes(struct stage *stage)
{
    stage->up = true;
    assert_int_equal(host_broker_up(&stage->host, ring_writer_id(stage->ring)), ERR_OK);
}

/* --- connections -------------------------------------------------------------------------------------------------------- */

static inline enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    struct socket *s = sink;
    *taken = 0;
    for (int i = 0; i < count; i++) {
        const unsigned char *at = pieces[i].iov_base, *end = at + pieces[i].iov_len;
        *taken += pieces[i].iov_len;
        for (; at < end; s->frames++) {
            size_t total = ws_frame_total_len(at, (size_t)(end - at)), used = strlen(s->text);
            size_t header = at[1] < 126 ? 2 : at[1] == 126 ? 4 : 10;
            if (total - header + used + 4 < sizeof s->text)
                snprintf(s->text + used, sizeof s->text - used, at[0] == 0x82 ? "[%.*s] " : "%.*s ",
                         (int)(total - header), at + header);
            at += total;
        }
    }
    return ERR_OK;
}

static inline bool sink_can_write(void *sink)
{
    const struct socket *s = sink;
    return !s->full && !s->closed;
}

static inline void sink_close(void *sink, unsigned code, const char *reason)
{
    struct socket *s = sink;
    (void)code;
    (void)reason;
    s->closed = true;
}

static inline void hold(void *sink, bool hold)
{
    struct socket *s = sink;
    assert_true(s->held != hold);
    s->held = hold;
    s->holds += hold;
}

static inline void charge(void *sink, unsigned messages)
{
    struct socket *s = sink;
    s->charged += messages;
}

static inline void peer_name(void *sink, char from[CALLER_FROM_MAX])
{
    (void)sink;
    strcpy(from, "127.0.0.1:9");
}

static inline enum err_e send_up(void *arg, const struct pending_entry *entry, bool resent)
{
    (void)arg;
    (void)entry;
    (void)resent;
    return ERR_OK;
}

static inline void on_nothing(struct endpoint_conn *conn)
{
    (void)conn;
}

static inline void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    (void)conn;
    (void)request;
}

static const struct endpoint_dialect dialect = {.name = "played",
                                                .record_dialect = DIALECT_STREAMS,
                                                .on_connect = on_connect,
                                                .on_disconnect = on_nothing,
                                                .on_gap = on_nothing};

static inline void echo(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    if (binary)
        endpoint_reply_binary(conn, text, len);
    else
        endpoint_reply(conn, text, len);
}

static const struct endpoint_dialect endpoints_dialect = {.name = "endpoints",
                                                          .record_dialect = DIALECT_ENDPOINTS,
                                                          .on_connect = on_connect,
                                                          .on_receive = echo,
                                                          .on_disconnect = on_nothing};

static inline struct endpoint_conn *enter(struct stage *stage, unsigned i, struct endpoint *endpoint)
{
    const struct endpoint_request request = {"/", "", "l", identity_nobody()};
    struct socket *s = &stage->sockets[i];
    assert_null(s->conn);
    *s = (struct socket){.conn = calloc(1, host_conn_bytes(endpoint->dialect))};
    host_open(endpoint, s->conn, s, i + 1, &request);
    return s->conn;
}

/* A topic of /chat. */
static inline struct topic chat(const char *name)
{
    struct topic topic;
    topic_make_endpoint(&topic, "/chat", name, strlen(name));
    return topic;
}

/* A connection to /chat with the topics "" and `name`. */
static inline struct endpoint_conn *open_chat(struct stage *stage, unsigned i, const char *name)
{
    struct endpoint_conn *conn = enter(stage, i, &stage->endpoints);
    const struct topic topics[] = {chat(""), chat(name)};
    assert_int_equal(endpoint_subscribe(conn, topics, 2), ERR_OK);
    return conn;
}

static inline struct endpoint_conn *open_conn(struct stage *stage, unsigned i, unsigned first,
                                              unsigned streams)
{
    static struct topic topics[4096];
    struct socket *s = &stage->sockets[i];
    enter(stage, i, &stage->endpoint);
    for (unsigned n = 0; n < streams; n++) {
        char id[16];
        topic_make_stream(&topics[n], id, (size_t)snprintf(id, sizeof id, "s%u", first + n));
    }
    if (streams > 0)
        assert_int_equal(endpoint_subscribe(s->conn, topics, streams), ERR_OK);
    return s->conn;
}

static inline void close_conn(struct stage *stage, unsigned i)
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

static inline int stage_open(void **state)
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
                                       .loop = (uv_loop_t *)(void *)stage, /* nobody looks into it */
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
    stage->endpoints =
        (struct endpoint){.host = &stage->host, .dialect = &endpoints_dialect, .listener = "l"};
    broker_comes(stage);
    *state = stage;
    return 0;
}

static inline int stage_close(void **state)
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
static inline void pump(struct stage *stage)
{
    bool more = true;
    while (more) {
        more = audiences_pressed(&stage->host.audiences) || tail_drain(&stage->host.tail, 1000);
        more |= outbox_slice(&stage->host.outbox, NS_PER_S);
    }
}

static inline enum err_e say(struct stage *stage, unsigned i, const char *text)
{
    return endpoint_publish(stage->sockets[i].conn, text, strlen(text), false);
}

static inline void expect_heard(struct stage *stage, unsigned i, const char *text)
{
    assert_string_equal(stage->sockets[i].text, text);
    stage->sockets[i].text[0] = '\0';
}

static inline void let_time_pass(struct stage *stage, uint64_t ns)
{
    clock_manual_advance_ns(&stage->clock, ns);
    host_tick(&stage->host);
}

static inline struct publishing *publishing(struct stage *stage)
{
    return &stage->host.publishing;
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)
