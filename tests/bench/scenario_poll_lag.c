/* scenario_poll_lag.c — one bad PLC and the others' poll lag.
 *
 * Twenty machines. Phase A: all are well. Phase B: one of them, another in each pair, is dead, half-open, late, sends garbage or
 * flaps. Compared is when the *others* were polled: from one status request to the next by the simulator's log (the PLC's
 * side of the wire), less the poll interval. That is the honest figure: each agent counts its interval from the start of the
 * poll before, so that what lies above it is lag. The agents' own gauge `poll_lag_us` was rejected: it holds the last value
 * only, and knows nothing of what happens behind the agent's call of send().
 *
 * A and B stand in the other order in every second pair. The first case is a control, in which B is as well as A: what its
 * ratios stray, the others' may. What a PLC's fault costs the simulator, one process for all, is in the figure, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_hist.h"
#include "clock.h"
#include "must.h"
#include "sim_link.h"

#define POLL_MS      50u
#define BACKOFF_MS   500u /* at most: a bad machine is to stay a burden */
#define SETTLE_MS    1000u
#define FLAP_MS      100u
#define PAIRS_MAX    100u
#define MACHINES_MAX 256u
#define CONTROL      0 /* nothing is wrong in B either: how far a ratio strays by itself */

static const struct {
    const char *name, *fault; /* NULL: comes and goes */
} kinds[] = {
    [CONTROL] = {"well (control)", ""},
    {"dead", "refused"},
    {"half-open", "half-open"},
    {"late", "late 3000"},
    {"garbage", "garbage 0102030405060708"},
    {"flapping", NULL},
};

struct phase_polls {
    struct hist lag;             /* ns, of the others */
    uint64_t others, bad;        /* polls */
    uint64_t last[MACHINES_MAX]; /* ns of its last poll in this phase; 0: none yet */
    uint32_t bad_index;
};

struct lag {
    struct bench *bench;
    struct rig rig;
    uint32_t machines, pairs, phase_ms;
    long offset; /* of the simulator's log */
};

static void on_request(void *arg, uint64_t ns, uint32_t machine)
{
    struct phase_polls *polls = arg;
    if (machine == polls->bad_index) {
        polls->bad++;
        return;
    }
    MUST(machine < MACHINES_MAX);
    uint64_t interval = POLL_MS * NS_PER_MS, before = polls->last[machine];
    polls->others++;
    polls->last[machine] = ns;
    if (before != 0)
        hist_add(&polls->lag, ns - before > interval ? ns - before - interval : 0);
}

static enum err_e tell(const struct lag *l, const char *verb, uint32_t machine, const char *rest)
{
    char id[RIG_ID_MAX], line[128];
    rig_machine_id(machine, id);
    snprintf(line, sizeof line, "%s %s %s", verb, id, rest);
    return sim_link_command(&l->rig, line);
}

static enum err_e flap(const struct lag *l, uint32_t machine)
{
    uint64_t end = clock_mono_ns(clock_system()) + l->phase_ms * NS_PER_MS;
    enum err_e err = ERR_OK;
    for (bool up = false; err == ERR_OK && clock_mono_ns(clock_system()) < end; up = !up) {
        err = up ? tell(l, "clear", machine, "") : tell(l, "fault", machine, "refused");
        bench_sleep_ms(FLAP_MS);
    }
    return err;
}

/* Waits until the machine has been well for a while again. */
static enum err_e heal(const struct lag *l, uint32_t machine)
{
    enum err_e err = tell(l, "clear", machine, "");
    if (err == ERR_OK)
        err = tell(l, "wait", machine, "connected deadline 4000");
    return err;
}

static enum err_e run_phase(struct lag *l, size_t kind, uint32_t machine, bool bad, struct phase_polls *polls)
{
    enum err_e err = ERR_OK;
    *polls = (struct phase_polls){.bad_index = machine};
    sim_link_polls(&l->rig, l->machines, &l->offset, NULL, NULL);
    if (!bad || kind == CONTROL) {
        bench_sleep_ms(l->phase_ms);
    } else if (kinds[kind].fault == NULL) {
        err = flap(l, machine);
    } else {
        err = tell(l, "fault", machine, kinds[kind].fault);
        bench_sleep_ms(l->phase_ms);
    }
    sim_link_polls(&l->rig, l->machines, &l->offset, on_request, polls);
    return bad && err == ERR_OK ? heal(l, machine) : err;
}

static double us(const struct hist *lag, double quantile)
{
    return (double)hist_quantile(lag, quantile) / 1e3;
}

