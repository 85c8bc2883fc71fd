/* What a worker asks the store and how each call ends, against a played broker; all time is played, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "must.h"
#include "store_call.h"

#define INCARNATION 77u
#define CALLS_MAX   8u

struct stage;

struct told { /* what `done` of one call said */
    struct stage *stage;
    unsigned times, status;
    uint64_t version, ticket;
    size_t len;
    char body[256];
    struct told *again, *forgets; /* from within done: another call is made, or forgotten */
};

struct stage {
    struct clock_manual clock;
    struct conf conf;
    struct endpoint_host host;
    struct endpoint endpoint;
    enum err_e sends;                  /* what the link says */
    struct wire_store_request request; /* the last one, without its texts */
    char who[IDENTITY_NAME_MAX + 1];
    size_t arguments_len;
    unsigned sent;
    struct told told[CALLS_MAX];
    bool asking; /* inside store_call() */
};

static enum err_e send_message(void *arg, struct wire_message *message)
{
    static unsigned char buffer[WIRE_MAX];
    struct stage *stage = arg;
    struct wire_message decoded;
    if (stage->sends != ERR_OK)
        return stage->sends;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, len, &decoded), ERR_OK);
    assert_int_equal(decoded.type, WIRE_STORE_REQUEST);
    stage->request = decoded.store_request;
    wire_text_copy(decoded.store_request.who, stage->who, sizeof stage->who);
    stage->arguments_len = decoded.store_request.arguments.len;
    stage->sent++;
    return ERR_OK;
}

static enum err_e ask(struct stage *stage, unsigned n, enum store_op_e op);

static void on_done(void *arg, const struct store_answer *answer)
{
    struct told *told = arg;
    assert_false(told->stage->asking);
    told->times++;
    told->status = answer->status;
    told->version = answer->version;
    told->len = answer->len;
    memcpy(told->body, answer->body,
           answer->len < sizeof told->body - 1 ? answer->len : sizeof told->body - 1);
    if (told->forgets != NULL)
        store_call_forget(&told->stage->endpoint, told->forgets->ticket);
    if (told->again != NULL)
        assert_int_equal(ask(told->stage, (unsigned)(told->again - told->stage->told), STORE_OP_READ),
                         ERR_OK);
}

static enum err_e ask_with(struct stage *stage, unsigned n, const struct store_call *call)
{
    struct told *told = &stage->told[n];
    *told = (struct told){.stage = stage, .again = told->again, .forgets = told->forgets};
    stage->asking = true;
    enum err_e err = store_call(&stage->endpoint, call, on_done, told, &told->ticket);
    stage->asking = false;
    return err;
}

static enum err_e ask(struct stage *stage, unsigned n, enum store_op_e op)
{
    return ask_with(stage, n, &(struct store_call){.op = op, .entity = ENTITY_SENSOR, .id = 5, .who = "ana"});
}

static void hear(struct stage *stage, struct wire_message *message)
{
    static unsigned char buffer[WIRE_MAX];
    struct wire_message decoded;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, len, &decoded), ERR_OK);
    assert_true(host_hear(&stage->host, &decoded));
}

static void reply_bytes(struct stage *stage, unsigned n, unsigned status, uint64_t offset, const char *body,
                        size_t len, bool last)
{
    struct wire_message message = {.type = WIRE_STORE_REPLY};
    message.store_reply = (struct wire_store_reply){.worker = INCARNATION,
                                                    .serial = stage->told[n].ticket,
                                                    .status = status,
                                                    .version = 3,
                                                    .offset = offset,
                                                    .last = last,
                                                    .body = {body, (uint32_t)len}};
    hear(stage, &message);
}

static void reply(struct stage *stage, unsigned n, unsigned status, uint64_t offset, const char *body,
                  bool last)
{
    reply_bytes(stage, n, status, offset, body, strlen(body), last);
}

static void lose_store(struct stage *stage)
{
    hear(stage, &(struct wire_message){.type = WIRE_STORE_LOST, .store_lost = {.incarnation = 9}});
}

static void pass_ms(struct stage *stage, uint64_t ms)
{
    clock_manual_advance_ns(&stage->clock, ms * NS_PER_MS);
    host_tick(&stage->host);
}

static const struct store_call_counts *counts(const struct stage *stage)
{
    return &stage->host.store_calls.counts;
}

static void expect(const struct stage *stage, unsigned n, unsigned status, const char *part)
{
    const struct told *told = &stage->told[n];
    assert_int_equal(told->times, 1);
    assert_int_equal(told->status, status);
    if (strstr(told->body, part) == NULL)
        fail_msg("%s is not in %s", part, told->body);
}

static int open_stage(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    clock_manual_init(&stage->clock, NS_PER_S, 0);
    const struct host_config config = {.conf = &stage->conf,
                                       .clock = &stage->clock.clock,
                                       .incarnation = INCARNATION,
                                       .send_message = send_message,
                                       .arg = stage};
    assert_int_equal(host_init(&stage->host, &config), ERR_OK);
    stage->endpoint = (struct endpoint){.host = &stage->host};
    *state = stage;
    return 0;
}

static int close_stage(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(stage->host.store_calls.bytes == 0 || stage->host.store_calls.count > 0, 1);
    host_stop(&stage->host);
    host_fini(&stage->host);
    free(stage);
    return 0;
}

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

/* --- replies that make no sense -------------------------------------------------------------------------------------------- */

static void expect_strange(struct stage *stage, unsigned n)
{
    expect(stage, n, 503, "no ha respondido");
    assert_int_equal(counts(stage)->strange, 1);
    assert_int_equal(stage->host.store_calls.bytes, 0);
    reply(stage, n, 200, 0, "again", true); /* it is over */
    assert_int_equal(stage->told[n].times, 1);
    assert_int_equal(counts(stage)->late, 1);
}

