/* validated_internal.h — between the files of the dialect: endpoints of this process, and the state of a connection. */
#pragma once

#include "list.h"
#include "log.h"
#include "topic.h"
#include "validated.h"
#include "validated_envelope.h"
#include "validated_queue.h"

#define WAITING_MAX_ALL (64u * 1024u * 1024u) /* bytes of waiting answers of all connections */

struct site { /* an endpoint at work */
    struct validated_endpoint endpoint;
    struct topic everybody;
    size_t conf_index; /* in conf.endpoints; SIZE_MAX: added by this process */
    struct schema *own_schema, *own_reply_schema;
};

struct validated_shared { /* of the process */
    struct endpoint *own;
    struct site **sites;
    size_t site_count;
    struct schema *any; /* of traditional endpoints' messages */
    struct pool *pool;  /* NULL: no endpoint needs one */
    struct list_node
        *crowds;     /* of each handler of the configuration: who is not read because too much waits for it */
    char worker[24]; /* for handlers' logs */
    msgpack_sbuffer message;
    struct validated_counts counts;
    struct log_limit fault_log[VALIDATED_FAULT_COUNT];
};

struct validated_conn { /* of a connection; zeroed at first */
    struct site *site;  /* NULL: its handler does not know it */
    void *user;
    struct validated_queue *queue; /* NULL: nothing is under way */
    struct endpoint_conn *conn;
    struct list_node in_crowd; /* of its handler; alone: it is read */
    bool crowded;              /* VALIDATED_UNDER_WAY were under way, and not half of them are answered */
    bool held, settling, closed;
};

static inline bool validated_is_pressed(const struct validated_conn *state)
{
    return state->in_crowd.next != &state->in_crowd;
}

static inline struct validated_shared *validated_shared_of(struct endpoint_conn *conn)
{
    return endpoint_shared(endpoint_of(conn));
}

/* --- validated_load.c: endpoints of the configuration ---------------------------------------------------------------- */

/* Logs what is wrong with a schema, whose endpoint is then out of order. ERR_MEMORY. */
enum err_e validated_load(struct validated_shared *shared, const struct conf *conf);
void validated_follow(struct validated_shared *shared,
                      const struct conf *conf); /* a reload: the same endpoints */
void validated_unload(struct validated_shared *shared);
struct site *validated_site(const struct validated_shared *shared, const char *path, size_t len);

/* --- validated_pool.c: handlers outside ------------------------------------------------------------------------------- */

extern const struct validated_handler validated_pool_handler; /* arg: the site */
enum err_e validated_pool_start(struct validated_shared *shared);
void validated_pool_follow(struct validated_shared *shared, const struct conf *conf);
void validated_pool_tick(struct validated_shared *shared);
void validated_pool_stop(struct validated_shared *shared); /* every connection is gone */

/* --- validated_answer.c ------------------------------------------------------------------------------------------------ */

/* A fault of the handler, logged at most once a minute and kind; `why` may be NULL. */
void validated_fault(struct validated_shared *shared, const struct site *site, enum validated_fault_e fault,
                     const char *why);
/* Noria's own refusal in the place of an answer. */
void validated_refuse(struct endpoint_conn *conn, uint64_t token, const json_t *errors);

/* --- validated_dialect.c ----------------------------------------------------------------------------------------------- */

/* The text of an answer is there (at NULL: nothing is to be sent): it goes out, or waits for its turn. */
void validated_place(struct endpoint_conn *conn, uint64_t token, const struct validated_text *text);
/* It is in no crowd any more: what was deferred goes on its way, and it is read again. */
void validated_resume(struct endpoint_conn *conn);
