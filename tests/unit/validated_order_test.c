/* Endpoints over a played API and a played pool: the order of answers, how many messages are under way, what waits, ends with things
 * under way, and handlers of this process. */
#include "hash.h"
#include "validated_play.h"

/* --- order -------------------------------------------------------------------------------------------------------------- */

static void answers_come_in_the_order_of_the_messages(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    stage_say(c, "{\"message\":\"0\"}");
    stage_say(c, "nonsense"); /* refused at once, and yet second */
    stage_say(c, "{\"message\":\"2\"}");
    stage_say(c, "{\"message\":\"3\"}");
    stage_say(c, "{\"message\":\"4\"}");
    expect_nothing(c);
    assert_int_equal(stage.message_count, 4);
    stage_answer(3, 200, "{\"message\":\"4\",\"user\":\"s\"}");
    stage_answer(1, 0, NULL); /* to the third nothing is said, in its turn */
    expect_nothing(c);
    assert_true(validated_counts(&stage.own)->waiting_bytes > 0);
    stage_answer(0, 404, NULL);
    expect(c, "{\"statusCode\":404,\"body\":null}");
    expect(c, ERROR_OF("400", "json_invalid", "Invalid JSON: expected ident at line 1 column 2"));
    expect_nothing(c);
    stage_outcome(2, POOL_FAILED);
    expect(c, FAILED);
    expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"4\",\"user\":\"s\",\"n\":7}}");
    stage_disconnect(c);
}

static void sends_do_not_wait(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat");
    stage_say(c, "{\"message\":\"0\"}");
    stage_send(c, 200, "{\"news\":1}"); /* its body has no schema */
    expect(c, "{\"statusCode\":200,\"body\":{\"news\":1}}");
    stage_send(c, 299, "{}");
    stage_send(c, 0, "{}");
    expect_nothing(c);
    assert_int_equal(faults(VALIDATED_FAULT_STATUS), 2);
    assert_int_equal(validated_counts(&stage.own)->sent, 1);
    stage_answer(0, 204, NULL);
    expect(c, "{\"statusCode\":204,\"body\":null}");
    stage_disconnect(c);
}

/* 16 under way: not read; what one read has brought already waits; half of them answered: read again. */
static void sixteen_under_way(void **state)
{
    (void)state;
    char text[64];
    struct endpoint_conn *c = stage_connect("/chat");
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "{\"message\":\"x\",\"n\":%d}", i);
        stage_say(c, text);
        assert_int_equal(c->held, i >= 15);
    }
    assert_int_equal(c->holds, 1);
    assert_int_equal(stage.message_count, 16);
    assert_int_equal(validated_counts(&stage.own)->deferred, 24);
    stage_answer(5, 204, NULL); /* not its turn: nothing moves */
    assert_int_equal(stage.message_count, 16);
    for (unsigned i = 0; i < 40; i++) {
        if (i != 5)
            stage_answer(i, 204, NULL);
        assert_int_equal(c->held, i < 31);
        if (stage.message_count < 40)
            assert_true(stage.message_count >= i + 16);
    }
    assert_int_equal(stage.message_count, 40);
    assert_string_equal(stage.messages[39].json, "{\"message\":\"x\",\"user\":\"anonymous\",\"n\":39}");
    assert_int_equal(c->frame_count, 40);
    assert_false(c->held);
    stage_disconnect(c);
}

/* Among what was deferred are refusals, which need no handler: they all come out at once. */
static void deferred_refusals(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 16; i++)
        stage_say(c, "1");
    for (int i = 0; i < 1000; i++)
        stage_say(c, "?");
    stage_say(c, "2");
    for (unsigned i = 0; i < 16; i++)
        stage_answer(i, 200, "1");
    assert_int_equal(c->frame_count, 1016);
    assert_int_equal(stage.message_count, 17);
    assert_false(c->held);
    stage_answer(16, 200, "2");
    assert_int_equal(c->frame_count, 1017);
    stage_disconnect(c);
}

