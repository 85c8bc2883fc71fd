/* scenario_endpoints.c — round trips of validated endpoints beside a bare echo of the same bytes (Hops: C1, C2, R4).
 *
 *     bench-ask ──message──▶ worker ── schema ── msgpack ──▶ handler process      pooled (one, two processes)
 *               ◀───answer─────┘  ◀── JSON ──────────────────┘
 *     bench-ask ──▶ bench-worker: schema, echo in the process, JSON                in-process
 *     bench-ask ──▶ worker ── JSON checked ──▶ handler process                    traditional
 *     bench-ask ──▶ bench-echo: mask off, head and tail around it                 the yardstick
 *
 * A round is one phase of each in turn; a ratio is the median of the rounds' ratios to the bare echo of the same round. All askers
 * of a case stay connected and pause while it is not their turn. The handler echoes, so its share is the library's.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ask_text.h"
#include "bench.h"
#include "echo_bare.h"
#include "endpoints_parts.h"
#include "house.h"
#include "trips.h"

#define SETTLE_MS  200u
#define DRAIN_MS   10000u
#define ROUNDS_MAX 100u

enum row_e { ROW_BARE, ROW_IN_PROCESS, ROW_POOLED_1, ROW_POOLED_2, ROW_TRADITIONAL, ROWS };

static const struct {
    const char *name;
    const char *path; /* of size `small`; see path_of() */
    bool envelope;
} rows[ROWS] = {
    [ROW_BARE] = {"bare", "/bare", true},
    [ROW_IN_PROCESS] = {"in-process", "/in", true},
    [ROW_POOLED_1] = {"pooled, 1 process", "/one", true},
    [ROW_POOLED_2] = {"pooled, 2 processes", "/two", true},
    [ROW_TRADITIONAL] = {"traditional, 1 process", "/raw", false},
};

struct figures {
    double trips[ROUNDS_MAX], per_cpu[ROUNDS_MAX], ratio[ROUNDS_MAX], per_handler_cpu[ROUNDS_MAX];
    double server_cpu[ROUNDS_MAX], handler_cpu[ROUNDS_MAX], asker_cpu[ROUNDS_MAX], other_cpu[ROUNDS_MAX];
    double per_write[ROUNDS_MAX];
    struct hist latency;
};

struct endpoints {
    struct bench *bench;
    struct house pooled, in_process;
    struct echo_bare bare;
    struct asker askers[ROWS];
    char texts[ASK_TEXTS][ASK_TEXT_MAX];
    size_t lens[ASK_TEXTS];
    struct figures figures[ROWS];
};

struct load {
    enum ask_text_e text;
    uint32_t clients, depth;
};

/* --- a round ------------------------------------------------------------------------------------------------------------ */

static struct trips_subject subject_of(struct endpoints *e, enum row_e row)
{
    struct trips_subject subject = {.asker = &e->askers[row]};
    if (row == ROW_BARE) {
        subject.server = e->bare.child.pid;
        return subject;
    }
    struct house *house = row == ROW_IN_PROCESS ? &e->in_process : &e->pooled;
    subject.rig = &house->rig;
    subject.server = house->rig.workers[0].pid;
    for (unsigned i = 0; row != ROW_IN_PROCESS && i < HOUSE_HANDLERS; i++)
        subject.handlers[i] = house->handlers[i].pid;
    return subject;
}

static void check_phase(struct report *report, const char *name, const struct asker *asker,
                        const struct trips_phase *phase)
{
    report_check(report, phase->answers > 0, "%s: nothing was answered", name);
    report_check(report, phase->wrong == 0, "%s: %" PRIu64 " wrong answers, the first: %s", name,
                 phase->wrong, asker->shared->first_wrong);
}

static void run_phase(struct endpoints *e, enum row_e row, const char *name, struct trips_phase *phase)
{
    struct trips_subject subject = subject_of(e, row);
    asker_set(subject.asker, ASK_RUN);
    bench_sleep_ms(e->bench->options.smoke ? SETTLE_MS / 4 : SETTLE_MS);
    trips_begin(&subject, phase);
    bench_sleep_ms(bench_or(e->bench->options.duration_ms, e->bench, 2000, 250));
    trips_end(&subject, phase);
    report_check(&e->bench->report, asker_drain(subject.asker, DRAIN_MS),
                 "%s: %" PRIu64 " messages were not answered", name,
                 atomic_load(&subject.asker->shared->under_way));
    check_phase(&e->bench->report, name, subject.asker, phase);
}

