/* scenario_isolation.c — one handler misbehaves: what that costs another endpoint's round trips and the states of machines.
 *
 *     noria up ─┬─ plc-sim, plc-agent, noria-broker
 *               ├─ noria-worker ─▶ bench-gen: states, from the PLC's answer  measured
 *               ├─ good.0  ◀─ /good ─ bench-ask: round trips                 measured
 *               └─ bad.0   ◀─ /bad ── bench-ask, loose: provokes             not measured
 *
 * The launcher starts and restarts all, at its own niceness and back-off; nothing is pinned. A pair is a quiet phase, in which the bad
 * handler echoes, and a disturbed one; the provoker asks at the same rate in both. Compared are the medians of p99. Each pair with a
 * crashing handler has a system of its own, because the launcher remembers deaths for a minute, and starts ever more rarely what died before.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ask_text.h"
#include "bench.h"
#include "bench_control.h"
#include "change_meter.h"
#include "clock.h"
#include "house.h"
#include "log.h"
#include "trips.h"

#define POLL_MS      10u
#define SUBSCRIBERS  20u
#define GOOD_CLIENTS 4u
#define GOOD_RATE    400u
#define BAD_CLIENTS  4u
#define BAD_RATE     200u
#define DEADLINE_MS  1000u /* of the bad handler: refusals come within a phase */
#define LIVE_MS      20000u
#define BACK_MS      40000u /* until a handler that crashed is back: more than the launcher's longest back-off */
#define SETTLE_MS    500u
#define PAIRS_MAX    100u

struct isolation {
    struct bench *bench;
    struct rig rig;
    struct fleet subscribers;
    struct change_meter meter;
    struct asker good, bad;
    struct bench_control *control, *good_control; /* of the bad handler, of the good one */
    char text[ASK_TEXT_MAX];
    size_t len;
};

static enum err_e start(struct isolation *s);
static void stop(struct isolation *s);

struct look {
    struct trips_phase good;
    struct hist states[CHANGE_SPANS];
    struct fleet_counts counts; /* of the subscribers */
    uint32_t made, matched;
};

static const struct disturbance {
    const char *name;
    enum control_mode_e mode;
    enum control_weight_e weight; /* of both handlers */
} disturbances[] = {
    {"spins", CONTROL_SPIN, CONTROL_AS_STARTED},
    {"crashes at once", CONTROL_CRASH, CONTROL_AS_STARTED},
    {"reads nothing", CONTROL_DEAF, CONTROL_AS_STARTED},
    {"floods", CONTROL_FLOOD, CONTROL_AS_STARTED},
    {"nothing", CONTROL_QUIET, CONTROL_AS_STARTED}, /* what chance makes of it */
    {"spins; handlers not nice", CONTROL_SPIN, CONTROL_NOT_NICE},
    {"spins; handlers SCHED_IDLE", CONTROL_SPIN, CONTROL_IDLE_POLICY},
};
#define DISTURBANCES (sizeof disturbances / sizeof disturbances[0])

/* --- a phase ------------------------------------------------------------------------------------------------------------ */

/* One change after another, until the time is over. */
static void make_changes(struct isolation *s, uint32_t ms, struct look *look)
{
    uint64_t end = clock_mono_ns(clock_system()) + ms * NS_PER_MS;
    memset(look->states, 0, sizeof look->states);
    change_match(&s->meter, look->states); /* what the last phase left */
    memset(look->states, 0, sizeof look->states);
    look->counts = fleet_counts(&s->subscribers);
    for (look->made = 0; clock_mono_ns(clock_system()) < end; look->made++)
        if (!change_make(&s->meter))
            break;
    struct fleet_counts before = look->counts;
    look->counts = fleet_counts(&s->subscribers);
    fleet_counts_subtract(&look->counts, &before);
    look->matched = change_match(&s->meter, look->states);
}

static void run_phase(struct isolation *s, enum control_mode_e mode, struct look *look)
{
    struct trips_subject good = {.asker = &s->good};
    atomic_store(&s->control->mode, mode);
    bench_sleep_ms(SETTLE_MS);
    trips_begin(&good, &look->good);
    make_changes(s, bench_or(s->bench->options.duration_ms, s->bench, 4000, 500), look);
    trips_end(&good, &look->good);
}

static void check_look(struct isolation *s, const char *name, const struct look *look)
{
    struct report *report = &s->bench->report;
    const struct fleet_counts *c = &look->counts;
    report_check(report, look->good.answers > 0, "%s: the good endpoint answered nothing", name);
    report_check(report, look->good.wrong == 0, "%s: the good endpoint gave %" PRIu64 " wrong answers: %s",
                 name, look->good.wrong, s->good.shared->first_wrong);
    report_check(report, look->made > 0 && look->matched >= look->made,
                 "%s: only %u of %u changes were seen by every subscriber", name, look->matched, look->made);
    report_check(report, c->gaps + c->disorder + c->malformed + c->closed == 0,
                 "%s: states: gaps %" PRIu64 " out of order %" PRIu64 " malformed %" PRIu64
                 " closed %" PRIu64,
                 name, c->gaps, c->disorder, c->malformed, c->closed);
}

