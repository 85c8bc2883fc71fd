/* fanout: a real ring, the tail, audiences and the outbox, with sockets played by the test.
 *
 * The last test is a property: whatever the sockets take and whenever clients come, move and go, a client that was not
 * closed ends with exactly the last state of every machine it subscribed to, never sees a state older than one it saw,
 * and sees every result once and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audience.h"
#include "clock.h"
#include "frames_carousel.h"
#include "lvt_writer.h"
#include "must.h"
#include "outbox.h"
#include "ring_writer.h"
#include "tail.h"
#include "ws_frame.h"

#define MACHINES  6
#define CLIENTS   24
#define HEARD_MAX (4u * 1024u * 1024u)

/* --- a played socket ----------------------------------------------------------------------------------------------- */

struct socket {
    struct client client;
    size_t room;    /* bytes it still takes */
    bool remainder; /* a frame was taken in part: full until drained */
    bool closed;
    unsigned close_code;
    unsigned char *heard;
    size_t heard_len;
};

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    struct socket *s = sink;
    *taken = 0;
    for (int i = 0; i < count; i++) {
        const unsigned char *at = pieces[i].iov_base;
        for (size_t left = pieces[i].iov_len; left > 0;) {
            size_t frame = ws_frame_total_len(at, left);
            assert_true(frame > 0 && frame <= left); /* pieces start and end at frames */
            if (s->room == 0)
                return ERR_OK;
            s->remainder = frame > s->room;
            s->room = s->remainder ? 0 : s->room - frame;
            assert_true(s->heard_len + frame <= HEARD_MAX);
            memcpy(s->heard + s->heard_len, at, frame);
            s->heard_len += frame;
            *taken += frame;
            at += frame;
            left -= frame;
        }
    }
    return ERR_OK;
}

static bool sink_can_write(void *sink)
{
    struct socket *s = sink;
    return !s->remainder && !s->closed;
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    struct socket *s = sink;
    (void)reason;
    s->closed = true;
    s->close_code = code;
}

static const struct outbox_sink sink = {sink_writev, sink_can_write, sink_close};

/* --- the stage -------------------------------------------------------------------------------------------------------- */

struct stage {
    char dir[64], ring_path[80], lvt_path[80];
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct mirror mirror;
    struct audiences audiences;
    struct outbox outbox;
    struct tail tail;
    struct clock_manual clock;
    struct lvt_machine machines[MACHINES];
    unsigned results; /* published, numbered from 1 */
    struct socket sockets[CLIENTS];
    unsigned losses;
};

/* As a dialect would: "S<slot>=<position>;" per machine, in one text frame. */
static size_t write_states(void *arg, struct client *client, const struct mirror_machine *const *machines,
                           uint32_t count, uint64_t position, void *frame, size_t cap)
{
    (void)arg;
    (void)client;
    (void)position;
    unsigned char *payload = (unsigned char *)frame + 10;
    struct out out = out_init(payload, cap - 10);
    for (uint32_t i = 0; i < count; i++)
        out_bytes(&out, machines[i]->text, machines[i]->text_len);
    size_t header = ws_frame_header_len(out.len);
    memmove((unsigned char *)frame + header, payload, out.len);
    ws_frame_prepend((unsigned char *)frame + header, out.len, WS_TEXT);
    return header + out.len;
}

static void on_origin(void *arg, const struct ring_record *record)
{
    (void)arg;
    (void)record;
}

static void on_lost(void *arg, uint64_t since, enum ring_status_e why)
{
    struct stage *stage = arg;
    stage->losses += why != RING_MORE;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (stage->sockets[i].client.magic == CLIENT_MAGIC)
            outbox_conflate(&stage->outbox, &stage->sockets[i].client, since);
}

/* A frame of `len` bytes payload at least, beginning with `text`. */
static uint32_t make_frame(unsigned char *memory, const char *text, size_t text_len, size_t pad)
{
    unsigned char *payload = memory + WS_HEADER_MAX;
    memcpy(payload, text, text_len);
    memset(payload + text_len, ' ', pad);
    unsigned char *frame = ws_frame_prepend(payload, text_len + pad, WS_TEXT);
    uint32_t len = (uint32_t)(text_len + pad + ws_frame_header_len(text_len + pad));
    memmove(memory, frame, len);
    return len;
}

