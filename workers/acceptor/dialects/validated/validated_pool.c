/* Hop: C2. Handlers outside: messages go to the pool of their processes as msgpack, what those say comes back as calls of validated.h. The
 * owner of a pool's connection is the endpoint's.
 *
 * Backpressure: while a handler is pressed, who sends to it joins its crowd, which is not read. Released by the pool's word and by ticks, some
 * at a time, so that not all of them send at once. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf.h"
#include "pool.h"
#include "validated_internal.h"
#include "validated_pack.h"

#define MESSAGE_KEEP (256u * 1024u) /* bytes of the message buffer that are kept for the next */

#define RELEASE_MAX 128u /* connections at once */

/* --- crowds ----------------------------------------------------------------------------------------------------------- */

static void join_crowd(struct endpoint_conn *conn)
{
    struct validated_shared *shared = validated_shared_of(conn);
    struct validated_conn *state = endpoint_state(conn);
    size_t handler = endpoint_conf(shared->own)->endpoints[state->site->conf_index].handler;
    if (validated_is_pressed(state))
        return;
    list_append(&shared->crowds[handler], &state->in_crowd);
    shared->counts.pressed++;
}

static void leave_crowd(struct endpoint_conn *conn)
{
    struct validated_conn *state = endpoint_state(conn);
    if (!validated_is_pressed(state))
        return;
    list_remove(&state->in_crowd);
    validated_shared_of(conn)->counts.pressed--;
}

/* Who waits longest first; who is released may soon stand at the end again. */
static void release_some(struct list_node *crowd)
{
    for (unsigned n = 0; n < RELEASE_MAX && !list_empty(crowd); n++) {
        struct endpoint_conn *conn = LIST_ENTRY(crowd->next, struct validated_conn, in_crowd)->conn;
        if (pool_is_pressed(validated_user(conn)))
            return;
        leave_crowd(conn);
        validated_resume(conn);
    }
}

static void on_drained(void *arg, size_t handler)
{
    struct validated_shared *shared = arg;
    release_some(&shared->crowds[handler]);
}

/* --- to the pool ------------------------------------------------------------------------------------------------------ */

