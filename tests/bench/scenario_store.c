/* scenario_store.c — durable REST writes beside SQLite's own limit for the same transactions (Hops: C1, C2, R4), and how long one takes.
 *
 *     bench-post ──POST──▶ worker ──▶ broker ──▶ store ── group ──▶ SQLite ── fsync ──▶ 201           the system
 *     bench-limit: the same number of rows per transaction ──▶ workers/store/db ──▶ SQLite ── fsync    the library
 *     bench-limit: … ──▶ SQLite ── fsync                                                              the yardstick
 *
 * A round is one phase of each in turn, on the same file system. Transactions of the other two are as the store's own counters showed in the
 * phase of the system before them: as many writes (writes ÷ groups), as many events noted as published (events_noted ÷ rows: at the highest
 * rates most are noted after the phase), readings of as many sensors, each of which has leaves of its own in two indexes. A ratio is the
 * median of the rounds' ratios. Between phases the system's events are published and noted. At the end of all, rows and events in the
 * file are what was answered.
 *
 * Nothing that does more than SQLite is faster than SQLite. Where it looks so, transactions are not the same, or the machine has other things to
 * do: after each fsync the one process of the yardstick waits for a core, the many of the system not all at once (a ratio of 10, where it is
 * 0.3). So a ratio over RATIO_MAX fails a run of real durations, the library's own as well.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "clock.h"
#include "poster.h"
#include "procfs.h"
#include "seg_counters.h"
#include "store_latency.h"
#include "store_limit.h"

#define SETTLE_MS  200u
#define DRAIN_MS   30000u
#define ROUNDS_MAX 100u
#define RATIO_MAX  1.1 /* above: no comparison */

struct look { /* counters, then what they grew by */
    uint64_t at_ns, rows, writes, groups, noted;
    uint64_t store_ns, worker_ns, broker_ns, post_ns, machine_ns;
};

struct figures {
    double rows[ROUNDS_MAX], requests[ROUNDS_MAX], group[ROUNDS_MAX], transactions[ROUNDS_MAX],
        noted[ROUNDS_MAX];
    double library[ROUNDS_MAX], sqlite[ROUNDS_MAX], to_library[ROUNDS_MAX], to_sqlite[ROUNDS_MAX];
    double store_cpu[ROUNDS_MAX], worker_cpu[ROUNDS_MAX], broker_cpu[ROUNDS_MAX], limit_cpu[ROUNDS_MAX],
        other_cpu[ROUNDS_MAX];
    struct hist latency, transaction; /* `transaction`: of SQLite alone */
};

struct load {
    uint32_t rows, clients;
};

struct store_bench {
    struct bench *bench;
    struct rig rig;
    struct store_limit limit;
    struct poster poster;
    struct figures figures;
    uint64_t written; /* rows of readings, by answers */
};

/* --- looks ---------------------------------------------------------------------------------------------------------- */

static uint64_t counter(const struct store_bench *s, const char *name)
{
    uint64_t value;
    seg_counter(s->rig.dir, "store", name, &value);
    return value;
}

static struct look look(const struct store_bench *s, const struct load *load)
{
    return (struct look){.at_ns = clock_mono_ns(clock_system()),
                         .rows = atomic_load(&s->poster.shared->answers) * load->rows,
                         .writes = counter(s, "writes"),
                         .groups = counter(s, "groups"),
                         .noted = counter(s, "events_noted"),
                         .store_ns = procfs_cpu_ns(s->rig.store.pid),
                         .worker_ns = procfs_cpu_ns(s->rig.workers[0].pid),
                         .broker_ns = procfs_cpu_ns(s->rig.broker.pid),
                         .post_ns = procfs_cpu_ns(s->poster.child.pid),
                         .machine_ns = procfs_machine_busy_ns()};
}

static struct look grown(struct look now, const struct look *before)
{
    now.at_ns -= before->at_ns;
    now.rows -= before->rows;
    now.writes -= before->writes;
    now.groups -= before->groups;
    now.noted -= before->noted;
    now.store_ns -= before->store_ns;
    now.worker_ns -= before->worker_ns;
    now.broker_ns -= before->broker_ns;
    now.post_ns -= before->post_ns;
    now.machine_ns -= before->machine_ns;
    return now;
}

static uint32_t phase_ms(const struct store_bench *s)
{
    return bench_or(s->bench->options.duration_ms, s->bench, 2000, 250);
}

/* --- phases --------------------------------------------------------------------------------------------------------- */

/* Every event in the ring, and its place in the database. */
static bool events_are_out(const struct store_bench *s)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + DRAIN_MS * NS_PER_MS;
    while (counter(s, "event_unpublished") <= counter(s, "event_last")) {
        if (clock_mono_ns(clock_system()) >= deadline)
            return false;
        bench_sleep_ms(2);
    }
    return true;
}

