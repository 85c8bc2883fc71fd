/* scenario_streams.c — one sender, one stream, N receivers, and the bare sender beside them (Hops: C1 to D11).
 *
 * The pure fan-out: nothing is merged or left out, so every message must reach every receiver once and in order, and is counted.
 * For each number of receivers and each rate system (A) and bare sender (B) run in turn (pairs.h). What A has and B has not is
 * the way of a message before it is fanned out: socket, JSON, bus, ring, at a price per message whatever the number of receivers;
 * so CPU per message is shown beside deliveries per worker CPU-second, and the case of one receiver is little else.
 *
 * "As fast as possible" means: without closing anybody. Who sends more than receivers take has them closed with 1013, as never
 * merged messages must be; so the sender keeps at most WINDOW_BYTES of each receiver's messages on their way, half of what
 * a receiver may owe for long. The same bound holds at the set rates, where it shows as a rate that is not reached. At the end, beyond
 * all comparison, the sender runs without it: then only the worker holds it back, from the broker's pace and not from the
 * receivers'; how many were closed is told, and the others must still have got every message.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"
#include "pairs.h"
#include "stream_text.h"

#define LIVE_MS      60000u
#define ARRIVE_MS    10000u
#define BYTES        150u
#define WINDOW_BYTES (128u * 1024u)
#define REACHED      0.97 /* of the rate: less was held back */
#define OPEN         "{\"ws_op\":\"open\",\"ws_stream_ids\":[\"bench\"]}"

struct sides {
    struct bench *bench;
    uint32_t clients, bytes;
    struct rig rig;
    struct fleet fleet;
    struct fan_sender sender;
    struct fan_bare bare;
};

/* Of all pairs of one case. */
struct figures {
    struct pairs pairs;
    double rate[PAIRS_MAX], worker_us[PAIRS_MAX], broker_us[PAIRS_MAX], sender_us[PAIRS_MAX];
    struct hist first, latency, last, bare;
    uint64_t held, held_back;
};

static uint32_t duration(const struct bench *bench)
{
    return bench_or(bench->options.duration_ms, bench, 1500, 500);
}

static uint32_t window(const struct sides *s)
{
    return bench_or(s->bench->options.window, s->bench, WINDOW_BYTES / s->bytes, WINDOW_BYTES / s->bytes);
}

/* --- phases ------------------------------------------------------------------------------------------------------------- */

static void run_system(struct sides *s, uint32_t rate, uint32_t window_messages, struct phase *phase)
{
    struct subject subject = {.fleet = &s->fleet, .rig = &s->rig, .source = &s->sender.child};
    atomic_store(&s->sender.shared->rate, rate);
    atomic_store(&s->sender.shared->window, window_messages);
    fan_sender_set(&s->sender, STREAM_SENDER_RUN);
    bench_sleep_ms(PAIRS_SETTLE_MS);
    phase_begin(&subject, phase);
    bench_sleep_ms(duration(s->bench));
    phase_end(&subject, phase);
    fan_sender_set(&s->sender, STREAM_SENDER_PAUSE);
}

static bool arrived_exactly(const struct sides *s, uint64_t sent)
{
    return atomic_load(&s->sender.shared->sent) == sent &&
           fleet_counts(&s->fleet).deliveries == sent * s->clients;
}

/* Every message that was ever sent, to every receiver, and none too many. */
static bool all_arrived(const struct sides *s)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + ARRIVE_MS * NS_PER_MS;
    while (clock_mono_ns(clock_system()) < deadline) {
        uint64_t sent = atomic_load(&s->sender.shared->sent);
        bool arrived = arrived_exactly(s, sent);
        bench_sleep_ms(arrived ? 50
                               : 2); /* the sender has seen its PAUSE, and a repetition would have come */
        if (arrived && arrived_exactly(s, sent))
            return true;
    }
    return false;
}

static void check_order(struct report *report, const char *name, const char *side,
                        const struct fleet_counts *c)
{
    report_check(report, c->gaps + c->lost + c->disorder + c->malformed + c->others == 0,
                 "%s: %s: gaps %" PRIu64 " lost %" PRIu64 " out of order %" PRIu64 " malformed %" PRIu64
                 " others %" PRIu64,
                 name, side, c->gaps, c->lost, c->disorder, c->malformed, c->others);
}

