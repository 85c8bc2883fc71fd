/* broker: who is let in, how peers leave, and what any of them may say. */
#include "broker_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <zmq.h>

#include "log.h"
#include "segment.h"
#include "wire_histograms.h"

static void strangers_are_asked_to_introduce_themselves(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER);
    unsigned char buffer[WIRE_MAX];
    struct wire_message message = {.type = WIRE_HEARTBEAT, .broker_gen = 4711};
    message.heartbeat.metrics = wire_text("");
    assert_int_equal(zmq_connect(raw, stage->endpoint), 0);
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    int len = zmq_recv(raw, buffer, sizeof buffer, 0);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_RE_HELLO);
    uint64_t gen = message.broker_gen;

    /* One that is known, but speaks to a broker that is dead. */
    message = (struct wire_message){.type = WIRE_HELLO};
    message.hello = (struct wire_hello){
        WIRE_VERSION, WIRE_AGENT, 55, UINT32_MAX, profile_hash(profile_builtin("standard")), wire_text("m1")};
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    len = zmq_recv(raw, buffer, sizeof buffer, 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_HELLO_OK);
    assert_true(message.broker_gen == gen);
    message = (struct wire_message){.type = WIRE_STATE, .broker_gen = gen + 1};
    message.state =
        (struct wire_state){.agent_gen = 55, .state_seq = 1, .machine = wire_text("m1"), .connection = 1};
    zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    wait_counter(stage, "other_gen", 1);
    zmq_send(raw, "garbage", 7, 0);
    wait_counter(stage, "malformed", 1);
    assert_int_equal(counter(stage, "unknown_peer"), 1);
    assert_true(counter(stage, "re_hellos") + counter(stage, "re_hellos_suppressed") == 2);

    int zero = 0; /* it vanishes without a word */
    zmq_setsockopt(raw, ZMQ_LINGER, &zero, sizeof zero);
    zmq_close(raw);
    zmq_ctx_term(context);
    wait_counter(stage, "peers_closed", 1);
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 1);
    assert_int_equal(wait_record(stage, RECORD_STATE, 3)->state.position,
                     1); /* nothing came from the stranger */
}

static void who_must_not_come_in_is_refused(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent = (struct end){.role = WIRE_AGENT, .incarnation = 9, .machine = "nowhere"};
    end_open(stage, &agent);
    wait_for(stage, &agent.refusals, 1);
    assert_string_equal(agent.reason, "the machine is not configured");

    void *context = zmq_ctx_new(), *raw = zmq_socket(context, ZMQ_DEALER);
    unsigned char buffer[WIRE_MAX];
    struct wire_message message = {.type = WIRE_HELLO};
    assert_int_equal(zmq_connect(raw, stage->endpoint), 0);
    static const struct {
        uint64_t version, role;
        const char *reason;
    } strangers[] = {{WIRE_VERSION + 1, WIRE_WORKER, "bus protocol 8; this broker speaks 7"},
                     {WIRE_VERSION - 1, WIRE_AGENT, "bus protocol 6; this broker speaks 7"},
                     {WIRE_VERSION, 7, "no such role"}};
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        message = (struct wire_message){.type = WIRE_HELLO};
        message.hello =
            (struct wire_hello){strangers[i].version, strangers[i].role, 55, UINT32_MAX, 0, wire_text("m1")};
        zmq_send(raw, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
        int len = zmq_recv(raw, buffer, sizeof buffer, 0);
        assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
        assert_int_equal(message.type, WIRE_REFUSED);
        assert_true(wire_text_equals(message.refused.reason, strangers[i].reason));
    }
    /* As a worker of version 2 wrote it: decodable for ever. */
    static const char version_2[] = "\x98\x01\x00\x02\x01\x37\xce\xff\xff\xff\xff\x00\xa0";
    zmq_send(raw, version_2, sizeof version_2 - 1, 0);
    int len = zmq_recv(raw, buffer, sizeof buffer, 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_REFUSED);
    assert_true(wire_text_equals(message.refused.reason, "bus protocol 2; this broker speaks 7"));
    zmq_close(raw);
    zmq_ctx_term(context);
    assert_int_equal(counter(stage, "hellos_refused"), 5);
}