static struct look run_system(struct store_bench *s, const struct load *load, const char *name)
{
    struct report *report = &s->bench->report;
    static struct hist before, after;
    poster_set(&s->poster, POST_RUN);
    bench_sleep_ms(SETTLE_MS);
    struct look begun = look(s, load);
    before = s->poster.shared->latency;
    bench_sleep_ms(phase_ms(s));
    struct look phase = look(s, load);
    after = s->poster.shared->latency;
    phase = grown(phase, &begun);
    hist_subtract(&after, &before);
    hist_merge(&s->figures.latency, &after);
    report_check(report, poster_drain(&s->poster, DRAIN_MS), "%s: %" PRIu64 " writes were not answered", name,
                 atomic_load(&s->poster.shared->under_way));
    report_check(report, phase.rows > 0, "%s: nothing was written", name);
    report_check(report, events_are_out(s), "%s: not all events were published", name);
    return phase;
}

/* Rows per second. */
static double run_limit(struct store_bench *s, enum limit_command_e kind, const struct limit_load *load,
                        double *cpu)
{
    struct limit_shared *shared = s->limit.shared;
    static struct hist before, after;
    store_limit_load(&s->limit, load);
    bool ok = store_limit_set(&s->limit, kind);
    bench_sleep_ms(SETTLE_MS);
    uint64_t begun = clock_mono_ns(clock_system()), written = atomic_load(&shared->written);
    uint64_t cpu_ns = procfs_cpu_ns(s->limit.child.pid);
    before = shared->transaction;
    bench_sleep_ms(phase_ms(s));
    written = atomic_load(&shared->written) - written;
    double ns = (double)(clock_mono_ns(clock_system()) - begun);
    *cpu = (double)(procfs_cpu_ns(s->limit.child.pid) - cpu_ns) / ns;
    after = shared->transaction;
    hist_subtract(&after, &before);
    if (kind == LIMIT_SQLITE)
        hist_merge(&s->figures.transaction, &after);
    report_check(&s->bench->report, store_limit_set(&s->limit, LIMIT_PAUSE) && ok,
                 "SQLite alone failed, or its library");
    return (double)written / ns * 1e9;
}

/* The same transactions as the system's phase. */
static struct limit_load same_as(const struct look *phase, const struct load *load)
{
    double group = phase->groups > 0 ? (double)phase->writes / (double)phase->groups : 1;
    double noted = phase->rows > 0 ? (double)phase->noted / (double)phase->rows : 0;
    uint32_t sensors = load->rows > 1 || load->clients > POST_SENSORS ? POST_SENSORS : load->clients;
    return (struct limit_load){.rows = load->rows,
                               .requests = group < 1 ? 1 : (uint32_t)(group + 0.5),
                               .sensors = sensors,
                               .noted_per_mille = noted > 1 ? 1000 : (uint32_t)(noted * 1000 + 0.5)};
}

static void run_round(struct store_bench *s, const struct load *load, const char *name, uint32_t i)
{
    struct figures *f = &s->figures;
    double unused;
    struct look phase = run_system(s, load, name);
    double seconds = (double)phase.at_ns / 1e9;
    f->rows[i] = (double)phase.rows / seconds;
    f->requests[i] = f->rows[i] / load->rows;
    f->transactions[i] = (double)phase.groups / seconds;
    f->group[i] = phase.groups > 0 ? (double)phase.writes / (double)phase.groups : 1;
    f->noted[i] = phase.rows > 0 ? (double)phase.noted / (double)phase.rows : 0;
    f->store_cpu[i] = (double)phase.store_ns / (double)phase.at_ns;
    f->worker_cpu[i] = (double)phase.worker_ns / (double)phase.at_ns;
    f->broker_cpu[i] = (double)phase.broker_ns / (double)phase.at_ns;
    double ours = (double)(phase.store_ns + phase.worker_ns + phase.broker_ns + phase.post_ns);
    f->other_cpu[i] = ((double)phase.machine_ns - ours) / (double)phase.at_ns;
    struct limit_load same = same_as(&phase, load);
    if (i % 2 == 0) { /* in turn, too, which of them is first */
        f->sqlite[i] = run_limit(s, LIMIT_SQLITE, &same, &f->limit_cpu[i]);
        f->library[i] = run_limit(s, LIMIT_LIBRARY, &same, &unused);
    } else {
        f->library[i] = run_limit(s, LIMIT_LIBRARY, &same, &unused);
        f->sqlite[i] = run_limit(s, LIMIT_SQLITE, &same, &f->limit_cpu[i]);
    }
    f->to_sqlite[i] = f->sqlite[i] > 0 ? f->rows[i] / f->sqlite[i] : 0;
    f->to_library[i] = f->library[i] > 0 ? f->rows[i] / f->library[i] : 0;
}