static void too_much_waits(void **state)
{
    (void)state;
    char *text = letters(300 * 1024, 'x');
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 6; i++)
        stage_say(c, "1");
    for (unsigned i = 1; i < 4; i++)
        stage_answer(i, 200, text);
    assert_int_equal(validated_counts(&stage.own)->waiting_bytes, 3 * 300 * 1024);
    assert_int_equal(c->close_code, 0);
    stage_answer(4, 200, text);
    assert_int_equal(c->close_code, 1013);
    assert_string_equal(c->close_reason, "too much waits for an earlier answer");
    stage_answer(5, 200, text); /* whatever comes now does no harm */
    stage_answer(0, 200, text);
    assert_int_equal(c->closes, 1);
    assert_int_equal(c->frame_count, 0);
    assert_int_equal(validated_counts(&stage.own)->closed_waiting, 1);
    stage_disconnect(c);
    free(text);
}

/* It is what waits that counts, not what has waited. */
static void much_waits_again_and_again(void **state)
{
    (void)state;
    char *text = letters(300 * 1024, 'x');
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 3; i++)
        stage_say(c, "1");
    for (unsigned first = 0; first < 20; first += 2) { /* never idle */
        stage_say(c, "1");
        stage_say(c, "1");
        stage_answer(first + 1, 200, text);
        stage_answer(first, 200, "1");
        assert_int_equal(validated_counts(&stage.own)->waiting_bytes, 0);
    }
    assert_int_equal(c->close_code, 0);
    assert_int_equal(c->frame_count, 20);
    stage_disconnect(c);
    free(text);
}

/* Of all connections together, too. */
static void too_much_waits_everywhere(void **state)
{
    (void)state;
    char *text = letters(1000 * 1024, 'x');
    const msgpack_object large = {.type = MSGPACK_OBJECT_STR, .via.str = {1000 * 1024, text}};
    struct endpoint_conn *conns[80];
    unsigned closed = 0;
    for (unsigned i = 0; i < ARRAY_LEN(conns); i++) {
        conns[i] = stage_connect("/raw");
        stage_say(conns[i], "1");
        stage_say(conns[i], "1");
        stage_answer_object(2 * i + 1, 200, &large);
        assert_true(validated_counts(&stage.own)->waiting_bytes <= 64 * 1024 * 1024);
        closed += conns[i]->close_code == 1013;
    }
    assert_int_equal(closed, ARRAY_LEN(conns) - 65);
    for (unsigned i = 0; i < ARRAY_LEN(conns); i++)
        stage_disconnect(conns[i]);
    free(text);
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static void gone_with_things_under_way(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/chat"), *d = stage_connect("/chat");
    for (int i = 0; i < 40; i++)
        stage_say(c, "{\"message\":\"x\"}");
    stage_answer(3, 200, "{\"message\":\"m\",\"user\":\"u\"}");
    stage_disconnect(c); /* waiting answers and deferred messages go with it */
    assert_int_equal(stage.message_count, 16);
    stage_say(d, "{\"message\":\"y\"}");
    stage_answer(16, 204, NULL);
    expect(d, "{\"statusCode\":204,\"body\":null}");
    stage_disconnect(d);
}

static void closes(void **state)
{
    static const struct {
        unsigned code;
        const char *reason;
        unsigned told;
    } rows[] = {
        {1000, "bye", 1000}, {1001, "", 1001}, {1003, "", 1003}, {1007, "", 1007},      {1008, "no", 1008},
        {1011, "", 1011},    {1013, "", 1013}, {3000, "", 3000}, {4999, "x", 4999},     {1002, "", 1011},
        {1004, "", 1011},    {1005, "", 1011}, {1006, "", 1011}, {1014, "", 1011},      {1015, "", 1011},
        {2999, "", 1011},    {5000, "", 1011}, {0, "", 1011},    {1000, "a\xff", 1011},
    };
    unsigned bad = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint_conn *c = stage_connect("/chat");
        stage_say(c, "{\"message\":\"x\"}");
        stage_answer(last(), 204, NULL);
        stage.events->close(c, rows[i].code, handler_text(rows[i].reason));
        assert_int_equal(c->close_code, rows[i].told);
        bool good = rows[i].code == rows[i].told && i != ARRAY_LEN(rows) - 1;
        assert_string_equal(c->close_reason, good ? rows[i].reason : "The handler failed");
        assert_int_equal(c->frame_count, 1); /* what was answered before came before */
        stage_send(c, 200, "{}");            /* nothing after */
        bad += !good;
        stage_disconnect(c);
    }
    assert_int_equal(faults(VALIDATED_FAULT_CLOSE), bad);
    char longest[124];
    memset(longest, 'r', sizeof longest);
    for (uint32_t len = 123; len < 125; len++) {
        struct endpoint_conn *c = stage_connect("/chat");
        stage.events->close(c, 1000, (struct handler_text){longest, len});
        assert_int_equal(c->close_code, len == 123 ? 1000 : 1011);
        stage_disconnect(c);
    }
}