static bool bad_answers(struct isolation *s)
{
    const struct ask_shared *shared = s->bad.shared;
    uint64_t deadline = clock_mono_ns(clock_system()) + BACK_MS * NS_PER_MS;
    uint64_t before = atomic_load(&shared->answers) - atomic_load(&shared->refusals);
    atomic_store(&s->control->mode, CONTROL_QUIET);
    while (atomic_load(&shared->answers) - atomic_load(&shared->refusals) <= before + BAD_CLIENTS) {
        if (clock_mono_ns(clock_system()) >= deadline)
            return false;
        bench_sleep_ms(5);
    }
    return true;
}

/* --- pairs -------------------------------------------------------------------------------------------------------------- */

struct quantiles {
    double quiet[PAIRS_MAX], disturbed[PAIRS_MAX];
};

static void note(struct quantiles *q, uint32_t i, const struct hist *quiet, const struct hist *disturbed,
                 double quantile)
{
    q->quiet[i] = (double)hist_quantile(quiet, quantile) / 1e3;
    q->disturbed[i] = (double)hist_quantile(disturbed, quantile) / 1e3;
}

static double report_pair(struct report *report, const char *name, const char *what, struct quantiles *q,
                          uint32_t pairs)
{
    char metric[64];
    double quiet = bench_median(q->quiet, pairs), disturbed = bench_median(q->disturbed, pairs);
    snprintf(metric, sizeof metric, "%s: quiet", what);
    report_value(report, name, metric, quiet, "us");
    snprintf(metric, sizeof metric, "%s: disturbed", what);
    report_value(report, name, metric, disturbed, "us");
    return quiet > 0 ? disturbed / quiet : 0;
}

/* What the handler did shows that it was disturbed indeed. */
static uint64_t deeds(const struct bench_control *control, enum control_mode_e mode)
{
    switch (mode) {
    case CONTROL_SPIN:
        return atomic_load(&control->spins);
    case CONTROL_CRASH:
        return atomic_load(&control->crashes);
    case CONTROL_DEAF:
        return atomic_load(&control->naps);
    case CONTROL_FLOOD:
        return atomic_load(&control->published);
    default:
        return 0;
    }
}

struct figures {
    struct quantiles trips99, trips50, states99, states50;
    double all_cpu[PAIRS_MAX], seconds;
    uint64_t deeds;
};

static void run_pair(struct isolation *s, const struct disturbance *d, uint32_t i, struct figures *f)
{
    static struct look quiet, disturbed;
    uint64_t before = deeds(s->control, d->mode);
    atomic_store(&s->control->weight, d->weight);
    atomic_store(&s->good_control->weight, d->weight);
    report_check(&s->bench->report, bad_answers(s), "%s: the bad handler does not answer", d->name);
    run_phase(s, CONTROL_QUIET, &quiet);
    run_phase(s, d->mode, &disturbed);
    check_look(s, "quiet", &quiet);
    check_look(s, d->name, &disturbed);
    note(&f->trips99, i, &quiet.good.latency, &disturbed.good.latency, 0.99);
    note(&f->trips50, i, &quiet.good.latency, &disturbed.good.latency, 0.5);
    note(&f->states99, i, &quiet.states[ANSWERED_TO_LAST], &disturbed.states[ANSWERED_TO_LAST], 0.99);
    note(&f->states50, i, &quiet.states[ANSWERED_TO_LAST], &disturbed.states[ANSWERED_TO_LAST], 0.5);
    f->all_cpu[i] = (double)disturbed.good.machine_ns / 1e9 / disturbed.good.seconds;
    f->seconds += disturbed.good.seconds + SETTLE_MS / 1e3;
    f->deeds += deeds(s->control, d->mode) - before;
}

static void report_figures(struct report *report, const char *name, struct figures *f, uint32_t pairs)
{
    report_pair(report, name, "endpoint p50", &f->trips50, pairs);
    double ratio = report_pair(report, name, "endpoint p99", &f->trips99, pairs);
    report_value(report, name, "endpoint p99: ratio", ratio, "");
    report_pair(report, name, "states p50", &f->states50, pairs);
    ratio = report_pair(report, name, "states p99", &f->states99, pairs);
    report_value(report, name, "states p99: ratio", ratio, "");
    report_value(report, name, "what it did per second", (double)f->deeds / f->seconds, "1/s");
    report_value(report, name, "CPU of everything meanwhile", bench_median(f->all_cpu, pairs), "cores");
}

