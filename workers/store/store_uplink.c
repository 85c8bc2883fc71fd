/* The store's link to the broker on the loop (store.h): what comes is taken, executed in groups and answered; what is committed goes out.
 *
 * One round: receive, execute a group, send events, see what is due. A round that leaves something to do is followed by the next one at
 * once, so that signals and timers are served in between.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "entropy.h"
#include "fault_point.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "store.h"
#include "store_metrics.h"

#define LINK_BUDGET 256u
#define LAST_NS     (1 * NS_PER_S)

enum err_e store_show(struct store *store)
{
    if (store->segment != NULL && segment_stands(store->segment))
        return ERR_OK;
    segment_close(&store->segment, true);
    return segment_create(store->segment_path, "store", "", store->incarnation, store_metric_defs,
                          STORE_METRIC_COUNT, &store->segment, &store->stats);
}

/* --- the link's events ------------------------------------------------------------------------------------------------ */

static void on_hello(void *arg, struct wire_hello *hello)
{
    (void)arg;
    (void)hello; /* a store has neither slot nor machine */
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct store *store = arg;
    log_info("broker-up",
             "broker_gen=%016" PRIx64 " source=%016" PRIx64 " last=%" PRIu64 " unpublished=%" PRIu64,
             link_broker_gen(store->link), db_source(store->db), db_last_event(store->db),
             db_first_unpublished(store->db));
    stats_add(&store->stats, STORE_BROKER_UPS, 1);
    store_watch_broker(&store->watch, (uint32_t)ok->ring_id);
    store_outbox_up(&store->outbox);
}

static void on_down(void *arg)
{
    struct store *store = arg;
    log_warn("broker-down", "dropped_requests=%u the broker's connection ended, or it fell silent",
             store->group.waiting);
    stats_add(&store->stats, STORE_BROKER_DOWNS, 1);
    store_outbox_down(&store->outbox);
    store_group_forget(&store->group);
    store->unheard_bytes = 0;
}

/* Not permanent: a file's lock lets only one store write it, so another one that is introduced is this one's predecessor, just dead. */
static void on_refused(void *arg, const char *reason)
{
    struct store *store = arg;
    log_error("broker-refused", "reason=\"%s\"", reason);
    store->exit_code = PROC_EXIT_FAILURE;
    loop_stop(store->loop);
}

static void on_message(void *arg, const struct wire_message *message)
{
    struct store *store = arg;
    if (message->type == WIRE_STORE_REQUEST)
        store_group_take(&store->group, &message->store_request);
    else if (message->type == WIRE_EVENT_ACK)
        store_outbox_acked(&store->outbox, &message->event_ack);
    else
        stats_add(&store->stats, STORE_MALFORMED, 1);
}

static const struct link_events events = {
    .hello = on_hello, .up = on_up, .down = on_down, .refused = on_refused, .message = on_message};

/* --- what goes out ----------------------------------------------------------------------------------------------------- */

static enum err_e send_reply(void *arg, struct wire_message *message)
{
    struct store *store = arg;
    store->unheard_bytes += message->store_reply.body.len;
    return link_send(store->link, message);
}

static enum err_e send_event(void *arg, struct wire_message *message)
{
    struct store *store = arg;
    return link_send(store->link, message);
}

static uint64_t new_source(void *arg)
{
    (void)arg;
    return entropy_u64();
}

/* --- a group's transaction takes acknowledgements along ----------------------------------------------------------------------- */

static enum err_e join(void *arg)
{
    struct store *store = arg;
    return store_outbox_note(&store->outbox, &store->joined);
}

static void committed(void *arg)
{
    struct store *store = arg;
    store_outbox_noted(&store->outbox, store->joined);
    stats_set(&store->stats, STORE_EVENT_LAST, db_last_event(store->db)); /* before anybody is answered */
}

static bool events_complete(void *arg)
{
    struct store *store = arg;
    return store_outbox_is_complete(&store->outbox);
}

static bool may_turn(void *arg)
{
    struct store *store = arg;
    return !store_outbox_is_behind(&store->outbox);
}

/* --- rounds -------------------------------------------------------------------------------------------------------------- */

static bool is_heard(struct store *store)
{
    uint64_t received = link_counts(store->link)->received;
    if (received != store->heard)
        store->unheard_bytes = 0;
    store->heard = received;
    return store->unheard_bytes < STORE_UNHEARD_MAX;
}

static bool execute(struct store *store)
{
    if (!store->outbox.settled || store_group_is_idle(&store->group))
        return false;
    if (!is_heard(store)) {
        stats_add(&store->stats, STORE_HELD_BACK, 1);
        return false;
    }
    uint64_t before = stats_get(&store->stats, STORE_REPLIES);
    bool more = store_group_run(&store->group);
    link_flush(store->link);
    if (stats_get(&store->stats, STORE_REPLIES) != before)
        FAULT_POINT(STORE_REPLIED);
    return more;
}

static bool publish(struct store *store)
{
    uint64_t before = stats_get(&store->stats, STORE_EVENTS_SENT);
    store_outbox_tick(&store->outbox);
    bool more = store_outbox_pump(&store->outbox);
    link_flush(store->link);
    if (stats_get(&store->stats, STORE_EVENTS_SENT) != before)
        FAULT_POINT(STORE_EVENT_SENT);
    stats_set(&store->stats, STORE_EVENT_LAST, db_last_event(store->db));
    return more;
}