/* What one read had brought is not handled after the handler closed. */
static void closed_with_deferred_messages(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect("/raw");
    for (int i = 0; i < 20; i++)
        stage_say(c, "1");
    stage.events->close(c, 1000, handler_text(""));
    for (unsigned i = 16; i-- > 0;) {
        stage_answer(i, 200, "1");
        assert_int_equal(validated_counts(&stage.own)->waiting_bytes, 0); /* nobody will read them */
    }
    assert_int_equal(stage.message_count, 16);
    assert_int_equal(c->frame_count, 0);
    stage_disconnect(c);
}

/* --- handlers of this process ------------------------------------------------------------------------------------------- */

static struct {
    unsigned connects, disconnects;
    uint64_t token; /* of what is answered later */
    enum err_e will;
} inside;

static enum err_e inside_connect(void *arg, struct endpoint_conn *conn,
                                 const struct endpoint_request *request)
{
    assert_string_equal(arg, "arg");
    assert_string_equal(request->path, "/inside");
    inside.connects++;
    validated_send(conn, 200, (struct validated_body){0});
    return inside.will;
}

/* Answers at once, but "later". */
static enum err_e inside_receive(void *arg, struct endpoint_conn *conn,
                                 const struct validated_message *message, uint64_t token)
{
    (void)arg;
    json_t *text = json_object_get(message->value, "message");
    inside.token = token;
    if (strcmp(json_string_value(text), "later") != 0)
        validated_answer(conn, token, 200, (struct validated_body){.json = message->value});
    return ERR_OK;
}

static void inside_disconnect(void *arg, struct endpoint_conn *conn)
{
    (void)arg;
    (void)conn;
    inside.disconnects++;
}

