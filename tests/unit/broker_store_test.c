/* broker: between workers and the store. Who is let in, what is handed on and to whom, and what is said when there is no store, or none any more. */
#include "broker_store_stage.h"

static struct wire_message request_message(const struct asker *asker, uint64_t serial, const char *arguments)
{
    return (struct wire_message){.type = WIRE_STORE_REQUEST,
                                 .store_request = {.worker = asker->end.incarnation,
                                                   .serial = serial,
                                                   .operation = 3,
                                                   .entity = 2,
                                                   .id = 17,
                                                   .version = 4,
                                                   .deadline_ms = 9000,
                                                   .who = wire_text("ana"),
                                                   .arguments = wire_text(arguments)}};
}

static void ask(struct asker *asker, uint64_t serial, const char *arguments)
{
    struct wire_message message = request_message(asker, serial, arguments);
    assert_int_equal(link_send(asker->end.link, &message), ERR_OK);
}

static void answer(struct store *store, uint64_t worker, uint64_t serial, uint64_t status, uint64_t offset,
                   bool last, struct wire_text body)
{
    struct wire_message message = {.type = WIRE_STORE_REPLY,
                                   .store_reply = {worker, serial, status, 5, offset, last, body}};
    assert_int_equal(link_send(store->end.link, &message), ERR_OK);
}

static void is_refused_here(const struct asker *asker, uint64_t serial, const char *body)
{
    assert_int_equal(asker->last.worker, asker->end.incarnation);
    assert_int_equal(asker->last.serial, serial);
    assert_int_equal(asker->last.status, 503);
    assert_int_equal(asker->last.offset, 0);
    assert_true(asker->last.last);
    assert_string_equal(asker->last_body, body);
}

static const char absent[] = "{\"detail\":\"Almacén no disponible\"}";
static const char busy[] = "{\"detail\":\"Almacén ocupado\"}";

/* --- who is let in ----------------------------------------------------------------------------------------------------- */

static void a_store_comes_and_goes(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    store_open(stage, &store, 700);
    assert_int_equal(store.end.slot, UINT32_MAX);
    assert_int_equal(store.end.ring_id, ring_reader_id(stage->ring));
    wait_gauge(stage, "stores", 1);
    assert_int_equal(counter(stage, "workers") + counter(stage, "agents") + counter(stage, "tools"), 0);
    end_leaves(stage, &store.end);
    wait_gauge(stage, "stores", 0);
}

static void a_second_store_is_refused_and_changes_nothing(void **state)
{
    struct stage *stage = *state;
    static struct store first, second, third;
    static struct asker worker;
    store_open(stage, &first, 700);
    store_begin(stage, &second, 701, NULL);
    wait_for(stage, &second.end.refusals, 1);
    assert_string_equal(second.end.reason, "there is a store already");
    asker_open(stage, &worker, 900);
    ask(&worker, 1, "x");
    wait_for(stage, &first.requests, 1);
    assert_int_equal(worker.losts, 0);
    end_close(stage, &second.end);
    end_leaves(stage, &first.end);
    store_open(stage, &third, 702);
    ask(&worker, 2, "x");
    wait_for(stage, &third.requests, 1);
}

/* The end of a process comes before the HELLO of the next one. */
static void the_next_store_is_let_in_however_soon_it_comes(void **state)
{
    struct stage *stage = *state;
    for (uint64_t i = 0; i < 100; i++) {
        struct mute store;
        mute_open(stage, &store, WIRE_STORE, 700 + i, UINT32_MAX);
        mute_vanishes(&store);
    }
    wait_counter(stage, "stores_lost", 100);
    assert_int_equal(counter(stage, "hellos_refused"), 0);
}

/* --- to and fro -------------------------------------------------------------------------------------------------------- */