static void publish_state(struct stage *stage, unsigned slot, uint8_t position, unsigned reading, size_t pad)
{
    struct lvt_machine *m = &stage->machines[slot];
    unsigned char frame[64 * 1024];
    m->state = (struct machine_state){CONNECTION_CONNECTED, true, 218, position, reading};
    m->text_len = (uint32_t)snprintf(m->text, sizeof m->text, "S%u=%u;", slot, reading);
    m->record_position = ring_writer_next(stage->ring);
    uint32_t len = make_frame(frame, m->text, m->text_len, pad);
    struct topic topics[2];
    topic_make(&topics[0], TOPIC_STATE, m->info.id);
    topic_make(&topics[1], TOPIC_STATE, NULL);
    size_t header = ws_frame_header_len(m->text_len + pad);
    struct record_state meta = {.slot = slot,
                                .text_offset = (uint32_t)header,
                                .text_len = m->text_len,
                                .connection = CONNECTION_CONNECTED,
                                .has_reading = 1,
                                .raw_status = 218,
                                .position = position,
                                .read_wall_ms = reading};
    struct ring_entry entry = {.kind = RECORD_STATE,
                               .dialect = DIALECT_CAROUSEL,
                               .topics = topics,
                               .topic_count = 2,
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = frame,
                               .frame_len = len};
    assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
    ring_writer_publish(stage->ring);
    lvt_writer_put(stage->lvt, slot, m);
}

static void publish_result(struct stage *stage, unsigned slot, size_t pad)
{
    char text[32];
    unsigned char frame[64 * 1024];
    int n = snprintf(text, sizeof text, "R%u=%u;", slot, ++stage->results);
    uint32_t len = make_frame(frame, text, (size_t)n, pad);
    struct topic topics[2];
    topic_make(&topics[0], TOPIC_RESULT, stage->machines[slot].info.id);
    topic_make(&topics[1], TOPIC_RESULT, NULL);
    struct record_outcome meta = {.slot = slot, .agent_gen = 1, .outcome_seq = stage->results};
    struct ring_entry entry = {.kind = RECORD_RESULT,
                               .dialect = DIALECT_CAROUSEL,
                               .topics = topics,
                               .topic_count = 2,
                               .meta = &meta,
                               .meta_len = sizeof meta,
                               .frame = frame,
                               .frame_len = len};
    assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
    ring_writer_publish(stage->ring);
}

static int stage_open(void **state)
{
    static const struct tail_events events = {on_origin, on_lost};
    struct stage *stage = calloc(1, sizeof *stage);
    bool continued;
    snprintf(stage->dir, sizeof stage->dir, "/dev/shm/fanout-test-%d", getpid());
    snprintf(stage->ring_path, sizeof stage->ring_path, "%s-ring", stage->dir);
    snprintf(stage->lvt_path, sizeof stage->lvt_path, "%s-lvt", stage->dir);
    assert_int_equal(ring_writer_open(stage->ring_path, 1 << 20, &stage->ring, &continued), ERR_OK);
    uint32_t id = ring_writer_id(stage->ring);
    assert_int_equal(lvt_writer_open(stage->lvt_path, 64, id, &stage->lvt, &continued), ERR_OK);
    clock_manual_init(&stage->clock, NS_PER_S, 0);
    mirror_init(&stage->mirror);
    audiences_init(&stage->audiences);
    stage->outbox = (struct outbox){.audiences = &stage->audiences,
                                    .mirror = &stage->mirror,
                                    .sink = &sink,
                                    .states = write_states,
                                    .clock = &stage->clock.clock};
    stage->tail = (struct tail){.mirror = &stage->mirror,
                                .audiences = &stage->audiences,
                                .outbox = &stage->outbox,
                                .incarnation = 7,
                                .events = &events,
                                .arg = stage,
                                .ring_path = stage->ring_path,
                                .lvt_path = stage->lvt_path};
    for (unsigned i = 0; i < MACHINES; i++) {
        snprintf(stage->machines[i].info.id, sizeof stage->machines[i].info.id, "m%u", i);
        publish_state(stage, i, 0, 1, 0);
    }
    assert_int_equal(tail_attach(&stage->tail, id), ERR_OK);
    *state = stage;
    return 0;
}

