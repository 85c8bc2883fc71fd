/* scenario_scrape.c — what a scrape of /metrics costs, with a thousand machines: bytes, time, the worker's CPU, and the others' latency.
 *
 * One broker, one worker with N subscribers, the bench's source as the agents of all machines (the broker shows a segment for each). Phases
 * with scrapes (A, one after the other with a pause) and without (B) in turn: A B A B …; p99 is of all phases of a kind, because the few
 * deliveries that meet a scrape are what is looked for. Only some machines say anything: the rate is that of `fanout`, and more frames than
 * one client takes would be another measurement.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "fan_setup.h"
#include "pairs.h"
#include "seg_counters.h"

#define LIVE_MS 60000u
#define PAUSE_MS                                                                                             \
    250u /* between two scrapes: above a second, and each makes a document of its own (OPS_SHARED_NS) */
#define SEGMENTS_MS 60000u
#define RATE        200u
#define SHARED_MS   1000u

struct scrapes {
    struct bench *bench;
    struct rig rig;
    struct fleet fleet;
    struct fan_source source;
    uint32_t clients, machines;
    uint64_t count, bytes, ns, slowest_ns;
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

/* --- a scraper ---------------------------------------------------------------------------------------------------------- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
                    connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Bytes of the answer, 0: none, or not 200. */
static uint64_t fetch(uint16_t port)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n";
    static char buffer[1 << 18];
    uint64_t total = 0;
    bool good = false;
    int fd = connect_to(port);
    if (fd < 0)
        return 0;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1)
        for (ssize_t got; (got = recv(fd, buffer, sizeof buffer, 0)) > 0; total += (uint64_t)got)
            good = good || (total == 0 && got > 15 && memcmp(buffer, "HTTP/1.1 200 OK", 15) == 0);
    close(fd);
    return good ? total : 0;
}

static void scrape_for(struct scrapes *s, uint32_t ms)
{
    uint64_t end = now_ns() + ms * NS_PER_MS;
    while (now_ns() < end) {
        uint64_t began = now_ns(), bytes = fetch(s->rig.port), took = now_ns() - began;
        report_check(&s->bench->report, bytes > 0, "a scrape failed");
        if (bytes == 0)
            return;
        s->count++;
        s->bytes = bytes;
        s->ns += took;
        s->slowest_ns = took > s->slowest_ns ? took : s->slowest_ns;
        bench_sleep_ms(SHARED_MS + PAUSE_MS);
    }
}

/* --- phases ------------------------------------------------------------------------------------------------------------- */

static void run_phase(struct scrapes *s, bool scraped, struct phase *phase)
{
    struct subject subject = {.fleet = &s->fleet, .rig = &s->rig, .source = &s->source.child};
    uint32_t ms = bench_or(s->bench->options.duration_ms, s->bench, 5000, 1000);
    atomic_store(&s->source.shared->rate, s->bench->options.rate_given ? s->bench->options.rate : RATE);
    fan_source_set(&s->source, SOURCE_RUN);
    bench_sleep_ms(PAIRS_SETTLE_MS);
    phase_begin(&subject, phase);
    if (scraped)
        scrape_for(s, ms);
    else
        bench_sleep_ms(ms);
    phase_end(&subject, phase);
    fan_source_set(&s->source, SOURCE_PAUSE);
    fan_drain(&s->fleet);
    report_check(&s->bench->report, phase->counts.deliveries > 0 && phase->counts.closed == 0,
                 "deliveries %" PRIu64 ", closed %" PRIu64, phase->counts.deliveries, phase->counts.closed);
}

static uint64_t counter(const struct scrapes *s, const char *segment, const char *name)
{
    uint64_t value = 0;
    report_check(&s->bench->report, seg_counter(s->rig.dir, segment, name, &value), "no %s %s", segment,
                 name);
    return value;
}

