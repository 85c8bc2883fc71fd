/* getnumchannels() and getchannelinfo() over four workers that the test plays: answers to the byte, who waits for which survey, every
 * bound and error, rows that are none. */
#include "streams_admin_stage.h"

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void nothing_is_open(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, NUM);
    assert_int_equal(c->replies, 0);
    stage_survey();
    expect_reply(c, 1, "{\"numchannels\":\"1\",\"streams\":[]}");
    stage_say(c, INFO);
    stage_survey();
    expect_reply(c, 2, "{\"numchannels\":\"1\",\"channels\":[]}");
    stage_disconnect(c);
}

static void counts_of_all_workers(void **state)
{
    (void)state;
    struct endpoint_conn *a = stage_connect(0), *b = stage_connect(1), *c = stage_connect(1),
                         *d = stage_connect(3);
    open(a, "\"x\",\"b\"");
    open(b, "\"x\",\"a\\\"\\u0001\"");
    open(c, "\"x\",\"aa\"");
    stage_say(d, NUM);
    stage_survey();
    expect_reply(d, 1,
                 "{\"numchannels\":\"4\",\"streams\":[{\"stream\":\"a\\\"\\u0001\",\"numchannels\":\"1\"},"
                 "{\"stream\":\"aa\",\"numchannels\":\"1\"},{\"stream\":\"b\",\"numchannels\":\"1\"},"
                 "{\"stream\":\"x\",\"numchannels\":\"3\"}]}");
    b->unwritable = true;
    snprintf(c->peer, sizeof c->peer, "[::1]:77");
    snprintf(b->peer, sizeof b->peer, "127.0.0.1:1000");
    snprintf(a->peer, sizeof a->peer, "127.0.0.1:2000");
    stage_say(d, INFO);
    stage_survey();
    expect_reply(
        d, 2,
        "{\"numchannels\":\"4\",\"channels\":["
        "{\"port\":\"1000\",\"stream\":\"a\\\"\\u0001\",\"host\":\"127.0.0.1\",\"writable\":\"false\"},"
        "{\"port\":\"77\",\"stream\":\"aa\",\"host\":\"::1\",\"writable\":\"true\"},"
        "{\"port\":\"2000\",\"stream\":\"b\",\"host\":\"127.0.0.1\",\"writable\":\"true\"},"
        "{\"port\":\"1000\",\"stream\":\"x\",\"host\":\"127.0.0.1\",\"writable\":\"false\"},"
        "{\"port\":\"2000\",\"stream\":\"x\",\"host\":\"127.0.0.1\",\"writable\":\"true\"},"
        "{\"port\":\"77\",\"stream\":\"x\",\"host\":\"::1\",\"writable\":\"true\"}]}");
    snprintf(a->peer, sizeof a->peer, "unknown");
    stage_say(a, "{\"ws_op\":\"close\"}");
    stage_say(b, "{\"ws_op\":\"close\"}");
    stage_disconnect(c);
    open(a, "\"x\"");
    stage_say(d, INFO);
    stage_survey();
    expect_reply(d, 3,
                 "{\"numchannels\":\"3\",\"channels\":[{\"port\":\"0\",\"stream\":\"x\",\"host\":\"unknown\","
                 "\"writable\":\"true\"}]}");
    stage_disconnect(a);
    stage_disconnect(b);
    stage_disconnect(d);
}

static void the_question_is_read_generously(void **state)
{
    static const char *const good[] = {" getnumchannels() ", "\\tgetnumchannels()\\r\\n",
                                       "getnumchannels\\u0028)"};
    static const char *const bad[] = {
        "getnumchannels", "getNumChannels()", "getnumchannels( )", "getnumchannels();", "", " ", "a\\u0000"};
    char text[128], error[256];
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(text, sizeof text, "{\"ws_op\":\"admin\",\"ws_msg\":\"%s\"}", good[i]);
        stage_say(c, text);
        stage_survey();
        assert_non_null(strstr(c->reply, "numchannels\":\"1\""));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "{\"ws_op\":\"admin\",\"ws_msg\":\"%s\"}", bad[i]);
        stage_say(c, text);
        snprintf(error, sizeof error,
                 "ws_msg: unknown \\\"%s\\\" (known: getnumchannels(), getchannelinfo())",
                 strcmp(bad[i], "a\\u0000") == 0 ? "a\\\\u0000" : bad[i]);
        expect_error(c, (unsigned)(ARRAY_LEN(good) + i + 1), error);
    }
    stage_disconnect(c);
}

/* --- who waits for what --------------------------------------------------------------------------------------------- */