static void the_newer_of_two_agents_of_a_machine_stays(void **state)
{
    struct stage *stage = *state;
    static struct end first, second;
    agent_open(stage, &first, "m1", "standard", 100);
    say_state(&first, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    agent_open(stage, &second, "m1", "standard", 200);
    wait_for(stage, &first.refusals, 1);
    assert_string_equal(first.reason, "replaced by another agent of this machine");
    say_state(&second, CONNECTION_CONNECTED, 219, 16);
    const struct seen_record *record = wait_record(stage, RECORD_STATE, 4);
    assert_true(record->state.agent_gen == 200); /* and no "disconnected" in between */
    assert_int_equal(record->state.position, 16);
    end_close(stage, &first); /* its end says nothing about the machine */
    say_state(&second, CONNECTION_CONNECTED, 218, 17);
    record = wait_record(stage, RECORD_STATE, 5);
    assert_int_equal(record->state.position, 17);
    assert_int_equal(counter(stage, "agents_replaced"), 1);
    assert_int_equal(counter(stage, "disconnected"), 0);
}

static void workers_lease_slots_and_get_theirs_back(void **state)
{
    struct stage *stage = *state;
    static struct end a, b, c;
    worker_open(stage, &a, 1, UINT32_MAX);
    worker_open(stage, &b, 2, UINT32_MAX);
    assert_int_equal(a.slot, 0);
    assert_int_equal(b.slot, 1);
    worker_open(stage, &c, 3, 7);
    assert_int_equal(c.slot, 7);
    end_close(stage, &a);
    wait_counter(stage, "goodbyes", 1);
    worker_open(stage, &a, 4, 1); /* taken: the lowest free one */
    assert_int_equal(a.slot, 0);
    wait_counter(stage, "workers", 3);
}

/* Only the broker knows that nobody holds the slot any more. */
static void what_a_killed_worker_left_is_taken_away(void **state)
{
    struct stage *stage = *state;
    static struct end worker;
    worker_open(stage, &worker, 1, UINT32_MAX);
    for (int slot = 0; slot < 3; slot++) {
        char name[32];
        snprintf(name, sizeof name, "shm/worker.%d", slot);
        int fd = open(in_dir(stage, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        assert_true(fd >= 0);
        close(fd);
    }
    wait_counter(stage, "slots_swept", 2);
    assert_int_equal(access(in_dir(stage, "shm/worker.1"), F_OK), -1);
    assert_int_equal(access(in_dir(stage, "shm/worker.2"), F_OK), -1);
    assert_int_equal(access(in_dir(stage, "shm/worker.0"), F_OK), 0); /* which somebody holds */
}

static void agents_metrics_are_shown_in_shared_memory(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m2", "delta-as", 100);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; metric_of(stage, "shm/agent.1", "polls") != 41;
         pump(stage))
        assert_true(real_ms() < deadline);
    assert_int_equal(metric_of(stage, "shm/agent.1", "poll_failures"), 42);
    struct segment_view *view;
    assert_int_equal(segment_view_open(in_dir(stage, "shm/agent.1"), &view), ERR_OK);
    assert_string_equal(segment_view_page(view)->id, "m2");
    segment_view_close(&view);
}

/* --- raw peers: DEALERs without link.h's manners -------------------------------------------------------------------------- */

struct raw {
    void *context, *socket;
    uint64_t broker_gen;
};

static void raw_say(struct raw *raw, struct wire_message *message)
{
    unsigned char buffer[WIRE_MAX];
    message->broker_gen = raw->broker_gen;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    zmq_send(raw->socket, buffer, len, 0);
}

static void raw_open(const struct stage *stage, struct raw *raw, enum wire_role_e role, const char *machine)
{
    unsigned char buffer[WIRE_MAX];
    int zero = 0;
    struct wire_message message = {.type = WIRE_HELLO};
    *raw = (struct raw){.context = zmq_ctx_new()};
    raw->socket = zmq_socket(raw->context, ZMQ_DEALER);
    zmq_setsockopt(raw->socket, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(raw->socket, stage->endpoint), 0);
    message.hello = (struct wire_hello){
        WIRE_VERSION, role, 55, UINT32_MAX, profile_hash(profile_builtin("standard")), wire_text(machine)};
    raw_say(raw, &message);
    int len = zmq_recv(raw->socket, buffer, sizeof buffer, 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_HELLO_OK);
    raw->broker_gen = message.broker_gen;
}

static void raw_close(struct raw *raw)
{
    zmq_close(raw->socket);
    zmq_ctx_term(raw->context);
}

static void a_peer_that_hangs_is_given_up_after_three_seconds(void **state)
{
    struct stage *stage = *state;
    struct raw agent;
    struct wire_message message = {.type = WIRE_STATE};
    raw_open(stage, &agent, WIRE_AGENT, "m1");
    message.state = (struct wire_state){
        .agent_gen = 55, .state_seq = 1, .machine = wire_text("m1"), .connection = CONNECTION_CONNECTED};
    raw_say(&agent, &message);
    wait_record(stage, RECORD_STATE, 3);
    uint64_t start_ms = real_ms();
    wait_counter(stage, "peers_silent", 1);
    assert_true(real_ms() - start_ms > 2500);
    shows(wait_record(stage, RECORD_STATE, 5), "\"connection_status\":\"disconnected\"");
    shows(nth(stage, RECORD_STATE, 4), "\"connection_status\":\"stale\"");
    raw_close(&agent);
}

/* A broker that stood still must not take its peers for dead. */
static void a_broker_that_was_stopped_judges_nobody(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    kill(stage->broker, SIGSTOP);
    wait_for(stage, &agent.downs, 1); /* three seconds of silence */
    kill(stage->broker, SIGCONT);
    wait_for(stage, &agent.ups, 2);
    say_state(&agent, CONNECTION_CONNECTED, 218, 16);
    shows(wait_record(stage, RECORD_STATE, 4),
          "\"position\":16,\"raw_status\":218,\"connection_status\":\"connected\"");
    assert_int_equal(counter(stage, "stalls"), 1);
    assert_int_equal(counter(stage, "peers_silent"), 0);
    assert_int_equal(counter(stage, "disconnected") + counter(stage, "stale"), 0);
}

/* Well-formed messages with any content, from peers that were let in. */
static uint64_t any_number(void)
{
    static const uint64_t edges[] = {0, 1, 2, 7, 255, 256, 55, UINT32_MAX, 1ull << 32, INT64_MAX, UINT64_MAX};
    return rand() % 3 == 0 ? (uint64_t)rand() : edges[(size_t)rand() % ARRAY_LEN(edges)];
}

static struct wire_text any_text(uint32_t max)
{
    static char noise[512];
    static const char *const words[] = {"m1",    "m2",   "m3",     "ghost",   "",
                                        "req-1", "\xff", "\"\\\n", "sensors", "{\"a\":1}"};
    if (rand() % 4 != 0) {
        struct wire_text text = wire_text(words[(size_t)rand() % ARRAY_LEN(words)]);
        return text.len <= max ? text : wire_text("");
    }
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)rand();
    return (struct wire_text){noise, (uint32_t)rand() % ((max < 512 ? max : 512) + 1)};
}

#define ANY_U64(name)       m->name = any_number();
#define ANY_I64(name)       m->name = (int64_t)any_number();
#define ANY_FLAG(name)      m->name = rand() % 2 == 0;
#define ANY_TEXT(name, max) m->name = any_text(max);
#define ANY_BLOB(name, max) m->name = any_text(max);

static void fill_any(struct wire_message *message)
{
    switch (message->type) {
#define X(number, NAME, msg, direction, size, since)                                                         \
    case WIRE_##NAME: {                                                                                      \
        struct wire_##msg *m = &message->msg;                                                                \
        WIRE_##NAME##_FIELDS(ANY_U64, ANY_I64, ANY_FLAG, ANY_TEXT, ANY_BLOB) break;                          \
    }
        WIRE_MESSAGE_TABLE(X)
#undef X
    }
}