static void report_costs(struct scrapes *s, const char *name, double cpu_per_scrape_ns, double cpu_share)
{
    struct report *report = &s->bench->report;
    report_value(report, name, "scrapes", (double)s->count, "");
    report_value(report, name, "document", (double)s->bytes, "bytes");
    report_value(report, name, "worker CPU per scrape", cpu_per_scrape_ns / 1e6, "ms");
    report_value(report, name, "of a core, scraped every 15 s", cpu_share, "%");
    report_value(report, name, "scrape takes", s->count > 0 ? (double)s->ns / (double)s->count / 1e6 : 0,
                 "ms");
    report_value(report, name, "slowest", (double)s->slowest_ns / 1e6, "ms");
    report_value(report, name, "document made within", (double)counter(s, "worker.0", "scrape_us") / 1e3,
                 "ms");
    report_value(report, name, "longest step of the loop",
                 (double)counter(s, "worker.0", "scrape_step_us") / 1e3, "ms");
}

static void measure(struct scrapes *s)
{
    static struct phase with, without;
    static struct hist scraped, quiet;
    struct report *report = &s->bench->report;
    uint32_t pairs = bench_or(s->bench->options.pairs, s->bench, 5, 1);
    double ratios[100], extra_ns = 0;
    char name[96];
    scraped = quiet = (struct hist){0};
    snprintf(name, sizeof name, "%u machines; %u clients", s->machines, s->clients);
    for (uint32_t i = 0; i < pairs; i++) {
        run_phase(s, true, &with);
        run_phase(s, false, &without);
        hist_merge(&scraped, &with.latency);
        hist_merge(&quiet, &without.latency);
        extra_ns += (double)with.cpu_ns - (double)without.cpu_ns * with.seconds / without.seconds;
        uint64_t q = hist_quantile(&without.latency, 0.99);
        ratios[i] = q > 0 ? (double)hist_quantile(&with.latency, 0.99) / (double)q : 0;
    }
    double each_ns = s->count > 0 ? extra_ns / (double)s->count : 0;
    report_costs(s, name, each_ns, each_ns / 15e9 * 100);
    pairs_report_latency(report, name, "latency while scraped", &scraped);
    pairs_report_latency(report, name, "latency otherwise", &quiet);
    report_value(report, name, "p99 ratio", bench_median(ratios, pairs), "");
    report_check(report, counter(s, "worker.0", "scrapes_failed") == 0, "scrapes failed");
}

/* --- the house ---------------------------------------------------------------------------------------------------------- */

/* The broker makes segments a few at a time. */
static bool segments_are_there(const struct scrapes *s)
{
    char path[128];
    uint64_t end = now_ns() + SEGMENTS_MS * NS_PER_MS;
    snprintf(path, sizeof path, "%s/shm/agent.%u", s->rig.dir, s->machines - 1);
    while (access(path, R_OK) != 0) {
        if (now_ns() > end)
            return false;
        bench_sleep_ms(20);
    }
    return true;
}

static enum err_e start(struct scrapes *s)
{
    struct rig_config config = bench_rig(s->bench);
    config.machines = s->machines;
    config.workers = 1;
    config.dialects = "ops, carousel";
    enum err_e err = rig_start(&config, &s->rig);
    if (err == ERR_OK)
        err = fan_source_init(&s->source, &s->rig);
    if (err != ERR_OK)
        return err;
    struct gen_options options = bench_gen(s->bench);
    options.port = s->rig.port;
    options.clients = s->clients;
    options.table = s->source.table;
    err = fleet_start(&s->fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&s->fleet, LIVE_MS);
    if (err == ERR_OK)
        err = fan_source_start(&s->source, &s->fleet, config.other_core);
    return err == ERR_OK && !segments_are_there(s) ? ERR_TIMEOUT : err;
}

void scenario_scrape(struct bench *bench)
{
    static struct scrapes s;
    s = (struct scrapes){.bench = bench,
                         .clients = bench_or(bench->options.clients, bench, 1000, 20),
                         .machines = bench_or(bench->options.machines, bench, 1000, 20)};
    enum err_e err = start(&s);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK)
        measure(&s);
    fan_source_stop(&s.source);
    report_check(&bench->report, fleet_stop(&s.fleet), "a generator did not end cleanly");
    report_check(&bench->report, rig_stop(&s.rig), "a process of the system did not end cleanly");
}