static void a_request_is_handed_on_as_it_is(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker;
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    ask(&worker, 6, "arguments");
    wait_for(stage, &store.requests, 1);
    const struct wire_store_request *request = &store.last;
    assert_true(request->worker == 900 && request->serial == 6);
    assert_true(request->operation == 3 && request->entity == 2 && request->id == 17 &&
                request->version == 4);
    assert_int_equal(request->deadline_ms, 9000);
    assert_string_equal(store.last_who, "ana");
    assert_string_equal(store.last_arguments, "arguments");
    wait_gauge(stage, "store_open", 1);
    wait_gauge(stage, "store_open_bytes", 9);
    answer(&store, 900, 6, 201, 0, false, wire_text("[1,"));
    wait_for(stage, &worker.replies, 1);
    assert_true(worker.last.serial == 6 && worker.last.status == 201 && worker.last.version == 5 &&
                !worker.last.last);
    assert_string_equal(worker.last_body, "[1,");
    assert_int_equal(counter(stage, "store_open"), 1);
    answer(&store, 900, 6, 201, 3, true, wire_text("2]"));
    wait_for(stage, &worker.replies, 2);
    assert_true(worker.last.offset == 3 && worker.last.last);
    wait_gauge(stage, "store_open", 0);
    wait_gauge(stage, "store_open_bytes", 0);
    assert_int_equal(counter(stage, "store_requests"), 1);
    assert_int_equal(counter(stage, "store_replies"), 2);
}

static void the_largest_fit_both_ways(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker;
    static char largest[WIRE_STORE_ARGUMENTS_MAX];
    assert_int_equal(WIRE_STORE_ARGUMENTS_MAX, WIRE_STORE_BODY_MAX);
    for (size_t i = 0; i < sizeof largest; i++)
        largest[i] = (char)(i * 31);
    struct wire_text bytes = {largest, sizeof largest};
    store_open(stage, &store, 700);
    asker_open(stage, &worker, UINT64_MAX - 1);
    struct wire_message request = request_message(&worker, UINT64_MAX, "");
    request.store_request.arguments = bytes;
    assert_int_equal(link_send(worker.end.link, &request), ERR_OK);
    wait_for(stage, &store.requests, 1);
    assert_int_equal(store.last.arguments.len, sizeof largest);
    assert_true(store.last_arguments_hash == hash_of(bytes));
    answer(&store, UINT64_MAX - 1, UINT64_MAX, 200, UINT32_MAX, true, bytes);
    wait_for(stage, &worker.replies, 1);
    assert_int_equal(worker.last.body.len, sizeof largest);
    assert_true(worker.last_body_hash == hash_of(bytes));
    assert_true(worker.end.downs == 0 && store.end.downs == 0);
}

static void each_worker_gets_its_own_answers(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker workers[2];
    store_open(stage, &store, 700);
    asker_open(stage, &workers[0], 900);
    asker_open(stage, &workers[1], 901);
    ask(&workers[0], 1, "zero");
    ask(&workers[1], 1, "one");
    wait_for(stage, &store.requests, 2);
    answer(&store, 901, 1, 200, 0, true, wire_text("one"));
    wait_for(stage, &workers[1].replies, 1);
    answer(&store, 900, 1, 200, 0, true, wire_text("zero"));
    wait_for(stage, &workers[0].replies, 1);
    assert_string_equal(workers[0].last_body, "zero");
    assert_string_equal(workers[1].last_body, "one");
    assert_int_equal(workers[1].replies, 1);
}

static void nobody_asks_in_anothers_name(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker, other;
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    asker_open(stage, &other, 901);
    struct wire_message forged = request_message(&other, 1, "x"), zero = request_message(&worker, 0, "x"),
                        text = request_message(&worker, 1, "x");
    assert_int_equal(link_send(worker.end.link, &forged), ERR_OK);
    assert_int_equal(link_send(worker.end.link, &zero), ERR_OK);
    text.store_request.who = wire_text("\xc3");
    assert_int_equal(link_send(worker.end.link, &text), ERR_OK);
    struct wire_message from_store = request_message(&worker, 1, "x");
    assert_int_equal(link_send(store.end.link, &from_store), ERR_OK);
    wait_counter(stage, "invalid", 4);
    ask(&worker, 1, "first");
    ask(&worker, 1, "again");
    wait_counter(stage, "invalid", 5);
    ask(&worker, 2, "last");
    wait_for(stage, &store.requests, 2);
    assert_string_equal(store.last_arguments, "last");
    assert_int_equal(worker.replies + other.replies, 0);
}