/* --- a case --------------------------------------------------------------------------------------------------------- */

static void report_ms(struct report *report, const char *name, const char *metric, const struct hist *hist,
                      double q)
{
    report_value(report, name, metric, (double)hist_quantile(hist, q) / 1e6, "ms");
}

static void report_figures(struct report *report, const char *name, struct figures *f, uint32_t n)
{
    report_value(report, name, "durable rows/s", bench_median(f->rows, n), "1/s");
    report_value(report, name, "durable writes/s", bench_median(f->requests, n), "1/s");
    report_value(report, name, "SQLite alone: rows/s", bench_median(f->sqlite, n), "1/s");
    report_value(report, name, "library alone: rows/s", bench_median(f->library, n), "1/s");
    report_value(report, name, "ratio to SQLite", bench_median(f->to_sqlite, n), "");
    report_value(report, name, "ratio to SQLite: lowest round", f->to_sqlite[0],
                 ""); /* the median sorted them */
    report_value(report, name, "ratio to SQLite: highest round", f->to_sqlite[n - 1], "");
    report_value(report, name, "ratio to the library", bench_median(f->to_library, n), "");
    report_value(report, name, "writes per transaction", bench_median(f->group, n), "");
    report_value(report, name, "transactions/s", bench_median(f->transactions, n), "1/s");
    report_value(report, name, "events published and noted per row meanwhile", bench_median(f->noted, n), "");
    report_ms(report, name, "connect to 201 p50", &f->latency, 0.5);
    report_ms(report, name, "connect to 201 p99", &f->latency, 0.99);
    report_value(report, name, "store CPU", bench_median(f->store_cpu, n), "cores");
    report_value(report, name, "worker CPU", bench_median(f->worker_cpu, n), "cores");
    report_value(report, name, "broker CPU", bench_median(f->broker_cpu, n), "cores");
    report_value(report, name, "SQLite alone: CPU", bench_median(f->limit_cpu, n), "cores");
    report_ms(report, name, "SQLite alone: transaction p50", &f->transaction, 0.5);
    report_ms(report, name, "SQLite alone: transaction p99", &f->transaction, 0.99);
    report_value(report, name, "other CPU", bench_median(f->other_cpu, n), "cores");
}

static bool start_poster(struct store_bench *s, const struct load *load)
{
    struct post_options options = {
        .port = s->rig.port, .clients = load->clients, .rows = load->rows, .core = bench_gen(s->bench).core};
    bool ok = poster_start(&s->poster, &options) == ERR_OK;
    report_check(&s->bench->report, ok, "the poster did not start");
    return ok;
}

/* What it has written is part of what must be on the disk. */
static void end_poster(struct store_bench *s, const struct load *load, const char *name)
{
    struct report *report = &s->bench->report;
    if (s->poster.shared != NULL) {
        uint64_t wrong = atomic_load(&s->poster.shared->wrong);
        report_check(report, wrong == 0, "%s: %" PRIu64 " answers that are no 201; the first: %s", name,
                     wrong, s->poster.shared->first_wrong);
        s->written += atomic_load(&s->poster.shared->answers) * load->rows;
    }
    report_check(report, poster_stop(&s->poster), "%s: the poster did not end cleanly", name);
}

static void case_name(const struct load *load, char name[64])
{
    snprintf(name, 64, "%s %u; %u client%s", load->rows == 1 ? "single" : "bulk", load->rows, load->clients,
             load->clients == 1 ? "" : "s");
}

static void check_ratios(struct store_bench *s, const char *name, uint32_t rounds)
{
    struct figures *f = &s->figures;
    double system = bench_median(f->to_sqlite, rounds), sqlite = bench_median(f->sqlite, rounds);
    double library = sqlite > 0 ? bench_median(f->library, rounds) / sqlite : 0;
    report_check(
        &s->bench->report, s->bench->options.smoke || (system <= RATIO_MAX && library <= RATIO_MAX),
        "%s: system %.2f, library %.2f times as fast as SQLite alone: not the same transactions, or the "
        "machine is not quiet: no figures",
        name, system, library);
}

static void measure(struct store_bench *s, const struct load *load)
{
    uint32_t rounds = bench_or(s->bench->options.pairs, s->bench, 5, 1);
    char name[64];
    case_name(load, name);
    if (!bench_wanted(s->bench, name))
        return;
    memset(&s->figures, 0, sizeof s->figures);
    if (start_poster(s, load)) {
        for (uint32_t i = 0; i < rounds; i++)
            run_round(s, load, name, i);
        report_figures(&s->bench->report, name, &s->figures, rounds);
        check_ratios(s, name, rounds);
    }
    end_poster(s, load, name);
}

