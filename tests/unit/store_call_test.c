/* What a worker asks the store and how each call ends, against a played broker; all time is played, too. */
#include "store_call_stage.h"

/* --- answers ------------------------------------------------------------------------------------------------------------- */

static void a_call_is_answered(void **state)
{
    struct stage *stage = *state;
    const struct store_call call = {.op = STORE_OP_UPDATE,
                                    .entity = ENTITY_LOCATION,
                                    .id = 8,
                                    .version = 4,
                                    .deadline_ms = 250,
                                    .who = "ana",
                                    .arguments = "abc",
                                    .arguments_len = 3};
    assert_int_equal(ask_with(stage, 0, &call), ERR_OK);
    assert_int_equal(stage->request.worker, INCARNATION);
    assert_int_equal(stage->request.serial, stage->told[0].ticket);
    assert_int_equal(stage->request.operation, STORE_OP_UPDATE);
    assert_int_equal(stage->request.entity, ENTITY_LOCATION);
    assert_int_equal(stage->request.id, 8);
    assert_int_equal(stage->request.version, 4);
    assert_int_equal(stage->request.deadline_ms, 250);
    assert_string_equal(stage->who, "ana");
    assert_int_equal(stage->arguments_len, 3);
    reply(stage, 0, 200, 0, "{\"id\":8}", true);
    expect(stage, 0, 200, "{\"id\":8}");
    assert_int_equal(stage->told[0].version, 3);
    assert_int_equal(counts(stage)->answered, 1);
    assert_int_equal(stage->host.store_calls.count, 0);
}

static void answers_find_their_calls(void **state)
{
    struct stage *stage = *state;
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ask(stage, n, n < 3 ? STORE_OP_READ : STORE_OP_DELETE), ERR_OK);
    reply(stage, 3, 202, 0, "it goes on", true);
    expect(stage, 3, 202, "it goes on");
    reply(stage, 2, 200, 0, "two", true);
    reply(stage, 0, 404, 0, "none", true);
    reply(stage, 1, 204, 0, "", true);
    expect(stage, 0, 404, "none");
    expect(stage, 1, 204, "");
    expect(stage, 2, 200, "two");
}

static void parts_are_put_together(void **state)
{
    struct stage *stage = *state;
    static char part[WIRE_STORE_BODY_MAX];
    memset(part, 'x', sizeof part);
    ask(stage, 0, STORE_OP_LIST);
    ask(stage, 1, STORE_OP_LIST);
    reply_bytes(stage, 0, 200, 0, part, sizeof part, false);
    reply(stage, 1, 200, 0, "[1,", false);
    reply_bytes(stage, 0, 200, sizeof part, part, sizeof part, false);
    reply(stage, 1, 200, 3, "2]", true);
    expect(stage, 1, 200, "[1,2]");
    assert_int_equal(stage->told[0].times, 0);
    assert_true(stage->host.store_calls.bytes >= 2 * sizeof part);
    reply(stage, 0, 200, 2 * sizeof part, "", true); /* the end alone */
    assert_int_equal(stage->told[0].len, 2 * sizeof part);
    assert_int_equal(stage->host.store_calls.bytes, 0);
}

/* --- ends without an answer -------------------------------------------------------------------------------------------------- */

static void a_write_that_is_lost_may_have_been_made(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_CREATE);
    ask(stage, 1, STORE_OP_READ);
    lose_store(stage);
    expect(stage, 0, 503, "no se sabe si el cambio se ha hecho");
    expect(stage, 1, 503, "no ha respondido");
    assert_int_equal(counts(stage)->lost, 2);
    reply(stage, 0, 201, 0, "{}", true);
    assert_int_equal(stage->told[0].times, 1);
}

static void a_half_answer_is_none(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_LIST);
    reply(stage, 0, 200, 0, "[1,", false);
    lose_store(stage);
    expect(stage, 0, 503, "no ha respondido");
    assert_int_equal(stage->host.store_calls.bytes, 0);
}

static void the_broker_takes_all_with_it(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_DELETE);
    host_broker_down(&stage->host);
    expect(stage, 0, 503, "no se sabe");
    ask(stage, 1, STORE_OP_READ);
    reply(stage, 1, 200, 0, "x", true);
    expect(stage, 1, 200, "x");
}

static void without_a_broker_nothing_is_begun(void **state)
{
    struct stage *stage = *state;
    stage->sends = ERR_CLOSED;
    assert_int_equal(ask(stage, 0, STORE_OP_CREATE), ERR_OK);
    stage->sends = ERR_OK;
    reply(stage, 0, 201, 0, "{}", true); /* nobody asked for that */
    lose_store(stage);
    host_broker_down(&stage->host);
    assert_int_equal(stage->told[0].times, 0);
    pass_ms(stage, 0);
    expect(stage, 0, 503, "no se ha hecho nada");
    assert_int_equal(counts(stage)->unavailable, 1);
    assert_int_equal(counts(stage)->asked, 0);
}

