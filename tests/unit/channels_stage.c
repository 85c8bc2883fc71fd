#include "channels_stage.h"

#include "frames_channels.h"
#include "record.h"

#define RING_BYTES (1u << 20)

/* --- sockets ------------------------------------------------------------------------------------------------------------ */

static void hear(struct guest *guest, const char *text, size_t len)
{
    while (guest->heard_cap < guest->heard_len + len + 2) {
        guest->heard_cap = guest->heard_cap > 0 ? 2 * guest->heard_cap : 1024;
        guest->heard = realloc(guest->heard, guest->heard_cap);
        assert_non_null(guest->heard);
    }
    memcpy(guest->heard + guest->heard_len, text, len);
    guest->heard_len += len;
    guest->heard[guest->heard_len++] = '\n';
    guest->heard[guest->heard_len] = '\0';
    guest->frames++;
}

static void hear_frames(struct guest *guest, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        assert_true(len >= 2);
        size_t header = 2, payload = bytes[1];
        if (payload == 126) {
            payload = (size_t)bytes[2] << 8 | bytes[3];
            header = 4;
        } else if (payload == 127) {
            payload = 0;
            for (unsigned i = 2; i < 10; i++)
                payload = payload << 8 | bytes[i];
            header = 10;
        }
        assert_int_equal(bytes[0], 0x81);
        assert_true(header + payload <= len);
        hear(guest, (const char *)bytes + header, payload);
        bytes += header + payload;
        len -= header + payload;
    }
}

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    struct guest *guest = sink;
    *taken = 0;
    if (guest->closed != 0)
        return ERR_CLOSED;
    for (int i = 0; i < count && !guest->blocked; i++) {
        hear_frames(guest, pieces[i].iov_base, pieces[i].iov_len);
        *taken += pieces[i].iov_len;
    }
    return ERR_OK;
}

static bool sink_can_write(void *sink)
{
    const struct guest *guest = sink;
    return !guest->blocked && guest->closed == 0;
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    struct guest *guest = sink;
    guest->closed = code;
    snprintf(guest->reason, sizeof guest->reason, "%s", reason);
}

static void sink_hold(void *sink, bool hold)
{
    struct guest *guest = sink;
    guest->held = hold;
}

static void sink_charge(void *sink, unsigned messages)
{
    (void)sink;
    (void)messages;
}

static void peer_name(void *sink, char from[CALLER_FROM_MAX])
{
    (void)sink;
    snprintf(from, CALLER_FROM_MAX, "127.0.0.1:1");
}

static enum err_e send_up(void *arg, const struct pending_entry *entry, bool resent)
{
    (void)arg;
    (void)entry;
    (void)resent;
    return ERR_FULL;
}

/* --- publishing ----------------------------------------------------------------------------------------------------------- */

static void note(struct stage *stage, const char *channel, uint64_t n, const char *text, size_t len)
{
    assert_true(stage->stored_count < EVENTS_MAX);
    struct stored *event = &stage->stored[stage->stored_count++];
    *event = (struct stored){.ring = ring_writer_id(stage->ring), .n = n, .text = malloc(len + 1)};
    snprintf(event->channel, sizeof event->channel, "%s", channel);
    memcpy(event->text, text, len);
    event->text[len] = '\0';
}

static void append(struct stage *stage, const struct ring_entry *entry)
{
    assert_int_equal(ring_writer_append(stage->ring, entry), ERR_OK);
    ring_writer_publish(stage->ring);
}

void publish(struct stage *stage, const char *channel, unsigned number, size_t pad,
             char seq[ENDPOINT_SEQ_MAX])
{
    static char payload[20000];
    static unsigned char frame[FRAMES_CHANNELS_BYTES(20000)];
    const struct record_source source = {7, number, 0};
    uint64_t position = ring_writer_next(stage->ring);
    int len = snprintf(payload, sizeof payload,
                       "{\"type\":\"played\",\"number\":%u,\"braces\":\"}]\\\"{\",\"pad\":\"%*s\"}", number,
                       (int)pad, "");
    struct frame_bytes made = frames_channels_event(
        frame, sizeof frame, payload, (size_t)len,
        (struct frames_seq){.ring_id = ring_writer_id(stage->ring), .position = position});
    struct topic topics[2];
    topic_make_channel(&topics[0], channel, strlen(channel));
    topic_make_channel(&topics[1], "general", 7);
    append(stage, &(struct ring_entry){.kind = RECORD_CHANNEL,
                                       .dialect = DIALECT_CHANNELS,
                                       .topics = topics,
                                       .topic_count = strcmp(channel, "general") == 0 ? 1 : 2,
                                       .meta = &source,
                                       .meta_len = sizeof source,
                                       .frame = made.at,
                                       .frame_len = (uint32_t)made.len});
    const char *text = memchr(made.at, '{', 16);
    assert_non_null(text);
    size_t text_len = made.len - (size_t)(text - (const char *)made.at);
    if (!stage->forgets)
        note(stage, channel, position / RECORD_ALIGN, text, text_len);
    const char *at = text + text_len - 2;
    while (at[-1] != '"')
        at--;
    if (seq != NULL)
        snprintf(seq, ENDPOINT_SEQ_MAX, "%.*s", (int)(text + text_len - 2 - at), at);
}

