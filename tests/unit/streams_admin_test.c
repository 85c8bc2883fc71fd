/* getnumchannels() and getchannelinfo() over four workers that the test plays: answers to the byte, who waits for which survey, every
 * bound and error, rows that are none; and that what stays open during a survey is told exactly once, whatever else happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "hash.h"
#include "streams_stage.h"

#define NUM  "{\"ws_op\":\"admin\",\"ws_msg\":\"getnumchannels()\"}"
#define INFO "{\"ws_op\":\"admin\",\"ws_msg\":\"getchannelinfo()\"}"

static int setup(void **state)
{
    (void)state;
    stage_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stage_stop();
    return 0;
}

static void tick(void)
{
    for (unsigned i = 0; i < STAGE_WORKERS; i++)
        streams_dialect.tick(&stage.workers[i]);
}

static void expect_reply(struct endpoint_conn *c, unsigned replies, const char *text)
{
    assert_int_equal(c->replies, replies);
    assert_string_equal(c->reply, text);
}

static void expect_error(struct endpoint_conn *c, unsigned replies, const char *text)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"ws_op\":\"error\",\"ws_msg\":\"%s\"}", text);
    expect_reply(c, replies, expected);
}

static void open(struct endpoint_conn *c, const char *ids)
{
    char text[512];
    snprintf(text, sizeof text, "{\"ws_op\":\"open\",\"ws_stream_ids\":[%s]}", ids);
    stage_say(c, text);
}

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

/* --- while things change -------------------------------------------------------------------------------------------- */

#define CONNS 60
#define IDS   200

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice = hash_u64(dice + 0x51ed);
    return (unsigned)(dice >> 24) % sides;
}

static struct endpoint_conn *conns[CONNS];

static void open_some(struct endpoint_conn *c, bool stays)
{
    char text[32];
    for (unsigned n = 1 + roll(20); n > 0; n--) {
        snprintf(text, sizeof text, "\"%c%u\"", stays ? 's' : 'v', roll(IDS));
        open(c, text);
    }
}

/* The even ones stay as they are. */
static void change(void)
{
    unsigned i = roll(CONNS) | 1;
    if (roll(3) == 0) {
        stage_disconnect(conns[i]);
        conns[i] = stage_connect(roll(STAGE_WORKERS));
    } else if (roll(3) == 0) {
        stage_say(conns[i], "{\"ws_op\":\"close\"}");
    }
    open_some(conns[i], false);
}

static void survey_while_changing(void)
{
    struct endpoint_cursor cursors[STAGE_WORKERS] = {0};
    bool told[STAGE_WORKERS] = {0};
    for (unsigned left = STAGE_WORKERS; left > 0;) {
        unsigned i = roll(STAGE_WORKERS);
        if (!told[i] && (told[i] = stage_piece(i, &cursors[i], 200 + roll(800))))
            left--;
        for (unsigned n = roll(4); n > 0; n--)
            change();
    }
    stage_done(ERR_OK, 0, STAGE_WORKERS);
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    const char *end = text + strlen(text);
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL; at++)
        n++;
    return n;
}

/* Of every stream that stays, the number of channels; each connection that stays, with each of its streams, once. */
static void expect_all_that_stayed(const char *num, const char *info)
{
    char what[256];
    for (unsigned id = 0; id < IDS; id++) {
        struct topic topic;
        unsigned channels = 0;
        topic_make_stream(&topic, what, (size_t)snprintf(what, sizeof what, "s%u", id));
        for (unsigned i = 0; i < CONNS; i += 2)
            channels += stage_has(conns[i], &topic);
        snprintf(what, sizeof what, "{\"stream\":\"s%u\",\"numchannels\":\"%u\"}", id, channels);
        assert_int_equal(count_of(num, what), channels > 0);
    }
    for (unsigned i = 0; i < CONNS; i += 2) {
        for (uint32_t t = 0; t < conns[i]->count; t++) {
            size_t len;
            const char *id = topic_stream_id(conns[i]->topics[t].name, conns[i]->topics[t].len, &len);
            snprintf(what, sizeof what, "{\"port\":\"%s\",\"stream\":\"%.*s\",",
                     strchr(conns[i]->peer, ':') + 1, (int)len, id);
            assert_int_equal(count_of(info, what), 1);
        }
    }
}

