/* The promise of seq, as a property: random changes, sockets, subscriptions, losses of memory, departures and returns
 * against a model that knows what was published and who was subscribed when. Whenever a client hears a seq, everything of
 * its topics up to it must have been heard, seq never goes back, no state is older than one heard, nothing comes twice, and
 * in the end nothing is missing. A client comes back with the last seq that it heard.
 *
 * NORIA_TEST_SEED=n NORIA_TEST_RUNS=n repeats or extends a run. */
#include "fanout_stage.h"

#define RECORDS_MAX   8192u
#define INTERVALS_MAX 48u
#define STILL         UINT64_MAX

struct published {
    uint64_t position;
    enum topic_kind_e kind;
    unsigned slot, value;
};

/* Subscribed to a topic for what stands in [from, to). */
struct interval {
    enum topic_kind_e kind;
    int slot; /* -1: all */
    uint64_t from, to;
};

struct model {
    bool ever;
    struct interval intervals[INTERVALS_MAX];
    unsigned count;
    uint64_t seq;                     /* last one heard */
    unsigned checked;                 /* records below this have been promised */
    unsigned state[MACHINES];         /* last reading heard */
    unsigned number;                  /* last number heard */
    unsigned char heard[RECORDS_MAX]; /* by number */
    unsigned char own[RECORDS_MAX];   /* by number: an answer to a command of its own that it is given */
    size_t at;                        /* up to where its socket was listened to */
};

struct world {
    struct stage *stage;
    struct published records[RECORDS_MAX];
    unsigned count;
    unsigned reading;
    struct model models[CLIENTS];
    bool tight; /* memory is refused now and then, and clients are closed for it */
    bool few;   /* different sets of topics, so that audiences are large enough for logs of their own */
};

static bool covers(const struct interval *i, const struct published *r)
{
    return i->kind == r->kind && (i->slot < 0 || (unsigned)i->slot == r->slot) && r->position >= i->from &&
           r->position < i->to;
}

static bool is_owed(const struct model *model, const struct published *r)
{
    if (r->kind != TOPIC_STATE && model->own[r->value])
        return true;
    for (unsigned i = 0; i < model->count; i++)
        if (covers(&model->intervals[i], r) && (r->kind != TOPIC_STATE || model->intervals[i].to == STILL))
            return true;
    return false;
}

static void check_record(const struct model *model, const struct published *r)
{
    if (!is_owed(model, r))
        return;
    if (r->kind == TOPIC_STATE)
        assert_true(model->state[r->slot] >= r->value);
    else if (!model->heard[r->value])
        fail_msg("number %u at %llu was promised by %llu and not sent", r->value,
                 (unsigned long long)r->position / RECORD_ALIGN, (unsigned long long)model->seq);
}

struct listening {
    struct world *world;
    struct model *model;
};

static void on_item(void *arg, char kind, unsigned slot, uint64_t value)
{
    struct listening *l = arg;
    struct model *model = l->model;
    switch (kind) {
    case 'S':
        assert_true(value >= model->state[slot]);
        model->state[slot] = (unsigned)value;
        break;
    case 'R':
    case 'E':
        assert_true(value > model->number); /* in order, and once */
        model->number = (unsigned)value;
        model->heard[value] = 1;
        break;
    case '#':
        assert_true(value >= model->seq);
        model->seq = value;
        for (; model->checked < l->world->count &&
               l->world->records[model->checked].position / RECORD_ALIGN <= value;
             model->checked++)
            check_record(model, &l->world->records[model->checked]);
        break;
    default:
        assert_int_not_equal(kind, 'G');
    }
}

static void listen_up(struct world *world, unsigned i)
{
    struct listening listening = {world, &world->models[i]};
    listen_on(&world->stage->sockets[i], &world->models[i].at, on_item, &listening);
}

/* --- what happens -------------------------------------------------------------------------------------------------------- */

static void on_own_result(struct stage *stage, unsigned i, const struct ring_record *record)
{
    struct world *world = stage->arg;
    struct client *client = &stage->sockets[i].client;
    if (client->magic != CLIENT_MAGIC || client->closing || audience_got_record(&stage->audiences, client))
        return;
    const struct record_outcome *meta = record->meta;
    world->models[i].own[meta->outcome_seq] = 1;
    outbox_own_record(&stage->outbox, client, record->position, record->frame, record->frame_len);
}