static void those_who_wait_share_an_answer(void **state)
{
    (void)state;
    struct endpoint_conn *a = stage_connect(0), *b = stage_connect(0), *c = stage_connect(0),
                         *d = stage_connect(0);
    stage.will.survey = ERR_BUSY; /* not yet */
    stage_say(a, NUM);
    stage_say(b, INFO);
    stage_say(c, NUM);
    assert_int_equal(stage.survey.begun, 0);
    stage.will.survey = ERR_OK;
    tick();
    assert_int_equal(stage.survey.begun, 1);
    open(d, "\"late\"");
    stage_say(d, NUM); /* its own stream must be in its answer: this survey may have missed it */
    tick();
    stage_done(ERR_OK, 0, 1);
    assert_int_equal(a->replies, 1);
    assert_int_equal(c->replies, 1);
    assert_int_equal(b->replies + d->replies, 0);
    tick(); /* whoever waits longest */
    assert_int_equal(stage.survey.question, STREAMS_CHANNELINFO);
    stage_survey();
    assert_int_equal(b->replies, 1);
    assert_int_equal(d->replies, 0);
    tick();
    stage_survey();
    expect_reply(d, 1, "{\"numchannels\":\"4\",\"streams\":[{\"stream\":\"late\",\"numchannels\":\"1\"}]}");
    tick();
    assert_int_equal(stage.survey.begun, 3); /* nobody waits */
    stage_disconnect(a);
    stage_disconnect(b);
    stage_disconnect(c);
    stage_disconnect(d);
}

static void an_asker_may_go(void **state)
{
    (void)state;
    struct endpoint_conn *a = stage_connect(0), *b = stage_connect(0);
    stage.will.survey = ERR_BUSY;
    stage_say(a, NUM);
    stage_say(b, NUM);
    stage_say(a, NUM);
    stage_say(a, INFO);
    stage.will.survey = ERR_OK;
    tick();
    stage_disconnect(a);
    stage_survey();
    expect_reply(b, 1, "{\"numchannels\":\"1\",\"streams\":[]}");
    tick();
    assert_int_equal(stage.survey.begun, 1); /* nobody asks for channels any more */
    stage_say(b, INFO);
    stage_disconnect(b); /* the last one: the survey ends for nobody */
    stage_survey();
}

static void each_request_has_its_answer(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    for (unsigned i = 0; i < 5; i++)
        stage_say(c, i % 2 ? INFO : NUM);
    for (unsigned i = 0; i < 5; i++) {
        tick();
        if (stage.survey.events != NULL)
            stage_survey();
    }
    assert_int_equal(c->replies, 5);
    stage_disconnect(c);
}

static void so_many_may_wait(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0), *d = stage_connect(0);
    for (unsigned i = 0; i < STREAMS_WAITING_MAX; i++)
        stage_say(c, NUM);
    stage_say(d, NUM);
    expect_error(d, 1, "admin: too many requests wait for an answer; try again");
    stage_survey();
    assert_int_equal(c->replies, 1); /* the one that began the survey */
    tick();
    stage_survey();
    assert_int_equal(c->replies, STREAMS_WAITING_MAX);
    stage_say(d, NUM);
    stage_survey();
    assert_int_equal(d->replies, 2);
    stage_disconnect(c);
    stage_disconnect(d);
}

/* --- errors --------------------------------------------------------------------------------------------------------- */

static void a_survey_that_fails_is_said(void **state)
{
    static const struct {
        enum err_e err;
        unsigned silent, workers;
        const char *text;
    } rows[] = {
        {ERR_TIMEOUT, 1, 3, "admin: 1 of 3 workers did not answer (time limit passed); try again"},
        {ERR_CLOSED, 2, 4, "admin: 2 of 4 workers did not answer (closed by the other side); try again"},
        {ERR_TIMEOUT, 0, 0, "admin: the workers could not be asked (time limit passed); try again"},
        {ERR_TOO_LARGE, 1, 3, "admin: the answer is too large (1 channels)"},
        {ERR_MALFORMED, 1, 3, "admin: no answer (malformed)"},
    };
    (void)state;
    stage.conf.streams_errors = false; /* answered all the same */
    struct endpoint_conn *c = stage_connect(0);
    open(c, "\"a\"");
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint_cursor cursor = {0};
        stage_say(c, NUM);
        stage_piece(0, &cursor, ENDPOINT_ROW_MAX); /* worth nothing */
        stage_done(rows[i].err, rows[i].silent, rows[i].workers);
        expect_error(c, i + 1, rows[i].text);
    }
    stage.will.survey = ERR_CLOSED;
    stage_say(c, NUM);
    expect_error(c, ARRAY_LEN(rows) + 1,
                 "admin: the workers could not be asked (closed by the other side); try again");
    stage.will.survey = ERR_OK;
    stage_say(c, NUM);
    stage_survey();
    expect_reply(c, ARRAY_LEN(rows) + 2,
                 "{\"numchannels\":\"1\",\"streams\":[{\"stream\":\"a\",\"numchannels\":\"1\"}]}");
    stage_disconnect(c);
}

