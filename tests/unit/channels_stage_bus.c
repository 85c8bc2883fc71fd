/* The played broker and the played store of channels_stage.h. */
#include "channels_stage.h"

#include "store_args.h"
#include "store_op.h"

uint64_t stage_incarnation(unsigned worker)
{
    return 0x1000000000000000ULL + worker;
}

/* --- letters ------------------------------------------------------------------------------------------------------------- */

static struct letter *letter_new(const struct wire_message *message, unsigned from)
{
    static unsigned char buffer[WIRE_MAX];
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    struct letter *letter = malloc(sizeof *letter + len);
    assert_non_null(letter);
    *letter = (struct letter){.from = from, .len = len};
    memcpy(letter->bytes, buffer, len);
    return letter;
}

enum err_e stage_send(void *arg, struct wire_message *message)
{
    struct worker *worker = arg;
    struct stage *stage = worker->stage;
    if (!worker->up)
        return ERR_CLOSED;
    *stage->end = letter_new(message, worker->number);
    stage->end = &(*stage->end)->next;
    return ERR_OK;
}

static void hand_over(struct stage *stage, unsigned to, const struct wire_message *message)
{
    struct wire_message decoded;
    struct letter *letter = letter_new(message, to);
    assert_int_equal(wire_decode(letter->bytes, letter->len, &decoded), ERR_OK);
    if (stage->workers[to].up)
        assert_true(host_hear(&stage->workers[to].host, &decoded));
    free(letter);
}

void stage_drop_letters(struct stage *stage)
{
    while (stage->first != NULL) {
        struct letter *letter = stage->first;
        stage->first = letter->next;
        free(letter);
    }
    stage->end = &stage->first;
}

/* --- surveys ------------------------------------------------------------------------------------------------------------- */

static void answer_list(struct stage *stage, unsigned from, uint64_t query)
{
    unsigned char words[8 * WORKERS];
    uint32_t len = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned b = 0; b < 8; b++)
            words[len++] = (unsigned char)(stage_incarnation(i) >> (8 * b));
    struct wire_message message = {.type = WIRE_SURVEY_WORKERS};
    message.survey_workers = (struct wire_survey_workers){query, true, {(const char *)words, len}};
    stage->surveys++;
    hand_over(stage, from, &message);
}

static unsigned number_of(uint64_t worker)
{
    assert_true(worker - stage_incarnation(0) < WORKERS);
    return (unsigned)(worker - stage_incarnation(0));
}

/* --- the store ----------------------------------------------------------------------------------------------------------- */

static bool wanted(const struct stored *event, const struct store_row *row)
{
    struct store_text channel = row->values[ARG_CHANNEL].text;
    uint32_t ring = (uint32_t)row->values[ARG_SINCE_RING].whole;
    bool mine = strncmp(event->channel, channel.at, channel.len) == 0 && event->channel[channel.len] == '\0';
    bool general = channel.len == 7 && memcmp(channel.at, "general", 7) == 0;
    return (mine || general) && (event->ring != ring || event->n > (uint64_t)row->values[ARG_SINCE_N].whole);
}

/* Rings in the order of their first event; a place in one: what follows it, in all later ones. */
static bool ring_known(const struct stage *stage, uint32_t ring, unsigned *first)
{
    for (*first = 0; *first < stage->stored_count; ++*first)
        if (stage->stored[*first].ring == ring)
            return true;
    return false;
}

static size_t events_body(struct stage *stage, const struct store_row *row, char *body, size_t cap)
{
    struct out out = out_init(body, cap);
    int64_t limit = row->values[ARG_LIMIT].whole;
    unsigned at = 0;
    assert_true(ring_known(stage, (uint32_t)row->values[ARG_SINCE_RING].whole, &at));
    out_char(&out, '[');
    for (; at < stage->stored_count && limit > 0; at++) {
        if (!wanted(&stage->stored[at], row))
            continue;
        if (out.len > 1)
            out_char(&out, ',');
        out_text(&out, stage->stored[at].text);
        limit--;
    }
    out_char(&out, ']');
    assert_false(out.overflow);
    return out.len;
}

