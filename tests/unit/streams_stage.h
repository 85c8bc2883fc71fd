/* The streams dialect over an endpoint that the test plays: connections with what they were told, published and are
 * subscribed to; workers with shared memory of their own; and one survey at a time, whose rows the dialect itself gives, worker by
 * worker, in pieces as small as they may be. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "must.h"
#include "streams_admin.h"
#include "streams_dialect.h"
#include "streams_registry.h"

#define STAGE_WORKERS 4
#ifndef STAGE_STREAMS
#define STAGE_STREAMS 1100 /* that a connection can be subscribed to */
#endif

struct endpoint {
    void *shared;
    uint64_t channels, elsewhere;
    bool started;
};

struct endpoint_conn {
    struct endpoint *endpoint;
    uint64_t serial;
    char peer[ENDPOINT_PEER_MAX];
    bool unwritable;
    struct topic *topics; /* sorted by hash */
    uint32_t count;
    char *reply; /* the last one, with a NUL */
    size_t reply_len;
    unsigned replies, publishes, charged, subscribes;
    char *published; /* the last one */
    size_t published_len;
    bool echo;
    unsigned close_code;
    uint64_t state[8];
};

static struct {
    struct endpoint workers[STAGE_WORKERS];
    struct conf conf;
    char *scratch;
    struct topic *listed; /* endpoint_topics() */
    uint64_t serial, owed;
    struct {
        enum err_e subscribe, unsubscribe, publish, survey;
    } will;
    const struct identity *identity; /* of everybody; NULL: nobody's */
    struct {                         /* under way if events is set */
        struct endpoint *asker;
        unsigned question, begun;
        const struct endpoint_survey_events *events;
        void *arg;
    } survey;
} stage;

/* --- what the dialect calls ------------------------------------------------------------------------------------------ */

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

uint64_t endpoint_serial(const struct endpoint_conn *conn)
{
    return conn->serial;
}

static char *stage_copy(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    MUST(copy != NULL);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void endpoint_reply(struct endpoint_conn *conn, const char *payload, size_t len)
{
    free(conn->reply);
    conn->reply = stage_copy(payload, len);
    conn->reply_len = len;
    conn->replies++;
}

static int stage_by_hash(const void *a, const void *b)
{
    const struct topic *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool stage_has(const struct endpoint_conn *conn, const struct topic *topic)
{
    return bsearch(topic, conn->topics, conn->count, sizeof *topic, stage_by_hash) != NULL;
}

enum err_e endpoint_subscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    conn->subscribes++;
    memset(stage.listed, 0xa5, STAGE_STREAMS * sizeof *stage.listed);
    if (stage.will.subscribe != ERR_OK)
        return stage.will.subscribe;
    for (uint32_t i = 0; i < count; i++) {
        MUST(conn->count < STAGE_STREAMS && !stage_has(conn, &topics[i]));
        conn->topics[conn->count++] = topics[i];
        qsort(conn->topics, conn->count, sizeof *topics, stage_by_hash);
    }
    return ERR_OK;
}

enum err_e endpoint_unsubscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count)
{
    memset(stage.listed, 0xa5, STAGE_STREAMS * sizeof *stage.listed);
    if (stage.will.unsubscribe != ERR_OK)
        return stage.will.unsubscribe;
    MUST(count == conn->count); /* this dialect leaves all or nothing */
    for (uint32_t i = 0; i < count; i++)
        MUST(stage_has(conn, &topics[i]));
    conn->count = 0;
    return ERR_OK;
}

uint32_t endpoint_topics(struct endpoint_conn *conn, const struct topic **topics)
{
    memcpy(stage.listed, conn->topics, conn->count * sizeof *conn->topics);
    *topics = stage.listed;
    return conn->count;
}

void endpoint_close(struct endpoint_conn *conn, unsigned code, const char *reason)
{
    (void)reason;
    conn->close_code = code;
}

enum err_e endpoint_publish(struct endpoint_conn *conn, const char *payload, size_t len, bool echo)
{
    if (stage.will.publish != ERR_OK)
        return stage.will.publish;
    if (len > ENDPOINT_PUBLISH_MAX)
        return ERR_TOO_LARGE;
    MUST(conn->count > 0);
    free(conn->published);
    conn->published = stage_copy(payload, len);
    conn->published_len = len;
    conn->publishes++;
    conn->echo = echo;
    return ERR_OK;
}

void endpoint_charge(struct endpoint_conn *conn, unsigned messages)
{
    conn->charged += messages;
}

void endpoint_peer(const struct endpoint_conn *conn, char peer[ENDPOINT_PEER_MAX])
{
    memcpy(peer, conn->peer, ENDPOINT_PEER_MAX);
}

bool endpoint_is_writable(const struct endpoint_conn *conn)
{
    return !conn->unwritable;
}

uint64_t endpoint_owed_bytes(const struct endpoint *endpoint)
{
    (void)endpoint;
    return stage.owed;
}

enum err_e endpoint_survey(struct endpoint *endpoint, unsigned question,
                           const struct endpoint_survey_events *events, void *arg)
{
    if (stage.will.survey != ERR_OK || stage.survey.events != NULL)
        return stage.will.survey != ERR_OK ? stage.will.survey : ERR_BUSY;
    stage.survey.asker = endpoint;
    stage.survey.question = question;
    stage.survey.events = events;
    stage.survey.arg = arg;
    stage.survey.begun++;
    return ERR_OK;
}

