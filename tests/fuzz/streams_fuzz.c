/* Fuzzes the streams dialect over a played endpoint. The first byte says what the rest is:
 *
 *     even  messages of clients, each behind a byte (which of four connections; binary or not; or it goes and comes again) and a
 *           length of two; surveys are answered in between
 *     odd   rows of another worker, in two pieces, to either question
 *
 * Checked beside memory: channels are what is open; what is published comes of what was sent; every reply is JSON of
 * the dialect; an answer made of foreign rows is, too. */
#include <jansson.h>
#include <stdint.h>

#define STAGE_STREAMS 40
#include "streams_stage.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNS 4

static struct endpoint_conn *conns[CONNS];

static void check_reply(struct endpoint_conn *conn)
{
    if (conn->reply == NULL)
        return;
    json_t *reply = json_loadb(conn->reply, conn->reply_len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    MUST(reply != NULL);
    MUST(json_object_get(reply, "ws_op") != NULL || json_object_get(reply, "numchannels") != NULL);
    json_decref(reply);
    free(conn->reply);
    conn->reply = NULL;
}

static void check_counts(void)
{
    uint64_t open = 0;
    for (unsigned i = 0; i < CONNS; i++)
        open += conns[i]->count;
    MUST(stage_registry(0)->channels == open && stage.workers[0].channels == open);
    MUST(stage_registry(0)->conns.count == CONNS);
}

static void hear(uint8_t how, const char *text, size_t len)
{
    struct endpoint_conn **conn = &conns[how % CONNS];
    bool binary = (how & 4) != 0;
    if (how & 8) {
        stage_disconnect(*conn);
        *conn = stage_connect(0);
        return;
    }
    if (!binary && !utf8_is_valid(text, len))
        return; /* ws lets no such text through */
    unsigned publishes = (*conn)->publishes;
    char *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, text, len);
    streams_dialect.on_receive(*conn, exact, len, binary);
    free(exact);
    if ((*conn)->publishes > publishes)
        MUST((*conn)->published_len <= 2 * len && utf8_is_valid((*conn)->published, (*conn)->published_len));
    check_reply(*conn);
    check_counts();
}

static void hear_all(struct in *in)
{
    while (in->left > 3) {
        uint8_t how = in_u8(in);
        size_t len = (size_t)in_u8(in) << 8;
        len |= in_u8(in);
        if (len > in->left)
            len = in->left;
        hear(how, in_bytes(in, len), len);
        if (how & 16 && stage.survey.events != NULL)
            stage_survey();
        streams_dialect.tick(&stage.workers[0]);
    }
    while (stage.survey.events != NULL) {
        stage_survey();
        streams_dialect.tick(&stage.workers[0]);
    }
}

static void hear_rows(struct in *in, const char *question)
{
    stage_say(conns[0], question);
    size_t half = in->left > 0 ? in_u8(in) : 0;
    if (half > in->left)
        half = in->left;
    stage.survey.events->rows(stage.survey.arg, in_bytes(in, half), half);
    size_t rest = in->left;
    stage.survey.events->rows(stage.survey.arg, in_bytes(in, rest), rest);
    stage_done(ERR_OK, 0, 1);
    MUST(conns[0]->replies == 1);
}

/* A cursor of another process, too. */
static void hear_cursor(struct in *in)
{
    struct endpoint_cursor cursor = {0};
    char memory[ENDPOINT_ROW_MAX];
    struct out rows = out_init(memory, sizeof memory);
    unsigned question = in_u8(in);
    const void *at = in_bytes(in, in->left < sizeof cursor ? in->left : sizeof cursor);
    if (at != NULL)
        memcpy(&cursor, at, (size_t)(in->at - (const unsigned char *)at));
    streams_dialect.survey_rows(&stage.workers[0], question, &cursor, &rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct in in = in_init(data, size);
    stage_start();
    stage.conf.streams_max_streams = STAGE_STREAMS / 2;
    stage.conf.streams_max_channels = STAGE_STREAMS;
    for (unsigned i = 0; i < CONNS; i++)
        conns[i] = stage_connect(0);
    uint8_t what = in_u8(&in);
    if (what % 2 == 0)
        hear_all(&in);
    else
        hear_rows(&in, what & 2 ? "{\"ws_op\":\"admin\",\"ws_msg\":\"getnumchannels()\"}"
                                : "{\"ws_op\":\"admin\",\"ws_msg\":\"getchannelinfo()\"}");
    in = in_init(data, size);
    hear_cursor(&in);
    for (unsigned i = 0; i < CONNS; i++) {
        check_reply(conns[i]);
        stage_disconnect(conns[i]);
    }
    MUST(streams_registry_bytes(stage_registry(0)) == 0 && stage.workers[0].channels == 0);
    stage_stop();
    return 0;
}