static void switched_off(void **state)
{
    (void)state;
    stage.conf.streams_admin = stage.conf.streams_errors = false;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, NUM);
    expect_error(c, 1, "admin: switched off");
    assert_int_equal(stage.survey.begun, 0);
    stage_disconnect(c);
}

static void slow_askers_are_bounded(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, NUM);
    stage.owed = STREAMS_OWED_MAX - 10;
    stage_survey();
    expect_error(c, 1, "admin: too many answers wait for slow clients; try again");
    stage.owed = 0;
    stage_say(c, NUM);
    stage_survey();
    assert_int_equal(c->replies, 2);
    stage_disconnect(c);
}

static void expect_rows_refused(const char *question, const char *rows, size_t len)
{
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, question);
    char *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, rows, len);
    stage.survey.events->rows(stage.survey.arg, exact, len);
    free(exact);
    stage_done(ERR_OK, 0, 1);
    expect_error(c, 1, "admin: no answer (malformed)");
    stage_disconnect(c);
}

static void rows_are_not_trusted(void **state)
{
    static const struct {
        const char *rows;
        size_t len;
    } bad[] = {
        {"\x01", 1},                /* cut */
        {"\x01\1\0\0", 4},          /* cut */
        {"\x00", 1},                /* no kind */
        {"\x04\1\0\0\0", 5},        /* no kind */
        {"\x02\0\1\0\0\0", 6},      /* an empty id */
        {"\x02\2a\1\0\0\0", 7},     /* cut */
        {"\x02\1\xff\1\0\0\0", 7},  /* no UTF-8 */
        {"\x02\xff", 2},            /* longer than all there is */
        {"\x02\1a\1\0\0\0\x02", 8}, /* a good one, and a cut one */
        {"\x03\1a\0\1\0\1", 7},     /* no host; also the wrong question's */
        {"\x03\1a\1h\1\0", 7},      /* cut */
        {"\x03\1a\1h\1\0\1", 8},    /* the other question's */
    };
    char row[256] = {2, (char)129};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_rows_refused(NUM, bad[i].rows, bad[i].len);
    expect_rows_refused(INFO, "\x02\1a\1\0\0\0", 7);
    memset(row + 2, 'x', 129);
    expect_rows_refused(NUM, row, 2 + 129 + 4); /* an id too long */
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, NUM);
    stage.survey.events->rows(stage.survey.arg,
                              "\x01\xff\xff\xff\xff\x02\1a\xff\xff\xff\xff\x02\1a\xff\xff\xff\xff", 19);
    stage_done(ERR_OK, 0, 1);
    expect_reply(
        c, 1,
        "{\"numchannels\":\"4294967295\",\"streams\":[{\"stream\":\"a\",\"numchannels\":\"8589934590\"}]}");
    stage_disconnect(c);
}

/* Rows up to the bound become an answer beyond it; rows beyond it are only counted. */
static void answers_are_bounded(void **state)
{
    char row[256] = {3, 127};
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    memset(row + 2, '"', 127); /* two bytes each in JSON */
    memcpy(row + 129, "\1h\1\0\1", 5);
    for (unsigned round = 0; round < 2; round++) {
        unsigned count = round == 0 ? 150000 : 300000;
        char error[128];
        stage_say(c, INFO);
        for (unsigned i = 0; i < count; i++)
            stage.survey.events->rows(stage.survey.arg, row, 134);
        stage_done(ERR_OK, 0, 1);
        snprintf(error, sizeof error, "admin: the answer is too large (%u channels)", count);
        expect_error(c, round + 1, error);
    }
    stage_disconnect(c);
}

static void asking_costs(void **state)
{
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    stage_say(c, NUM);
    assert_int_equal(c->charged, STREAMS_ADMIN_COST);
    stage_survey();
    stage_disconnect(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_is_open),
        T(counts_of_all_workers),
        T(the_question_is_read_generously),
        T(those_who_wait_share_an_answer),
        T(an_asker_may_go),
        T(each_request_has_its_answer),
        T(so_many_may_wait),
        T(a_survey_that_fails_is_said),
        T(switched_off),
        T(slow_askers_are_bounded),
        T(rows_are_not_trusted),
        T(answers_are_bounded),
        T(asking_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
