/* endpoint_survey.h — questions to all workers of the installation, and this worker's answers to them.
 *
 *     endpoint_survey() ── SURVEY ──▶ broker ── SURVEY_WORKERS ──▶ complete? no: again after 50 ms ─┐
 *            ▲                                                        │ yes             ▲───────────┘
 *          done() ◀─ all told everything ─ rows() ◀─ SURVEY_ROWS ◀─ broker ◀─ each worker ◀─ broker ◀─ SURVEY_ASK
 *                                            └── not the last: SURVEY_ASK from the cursor on ────────────▲
 *
 * Who must be counted is the broker's to say: it knows which worker processes live, introduced or not. Everybody is asked, this
 * worker too, along the same way, one piece of at most WIRE_SURVEY_ROWS_MAX in flight per worker, so that neither a worker nor the bus
 * ever holds more than that of a survey. Nobody waits: everything happens in the link's events and in ticks.
 *
 * How a survey ends, exactly once, never from within endpoint_survey() and at most ENDPOINT_SURVEY_MS and a tick after it:
 *     ERR_OK         all rows of all workers were told
 *     ERR_TIMEOUT    some worker did not tell everything in time (silent of workers). 0 of 0: who is there never became known,
 *                    because the broker was away or a living worker did not introduce itself
 *     ERR_CLOSED     a worker, or the broker's link, went away after the first question to a worker; or this process ends. Until then
 *                    nothing is lost by a broker's death: the survey waits for the next one
 *     ERR_TOO_LARGE  more than SURVEY_BYTES_MAX of rows
 *     ERR_MALFORMED  a worker gives no rows, or the same again, for ever
 *
 * What does not belong to a survey under way (other query, other worker, nothing asked) is counted and ignored: answers may come
 * when their survey is long over.
 *
 * Rate: from the first question to a worker to the last answer, and in done(), passes d; the next survey of the dialect begins 3·d
 * after that at the earliest (ERR_BUSY), so that one asker takes a quarter of its own and the others' time at most. A dialect that has to wait tries again in
 * its tick. Time spent waiting for who does not answer does not count: it costs nobody anything.
 *
 * Rejected: each worker counting the others' clients from the ring (counts drift apart, nobody notices); the broker keeping the rows of
 * all workers (its memory would grow with their clients). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "wire.h"

#define SURVEY_BYTES_MAX (64u * 1024u * 1024u)
#define SURVEY_AGAIN_NS  (50 * 1000000ULL) /* after a list that was not complete */
#define SURVEY_PAUSE     3u                /* times what it took */

struct endpoint_host;
struct endpoint_common;

enum survey_state_e { SURVEY_IDLE, SURVEY_LISTING, SURVEY_ASKING };

struct survey_target {
    uint64_t worker;
    struct endpoint_cursor cursor;
    bool asked, told; /* a piece is on its way; it has told everything */
};

struct survey { /* of one dialect */
    enum survey_state_e state;
    uint64_t query; /* its number in this process */
    unsigned question;
    const struct endpoint_survey_events *events;
    void *arg;
    uint64_t deadline_ns;
    uint64_t again_ns;          /* listing: when to ask again; UINT64_MAX: a question is on its way */
    uint64_t asked_ns, told_ns; /* the first question, the last answer */
    uint64_t rested_ns;         /* before that no other survey */
    struct survey_target targets[WIRE_WORKERS_MAX];
    unsigned target_count, silent; /* silent: those that have not told everything */
    uint64_t bytes;
    bool telling; /* an event runs */
};

struct survey_counts {
    uint64_t begun, failed; /* asked here, and how many ended with an error */
    uint64_t answered;      /* pieces that this worker gave */
    uint64_t unsent;        /* pieces that the bus did not take; the asker's time limit tells */
    uint64_t late;          /* messages of no survey under way */
};

struct surveys { /* of one host */
    uint64_t last_query;
    struct survey_counts counts;
};

/* SURVEY_WORKERS, SURVEY_ASK, SURVEY_ROWS; false: the message is another. */
bool survey_hear(struct endpoint_host *host, const struct wire_message *message);
void survey_broker_down(struct endpoint_host *host);
void survey_tick(struct endpoint_common *common);
void survey_give_up(struct endpoint_common *common); /* the process ends */