static void nobody_but_the_store_answers_and_sanely(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker, other;
    static const struct {
        uint64_t serial, status, offset;
    } insane[] = {{1, 199, 0}, {1, 600, 0}, {1, UINT64_MAX, 0}, {0, 200, 0}, {1, 200, 1ull << 32}};
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    asker_open(stage, &other, 901);
    ask(&worker, 1, "x");
    wait_for(stage, &store.requests, 1);
    for (size_t i = 0; i < ARRAY_LEN(insane); i++)
        answer(&store, 900, insane[i].serial, insane[i].status, insane[i].offset, true, wire_text("x"));
    struct wire_message forged = {.type = WIRE_STORE_REPLY,
                                  .store_reply = {900, 1, 200, 0, 0, true, wire_text("forged")}};
    assert_int_equal(link_send(other.end.link, &forged), ERR_OK);
    struct wire_message lost = {.type = WIRE_STORE_LOST, .store_lost = {700}};
    assert_int_equal(link_send(store.end.link, &lost), ERR_OK);
    wait_counter(stage, "invalid", ARRAY_LEN(insane) + 2);
    answer(&store, 900, 1, 599, 0, true, wire_text("good"));
    wait_for(stage, &worker.replies, 1);
    assert_string_equal(worker.last_body, "good");
    assert_int_equal(worker.losts, 0);
}

static void the_answer_of_a_worker_that_is_gone_is_dropped(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker;
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    ask(&worker, 1, "x");
    wait_for(stage, &store.requests, 1);
    end_leaves(stage, &worker.end);
    answer(&store, 900, 1, 200, 0, true, wire_text("x"));
    wait_counter(stage, "store_replies_lost", 1);
    wait_gauge(stage, "store_open", 0);
    assert_int_equal(counter(stage, "store_replies"), 0);
}

/* --- no store, or one that does not keep up ------------------------------------------------------------------------------ */

static void without_a_store_the_answer_comes_at_once(void **state)
{
    struct stage *stage = *state;
    static struct asker worker;
    static struct store store;
    asker_open(stage, &worker, 900);
    ask(&worker, 1, "x");
    wait_for(stage, &worker.replies, 1);
    is_refused_here(&worker, 1, absent);
    store_open(stage, &store, 700);
    end_leaves(stage, &store.end);
    ask(&worker, 2, "x");
    wait_for(stage, &worker.replies, 2);
    is_refused_here(&worker, 2, absent);
    assert_int_equal(counter(stage, "store_requests"), 0);
    assert_int_equal(counter(stage, "store_requests_refused"), 2);
}

/* 64 MiB are 341 of the largest requests; what it has answered makes room. */
static void a_store_that_falls_behind_is_asked_no_more(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker;
    static char largest[WIRE_STORE_ARGUMENTS_MAX];
    enum { FIT = 64 * 1024 * 1024 / WIRE_STORE_ARGUMENTS_MAX };
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    struct wire_message request = request_message(&worker, 1, "");
    request.store_request.arguments = (struct wire_text){largest, sizeof largest};
    for (uint64_t serial = 1; serial <= FIT + 1; serial++) {
        request.store_request.serial = serial;
        assert_int_equal(link_send(worker.end.link, &request), ERR_OK);
        pump(stage);
    }
    wait_for(stage, &worker.replies, 1);
    is_refused_here(&worker, FIT + 1, busy);
    wait_for(stage, &store.requests, FIT);
    answer(&store, 900, 7, 200, 0, true, wire_text(""));
    wait_for(stage, &worker.replies, 2);
    request.store_request.serial = FIT + 2;
    assert_int_equal(link_send(worker.end.link, &request), ERR_OK);
    wait_for(stage, &store.requests, FIT + 1);
    assert_int_equal(counter(stage, "store_requests_refused"), 1);
}

