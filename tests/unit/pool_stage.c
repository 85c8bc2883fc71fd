#include "pool_stage.h"

#include <sys/stat.h>
#include <sys/un.h>

struct stage *stage;

/* --- events -------------------------------------------------------------------------------------------------------------------- */

static uint64_t number_of(const msgpack_object *body)
{
    return body != NULL && body->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? body->via.u64 : 0;
}

static void on_answered(void *owner, uint64_t token, const struct pool_answer *answer)
{
    struct visitor *visitor = owner;
    assert_non_null(visitor->conn);
    visitor->tokens[visitor->answers++ % ARRAY_LEN(visitor->tokens)] = token;
    visitor->last = (struct pool_answer){answer->outcome, answer->status, NULL};
    visitor->last_value = number_of(answer->body);
    if (stage->heard != NULL)
        stage->heard(visitor, token, answer);
    if (visitor->again > 0) {
        visitor->again--;
        assert_int_equal(visitor_send(visitor, token + 1000), ERR_OK);
    }
    if (visitor->close_when_answered)
        visitor_close(visitor);
}

static void on_send(void *owner, uint64_t status, const msgpack_object *body)
{
    struct visitor *visitor = owner;
    visitor->sends++;
    visitor->last.status = status;
    visitor->last_value = number_of(body);
}

static void keep_text(struct visitor *visitor, struct handler_text text)
{
    snprintf(visitor->text, sizeof visitor->text, "%.*s", (int)text.len, text.at);
}

static void on_subscribe(void *owner, struct handler_text topic, bool subscribe)
{
    struct visitor *visitor = owner;
    *(subscribe ? &visitor->subscribes : &visitor->unsubscribes) += 1;
    keep_text(visitor, topic);
}

static void on_close(void *owner, unsigned code, struct handler_text reason)
{
    struct visitor *visitor = owner;
    visitor->closes++;
    visitor->close_code = code;
    keep_text(visitor, reason);
    visitor_close(visitor);
}

static enum err_e on_publish(void *arg, size_t handler, struct handler_text path, struct handler_text topic,
                             uint64_t status, const msgpack_object *body, void *except)
{
    struct stage *s = arg;
    assert_true(s->may_publish);
    assert_int_equal(status, 200);
    s->publishes++;
    s->published_value = number_of(body);
    s->published_except = except;
    snprintf(s->published_to, sizeof s->published_to, "%zu %.*s %.*s", handler, (int)path.len, path.at,
             (int)topic.len, topic.at);
    return s->publish_result;
}

static bool on_may_publish(void *arg)
{
    return ((struct stage *)arg)->may_publish;
}

static void on_drained(void *arg, size_t handler)
{
    assert_true(handler < 2);
    ((struct stage *)arg)->drained++;
}

static const struct pool_events events = {.answered = on_answered,
                                          .send = on_send,
                                          .subscribe = on_subscribe,
                                          .close = on_close,
                                          .publish = on_publish,
                                          .may_publish = on_may_publish,
                                          .drained = on_drained};

/* --- the stage ------------------------------------------------------------------------------------------------------------------ */

static void make_conf(struct stage *s)
{
    static const char *const command[] = {"noria-chat", NULL};
    snprintf(s->out_path, sizeof s->out_path, "%s/out.sock", s->dir);
    s->handlers[0] = (struct conf_handler){.name = "chat",
                                           .command = command,
                                           .command_count = 1,
                                           .socket = "",
                                           .processes = STAGE_PROCESSES,
                                           .deadline_ms = STAGE_DEADLINE_MS,
                                           .stuck_ms = STAGE_STUCK_MS};
    s->handlers[1] = (struct conf_handler){.name = "out",
                                           .socket = s->out_path,
                                           .processes = 1,
                                           .deadline_ms = STAGE_DEADLINE_MS,
                                           .stuck_ms = STAGE_STUCK_MS};
    s->endpoints[0] = (struct conf_endpoint){
        .path = "/chat", .handler_name = "chat", .handler = 0, .schema = "/x.json", .reply_schema = ""};
    s->endpoints[1] = (struct conf_endpoint){
        .path = "/chat-raw", .handler_name = "chat", .handler = 0, .schema = "", .reply_schema = ""};
    s->endpoints[2] = (struct conf_endpoint){
        .path = "/out", .handler_name = "out", .handler = 1, .schema = "", .reply_schema = ""};
    s->conf = (struct conf){.runtime_dir = s->dir,
                            .handlers = s->handlers,
                            .handler_count = 2,
                            .endpoints = s->endpoints,
                            .endpoint_count = 3};
}

static void chat_path(const struct stage *s, uint32_t k, char path[CONF_PATH_MAX])
{
    conf_handler_socket(&s->conf, &s->handlers[0], k, path);
}

