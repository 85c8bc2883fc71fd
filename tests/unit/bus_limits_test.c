/* bus: full queues, descriptors and time. */
#include "bus_stage.h"

#include <poll.h>
#include <signal.h>

/* --- limits ------------------------------------------------------------------------------------------------------------ */

static void a_peer_that_does_not_read_costs_a_bounded_queue(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    uint64_t sent = 0;
    enum err_e err = ERR_OK;
    for (; sent < 1000000 && err == ERR_OK; sent += err == ERR_OK) {
        struct wire_message message = ack(stage, sent + 1);
        err = bus_router_send(stage->router, &stage->peers[0].identity, &message);
    }
    assert_int_equal(err, ERR_FULL);
    assert_in_range(sent, BUS_HIGH_WATER / 2, 200000);
    run_one(stage, &end, &end.messages, sent); /* none of those taken is lost */
    assert_int_equal(end.last_serial, sent);
    do { /* and there is room again, once the queue has told so */
        struct wire_message message = ack(stage, sent + 1);
        err = bus_router_send(stage->router, &stage->peers[0].identity, &message);
        bus_router_service(stage->router, 64);
    } while (err == ERR_FULL);
    assert_int_equal(err, ERR_OK);
    run_one(stage, &end, &end.messages, sent + 1);
    link_close(&end.link);
}

static void a_broker_that_does_not_read_is_told_by_err_full(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    uint64_t sent = 0;
    enum err_e err = ERR_OK;
    for (; sent < 1000000 && err == ERR_OK; sent += err == ERR_OK) {
        struct wire_message message = command(sent + 1);
        err = link_send(end.link, &message);
    }
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(link_counts(end.link)->full, 1);
    assert_in_range(sent, BUS_HIGH_WATER / 2, 200000);
    run_one(stage, &end, &stage->commands, sent);
    assert_int_equal(stage->last_serial, sent);
    link_close(&end.link);
}

/* What is large passes whole in the direction it has, and only so. */
static void the_largest_messages_pass(void **state)
{
    struct stage *stage = *state;
    struct end end;
    static char bytes[WIRE_TOPICS_BYTES_MAX > WIRE_PUBLISH_PAYLOAD_MAX ? WIRE_TOPICS_BYTES_MAX
                                                                       : WIRE_PUBLISH_PAYLOAD_MAX];
    memset(bytes, 'x', sizeof bytes);
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    struct wire_message up = {.type = WIRE_PUBLISH};
    up.publish = (struct wire_publish){.publish_seq = UINT64_MAX,
                                       .session_serial = UINT64_MAX,
                                       .dialect = UINT64_MAX,
                                       .source_ns = UINT64_MAX,
                                       .topics = {bytes, WIRE_TOPICS_BYTES_MAX},
                                       .payload = {bytes, WIRE_PUBLISH_PAYLOAD_MAX}};
    struct wire_message down = {.type = WIRE_SURVEY_ROWS, .broker_gen = stage->gen};
    down.survey_rows = (struct wire_survey_rows){.query = UINT64_MAX,
                                                 .asker = UINT64_MAX,
                                                 .target = UINT64_MAX,
                                                 .cursor_a = UINT64_MAX,
                                                 .cursor_b = UINT64_MAX,
                                                 .cursor_c = UINT64_MAX,
                                                 .rows = {bytes, WIRE_SURVEY_ROWS_MAX}};
    for (uint64_t n = 1; n <= 20; n++) {
        assert_int_equal(link_send(end.link, &up), ERR_OK);
        assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &down), ERR_OK);
        run_one(stage, &end, &stage->publishes, n);
        run_one(stage, &end, &end.messages, n);
    }
    assert_true(stage->last_publish_bytes == WIRE_TOPICS_BYTES_MAX + WIRE_PUBLISH_PAYLOAD_MAX);
    assert_int_equal(end.downs, 0);
    assert_int_equal(stage->closed + stage->malformed, 0);
    link_close(&end.link);
}

/* ZMQ_FD alone would fall silent here: its edge is swallowed by the budget and by own sends. */
static void descriptors_stay_readable_while_there_is_something_to_do(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    for (uint64_t serial = 1; serial <= 500; serial++) {
        struct wire_message up = command(serial), down = ack(stage, serial);
        assert_int_equal(link_send(end.link, &up), ERR_OK);
        assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &down), ERR_OK);
    }
    for (uint64_t deadline = real_ms() + DEADLINE_MS; stage->commands < 500 && real_ms() < deadline;) {
        struct pollfd watch = {bus_router_fd(stage->router), POLLIN, 0};
        if (poll(&watch, 1, 100) == 1 && bus_router_service(stage->router, 1))
            assert_true(readable(bus_router_fd(stage->router)));
        struct wire_message down = ack(stage, stage->commands);
        bus_router_send(stage->router, &stage->peers[0].identity, &down);
    }
    assert_int_equal(stage->commands, 500);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; end.messages < 500 && real_ms() < deadline;) {
        struct pollfd watch = {link_fd(end.link), POLLIN, 0};
        struct wire_message up = command(1000);
        if (poll(&watch, 1, 100) == 1 && link_service(end.link, 1))
            assert_true(readable(link_fd(end.link)));
        link_send(end.link, &up);
    }
    assert_true(end.messages >= 500);
    link_close(&end.link);
}

