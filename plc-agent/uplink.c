/* See uplink.h (Hop: D5, R1).
 *
 * One timer drives the link: it is set to link_due_ns(), and to now after every send, because sending may consume the
 * wake-up for a message that has arrived meanwhile (ZMQ_FD, see bus.h). */
#include "uplink.h"

#include <endian.h>
#include <stdlib.h>

#include "fault_point.h"
#include "log.h"
#include "must.h"

#define UPLINK_MAGIC 0x55504c4bu
#define LINK_BUDGET  64
#define TRY_AGAIN_NS (10 * NS_PER_MS) /* after ZeroMQ took no more */

struct uplink {
    uint32_t magic;
    struct uplink_config config;
    struct link *link;
    struct loop_fd *watch;
    struct loop_timer *timer;
    bool started;
    bool birth_due; /* since HELLO_OK */
    bool blocked;   /* something could not be sent; try again */
    bool servicing; /* inside link_service() */

    struct outcome outcomes[UPLINK_OUTCOMES]; /* number n stands at n % UPLINK_OUTCOMES */
    uint64_t first;                           /* oldest kept */
    uint64_t next;                            /* to be given; [first, next) are kept */
    uint64_t cursor;                          /* next to be sent to this broker */
    uint64_t unsent;                          /* lowest number never sent to any broker */
    uint64_t settled;                         /* the journal is done up to this note */

    uint64_t metrics[UPLINK_METRICS];
    unsigned char histograms[WIRE_HISTOGRAM_ENTRIES * WIRE_HISTOGRAM_ENTRY];
    struct uplink_counts counts;
};

static uint64_t now_ns(const struct uplink *uplink)
{
    return loop_now_ns(uplink->config.loop);
}

/* --- when to look at the link again ------------------------------------------------------------------------------ */

static void look_at(struct uplink *uplink, uint64_t due_ns)
{
    uint64_t now = now_ns(uplink);
    if (uplink->blocked && due_ns > now + TRY_AGAIN_NS)
        due_ns = now + TRY_AGAIN_NS;
    if (due_ns == UINT64_MAX)
        loop_timer_stop(uplink->timer);
    else
        loop_timer_start_at(uplink->timer, due_ns);
}

static bool send_message(struct uplink *uplink, struct wire_message *message)
{
    enum err_e err = link_send(uplink->link, message);
    if (err == ERR_FULL)
        uplink->blocked = true;
    if (!uplink->servicing)
        look_at(uplink, now_ns(uplink));
    return err == ERR_OK;
}

/* --- states ------------------------------------------------------------------------------------------------------ */

void uplink_state(struct uplink *uplink)
{
    struct image *image = uplink->config.image;
    if (link_state(uplink->link) != LINK_UP || !(uplink->birth_due || image_differs(image)))
        return;
    struct wire_message message = {.type = WIRE_STATE};
    message.state.agent_gen = uplink->config.incarnation;
    message.state.machine = wire_text(uplink->config.machine_id);
    image_state(image, uplink->birth_due, now_ns(uplink), &message.state);
    if (!send_message(uplink, &message))
        return;
    if (image_differs(image)) /* else a birth says again what is old */
        ages_observe_since(uplink->config.ages, AGE_HOP_D5, message.state.source_ns, now_ns(uplink));
    image_was_sent(image);
    uplink->birth_due = false;
    uplink->counts.states_sent++;
}

/* --- outcomes ---------------------------------------------------------------------------------------------------- */

static struct wire_message outcome_message(const struct uplink *uplink, uint64_t seq)
{
    const struct outcome *o = &uplink->outcomes[seq % UPLINK_OUTCOMES];
    struct wire_message message = {.type = WIRE_OUTCOME};
    message.outcome = (struct wire_outcome){
        .agent_gen = uplink->config.incarnation,
        .outcome_seq = seq,
        .kind = o->kind,
        .session_worker = o->key.worker,
        .session_serial = o->key.session,
        .command_serial = o->key.serial,
        .dialect = o->dialect,
        .machine = wire_text(uplink->config.machine_id),
        .request_id = wire_text(o->request_id),
        .command = o->command,
        .argument = o->argument,
        .code = o->code,
        .text = wire_text(o->text),
        .sent = o->sent,
        .repeat = o->repeat,
        .position = o->position,
        .elapsed_ms = o->elapsed_ms,
        .source_ns = o->source_ns,
    };
    return message;
}