static void handlers_inside(void **state)
{
    static const struct validated_handler handler = {inside_connect, inside_receive, inside_disconnect};
    struct schema_problem problem;
    struct schema *schema;
    (void)state;
    json_t *document = json_loads(STAGE_CHAT, 0, NULL);
    assert_int_equal(schema_from_json(document, &schema, &problem), ERR_OK);
    json_decref(document);
    struct validated_endpoint endpoint = {
        .path = "/inside", .schema = schema, .handler = &handler, .arg = "arg"};
    assert_int_equal(validated_add(&stage.own, &endpoint), ERR_OK);
    assert_int_equal(validated_add(&stage.own, &endpoint), ERR_EXISTS);
    struct endpoint_conn *c = stage_connect("/inside");
    expect(c, "{\"statusCode\":200,\"body\":null}");
    stage_say(c, "{\"message\":\"a\"}");
    expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"a\",\"user\":\"anonymous\"}}");
    stage_say(c, "{\"message\":\"later\"}");
    uint64_t token = inside.token;
    for (int i = 0; i < 30; i++)
        stage_say(c, "{\"message\":\"b\"}");
    expect_nothing(c);
    assert_true(c->held);
    validated_answer(c, token, 202, (struct validated_body){0});
    expect(c, "{\"statusCode\":202,\"body\":null}");
    for (int i = 0; i < 30; i++)
        expect(c, "{\"statusCode\":200,\"body\":{\"message\":\"b\",\"user\":\"anonymous\"}}");
    assert_false(c->held);
    stage_disconnect(c);
    inside.will = ERR_MEMORY;
    stage_disconnect(stage_connect("/inside"));
    assert_int_equal(inside.connects, 2);
    assert_int_equal(inside.disconnects, 1); /* the other one was not connected */
    assert_int_equal(stage.opened, 0);       /* the pool knows nothing of it */
    validated_dialect.stop(&stage.own);
    schema_free(&schema);
}

/* --- a storm ------------------------------------------------------------------------------------------------------------ */

/* Whatever the order of the answers, each client reads the answers to its messages in the order of these. */
static void storm(void **state)
{
    enum { CONNS = 5, STEPS = 2500 };
    struct {
        struct endpoint_conn *conn;
        unsigned said, read;
        bool refused[STEPS];
    } clients[CONNS] = {0};
    bool answered[STEPS] = {0};
    (void)state;
    for (unsigned i = 0; i < CONNS; i++)
        clients[i].conn = stage_connect("/raw");
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t dice = hash_u64(step + 1);
        unsigned who = (unsigned)(dice % CONNS);
        struct endpoint_conn *c = clients[who].conn;
        if (dice >> 8 & 1 && !c->held) {
            for (unsigned burst = 1 + (unsigned)((dice >> 16) % 6); burst > 0 && clients[who].said < STEPS;
                 burst--) {
                char text[32];
                unsigned n = clients[who].said++;
                clients[who].refused[n] = (dice >> (20 + burst) & 3) == 0;
                snprintf(text, sizeof text, clients[who].refused[n] ? "{%u" : "%u", n);
                stage_say(c, text);
            }
        } else if (stage.message_count > 0) {
            unsigned from = stage.message_count > 40 ? stage.message_count - 40 : 0;
            unsigned index = from + (unsigned)((dice >> 24) % (stage.message_count - from));
            if (dice >> 9 & 1) /* the oldest that is open */
                for (index = 0; index < stage.message_count && answered[index]; index++)
                    ;
            if (index < stage.message_count && !answered[index]) {
                answered[index] = true;
                stage_answer(index, 200, stage.messages[index].json);
            }
        }
    }
    for (unsigned i = 0; i < stage.message_count; i++)
        if (!answered[i])
            stage_answer(i, 200, stage.messages[i].json);
    for (unsigned i = 0; i < CONNS; i++) {
        assert_int_equal(clients[i].conn->frame_count, clients[i].said);
        assert_true(clients[i].said > 100);
        for (unsigned n = 0; n < clients[i].said; n++) {
            char text[32];
            snprintf(text, sizeof text, "%u", n);
            const char *read = stage_read(clients[i].conn);
            if (clients[i].refused[n])
                assert_non_null(strstr(read, "json_invalid"));
            else
                assert_string_equal(read, text);
        }
        stage_disconnect(clients[i].conn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(answers_come_in_the_order_of_the_messages),
        PLAY(sends_do_not_wait),
        PLAY(sixteen_under_way),
        PLAY(deferred_refusals),
        PLAY(too_much_waits),
        PLAY(much_waits_again_and_again),
        PLAY(too_much_waits_everywhere),
        PLAY(gone_with_things_under_way),
        PLAY(closes),
        PLAY(closed_with_deferred_messages),
        PLAY(handlers_inside),
        PLAY(storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
