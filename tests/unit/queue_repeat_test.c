/* The command queue: the same command again, by its key or by its request; what is remembered. */
#include "queue_play.h"

/* --- the same command again ---------------------------------------------------------------------------------------- */

static void again_while_under_way(void **state)
{
    (void)state;
    struct play *play = begin();
    struct wire_command c = send(play, 1, 7);
    c.resent = true;
    c.age_ms = 100000; /* known is known, however old */
    give(play, &c);    /* waiting */
    reply(play, AT_REST, 3);
    give(play, &c); /* written */
    lose(play, DRIVER_TIMEOUT, DRIVER_SENT);
    give(play, &c); /* reconciling */
    loop_poll(play->loop);
    reply(play, RUNNING, 4);
    assert_int_equal(play->count, 1);
    expect_result(play, CODE_NONE, true);
    assert_int_equal(queue_counts(play->queue)->repeated, 3);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void again_when_answered(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    struct wire_command c = send(play, 1, 7);
    reply(play, RUNNING, 3);
    c.resent = true;
    give(play, &c); /* not acknowledged: its old number */
    assert_int_equal(play->count, 1);
    assert_int_equal(play->again, 1);
    play->acked = play->numbers[0];
    play->twice_is_wrong = false;
    give(play, &c); /* acknowledged: a new one, the same content */
    assert_int_equal(play->count, 2);
    assert_memory_equal(&play->outcomes[0], &play->outcomes[1], sizeof play->outcomes[0]);
    give(play, &c); /* not acknowledged, again */
    assert_int_equal(play->count, 2);
    assert_int_equal(play->again, 2);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void again_when_refused(void **state)
{
    (void)state;
    struct play *play = begin();
    reply(play, ALARM, 3);
    struct wire_command c = send(play, 1, 7);
    until_asked(play);
    reply(play, AT_REST, 3);
    give(play, &c); /* by now it would be allowed; the answer stays */
    assert_int_equal(play->again, 1);
    assert_int_equal(play->count, 1);
    assert_false(fake->busy);
    end(play);
}

static void another_key_is_another_command(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(7);
    struct wire_command c = send(play, 1, 7);
    reply(play, AT_REST, 7);
    struct wire_command others[3] = {c, c, c};
    others[0].session_worker++;
    others[1].session_serial++;
    others[2].command_serial++;
    for (int i = 0; i < 3; i++) {
        give(play, &others[i]);
        reply(play, AT_REST, 7);
    }
    assert_int_equal(play->count, 8);
    assert_int_equal(queue_counts(play->queue)->repeated, 0);
    end(play);
}

static void resent_and_unknown(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    pass_ms(play, 100);
    if (fake->busy)
        reply(play, AT_REST, 3);
    struct wire_command c = a_command(play, 1, 7);
    c.resent = true;
    c.age_ms = 100; /* as old as this agent: a predecessor may have had it */
    give(play, &c);
    expect_result(play, CODE_OUTCOME_UNKNOWN, true);
    assert_false(fake->busy);
    give(play, &c);
    assert_int_equal(play->again, 1);
    c = a_command(play, 0, -1);
    c.resent = true;
    c.age_ms = 100; /* reading twice does no harm */
    give(play, &c);
    reply(play, AT_REST, 3);
    expect_result(play, CODE_NONE, true);
    c = a_command(play, 1, 7);
    c.resent = true;
    c.age_ms = 99; /* it never reached anyone */
    give(play, &c);
    reply(play, RUNNING, 3);
    expect_result(play, CODE_NONE, true);
    end(play);
}

static void forgotten_is_unknown(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("standard"), false, 2 * STALE_MS);
    reply(play, AT_REST, 7);
    pass_ms(play, 1000);
    struct wire_command first = send(play, 1, 7);
    reply(play, AT_REST, 7);
    pass_ms(play, 1000);
    for (int i = 0; i < QUEUE_REMEMBER; i++) {
        send(play, 9, -1);
        reply(play, AT_REST, 7);
    }
    first.resent = true;
    first.age_ms = 1000;
    give(play, &first);
    assert_int_equal(last(play)->key.serial, first.command_serial);
    assert_int_equal(last(play)->code, CODE_OUTCOME_UNKNOWN);
    play->twice_is_wrong = false;
    end(play);
}

/* Refusals and readings have their own room. */
static void a_flood_of_refusals_makes_no_move_forgotten(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(7);
    struct wire_command first = a_command(play, 1, 7);
    first.request_id = wire_text("0192f1c4-7e1d-7b3a-9c55-aabbccddeeff");
    first.scope = wire_text("u:");
    give(play, &first);
    reply(play, AT_REST, 7);
    for (int i = 0; i < QUEUE_REMEMBER; i++) {
        struct wire_command wrong = a_command(play, 1, -1);
        give(play, &wrong);
        play->count -= i > 2;
    }
    first.command_serial = ++play->serial;
    give(play, &first);
    assert_true(last(play)->repeat);
    assert_false(fake->busy);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

/* --- the same request from others ---------------------------------------------------------------------------------- */

#define UUID "0192f1c4-7e1d-7b3a-9c55-aabbccddeeff"

/* A command of session `session` that names a request. */
static struct wire_command request_of(struct play *play, uint64_t session, const char *scope,
                                      uint64_t command, int64_t argument)
{
    struct wire_command c = a_command(play, command, argument);
    c.session_serial = session;
    c.request_id = wire_text(UUID);
    c.scope = wire_text(scope);
    return c;
}

static struct wire_command ask(struct play *play, uint64_t session, const char *scope, uint64_t command,
                               int64_t argument)
{
    struct wire_command c = request_of(play, session, scope, command, argument);
    give(play, &c);
    return c;
}

/* The n-th outcome of a session, of one kind; NULL: there are fewer. */
static const struct outcome *told(const struct play *play, uint64_t session, enum outcome_kind_e kind,
                                  size_t n)
{
    for (size_t i = 0; i < play->count; i++)
        if (play->outcomes[i].key.session == session && play->outcomes[i].kind == kind && n-- == 0)
            return &play->outcomes[i];
    return NULL;
}

static void same_answer(const struct play *play, uint64_t first, uint64_t second, enum outcome_kind_e kind)
{
    const struct outcome *a = told(play, first, kind, 0), *b = told(play, second, kind, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_false(a->repeat);
    assert_true(b->repeat);
    assert_int_equal(a->code, b->code);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->sent, b->sent);
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->elapsed_ms, b->elapsed_ms);
    assert_string_equal(b->request_id, UUID);
    assert_null(told(play, second, kind, 1));
}

static void another_session_waits_with_the_first(void **state)
{
    (void)state;
    struct play *play = begin();
    ask(play, 1, "u:", 1, 7);
    ask(play, 2, "u:", 1, 7); /* waiting */
    reply(play, AT_REST, 3);
    ask(play, 3, "u:", 1, 7); /* written */
    lose(play, DRIVER_TIMEOUT, DRIVER_SENT);
    ask(play, 4, "u:", 1, 7); /* reconciling */
    assert_int_equal(play->count, 0);
    loop_poll(play->loop);
    reply(play, RUNNING, 4);
    assert_int_equal(play->count, 4);
    ask(play, 5, "u:", 1, 7); /* moving */
    assert_int_equal(play->count, 5);
    until_asked(play);
    reply(play, AT_REST, 7);
    assert_int_equal(play->count, 10);
    ask(play, 6, "u:", 1, 7); /* over */
    assert_int_equal(play->count, 12);
    for (uint64_t session = 2; session <= 6; session++) {
        same_answer(play, 1, session, OUTCOME_RESULT);
        same_answer(play, 1, session, OUTCOME_COMPLETION);
    }
    assert_int_equal(told(play, 6, OUTCOME_COMPLETION, 0)->position, 7);
    assert_int_equal(fake->written[1], 1);
    assert_int_equal(queue_counts(play->queue)->repeated, 5);
    assert_int_equal(queue_counts(play->queue)->refused, 0);
    end(play);
}

static void the_same_session_may_ask_again(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    ask(play, 1, "c:1-1", 1, 7);
    ask(play, 1, "c:1-1", 1, 7);
    reply(play, RUNNING, 3);
    assert_int_equal(play->count, 2);
    assert_false(told(play, 1, OUTCOME_RESULT, 0)->repeat);
    assert_true(told(play, 1, OUTCOME_RESULT, 1)->repeat);
    assert_int_equal(told(play, 1, OUTCOME_RESULT, 1)->key.serial, 2);
    assert_int_equal(fake->written[1], 1);
    end(play);
}

static void refusals_are_answers_too(void **state)
{
    (void)state;
    struct play *play = begin();
    reply(play, ALARM, 3);
    ask(play, 1, "p:wms", 1, 7);
    until_asked(play);
    reply(play, AT_REST, 3);
    ask(play, 2, "p:wms", 1, 7); /* by now it would be allowed; the answer stays */
    same_answer(play, 1, 2, OUTCOME_RESULT);
    assert_int_equal(told(play, 2, OUTCOME_RESULT, 0)->code, CODE_INTERLOCK);
    assert_false(told(play, 2, OUTCOME_RESULT, 0)->sent);
    assert_false(fake->busy);
    assert_int_equal(queue_counts(play->queue)->refused, 1);
    end(play);
}

static void unknown_outcomes_stay_unknown(void **state)
{
    (void)state;
    struct play *play = begin_lost(DRIVER_TIMEOUT, DRIVER_SENT); /* by another request */
    reply(play, RUNNING, 4);
    until_asked(play);
    reply(play, AT_REST, 7);
    ask(play, 1, "u:", 9, 1);
    lose(play, DRIVER_TIMEOUT, DRIVER_SENT);
    ask(play, 2, "u:", 9, 1);
    same_answer(play, 1, 2, OUTCOME_RESULT);
    assert_int_equal(told(play, 2, OUTCOME_RESULT, 0)->code, CODE_OUTCOME_UNKNOWN);
    assert_true(told(play, 2, OUTCOME_RESULT, 0)->sent);
    assert_int_equal(fake->written[9], 1);
    end(play);
}

static void another_scope_is_another_request(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(7);
    const char *const scopes[] = {"u:", "p:wms", "p:wm", "c:1-1", ""};
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        ask(play, 1 + i, scopes[i], 1, 7);
        reply(play, AT_REST, 7);
    }
    ask(play, 9, "", 1, 7); /* without a scope nothing is known by request */
    reply(play, AT_REST, 7);
    assert_int_equal(fake->written[1], 6);
    assert_int_equal(queue_counts(play->queue)->repeated, 0);
    struct wire_command c = request_of(play, 10, "u:", 1, 7);
    c.request_id = wire_text("another");
    give(play, &c);
    reply(play, AT_REST, 7);
    assert_int_equal(fake->written[1], 7);
    end(play);
}

