/* Hop: C2. Handlers outside: messages go to the pool of their processes as msgpack, what those say comes back as calls of validated.h. The
 * owner of a pool's connection is the endpoint's. */
#include <stdio.h>
#include <unistd.h>

#include "conf.h"
#include "pool.h"
#include "validated_internal.h"
#include "validated_pack.h"

#define MESSAGE_KEEP (256u * 1024u) /* bytes of the message buffer that are kept for the next */

/* --- to the pool ------------------------------------------------------------------------------------------------------ */

static enum err_e connect_outside(void *arg, struct endpoint_conn *conn,
                                  const struct endpoint_request *request)
{
    const struct site *site = arg;
    char peer[ENDPOINT_PEER_MAX];
    endpoint_peer(conn, peer);
    const struct pool_client client = {.endpoint = site->conf_index,
                                       .query = request->query, /* without a token: gate_head.h */
                                       .principal = request->principal,
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
    if (buffer->alloc > MESSAGE_KEEP) {
        msgpack_sbuffer_destroy(buffer);
        msgpack_sbuffer_init(buffer);
    }
    return err;
}

static void disconnect_outside(void *arg, struct endpoint_conn *conn)
{
    (void)arg;
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

static bool may_publish(void *arg)
{
    const struct validated_shared *shared = arg;
    return endpoint_may_publish(shared->own);
}

enum err_e validated_pool_start(struct validated_shared *shared)
{
    static const struct pool_events events = {on_answered, on_send,    on_subscribe,
                                              on_close,    on_publish, may_publish};
    snprintf(shared->worker, sizeof shared->worker, "worker %ld", (long)getpid());
    const struct pool_config config = {.loop = endpoint_loop(shared->own),
                                       .clock = endpoint_clock(shared->own),
                                       .conf = endpoint_conf(shared->own),
                                       .worker = shared->worker,
                                       .max_answer_bytes = VALIDATED_ANSWER_MAX,
                                       .events = &events,
                                       .arg = shared};
    return pool_new(&config, &shared->pool);
}