/* It is given up like every peer, and what it was asked is lost; meanwhile requests are bounded, and everybody else is served. */
static void a_store_that_does_not_read_is_given_up(void **state)
{
    struct stage *stage = *state;
    static struct asker worker;
    static struct end agent;
    struct mute store;
    static char large[WIRE_STORE_ARGUMENTS_MAX];
    mute_open(stage, &store, WIRE_STORE, 700, UINT32_MAX);
    asker_open(stage, &worker, 900);
    agent_open(stage, &agent, "m1", "standard", 100);
    struct wire_message request = request_message(&worker, 1, "");
    request.store_request.arguments = (struct wire_text){large, sizeof large};
    for (uint64_t serial = 1; serial <= 20; serial++) {
        request.store_request.serial = serial;
        assert_int_equal(link_send(worker.end.link, &request), ERR_OK);
    }
    say_state(&agent, CONNECTION_CONNECTED, 218, 15);
    wait_record(stage, RECORD_STATE, 3);
    wait_for(stage, &worker.losts, 1);
    assert_true(worker.lost_incarnation == 700);
    assert_int_equal(counter(stage, "peers_silent"), 1);
    ask(&worker, 21, "x");
    wait_for(stage, &worker.replies, 1);
    is_refused_here(&worker, 21, absent);
    mute_vanishes(&store);
}

/* What has been said to it since it was last heard is bounded; a hole makes the answer none. */
static void a_worker_that_does_not_read_costs_a_bounded_amount(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    struct mute worker;
    static char largest[WIRE_STORE_BODY_MAX];
    enum { FIT = 64 * 1024 * 1024 / WIRE_STORE_BODY_MAX };
    store_open(stage, &store, 700);
    mute_open(stage, &worker, WIRE_WORKER, 900, UINT32_MAX);
    for (uint64_t i = 0; i < FIT + 20; i++) {
        answer(&store, 900, 1, 200, i * sizeof largest, false, (struct wire_text){largest, sizeof largest});
        pump(stage);
    }
    wait_counter(stage, "store_replies_lost", 20);
    assert_true(counter(stage, "store_replies") <= FIT);
    mute_vanishes(&worker);
}

/* One that does read, and says so, gets as much as there is. */
static void a_worker_that_is_heard_gets_everything(void **state)
{
    struct stage *stage = *state;
    static struct store store;
    static struct asker worker;
    static char largest[WIRE_STORE_BODY_MAX];
    enum { PARTS = 2 * 64 * 1024 * 1024 / WIRE_STORE_BODY_MAX, STEP = 50 };
    store_open(stage, &store, 700);
    asker_open(stage, &worker, 900);
    for (uint64_t i = 0; i < PARTS; i++) {
        answer(&store, 900, 1, 200, i * sizeof largest, false, (struct wire_text){largest, sizeof largest});
        if (i % STEP > 0)
            continue;
        ask(&worker, 2 + i, "x");
        wait_for(stage, &store.requests, 1 + i / STEP);
        wait_for(stage, &worker.replies, i + 1);
    }
    wait_for(stage, &worker.replies, PARTS);
    assert_int_equal(counter(stage, "store_replies_lost"), 0);
    assert_true(worker.last.offset == (PARTS - 1) * sizeof largest);
}

/* --- a store that is lost -------------------------------------------------------------------------------------------------- */

static void whoever_waits_is_told_that_the_store_is_gone(void **state)
{
    struct stage *stage = *state;
    static struct asker workers[2];
    struct mute store;
    asker_open(stage, &workers[0], 900);
    asker_open(stage, &workers[1], 901);
    mute_open(stage, &store, WIRE_STORE, 700, UINT32_MAX);
    ask(&workers[0], 1, "x");
    wait_gauge(stage, "store_open", 1);
    mute_vanishes(&store);
    wait_for(stage, &workers[0].losts, 1);
    wait_for(stage, &workers[1].losts, 1); /* all of them: the broker does not keep who asked */
    assert_true(workers[0].lost_incarnation == 700 && workers[1].lost_incarnation == 700);
    assert_int_equal(counter(stage, "peers_closed"), 1);
    assert_int_equal(counter(stage, "stores_lost"), 1);
    wait_gauge(stage, "store_open", 0);
    assert_int_equal(workers[0].replies, 0);
}