static void expect_reused(const struct play *play, uint64_t session)
{
    const struct outcome *o = told(play, session, OUTCOME_RESULT, 0);
    assert_non_null(o);
    assert_int_equal(o->code, CODE_INVALID_COMMAND);
    assert_string_equal(o->text, "request_id reused");
    assert_false(o->sent);
    assert_false(o->repeat);
}

static void another_command_by_the_same_request_is_refused(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    ask(play, 1, "u:", 1, 7);
    ask(play, 2, "u:", 1, 8); /* under way */
    expect_reused(play, 2);
    reply(play, RUNNING, 3);
    ask(play, 3, "u:", 0, 7); /* answered */
    expect_reused(play, 3);
    struct wire_command c = ask(play, 4, "u:", 1, -1); /* malformed besides */
    expect_reused(play, 4);
    give(play, &c); /* sent again: the same refusal, by its number */
    assert_int_equal(play->again, 1);
    ask(play, 5, "u:", 1, 7); /* the request's answer has stayed */
    same_answer(play, 1, 5, OUTCOME_RESULT);
    assert_int_equal(fake->written[1], 1);
    assert_false(fake->busy);
    end(play);
}

static void too_many_askers_are_refused(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    for (uint64_t session = 1; session <= 1 + ASKERS_MAX; session++)
        ask(play, session, "u:", 1, 7);
    assert_int_equal(play->count, 0);
    ask(play, 100, "u:", 1, 7);
    const struct outcome *o = told(play, 100, OUTCOME_RESULT, 0);
    assert_int_equal(o->code, CODE_BUSY);
    assert_string_equal(o->text, "too many ask for this request");
    reply(play, RUNNING, 3);
    assert_int_equal(play->count, 2 + ASKERS_MAX);
    ask(play, 101, "u:", 1, 7); /* no room to wait for the completion: the result alone */
    same_answer(play, 1, 101, OUTCOME_RESULT);
    until_asked(play);
    reply(play, AT_REST, 7);
    assert_int_equal(play->count, 2 + ASKERS_MAX + 1 + 1 + ASKERS_MAX);
    assert_null(told(play, 101, OUTCOME_COMPLETION, 0));
    end(play);
}