void flood(struct stage *stage)
{
    static unsigned char frame[60000] = {0x81, 127};
    static const struct record_outcome outcome;
    struct topic topic;
    topic_make(&topic, TOPIC_RESULT, NULL);
    for (unsigned i = 0; i < RING_BYTES / sizeof frame + 2; i++)
        append(stage, &(struct ring_entry){.kind = RECORD_RESULT,
                                           .dialect = DIALECT_CAROUSEL,
                                           .topics = &topic,
                                           .topic_count = 1,
                                           .meta = &outcome,
                                           .meta_len = sizeof outcome,
                                           .frame = frame,
                                           .frame_len = sizeof frame});
}

/* --- guests ------------------------------------------------------------------------------------------------------------ */

struct guest *come_as(struct stage *stage, unsigned worker, const char *path, const char *query,
                      const struct identity *identity)
{
    const struct endpoint_request request = {path, query, "l", identity};
    struct guest *guest = calloc(1, sizeof *guest);
    assert_true(guest != NULL && stage->guest_count < GUESTS_MAX);
    *guest = (struct guest){
        .stage = stage, .worker = worker, .memory = calloc(1, host_conn_bytes(&channels_dialect))};
    guest->heard = calloc(1, guest->heard_cap = 64);
    guest->client =
        host_open(&stage->workers[worker].endpoint, guest->memory, guest, ++stage->serial, &request);
    stage->guests[stage->guest_count++] = guest;
    return guest;
}

struct guest *come(struct stage *stage, unsigned worker, const char *query)
{
    return come_as(stage, worker, "/api/v1/ws", query, identity_nobody());
}

void go(struct guest *guest)
{
    struct stage *stage = guest->stage;
    unsigned at = 0;
    while (stage->guests[at] != guest)
        at++;
    stage->guests[at] = stage->guests[--stage->guest_count];
    host_closed(guest->client);
    free(guest->memory);
    free(guest->heard);
    free(guest);
}

void say(struct guest *guest, const char *text, bool binary)
{
    char *exact = malloc(strlen(text) + 1); /* the dialect may read no further */
    assert_non_null(exact);
    memcpy(exact, text, strlen(text));
    host_message(guest->client, exact, strlen(text), binary);
    host_settle(guest->client);
    free(exact);
}

void block(struct guest *guest, bool blocked)
{
    guest->blocked = blocked;
    if (!blocked)
        host_writable(guest->client);
}

unsigned heard(const struct guest *guest, const char *text)
{
    unsigned times = 0;
    for (const char *at = guest->heard; (at = strstr(at, text)) != NULL; at++)
        times++;
    return times;
}

/* The numbers of a line must be next, next + 1, …; the one behind them. */
static unsigned expect_numbers(const char *line, size_t len, unsigned next)
{
    static const char member[] = "\"number\":";
    const char *end = line + len;
    for (const char *at = line; (at = memmem(at, (size_t)(end - at), member, sizeof member - 1)) != NULL;) {
        char digits[11];
        at += sizeof member - 1;
        snprintf(digits, sizeof digits, "%.10s", at);
        assert_int_equal(strtoul(digits, NULL, 10), next++);
    }
    return next;
}

/* Line by line: strstr() and strtoul() let ASan's strict_string_checks measure all that follows, megabytes, for each event. */
void expect_events(const struct guest *guest, unsigned from, unsigned to)
{
    unsigned next = from;
    const char *end = guest->heard + guest->heard_len, *line_end;
    for (const char *line = guest->heard; line < end; line = line_end + 1) {
        line_end = memchr(line, '\n', (size_t)(end - line));
        assert_non_null(line_end);
        next = expect_numbers(line, (size_t)(line_end - line), next);
    }
    assert_int_equal(next, to + 1);
}

