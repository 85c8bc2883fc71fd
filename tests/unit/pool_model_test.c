/* A random walk over everything at once: clients that come, speak, leave; processes that take, reply, hold back, stand still, speak
 * unasked, break the protocol, die at any step and come back; pauses of publishing; time. Seeded, on a manual clock, in one thread, so that a
 * seed tells the same story each time: `pool_model_test SEED COUNT` for others than CI's.
 *
 * What has to hold, over all processes: a message has one answer, or none if its client went first; no process reads it twice, and
 * those of a connection are read in order, at a process that has it; a connection has one OPEN that is not resumed and TAKEN, and
 * then one CLOSED that is; else none. */
#include "pool_stage.h"

#include "hash.h"

enum { VISITORS = 24, CONNS_MAX = 4096, TOKENS_MAX = 16384, HELD_MAX = 256, STEPS = 2500 };

struct story { /* of a connection, as its handler tells it */
    unsigned connects, resumes, disconnects;
    uint64_t last_seen;
    bool at[STAGE_PROCESSES];
};

struct letter { /* a message */
    unsigned sent, seen, replied, answered;
    bool gone; /* its client */
    uint64_t conn;
};

struct mind { /* of a process */
    bool still, welcomed;
    struct {
        uint64_t event, token;
    } held[HELD_MAX];
    unsigned held_count;
    bool unread; /* actor.message was read and could not be answered yet */
};

struct world {
    uint64_t random, last_token;
    struct visitor visitors[VISITORS];
    struct story stories[CONNS_MAX];
    struct letter letters[TOKENS_MAX];
    struct mind minds[STAGE_PROCESSES];
    unsigned deaths, breaches;
};

static struct world *world;

static uint64_t roll(uint64_t sides)
{
    world->random = hash_u64(world->random + 1);
    return (world->random >> 16) % sides;
}

/* --- processes ----------------------------------------------------------------------------------------------------------------- */

/* All of it or nothing, as the kernel takes small pieces. */
static bool says(struct actor *actor, const struct handler_message *message)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    assert_int_equal(handler_encode(message, &out), ERR_OK);
    ssize_t put = send(actor->fd, out.data, out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_true(put < 0 || put == (ssize_t)out.size);
    msgpack_sbuffer_destroy(&out);
    return put > 0;
}

static void process_dies(unsigned k)
{
    struct mind *mind = &world->minds[k];
    if (stage->actors[k].fd >= 0)
        actor_die(&stage->actors[k]);
    *mind = (struct mind){0};
    for (unsigned i = 0; i < CONNS_MAX; i++)
        world->stories[i].at[k] = false;
    world->deaths++;
}

static bool takes(struct actor *actor)
{
    return says(actor, &(struct handler_message){.type = HANDLER_TAKEN, .event = actor->message.event});
}

static bool hears_open(unsigned k, struct actor *actor)
{
    struct story *story = &world->stories[actor->message.conn];
    assert_int_equal(story->disconnects, 0);
    assert_int_equal(story->connects, actor->message.resumed ? 1 : 0);
    for (unsigned other = 0; other < STAGE_PROCESSES; other++)
        assert_false(story->at[other]);
    if (!takes(actor))
        return false;
    *(actor->message.resumed ? &story->resumes : &story->connects) += 1;
    story->at[k] = true;
    return true;
}

static bool hears_closed(unsigned k, struct actor *actor)
{
    struct story *story = &world->stories[actor->message.conn];
    assert_true(story->at[k]);
    assert_int_equal(story->disconnects, 0);
    if (!takes(actor))
        return false;
    story->at[k] = false;
    story->disconnects++;
    return true;
}

static bool hears_message(unsigned k, const struct actor *actor)
{
    struct mind *mind = &world->minds[k];
    struct story *story = &world->stories[actor->message.conn];
    uint64_t token = actor->message.body.via.u64;
    struct letter *letter = &world->letters[token];
    assert_true(story->at[k]);
    assert_int_equal(letter->conn, actor->message.conn);
    assert_int_equal(letter->seen, 0);
    assert_true(token > story->last_seen);
    assert_true(mind->held_count < HELD_MAX);
    letter->seen++;
    story->last_seen = token;
    mind->held[mind->held_count].event = actor->message.event;
    mind->held[mind->held_count++].token = token;
    return true;
}