/* Its worker did not see the answer and sends the command again, by its key. */
static void an_askers_command_sent_again(void **state)
{
    (void)state;
    struct play *play = begin_at_rest(3);
    ask(play, 1, "u:", 1, 7);
    struct wire_command c = ask(play, 2, "u:", 1, 7);
    c.resent = true;
    c.age_ms = 100000;
    give(play, &c);
    assert_int_equal(play->count, 0);
    reply(play, RUNNING, 3);
    assert_int_equal(play->count, 2);
    give(play, &c);
    assert_int_equal(play->again, 1);
    play->acked = play->next - 1;
    play->twice_is_wrong = false;
    give(play, &c); /* the answer was lost: under a new number, still for this one alone */
    assert_int_equal(play->count, 3);
    assert_memory_equal(last(play), told(play, 2, OUTCOME_RESULT, 0), sizeof *last(play));
    assert_true(last(play)->repeat);
    end(play);
}

static void answered_also_while_stopping_busy_or_late(void **state)
{
    (void)state;
    struct play *play = begin_moving();
    struct wire_command c = request_of(play, 1, "u:", 1, 9);
    give(play, &c);
    assert_int_equal(told(play, 1, OUTCOME_RESULT, 0)->code, CODE_BUSY);
    queue_stop(play->queue);
    c = request_of(play, 2, "u:", 1, 9);
    c.deadline_ms = 0;
    give(play, &c);
    same_answer(play, 1, 2, OUTCOME_RESULT);
    end(play);
}