static void goodbye_is_an_end_like_any_other(void **state)
{
    struct stage *stage = *state;
    static struct asker worker;
    static struct store store;
    asker_open(stage, &worker, 900);
    store_open(stage, &store, 700);
    answer(&store, 900, 1, 200, 0, true, wire_text("said last"));
    end_leaves(stage, &store.end);
    wait_for(stage, &worker.losts, 1);
    assert_true(worker.lost_incarnation == 700);
    assert_string_equal(worker.last_body, "said last"); /* and it came first */
}

/* A link that stood still drops what waited for it and says HELLO: the same store will not answer what it was asked. */
static void a_store_that_begins_anew_has_forgotten(void **state)
{
    struct stage *stage = *state;
    static struct asker worker;
    static struct store store;
    struct clock_manual clock;
    clock_manual_init(&clock, 1000 * NS_PER_S, 0);
    asker_open(stage, &worker, 900);
    store_begin(stage, &store, 700, &clock.clock);
    wait_for(stage, &store.end.ups, 1);
    ask(&worker, 1, "x");
    wait_gauge(stage, "store_open", 1);
    clock_manual_advance_ns(&clock, LINK_STALL_NS);
    wait_for(stage, &store.end.ups, 2);
    wait_for(stage, &worker.losts, 1);
    assert_true(worker.lost_incarnation == 700);
    wait_gauge(stage, "store_open", 0);
    wait_gauge(stage, "stores", 1);
    uint64_t before = store.requests;
    ask(&worker, 2, "y");
    wait_for(stage, &store.requests, before + 1);
    assert_string_equal(store.last_arguments, "y");
    end_close(stage, &store.end); /* before its clock ends */
}

static void a_broker_that_is_killed_takes_what_was_under_way_with_it(void **state)
{
    struct stage *stage = *state;
    static struct asker worker;
    static struct store store;
    asker_open(stage, &worker, 900);
    store_open(stage, &store, 700);
    ask(&worker, 1, "x");
    wait_for(stage, &store.requests, 1);
    restart(stage);
    wait_for(stage, &worker.end.ups, 2);
    wait_for(stage, &store.end.ups, 2);
    ask(&worker, 2, "y");
    wait_for(stage, &store.requests, 2);
    answer(&store, 900, 2, 200, 0, true, wire_text("y"));
    wait_for(stage, &worker.replies, 1);
    assert_int_equal(worker.last.serial, 2);
    assert_int_equal(store.requests, 2); /* nothing is handed on twice */
    assert_int_equal(worker.losts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_store_comes_and_goes),
        PLAY(a_second_store_is_refused_and_changes_nothing),
        PLAY(the_next_store_is_let_in_however_soon_it_comes),
        PLAY(a_request_is_handed_on_as_it_is),
        PLAY(the_largest_fit_both_ways),
        PLAY(each_worker_gets_its_own_answers),
        PLAY(nobody_asks_in_anothers_name),
        PLAY(nobody_but_the_store_answers_and_sanely),
        PLAY(the_answer_of_a_worker_that_is_gone_is_dropped),
        PLAY(without_a_store_the_answer_comes_at_once),
        PLAY(a_store_that_falls_behind_is_asked_no_more),
        PLAY(a_store_that_does_not_read_is_given_up),
        PLAY(a_worker_that_does_not_read_costs_a_bounded_amount),
        PLAY(a_worker_that_is_heard_gets_everything),
        PLAY(whoever_waits_is_told_that_the_store_is_gone),
        PLAY(goodbye_is_an_end_like_any_other),
        PLAY(a_store_that_begins_anew_has_forgotten),
        PLAY(a_broker_that_is_killed_takes_what_was_under_way_with_it),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_store_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker and store", tests, NULL, NULL);
}