static void an_idle_descriptor_is_not_readable(void **state)
{
    struct stage *stage = *state;
    struct end end;
    broker_open(stage, 11);
    end_open(&end, stage, 1001, clock_system());
    run_one(stage, &end, &end.ups, 1);
    for (int quiet = 0, rounds = 0; quiet < 3; rounds++) { /* settles after a few services: no busy loop */
        assert_true(rounds < 1000);
        bool busy = false;
        struct pollfd watch[] = {{bus_router_fd(stage->router), POLLIN, 0}, {link_fd(end.link), POLLIN, 0}};
        if (poll(watch, 2, 20) > 0)
            busy = true;
        if (watch[0].revents != 0)
            bus_router_service(stage->router, 64);
        if (watch[1].revents != 0)
            link_service(end.link, 64);
        quiet = busy ? 0 : quiet + 1;
    }
    link_close(&end.link);
}

/* --- time -------------------------------------------------------------------------------------------------------------- */

/* Services the link, whose clock stands still, until *value reaches at_least. */
static void run_manual(struct stage *stage, struct end *end, const uint64_t *value, uint64_t at_least)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; *value < at_least;) {
        assert_true(real_ms() < deadline);
        struct pollfd fds[] = {{bus_router_fd(stage->router), POLLIN, 0}, {link_fd(end->link), POLLIN, 0}};
        poll(fds, 2, 20);
        bus_router_service(stage->router, 64);
        link_service(end->link, 64);
    }
}

static void time_makes_a_link_ask_again_beat_and_give_up(void **state)
{
    struct stage *stage = *state;
    struct end end;
    struct clock_manual clock;
    clock_manual_init(&clock, 1000 * NS_PER_S, 0);
    broker_open(stage, 11);
    stage->mute = true;
    end_open(&end, stage, 1001, &clock.clock);
    run_manual(stage, &end, &stage->hellos, 1);
    assert_true(link_due_ns(end.link) == clock.mono_now_ns + LINK_RETRY_NS);
    clock_manual_advance_ns(&clock, LINK_RETRY_NS - 1);
    link_service(end.link, 64);
    assert_int_equal(link_counts(end.link)->hellos, 1);
    clock_manual_advance_ns(&clock, 1);
    run_manual(stage, &end, &stage->hellos, 2);

    stage->mute = false;
    clock_manual_advance_ns(&clock, LINK_RETRY_NS);
    run_manual(stage, &end, &end.ups, 1);
    assert_true(link_due_ns(end.link) == clock.mono_now_ns + LINK_HEARTBEAT_NS);
    clock_manual_advance_ns(&clock, LINK_HEARTBEAT_NS - 1);
    link_service(end.link, 64);
    uint64_t sent = link_counts(end.link)->sent;
    clock_manual_advance_ns(&clock, 1);
    link_service(end.link, 64);
    assert_int_equal(link_counts(end.link)->sent, sent + 1);
    run_manual(stage, &end, &stage->heartbeats, 1);

    for (unsigned i = 0; i < 2; i++) { /* in steps, as a loop would; at once would be a stall */
        clock_manual_advance_ns(&clock, (LINK_SILENCE_NS - LINK_HEARTBEAT_NS) / 2 - i);
        link_service(end.link, 64);
    }
    assert_int_equal(link_state(end.link), LINK_UP);
    clock_manual_advance_ns(&clock, 1); /* the broker has said nothing for three seconds */
    link_service(end.link, 64);
    assert_int_equal(end.downs, 1);
    assert_int_equal(link_state(end.link), LINK_HELLO);
    run_manual(stage, &end, &end.ups, 2);
    link_close(&end.link);
}

static void a_process_that_stood_still_hears_nothing_old(void **state)
{
    struct stage *stage = *state;
    struct end end;
    struct clock_manual clock;
    clock_manual_init(&clock, 1000 * NS_PER_S, 0);
    broker_open(stage, 11);
    end_open(&end, stage, 1001, &clock.clock);
    run_manual(stage, &end, &end.ups, 1);
    struct wire_message old = {.type = WIRE_OUTCOME_ACK, .broker_gen = 11, .outcome_ack = {1, 7}};
    assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &old), ERR_OK);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; !readable(link_fd(end.link));)
        assert_true(real_ms() < deadline);
    clock_manual_advance_ns(&clock, LINK_STALL_NS);
    run_manual(stage, &end, &end.ups, 2);
    assert_int_equal(end.messages, 0);
    assert_int_equal(link_counts(end.link)->other_gen, 1);
    old.outcome_ack.outcome_seq = 8; /* what comes after the new HELLO is heard */
    assert_int_equal(bus_router_send(stage->router, &stage->peers[0].identity, &old), ERR_OK);
    run_manual(stage, &end, &end.messages, 1);
    assert_int_equal(end.last_serial, 8);
    link_close(&end.link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_peer_that_does_not_read_costs_a_bounded_queue),
        PLAY(a_broker_that_does_not_read_is_told_by_err_full),
        PLAY(the_largest_messages_pass),
        PLAY(descriptors_stay_readable_while_there_is_something_to_do),
        PLAY(an_idle_descriptor_is_not_readable),
        PLAY(time_makes_a_link_ask_again_beat_and_give_up),
        PLAY(a_process_that_stood_still_hears_nothing_old),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("bus_limits_test", LOG_WARN);
    return cmocka_run_group_tests_name("bus limits", tests, NULL, NULL);
}
