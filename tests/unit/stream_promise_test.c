/* The promise of streams, as a property: random opens, closes, messages of several senders (also on more streams than a
 * record holds), replies, arrivals and departures, slow sockets, refused memory, limits and lost records, against a model
 * that says who must hear what, in which order. Each hears each message that is for it once, in the ring's order, its
 * replies in between where they were made, and nothing else; or it is closed with 1013 and has heard the beginning of that.
 * Carousel clients beside them are never closed, and end with the last states.
 *
 * NORIA_TEST_SEED=n NORIA_TEST_RUNS=n repeats or extends a run. */
#include "fanout_stage.h"

#define STREAMS      40u
#define SPEAKERS     20u /* the clients behind them look at machines */
#define MESSAGES_MAX 6000u
#define OWED_MAX     12000u

enum mode_e { LOOSE, TIGHT, LOSSY, MODES };

struct message {
    uint64_t position;
    unsigned sender, number;
    bool echo;
    uint64_t streams;
};

/* What a client must hear, in order: a message by its number, a reply by its number with REPLY. */
#define REPLY (1u << 31)

struct model {
    uint64_t streams;
    unsigned owed[OWED_MAX], owed_count, heard;
    size_t at; /* up to where its socket was listened to */
};

struct world {
    struct stage *stage;
    enum mode_e mode;
    bool few; /* streams, so that audiences are large enough for logs of their own */
    struct message messages[MESSAGES_MAX];
    unsigned count, read; /* published; passed by the tail */
    unsigned replies, losses, reading;
    struct model models[SPEAKERS];
    uint64_t expected_closes;
};

/* --- what was heard -------------------------------------------------------------------------------------------------- */

struct listening {
    struct model *model;
    unsigned client;
    enum mode_e mode;
};

static void on_item(void *arg, char kind, unsigned slot, uint64_t value)
{
    struct listening *l = arg;
    struct model *model = l->model;
    (void)slot;
    assert_true(kind == 'M' || kind == 'P');
    unsigned got = (unsigned)value | (kind == 'P' ? REPLY : 0);
    if (model->heard == model->owed_count || model->owed[model->heard] != got)
        fail_msg("mode %u: client %u heard %c%u, owed is %u (%u of %u)", (unsigned)l->mode, l->client, kind,
                 (unsigned)value, model->heard < model->owed_count ? model->owed[model->heard] : 0,
                 model->heard, model->owed_count);
    model->heard++;
}

static void listen_up(struct world *world, unsigned i)
{
    struct listening listening = {&world->models[i], i, world->mode};
    listen_on(&world->stage->sockets[i], &world->models[i].at, on_item, &listening);
}

/* --- what is owed ---------------------------------------------------------------------------------------------------- */

static void owe(struct model *model, unsigned what)
{
    assert_true(model->owed_count < OWED_MAX);
    model->owed[model->owed_count++] = what;
}

static bool is_open(const struct world *world, unsigned i)
{
    const struct socket *s = &world->stage->sockets[i];
    return s->client.magic == CLIENT_MAGIC && !s->closed;
}

/* The tail has read on: what it passed goes to whoever has opened one of its streams now. */
static void note_read(struct world *world)
{
    struct stage *stage = world->stage;
    if (stage->losses > world->losses) { /* nobody who has streams is left; what was lost is owed to nobody */
        for (unsigned i = 0; i < SPEAKERS; i++)
            if (world->models[i].streams != 0 && stage->sockets[i].client.magic == CLIENT_MAGIC)
                assert_true(stage->sockets[i].closed);
        world->losses = stage->losses;
    }
    for (; world->read < world->count && world->messages[world->read].position < stage->outbox.position;
         world->read++) {
        const struct message *m = &world->messages[world->read];
        for (unsigned i = 0; i < SPEAKERS; i++)
            if (is_open(world, i) && (world->models[i].streams & m->streams) != 0 &&
                (m->echo || m->sender != i))
                owe(&world->models[i], m->number);
    }
}

static void drain(struct world *world, unsigned budget)
{
    if (!audiences_pressed(&world->stage->audiences))
        tail_drain(&world->stage->tail, budget);
    note_read(world);
}

static void pump_all(struct world *world)
{
    bool more = true;
    while (more) {
        more = audiences_pressed(&world->stage->audiences) || tail_drain(&world->stage->tail, 1000);
        note_read(world);
        more |= outbox_slice(&world->stage->outbox, NS_PER_S);
    }
    end_read(world->stage);
}

/* --- what happens ---------------------------------------------------------------------------------------------------- */