static void a_hole_between_parts(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_LIST);
    reply(stage, 0, 200, 0, "[1,", false);
    reply(stage, 0, 200, 4, "2]", true);
    expect_strange(stage, 0);
}

static void a_part_that_does_not_begin_at_the_beginning(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_LIST);
    reply(stage, 0, 200, UINT64_MAX, "[1,", false);
    expect_strange(stage, 0);
}

static void parts_of_two_answers(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_LIST);
    reply(stage, 0, 200, 0, "[1,", false);
    reply(stage, 0, 404, 3, "2]", true);
    expect_strange(stage, 0);
}

static void parts_of_two_versions(void **state)
{
    struct stage *stage = *state;
    struct wire_message message = {.type = WIRE_STORE_REPLY};
    ask(stage, 0, STORE_OP_READ);
    reply(stage, 0, 200, 0, "{", false);
    message.store_reply =
        (struct wire_store_reply){INCARNATION, stage->told[0].ticket, 200, 4, 1, true, {"}", 1}};
    hear(stage, &message);
    expect_strange(stage, 0);
}

static void statuses_that_no_client_reads(void **state)
{
    struct stage *stage = *state;
    static const unsigned statuses[] = {0, 99, 100, 302, 304, 299, 600, 99999};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        ask(stage, 0, STORE_OP_READ);
        reply(stage, 0, statuses[i], 0, "{}", true);
        expect(stage, 0, 503, "no ha respondido");
    }
    assert_int_equal(counts(stage)->strange, ARRAY_LEN(statuses));
}

static void an_empty_part_that_is_not_the_last(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_READ);
    reply(stage, 0, 200, 0, "", false);
    expect(stage, 0, 503, "no ha respondido");
    ask(stage, 1, STORE_OP_READ);
    reply(stage, 1, 200, 0, "{", false);
    reply(stage, 1, 200, 1, "", false);
    expect(stage, 1, 503, "no ha respondido");
    assert_int_equal(counts(stage)->strange, 2);
}

static void a_body_where_none_belongs_and_none_where_one_does(void **state)
{
    struct stage *stage = *state;
    ask(stage, 0, STORE_OP_DELETE);
    reply(stage, 0, 204, 0, "{}", true);
    expect(stage, 0, 503, "no se sabe");
    ask(stage, 1, STORE_OP_READ);
    reply(stage, 1, 200, 0, "", true);
    expect(stage, 1, 503, "no ha respondido");
    assert_int_equal(counts(stage)->strange, 2);
}

static void replies_for_nobody(void **state)
{
    struct stage *stage = *state;
    struct wire_message message = {.type = WIRE_STORE_REPLY};
    ask(stage, 0, STORE_OP_READ);
    message.store_reply =
        (struct wire_store_reply){INCARNATION + 1, stage->told[0].ticket, 200, 0, 0, true, {"x", 1}};
    hear(stage, &message);
    message.store_reply.worker = INCARNATION;
    message.store_reply.serial = stage->told[0].ticket + 1;
    hear(stage, &message);
    message.store_reply.serial = 0;
    hear(stage, &message);
    assert_int_equal(counts(stage)->late, 3);
    assert_int_equal(stage->told[0].times, 0);
    reply(stage, 0, 200, 0, "x", true);
    expect(stage, 0, 200, "x");
}

static void an_answer_has_a_largest_size(void **state)
{
    struct stage *stage = *state;
    static char part[WIRE_STORE_BODY_MAX];
    uint64_t offset = 0;
    memset(part, 'x', sizeof part);
    ask(stage, 0, STORE_OP_LIST);
    for (; offset + sizeof part <= STORE_CALL_ANSWER_MAX; offset += sizeof part)
        reply_bytes(stage, 0, 200, offset, part, sizeof part, false);
    reply_bytes(stage, 0, 200, offset, part, STORE_CALL_ANSWER_MAX - offset, false);
    assert_int_equal(stage->told[0].times, 0);
    reply(stage, 0, 200, STORE_CALL_ANSWER_MAX, "x", true);
    expect(stage, 0, 503, "no ha respondido");
    assert_int_equal(counts(stage)->over_budget, 1);
    assert_int_equal(stage->host.store_calls.bytes, 0);
}

static void so_have_all_together(void **state)
{
    struct stage *stage = *state;
    static char part[WIRE_STORE_BODY_MAX];
    unsigned count = STORE_CALL_BYTES_MAX / STORE_CALL_ANSWER_MAX;
    memset(part, 'x', sizeof part);
    assert_true(count <= CALLS_MAX);
    stage->host.store_calls.bytes = STORE_CALL_BYTES_MAX - sizeof part; /* of others */
    ask(stage, 0, STORE_OP_LIST);
    reply_bytes(stage, 0, 200, 0, part, sizeof part, false);
    expect(stage, 0, 503, "no ha respondido");
    assert_int_equal(counts(stage)->over_budget, 1);
    assert_int_equal(stage->host.store_calls.bytes, STORE_CALL_BYTES_MAX - sizeof part);
    stage->host.store_calls.bytes = 0;
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
        PLAY(a_hole_between_parts),
        PLAY(a_part_that_does_not_begin_at_the_beginning),
        PLAY(parts_of_two_answers),
        PLAY(parts_of_two_versions),
        PLAY(statuses_that_no_client_reads),
        PLAY(an_empty_part_that_is_not_the_last),
        PLAY(a_body_where_none_belongs_and_none_where_one_does),
        PLAY(replies_for_nobody),
        PLAY(an_answer_has_a_largest_size),
        PLAY(so_have_all_together),
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