int stage_setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    *state = stage = s;
    snprintf(s->dir, sizeof s->dir, "/tmp/pool-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    char path[CONF_PATH_MAX];
    snprintf(path, sizeof path, "%s/handlers", s->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    make_conf(s);
    clock_manual_init(&s->clock, 1000 * NS_PER_S, 0);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    for (uint32_t k = 0; k < STAGE_PROCESSES; k++)
        s->actors[k].fd = s->actors[k].listen_fd = -1;
    s->out.fd = s->out.listen_fd = -1;
    s->may_publish = true;
    struct pool_config config = {.loop = &s->loop,
                                 .clock = &s->clock.clock,
                                 .conf = &s->conf,
                                 .worker = "worker.0",
                                 .max_answer_bytes = STAGE_ANSWER_MAX,
                                 .events = &events,
                                 .arg = s,
                                 .seed = 7};
    assert_int_equal(pool_new(&config, &s->pool), ERR_OK);
    return 0;
}

static void actor_fini(struct actor *actor, const char *path)
{
    if (actor->fd >= 0)
        actor_die(actor);
    actor_deaf(actor);
    free(actor->bytes);
    if (actor->zone.chunk_size > 0)
        msgpack_zone_destroy(&actor->zone);
    unlink(path);
}

/* Of a test that failed: how many it left. */
static unsigned close_conns(struct pool *pool)
{
    unsigned closed = 0;
    for (size_t i = 0; i < pool->conns.capacity; i++) {
        struct pool_conn *conn = pool->conns.entries[i].value;
        if (pool->conns.entries[i].key == 0 || conn->gone)
            continue;
        pool_close(conn);
        closed++;
        i = (size_t)-1; /* entries move when one is removed */
    }
    return closed;
}

int stage_teardown(void **state)
{
    struct stage *s = *state;
    unsigned left = close_conns(s->pool);
    struct pool_counts c = *counts();
    pool_free(&s->pool);
    while (uv_run(&s->loop, UV_RUN_NOWAIT) != 0)
        ;
    assert_int_equal(uv_loop_close(&s->loop), 0);
    char path[CONF_PATH_MAX];
    for (uint32_t k = 0; k < STAGE_PROCESSES; k++) {
        chat_path(s, k, path);
        actor_fini(&s->actors[k], path);
    }
    actor_fini(&s->out, s->out_path);
    snprintf(path, sizeof path, "%s/handlers", s->dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(s->dir), 0);
    free(s);
    stage = NULL;
    assert_int_equal(left, 0);
    assert_int_equal(c.messages, c.replies + c.failed + c.timeouts + c.unavailable + c.abandoned);
    return 0;
}

void stage_turn(unsigned turns)
{
    while (turns-- > 0)
        uv_run(&stage->loop, UV_RUN_NOWAIT);
}

void stage_pass(uint64_t ms)
{
    clock_manual_advance_ns(&stage->clock, ms * NS_PER_MS);
    pool_tick(stage->pool);
}

void stage_pass_slowly(uint64_t ms)
{
    for (uint64_t step; ms > 0; ms -= step) {
        step = ms < 500 ? ms : 500;
        stage_pass(step);
        stage_turn(4);
    }
}

/* --- actors ------------------------------------------------------------------------------------------------------------------- */

void actor_listen(struct actor *actor, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    actor->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(actor->listen_fd >= 0);
    assert_int_equal(bind(actor->listen_fd, (void *)&address, sizeof address), 0);
    assert_int_equal(listen(actor->listen_fd, 16), 0);
}

void actor_deaf(struct actor *actor)
{
    if (actor->listen_fd >= 0)
        close(actor->listen_fd);
    actor->listen_fd = -1;
}

bool actor_accept(struct actor *actor)
{
    assert_int_equal(actor->fd, -1);
    actor->fd = accept4(actor->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    actor->len = actor->at = 0;
    if (actor->fd >= 0)
        fcntl(actor->fd, F_SETFL, O_NONBLOCK);
    return actor->fd >= 0;
}

static bool decode_next(struct actor *actor)
{
    size_t len;
    if (handler_frame(actor->bytes + actor->at, actor->len - actor->at, &len) != ERR_OK)
        return false;
    if (actor->zone.chunk_size == 0)
        assert_true(msgpack_zone_init(&actor->zone, 4096));
    msgpack_zone_clear(&actor->zone);
    assert_int_equal(handler_decode(actor->bytes + actor->at + 4, len, &actor->zone, &actor->message),
                     ERR_OK);
    actor->at += 4 + len;
    return true;
}

bool actor_take(struct actor *actor)
{
    if (actor->len > actor->at && decode_next(actor))
        return true;
    if (actor->at > 0) {
        actor->len -= actor->at;
        memmove(actor->bytes, actor->bytes + actor->at, actor->len);
        actor->at = 0;
    }
    if (actor->cap - actor->len < 65536) {
        actor->cap += 1 << 20;
        actor->bytes = realloc(actor->bytes, actor->cap);
        assert_non_null(actor->bytes);
    }
    ssize_t got = read(actor->fd, actor->bytes + actor->len, actor->cap - actor->len);
    if (got <= 0)
        return false;
    actor->len += (size_t)got;
    return decode_next(actor);
}

void actor_say_bytes(struct actor *actor, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t put = send(actor->fd, (const char *)bytes + at, len - at, MSG_NOSIGNAL);
        if (put > 0)
            at += (size_t)put;
        else
            stage_turn(1);
    }
}

void actor_say(struct actor *actor, const struct handler_message *message)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    assert_int_equal(handler_encode(message, &out), ERR_OK);
    actor_say_bytes(actor, out.data, out.size);
    msgpack_sbuffer_destroy(&out);
}