static void send_reply(struct stage *stage, unsigned to, uint64_t serial, unsigned status, const char *body,
                       size_t len)
{
    for (size_t at = 0;;) {
        size_t part = len - at < WIRE_STORE_BODY_MAX ? len - at : WIRE_STORE_BODY_MAX;
        struct wire_message message = {.type = WIRE_STORE_REPLY};
        message.store_reply = (struct wire_store_reply){.worker = stage_incarnation(to),
                                                        .serial = serial,
                                                        .status = status,
                                                        .offset = at,
                                                        .last = at + part == len,
                                                        .body = {body + at, (uint32_t)part}};
        hand_over(stage, to, &message);
        at += part;
        if (at == len)
            return;
    }
}

static void answer_store(struct stage *stage, unsigned from, const struct wire_store_request *request)
{
    static char body[8u << 20];
    struct store_row row;
    struct store_args args = {(const unsigned char *)request->arguments.at, request->arguments.len};
    unsigned first, status = stage->store_status;
    size_t len = 0;
    assert_int_equal(request->operation, STORE_OP_EVENTS);
    assert_int_equal(store_args_next(&args, &row), ERR_OK);
    stage->pages++;
    if (status == 200 && stage->garbage == NULL &&
        !ring_known(stage, (uint32_t)row.values[ARG_SINCE_RING].whole, &first))
        status = 404;
    if (status == 200 && stage->garbage == NULL)
        len = events_body(stage, &row, body, sizeof body);
    else
        len =
            (size_t)snprintf(body, sizeof body, "%s", status == 200 ? stage->garbage : "{\"detail\":\"no\"}");
    send_reply(stage, from, request->serial, status, body, len);
}

/* --- the broker ----------------------------------------------------------------------------------------------------------- */

static void deliver(struct stage *stage, const struct letter *letter)
{
    struct wire_message message;
    assert_int_equal(wire_decode(letter->bytes, letter->len, &message), ERR_OK);
    switch (message.type) {
    case WIRE_SURVEY:
        answer_list(stage, letter->from, message.survey.query);
        return;
    case WIRE_SURVEY_ASK:
        message.survey_ask.asker = stage_incarnation(letter->from);
        if (!stage->workers[number_of(message.survey_ask.target)].silent)
            hand_over(stage, number_of(message.survey_ask.target), &message);
        return;
    case WIRE_SURVEY_ROWS:
        hand_over(stage, number_of(message.survey_rows.asker), &message);
        return;
    case WIRE_STORE_REQUEST:
        answer_store(stage, letter->from, &message.store_request);
        return;
    default:
        fail_msg("unexpected message %s", wire_type_name(message.type));
    }
}

static bool may_go(const struct stage *stage, const struct letter *letter)
{
    struct wire_message message;
    assert_int_equal(wire_decode(letter->bytes, letter->len, &message), ERR_OK);
    return message.type != WIRE_STORE_REQUEST || !stage->store_holds;
}

bool step(struct stage *stage)
{
    for (struct letter **at = &stage->first; *at != NULL; at = &(*at)->next) {
        struct letter *letter = *at;
        if (!may_go(stage, letter))
            continue;
        *at = letter->next;
        if (letter->next == NULL)
            stage->end = at;
        deliver(stage, letter);
        free(letter);
        return true;
    }
    return false;
}

void drain(struct stage *stage)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        while (tail_drain(&stage->workers[i].host.tail, 100))
            ;
        while (outbox_slice(&stage->workers[i].host.outbox, NS_PER_S))
            ;
    }
}

void run(struct stage *stage)
{
    do
        drain(stage);
    while (step(stage));
}

void pass_ms(struct stage *stage, uint64_t ms)
{
    for (uint64_t left = ms; left > 0;) {
        uint64_t now = left < 100 ? left : 100;
        clock_manual_advance_ns(&stage->clock, now * NS_PER_MS);
        left -= now;
        for (unsigned i = 0; i < WORKERS; i++)
            host_tick(&stage->workers[i].host);
        run(stage);
    }
}

void broker_dies(struct stage *stage)
{
    stage_drop_letters(stage);
    for (unsigned i = 0; i < WORKERS; i++) {
        stage->workers[i].up = false;
        host_broker_down(&stage->workers[i].host);
    }
}

void broker_is_back(struct stage *stage)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        stage->workers[i].up = true;
        assert_int_equal(host_broker_up(&stage->workers[i].host, ring_writer_id(stage->ring)), ERR_OK);
    }
}