static void arm(struct store *store, bool more)
{
    uint64_t due = link_due_ns(store->link), outbox = store_outbox_due_ns(&store->outbox);
    if (outbox < due)
        due = outbox;
    if (more)
        due = loop_now_ns(store->loop);
    if (due == UINT64_MAX)
        loop_timer_stop(store->round);
    else
        loop_timer_start_at(store->round, due);
}

static void go_round(void *arg)
{
    struct store *store = arg;
    bool more = link_service(store->link, LINK_BUDGET);
    more |= execute(store);
    more |= publish(store);
    link_look(store->link);
    arm(store, more);
}

static void on_readable(void *arg, unsigned what)
{
    (void)what;
    go_round(arg);
}

static void show_database(struct store *store)
{
    struct db_counts counts;
    db_get_counts(store->db, &counts);
    stats_set(&store->stats, STORE_EVENT_UNPUBLISHED, db_first_unpublished(store->db));
    stats_set(&store->stats, STORE_ANOMALIES, counts.anomalies);
    stats_set(&store->stats, STORE_EXPIRED, counts.expired);
    stats_set(&store->stats, STORE_FILE_BYTES, counts.file_bytes);
    stats_set(&store->stats, STORE_EVENT_BYTES, counts.event_bytes);
    stats_set(&store->stats, STORE_CONF_DIGEST, store->conf->digest);
}

/* Ten times a second: the ring, and what is to be removed. What these commit goes out with the next round. */
static void on_look(void *arg)
{
    struct store *store = arg;
    uint64_t delay = WATCH_PERIOD_NS, now = loop_now_ns(store->loop);
    if (store->outbox.settled) {
        bool busy = !store_group_is_idle(&store->group) || store->outbox.window.sent_count > 0;
        if (store_watch_step(&store->watch))
            delay = NS_PER_MS;
        store_upkeep_tick(&store->upkeep, busy);
        uint64_t due = store->upkeep.due_ns;
        if (due < now + delay)
            delay = due > now ? due - now : 0;
        loop_timer_start(store->round, 0);
    }
    show_database(store);
    loop_timer_start(store->look, delay);
}

/* --- opening and closing --------------------------------------------------------------------------------------------------------- */

static enum err_e make_parts(struct store *store)
{
    store->group = (struct store_group){.db = store->db,
                                        .stats = &store->stats,
                                        .clock = store->clock,
                                        .send = send_reply,
                                        .join = join,
                                        .committed = committed,
                                        .events_complete = events_complete,
                                        .may_turn = may_turn,
                                        .arg = store};
    store->outbox = (struct store_outbox){.db = store->db,
                                          .stats = &store->stats,
                                          .clock = store->clock,
                                          .send = send_event,
                                          .new_source = new_source,
                                          .arg = store};
    store->watch.conf = store->conf;
    store->watch.db = store->db;
    store->watch.stats = &store->stats;
    store->watch.clock = store->clock;
    store->watch.ring_path = store->ring_path;
    store->watch.lvt_path = store->lvt_path;
    store->upkeep = (struct store_upkeep){.db = store->db, .stats = &store->stats, .clock = store->clock};
    store_upkeep_keep(&store->upkeep, &store->conf->store);
    db_set_delete_rows(store->db, store->conf->store.delete_rows);
    store_outbox_init(&store->outbox);
    store_watch_init(&store->watch);
    store_upkeep_init(&store->upkeep);
    return store_group_init(&store->group);
}

enum err_e store_uplink_open(struct store *store)
{
    struct link_config config = {.endpoint = store->endpoint,
                                 .role = WIRE_STORE,
                                 .incarnation = store->incarnation,
                                 .clock = store->clock,
                                 .events = &events,
                                 .arg = store,
                                 .gathers = true};
    enum err_e err = make_parts(store);
    if (err == ERR_OK)
        err = link_open(&config, &store->link);
    if (err != ERR_OK)
        return err;
    store->round = loop_timer_new(store->loop, go_round, store);
    store->look = loop_timer_new(store->loop, on_look, store);
    store->link_watch = loop_fd_new(store->loop, link_fd(store->link), LOOP_READ, on_readable, store);
    if (store->round == NULL || store->look == NULL || store->link_watch == NULL)
        return ERR_MEMORY;
    loop_timer_start(store->round, 0);
    loop_timer_start(store->look, WATCH_PERIOD_NS);
    return ERR_OK;
}

static void finish(struct store *store)
{
    uint64_t end = clock_mono_ns(store->clock) + LAST_NS;
    for (bool more = true; more && clock_mono_ns(store->clock) < end;)
        more = execute(store);
    store_group_leave(&store->group);
    publish(store);
    link_flush(store->link);
    if (store->outbox.note_due_ns != 0) {
        store->outbox.note_due_ns = 1; /* now */
        store_outbox_tick(&store->outbox);
    }
}

void store_uplink_close(struct store *store)
{
    if (store->link != NULL)
        finish(store);
    loop_timer_free(&store->round);
    loop_timer_free(&store->look);
    if (store->link_watch != NULL)
        loop_fd_free(&store->link_watch);
    link_close(&store->link);
    if (store->group.stats != NULL) {
        store_group_fini(&store->group);
        store_watch_fini(&store->watch);
    }
}