static void leave(struct stage *stage, struct socket *s)
{
    if (s->client.magic != CLIENT_MAGIC)
        return;
    outbox_drop(&stage->outbox, &s->client);
    free(s->heard);
    memset(s, 0, sizeof *s);
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CLIENTS; i++)
        leave(stage, &stage->sockets[i]);
    assert_int_equal(stage->outbox.counts.own_bytes, 0);
    tail_close(&stage->tail);
    audiences_fini(&stage->audiences);
    assert_int_equal(stage->audiences.budget.used_bytes, 0);
    mirror_fini(&stage->mirror);
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    unlink(stage->ring_path);
    unlink(stage->lvt_path);
    free(stage);
    return 0;
}

static struct socket *arrive(struct stage *stage, unsigned i, size_t room)
{
    struct socket *s = &stage->sockets[i];
    memset(s, 0, sizeof *s);
    s->client.magic = CLIENT_MAGIC;
    s->client.sink = s;
    s->room = room;
    s->heard = malloc(HEARD_MAX);
    return s;
}

/* Adds a subscription as an endpoint does; the snapshot goes out as an own frame. */
static void subscribe(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine)
{
    static struct topic set[2 * AUDIENCE_TOPICS_MAX];
    struct topic topic;
    topic_make(&topic, kind, machine);
    uint32_t count = audience_union(&s->client, &topic, 1, set);
    if (outbox_move(&stage->outbox, &s->client, set, count) != ERR_OK)
        return;
    const struct mirror_machine *machines[MACHINES];
    uint32_t shown = 0;
    for (uint32_t i = 0; kind == TOPIC_STATE && i < MACHINES; i++)
        if (machine == NULL || strcmp(stage->machines[i].info.id, machine) == 0)
            machines[shown++] = mirror_slot(&stage->mirror, i);
    if (shown == 0)
        return;
    unsigned char frame[OUTBOX_PORTION_MAX];
    size_t len = write_states(NULL, &s->client, machines, shown, 0, frame, sizeof frame);
    outbox_own_frame(&stage->outbox, &s->client, frame, len);
}

static void pump(struct stage *stage)
{
    while (tail_drain(&stage->tail, 1000))
        ;
    while (outbox_slice(&stage->outbox, NS_PER_S))
        ;
}

static void give_room(struct stage *stage, struct socket *s, size_t room)
{
    s->room += room;
    s->remainder = false;
    if (s->client.choked && !s->closed)
        outbox_writable(&stage->outbox, &s->client);
}

/* --- what was heard --------------------------------------------------------------------------------------------------- */

struct heard {
    unsigned state[MACHINES]; /* last reading per machine, 0 none */
    unsigned result;          /* last result */
    unsigned results, frames;
    bool backwards;
};

static void hear_items(struct heard *heard, const char *at, const char *end)
{
    unsigned slot, value;
    int used;
    char kind;
    for (; at < end && *at != ' '; at += used) {
        used = 0;
        assert_int_equal(sscanf(at, "%c%u=%u;%n", &kind, &slot, &value, &used), 3);
        unsigned *last = kind == 'S' ? &heard->state[slot] : &heard->result;
        heard->backwards |= value < *last || (kind == 'R' && value == *last);
        heard->results += kind == 'R';
        *last = value;
    }
}

static struct heard listen_to(const struct socket *s)
{
    struct heard heard = {0};
    for (size_t at = 0; at < s->heard_len; heard.frames++) {
        char text[70000];
        size_t total = ws_frame_total_len(s->heard + at, s->heard_len - at);
        size_t header = total - 2 < 126 ? 2 : total - 4 <= 0xffff ? 4 : 10;
        memcpy(text, s->heard + at + header, total - header);
        text[total - header] = '\0';
        hear_items(&heard, text, text + total - header);
        at += total;
    }
    return heard;
}

/* --- plays -------------------------------------------------------------------------------------------------------------- */

static void a_frame_goes_to_whoever_shares_a_topic_and_once(void **state)
{
    struct stage *stage = *state;
    struct socket *one = arrive(stage, 0, SIZE_MAX / 2), *all = arrive(stage, 1, SIZE_MAX / 2);
    struct socket *both = arrive(stage, 2, SIZE_MAX / 2), *none = arrive(stage, 3, SIZE_MAX / 2);
    subscribe(stage, one, TOPIC_STATE, "m1");
    subscribe(stage, all, TOPIC_STATE, NULL);
    subscribe(stage, both, TOPIC_STATE, "m1");
    subscribe(stage, both, TOPIC_STATE, NULL);
    publish_state(stage, 1, 5, 2, 0);
    publish_state(stage, 2, 5, 2, 0);
    pump(stage);
    assert_int_equal(listen_to(one).frames, 2);
    assert_int_equal(listen_to(one).state[1], 2);
    assert_int_equal(listen_to(one).state[2], 0);
    assert_int_equal(listen_to(all).frames, 3);
    assert_int_equal(listen_to(both).frames, 4); /* two snapshots, each change once */
    assert_int_equal(none->heard_len, 0);
}

