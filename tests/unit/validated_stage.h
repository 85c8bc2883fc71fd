/* The dialect of endpoints over an endpoint API and a pool that the test plays: connections with every frame that they were told, topics
 * and publications. The handler outside, whose messages the test reads as JSON and answers as it likes, is in validated_stage_pool.h.
 *
 *     /chat      message (at least one character), user ("anonymous"); answers: message, user, n
 *     /any       any JSON object with whatever in it, errorObject, binary frames
 *     /raw       traditional
 *     /other     of another handler
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "conf.h"
#include "must.h"
#include "pool.h"
#include "validated.h"

#define STAGE_FRAMES 4096 /* of a connection */
#define STAGE_TOPICS 8

struct endpoint {
    void *shared;
};

struct stage_frame {
    char *at;
    size_t len;
    bool binary;
};

struct endpoint_conn {
    struct endpoint *endpoint;
    struct stage_frame frames[STAGE_FRAMES]; /* replies, in order */
    unsigned frame_count, read;
    unsigned holds;
    bool held, wants_subscribe_error;
    unsigned close_code, closes;
    char close_reason[128];
    struct topic topics[STAGE_TOPICS];
    uint32_t topic_count;
    uint64_t state[8];
};

struct pool_conn { /* at the handler that is played */
    void *owner;
    size_t endpoint;
    char query[64], principal[64], peer[64];
    unsigned sent; /* messages */
    bool closed;
};

struct stage_message { /* that went to the handler */
    struct pool_conn *conn;
    uint64_t token;
    char *json; /* its body as JSON; bytes as "bin:…" */
};

struct stage_publication {
    struct topic topic;
    char *payload;
    size_t len;
    bool binary;
    const struct endpoint_conn *except;
};

static struct {
    struct endpoint own;
    struct conf conf;
    struct conf_handler handlers[2];
    struct conf_endpoint endpoints[8];
    struct clock_manual clock;
    char *scratch, *big;
    const struct pool_events *events;
    const struct conf *pool_conf; /* of a reload */
    void *events_arg;
    struct stage_message messages[STAGE_FRAMES];
    unsigned message_count, opened, closed, ticks, gathered;
    struct stage_publication publication; /* the last */
    unsigned publications;
    bool may_publish, pressed[2];
    unsigned room; /* not 0: after so many messages handler 0 is pressed */
    struct pool_counts pool_counts;
    struct {
        enum err_e open, send, publish;
    } will;
    char files[8][32];
    unsigned file_count;
} stage;

/* --- the endpoint API --------------------------------------------------------------------------------------------------- */

void *endpoint_state(struct endpoint_conn *conn)
{
    return conn->state;
}

struct endpoint *endpoint_of(struct endpoint_conn *conn)
{
    return conn->endpoint;
}

void *endpoint_shared(const struct endpoint *endpoint)
{
    return endpoint->shared;
}

static inline char *stage_copy(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    MUST(copy != NULL);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static void stage_told(struct endpoint_conn *conn, const void *payload, size_t len, bool binary)
{
    if (conn->close_code != 0)
        return; /* as endpoint.h has it: replies are dropped */
    MUST(conn->frame_count < STAGE_FRAMES);
    conn->frames[conn->frame_count++] = (struct stage_frame){stage_copy(payload, len), len, binary};
}

void endpoint_reply(struct endpoint_conn *conn, const char *payload, size_t len)
{
    stage_told(conn, payload, len, false);
}

void endpoint_gather(struct endpoint_conn *conn)
{
    (void)conn;
    stage.gathered++;
}

void endpoint_gathered(struct endpoint *endpoint)
{
    MUST(endpoint == &stage.own);
    stage.gathered = 0;
}

void endpoint_reply_binary(struct endpoint_conn *conn, const void *payload, size_t len)
{
    stage_told(conn, payload, len, true);
}

void endpoint_hold(struct endpoint_conn *conn, bool hold)
{
    MUST(conn->held != hold); /* the dialect remembers */
    conn->held = hold;
    conn->holds += hold;
}

enum err_e endpoint_subscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    if (conn->wants_subscribe_error || conn->topic_count + count > STAGE_TOPICS)
        return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        MUST(!endpoint_is_subscribed(conn, &topics[i]));
        conn->topics[conn->topic_count++] = topics[i];
    }
    return ERR_OK;
}

enum err_e endpoint_unsubscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    MUST(count == 1);
    for (uint32_t i = 0; i < conn->topic_count; i++)
        if (conn->topics[i].hash == topics->hash)
            conn->topics[i] = conn->topics[--conn->topic_count];
    return ERR_OK;
}

uint32_t endpoint_topics(struct endpoint_conn *conn, const struct topic **topics)
{
    *topics = conn->topics;
    return conn->topic_count;
}

bool endpoint_is_subscribed(const struct endpoint_conn *conn, const struct topic *topic)
{
    for (uint32_t i = 0; i < conn->topic_count; i++)
        if (conn->topics[i].hash == topic->hash)
            return true;
    return false;
}

void endpoint_close(struct endpoint_conn *conn, unsigned code, const char *reason)
{
    conn->closes++;
    if (conn->close_code != 0)
        return;
    conn->close_code = code;
    snprintf(conn->close_reason, sizeof conn->close_reason, "%s", reason);
}

void endpoint_peer(const struct endpoint_conn *conn, char peer[ENDPOINT_PEER_MAX])
{
    (void)conn;
    snprintf(peer, ENDPOINT_PEER_MAX, "127.0.0.1:50000");
}