static void go(struct world *world, unsigned i)
{
    struct socket *s = &world->stage->sockets[i];
    listen_up(world, i);
    if (s->closed) {
        assert_int_equal(s->close_code, 1013);
        assert_int_not_equal(world->mode, LOOSE);
    }
    leave(world->stage, s);
    world->models[i] = (struct model){0};
}

static void come(struct world *world, unsigned i)
{
    arrive(world->stage, i, rand() % 3 ? PLENTY : (unsigned)rand() % 3000);
}

static void open_some(struct world *world, unsigned i)
{
    unsigned many = !world->few && rand() % 3 == 0 ? 20 : 1;
    for (unsigned n = 0; n < many; n++) {
        unsigned stream = (unsigned)rand() % (world->few ? 2 : STREAMS);
        if (open_stream(world->stage, &world->stage->sockets[i], stream) == ERR_OK)
            world->models[i].streams |= 1ULL << stream;
    }
}

static void close_all(struct world *world, unsigned i)
{
    if (close_streams(world->stage, &world->stage->sockets[i]) == ERR_OK)
        world->models[i].streams = 0;
}

static void say_something(struct world *world, unsigned i)
{
    struct message *m = &world->messages[world->count];
    unsigned streams[STREAMS], count = 0;
    bool elsewhere = rand() % 4 == 0;
    *m = (struct message){ring_writer_next(world->stage->ring), i, 0, rand() % 5 == 0,
                          world->models[i].streams};
    for (unsigned n = 0; elsewhere && n < STREAMS; n++)
        m->streams |= (uint64_t)(rand() % 12 == 0) << n;
    if (elsewhere)
        m->sender = NO_SENDER;
    for (unsigned n = 0; n < STREAMS; n++)
        if (m->streams >> n & 1)
            streams[count++] = n;
    if (count == 0)
        return;
    size_t pad = rand() % 100 == 0 ? (unsigned)rand() % 20000 : (unsigned)rand() % 300;
    m->number = publish_message(world->stage, m->sender, m->echo, streams, count, pad);
    world->count++;
}

static void say_reply(struct world *world, unsigned i)
{
    char text[32];
    snprintf(text, sizeof text, "P=%u;", ++world->replies);
    owe(&world->models[i], world->replies | REPLY);
    if (rand() % 2)
        outbox_begin_read(&world->stage->outbox, &world->stage->sockets[i].client);
    reply(world->stage, &world->stage->sockets[i], text);
}

/* Behind by more than this the tail might be lapped. */
static void keep_up(struct world *world)
{
    struct stage *stage = world->stage;
    if (ring_writer_next(stage->ring) - stage->outbox.position > 500000)
        pump_all(world);
}

/* More than the ring holds, while this worker stands still. */
static void flood(struct world *world)
{
    const unsigned streams[] = {0, 1};
    for (unsigned n = 0; n < 120 && world->count < MESSAGES_MAX; n++) {
        struct message *m = &world->messages[world->count++];
        *m = (struct message){ring_writer_next(world->stage->ring), NO_SENDER, 0, false, 3};
        m->number = publish_message(world->stage, NO_SENDER, false, streams, 2, 10000);
    }
    drain(world, 1);
}

static void random_limits(struct world *world)
{
    struct stage *stage = world->stage;
    struct framelog_budget *budget = rand() % 2 ? &stage->audiences.budget : &stage->audiences.main_budget;
    if (world->mode != TIGHT)
        return;
    stage->audiences.budget.limit_bytes = AUDIENCE_BUDGET;
    stage->audiences.main_budget.limit_bytes = AUDIENCE_MAIN_LOG;
    if (rand() % 4 == 0)
        budget->limit_bytes = budget->used_bytes;
    clock_manual_advance_ns(&stage->clock, NS_PER_S);
    outbox_tick(&stage->outbox);
}

static void somebody_acts(struct world *world, unsigned i, unsigned what)
{
    struct stage *stage = world->stage;
    struct socket *s = &stage->sockets[i];
    if (what < 2)
        open_some(world, i);
    else if (what == 2 && rand() % 4 == 0)
        close_all(world, i);
    else if (what == 3)
        say_reply(world, i);
    else if (what < 6)
        give_room(stage, s, (unsigned)rand() % 4000);
    else if (what == 6 && rand() % 3 == 0)
        s->room = (unsigned)rand() % 200;
    else if (what > 7)
        say_something(world, i);
}

