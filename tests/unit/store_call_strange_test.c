/* Replies of the store that make no sense: parts with holes, of two answers, of two versions, for nobody, larger than an answer may be. Each is
 * refused, counted, and answered 503.
 */
#include "store_call_stage.h"

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

int main(void)
{
#define PLAY(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name("store_call", tests, NULL, NULL);
}
