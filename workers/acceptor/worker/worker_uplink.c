/* Hops: C3, R3. The link to the broker on the worker's loop: introduce, attach to the broker's ring and bell, send
 * commands up. What comes back for clients comes through the ring; on the bus the broker only keeps the link alive. */
#include <stdio.h>
#include <string.h>

#include "command_scope.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "worker.h"
#include "worker_metrics.h"

#define LINK_BUDGET 64u

/* --- the segment shm/worker.N ---------------------------------------------------------------------------------------------- */

/* While a broker was away, another worker may have been given this slot by the next one, and be gone again: its file stands
 * under the name then, and the broker would look into that for whether this worker sleeps. */
static enum err_e take_slot(struct worker *w, uint32_t slot)
{
    if (w->segment != NULL && w->slot == slot && segment_stands(w->segment))
        return ERR_OK;
    char relative[32], path[CONF_PATH_MAX];
    snprintf(relative, sizeof relative, "shm/worker.%u", slot);
    conf_path(w->conf, relative, path);
    worker_ear_close(w);
    w->host.outbox.stats = NULL;
    segment_close(&w->segment, true);
    enum err_e err = segment_create(path, relative + 4, "", w->incarnation, worker_metric_defs,
                                    WORKER_METRIC_COUNT, &w->segment, &w->stats);
    if (err != ERR_OK)
        return err;
    w->slot = slot;
    w->host.outbox.stats = &w->stats;
    w->host.outbox.metrics =
        (struct outbox_metrics){WORKER_HOP_D8, WORKER_HOP_D11_FIRST, WORKER_HOP_D11_LAST, WORKER_HOP_R4};
    log_init(relative + 4, w->conf->log_level);
    worker_metrics_copy(w); /* what is known already stands there from the beginning */
    return ERR_OK;
}

/* --- attaching ---------------------------------------------------------------------------------------------------------------- */

static void serve(struct worker *w)
{
    if (w->serving || w->stopping)
        return;
    enum err_e err = worker_open_doors(w);
    if (err != ERR_OK) {
        worker_stop(w, err == ERR_CONFIG ? PROC_EXIT_PERMANENT : PROC_EXIT_FAILURE);
        return;
    }
    w->serving = true;
    log_info("serving", "slot=%u listeners=%u machines=%u", w->slot, w->listener_count,
             w->host.mirror.present);
    proc_ready();
}

/* Everything a HELLO_OK brings; repeated by the tick until it works. */
static void attach(struct worker *w)
{
    enum err_e err = take_slot(w, (uint32_t)w->hello_ok.slot);
    if (err == ERR_OK)
        err = host_broker_up(&w->host, (uint32_t)w->hello_ok.ring_id);
    if (err == ERR_VERSION) {
        log_error("attach", "error=\"shared memory has another layout version than this program\"");
        worker_stop(w, PROC_EXIT_PERMANENT);
        return;
    }
    if (err != ERR_OK && !w->attach_pending)
        log_warn("attach", "error=\"%s\" cannot attach to the broker's shared memory yet", err_text(err));
    w->attach_pending = err != ERR_OK;
    if (w->attach_pending)
        return;
    worker_ear_open(w);
    worker_pump_start(w);
    serve(w);
}

/* --- the link's events ----------------------------------------------------------------------------------------------------- */

static void on_hello(void *arg, struct wire_hello *hello)
{
    struct worker *w = arg;
    hello->slot = w->slot;
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct worker *w = arg;
    log_info("broker-up", "slot=%u", (unsigned)ok->slot);
    w->hello_ok = *ok;
    worker_ear_close(w);
    attach(w);
}

static void on_down(void *arg)
{
    struct worker *w = arg;
    if (!w->stopping)
        log_warn("broker-down", "the broker's connection ended; clients stay, commands wait");
    w->attach_pending = false;
    host_broker_down(&w->host);
}

static void on_refused(void *arg, const char *reason)
{
    struct worker *w = arg;
    log_error("broker-refused", "reason=\"%s\"", reason);
    worker_stop(w, PROC_EXIT_PERMANENT);
}

static void on_message(void *arg, const struct wire_message *message)
{
    struct worker *w = arg;
    if (!host_hear(&w->host, message))
        log_debug("unexpected", "message=%s of the broker", wire_type_name(message->type));
}

static void on_heartbeat(void *arg, struct wire_heartbeat *heartbeat)
{
    const struct worker *w = arg;
    heartbeat->channels = host_channels(&w->host);
}