uint64_t endpoint_channels_elsewhere(const struct endpoint *endpoint)
{
    return endpoint->elsewhere;
}

void endpoint_set_channels(struct endpoint *endpoint, uint64_t channels)
{
    endpoint->channels = channels;
}

bool endpoint_may(const struct endpoint_conn *conn, enum grant_e grant, const char *name, size_t len)
{
    (void)conn;
    return identity_may(stage.identity != NULL ? stage.identity : identity_nobody(), grant, name, len);
}

bool endpoint_may_all(const struct endpoint_conn *conn, enum grant_e grant)
{
    (void)conn;
    return identity_may_all(stage.identity != NULL ? stage.identity : identity_nobody(), grant);
}

const struct conf *endpoint_conf(const struct endpoint *endpoint)
{
    (void)endpoint;
    return &stage.conf;
}

char *endpoint_scratch(struct endpoint *endpoint)
{
    (void)endpoint;
    return stage.scratch;
}

/* --- the stage ------------------------------------------------------------------------------------------------------- */

static inline void stage_start(void)
{
    memset(&stage, 0, sizeof stage);
    stage.conf = (struct conf){.streams_errors = true,
                               .streams_admin = true,
                               .streams_max_streams = 1000,
                               .streams_max_channels = 100000};
    static char *scratch; /* for all stages of the process */
    if (scratch == NULL)
        scratch = malloc(ENDPOINT_SCRATCH);
    stage.scratch = scratch;
    stage.listed = calloc(STAGE_STREAMS, sizeof *stage.listed);
    MUST(stage.scratch != NULL && stage.listed != NULL);
    MUST(streams_dialect.conn_bytes <= sizeof(((struct endpoint_conn *)0)->state));
    for (unsigned i = 0; i < STAGE_WORKERS; i++) {
        stage.workers[i].shared = calloc(1, streams_dialect.shared_bytes);
        MUST(stage.workers[i].shared != NULL);
        MUST(streams_dialect.start(&stage.workers[i]) == ERR_OK);
    }
}

static inline void stage_stop(void)
{
    for (unsigned i = 0; i < STAGE_WORKERS; i++) {
        streams_dialect.stop(&stage.workers[i]);
        free(stage.workers[i].shared);
    }
    free(stage.listed);
}

static inline struct endpoint_conn *stage_connect(unsigned worker)
{
    const struct endpoint_request request = {"/", "", "streams", identity_nobody()};
    struct endpoint_conn *conn = calloc(1, sizeof *conn);
    MUST(conn != NULL && (conn->topics = calloc(STAGE_STREAMS, sizeof *conn->topics)) != NULL);
    conn->endpoint = &stage.workers[worker];
    conn->serial = ++stage.serial;
    snprintf(conn->peer, sizeof conn->peer, "127.0.0.%u:%u", worker + 1,
             (unsigned)(conn->serial % 60000 + 1));
    streams_dialect.on_connect(conn, &request);
    return conn;
}

static inline void stage_disconnect(struct endpoint_conn *conn)
{
    streams_dialect.on_disconnect(conn);
    free(conn->topics);
    free(conn->reply);
    free(conn->published);
    free(conn);
}

static inline void stage_say(struct endpoint_conn *conn, const char *text)
{
    char *exact = stage_copy(text, strlen(text)); /* the dialect may read no further */
    streams_dialect.on_receive(conn, exact, strlen(text), false);
    free(exact);
}

static inline struct streams_registry *stage_registry(unsigned worker)
{
    return (struct streams_registry *)stage.workers[worker].shared; /* its first member */
}

/* The next piece of a worker's rows to the survey under way. True: the last. */
static inline bool stage_piece(unsigned worker, struct endpoint_cursor *cursor, size_t cap)
{
    char *memory = malloc(cap);
    struct out rows = out_init(memory, cap);
    bool last = streams_dialect.survey_rows(&stage.workers[worker], stage.survey.question, cursor, &rows);
    MUST(!rows.overflow);
    stage.survey.events->rows(stage.survey.arg, rows.at, rows.len);
    free(memory);
    return last;
}

static inline void stage_done(enum err_e err, unsigned silent, unsigned workers)
{
    const struct endpoint_survey_events *events = stage.survey.events;
    stage.survey.events = NULL;
    events->done(stage.survey.arg, err, silent, workers);
}

/* The survey under way, whole: pieces of all workers, by turns. */
static inline void stage_survey(void)
{
    struct endpoint_cursor cursors[STAGE_WORKERS] = {0};
    bool told[STAGE_WORKERS] = {0};
    for (unsigned left = STAGE_WORKERS; left > 0;)
        for (unsigned i = 0; i < STAGE_WORKERS; i++)
            if (!told[i] && (told[i] = stage_piece(i, &cursors[i], ENDPOINT_ROW_MAX)))
                left--;
    stage_done(ERR_OK, 0, STAGE_WORKERS);
}

/* Around each test of cmocka. */
static inline int stage_set_up(void **state)
{
    (void)state;
    stage_start();
    return 0;
}

static inline int stage_tear_down(void **state)
{
    (void)state;
    stage_stop();
    return 0;
}

#define T(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