/* Of what came and went, nothing is told twice. */
static void expect_nothing_twice(const char *num, const char *info)
{
    for (const char *at = num; (at = strstr(at, "{\"stream\":\"")) != NULL; at++) {
        char id[32];
        snprintf(id, sizeof id, "%.*s", (int)(strchr(at + 11, '"') - at + 1), at);
        assert_int_equal(count_of(num, id), 1);
    }
    for (const char *at = info; (at = strstr(at, "{\"port\":\"")) != NULL; at++) {
        char row[64];
        snprintf(row, sizeof row, "%.*s", (int)(strstr(at, ",\"host\"") - at + 1), at);
        assert_int_equal(count_of(info, row), 1);
    }
}

static void what_stays_is_told_once(void **state)
{
    (void)state;
    dice = 3;
    struct endpoint_conn *asker = stage_connect(0);
    for (unsigned i = 0; i < CONNS; i++) {
        conns[i] = stage_connect(roll(STAGE_WORKERS));
        open_some(conns[i], i % 2 == 0);
    }
    for (unsigned round = 0; round < 40; round++) {
        stage_say(asker, NUM);
        survey_while_changing();
        char *num = stage_copy(asker->reply, asker->reply_len);
        stage_say(asker, INFO);
        survey_while_changing();
        expect_all_that_stayed(num, asker->reply);
        expect_nothing_twice(num, asker->reply);
        free(num);
    }
    for (unsigned i = 0; i < CONNS; i++)
        stage_disconnect(conns[i]);
    stage_disconnect(asker);
}

/* Told, closed, and opened again at a place that is still to be told. */
static void a_stream_that_comes_again_is_not_counted_twice(void **state)
{
    struct endpoint_cursor cursor = {0};
    (void)state;
    struct endpoint_conn *a = stage_connect(0), *b = stage_connect(0);
    open(a, "\"first\"");
    open(b, "\"second\"");
    stage_say(b, NUM);
    assert_false(stage_piece(0, &cursor, 20)); /* connections, and "first" */
    stage_say(a, "{\"ws_op\":\"close\"}");
    open(a, "\"third\"");
    open(a, "\"first\"");
    assert_true(stage_piece(0, &cursor, ENDPOINT_ROW_MAX));
    stage_done(ERR_OK, 0, 1);
    expect_reply(b, 1,
                 "{\"numchannels\":\"2\",\"streams\":[{\"stream\":\"first\",\"numchannels\":\"1\"},"
                 "{\"stream\":\"second\",\"numchannels\":\"1\"}]}");
    stage_disconnect(a);
    stage_disconnect(b);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The largest that the limits allow, for its time: printed, not judged. */
static void a_large_answer(void **state)
{
    static char rows[100000 * 34];
    struct out out = out_init(rows, sizeof rows);
    char id[32];
    (void)state;
    struct endpoint_conn *c = stage_connect(0);
    for (unsigned i = 0; i < 100000; i++) {
        const struct streams_row row = {
            .kind = STREAMS_ROW_CHANNEL,
            .id = id,
            .host = "127.0.0.1",
            .host_len = 9,
            .id_len = (uint8_t)snprintf(id, sizeof id, "stream-%u", i * 7919u % 100000u),
            .port = (uint16_t)i};
        streams_rows_put(&out, &row);
    }
    stage_say(c, INFO);
    uint64_t begin = cpu_ns();
    stage.survey.events->rows(stage.survey.arg, rows, out.len);
    uint64_t added = cpu_ns();
    stage_done(ERR_OK, 0, 1);
    uint64_t done = cpu_ns();
    assert_int_equal(count_of(c->reply, "\"port\""), 100000);
    print_message("100,000 channels: gathered in %llu ms, answer of %zu bytes in %llu ms\n",
                  (unsigned long long)((added - begin) / NS_PER_MS), c->reply_len,
                  (unsigned long long)((done - added) / NS_PER_MS));
    stage_disconnect(c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
        T(what_stays_is_told_once),
        T(a_stream_that_comes_again_is_not_counted_twice),
        T(a_large_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