void expect_line(const struct guest *guest, unsigned line, const char *text)
{
    const char *at = guest->heard;
    for (unsigned i = 0; i < line; i++) {
        at = strchr(at, '\n');
        assert_non_null(at);
        at++;
    }
    if (strncmp(at, text, strlen(text)) != 0)
        fail_msg("line %u is not %s but %.200s", line, text, at);
}

void expect_begins(const struct guest *guest, const char *text)
{
    expect_line(guest, 0, text);
}

const struct channels_counts *counts(struct stage *stage, unsigned worker)
{
    return channels_counts(endpoint_own(&stage->workers[worker].endpoint, &channels_dialect));
}

/* --- stage -------------------------------------------------------------------------------------------------------------- */

static void worker_open(struct stage *stage, unsigned i)
{
    static const struct outbox_sink sink = {sink_writev, sink_can_write, sink_close};
    struct worker *worker = &stage->workers[i];
    *worker = (struct worker){.stage = stage, .number = i, .up = true};
    const struct host_config config = {.conf = &stage->conf,
                                       .clock = &stage->clock.clock,
                                       .incarnation = stage_incarnation(i),
                                       .ring_path = stage->ring_path,
                                       .lvt_path = stage->lvt_path,
                                       .sink = &sink,
                                       .send_up = send_up,
                                       .send_message = stage_send,
                                       .peer_name = peer_name,
                                       .hold = sink_hold,
                                       .charge = sink_charge,
                                       .settles = true,
                                       .arg = worker};
    assert_int_equal(host_init(&worker->host, &config), ERR_OK);
    worker->endpoint =
        (struct endpoint){.host = &worker->host, .dialect = &channels_dialect, .listener = "l"};
    assert_int_equal(host_join(&worker->endpoint), ERR_OK);
    assert_int_equal(host_start(&worker->host), ERR_OK);
    assert_int_equal(host_broker_up(&worker->host, ring_writer_id(stage->ring)), ERR_OK);
}

static void worker_close(struct stage *stage, unsigned i)
{
    for (unsigned g = stage->guest_count; g-- > 0;)
        if (stage->guests[g]->worker == i)
            go(stage->guests[g]);
    host_stop(&stage->workers[i].host);
    host_fini(&stage->workers[i].host);
}

void worker_restarts(struct stage *stage, unsigned worker)
{
    worker_close(stage, worker);
    worker_open(stage, worker);
}

static void ring_open(struct stage *stage)
{
    bool continued;
    assert_int_equal(ring_writer_open(stage->ring_path, RING_BYTES, &stage->ring, &continued), ERR_OK);
    assert_int_equal(
        lvt_writer_open(stage->lvt_path, 8, ring_writer_id(stage->ring), &stage->lvt, &continued), ERR_OK);
}

static void ring_close(struct stage *stage)
{
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    unlink(stage->ring_path);
    unlink(stage->lvt_path);
}

void new_ring(struct stage *stage)
{
    broker_dies(stage);
    ring_close(stage);
    ring_open(stage);
    broker_is_back(stage);
}

int stage_open(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    stage->stored = calloc(EVENTS_MAX, sizeof *stage->stored);
    snprintf(stage->dir, sizeof stage->dir, "/dev/shm/channels-test-XXXXXX");
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->ring_path, sizeof stage->ring_path, "%s/ring", stage->dir);
    snprintf(stage->lvt_path, sizeof stage->lvt_path, "%s/lvt", stage->dir);
    clock_manual_init(&stage->clock, 100 * NS_PER_S, 1735689600000);
    stage->conf =
        (struct conf){.slow_soft_bytes = 256 * 1024, .slow_soft_ms = 10000, .slow_hard_bytes = 1024 * 1024};
    stage->end = &stage->first;
    stage->store_status = 200;
    ring_open(stage);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_open(stage, i);
    *state = stage;
    return 0;
}

int stage_close(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < WORKERS; i++)
        worker_close(stage, i);
    stage_drop_letters(stage);
    for (unsigned i = 0; i < stage->stored_count; i++)
        free(stage->stored[i].text);
    free(stage->stored);
    ring_close(stage);
    rmdir(stage->dir);
    free(stage);
    return 0;
}
