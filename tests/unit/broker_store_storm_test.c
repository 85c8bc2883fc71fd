/* broker: kill -9 of broker and store in the middle of everything, again and again, while a ring of 1 MiB goes round several times. The store of this play
 * keeps what a database keeps: what was committed, and which events it has noted as acknowledged. */
#include "broker_store_stage.h"

enum { KILLS = 60, SOURCE = 0xabc, REQUESTS_MAX = KILLS * 16 };

enum fate_e { UNASKED, OPEN, ANSWERED, REFUSED, LOST };

static struct storm {
    struct asker worker;
    struct store store;
    struct { /* the database: it outlives the process */
        uint64_t committed, noted;
        uint64_t positions[REQUESTS_MAX + 1]; /* of events, as acknowledged; 0: not yet */
        unsigned executed[REQUESTS_MAX + 1];  /* by serial */
    } disk;
    bool store_there, source_known;
    uint64_t store_ups, store_incarnation;
    uint64_t sent; /* the last event said since the last number was asked for */
    uint64_t acks_seen, last_told;
    enum fate_e fates[REQUESTS_MAX + 1]; /* as the worker sees it */
    uint64_t asked, published;
    uint64_t worker_downs;
    uint64_t answers, refusals, losses;
} storm;

/* --- the worker ---------------------------------------------------------------------------------------------------------- */

static void lose_what_is_open(void)
{
    for (uint64_t serial = 1; serial <= storm.asked; serial++)
        if (storm.fates[serial] == OPEN) {
            storm.fates[serial] = LOST;
            storm.losses++;
        }
}

static void worker_hears(struct end *end, const struct wire_message *message)
{
    (void)end;
    const struct wire_store_reply *reply = &message->store_reply;
    if (message->type == WIRE_STORE_LOST) {
        lose_what_is_open();
        return;
    }
    if (message->type != WIRE_STORE_REPLY)
        return;
    assert_true(reply->worker == storm.worker.end.incarnation && reply->serial <= storm.asked);
    enum fate_e *fate = &storm.fates[reply->serial];
    assert_true(*fate == OPEN || *fate == LOST); /* never two answers */
    if (reply->status == 503)
        assert_int_equal(storm.disk.executed[reply->serial], 0); /* provably not begun */
    else
        assert_int_equal(storm.disk.executed[reply->serial], 1);
    if (*fate == OPEN)
        *fate = reply->status == 503 ? REFUSED : ANSWERED;
    storm.answers += reply->status != 503;
    storm.refusals += reply->status == 503;
}

static void ask(void)
{
    uint64_t serial = ++storm.asked;
    struct wire_message message = {.type = WIRE_STORE_REQUEST,
                                   .store_request = {.worker = storm.worker.end.incarnation,
                                                     .serial = serial,
                                                     .operation = 1,
                                                     .who = wire_text(""),
                                                     .arguments = wire_text("row")}};
    storm.fates[serial] = link_send(storm.worker.end.link, &message) == ERR_OK ? OPEN : REFUSED;
}

/* What makes the ring go round. */
static void publish(void)
{
    static char payload[30000];
    struct wire_message message = {.type = WIRE_PUBLISH};
    memset(payload, 'p', sizeof payload);
    message.publish = (struct wire_publish){.publish_seq = ++storm.published,
                                            .session_serial = 5,
                                            .dialect = DIALECT_STREAMS,
                                            .topics = {"\x08stream/a", 9},
                                            .payload = {payload, sizeof payload}};
    (void)link_send(storm.worker.end.link, &message);
}

/* --- the store ----------------------------------------------------------------------------------------------------------- */

static void note_ack(const struct wire_event_ack *ack)
{
    assert_true(ack->source == SOURCE);
    if (!storm.source_known) { /* what SOURCE asked for */
        storm.source_known = true;
        storm.last_told = ack->source_seq;
        assert_true(ack->source_seq <= storm.disk.committed); /* it told of nothing that was not committed */
        assert_true(ack->source_seq >= storm.disk.noted);     /* and forgot nothing */
        return;
    }
    assert_int_equal(ack->source_seq, ++storm.acks_seen);
    if (ack->ring_id != 0) {
        uint64_t *known = &storm.disk.positions[ack->source_seq];
        assert_true(*known == 0 || *known == ack->position);
        *known = ack->position;
    }
    if (rand() % 3 > 0) /* else the database does not hear of it before the store dies */
        storm.disk.noted = ack->source_seq;
}

static void store_takes(struct end *end, const struct wire_message *message)
{
    const struct wire_store_request *request = &message->store_request;
    struct wire_message reply = {
        .type = WIRE_STORE_REPLY,
        .store_reply = {request->worker, request->serial, 201, 1, 0, true, wire_text("{}")}};
    if (message->type == WIRE_EVENT_ACK) {
        note_ack(&message->event_ack);
    } else if (message->type == WIRE_STORE_REQUEST) {
        assert_int_equal(storm.disk.executed[request->serial]++, 0); /* never handed on twice */
        storm.disk.committed++;
        (void)link_send(end->link, &reply);
    }
}

