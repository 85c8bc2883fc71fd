/* scenario_selftest.c — the bench against itself: what its generator and its bare sender do with each batch size. The
 * figures stand beside those of a prototype ("bare epoll"), and show whether the generator is the bottleneck. And what the sender of
 * stream messages does into a server that throws them away; what askers do beside the bare echo, and that they notice wrong answers. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ask_text.h"
#include "bench.h"
#include "clock.h"
#include "echo_bare.h"
#include "fan_setup.h"
#include "procfs.h"
#include "trips.h"

#define MACHINES 8u
#define LATE_MS  200
#define DRAIN_MS 5000

static void measure(struct bench *bench, struct fan_bare *bare, uint32_t clients, uint32_t batch)
{
    struct subject subject = {.fleet = &bare->fleet, .bare_child = &bare->child, .bare = bare->shared};
    struct phase phase;
    char name[64];
    atomic_store(&bare->shared->batch, batch);
    atomic_store(&bare->shared->rate, 0);
    atomic_store(&bare->shared->window, batch * 3);
    fan_bare_set(bare, BARE_RUN);
    bench_sleep_ms(LATE_MS);
    phase_begin(&subject, &phase);
    bench_sleep_ms(bench_or(bench->options.duration_ms, bench, 2000, 500));
    phase_end(&subject, &phase);
    fan_bare_set(bare, BARE_PAUSE);
    fan_drain(&bare->fleet);
    snprintf(name, sizeof name, "%u clients; %u per send", clients, batch);
    report_value(&bench->report, name, "bare deliveries/s", phase_deliveries_per_second(&phase), "1/s");
    report_value(&bench->report, name, "bare deliveries per CPU-second",
                 phase_deliveries_per_cpu_second(&phase), "1/s");
    report_value(&bench->report, name, "generator CPU", (double)phase.gen_cpu_ns / 1e9 / phase.seconds,
                 "cores");
    report_value(&bench->report, name, "other CPU", phase_other_cpu(&phase), "cores");
    report_value(&bench->report, name, "frame", phase_frame_bytes(&phase), "bytes");
    const struct fleet_counts *c = &phase.counts;
    report_check(&bench->report, c->deliveries > 0, "%s: nothing was delivered", name);
    report_check(&bench->report, c->gaps + c->lost + c->disorder + c->malformed + c->others == 0,
                 "%s: gaps %lu lost %lu disorder %lu malformed %lu others %lu", name, c->gaps, c->lost,
                 c->disorder, c->malformed, c->others);
}

static void measure_sender(struct bench *bench, struct fan_bare *bare, uint32_t bytes)
{
    struct fan_sender sender;
    struct stream_sender_options options = {.port = bare->fleet.options[0].port, .open = "{}", .len = bytes};
    char name[64];
    snprintf(name, sizeof name, "stream sender; %u bytes", bytes);
    enum err_e err = fan_sender_start(&sender, &options, &bare->fleet, bench_gen(bench).core);
    if (err == ERR_OK) {
        uint64_t begun = clock_mono_ns(clock_system()), cpu = procfs_cpu_ns(sender.child.pid);
        fan_sender_set(&sender, STREAM_SENDER_RUN);
        bench_sleep_ms(bench_or(bench->options.duration_ms, bench, 2000, 300));
        double sent = (double)atomic_load(&sender.shared->sent);
        double seconds = (double)(clock_mono_ns(clock_system()) - begun) / 1e9;
        report_value(&bench->report, name, "messages/s", sent / seconds, "1/s");
        report_value(&bench->report, name, "sender CPU per message",
                     (double)(procfs_cpu_ns(sender.child.pid) - cpu) / 1e3 / sent, "us");
        report_check(&bench->report, sent > 0, "%s: nothing was sent", name);
    }
    report_check(&bench->report, fan_sender_stop(&sender) && err == ERR_OK, "%s did not run", name);
}

static void ask(struct bench *bench, const struct echo_bare *bare, struct asker *asker, bool right)
{
    static struct trips_phase phase;
    struct trips_subject subject = {.asker = asker, .server = bare->child.pid};
    char name[64];
    snprintf(name, sizeof name, "asker; %u clients; %u under way", asker->options.clients,
             asker->options.depth);
    asker_set(asker, ASK_RUN);
    trips_begin(&subject, &phase);
    bench_sleep_ms(bench_or(bench->options.duration_ms, bench, 2000, 300));
    trips_end(&subject, &phase);
    report_check(&bench->report, asker_drain(asker, DRAIN_MS), "%s: not everything was answered", name);
    report_check(&bench->report,
                 right ? phase.answers > 0 && phase.wrong == 0 : phase.answers == 0 && phase.wrong > 0,
                 "%s: %lu right and %lu wrong answers of %s server", name, phase.answers, phase.wrong,
                 right ? "a good" : "a bad");
    if (!right)
        return;
    report_value(&bench->report, name, "round trips/s", trips_per_second(&phase), "1/s");
    report_value(&bench->report, name, "asker CPU per round trip",
                 (double)phase.asker_ns / 1e3 / (double)phase.answers, "us");
}

static void measure_asker(struct bench *bench, const char *tail, uint32_t clients, uint32_t depth)
{
    struct echo_bare bare;
    struct asker asker = {.shared = NULL};
    char text[ASK_TEXT_MAX];
    enum err_e err = echo_bare_start(&bare, ASK_ENVELOPE_HEAD, tail, bench_rig(bench).worker_core);
    struct ask_options options = {.port = bare.port,
                                  .path = "/",
                                  .clients = clients,
                                  .depth = depth,
                                  .text = text,
                                  .len = ask_text_make(ASK_SMALL, text),
                                  .head = ASK_ENVELOPE_HEAD,
                                  .tail = ASK_ENVELOPE_TAIL,
                                  .core = bench_gen(bench).core};
    if (err == ERR_OK)
        err = asker_start(&asker, "bench-ask", &options);
    if (err == ERR_OK)
        ask(bench, &bare, &asker, strcmp(tail, ASK_ENVELOPE_TAIL) == 0);
    report_check(&bench->report, asker_stop(&asker) && err == ERR_OK, "the asker lost a connection");
    report_check(&bench->report, echo_bare_stop(&bare), "the bare echo dropped a client");
}

static void with_clients(struct bench *bench, uint32_t clients)
{
    static const uint32_t batches[] = {1, 8, 32, 160};
    struct fan_bare bare;
    enum err_e err = fan_bare_start(&bare, bench, MACHINES, clients);
    report_check(&bench->report, err == ERR_OK, "%u clients did not connect", clients);
    for (unsigned i = 0; err == ERR_OK && i < 4; i++)
        measure(bench, &bare, clients, batches[i]);
    if (err == ERR_OK && clients <= 1000) {
        measure_sender(bench, &bare, 150);
        measure_sender(bench, &bare, 1024);
    }
    report_check(&bench->report, fan_bare_stop(&bare), "the bench's own processes did not end cleanly");
}

void scenario_selftest(struct bench *bench)
{
    with_clients(bench, bench_or(bench->options.clients, bench, 1000, 50));
    if (bench->options.clients == 0 && !bench->options.smoke)
        with_clients(bench, 10000);
    measure_asker(bench, ASK_ENVELOPE_TAIL, 1, 1);
    measure_asker(bench, ASK_ENVELOPE_TAIL, bench->options.smoke ? 20 : 1000, 8);
    measure_asker(bench, "]", 3, 8);
}