static void measure(struct bench *bench, const struct disturbance *d)
{
    static struct isolation s;
    static struct figures figures;
    uint32_t pairs = bench_or(bench->options.pairs, bench, 7, 1);
    bool anew = d->mode == CONTROL_CRASH;
    figures = (struct figures){.deeds = 0};
    enum err_e err = ERR_OK;
    for (uint32_t i = 0; i < pairs && err == ERR_OK; i++) {
        if (i == 0 || anew) {
            s = (struct isolation){.bench = bench};
            err = start(&s);
            report_check(&bench->report, err == ERR_OK, "the system did not start");
        }
        if (err == ERR_OK)
            run_pair(&s, d, i, &figures);
        if (err != ERR_OK || anew || i + 1 == pairs)
            stop(&s);
    }
    if (err != ERR_OK)
        return;
    report_figures(&bench->report, d->name, &figures, pairs);
    report_check(&bench->report, d->mode == CONTROL_QUIET || figures.deeds > 0,
                 "%s: the handler did not misbehave", d->name);
}

/* --- the system --------------------------------------------------------------------------------------------------------- */

static struct bench_control *make_control(const struct rig *rig, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct bench_control)) != 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    void *memory = mmap(NULL, sizeof(struct bench_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory != MAP_FAILED ? memory : NULL;
}

static enum err_e extend(const struct rig *rig, FILE *file, void *arg)
{
    struct isolation *s = arg;
    s->control = make_control(rig, "bad.control");
    s->good_control = make_control(rig, "good.control");
    if (s->control == NULL || s->good_control == NULL)
        return ERR_SYSTEM;
    const char *bin = rig->config.bin_dir;
    fprintf(file, "handlers:\n  - {name: good, command: [%s/bench-handler, --control, %s/good.control]}\n",
            bin, rig->dir);
    fprintf(file,
            "  - {name: bad, command: [%s/bench-handler, --control, %s/bad.control], deadline_ms: %u}\n", bin,
            rig->dir, DEADLINE_MS);
    fprintf(file, "endpoints:\n  - {path: /good, handler: good, schema: small.json}\n");
    fprintf(file, "  - {path: /bad, handler: bad, schema: small.json}\n");
    return house_write_schemas(rig);
}

static enum err_e start_askers(struct isolation *s)
{
    struct ask_options options = {.port = s->rig.port,
                                  .path = "/good",
                                  .clients = GOOD_CLIENTS,
                                  .depth = 1,
                                  .rate = GOOD_RATE,
                                  .text = s->text,
                                  .len = s->len,
                                  .head = ASK_ENVELOPE_HEAD,
                                  .tail = ASK_ENVELOPE_TAIL,
                                  .core = -1};
    enum err_e err = asker_start(&s->good, "bench-ask.good", &options);
    options.path = "/bad";
    options.clients = BAD_CLIENTS;
    options.rate = BAD_RATE;
    options.loose = true;
    options.ignore = ASK_ENVELOPE_HEAD CONTROL_FLOOD_BODY;
    return err == ERR_OK ? asker_start(&s->bad, "bench-ask.bad", &options) : err;
}

static enum err_e start_states(struct isolation *s)
{
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = SUBSCRIBERS;
    options.log_events = true;
    options.core = -1;
    s->meter = (struct change_meter){.rig = &s->rig, .fleet = &s->subscribers, .clients = SUBSCRIBERS};
    enum err_e err = fleet_start(&s->subscribers, &options);
    return err == ERR_OK ? fleet_wait_live(&s->subscribers, LIVE_MS) : err;
}

static enum err_e start(struct isolation *s)
{
    struct rig_config config = bench_rig(s->bench);
    s->len = ask_text_make(ASK_SMALL, s->text);
    config.launcher = true;
    config.agents = true;
    config.machines = 1;
    config.poll_ms = config.poll_moving_ms = POLL_MS;
    config.dialect = "isolation";
    config.dialects = "endpoints, carousel";
    config.worker_core = config.other_core = -1;
    config.extend = extend;
    config.extend_arg = s;
    enum err_e err = rig_start(&config, &s->rig);
    if (err == ERR_OK)
        err = start_states(s);
    if (err == ERR_OK)
        err = start_askers(s);
    if (err != ERR_OK)
        return err;
    asker_set(&s->good, ASK_RUN);
    asker_set(&s->bad, ASK_RUN);
    return ERR_OK;
}

static void stop(struct isolation *s)
{
    struct report *report = &s->bench->report;
    if (s->control != NULL)
        atomic_store(&s->control->mode, CONTROL_QUIET);
    fleet_stop(&s->subscribers);
    report_check(report, asker_stop(&s->good), "the good endpoint lost a connection");
    asker_stop(&s->bad);
    report_check(report, rig_healthy(&s->rig), "the launcher ended");
    report_check(report, rig_stop(&s->rig), "a process of the system did not end cleanly");
    if (s->control != NULL)
        munmap(s->control, sizeof *s->control);
    if (s->good_control != NULL)
        munmap(s->good_control, sizeof *s->good_control);
}

void scenario_isolation(struct bench *bench)
{
    for (size_t i = 0; i < DISTURBANCES; i++)
        if (bench_wanted(bench, disturbances[i].name))
            measure(bench, &disturbances[i]);
}