static void report_kind(struct lag *l, size_t kind, const struct hist *well, const struct hist *ill,
                        double *ratios)
{
    struct report *report = &l->bench->report;
    char name[64];
    snprintf(name, sizeof name, "%u machines; one %s", l->machines, kinds[kind].name);
    report_value(report, name, "lag of the others p50: all well", us(well, 0.5), "us");
    report_value(report, name, "lag of the others p50", us(ill, 0.5), "us");
    report_value(report, name, "lag of the others p99: all well", us(well, 0.99), "us");
    report_value(report, name, "lag of the others p99", us(ill, 0.99), "us");
    report_value(report, name, "p99 ratio: all pairs together", us(ill, 0.99) / us(well, 0.99), "");
    report_value(report, name, "p99 ratio: median of the pairs", bench_median(ratios, l->pairs), "");
    report_value(report, name, "p99 ratio: smallest of the pairs", ratios[0], "");
    report_value(report, name, "p99 ratio: largest of the pairs", ratios[l->pairs - 1], "");
}

static bool check_pair(struct lag *l, size_t kind, enum err_e err, const struct phase_polls *well,
                       const struct phase_polls *ill)
{
    struct report *report = &l->bench->report;
    uint64_t share = ill->others / (l->machines - 1);
    report_check(report, err == ERR_OK, "%s: the simulator did not do it", kinds[kind].name);
    report_check(report, well->lag.count > 0 && ill->lag.count > 0, "%s: nobody was polled",
                 kinds[kind].name);
    bool spared = kind == CONTROL || l->bench->options.smoke; /* smoke's phases are too short to say */
    report_check(report, spared || ill->bad < share,
                 "%s: the bad machine was polled %" PRIu64 " times, the others %" PRIu64, kinds[kind].name,
                 ill->bad, share);
    return err == ERR_OK && well->lag.count > 0 && ill->lag.count > 0;
}

static void measure(struct lag *l, size_t kind)
{
    static struct phase_polls well, ill;
    static struct hist all_well, all_ill;
    double ratios[PAIRS_MAX];
    memset(&all_well, 0, sizeof all_well);
    memset(&all_ill, 0, sizeof all_ill);
    for (uint32_t pair = 0; pair < l->pairs; pair++) {
        uint32_t machine = (uint32_t)(kind * l->pairs + pair) % l->machines;
        bool bad_first = pair % 2 == 1;
        enum err_e err = run_phase(l, kind, machine, bad_first, bad_first ? &ill : &well);
        if (err == ERR_OK)
            err = run_phase(l, kind, machine, !bad_first, bad_first ? &well : &ill);
        if (!check_pair(l, kind, err, &well, &ill))
            return;
        hist_merge(&all_well, &well.lag);
        hist_merge(&all_ill, &ill.lag);
        ratios[pair] = us(&ill.lag, 0.99) / us(&well.lag, 0.99);
    }
    report_kind(l, kind, &all_well, &all_ill, ratios);
}

static enum err_e wait_polled(const struct lag *l)
{
    enum err_e err = ERR_OK;
    for (uint32_t i = 0; i < l->machines && err == ERR_OK; i++)
        err = tell(l, "wait", i, "requests 0 3 deadline 4000");
    return err;
}

void scenario_poll_lag(struct bench *bench)
{
    static struct lag l;
    l = (struct lag){.bench = bench,
                     .machines = bench_or(bench->options.machines, bench, 20, 5),
                     .pairs = bench_or(bench->options.pairs, bench, 20, 1),
                     .phase_ms = bench_or(bench->options.duration_ms, bench, 1000, 300)};
    struct rig_config config = bench_rig(bench);
    config.machines = l.machines;
    config.agents = true;
    config.poll_ms = config.poll_moving_ms = POLL_MS;
    config.backoff_max_ms = BACKOFF_MS;
    config.worker_core = config.other_core = -1;
    bool fits = l.machines >= 2 && l.machines <= MACHINES_MAX && l.pairs <= PAIRS_MAX;
    enum err_e err = fits ? rig_start(&config, &l.rig) : ERR_CONFIG;
    if (err == ERR_OK)
        err = wait_polled(&l);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK) {
        bench_sleep_ms(bench->options.smoke ? 0 : SETTLE_MS);
        for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
            measure(&l, kind);
        report_check(&bench->report, rig_healthy(&l.rig), "a process of the system ended");
    }
    report_check(&bench->report, rig_stop(&l.rig), "a process of the system did not end cleanly");
}
