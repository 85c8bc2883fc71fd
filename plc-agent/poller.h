/* poller.h — whose turn it is at the PLC, and what its answers say about the connection (Hop: D3).
 *
 * One request is in flight at a time. When none is, the next poll is planned; a command goes before it (the queue asks
 * in `turn`, which comes after every exchange, or at any moment when the poller is idle), never into the one in flight.
 *
 *     reading good        connection CONNECTED; next poll poll_interval after this one's start, poll_moving while the
 *                         machine moves or a move is watched
 *     first failure       still CONNECTED; one more try at once, on a new connection
 *     failure after that  DISCONNECTED, or ERROR if the last two exchanges both brought bytes that are no reply;
 *                         next poll after a back-off (backoff.h)
 *
 * So DISCONNECTED means: an exchange failed and a new connection, tried immediately, brought no reading either. The
 * last reading is kept. A connection that the PLC ends between two polls is no failure; the next poll makes a new one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ages.h"
#include "driver.h"
#include "machine.h"
#include "profile.h"

struct poller;

struct poller_turn {
    bool command; /* false: it was a poll */
    struct driver_answer answer;
};

struct poller_events {
    /* Every good reading, of polls and commands. */
    void (*reading)(void *arg, const struct driver_answer *answer);
    /* The connection is another than before. After `reading`, where both are due. */
    void (*connection)(void *arg, enum connection_e connection, const struct driver_answer *answer);
    /* Last: an exchange has ended and the PLC is free. poller_command() and poller_poll_now() may be called. */
    void (*turn)(void *arg, const struct poller_turn *turn);
};

struct poller_config {
    struct loop *loop;
    const struct driver_ops *ops;
    struct driver_config driver;   /* loop, done and arg are filled in here */
    const struct profile *profile; /* NULL: nothing ever moves */
    uint64_t interval_ns, moving_ns;
    uint64_t backoff_min_ns, backoff_max_ns;
    uint64_t reply_limit_ns;
    uint64_t seed;     /* of the jitter */
    struct ages *ages; /* of round trips and lag; NULL: nobody wants them */
    const struct poller_events *events;
    void *arg;
};

struct poller_counts {
    uint64_t polls, poll_failures;
    uint64_t exchange_us, poll_lag_us; /* the last ones */
};

/* Opens the driver; the first poll is due at once. ERR_MEMORY, or the driver's error. */
enum err_e poller_new(const struct poller_config *config, struct poller **poller);
void poller_free(struct poller **poller); /* no event any more */
void poller_stop(struct poller *poller);  /* no further polls; what is in flight ends, with its `turn` */

bool poller_idle(const struct poller *poller);
/* The last exchange brought a reading, over the connection that the next one will use. */
bool poller_fresh(const struct poller *poller);
uint64_t poller_begun(const struct poller *poller); /* how many exchanges so far */
enum connection_e poller_connection(const struct poller *poller);

/* Polls now. Idle only. False: not done, because the PLC is in back-off and was tried less than backoff_min ago, so
 * that clients' commands cannot hammer it. A try of this kind leaves the back-off as it is. */
bool poller_poll_now(struct poller *poller);

/* Idle only. `turn` tells how it ended. The reply limit is filled in. */
void poller_command(struct poller *poller, const struct driver_request *request);

/* While true, polls go at the moving rate whatever the readings say. */
void poller_watch(struct poller *poller, bool watched);

const struct poller_counts *poller_counts(const struct poller *poller);
const struct driver_counts *poller_driver_counts(const struct poller *poller);