enum err_e endpoint_publish_to(struct endpoint *endpoint, const struct topic *topics, uint32_t count,
                               const void *payload, size_t len, bool binary, struct endpoint_conn *except)
{
    MUST(endpoint == &stage.own && count == 1 && len <= ENDPOINT_PUBLISH_MAX);
    if (stage.will.publish != ERR_OK)
        return stage.will.publish;
    free(stage.publication.payload);
    stage.publication = (struct stage_publication){topics[0], stage_copy(payload, len), len, binary, except};
    stage.publications++;
    return ERR_OK;
}

bool endpoint_may_publish(const struct endpoint *endpoint)
{
    (void)endpoint;
    return stage.may_publish;
}

const struct conf *endpoint_conf(const struct endpoint *endpoint)
{
    (void)endpoint;
    return &stage.conf;
}

const struct clock *endpoint_clock(const struct endpoint *endpoint)
{
    (void)endpoint;
    return &stage.clock.clock;
}

uv_loop_t *endpoint_loop(const struct endpoint *endpoint)
{
    (void)endpoint;
    return NULL;
}

char *endpoint_scratch(struct endpoint *endpoint)
{
    (void)endpoint;
    return stage.scratch;
}

/* --- the stage ---------------------------------------------------------------------------------------------------------- */

static inline const char *stage_file(const char *text)
{
    char *path = stage.files[stage.file_count++];
    snprintf(path, sizeof stage.files[0], "/tmp/validated-XXXXXX");
    int fd = mkstemp(path);
    MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

#define STAGE_CHAT                                                                                           \
    "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\",\"minLength\":1},\"user\":{"      \
    "\"type\":"                                                                                              \
    "\"string\",\"default\":\"anonymous\"},\"n\":{\"type\":\"integer\"}},\"required\":[\"message\"]}"
#define STAGE_CHAT_REPLY                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"},\"user\":{\"type\":\"string\"}," \
    "\"n\":{"                                                                                                \
    "\"type\":\"integer\",\"default\":7},\"any\":{}},\"required\":[\"message\",\"user\"]}"

static inline void stage_describe(void)
{
    stage.handlers[0] = (struct conf_handler){.name = "chat"};
    stage.handlers[1] = (struct conf_handler){.name = "other"};
    stage.endpoints[0] = (struct conf_endpoint){
        .path = "/chat", .schema = stage_file(STAGE_CHAT), .reply_schema = stage_file(STAGE_CHAT_REPLY)};
    stage.endpoints[1] = (struct conf_endpoint){.path = "/any",
                                                .schema = stage_file("{\"type\":\"object\"}"),
                                                .reply_schema = "",
                                                .binary = true,
                                                .error_object = true};
    stage.endpoints[2] = (struct conf_endpoint){.path = "/raw", .schema = "", .reply_schema = ""};
    stage.endpoints[3] =
        (struct conf_endpoint){.path = "/other", .schema = "", .reply_schema = "", .handler = 1};
    stage.conf = (struct conf){
        .handlers = stage.handlers, .handler_count = 2, .endpoints = stage.endpoints, .endpoint_count = 4};
}

static inline void stage_prepare(void)
{
    static char *scratch; /* for all stages of the process */
    memset(&stage, 0, sizeof stage);
    if (scratch == NULL)
        scratch = malloc(ENDPOINT_SCRATCH);
    stage.scratch = scratch;
    stage.may_publish = true;
    clock_manual_init(&stage.clock, 100 * NS_PER_S, 0);
    stage_describe();
    stage.own.shared = calloc(1, validated_dialect.shared_bytes);
    MUST(stage.scratch != NULL && stage.own.shared != NULL);
    MUST(validated_dialect.conn_bytes <= sizeof(((struct endpoint_conn *)0)->state));
}

static inline void stage_start(void)
{
    stage_prepare();
    MUST(validated_dialect.start(&stage.own) == ERR_OK);
}

static inline void stage_stop(void)
{
    validated_dialect.stop(&stage.own);
    free(stage.own.shared);
    free(stage.publication.payload);
    for (unsigned i = 0; i < stage.message_count; i++)
        free(stage.messages[i].json);
    for (unsigned i = 0; i < stage.file_count; i++)
        unlink(stage.files[i]);
}

static inline struct endpoint_conn *stage_connect(const char *path)
{
    static const struct identity *ana; /* lives as long as the test */
    if (ana == NULL)
        ana = identity_new(&(struct identity_draft){.name = "ana", .expires_ms = IDENTITY_NEVER});
    const struct endpoint_request request = {path, "room=1", "http", ana};
    struct endpoint_conn *conn = calloc(1, sizeof *conn);
    MUST(conn != NULL && validated_dialect.path_served(&stage.own, path, strlen(path)));
    conn->endpoint = &stage.own;
    validated_dialect.on_connect(conn, &request);
    return conn;
}

static inline void stage_disconnect(struct endpoint_conn *conn)
{
    validated_dialect.on_disconnect(conn);
    for (unsigned i = 0; i < conn->frame_count; i++)
        free(conn->frames[i].at);
    free(conn);
}

static inline void stage_hear(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    char *exact = malloc(len > 0 ? len : 1); /* the dialect may read no further, and not later */
    MUST(exact != NULL);
    if (len > 0)
        memcpy(exact, text, len);
    if (conn->close_code == 0)
        validated_dialect.on_receive(conn, exact, len, binary);
    memset(exact, 0xa5, len);
    free(exact);
}

static inline void stage_say(struct endpoint_conn *conn, const char *text)
{
    stage_hear(conn, text, strlen(text), false);
}

/* The next frame that the client reads; NULL: there is none. */
static inline const char *stage_read(struct endpoint_conn *conn)
{
    return conn->read < conn->frame_count ? conn->frames[conn->read++].at : NULL;
}