static void any_message_from_any_peer_does_no_harm(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    struct raw peers[4];
    unsigned char buffer[WIRE_MAX];
    srand(31);
    raw_open(stage, &peers[0], WIRE_WORKER, "");
    raw_open(stage, &peers[1], WIRE_AGENT, "m2");
    raw_open(stage, &peers[2], WIRE_AGENT, "m1");
    raw_open(stage, &peers[3], WIRE_STORE, "");
    for (int i = 0; i < 40000; i++) {
        struct raw *raw = &peers[rand() % 4];
        struct wire_message message = {.type = (enum wire_type_e)(1 + rand() % WIRE_EVENT_ACK)};
        fill_any(&message);
        if (message.type == WIRE_GOODBYE || (message.type == WIRE_HELLO && rand() % 20 != 0))
            message.type = WIRE_HEARTBEAT,
            message.heartbeat = (struct wire_heartbeat){
                55, 0, 0, wire_text(""), {(const char *)buffer, (uint32_t)rand() % 512}};
        raw_say(raw, &message);
        while (i % 100 == 0 && zmq_recv(raw->socket, buffer, sizeof buffer, ZMQ_DONTWAIT) > 0)
            ;
    }
    for (int i = 0; i < 4; i++)
        raw_close(&peers[i]);
    wait_gauge(stage, "agents", 0);
    wait_gauge(stage, "stores", 0);
    ring_reader_seek(stage->ring, ring_reader_head(stage->ring)); /* it may have been lapped */
    stage->record_count = 0;
    agent_open(stage, &agent, "m1", "standard", 100);
    say_state(&agent, CONNECTION_CONNECTED, 218, 42);
    while (wait_record(stage, RECORD_STATE, 0)->state.position != 42)
        stage->record_count = 0;
    assert_true(counter(stage, "invalid") > 0);
    assert_true(counter(stage, "channel_events") > 0 && counter(stage, "event_repeats") > 0);
    assert_true(counter(stage, "store_requests") > 0 && counter(stage, "store_replies") > 0);
    assert_int_equal(counter(stage, "appends_failed"), 0);
}

