/* scenario_sets.c — audiences at their worst: every client asks for another random set of 1 to 50 machines, so that each
 * is an audience of its own and no log is shared.
 *
 * Memory: growth of the worker's resident size per client, beside the same clients with one common subscription. Cost:
 * worker CPU per delivery at two rates; most of it is one send(2) per delivery, because nothing can be batched. Resuming:
 * all clients lost and back at once, first with a plain subscription, then with `since`.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "fan_setup.h"
#include "gen_text.h"
#include "procfs.h"

#define LIVE_MS   60000u
#define SETTLE_MS 300u

struct sets {
    struct bench *bench;
    struct rig rig;
    struct fan_source source;
    uint32_t clients, machines;
    char name[96];
};

static uint64_t rss_kib(const struct sets *s)
{
    struct procfs_memory memory;
    procfs_memory(s->rig.workers[0].pid, &memory);
    return memory.rss_kib;
}

static enum err_e start_clients(struct sets *s, bool own_sets, struct fleet *fleet)
{
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = s->clients;
    options.per_address = 100; /* storms: the gate bounds half-open connections of one address */
    options.sets_of = own_sets ? s->machines : 0;
    options.table = own_sets ? NULL : s->source.table;
    enum err_e err = fleet_start(fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(fleet, LIVE_MS);
    report_check(&s->bench->report, err == ERR_OK, "%s: clients did not connect", s->name);
    return err;
}

static uint64_t subscribers_of_all(const struct sets *s)
{
    uint32_t set[GEN_SET_MAX];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->clients; i++)
        sum += gen_text_set(i, s->machines, set);
    return sum;
}

static void at_rate(struct sets *s, struct fleet *fleet, uint32_t rate)
{
    static struct phase phase;
    struct subject subject = {.fleet = fleet, .rig = &s->rig};
    struct report *report = &s->bench->report;
    char metric[64];
    atomic_store(&s->source.shared->rate, rate);
    uint64_t sent = atomic_load(&s->source.shared->sent);
    fan_source_set(&s->source, SOURCE_RUN);
    phase_begin(&subject, &phase);
    bench_sleep_ms(bench_or(s->bench->options.duration_ms, s->bench, 5000, 500));
    fan_source_set(&s->source, SOURCE_PAUSE);
    fan_drain(fleet);
    phase_end(&subject, &phase);
    sent = atomic_load(&s->source.shared->sent) - sent;
    double expected = (double)sent * (double)subscribers_of_all(s) / s->machines;
    snprintf(metric, sizeof metric, "%u/s: worker CPU per delivery", rate);
    report_value(report, s->name, metric, (double)phase.cpu_ns / (double)phase.counts.deliveries / 1e3, "us");
    snprintf(metric, sizeof metric, "%u/s: deliveries per second", rate);
    report_value(report, s->name, metric, phase_deliveries_per_second(&phase), "1/s");
    snprintf(metric, sizeof metric, "%u/s: delivered of what was to be", rate);
    report_value(report, s->name, metric, (double)phase.counts.deliveries / expected, "");
    report_check(report, phase.counts.deliveries > 0, "%s: nothing was delivered", s->name);
    report_check(report, phase.counts.disorder + phase.counts.malformed + phase.counts.closed == 0,
                 "%s: out of order %" PRIu64 " malformed %" PRIu64 " closed %" PRIu64, s->name,
                 phase.counts.disorder, phase.counts.malformed, phase.counts.closed);
}

static void storm(struct sets *s, struct fleet *fleet, enum gen_command_e command, const char *metric)
{
    uint64_t ns = fleet_storm(fleet, command);
    report_check(&s->bench->report, ns != 0, "%s: %s: not all came back", s->name, metric);
    if (ns != 0)
        report_value(&s->bench->report, s->name, metric, (double)ns / 1e9, "s");
    bench_sleep_ms(SETTLE_MS);
}

static void measure(struct sets *s)
{
    static struct fleet common, own;
    struct report *report = &s->bench->report;
    bench_sleep_ms(SETTLE_MS);
    uint64_t none = rss_kib(s);
    if (start_clients(s, false, &common) == ERR_OK)
        report_value(report, s->name, "worker RSS per client: one common set",
                     (double)(rss_kib(s) - none) / s->clients, "KiB");
    report_check(report, fleet_stop(&common), "%s: a generator did not end cleanly", s->name);
    if (start_clients(s, true, &own) == ERR_OK) {
        report_value(report, s->name, "worker RSS per client: own sets",
                     (double)(rss_kib(s) - none) / s->clients, "KiB");
        at_rate(s, &own, s->bench->options.smoke ? 100 : 200);
        at_rate(s, &own, s->bench->options.smoke ? 200 : 2000);
        report_value(report, s->name, "worker RSS per client: after load",
                     (double)(rss_kib(s) - none) / s->clients, "KiB");
        storm(s, &own, GEN_STORM, "all back: subscribing");
        storm(s, &own, GEN_RESUME, "all back: resuming");
    }
    report_check(report, fleet_stop(&own), "%s: a generator did not end cleanly", s->name);
}

void scenario_sets(struct bench *bench)
{
    static struct sets s;
    static struct fleet nobody;
    s = (struct sets){.bench = bench,
                      .clients = bench_or(bench->options.clients, bench, 10000, 200),
                      .machines = bench_or(bench->options.machines, bench, 1000, 100)};
    snprintf(s.name, sizeof s.name, "%u clients; 1 to %u of %u machines each", s.clients, GEN_SET_MAX,
             s.machines);
    struct rig_config config = bench_rig(bench);
    config.machines = s.machines;
    struct gen_options options = bench_gen(bench);
    enum err_e err = s.machines >= GEN_SET_MAX ? rig_start(&config, &s.rig) : ERR_CONFIG;
    if (err == ERR_OK)
        err = fan_source_init(&s.source, &s.rig);
    if (err == ERR_OK) {
        options.port = s.rig.port;
        options.clients = 1; /* the source wants somebody to look at */
        options.first_address = 90;
        err = fleet_start(&nobody, &options);
    }
    if (err == ERR_OK)
        err = fan_source_start(&s.source, &nobody, config.other_core);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK) {
        measure(&s);
        report_check(&bench->report, rig_healthy(&s.rig), "a process of the system ended");
    }
    fan_source_stop(&s.source);
    fleet_stop(&nobody);
    report_check(&bench->report, rig_stop(&s.rig), "a process of the system did not end cleanly");
}
