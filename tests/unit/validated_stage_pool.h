/* The pool of validated_stage.h, played: what the dialect sends there is kept, and the handler behind it answers, sends and publishes what the
 * test likes, as JSON.
 */
#pragma once

#include "validated_stage.h"

#include "validated_pack.h"
#include "validated_text.h"

/* --- the pool ----------------------------------------------------------------------------------------------------------- */

enum err_e pool_new(const struct pool_config *config, struct pool **pool)
{
    MUST(config->conf == &stage.conf && config->max_answer_bytes == VALIDATED_ANSWER_MAX);
    stage.events = config->events;
    stage.events_arg = config->arg;
    *pool = (struct pool *)(void *)&stage;
    return ERR_OK;
}

void pool_free(struct pool **pool)
{
    MUST(stage.opened == stage.closed);
    *pool = NULL;
}

void pool_tick(struct pool *pool)
{
    (void)pool;
    stage.ticks++;
}

void pool_set_conf(struct pool *pool, const struct conf *conf)
{
    (void)pool;
    stage.pool_conf = conf;
}

const struct pool_counts *pool_counts(const struct pool *pool)
{
    (void)pool;
    return &stage.pool_counts;
}

struct pool_conn *pool_open(struct pool *pool, const struct pool_client *client, void *owner)
{
    struct pool_conn *conn = stage.will.open == ERR_OK ? calloc(1, sizeof *conn) : NULL;
    (void)pool;
    if (conn == NULL)
        return NULL;
    stage.opened++;
    conn->owner = owner;
    conn->endpoint = client->endpoint;
    snprintf(conn->query, sizeof conn->query, "%s", client->query);
    snprintf(conn->principal, sizeof conn->principal, "%s", client->principal);
    snprintf(conn->peer, sizeof conn->peer, "%s", client->peer);
    return conn;
}

static char *stage_json_of(const void *body, size_t len)
{
    msgpack_unpacked value;
    size_t at = 0;
    msgpack_unpacked_init(&value);
    MUST(msgpack_unpack_next(&value, body, len, &at) == MSGPACK_UNPACK_SUCCESS && at == len);
    char *text = malloc(8 * len + 64);
    struct out out = out_init(text, 8 * len + 63);
    if (value.data.type == MSGPACK_OBJECT_BIN) {
        out_literal(&out, "bin:");
        out_bytes(&out, value.data.via.bin.ptr, value.data.via.bin.size);
    } else {
        MUST(validated_text_pack(&out, &value.data) == NULL);
    }
    MUST(!out.overflow);
    text[out.len] = '\0';
    msgpack_unpacked_destroy(&value);
    return text;
}

enum err_e pool_send(struct pool_conn *conn, const void *body, size_t len, uint64_t token)
{
    MUST(!conn->closed && handler_value(body, len) == ERR_OK);
    if (stage.will.send != ERR_OK)
        return stage.will.send;
    MUST(stage.message_count < STAGE_FRAMES);
    stage.messages[stage.message_count++] = (struct stage_message){conn, token, stage_json_of(body, len)};
    conn->sent++;
    if (stage.room > 0 && --stage.room == 0)
        stage.pressed[0] = true;
    return ERR_OK;
}

bool pool_is_pressed(const struct pool_conn *conn)
{
    return stage.pressed[stage.endpoints[conn->endpoint].handler];
}

void pool_close(struct pool_conn *conn)
{
    MUST(!conn->closed);
    stage.closed++;
    conn->closed = true;
    for (unsigned i = 0; i < stage.message_count; i++)
        if (stage.messages[i].conn == conn)
            stage.messages[i].conn = NULL; /* no event names it any more */
    free(conn);
}

/* --- what the handler does ---------------------------------------------------------------------------------------------- */

/* A body out of JSON, or of bytes: as msgpack-c would have read it off the link. */
struct stage_body {
    msgpack_sbuffer pack;
    msgpack_unpacked value;
};

static inline const msgpack_object *stage_body(struct stage_body *body, const char *json)
{
    if (json == NULL)
        return NULL;
    json_t *tree = json_loads(json, JSON_DECODE_ANY, NULL);
    size_t at = 0;
    MUST(tree != NULL);
    msgpack_sbuffer_init(&body->pack);
    msgpack_unpacked_init(&body->value);
    MUST(validated_pack_json(&body->pack, tree) == ERR_OK);
    MUST(msgpack_unpack_next(&body->value, body->pack.data, body->pack.size, &at) == MSGPACK_UNPACK_SUCCESS);
    json_decref(tree);
    return &body->value.data;
}

static inline void stage_body_fini(struct stage_body *body, const char *json)
{
    if (json == NULL)
        return;
    msgpack_unpacked_destroy(&body->value);
    msgpack_sbuffer_destroy(&body->pack);
}

static inline struct pool_conn *stage_pool_conn(struct endpoint_conn *conn)
{
    return validated_user(conn);
}

/* The handler answers message `index` of all that it got; an object of msgpack-c's, or a text of JSON. */
static inline void stage_answer_object(unsigned index, uint64_t status, const msgpack_object *object)
{
    const struct stage_message *message = &stage.messages[index];
    const struct pool_answer answer = {POOL_REPLY, status, object};
    MUST(index < stage.message_count);
    if (message->conn != NULL)
        stage.events->answered(message->conn->owner, message->token, &answer);
}

static inline void stage_answer(unsigned index, uint64_t status, const char *json)
{
    struct stage_body body;
    stage_answer_object(index, status, stage_body(&body, json));
    stage_body_fini(&body, json);
}

static inline void stage_outcome(unsigned index, enum pool_outcome_e outcome)
{
    const struct stage_message *message = &stage.messages[index];
    const struct pool_answer answer = {outcome, 0, NULL};
    if (message->conn != NULL)
        stage.events->answered(message->conn->owner, message->token, &answer);
}

static inline void stage_send(struct endpoint_conn *conn, uint64_t status, const char *json)
{
    struct stage_body body;
    stage.events->send(conn, status, stage_body(&body, json));
    stage_body_fini(&body, json);
}

static inline enum err_e stage_publish(size_t handler, const char *path, const char *topic, uint64_t status,
                                       const char *json, struct endpoint_conn *except)
{
    struct stage_body body;
    enum err_e err = stage.events->publish(stage.events_arg, handler, handler_text(path), handler_text(topic),
                                           status, stage_body(&body, json), except);
    stage_body_fini(&body, json);
    return err;
}
