/* source.c — the loop of source.h: pacing, and one link per machine (Hop: D5).
 *
 * Paced messages are due at fixed times from the start of a run (no drift); what is due when the process wakes is sent
 * at once, so that a late wake-up makes a burst and not a lower rate. Without a rate the number of messages on their way
 * (sent but not received by the average client) is kept at `window`.
 */
#include "source.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "entropy.h"
#include "link.h"
#include "log.h"
#include "machine.h"
#include "must.h"
#include "profile.h"
#include "rig.h"

#define BURST_MAX   256 /* messages between two looks at the links */
#define LATE_NS     (10 * NS_PER_MS)
#define STALL_NS    (500 * NS_PER_MS) /* without a rate: nothing arrives any more; start counting anew */
#define IDLE_NS     (20 * NS_PER_MS)  /* how late a command may be seen */
#define WINDOW_WAIT (200 * NS_PER_US)

struct source;

struct source_machine {
    struct source *source;
    struct link *link;
    char id[RIG_ID_MAX];
    uint64_t agent_gen, number;
    bool up;
};

struct source {
    const struct source_options *options;
    struct source_shared *shared;
    struct source_machine *machines;
    struct pollfd *fds;
    uint32_t next;
    bool running, refused;
    uint64_t begun_ns, begun_sent;                           /* of this run */
    uint64_t begun_received, progress_ns, progress_received; /* without a rate */
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* --- one machine ------------------------------------------------------------------------------------------------------ */

static enum err_e send_state(struct source_machine *m, bool birth, uint64_t due_ns)
{
    const struct source_options *options = m->source->options;
    uint8_t position, raw;
    payload_state(options->payload, m->number, &position, &raw);
    uint64_t now = now_ns();
    size_t index = (size_t)(m - m->source->machines) * SOURCE_PAIRS + ((size_t)position << 8 | raw);
    atomic_store_explicit(&options->table->entries[index].number, m->number, memory_order_relaxed);
    atomic_store_explicit(&options->table->entries[index].sent_ns, now, memory_order_release);
    struct wire_message message = {.type = WIRE_STATE};
    message.state = (struct wire_state){.agent_gen = m->agent_gen,
                                        .state_seq = m->number,
                                        .birth = birth,
                                        .machine = wire_text(m->id),
                                        .connection = CONNECTION_CONNECTED,
                                        .has_reading = true,
                                        .raw_status = raw,
                                        .position = position,
                                        .read_wall_ms = clock_wall_ms(clock_system()),
                                        .source_ns = now};
    enum err_e err = link_send(m->link, &message);
    if (err != ERR_OK)
        return err;
    m->number++;
    if (due_ns != 0 && now > due_ns + LATE_NS)
        atomic_fetch_add_explicit(&m->source->shared->late, 1, memory_order_relaxed);
    return ERR_OK;
}

static void on_hello(void *arg, struct wire_hello *hello)
{
    const struct source_machine *m = arg;
    const struct profile *profile = profile_builtin(m->source->options->payload->profile);
    hello->machine = wire_text(m->id);
    hello->profile_hash = profile != NULL ? profile_hash(profile) : 0;
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct source_machine *m = arg;
    (void)ok;
    if (!m->up)
        atomic_fetch_add(&m->source->shared->up, 1);
    m->up = true;
    send_state(m, true, 0);
}

static void on_down(void *arg)
{
    struct source_machine *m = arg;
    if (m->up)
        atomic_fetch_sub(&m->source->shared->up, 1);
    m->up = false;
}

static void on_refused(void *arg, const char *reason)
{
    struct source_machine *m = arg;
    log_error("bench-source-refused", "machine=%s reason=\"%s\"", m->id, reason);
    m->source->refused = true;
}

static void on_message(void *arg, const struct wire_message *message)
{
    (void)arg; /* commands get no answer: no scenario sends one to a machine of the source */
    (void)message;
}

/* An idle machine was read just now, so that the broker does not call it stale. */
static void on_heartbeat(void *arg, struct wire_heartbeat *heartbeat)
{
    (void)arg;
    heartbeat->reading_age_ms = 0;
}

static enum err_e open_machine(struct source *s, uint32_t index)
{
    static const struct link_events events = {.hello = on_hello,
                                              .up = on_up,
                                              .down = on_down,
                                              .refused = on_refused,
                                              .message = on_message,
                                              .heartbeat = on_heartbeat};
    struct source_machine *m = &s->machines[index];
    *m = (struct source_machine){.source = s, .agent_gen = entropy_u64(), .number = 1};
    rig_machine_id(index, m->id);
    struct link_config config = {.endpoint = s->options->endpoint,
                                 .role = WIRE_AGENT,
                                 .incarnation = m->agent_gen,
                                 .clock = clock_system(),
                                 .events = &events,
                                 .arg = m};
    enum err_e err = link_open(&config, &m->link);
    if (err == ERR_OK)
        s->fds[index] = (struct pollfd){.fd = link_fd(m->link), .events = POLLIN};
    return err;
}

/* --- pacing ----------------------------------------------------------------------------------------------------------- */

/* Messages that the average client has been given. */
static uint64_t received(const struct source *s)
{
    const struct gen_shared *gen = s->shared->gen;
    uint64_t live = atomic_load_explicit(&gen->live, memory_order_relaxed);
    return live == 0 ? 0 : (load(&gen->deliveries) + load(&gen->conflated) + load(&gen->gaps)) / live;
}

static void begin_run(struct source *s)
{
    s->begun_ns = s->progress_ns = now_ns();
    s->begun_sent = load(&s->shared->sent);
    s->begun_received = s->progress_received = received(s);
}

static uint64_t allowed_by_window(struct source *s)
{
    uint64_t now = now_ns(), got = received(s);
    if (got != s->progress_received) {
        s->progress_received = got;
        s->progress_ns = now;
    } else if (now > s->progress_ns + STALL_NS) {
        begin_run(s);
    }
    uint64_t gone = load(&s->shared->sent) - s->begun_sent, arrived = got - s->begun_received;
    uint64_t under_way =
        gone > arrived ? gone - arrived : 0; /* what an earlier run still owed may arrive in this one */
    uint64_t window = load(&s->shared->window);
    return under_way < window ? window - under_way : 0;
}

/* How many messages may go now; *due_ns: when the first of them was due. */
static uint64_t allowed(struct source *s, uint64_t *due_ns)
{
    uint64_t rate = load(&s->shared->rate);
    *due_ns = 0;
    if (rate == 0)
        return allowed_by_window(s);
    uint64_t sent = load(&s->shared->sent) - s->begun_sent;
    uint64_t due = (uint64_t)((double)(now_ns() - s->begun_ns) * (double)rate / 1e9);
    *due_ns = s->begun_ns + (uint64_t)((double)sent * 1e9 / (double)rate);
    return due > sent ? due - sent : 0;
}

static void send_some(struct source *s)
{
    uint64_t due_ns, count = allowed(s, &due_ns);
    if (count > BURST_MAX)
        count = BURST_MAX;
    for (uint64_t i = 0; i < count; i++) {
        struct source_machine *m = &s->machines[s->next];
        s->next = s->next + 1 < s->options->machines ? s->next + 1 : 0;
        enum err_e err = send_state(m, false, due_ns);
        if (err != ERR_OK) {
            atomic_fetch_add_explicit(&s->shared->full, 1, memory_order_relaxed);
            return;
        }
        atomic_fetch_add_explicit(&s->shared->sent, 1, memory_order_relaxed);
    }
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

static bool service_links(struct source *s)
{
    bool more = false;
    for (uint32_t i = 0; i < s->options->machines; i++)
        more = link_service(s->machines[i].link, 64) || more;
    return more;
}

static uint64_t next_wake_ns(const struct source *s, uint64_t now)
{
    uint64_t wake = now + IDLE_NS;
    for (uint32_t i = 0; i < s->options->machines; i++)
        if (link_due_ns(s->machines[i].link) < wake)
            wake = link_due_ns(s->machines[i].link);
    if (!s->running)
        return wake;
    uint64_t rate = load(&s->shared->rate), next = now + WINDOW_WAIT;
    if (rate != 0)
        next = s->begun_ns +
               (uint64_t)((double)(load(&s->shared->sent) - s->begun_sent + 1) * 1e9 / (double)rate);
    return next < wake ? next : wake;
}

static void wait_for_work(struct source *s)
{
    uint64_t now = now_ns(), wake = next_wake_ns(s, now), left = wake > now ? wake - now : 0;
    struct timespec timeout = {(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
    ppoll(s->fds, s->options->machines, &timeout, NULL);
}

static bool obey(struct source *s)
{
    uint32_t command = atomic_load_explicit(&s->shared->command, memory_order_acquire);
    bool run = command == SOURCE_RUN;
    if (run && !s->running)
        begin_run(s);
    s->running = run;
    return command != SOURCE_STOP && !s->refused;
}

static void loop(struct source *s)
{
    pid_t parent = getppid();
    while (obey(s) && getppid() == parent) {
        bool more = service_links(s);
        if (s->running)
            send_some(s);
        if (!more)
            wait_for_work(s);
    }
}

int source_run(const struct source_options *options, struct source_shared *shared)
{
    struct source s = {.options = options, .shared = shared};
    s.machines = calloc(options->machines, sizeof *s.machines);
    s.fds = calloc(options->machines, sizeof *s.fds);
    enum err_e err = s.machines == NULL || s.fds == NULL ? ERR_MEMORY : ERR_OK;
    uint32_t opened = 0;
    for (; err == ERR_OK && opened < options->machines; opened += err == ERR_OK)
        err = open_machine(&s, opened);
    if (err == ERR_OK)
        loop(&s);
    for (uint32_t i = 0; i < opened; i++)
        link_close(&s.machines[i].link);
    free(s.machines);
    free(s.fds);
    return err == ERR_OK && !s.refused ? 0 : 1;
}