static void time_ends_a_call(void **state)
{
    struct stage *stage = *state;
    const struct store_call brief = {.op = STORE_OP_CREATE, .deadline_ms = 100, .who = ""};
    ask(stage, 0, STORE_OP_READ);
    assert_int_equal(stage->request.deadline_ms, STORE_CALL_DEADLINE_MS);
    ask_with(stage, 1, &brief);
    pass_ms(stage, 100 + STORE_CALL_GRACE_MS - 1);
    assert_int_equal(stage->told[1].times, 0);
    pass_ms(stage, 1);
    expect(stage, 1, 503, "no se sabe");
    assert_int_equal(stage->told[0].times, 0);
    pass_ms(stage, STORE_CALL_DEADLINE_MS - 101);
    assert_int_equal(stage->told[0].times, 0);
    pass_ms(stage, 1);
    expect(stage, 0, 503, "no ha respondido");
    assert_int_equal(counts(stage)->timeouts, 2);
}

static void who_forgets_is_not_told(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_LIST);
    ask(stage, 1, STORE_OP_READ);
    reply(stage, 0, 200, 0, "[", false);
    store_call_forget(&stage->endpoint, stage->told[0].ticket);
    store_call_forget(&stage->endpoint, stage->told[0].ticket);
    store_call_forget(&stage->endpoint, 12345);
    assert_int_equal(stage->host.store_calls.bytes, 0);
    reply(stage, 0, 200, 1, "]", true);
    reply(stage, 1, 200, 0, "x", true);
    assert_int_equal(stage->told[0].times, 0);
    expect(stage, 1, 200, "x");
    assert_int_equal(counts(stage)->forgotten, 1);
    assert_int_equal(counts(stage)->late, 1);
}

static void done_may_ask_and_forget(void **state)
{
    struct stage *stage = *state;
    stage->told[0].again = &stage->told[3];
    stage->told[0].forgets = &stage->told[1];
    ask(stage, 0, STORE_OP_READ);
    ask(stage, 1, STORE_OP_READ);
    ask(stage, 2, STORE_OP_READ);
    lose_store(stage);
    expect(stage, 0, 503, "");
    assert_int_equal(stage->told[1].times, 0);
    expect(stage, 2, 503, "");
    assert_int_equal(stage->told[3].times, 0); /* asked after the loss */
    reply(stage, 3, 200, 0, "x", true);
    expect(stage, 3, 200, "x");
}

static void the_end_of_the_process_ends_all(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_CREATE);
    host_stop(&stage->host);
    expect(stage, 0, 503, "no se sabe");
    assert_int_equal(ask(stage, 1, STORE_OP_READ), ERR_FULL);
}

/* --- bounds ------------------------------------------------------------------------------------------------------------------ */

static void too_much_is_not_asked(void **state)
{
    struct stage *stage = *state;
    static char arguments[WIRE_STORE_ARGUMENTS_MAX + 1];
    struct store_call call = {
        .op = STORE_OP_CREATE, .who = "", .arguments = arguments, .arguments_len = sizeof arguments};
    assert_int_equal(ask_with(stage, 0, &call), ERR_TOO_LARGE);
    call.arguments_len--;
    assert_int_equal(ask_with(stage, 0, &call), ERR_OK);
    assert_int_equal(stage->sent, 1);
    stage->sends = ERR_FULL;
    assert_int_equal(ask(stage, 1, STORE_OP_READ), ERR_FULL);
    pass_ms(stage, 60000);
    assert_int_equal(stage->told[1].times, 0);
    assert_int_equal(counts(stage)->full, 1);
}

static void so_many_are_under_way(void **state)
{
    struct stage *stage = *state;
    const struct store_call call = {.op = STORE_OP_READ, .who = ""};
    struct told *told = &stage->told[0];
    told->stage = stage;
    for (unsigned i = 0; i < STORE_CALLS_MAX; i++)
        assert_int_equal(store_call(&stage->endpoint, &call, on_done, told, &told->ticket), ERR_OK);
    assert_int_equal(store_call(&stage->endpoint, &call, on_done, told, &told->ticket), ERR_FULL);
    reply(stage, 0, 200, 0, "x", true);
    assert_int_equal(store_call(&stage->endpoint, &call, on_done, told, &told->ticket), ERR_OK);
    lose_store(stage);
    assert_int_equal(told->times, STORE_CALLS_MAX + 1);
}

int main(void)
{
#define PLAY(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)
    const struct CMUnitTest tests[] = {
        PLAY(a_call_is_answered),
        PLAY(answers_find_their_calls),
        PLAY(parts_are_put_together),
        PLAY(a_write_that_is_lost_may_have_been_made),
        PLAY(a_half_answer_is_none),
        PLAY(the_broker_takes_all_with_it),
        PLAY(without_a_broker_nothing_is_begun),
        PLAY(time_ends_a_call),
        PLAY(who_forgets_is_not_told),
        PLAY(done_may_ask_and_forget),
        PLAY(the_end_of_the_process_ends_all),
        PLAY(too_much_is_not_asked),
        PLAY(so_many_are_under_way),
    };
    return cmocka_run_group_tests_name("store_call", tests, NULL, NULL);
}