/* From its last answer on: who asks again prolongs it. */
static void requests_are_forgotten_by_age(void **state)
{
    (void)state;
    struct play *play = begin_with(profile_builtin("standard"), false, 3600 * 1000);
    uint64_t keep_ms = QUEUE_REMEMBER_NS / NS_PER_MS;
    reply(play, AT_REST, 3);
    ask(play, 1, "u:", 0, -1);
    reply(play, AT_REST, 3);
    pass_ms(play, keep_ms - 1);
    ask(play, 2, "u:", 0, -1);
    same_answer(play, 1, 2, OUTCOME_RESULT);
    pass_ms(play, keep_ms);
    ask(play, 3, "u:", 0, -1);
    assert_true(told(play, 3, OUTCOME_RESULT, 0)->repeat);
    pass_ms(play, keep_ms + 1);
    assert_false(fake->busy);
    ask(play, 4, "u:", 0, -1); /* new again */
    assert_true(fake->busy);
    reply(play, AT_REST, 3);
    assert_false(told(play, 4, OUTCOME_RESULT, 0)->repeat);
    end(play);
}

static void recent_finds_requests(void **state)
{
    (void)state;
    struct recent *recent = NULL;
    assert_int_equal(recent_new(4, 1000, 0, &recent), ERR_OK);
    struct outcome o = {.key = {1, 2, 3}, .scope = "u:", .request_id = "r"};
    recent_put(recent, &o, 1, 10, 10);
    assert_int_equal(recent_find_request(recent, &o, 10)->seq, 1);
    o.key.serial = 4; /* the newest answer stands for the request, and outlives the first */
    recent_put(recent, &o, 2, 20, 20);
    assert_int_equal(recent_find_request(recent, &o, 1011)->seq, 2);
    assert_int_equal(recent_count(recent), 1);
    o.kind = OUTCOME_COMPLETION;
    o.code = CODE_INTERLOCK;
    o.position = 5;
    snprintf(o.text, sizeof o.text, "alarm");
    recent_end(recent, &o, 1011);
    struct outcome completion = recent_completion(recent_find_request(recent, &o, 1011));
    assert_memory_equal(&completion, &o, sizeof o);
    struct outcome other = {.key = {9, 9, 9}, .scope = "u", .request_id = ":r"};
    assert_null(recent_find_request(recent, &other, 1011)); /* not the same, though run together */
    other = (struct outcome){.key = {9, 9, 9}, .request_id = "r"};
    assert_null(recent_find_request(recent, &other, 1011));
    for (uint64_t i = 0; i < 4; i++) {
        other.key.serial = 100 + i;
        recent_put(recent, &other, 3, 30, 1011);
    }
    assert_null(recent_find_request(recent, &o, 1011));
    recent_end(recent, &o, 1011); /* forgotten: nothing to note it with */
    recent_free(&recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(again_while_under_way),
        cmocka_unit_test(again_when_answered),
        cmocka_unit_test(again_when_refused),
        cmocka_unit_test(another_key_is_another_command),
        cmocka_unit_test(resent_and_unknown),
        cmocka_unit_test(forgotten_is_unknown),
        cmocka_unit_test(a_flood_of_refusals_makes_no_move_forgotten),
        cmocka_unit_test(another_session_waits_with_the_first),
        cmocka_unit_test(the_same_session_may_ask_again),
        cmocka_unit_test(refusals_are_answers_too),
        cmocka_unit_test(unknown_outcomes_stay_unknown),
        cmocka_unit_test(another_scope_is_another_request),
        cmocka_unit_test(another_command_by_the_same_request_is_refused),
        cmocka_unit_test(too_many_askers_are_refused),
        cmocka_unit_test(an_askers_command_sent_again),
        cmocka_unit_test(answered_also_while_stopping_busy_or_late),
        cmocka_unit_test(requests_are_forgotten_by_age),
        cmocka_unit_test(recent_finds_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