static void process_hears(unsigned k)
{
    struct actor *actor = &stage->actors[k];
    struct mind *mind = &world->minds[k];
    if (!mind->unread && !actor_take(actor))
        return;
    bool heard = true;
    if (actor->message.type == HANDLER_OPEN)
        heard = hears_open(k, actor);
    else if (actor->message.type == HANDLER_CLOSED)
        heard = hears_closed(k, actor);
    else if (actor->message.type == HANDLER_MESSAGE)
        heard = hears_message(k, actor);
    else
        heard = says(actor, &(struct handler_message){.type = HANDLER_WELCOME, .version = HANDLER_VERSION});
    mind->unread = !heard;
    mind->welcomed = mind->welcomed || heard;
}

static void process_replies(unsigned k)
{
    struct mind *mind = &world->minds[k];
    if (mind->held_count == 0)
        return;
    unsigned which = (unsigned)roll(mind->held_count);
    uint64_t token = mind->held[which].token;
    struct handler_message reply = {.type = HANDLER_REPLY,
                                    .event = mind->held[which].event,
                                    .status = 200,
                                    .body = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = token}};
    if (!says(&stage->actors[k], &reply))
        return;
    world->letters[token].replied++;
    mind->held[which] = mind->held[--mind->held_count];
}

static void process_speaks(unsigned k)
{
    struct handler_message word = {
        .type = HANDLER_SEND, .conn = roll(world->minds[k].held_count + 60), .status = 200};
    switch (roll(4)) {
    case 0:
        word.type = HANDLER_PUBLISH;
        word.path = handler_text("/chat");
        break;
    case 1:
        word.type = HANDLER_CLOSE;
        word.code = 4000;
        break;
    default:
        break;
    }
    says(&stage->actors[k], &word);
}

/* It is left, and lives: what had arrived it takes, and then it sees the end, which ends all its connections. */
static void process_breaks_the_protocol(unsigned k)
{
    struct actor *actor = &stage->actors[k];
    struct mind *mind = &world->minds[k];
    if (!mind->welcomed || mind->held_count > HELD_MAX / 2 ||
        !says(actor, &(struct handler_message){.type = HANDLER_TAKEN, .event = UINT64_MAX}))
        return;
    while (mind->unread || actor_take(actor)) {
        struct story *story = &world->stories[actor->message.conn];
        mind->unread = false;
        if (actor->message.type == HANDLER_MESSAGE)
            hears_message(k, actor);
        story->at[k] = story->at[k] || actor->message.type == HANDLER_OPEN;
    }
    for (unsigned i = 0; i < CONNS_MAX; i++)
        if (world->stories[i].at[k])
            world->stories[i] = (struct story){.last_seen = world->stories[i].last_seen};
    process_dies(k);
    world->breaches++;
}

static void process_step(unsigned k)
{
    struct actor *actor = &stage->actors[k];
    struct mind *mind = &world->minds[k];
    uint64_t what = roll(1000);
    if (what < (mind->still ? 20 : 3))
        mind->still = !mind->still;
    if (actor->fd < 0) {
        if (what < 500)
            actor_accept(actor);
    } else if (what < 6) {
        process_dies(k);
    } else if (what < 7) {
        process_breaks_the_protocol(k);
    } else if (!mind->still && what < 650) {
        process_hears(k);
    } else if (!mind->still && what < 950) {
        process_replies(k);
    } else if (!mind->still && mind->welcomed) {
        process_speaks(k);
    }
}

/* --- clients --------------------------------------------------------------------------------------------------------------------- */

static void answer_is_heard(struct visitor *visitor, uint64_t token, const struct pool_answer *answer)
{
    struct letter *letter = &world->letters[token];
    assert_int_equal(letter->conn, visitor->conn->id);
    assert_int_equal(letter->sent, 1);
    assert_int_equal(letter->answered, 0);
    assert_false(letter->gone);
    letter->answered++;
    if (answer->outcome == POOL_REPLY) {
        assert_int_equal(letter->replied, 1);
        assert_int_equal(answer->body->via.u64, token);
    }
}

static void letters_are_nobodys(struct visitor *visitor)
{
    uint64_t conn = visitor->conn->id;
    for (uint64_t token = 1; token <= world->last_token; token++)
        if (world->letters[token].conn == conn)
            world->letters[token].gone = true;
}