static void random_step(struct world *world)
{
    struct stage *stage = world->stage;
    unsigned i = (unsigned)rand() % SPEAKERS, what = (unsigned)rand() % 24;
    bool here = stage->sockets[i].client.magic == CLIENT_MAGIC;
    keep_up(world);
    if (here && (stage->sockets[i].closed || (what == 0 && rand() % 4 == 0)))
        go(world, i);
    else if (!here)
        come(world, i);
    else if (what < 16)
        somebody_acts(world, i, what);
    else if (what < 19)
        drain(world, (unsigned)rand() % 30);
    else if (what < 21)
        outbox_slice(&stage->outbox, NS_PER_S);
    else if (what == 21 && world->mode == LOSSY && rand() % 60 == 0)
        flood(world);
    else if (what == 21)
        random_limits(world);
    else
        publish_state(stage, (unsigned)rand() % MACHINES, ++world->reading, (unsigned)rand() % 300);
    if (stage->sockets[i].client.magic == CLIENT_MAGIC)
        listen_up(world, i);
}

/* --- the end --------------------------------------------------------------------------------------------------------- */

static void check_speaker(struct world *world, unsigned i)
{
    struct stage *stage = world->stage;
    struct socket *s = &stage->sockets[i];
    if (s->client.magic != CLIENT_MAGIC)
        return;
    if (!s->closed)
        give_room(stage, s, PLENTY);
    pump_all(world);
    if (s->closed) {
        go(world, i);
        return;
    }
    listen_up(world, i);
    assert_int_equal(world->models[i].heard, world->models[i].owed_count);
    assert_int_equal(s->client.own_bytes, 0);
}

static void check_looker(struct world *world, unsigned i)
{
    struct stage *stage = world->stage;
    give_room(stage, &stage->sockets[i], PLENTY);
    pump_all(world);
    assert_false(stage->sockets[i].closed);
    struct heard heard = listen_to(&stage->sockets[i]);
    for (unsigned m = 0; m < MACHINES; m++)
        assert_int_equal(heard.state[m], stage->machines[m].state.read_wall_ms);
}

static void play_world(struct stage *stage, unsigned seed, enum mode_e mode)
{
    struct world *world = calloc(1, sizeof *world);
    world->stage = stage;
    world->mode = mode;
    world->few = seed % 2;
    world->reading = 1;
    if (mode == TIGHT) {
        stage->audiences.hard_bytes = stage->outbox.limits.hard_bytes = 64 * 1024;
        stage->outbox.limits.soft_bytes = 8 * 1024;
    } else {
        stage->audiences.hard_bytes = stage->outbox.limits.hard_bytes = 4u << 20;
    }
    srand(seed);
    for (unsigned i = SPEAKERS; i < CLIENTS; i++)
        subscribe(stage, arrive(stage, i, PLENTY), TOPIC_STATE, NULL);
    for (unsigned step = 0; step < 9000 && world->count < MESSAGES_MAX; step++)
        random_step(world);
    stage->audiences.budget.limit_bytes = AUDIENCE_BUDGET;
    stage->audiences.main_budget.limit_bytes = AUDIENCE_MAIN_LOG;
    pump_all(world);
    for (unsigned i = 0; i < SPEAKERS; i++)
        check_speaker(world, i);
    for (unsigned i = SPEAKERS; i < CLIENTS; i++)
        check_looker(world, i);
    assert_int_equal(world->read, world->count);
    free(world);
}

static void each_hears_what_is_for_it_whatever_happens(void **state)
{
    (void)state;
    const char *given = getenv("NORIA_TEST_SEED"), *runs = getenv("NORIA_TEST_RUNS");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 20261122;
    unsigned last = seed + (runs != NULL ? (unsigned)strtoul(runs, NULL, 10) : 4);
    uint64_t memory = 0, hard = 0, soft = 0, lost = 0, promotions = 0, parts = 0;
    for (; seed < last; seed++) {
        print_message("seed %u\n", seed);
        for (unsigned mode = 0; mode < MODES; mode++) {
            void *stage;
            stage_open(&stage);
            play_world(stage, seed, (enum mode_e)mode);
            const struct stage *played = stage;
            memory += played->outbox.counts.closed_memory;
            hard += played->outbox.counts.closed_hard;
            soft += played->outbox.counts.closed_soft;
            lost += played->outbox.counts.closed_lost;
            promotions += played->audiences.promotions;
            parts += played->tail.counts.parts;
            stage_close(&stage);
        }
    }
    print_message(
        "closed: %llu memory, %llu hard, %llu soft, %llu lost; %llu promotions, %llu further parts\n",
        (unsigned long long)memory, (unsigned long long)hard, (unsigned long long)soft,
        (unsigned long long)lost, (unsigned long long)promotions, (unsigned long long)parts);
    if (runs == NULL)
        assert_true(memory > 0 && hard > 0 && soft > 0 && lost > 0 && promotions > 0 && parts > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hears_what_is_for_it_whatever_happens),
    };
    return cmocka_run_group_tests_name("stream_promise", tests, NULL, NULL);
}
