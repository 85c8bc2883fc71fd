/* See poller.h (Hop: D3). */
#include "poller.h"

#include <stdlib.h>

#include "backoff.h"
#include "must.h"

#define POLLER_MAGIC 0x504f4c4cu

enum flight_e { FLIGHT_NONE, FLIGHT_POLL, FLIGHT_EXTRA_POLL, FLIGHT_COMMAND };

struct poller {
    uint32_t magic;
    struct poller_config config;
    struct driver *driver;
    struct loop_timer *timer; /* the next poll; runs exactly while nothing is in flight */
    enum flight_e flight;
    bool stopped, watched;

    enum connection_e connection;
    bool last_good;      /* the last exchange brought a reading */
    bool suspect;        /* CONNECTED, but the last exchange failed: trying again at once */
    unsigned bad_in_row; /* BAD_REPLY results since anything else */
    bool moving;         /* by the last reading */
    uint64_t started_ns; /* of the last exchange */
    uint64_t due_ns;     /* of the next poll */
    uint64_t begun;      /* exchanges */
    struct backoff backoff;
    struct poller_counts counts;
};

static uint64_t now_ns(const struct poller *poller)
{
    return loop_now_ns(poller->config.loop);
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

static void start(struct poller *poller, enum flight_e flight, const struct driver_request *request)
{
    MUST(poller->flight == FLIGHT_NONE);
    loop_timer_stop(poller->timer);
    poller->flight = flight;
    poller->started_ns = now_ns(poller);
    poller->begun++;
    poller->config.ops->exchange(poller->driver, request);
}

static void start_poll(struct poller *poller, enum flight_e flight)
{
    struct driver_request request = {
        .command = 0, /* status */
        .argument = DRIVER_NO_ARGUMENT,
        .reply_limit_ns = poller->config.reply_limit_ns,
        .send_by_ns = UINT64_MAX,
    };
    start(poller, flight, &request);
}

static void on_due(void *arg)
{
    struct poller *poller = arg;
    MUST_MAGIC(poller, POLLER_MAGIC);
    uint64_t now = now_ns(poller);
    poller->counts.poll_lag_us = now > poller->due_ns ? (now - poller->due_ns) / NS_PER_US : 0;
    start_poll(poller, FLIGHT_POLL);
}

static void arm(struct poller *poller)
{
    if (poller->flight == FLIGHT_NONE && !poller->stopped)
        loop_timer_start_at(poller->timer, poller->due_ns);
}

/* --- what an answer says ----------------------------------------------------------------------------------------- */

static void set_connection(struct poller *poller, enum connection_e connection,
                           const struct driver_answer *answer)
{
    if (poller->connection == connection)
        return;
    poller->connection = connection;
    poller->config.events->connection(poller->config.arg, connection, answer);
}

static uint64_t interval(const struct poller *poller)
{
    return poller->moving || poller->watched ? poller->config.moving_ns : poller->config.interval_ns;
}

static void plan_next(struct poller *poller)
{
    uint64_t now = now_ns(poller), due = poller->started_ns + interval(poller);
    poller->due_ns = due > now ? due : now;
}

static void went_well(struct poller *poller, const struct driver_answer *answer)
{
    poller->last_good = true;
    poller->suspect = false;
    poller->bad_in_row = 0;
    backoff_reset(&poller->backoff);
    poller->moving = poller->config.profile != NULL &&
                     profile_says(poller->config.profile, answer->status, MEANING_MOVING);
    poller->counts.exchange_us = answer->took_ns / NS_PER_US;
    poller->config.events->reading(poller->config.arg, answer);
    set_connection(poller, CONNECTION_CONNECTED, answer);
    plan_next(poller);
}

static void went_wrong(struct poller *poller, enum flight_e flight, const struct driver_answer *answer)
{
    poller->last_good = false;
    poller->bad_in_row = answer->result == DRIVER_BAD_REPLY ? poller->bad_in_row + 1 : 0;
    if (poller->connection == CONNECTION_CONNECTED && !poller->suspect) {
        poller->suspect = true;
        poller->due_ns = now_ns(poller);
        return;
    }
    bool was_connected = poller->suspect;
    poller->suspect = false;
    set_connection(poller, poller->bad_in_row >= 2 ? CONNECTION_ERROR : CONNECTION_DISCONNECTED, answer);
    if (flight != FLIGHT_EXTRA_POLL || was_connected)
        poller->due_ns = now_ns(poller) + backoff_next_ns(&poller->backoff);
}

/* A command whose time was over before it could be written says nothing about the PLC. */
static bool says_nothing(const struct driver_answer *answer)
{
    return answer->result == DRIVER_TIMEOUT && answer->sent == DRIVER_NOT_SENT;
}

static void count_poll(struct poller *poller, const struct driver_answer *answer)
{
    if (answer->result == DRIVER_REPLY)
        poller->counts.polls++;
    else
        poller->counts.poll_failures++;
}

/* A poll that somebody asked for was not planned; one that never left cannot be late. */
static void observe(struct poller *poller, enum flight_e flight, const struct driver_answer *answer)
{
    struct ages *ages = poller->config.ages;
    if (ages == NULL || answer->took_ns == 0)
        return;
    if (answer->result == DRIVER_REPLY)
        ages_observe(ages, AGE_PLC_ROUND_TRIP, answer->took_ns);
    if (flight == FLIGHT_POLL)
        ages_observe_since(ages, AGE_POLL_LAG, poller->due_ns, answer->readable_ns - answer->took_ns);
}

static void on_done(void *arg, const struct driver_answer *answer)
{
    struct poller *poller = arg;
    MUST_MAGIC(poller, POLLER_MAGIC);
    enum flight_e flight = poller->flight;
    poller->flight = FLIGHT_NONE;
    if (flight != FLIGHT_COMMAND)
        count_poll(poller, answer);
    observe(poller, flight, answer);
    if (answer->result == DRIVER_REPLY)
        went_well(poller, answer);
    else if (says_nothing(answer))
        plan_next(poller);
    else
        went_wrong(poller, flight, answer);
    struct poller_turn turn = {.command = flight == FLIGHT_COMMAND, .answer = *answer};
    poller->config.events->turn(poller->config.arg, &turn);
    arm(poller);
}

/* --- for the queue ----------------------------------------------------------------------------------------------- */

bool poller_idle(const struct poller *poller)
{
    return poller->flight == FLIGHT_NONE;
}

bool poller_fresh(const struct poller *poller)
{
    bool same =
        !poller->config.driver.persistent || poller->config.ops->state(poller->driver) == DRIVER_STATE_OPEN;
    return poller->last_good && same;
}

uint64_t poller_begun(const struct poller *poller)
{
    return poller->begun;
}

enum connection_e poller_connection(const struct poller *poller)
{
    return poller->connection;
}

bool poller_poll_now(struct poller *poller)
{
    bool resting = poller->connection != CONNECTION_CONNECTED && poller->started_ns != 0;
    if (resting && now_ns(poller) < poller->started_ns + poller->config.backoff_min_ns)
        return false;
    start_poll(poller, FLIGHT_EXTRA_POLL);
    return true;
}

void poller_command(struct poller *poller, const struct driver_request *request)
{
    struct driver_request limited = *request;
    limited.reply_limit_ns = poller->config.reply_limit_ns;
    start(poller, FLIGHT_COMMAND, &limited);
}

void poller_watch(struct poller *poller, bool watched)
{
    if (poller->watched == watched)
        return;
    poller->watched = watched;
    if (poller->flight != FLIGHT_NONE || !poller->last_good)
        return;
    plan_next(poller);
    arm(poller);
}

const struct poller_counts *poller_counts(const struct poller *poller)
{
    return &poller->counts;
}

const struct driver_counts *poller_driver_counts(const struct poller *poller)
{
    return poller->config.ops->counts(poller->driver);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

enum err_e poller_new(const struct poller_config *config, struct poller **poller)
{
    struct poller *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_MEMORY;
    p->magic = POLLER_MAGIC;
    p->config = *config;
    p->config.driver.loop = config->loop;
    p->config.driver.done = on_done;
    p->config.driver.arg = p;
    backoff_init(&p->backoff, config->backoff_min_ns, config->backoff_max_ns, config->seed);
    p->timer = loop_timer_new(config->loop, on_due, p);
    enum err_e err = p->timer != NULL ? config->ops->open(&p->config.driver, &p->driver) : ERR_MEMORY;
    if (err != ERR_OK) {
        loop_timer_free(&p->timer);
        free(p);
        return err;
    }
    p->due_ns = now_ns(p);
    arm(p);
    *poller = p;
    return ERR_OK;
}

void poller_free(struct poller **poller)
{
    struct poller *p = *poller;
    if (p == NULL)
        return;
    MUST_MAGIC(p, POLLER_MAGIC);
    p->config.ops->close(&p->driver);
    loop_timer_free(&p->timer);
    p->magic = 0;
    free(p);
    *poller = NULL;
}

void poller_stop(struct poller *poller)
{
    poller->stopped = true;
    loop_timer_stop(poller->timer);
}