static void own_frames_keep_their_place_in_the_log(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, SIZE_MAX / 2);
    subscribe(stage, s, TOPIC_RESULT, NULL);
    give_room(stage, s, 0);
    s->room = 0; /* full */
    publish_result(stage, 0, 0);
    pump(stage);
    unsigned char frame[32];
    uint32_t len = make_frame(frame, "S0=9;", 5, 0);
    outbox_own_frame(&stage->outbox, &s->client, frame, len);
    publish_result(stage, 1, 0);
    pump(stage);
    assert_int_equal(s->heard_len, 0);
    give_room(stage, s, 1 << 20);
    assert_int_equal(s->heard_len, 21);
    assert_memory_equal(s->heard, "\x81\x05R0=1;\x81\x05S0=9;\x81\x05R1=2;", 21);
}

static void skipped_frames_are_skipped_for_the_origin_alone(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 2; i++)
        subscribe(stage, arrive(stage, i, SIZE_MAX / 2), TOPIC_RESULT, NULL);
    for (unsigned round = 0; round < 2; round++) {
        struct socket *origin = &stage->sockets[0];
        origin->room = round == 0 ? SIZE_MAX / 2 : 0; /* caught up, then choked with a backlog */
        publish_result(stage, 0, 0);
        tail_drain(&stage->tail, 10);
        outbox_skip(&stage->outbox, &origin->client, 7);
        publish_result(stage, 1, 0);
        pump(stage);
        give_room(stage, origin, SIZE_MAX / 4);
    }
    assert_memory_equal(stage->sockets[0].heard, "\x81\x05R1=2;\x81\x05R1=4;", 14);
    assert_int_equal(stage->sockets[0].heard_len, 14);
    assert_int_equal(listen_to(&stage->sockets[1]).results, 4);
}

static void a_slow_state_client_gets_the_newest_states_and_no_backlog(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 10; i++) /* own log */
        subscribe(stage, arrive(stage, i, i == 0 ? 40 : SIZE_MAX / 2), TOPIC_STATE, NULL);
    for (unsigned n = 2; n < 8000; n++) {
        publish_state(stage, n % MACHINES, 1, n, 200);
        pump(stage);
    }
    struct socket *slow = &stage->sockets[0];
    assert_true(slow->heard_len < 1000);
    for (unsigned i = 0; i < 100 && stage->outbox.counts.lags == 0; i++)
        give_room(stage, slow, 400);
    give_room(stage, slow, 1 << 20);
    struct heard heard = listen_to(slow);
    assert_false(heard.backwards);
    for (unsigned i = 0; i < MACHINES; i++)
        assert_int_equal(heard.state[i], stage->machines[i].state.read_wall_ms);
    assert_true(heard.frames < 100);
    assert_int_equal(stage->outbox.counts.closed_slow, 0);
}

static void a_client_too_slow_for_results_is_closed_with_1013(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < 10; i++)
        subscribe(stage, arrive(stage, i, i == 0 ? 40 : SIZE_MAX / 2), TOPIC_RESULT, NULL);
    for (unsigned n = 0; n < 200 && !stage->sockets[0].closed; n++) {
        publish_result(stage, 0, 60000);
        pump(stage);
        for (unsigned i = 1; i < 10; i++)
            stage->sockets[i].heard_len = 0;
    }
    assert_true(stage->sockets[0].closed);
    assert_int_equal(stage->sockets[0].close_code, 1013);
    assert_false(stage->sockets[1].closed);
}

static void a_lapped_worker_shows_snapshots(void **state)
{
    struct stage *stage = *state;
    struct socket *s = arrive(stage, 0, SIZE_MAX / 2);
    subscribe(stage, s, TOPIC_STATE, NULL);
    for (unsigned n = 2; n < 200; n++) /* 200 × 10 KiB is more than the 1 MiB ring holds */
        publish_state(stage, n % MACHINES, 1, n, 10000);
    pump(stage);
    assert_int_equal(stage->losses, 1);
    struct heard heard = listen_to(s);
    assert_false(heard.backwards);
    for (unsigned i = 0; i < MACHINES; i++)
        assert_int_equal(heard.state[i], stage->machines[i].state.read_wall_ms);
}