static bool send_outcome(struct uplink *uplink, uint64_t seq)
{
    struct wire_message message = outcome_message(uplink, seq);
    if (!send_message(uplink, &message))
        return false;
    uplink->counts.outcomes_sent++;
    if (message.outcome.kind == OUTCOME_RESULT)
        FAULT_POINT(AGENT_RESULT_SENT);
    else
        FAULT_POINT(AGENT_COMPLETION_SENT);
    if (seq < uplink->unsent)
        uplink->counts.outcomes_resent++;
    else
        uplink->unsent = seq + 1;
    return true;
}

static bool is_safe(const struct uplink *uplink, uint64_t seq)
{
    return uplink->outcomes[seq % UPLINK_OUTCOMES].noted <= uplink->settled;
}

static void send_outcomes(struct uplink *uplink)
{
    while (link_state(uplink->link) == LINK_UP && uplink->cursor < uplink->next &&
           is_safe(uplink, uplink->cursor) && send_outcome(uplink, uplink->cursor))
        uplink->cursor++;
}

void uplink_settled(struct uplink *uplink, uint64_t upto)
{
    MUST_MAGIC(uplink, UPLINK_MAGIC);
    uplink->settled = upto;
    send_outcomes(uplink);
}

bool uplink_waits(const struct uplink *uplink)
{
    for (uint64_t seq = uplink->cursor; seq < uplink->next; seq++)
        if (!is_safe(uplink, seq))
            return true;
    return false;
}

size_t uplink_room(const struct uplink *uplink)
{
    return UPLINK_OUTCOMES - (size_t)(uplink->next - uplink->first);
}

uint64_t uplink_outcome(struct uplink *uplink, const struct outcome *outcome, uint64_t earlier)
{
    MUST_MAGIC(uplink, UPLINK_MAGIC);
    if (earlier != 0 && earlier >= uplink->first) {
        if (earlier < uplink->cursor && link_state(uplink->link) == LINK_UP)
            send_outcome(uplink, earlier); /* else its turn is still to come */
        return earlier;
    }
    if (uplink_room(uplink) == 0) {
        log_error("outcomes-full", "an outcome was lost: the broker acknowledges nothing");
        return 0;
    }
    uint64_t seq = uplink->next++;
    uplink->outcomes[seq % UPLINK_OUTCOMES] = *outcome;
    send_outcomes(uplink);
    return seq;
}

static void on_ack(struct uplink *uplink, const struct wire_outcome_ack *ack)
{
    if (ack->agent_gen != uplink->config.incarnation || ack->outcome_seq >= uplink->next) {
        uplink->counts.malformed++;
        return;
    }
    if (ack->outcome_seq >= uplink->first)
        FAULT_POINT(AGENT_ACKED);
    for (; uplink->first <= ack->outcome_seq; uplink->first++)
        uplink->config.events->acked(uplink->config.arg, &uplink->outcomes[uplink->first % UPLINK_OUTCOMES]);
    if (uplink->cursor < uplink->first)
        uplink->cursor = uplink->first;
}

/* --- the link's events ------------------------------------------------------------------------------------------- */

static void on_hello(void *arg, struct wire_hello *hello)
{
    const struct uplink *uplink = arg;
    hello->machine = wire_text(uplink->config.machine_id);
    hello->slot = uplink->config.address;
    hello->profile_hash = uplink->config.profile != NULL ? profile_hash(uplink->config.profile) : 0;
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct uplink *uplink = arg;
    log_info("broker-up", "broker_gen=%016llx slot=%llu kept_outcomes=%llu",
             (unsigned long long)link_broker_gen(uplink->link), (unsigned long long)ok->slot,
             (unsigned long long)(uplink->next - uplink->first));
    uplink->birth_due = true;
    uplink->cursor = uplink->first;
    uplink_state(uplink);
    send_outcomes(uplink);
    uplink->config.events->up(uplink->config.arg, ok->profile_agrees);
}

static void on_down(void *arg)
{
    (void)arg;
    log_warn("broker-down", "the broker's connection ended, or it fell silent");
}

static void on_refused(void *arg, const char *reason)
{
    struct uplink *uplink = arg;
    log_error("broker-refused", "reason=\"%s\"", reason);
    uplink->config.events->refused(uplink->config.arg, reason);
}