/* An agent's histograms stand in its segment; an entry of none is left out, and the others count. */
static void histograms_of_agents_are_shown(void **state)
{
    struct stage *stage = *state;
    static struct end agent;
    static const struct wire_histogram_entry entries[] = {
        {0, 40, 7}, {0, 44, 2},  {0, WIRE_HISTOGRAM_SUM, 25},  {4, 159, WIRE_HISTOGRAM_VALUE_MAX},
        {5, 40, 9}, {0, 160, 9}, {200, WIRE_HISTOGRAM_SUM, 9}, {0, 44, 3}};
    static unsigned char bytes[sizeof entries / sizeof entries[0] * WIRE_HISTOGRAM_ENTRY + 3];
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        wire_histogram_encode(&entries[i], bytes + i * WIRE_HISTOGRAM_ENTRY);
    agent_open(stage, &agent, "m2", "delta-as", 100);
    agent.histograms = (struct wire_text){(const char *)bytes, ARRAY_LEN(entries) * WIRE_HISTOGRAM_ENTRY};
    for (uint64_t deadline = real_ms() + DEADLINE_MS; metric_of(stage, "shm/agent.1", "polls") != 41;
         pump(stage))
        assert_true(real_ms() < deadline);
    assert_int_equal(metric_of(stage, "shm/agent.1", "plc_round_trip_ns"), 7 + 3);
    assert_int_equal(metric_of(stage, "shm/agent.1", "hop_c6_ns"), WIRE_HISTOGRAM_VALUE_MAX);
    assert_int_equal(metric_of(stage, "shm/agent.1", "hop_c5_ns"), 0);
    wait_counter(stage, "invalid", 1);
    uint64_t invalid = counter(stage, "invalid");
    agent.histograms.len = WIRE_HISTOGRAM_ENTRY + 3; /* not whole entries */
    wait_counter(stage, "invalid", invalid + 2);
    assert_int_equal(metric_of(stage, "shm/agent.1", "plc_round_trip_ns"), 7 + 3);
    assert_int_equal(agent.downs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(strangers_are_asked_to_introduce_themselves),
        PLAY(who_must_not_come_in_is_refused),
        PLAY(a_peer_that_hangs_is_given_up_after_three_seconds),
        PLAY(a_broker_that_was_stopped_judges_nobody),
        PLAY(any_message_from_any_peer_does_no_harm),
        PLAY(the_newer_of_two_agents_of_a_machine_stays),
        PLAY(workers_lease_slots_and_get_theirs_back),
        PLAY(what_a_killed_worker_left_is_taken_away),
        PLAY(agents_metrics_are_shown_in_shared_memory),
        PLAY(histograms_of_agents_are_shown),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_peer_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker peers", tests, NULL, NULL);
}