/* --- the property ---------------------------------------------------------------------------------------------------- */

struct expectation {
    bool state[MACHINES], results;
    unsigned results_from; /* results published before it subscribed */
};

static void random_step(struct stage *stage, struct expectation *expect, unsigned *reading)
{
    unsigned i = (unsigned)rand() % CLIENTS, slot = (unsigned)rand() % MACHINES;
    struct socket *s = &stage->sockets[i];
    switch (rand() % 16) {
    case 0:
        if (s->client.magic == CLIENT_MAGIC && rand() % 4 == 0) {
            leave(stage, s);
        } else if (s->client.magic != CLIENT_MAGIC) {
            arrive(stage, i, (unsigned)rand() % 3 ? SIZE_MAX / 2 : 100);
            memset(&expect[i], 0, sizeof expect[i]);
        }
        break;
    case 1:
        if (s->client.magic == CLIENT_MAGIC && !s->closed) {
            bool all = rand() % 2;
            subscribe(stage, s, TOPIC_STATE, all ? NULL : stage->machines[slot].info.id);
            for (unsigned m = 0; m < MACHINES; m++)
                expect[i].state[m] |= all || m == slot;
        }
        break;
    case 2:
        if (s->client.magic == CLIENT_MAGIC && !s->closed && !expect[i].results && rand() % 4 == 0) {
            pump(stage);
            subscribe(stage, s, TOPIC_RESULT, NULL);
            expect[i].results = true;
            expect[i].results_from = stage->results;
        }
        break;
    case 3:
    case 4:
        if (s->client.magic == CLIENT_MAGIC)
            give_room(stage, s, (unsigned)rand() % 2000);
        break;
    case 5:
        publish_result(stage, slot, (unsigned)rand() % 300);
        break;
    case 6:
    case 7:
        tail_drain(&stage->tail, (unsigned)rand() % 20);
        break;
    case 8:
        outbox_slice(&stage->outbox, NS_PER_S);
        break;
    default:
        publish_state(stage, slot, 1, ++*reading, (unsigned)rand() % 400);
    }
}

static void check(const struct stage *stage, const struct expectation *expect, unsigned i)
{
    const struct socket *s = &stage->sockets[i];
    if (s->client.magic != CLIENT_MAGIC || s->closed)
        return;
    struct heard heard = listen_to(s);
    assert_false(heard.backwards);
    for (unsigned m = 0; m < MACHINES; m++)
        assert_int_equal(heard.state[m], expect->state[m] ? stage->machines[m].state.read_wall_ms : 0);
    assert_int_equal(heard.results, expect->results ? stage->results - expect->results_from : 0);
}

static void last_states_and_all_results_whatever_happens(void **state)
{
    struct stage *stage = *state;
    const char *given = getenv("NORIA_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 20261122;
    for (unsigned run = 0; run < 30; run++, seed++) {
        struct expectation expect[CLIENTS] = {0};
        unsigned reading = 1000 + run * 100000;
        print_message("seed %u\n", seed);
        srand(seed);
        for (unsigned step = 0; step < 3000; step++)
            random_step(stage, expect, &reading);
        for (unsigned i = 0; i < CLIENTS; i++)
            if (stage->sockets[i].client.magic == CLIENT_MAGIC)
                give_room(stage, &stage->sockets[i], SIZE_MAX / 4);
        pump(stage);
        for (unsigned i = 0; i < CLIENTS; i++) {
            check(stage, &expect[i], i);
            leave(stage, &stage->sockets[i]);
        }
        assert_int_equal(stage->audiences.by_key.count, 0);
        assert_int_equal(stage->audiences.topics.count, 0);
    }
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_frame_goes_to_whoever_shares_a_topic_and_once),
        PLAY(own_frames_keep_their_place_in_the_log),
        PLAY(skipped_frames_are_skipped_for_the_origin_alone),
        PLAY(a_slow_state_client_gets_the_newest_states_and_no_backlog),
        PLAY(a_client_too_slow_for_results_is_closed_with_1013),
        PLAY(a_lapped_worker_shows_snapshots),
        PLAY(last_states_and_all_results_whatever_happens),
    };
    return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}