static void check_phase(struct report *report, const char *name, const char *side, const struct phase *phase)
{
    check_order(report, name, side, &phase->counts);
    report_check(report, phase->counts.deliveries > 0, "%s: %s delivered nothing", name, side);
    report_check(report, phase->counts.closed == 0, "%s: %s closed %" PRIu64 " connections", name, side,
                 phase->counts.closed);
}

static void check_arrived(struct sides *s, const char *name)
{
    struct report *report = &s->bench->report;
    bool arrived = all_arrived(s);
    report_check(report, arrived, "%s: %" PRIu64 " messages were sent to %u, and %" PRIu64 " received", name,
                 atomic_load(&s->sender.shared->sent), s->clients, fleet_counts(&s->fleet).deliveries);
    report_check(report, atomic_load(&s->sender.shared->answers) == 0, "%s: the sender was told %s", name,
                 s->sender.shared->first_answer);
    report_check(report, child_alive(&s->sender.child), "%s: the sender lost its connection", name);
}

/* --- a case ------------------------------------------------------------------------------------------------------------- */

static double per_message_us(uint64_t cpu_ns, const struct phase *phase)
{
    return phase->counts.messages > 0 ? (double)cpu_ns / 1e3 / (double)phase->counts.messages : 0;
}

static void note(struct figures *f, uint32_t i, const struct phase *system, const struct phase *bare)
{
    pairs_note(&f->pairs, i, system, bare);
    f->rate[i] = (double)system->counts.messages / system->seconds;
    f->worker_us[i] = per_message_us(system->cpu_ns, system);
    f->broker_us[i] = per_message_us(system->broker_cpu_ns, system);
    f->sender_us[i] = per_message_us(system->source_cpu_ns, system);
    hist_merge(&f->first, &system->first);
    hist_merge(&f->latency, &system->latency);
    hist_merge(&f->last, &system->last);
    hist_merge(&f->bare, &bare->latency);
}

static void report_figures(struct report *report, const char *name, struct figures *f, uint32_t pairs)
{
    report_value(report, name, "messages/s", bench_median(f->rate, pairs), "1/s");
    pairs_report(report, name, &f->pairs, pairs);
    report_value(report, name, "worker CPU per message", bench_median(f->worker_us, pairs), "us");
    report_value(report, name, "broker CPU per message", bench_median(f->broker_us, pairs), "us");
    report_value(report, name, "sender CPU per message", bench_median(f->sender_us, pairs), "us");
    pairs_report_latency(report, name, "send to first receiver", &f->first);
    pairs_report_latency(report, name, "send to receiver", &f->latency);
    pairs_report_latency(report, name, "send to last receiver", &f->last);
    report_value(report, name, "send to receiver highest", (double)hist_quantile(&f->latency, 1) / 1e6, "ms");
    pairs_report_latency(report, name, "bare: send to receiver", &f->bare);
    report_value(report, name, "bare: send to receiver highest", (double)hist_quantile(&f->bare, 1) / 1e6,
                 "ms");
    report_value(report, name, "sender held by its socket", (double)f->held, "");
    report_value(report, name, "sender held by its window", (double)f->held_back, "");
}

/* What A did not reach, B is not asked for either. */
static uint32_t bare_rate(uint32_t rate, const struct phase *system)
{
    return (double)system->counts.messages / system->seconds < REACHED * rate ? 0 : rate;
}

static void measure(struct sides *s, uint32_t rate)
{
    static struct figures figures;
    static struct phase system, bare;
    struct report *report = &s->bench->report;
    uint32_t pairs = bench_or(s->bench->options.pairs, s->bench, 5, 1);
    char name[96];
    figures = (struct figures){.held = 0};
    uint64_t held = atomic_load(&s->sender.shared->held), back = atomic_load(&s->sender.shared->held_back);
    snprintf(name, sizeof name,
             rate != 0 ? "%u receivers; %u bytes; %u/s" : "%u receivers; %u bytes; maximum", s->clients,
             s->bytes, rate);
    for (uint32_t i = 0; i < pairs; i++) {
        run_system(s, rate, window(s), &system);
        check_phase(report, name, "the worker", &system);
        check_arrived(s, name);
        struct pairs_bare run = {bare_rate(rate, &system), phase_frames_per_write(&system), window(s),
                                 duration(s->bench)};
        pairs_run_bare(&s->bare, &run, &bare);
        check_phase(report, name, "the bare sender", &bare);
        note(&figures, i, &system, &bare);
    }
    figures.held = atomic_load(&s->sender.shared->held) - held;
    figures.held_back = atomic_load(&s->sender.shared->held_back) - back;
    report_figures(report, name, &figures, pairs);
}

