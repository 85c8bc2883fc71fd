/* streams_admin.h — getnumchannels() and getchannelinfo() (Hop: C2).
 *
 *     ask ─▶ waiting ─▶ survey of all workers ─▶ one answer for all who waited for this question when it began
 *               ▲                                  │
 *               └── whoever asks meanwhile waits for the next: what it opened itself must be in its answer
 *
 * A request is always answered, with the answer or with an error, unless its connection ends before. One survey at a time; the
 * question of whoever waits longest comes next.
 *
 * Bounds: STREAMS_WAITING_MAX requests wait; an answer has at most STREAMS_ANSWER_MAX bytes; it is given to a connection only while
 * what all connections of the worker are owed stays below STREAMS_OWED_MAX. A request costs its client as much as
 * STREAMS_ADMIN_COST messages, and one more for each 4 KiB of the last answer. */
#pragma once

#include "endpoint.h"
#include "streams_answer.h"
#include "streams_message.h"

#define STREAMS_WAITING_MAX 256u
#define STREAMS_OWED_MAX    (64u * 1024u * 1024u)
#define STREAMS_ADMIN_COST  50u

struct streams_asker {
    struct endpoint_conn *conn;
    enum streams_question_e question;
    bool surveyed; /* the running survey is for it */
};

struct streams_admin {
    struct streams_asker waiting[STREAMS_WAITING_MAX]; /* in the order in which they came */
    uint32_t count;
    bool running;
    enum streams_question_e question; /* of the running survey */
    struct streams_answer answer;
    size_t last_len;
};

/* {"ws_op":"error","ws_msg":TEXT} */
void streams_reply_error(struct endpoint_conn *conn, const char *text);

/* The connection asks; zeroed memory is a streams_admin. */
void streams_admin_ask(struct streams_admin *admin, struct endpoint_conn *conn,
                       const struct streams_text *question);
void streams_admin_forget(struct streams_admin *admin, const struct endpoint_conn *conn); /* it ends */

/* Begins a survey for those who wait, if none runs. */
void streams_admin_tick(struct streams_admin *admin, struct endpoint *endpoint);
void streams_admin_fini(struct streams_admin *admin);