static void publish(struct world *world, enum topic_kind_e kind, unsigned slot)
{
    struct stage *stage = world->stage;
    size_t pad = (unsigned)rand() % 400;
    struct published *r = &world->records[world->count++];
    *r = (struct published){ring_writer_next(stage->ring), kind, slot, ++world->reading};
    if (kind == TOPIC_STATE)
        publish_state(stage, slot, r->value, pad);
    else
        r->value =
            publish_number(stage, kind == TOPIC_RESULT ? RECORD_RESULT : RECORD_EVENT, slot, pad,
                           kind == TOPIC_RESULT && rand() % 3 == 0 ? (unsigned)rand() % CLIENTS : NO_ORIGIN);
}

static const char *machine_of(struct world *world, int slot)
{
    return slot < 0 ? NULL : world->stage->machines[slot].info.id;
}

static struct interval *find_interval(struct model *model, enum topic_kind_e kind, int slot)
{
    for (unsigned i = 0; i < model->count; i++)
        if (model->intervals[i].kind == kind && model->intervals[i].slot == slot &&
            model->intervals[i].to == STILL)
            return &model->intervals[i];
    return NULL;
}

static void random_topic(struct world *world, unsigned i, bool add)
{
    struct stage *stage = world->stage;
    struct socket *s = &stage->sockets[i];
    struct model *model = &world->models[i];
    enum topic_kind_e kind = (enum topic_kind_e)(rand() % 3);
    int slot = rand() % (MACHINES + 2) - 2;
    slot = slot < 0 || world->few ? -1 : slot;
    struct interval *have = find_interval(model, kind, slot);
    uint64_t now = stage->outbox.position;
    if (add && have == NULL && model->count < INTERVALS_MAX &&
        add_topic(stage, s, kind, machine_of(world, slot)) == ERR_OK) {
        model->intervals[model->count++] = (struct interval){kind, slot, now, STILL};
        if (kind == TOPIC_STATE) /* of the new topic's machines among others */
            send_snapshot(stage, s, 0, outbox_may_seq(&s->client) ? now : 0);
    } else if (!add && have != NULL && drop_topic(stage, s, kind, machine_of(world, slot)) == ERR_OK) {
        have->to = now;
    }
}

/* --- going and coming back --------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void go(struct world *world, unsigned i)
{
    struct model *model = &world->models[i];
    listen_up(world, i);
    leave(world->stage, &world->stage->sockets[i]);
    unsigned kept = 0;
    for (unsigned n = 0; n < model->count;
         n++) /* what was owed of topics given up is lost with the connection */
        if (model->intervals[n].to == STILL)
            model->intervals[kept++] = model->intervals[n];
    model->count = kept;
    memset(model->own, 0, sizeof model->own);
}

static void resume(struct world *world, unsigned i)
{
    struct stage *stage = world->stage;
    struct model *model = &world->models[i];
    struct socket *s = arrive(stage, i, rand() % 3 ? PLENTY : (unsigned)rand() % 3000);
    uint64_t since = (model->seq + 1) * RECORD_ALIGN;
    model->at = 0;
    if (!model->ever || model->seq == 0 || model->count == 0) {
        memset(model, 0, sizeof *model);
        model->ever = true;
        return;
    }
    for (unsigned n = 0; n < model->count; n++) {
        add_topic(stage, s, model->intervals[n].kind, machine_of(world, model->intervals[n].slot));
        if (model->intervals[n].from > since)
            model->intervals[n].from = since;
    }
    outbox_begin_read(&stage->outbox, &s->client);
    reply(stage, s, "P=1;");
    uint64_t hashes[64], now = stage->outbox.position;
    uint32_t count = audience_kept_hashes(s->client.audience, hashes);
    qsort(hashes, count, sizeof hashes[0], by_value);
    const struct history_filter filter = {hashes, count, DIALECT_CAROUSEL};
    bool found;
    uint64_t number = history_match(&stage->history, history_find(&stage->history, since),
                                    stage->history.head, &filter, &found);
    uint64_t first = found ? history_position(&stage->history, number) : now;
    assert_true(since >= stage->history.known_from);
    send_snapshot(stage, s, since, outbox_may_seq(&s->client) ? first : 0);
    outbox_replay(&stage->outbox, &s->client, &filter, first);
}