static void on_message(void *arg, const struct wire_message *message)
{
    struct uplink *uplink = arg;
    if (message->type == WIRE_COMMAND &&
        wire_text_equals(message->command.machine, uplink->config.machine_id))
        uplink->config.events->command(uplink->config.arg, &message->command);
    else if (message->type == WIRE_OUTCOME_ACK)
        on_ack(uplink, &message->outcome_ack);
    else
        uplink->counts.malformed++;
}

static void on_heartbeat(void *arg, struct wire_heartbeat *heartbeat)
{
    struct uplink *uplink = arg;
    uint64_t *metrics = uplink->metrics;
    heartbeat->reading_age_ms = image_age_ms(uplink->config.image, now_ns(uplink));
    uplink->config.events->metrics(uplink->config.arg, metrics);
    metrics[UPLINK_METRIC_STATES_SENT] = uplink->counts.states_sent;
    metrics[UPLINK_METRIC_OUTCOMES_SENT] = uplink->counts.outcomes_sent;
    metrics[UPLINK_METRIC_OUTCOMES_RESENT] = uplink->counts.outcomes_resent;
    metrics[UPLINK_METRIC_HELLOS] = link_counts(uplink->link)->ups;
    for (unsigned i = 0; i < UPLINK_METRICS; i++)
        metrics[i] = htole64(metrics[i]);
    heartbeat->metrics = (struct wire_text){(const char *)metrics, sizeof uplink->metrics};
    size_t len = ages_fill(uplink->config.ages, uplink->histograms, sizeof uplink->histograms);
    heartbeat->histograms = (struct wire_text){(const char *)uplink->histograms, (uint32_t)len};
}

static const struct link_events link_events = {
    .hello = on_hello,
    .up = on_up,
    .down = on_down,
    .refused = on_refused,
    .message = on_message,
    .heartbeat = on_heartbeat,
};

/* --- the loop's ------------------------------------------------------------------------------------------------- */

static void service(struct uplink *uplink)
{
    MUST_MAGIC(uplink, UPLINK_MAGIC);
    if (!uplink->started)
        return;
    uplink->servicing = true;
    bool more = link_service(uplink->link, LINK_BUDGET);
    uplink->blocked = false;
    uplink_state(uplink);
    send_outcomes(uplink);
    uplink->servicing = false;
    look_at(uplink, more ? now_ns(uplink) : link_due_ns(uplink->link));
}

static void on_timer(void *arg)
{
    service(arg);
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    service(arg);
}

const struct uplink_counts *uplink_counts(const struct uplink *uplink)
{
    return &uplink->counts;
}

const struct link_counts *uplink_link_counts(const struct uplink *uplink)
{
    return link_counts(uplink->link);
}

static enum err_e open_link(struct uplink *uplink)
{
    struct link_config config = {
        .endpoint = uplink->config.endpoint,
        .role = WIRE_AGENT,
        .incarnation = uplink->config.incarnation,
        .clock = loop_clock(uplink->config.loop),
        .events = &link_events,
        .arg = uplink,
    };
    enum err_e err = link_open(&config, &uplink->link);
    if (err != ERR_OK)
        return err;
    uplink->watch = loop_fd_new(uplink->config.loop, link_fd(uplink->link), 0, on_readable, uplink);
    uplink->timer = loop_timer_new(uplink->config.loop, on_timer, uplink);
    return uplink->watch != NULL && uplink->timer != NULL ? ERR_OK : ERR_MEMORY;
}

void uplink_start(struct uplink *uplink)
{
    if (uplink->started)
        return;
    uplink->started = true;
    loop_fd_set(uplink->watch, LOOP_READ);
    loop_timer_start(uplink->timer, 0);
}

enum err_e uplink_new(const struct uplink_config *config, struct uplink **uplink)
{
    struct uplink *u = calloc(1, sizeof *u);
    if (u == NULL)
        return ERR_MEMORY;
    u->magic = UPLINK_MAGIC;
    u->config = *config;
    u->first = u->next = u->cursor = u->unsent = 1;
    enum err_e err = open_link(u);
    if (err != ERR_OK) {
        uplink_free(&u);
        return err;
    }
    *uplink = u;
    return ERR_OK;
}

void uplink_free(struct uplink **uplink)
{
    struct uplink *u = *uplink;
    if (u == NULL)
        return;
    MUST_MAGIC(u, UPLINK_MAGIC);
    loop_fd_free(&u->watch);
    loop_timer_free(&u->timer);
    link_close(&u->link);
    u->magic = 0;
    free(u);
    *uplink = NULL;
}