static void visitor_step(void)
{
    struct visitor *visitor = &world->visitors[roll(VISITORS)];
    uint64_t what = roll(100);
    if (visitor->conn == NULL) {
        if (what < 40 && stage->pool->last_conn + 1 < CONNS_MAX) {
            *visitor = (struct visitor){.close_when_answered = roll(40) == 0};
            visitor_open(visitor, roll(2));
        }
    } else if (what < 12) {
        visitor_close(visitor);
    } else if (what < 80 && world->last_token + 1 < TOKENS_MAX) {
        uint64_t token = ++world->last_token;
        world->letters[token] = (struct letter){.sent = 1, .conn = visitor->conn->id};
        if (visitor_send(visitor, token) != ERR_OK)
            world->letters[token] = (struct letter){0};
    }
}

/* --- the walk ---------------------------------------------------------------------------------------------------------------------- */

static void step(void)
{
    for (unsigned i = 0; i < 3; i++)
        visitor_step();
    for (unsigned i = 0; i < 16; i++)
        process_step((unsigned)roll(STAGE_PROCESSES));
    if (roll(100) == 0)
        stage->may_publish = !stage->may_publish;
    if (roll(4) == 0)
        stage_pass(roll(20) == 0 ? 1200 : roll(40));
    stage_turn((unsigned)roll(3));
}

static bool quiet(void)
{
    return counts()->conns == 0 && counts()->links == STAGE_PROCESSES;
}

static void come_to_rest(void)
{
    stage->may_publish = true;
    for (unsigned i = 0; i < VISITORS; i++)
        if (world->visitors[i].conn != NULL)
            visitor_close(&world->visitors[i]);
    for (unsigned rounds = 0; rounds < 40000 && !quiet(); rounds++) {
        for (unsigned k = 0; k < STAGE_PROCESSES; k++) {
            if (stage->actors[k].fd >= 0 && actor_is_left(&stage->actors[k]))
                process_dies(k);
            if (stage->actors[k].fd < 0)
                actor_accept(&stage->actors[k]);
            if (stage->actors[k].fd >= 0) {
                process_hears(k);
                process_replies(k);
            }
        }
        if (rounds % 8 == 0)
            stage_pass(100);
        stage_turn(1);
    }
    assert_true(quiet());
}

static void check(uint64_t seed)
{
    unsigned answered = 0, connected = 0;
    for (uint64_t id = 0; id <= stage->pool->last_conn; id++) {
        const struct story *story = &world->stories[id];
        assert_true(story->connects <= 1);
        assert_int_equal(story->disconnects, story->connects);
        connected += story->connects;
    }
    for (uint64_t token = 1; token <= world->last_token; token++) {
        const struct letter *letter = &world->letters[token];
        assert_true(letter->answered == letter->sent || letter->gone);
        answered += letter->answered;
    }
    const struct pool_counts *c = counts();
    assert_int_equal(answered, c->replies + c->failed + c->timeouts + c->unavailable);
    assert_int_equal(c->waiting, 0);
    assert_int_equal(c->waiting_bytes, 0);
    print_message("seed %u: %u connections (%u connected, %u resumed), %u messages (%u replied, %u failed, "
                  "%u in time out), %u deaths, "
                  "%u breaches\n",
                  (unsigned)seed, (unsigned)stage->pool->last_conn, connected, (unsigned)c->resumed,
                  (unsigned)c->messages, (unsigned)c->replies, (unsigned)c->failed,
                  (unsigned)(c->timeouts + c->unavailable), world->deaths, world->breaches);
}

static void walk(uint64_t seed)
{
    void *state = NULL;
    assert_int_equal(stage_setup(&state), 0);
    world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->random = seed;
    stage->heard = answer_is_heard;
    stage->leaves = letters_are_nobodys;
    stage->pool->handlers[0].stuck_ns = UINT64_MAX; /* nobody lives on who was left */
    for (uint32_t k = 0; k < STAGE_PROCESSES; k++) {
        char path[CONF_PATH_MAX];
        conf_handler_socket(&stage->conf, &stage->handlers[0], k, path);
        actor_listen(&stage->actors[k], path);
    }
    for (unsigned i = 0; i < STEPS; i++)
        step();
    come_to_rest();
    check(seed);
    free(world);
    assert_int_equal(stage_teardown(&state), 0);
}

static uint64_t first_seed = 1, seeds = 12;

static void walks(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++)
        walk(seed);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        seeds = strtoull(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(walks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