static void random_step(struct world *world)
{
    struct stage *stage = world->stage;
    unsigned i = (unsigned)rand() % CLIENTS, slot = (unsigned)rand() % MACHINES;
    struct socket *s = &stage->sockets[i];
    bool here = s->client.magic == CLIENT_MAGIC;
    unsigned what = (unsigned)rand() % 20;
    if (here && s->closed && !world->tight)
        fail_msg("client %u closed with %u", i, s->close_code);
    if (here && rand() % 2)
        outbox_begin_read(&stage->outbox, &s->client); /* its replies wait, whatever happens meanwhile */
    if (here && (s->closed || (what == 0 && rand() % 3 == 0)))
        go(world, i);
    else if (!here && what < 3)
        resume(world, i);
    else if (what == 1 && here)
        random_topic(world, i, true);
    else if (what == 2 && here && rand() % 2)
        random_topic(world, i, false);
    else if (what == 3 && here && s->client.audience != NULL)
        outbox_conflate(&stage->outbox, &s->client, stage->outbox.position, false);
    else if (what == 4 && here)
        reply(stage, s, "P=2;");
    else if (what < 8 && here)
        give_room(stage, s, (unsigned)rand() % 2000);
    else if (what == 8 && here)
        s->room = (unsigned)rand() % 200;
    else if (what == 9 && world->tight)
        stage->audiences.budget.limit_bytes =
            rand() % 3 ? AUDIENCE_BUDGET : stage->audiences.budget.used_bytes;
    else if (what < 12)
        publish(world, rand() % 2 ? TOPIC_RESULT : TOPIC_EVENT, slot);
    else if (what < 14)
        tail_drain(&stage->tail, (unsigned)rand() % 20);
    else if (what == 14)
        outbox_slice(&stage->outbox, NS_PER_S);
    else if (what == 15)
        outbox_tick(&stage->outbox);
    else
        publish(world, TOPIC_STATE, slot);
    if (stage->sockets[i].client.magic == CLIENT_MAGIC)
        listen_up(world, i);
}

static void check_end(struct world *world, unsigned i)
{
    struct stage *stage = world->stage;
    struct model *model = &world->models[i];
    if (stage->sockets[i].closed)
        go(world, i);
    if (model->ever && stage->sockets[i].client.magic != CLIENT_MAGIC)
        resume(world, i);
    if (stage->sockets[i].client.magic != CLIENT_MAGIC)
        return;
    give_room(stage, &stage->sockets[i], PLENTY);
    pump(stage);
    listen_up(world, i);
    assert_null(stage->sockets[i].client.lag);
    assert_int_equal(stage->sockets[i].client.own_bytes, 0);
    for (unsigned n = 0; n < world->count; n++)
        check_record(model, &world->records[n]);
}

static void play_world(struct stage *stage, unsigned seed, bool tight)
{
    struct world *world = calloc(1, sizeof *world);
    world->stage = stage;
    world->tight = tight;
    world->few = seed % 2;
    world->reading = 1;
    stage->on_origin = on_own_result;
    stage->arg = world;
    srand(seed);
    for (unsigned step = 0; step < 4000 && world->count < RECORDS_MAX; step++)
        random_step(world);
    stage->audiences.budget.limit_bytes = AUDIENCE_BUDGET;
    pump(stage);
    for (unsigned i = 0; i < CLIENTS; i++)
        check_end(world, i);
    free(world);
}

/* Each seed has a stage of its own, loose and tight. */
static void everything_promised_was_sent_whatever_happens(void **state)
{
    (void)state;
    const char *given = getenv("NORIA_TEST_SEED"), *runs = getenv("NORIA_TEST_RUNS");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 20261122;
    unsigned last = seed + (runs != NULL ? (unsigned)strtoul(runs, NULL, 10) : 4);
    uint64_t lags = 0, replayed = 0, closed = 0, promotions = 0;
    for (; seed < last; seed++) {
        print_message("seed %u\n", seed);
        for (int tight = 0; tight < 2; tight++) {
            void *stage;
            stage_open(&stage);
            play_world(stage, seed, tight);
            const struct outbox_counts *counts = &((struct stage *)stage)->outbox.counts;
            lags += counts->lags;
            replayed += counts->frames_replayed;
            closed += counts->closed_slow;
            promotions += ((struct stage *)stage)->audiences.promotions;
            stage_close(&stage);
        }
    }
    print_message("%llu lags, %llu frames replayed, %llu clients closed, %llu promotions\n",
                  (unsigned long long)lags, (unsigned long long)replayed, (unsigned long long)closed,
                  (unsigned long long)promotions);
    assert_true(lags > 0 && replayed > 0 && (runs != NULL || (closed > 0 && promotions > 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_promised_was_sent_whatever_happens),
    };
    return cmocka_run_group_tests_name("promise", tests, NULL, NULL);
}