static void note(struct figures *figures, uint32_t round, const struct trips_phase *phase,
                 const struct trips_phase *bare)
{
    double seconds = phase->seconds * 1e9, bare_per_cpu = trips_per_server_cpu(bare);
    figures->trips[round] = trips_per_second(phase);
    figures->per_cpu[round] = trips_per_server_cpu(phase);
    figures->ratio[round] = bare_per_cpu > 0 ? figures->per_cpu[round] / bare_per_cpu : 0;
    figures->per_handler_cpu[round] = trips_per_handler_cpu(phase);
    figures->server_cpu[round] = (double)phase->server_ns / seconds;
    figures->handler_cpu[round] = (double)phase->handler_ns / seconds;
    figures->asker_cpu[round] = (double)phase->asker_ns / seconds;
    figures->other_cpu[round] = trips_other_cpu(phase);
    figures->per_write[round] = phase->writes > 0 ? (double)phase->answers / (double)phase->writes : 0;
    hist_merge(&figures->latency, &phase->latency);
}

/* --- a case ------------------------------------------------------------------------------------------------------------- */

static void case_name(enum row_e row, const struct load *load, char name[96])
{
    snprintf(name, 96, "%s; %s; %u client%s; %u under way", rows[row].name, ask_text_name(load->text),
             load->clients, load->clients == 1 ? "" : "s", load->depth);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == ',' ? '/' : *c; /* a comma parts the columns of the CSV */
}

static void report_latency(struct report *report, const char *name, const struct hist *latency)
{
    static const struct {
        const char *metric;
        double q;
    } quantiles[] = {{"round trip p50", 0.5}, {"round trip p99", 0.99}, {"round trip p99.9", 0.999}};
    for (unsigned i = 0; i < 3; i++)
        report_value(report, name, quantiles[i].metric, (double)hist_quantile(latency, quantiles[i].q) / 1e3,
                     "us");
}

static void report_figures(struct report *report, enum row_e row, const char *name, struct figures *f,
                           uint32_t rounds)
{
    report_value(report, name, "round trips/s", bench_median(f->trips, rounds), "1/s");
    report_value(report, name, "round trips per worker CPU-second", bench_median(f->per_cpu, rounds), "1/s");
    if (row != ROW_BARE) {
        report_value(report, name, "ratio to bare echo", bench_median(f->ratio, rounds), "");
        report_value(report, name, "ratio: lowest round", f->ratio[0], ""); /* the median sorted them */
        report_value(report, name, "ratio: highest round", f->ratio[rounds - 1], "");
        report_value(report, name, "answers per write", bench_median(f->per_write, rounds), "");
    }
    if (row > ROW_IN_PROCESS) {
        report_value(report, name, "round trips per handler CPU-second",
                     bench_median(f->per_handler_cpu, rounds), "1/s");
        report_value(report, name, "handler CPU", bench_median(f->handler_cpu, rounds), "cores");
    }
    report_latency(report, name, &f->latency);
    report_value(report, name, "worker CPU", bench_median(f->server_cpu, rounds), "cores");
    report_value(report, name, "asker CPU", bench_median(f->asker_cpu, rounds), "cores");
    report_value(report, name, "other CPU", bench_median(f->other_cpu, rounds), "cores");
}

static enum err_e start_asker(struct endpoints *e, enum row_e row, const struct load *load)
{
    const struct house *house = row == ROW_IN_PROCESS ? &e->in_process : &e->pooled;
    char path[32], name[CHILD_NAME_MAX];
    snprintf(path, sizeof path, "%s/%s", rows[row].path, ask_text_name(load->text));
    snprintf(name, sizeof name, "bench-ask.%u", row);
    struct ask_options options = {.port = row == ROW_BARE ? e->bare.port : house->rig.port,
                                  .path = path,
                                  .clients = load->clients,
                                  .depth = load->depth,
                                  .text = e->texts[load->text],
                                  .len = e->lens[load->text],
                                  .head = rows[row].envelope ? ASK_ENVELOPE_HEAD : "",
                                  .tail = rows[row].envelope ? ASK_ENVELOPE_TAIL : "",
                                  .core = bench_gen(e->bench).core};
    return asker_start(&e->askers[row], name, &options);
}