/* After the broker's death the last number stands until the next one speaks. */
static void on_broker_heartbeat(void *arg, const struct wire_heartbeat *heartbeat)
{
    struct worker *w = arg;
    host_set_channels_elsewhere(&w->host, heartbeat->channels);
}

/* --- commands up ------------------------------------------------------------------------------------------------------------- */

static uint64_t ms_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (to_ns - from_ns) / NS_PER_MS : 0;
}

void worker_sent_up(struct worker *w)
{
    for (unsigned i = 0; i < w->sent_up; i++)
        outbox_observe(&w->host.outbox, WORKER_HOP_C3, w->sent_up_ns[i]);
    w->sent_up = 0;
}

/* It leaves with the next flush; of very many at once, those that find no place here count as they were until now. */
static void note_sent_up(struct worker *w, uint64_t read_ns)
{
    if (w->sent_up == WORKER_SENT_UP_MAX)
        worker_sent_up(w);
    w->sent_up_ns[w->sent_up++] = read_ns;
}

enum err_e worker_send_up(void *arg, const struct pending_entry *entry, bool resent)
{
    struct worker *w = arg;
    uint64_t now = clock_mono_ns(w->clock);
    char scope[COMMAND_SCOPE_MAX + 1], from[CALLER_FROM_MAX];
    struct wire_message message = {.type = WIRE_COMMAND};
    entry->caller->ops->from(entry->caller, from);
    command_scope(scope, entry->caller->principal, entry->command.request_id, w->incarnation,
                  entry->session_serial);
    message.command = (struct wire_command){
        .session_worker = w->incarnation,
        .session_serial = entry->session_serial,
        .command_serial = entry->command_serial,
        .dialect = entry->caller->record_dialect,
        .machine = wire_text(entry->command.machine),
        .request_id = wire_text(entry->command.request_id),
        .scope = wire_text(scope),
        .who = wire_text(entry->caller->principal), /* conf.h bounds it */
        .from = wire_text(from),
        .command = entry->command.command,
        .argument = entry->command.argument,
        .deadline_ms = (int64_t)ms_between(now, entry->deadline_ns),
        .age_ms = ms_between(entry->accepted_ns, now),
        .resent = resent,
        .source_ns = entry->accepted_ns,
    };
    w->link_dirty = true;
    enum err_e err = link_send(w->link, &message);
    if (err == ERR_OK && !resent)
        note_sent_up(w, entry->accepted_ns);
    return err;
}

enum err_e worker_send_message(void *arg, struct wire_message *message)
{
    struct worker *w = arg;
    w->link_dirty = true;
    return link_send(w->link, message);
}

/* --- on the loop ---------------------------------------------------------------------------------------------------------------- */

void worker_uplink_service(struct worker *w)
{
    worker_sent_up(w);
    w->link_dirty = link_service(w->link, LINK_BUDGET);
    publishing_send(&w->host);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    worker_uplink_service(poll->data);
}

void worker_uplink_tick(struct worker *w)
{
    worker_uplink_service(w);
    if (w->attach_pending && link_state(w->link) == LINK_UP)
        attach(w);
}

enum err_e worker_uplink_open(struct worker *w)
{
    static const struct link_events events = {
        .hello = on_hello,
        .up = on_up,
        .down = on_down,
        .refused = on_refused,
        .message = on_message,
        .heartbeat = on_heartbeat,
        .broker_heartbeat = on_broker_heartbeat,
    };
    char path[CONF_PATH_MAX], endpoint[CONF_PATH_MAX + 8];
    conf_path(w->conf, "bus/broker.sock", path);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    struct link_config config = {.endpoint = endpoint,
                                 .role = WIRE_WORKER,
                                 .incarnation = w->incarnation,
                                 .clock = w->clock,
                                 .events = &events,
                                 .arg = w,
                                 .gathers = true}; /* on_after_poll(), on_before_poll() */
    enum err_e err = link_open(&config, &w->link);
    if (err != ERR_OK)
        return err;
    w->link_poll.data = w;
    if (uv_poll_init(&w->loop, &w->link_poll, link_fd(w->link)) != 0 ||
        uv_poll_start(&w->link_poll, UV_READABLE, on_readable) != 0)
        return ERR_SYSTEM;
    return ERR_OK;
}

void worker_uplink_close(struct worker *w)
{
    link_close(&w->link);
    segment_close(&w->segment, true);
}