static enum err_e connect_outside(void *arg, struct endpoint_conn *conn,
                                  const struct endpoint_request *request)
{
    const struct site *site = arg;
    char peer[ENDPOINT_PEER_MAX];
    endpoint_peer(conn, peer);
    const struct pool_client client = {.endpoint = site->conf_index,
                                       .query = request->query, /* without a token: gate_head.h */
                                       .principal = identity_name(request->identity),
                                       .peer = peer};
    struct pool_conn *made = pool_open(validated_shared_of(conn)->pool, &client, conn);
    validated_set_user(conn, made);
    return made != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err_e pack_message(msgpack_sbuffer *buffer, const struct validated_message *message)
{
    msgpack_sbuffer_clear(buffer);
    if (message->value != NULL)
        return validated_pack_json(buffer, message->value);
    return message->binary ? validated_pack_bytes(buffer, message->text, message->len)
                           : validated_pack_text(buffer, message->text, message->len);
}

static enum err_e receive_outside(void *arg, struct endpoint_conn *conn,
                                  const struct validated_message *message, uint64_t token)
{
    (void)arg;
    msgpack_sbuffer *buffer = &validated_shared_of(conn)->message;
    enum err_e err = pack_message(buffer, message);
    if (err == ERR_OK)
        err = pool_send(validated_user(conn), buffer->data, buffer->size, token);
    if (err == ERR_OK && pool_is_pressed(validated_user(conn)))
        join_crowd(conn);
    if (buffer->alloc > MESSAGE_KEEP) {
        msgpack_sbuffer_destroy(buffer);
        msgpack_sbuffer_init(buffer);
    }
    return err;
}

static void disconnect_outside(void *arg, struct endpoint_conn *conn)
{
    (void)arg;
    leave_crowd(conn);
    pool_close(validated_user(conn));
    validated_set_user(conn, NULL);
}

const struct validated_handler validated_pool_handler = {connect_outside, receive_outside,
                                                         disconnect_outside};

/* --- from the pool ---------------------------------------------------------------------------------------------------- */

static void on_answered(void *owner, uint64_t token, const struct pool_answer *answer)
{
    switch (answer->outcome) {
    case POOL_REPLY:
        endpoint_gather(owner);
        validated_answer(owner, token, answer->status, (struct validated_body){.pack = answer->body});
        return;
    case POOL_FAILED:
        validated_fail(owner, token, VALIDATED_FAILED);
        return;
    case POOL_TIMEOUT:
        validated_fail(owner, token, VALIDATED_TIMEOUT);
        return;
    case POOL_UNAVAILABLE:
        validated_fail(owner, token, VALIDATED_UNAVAILABLE);
        return;
    }
}

static void on_send(void *owner, uint64_t status, const msgpack_object *body)
{
    validated_send(owner, status, (struct validated_body){.pack = body});
}

static void on_subscribe(void *owner, struct handler_text topic, bool subscribe)
{
    validated_subscribe(owner, topic.at, topic.len, subscribe);
}

static void on_close(void *owner, unsigned code, struct handler_text reason)
{
    validated_close(owner, code, reason.at, reason.len);
}

static enum err_e on_publish(void *arg, size_t handler, struct handler_text path, struct handler_text topic,
                             uint64_t status, const msgpack_object *body, void *except)
{
    struct validated_shared *shared = arg;
    const struct site *site = validated_site(shared, path.at, path.len);
    bool its_own = site != NULL && site->conf_index != SIZE_MAX &&
                   endpoint_conf(shared->own)->endpoints[site->conf_index].handler == handler;
    const struct validated_publication publication = {.path = its_own ? path.at : "",
                                                      .path_len = its_own ? path.len : 0,
                                                      .topic = topic.at,
                                                      .topic_len = topic.len,
                                                      .status = status,
                                                      .body = {.pack = body},
                                                      .except = except};
    return validated_publish(shared->own, &publication);
}

static void on_heard(void *arg)
{
    const struct validated_shared *shared = arg;
    endpoint_gathered(shared->own);
}

static bool may_publish(void *arg)
{
    const struct validated_shared *shared = arg;
    return endpoint_may_publish(shared->own);
}

enum err_e validated_pool_start(struct validated_shared *shared)
{
    static const struct pool_events events = {.answered = on_answered,
                                              .heard = on_heard,
                                              .send = on_send,
                                              .subscribe = on_subscribe,
                                              .close = on_close,
                                              .publish = on_publish,
                                              .may_publish = may_publish,
                                              .drained = on_drained};
    snprintf(shared->worker, sizeof shared->worker, "worker %ld", (long)getpid());
    const struct pool_config config = {.loop = endpoint_loop(shared->own),
                                       .clock = endpoint_clock(shared->own),
                                       .conf = endpoint_conf(shared->own),
                                       .worker = shared->worker,
                                       .max_answer_bytes = VALIDATED_ANSWER_MAX,
                                       .events = &events,
                                       .arg = shared};
    shared->crowds = calloc(config.conf->handler_count, sizeof *shared->crowds);
    for (size_t i = 0; shared->crowds != NULL && i < config.conf->handler_count; i++)
        list_init(&shared->crowds[i]);
    return shared->crowds != NULL ? pool_new(&config, &shared->pool) : ERR_MEMORY;
}

void validated_pool_follow(struct validated_shared *shared, const struct conf *conf)
{
    if (shared->pool != NULL)
        pool_set_conf(shared->pool, conf);
}

void validated_pool_tick(struct validated_shared *shared)
{
    if (shared->pool == NULL)
        return;
    pool_tick(shared->pool);
    for (size_t i = 0; i < endpoint_conf(shared->own)->handler_count; i++)
        release_some(&shared->crowds[i]);
}

void validated_pool_stop(struct validated_shared *shared)
{
    if (shared->pool != NULL)
        pool_free(&shared->pool);
    free(shared->crowds);
    shared->crowds = NULL;
}