static void rounds(struct endpoints *e, const struct load *load)
{
    static struct trips_phase bare, phase;
    uint32_t count = bench_or(e->bench->options.pairs, e->bench, 5, 1);
    char name[96];
    memset(e->figures, 0, sizeof e->figures);
    for (uint32_t i = 0; i < count; i++)
        for (enum row_e row = 0; row < ROWS; row++) {
            case_name(row, load, name);
            run_phase(e, row, name, row == ROW_BARE ? &bare : &phase);
            note(&e->figures[row], i, row == ROW_BARE ? &bare : &phase, &bare);
        }
    for (enum row_e row = 0; row < ROWS; row++) {
        case_name(row, load, name);
        report_figures(&e->bench->report, row, name, &e->figures[row], count);
    }
}

static void measure(struct endpoints *e, const struct load *load)
{
    enum err_e err = ERR_OK;
    for (enum row_e row = 0; row < ROWS && err == ERR_OK; row++)
        err = start_asker(e, row, load);
    report_check(&e->bench->report, err == ERR_OK, "%u clients did not connect", load->clients);
    if (err == ERR_OK)
        rounds(e, load);
    for (enum row_e row = 0; row < ROWS; row++)
        report_check(&e->bench->report, asker_stop(&e->askers[row]), "%s: a connection was lost",
                     rows[row].name);
}

/* --- all of it ---------------------------------------------------------------------------------------------------------- */

static enum err_e start(struct endpoints *e)
{
    for (enum ask_text_e text = 0; text < ASK_TEXTS; text++)
        e->lens[text] = ask_text_make(text, e->texts[text]);
    enum err_e err = house_start(&e->pooled, e->bench, HOUSE_POOLED);
    if (err == ERR_OK)
        err = house_start(&e->in_process, e->bench, HOUSE_IN_PROCESS);
    if (err == ERR_OK)
        err =
            echo_bare_start(&e->bare, ASK_ENVELOPE_HEAD, ASK_ENVELOPE_TAIL, bench_rig(e->bench).worker_core);
    return err;
}

static void stop(struct endpoints *e)
{
    struct report *report = &e->bench->report;
    report_check(report, echo_bare_stop(&e->bare), "the bare echo dropped a client or did not end cleanly");
    report_check(report, house_stop(&e->pooled), "a process of the pooled side did not end cleanly");
    report_check(report, house_stop(&e->in_process), "a process of the in-process side did not end cleanly");
}

static const struct load loads[] = {
    {ASK_SMALL, 1, 1},  {ASK_SMALL, 100, 1},  {ASK_SMALL, 100, 8},  {ASK_SMALL, 1000, 8},
    {ASK_NESTED, 1, 1}, {ASK_NESTED, 100, 1}, {ASK_NESTED, 100, 8}, {ASK_NESTED, 1000, 8},
};
static const struct load smoke_loads[] = {{ASK_SMALL, 1, 1}, {ASK_SMALL, 20, 8}, {ASK_NESTED, 20, 4}};

static void measure_all(struct endpoints *e, const struct load *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bench_wanted(e->bench, ask_text_name(all[i].text)))
            measure(e, &all[i]);
}

/* --clients and --window in the place of the table. */
static void measure_given(struct endpoints *e, const struct bench_options *options)
{
    uint32_t depth = options->window != 0 && options->window <= ASK_DEPTH_MAX ? options->window : 1;
    const struct load given[] = {{ASK_SMALL, options->clients, depth}, {ASK_NESTED, options->clients, depth}};
    measure_all(e, given, 2);
}

void scenario_endpoints(struct bench *bench)
{
    static struct endpoints e;
    const struct bench_options *options = &bench->options;
    e = (struct endpoints){.bench = bench};
    if (bench_wanted(bench, "parts"))
        endpoints_parts(bench);
    enum err_e err = start(&e);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK && options->clients != 0)
        measure_given(&e, options);
    else if (err == ERR_OK && options->smoke)
        measure_all(&e, smoke_loads, sizeof smoke_loads / sizeof smoke_loads[0]);
    else if (err == ERR_OK)
        measure_all(&e, loads, sizeof loads / sizeof loads[0]);
    stop(&e);
}