void actor_die(struct actor *actor)
{
    close(actor->fd);
    actor->fd = -1;
}

bool actor_is_left(struct actor *actor)
{
    struct pollfd look = {.fd = actor->fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1 && (look.revents & POLLHUP) != 0;
}

static const char *path_of(const struct actor *actor, char path[CONF_PATH_MAX])
{
    if (actor == &stage->out)
        return stage->out_path;
    chat_path(stage, (uint32_t)(actor - stage->actors), path);
    return path;
}

void actor_wait(struct actor *actor, enum handler_message_e type)
{
    stage_until(actor_take(actor));
    if (actor->message.type != type)
        print_error("%s, not %s\n", handler_message_name(actor->message.type), handler_message_name(type));
    assert_int_equal(actor->message.type, type);
}

void actor_greet(struct actor *actor)
{
    char path[CONF_PATH_MAX];
    uint64_t links = counts()->links;
    if (actor->listen_fd < 0) {
        unlink(path_of(actor, path));
        actor_listen(actor, path_of(actor, path));
    }
    for (unsigned i = 0; i < 200 && !actor_accept(actor); i++) {
        stage_pass(100);
        stage_turn(2);
    }
    assert_true(actor->fd >= 0);
    actor_wait(actor, HANDLER_HELLO);
    actor_say(actor, &(struct handler_message){.type = HANDLER_WELCOME,
                                               .version = HANDLER_VERSION,
                                               .program = handler_text("actor")});
    stage_until(counts()->links == links + 1);
}

void actor_quiet(struct actor *actor)
{
    for (unsigned i = 0; i < 8; i++) {
        stage_turn(1);
        assert_false(actor_take(actor));
    }
}

void actor_taken(struct actor *actor)
{
    actor_say(actor, &(struct handler_message){.type = HANDLER_TAKEN, .event = actor->message.event});
}

static msgpack_object number(uint64_t value)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = value};
}

void actor_reply(struct actor *actor, uint64_t event, uint64_t value)
{
    actor_say(actor, &(struct handler_message){
                         .type = HANDLER_REPLY, .event = event, .status = 200, .body = number(value)});
}

void actor_open(struct actor *actor, bool resumed)
{
    actor_wait(actor, HANDLER_OPEN);
    assert_int_equal(actor->message.resumed, resumed);
    actor_taken(actor);
}

void actor_close(struct actor *actor)
{
    actor_wait(actor, HANDLER_CLOSED);
    actor_taken(actor);
}

uint64_t actor_message(struct actor *actor, uint64_t value)
{
    actor_wait(actor, HANDLER_MESSAGE);
    assert_int_equal(actor->message.body.via.u64, value);
    return actor->message.event;
}

static bool has_something(const struct actor *actor)
{
    struct pollfd look = {.fd = actor->fd, .events = POLLIN};
    return actor->fd >= 0 && (actor->len > actor->at || poll(&look, 1, 0) == 1);
}

static struct actor *who_has_something(void)
{
    for (uint32_t k = 0; k < STAGE_PROCESSES; k++)
        if (has_something(&stage->actors[k]))
            return &stage->actors[k];
    return NULL;
}

struct actor *actor_any(void)
{
    struct actor *found = NULL;
    stage_until((found = who_has_something()) != NULL);
    return found;
}

/* --- clients ------------------------------------------------------------------------------------------------------------------ */

void visitor_open(struct visitor *visitor, size_t endpoint)
{
    struct pool_client client = {
        .endpoint = endpoint, .query = "a=b", .principal = "ana", .peer = "127.0.0.1:4"};
    visitor->conn = pool_open(stage->pool, &client, visitor);
    assert_non_null(visitor->conn);
}

enum err_e visitor_send(struct visitor *visitor, uint64_t value)
{
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_uint64(&packer, value);
    unsigned answers = visitor->answers;
    enum err_e err = pool_send(visitor->conn, body.data, body.size, value);
    assert_int_equal(visitor->answers, answers); /* never from within */
    msgpack_sbuffer_destroy(&body);
    return err;
}

enum err_e visitor_send_large(struct visitor *visitor, uint64_t token, size_t len)
{
    unsigned char *body = malloc(len + 5);
    assert_non_null(body);
    body[0] = 0xdb; /* str 32 */
    for (unsigned i = 0; i < 4; i++)
        body[1 + i] = (unsigned char)(len >> (24 - 8 * i));
    memset(body + 5, 'x', len);
    enum err_e err = pool_send(visitor->conn, body, len + 5, token);
    free(body);
    return err;
}

void visitor_close(struct visitor *visitor)
{
    if (stage->leaves != NULL)
        stage->leaves(visitor);
    pool_close(visitor->conn);
    visitor->conn = NULL;
}

void visitor_answered(const struct visitor *visitor, unsigned count, enum pool_outcome_e outcome)
{
    stage_until(visitor->answers == count);
    assert_int_equal(visitor->last.outcome, outcome);
}