/* Faster than receivers are. Nobody is left out who is not closed. */
static void overload(struct sides *s)
{
    static struct phase phase;
    struct report *report = &s->bench->report;
    char name[96];
    snprintf(name, sizeof name, "%u receivers; %u bytes; no window", s->clients, s->bytes);
    run_system(s, 0, 0, &phase);
    fan_drain(&s->fleet);
    struct fleet_counts counts = fleet_counts(&s->fleet);
    check_order(report, name, "the worker", &counts);
    report_check(report, child_alive(&s->sender.child), "%s: the sender lost its connection", name);
    report_value(report, name, "messages/s", (double)phase.counts.messages / phase.seconds, "1/s");
    report_value(report, name, "deliveries/s", phase_deliveries_per_second(&phase), "1/s");
    report_value(report, name, "receivers closed", (double)counts.closed, "");
    report_value(report, name, "sender answered", (double)atomic_load(&s->sender.shared->answers), "");
}

/* --- both sides --------------------------------------------------------------------------------------------------------- */

static enum err_e start_sides(struct sides *s)
{
    struct rig_config config = bench_rig(s->bench);
    config.machines = 1;
    config.dialect = "streams";
    config.any_rate = true;
    config.workers = bench_or(s->bench->options.workers, s->bench, 1, 1);
    enum err_e err = rig_start(&config, &s->rig);
    if (err != ERR_OK)
        return err;
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = s->clients;
    options.dialogue = GEN_OPEN;
    options.text = OPEN;
    options.frames = REF_STREAM;
    err = fleet_start(&s->fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&s->fleet, LIVE_MS);
    struct stream_sender_options sender = {.port = s->rig.port, .open = OPEN, .len = s->bytes};
    if (err == ERR_OK)
        err = fan_sender_start(&s->sender, &sender, &s->fleet, config.other_core);
    return err == ERR_OK ? fan_bare_start_stream(&s->bare, s->bench, s->bytes, s->clients) : err;
}

static void with_clients(struct bench *bench, uint32_t clients, const uint32_t *rates, unsigned rate_count,
                         bool and_overload)
{
    static struct sides s;
    s = (struct sides){.bench = bench,
                       .clients = clients,
                       .bytes = bench->options.bytes != 0 ? bench->options.bytes : BYTES};
    enum err_e err = start_sides(&s);
    report_check(&bench->report, err == ERR_OK, "%u receivers: the system did not start", clients);
    for (unsigned i = 0; err == ERR_OK && i < rate_count; i++)
        measure(&s, rates[i]);
    if (err == ERR_OK && and_overload)
        overload(&s);
    report_check(&bench->report, err != ERR_OK || rig_healthy(&s.rig), "a process of the system ended");
    fan_sender_stop(&s.sender);
    fan_bare_stop(&s.bare);
    fleet_stop(&s.fleet);
    report_check(&bench->report, rig_stop(&s.rig), "a process of the system did not end cleanly");
}

void scenario_streams(struct bench *bench)
{
    static const uint32_t rates[] = {1000, 20000, 0}, smoke[] = {1000, 0}, sizes[] = {1, 100, 1000, 10000};
    const struct bench_options *options = &bench->options;
    if (options->rate_given)
        with_clients(bench, bench_or(options->clients, bench, 1000, 20), &options->rate, 1, false);
    else if (options->smoke)
        with_clients(bench, bench_or(options->clients, bench, 20, 20), smoke, 2, true);
    else if (options->clients != 0)
        with_clients(bench, options->clients, rates, 3, false);
    else
        for (unsigned i = 0; i < 4; i++)
            with_clients(bench, sizes[i], rates, 3, sizes[i] == 1000);
}