/* --- latency -------------------------------------------------------------------------------------------------------- */

static void measure_latency(struct store_bench *s, const char *name)
{
    static struct store_latency latency;
    struct report *report = &s->bench->report;
    uint32_t samples = bench_or(s->bench->options.samples, s->bench, 2000, 50);
    bool clean = store_latency_measure(s->rig.port, samples, bench_gen(s->bench).core, &latency);
    report_check(report, clean, "%s: the prober did not end cleanly", name);
    report_check(report, latency.wrong == 0 && latency.done == samples, "%s: %" PRIu64 " of %u writes; %s",
                 name, latency.done, samples, latency.first_wrong);
    report_ms(report, name, "POST to event p50", &latency.event, 0.5);
    report_ms(report, name, "POST to event p99", &latency.event, 0.99);
    report_ms(report, name, "POST to 201 p50", &latency.answer, 0.5);
    report_ms(report, name, "POST to 201 p99", &latency.answer, 0.99);
}

static void measure_latencies(struct store_bench *s)
{
    const struct load load = {1, s->bench->options.smoke ? 8 : 64};
    char name[64];
    if (!bench_wanted(s->bench, "latency"))
        return;
    measure_latency(s, "latency; alone");
    snprintf(name, sizeof name, "latency; beside %u clients that write", load.clients);
    if (start_poster(s, &load)) {
        poster_set(&s->poster, POST_RUN);
        bench_sleep_ms(SETTLE_MS);
        measure_latency(s, name);
        report_check(&s->bench->report, poster_drain(&s->poster, DRAIN_MS), "%s: a write was not answered",
                     name);
    }
    end_poster(s, &load, name);
    report_check(&s->bench->report, events_are_out(s), "%s: not all events were published", name);
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static enum err_e extend(const struct rig *rig, FILE *file, void *arg)
{
    (void)rig, (void)arg;
    fprintf(file, "rest: {auth: false}\n");
    return ERR_OK;
}

static bool start(struct store_bench *s)
{
    struct rig_config config = bench_rig(s->bench);
    struct store_latency made; /* sensors 1 to POST_SENSORS, by the way in that is measured */
    config.machines = 1;
    config.dialect = "channels";
    config.store = true;
    config.any_rate = true;
    config.extend = extend;
    return rig_start(&config, &s->rig) == ERR_OK &&
           store_latency_measure(s->rig.port, POST_SENSORS, -1, &made) && made.done == POST_SENSORS &&
           store_limit_start(&s->limit, s->rig.state, s->rig.config.worker_core) == ERR_OK;
}

static int64_t count_in_file(const struct store_bench *s, const char *sql)
{
    sqlite3 *sqlite = NULL;
    sqlite3_stmt *statement = NULL;
    char path[128];
    int64_t count = -1;
    snprintf(path, sizeof path, "%s/store/noria.db", s->rig.state);
    if (sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(sqlite);
    return count;
}

static void check_file(struct store_bench *s)
{
    int64_t rows = count_in_file(s, "SELECT count(*) FROM readings");
    int64_t events = count_in_file(s, "SELECT count(*) FROM events WHERE channel = 'readings'");
    report_check(&s->bench->report, rows == (int64_t)s->written && events == rows,
                 "%" PRIu64 " rows were answered 201; the file has %" PRId64 ", and %" PRId64 " events",
                 s->written, rows, events);
}

static const struct load loads[] = {{1, 1}, {1, 8}, {1, 64}, {100, 1}, {100, 8}, {1000, 1}, {1000, 8}};
static const struct load smoke_loads[] = {{1, 1}, {1, 8}, {100, 2}};

void scenario_store(struct bench *bench)
{
    static struct store_bench s;
    const struct load *all = bench->options.smoke ? smoke_loads : loads;
    size_t count =
        bench->options.smoke ? sizeof smoke_loads / sizeof smoke_loads[0] : sizeof loads / sizeof loads[0];
    s = (struct store_bench){.bench = bench};
    bool started = start(&s);
    report_check(&bench->report, started, "the system did not start");
    if (started) {
        measure_latencies(&s);
        for (size_t i = 0; i < count; i++)
            measure(&s, &all[i]);
        check_file(&s);
    }
    report_check(&bench->report, store_limit_stop(&s.limit), "SQLite alone did not end cleanly");
    report_check(&bench->report, rig_stop(&s.rig), "a process of the system did not end cleanly");
}