static void store_begins(struct stage *stage)
{
    store_begin(stage, &storm.store, ++storm.store_incarnation, NULL);
    storm.store.end.hear = store_takes;
    storm.store_there = true;
    storm.store_ups = 0;
}

static void store_works(void)
{
    char payload[64];
    if (!storm.store_there)
        return;
    if (storm.store.end.ups != storm.store_ups) {
        storm.store_ups = storm.store.end.ups;
        storm.source_known = false;
        storm.sent = storm.acks_seen = storm.disk.noted;
        store_says_source(&storm.store, SOURCE);
    }
    while (storm.source_known && storm.sent < storm.disk.committed &&
           storm.sent < storm.acks_seen + WIRE_EVENTS_WINDOW) {
        snprintf(payload, sizeof payload, "{\"n\":%llu}", (unsigned long long)storm.sent + 1);
        struct wire_message event = event_message(SOURCE, storm.sent + 1, "sensors", payload);
        if (link_send(storm.store.end.link, &event) != ERR_OK)
            return;
        storm.sent++;
    }
}

/* --- the storm ----------------------------------------------------------------------------------------------------------- */

static void storm_pump(struct stage *stage)
{
    pump(stage);
    if (storm.worker.end.downs != storm.worker_downs) {
        storm.worker_downs = storm.worker.end.downs;
        lose_what_is_open();
    }
    store_works();
}

static void kill_something(struct stage *stage)
{
    int what = rand() % 4; /* the broker; the store; both; the store for a while */
    if (storm.store_there && what != 0) {
        end_close(stage, &storm.store.end);
        storm.store_there = false;
    }
    if (what == 0 || what == 2)
        restart(stage);
    if (!storm.store_there && what != 3)
        store_begins(stage);
}

static bool is_over(void)
{
    for (uint64_t serial = 1; serial <= storm.asked; serial++)
        if (storm.fates[serial] == OPEN)
            return false;
    return storm.source_known && storm.acks_seen == storm.disk.committed;
}

/* The test's reader has read all of it, while the ring went round. */
static void check(const struct stage *stage)
{
    const struct seen_record *event;
    char payload[64];
    uint64_t seq = 0, executed = 0;
    for (; (event = nth_event(stage, SOURCE, seq)) != NULL; seq++) {
        assert_int_equal(event->source.source_seq, seq + 1); /* once, in order, without a gap */
        snprintf(payload, sizeof payload, "{\"n\":%llu}", (unsigned long long)seq + 1);
        carries(stage, event, payload);
        uint64_t position = storm.disk.positions[seq + 1];
        assert_true(position == 0 || position == event->position);
    }
    assert_int_equal(seq, storm.disk.committed);
    for (uint64_t serial = 1; serial <= storm.asked; serial++) {
        executed += storm.disk.executed[serial];
        assert_true(storm.fates[serial] != ANSWERED || storm.disk.executed[serial] == 1);
        assert_true(storm.fates[serial] != REFUSED || storm.disk.executed[serial] == 0);
    }
    assert_int_equal(executed, storm.disk.committed);
    assert_true(storm.answers > storm.asked / 4);
    assert_true(storm.losses > 0 && storm.refusals > 0);
    assert_true(ring_reader_tail(stage->ring) > stage->records[0].position);
}

static void an_event_is_told_once_whoever_is_killed_when(void **state)
{
    struct stage *stage = *state;
    srand(47);
    asker_open(stage, &storm.worker, 900);
    storm.worker.end.hear = worker_hears;
    storm.store_incarnation = 700;
    store_begins(stage);
    for (int kills = 0; kills < KILLS; kills++) {
        for (int i = 0; i < 8; i++) {
            ask();
            publish();
            for (int pumps = rand() % 4; pumps > 0; pumps--)
                storm_pump(stage);
        }
        kill_something(stage);
        for (int pumps = rand() % 20; pumps > 0; pumps--) /* sometimes before everybody is back */
            storm_pump(stage);
    }
    if (!storm.store_there)
        store_begins(stage);
    for (uint64_t deadline = real_ms() + DEADLINE_MS; !is_over(); storm_pump(stage))
        if (real_ms() > deadline)
            fail_msg("something was lost: %llu of %llu acknowledged", (unsigned long long)storm.acks_seen,
                     (unsigned long long)storm.disk.committed);
    check(stage);
    end_close(stage, &storm.store.end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(an_event_is_told_once_whoever_is_killed_when),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_store_storm_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker and store, storms", tests, NULL, NULL);
}
