/* scenario_restart.c — what clients see of a rolling restart of all workers, beside workers that are killed.
 *
 * The real `noria up`, one simulated machine that is turned without rest, N subscribers who come back at once, with `since`, when the
 * server closes them, and a few clients who arrive all the time and leave as soon as they are welcome. `rolling`: `noria restart
 * workers`. `killed`: kill -9 to every worker, one after the other. How long was everybody away (closed to the first snapshot
 * behind), how long did the slowest newcomer wait, and was anybody refused? A drain spreads its closes over its window, so that
 * few come back at a time; a kill sends all of a worker's clients away at once.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench.h"
#include "clock.h"
#include "seg_counters.h"
#include "sim_link.h"

#define LIVE_MS      60000u
#define RESTART_MS   120000u
#define NEWCOMERS    4u
#define DRAIN_MS     2000u
#define SMOKE_DRAIN  300u
#define POLL_MS      10u
#define SETTLE_MS    500u
#define BACK_TRIES   2000u /* of 10 ms */
#define ADDRESS_STEP 20u   /* newcomers' first source address, behind those of the subscribers */

struct restart {
    struct bench *bench;
    struct rig rig;
    struct fleet fleet, newcomers;
    uint32_t clients, workers;
    pid_t pids[RIG_WORKERS_MAX];
};

/* One phase: a look before, and what came since. */
struct look {
    struct fleet_counts counts, newcomers;
    struct hist away, door;
    uint64_t ns;
};

static void look(const struct restart *r, struct look *at)
{
    at->counts = fleet_counts(&r->fleet);
    at->newcomers = fleet_counts(&r->newcomers);
    fleet_hist(&r->fleet, FLEET_AWAY, &at->away);
    fleet_hist(&r->newcomers, FLEET_HANDSHAKE, &at->door);
    at->ns = clock_mono_ns(clock_system());
}

static void subtract(struct look *now, const struct look *before)
{
    fleet_counts_subtract(&now->counts, &before->counts);
    fleet_counts_subtract(&now->newcomers, &before->newcomers);
    hist_subtract(&now->away, &before->away);
    hist_subtract(&now->door, &before->door);
    now->ns -= before->ns;
}

static pid_t worker_pid(const struct restart *r, uint32_t k)
{
    char segment[32];
    uint64_t pid = 0;
    snprintf(segment, sizeof segment, "process.worker.%u", k);
    seg_counter(r->rig.dir, segment, "pid", &pid);
    return (pid_t)pid;
}

static void note_pids(struct restart *r)
{
    for (uint32_t i = 0; i < r->workers; i++)
        r->pids[i] = worker_pid(r, i);
}

/* Turns the machine, so that there is something to hear. */
static void turn(const struct restart *r, uint32_t step)
{
    char command[80], id[RIG_ID_MAX];
    rig_machine_id(0, id);
    snprintf(command, sizeof command, "set %s position %u", id, 1 + step % 25);
    sim_link_command(&r->rig, command);
}

/* Waits, turning the machine, until every client is live again and no worker is the one from before. */
static bool all_back(const struct restart *r)
{
    for (uint32_t tries = 0; tries < BACK_TRIES; tries++) {
        bool fresh = fleet_counts(&r->fleet).live == r->clients;
        for (uint32_t i = 0; fresh && i < r->workers; i++)
            fresh = worker_pid(r, i) != 0 && worker_pid(r, i) != r->pids[i];
        if (fresh)
            return true;
        turn(r, tries);
        bench_sleep_ms(10);
    }
    return false;
}

static bool roll(struct restart *r)
{
    char program[512];
    struct child child;
    snprintf(program, sizeof program, "%s/noria", r->rig.config.bin_dir);
    const char *argv[] = {program, "restart", "workers", "-c", r->rig.conf, NULL};
    struct child_program run = {.name = "noria-restart", .log_dir = r->rig.dir, .argv = argv, .core = -1};
    if (child_exec(&run, &child) != ERR_OK)
        return false;
    for (uint32_t step = 0; child_alive(&child) && step < RESTART_MS / 10; step++) {
        turn(r, step);
        bench_sleep_ms(10);
    }
    return child_wait(&child, 1);
}

static bool kill_all(struct restart *r)
{
    for (uint32_t i = 0; i < r->workers; i++) {
        kill(r->pids[i], SIGKILL);
        for (uint32_t tries = 0; tries < BACK_TRIES && worker_pid(r, i) == r->pids[i]; tries++)
            bench_sleep_ms(2);
        bench_sleep_ms(SETTLE_MS);
    }
    return true;
}

static void report_look(struct restart *r, const char *name, const struct look *at, bool killed)
{
    struct report *report = &r->bench->report;
    const struct fleet_counts *c = &at->counts, *n = &at->newcomers;
    report_value(report, name, "took", (double)at->ns / 1e9, "s");
    report_value(report, name, "clients closed", (double)c->closed, "");
    report_value(report, name, "away p50", (double)hist_quantile(&at->away, 0.5) / 1e6, "ms");
    report_value(report, name, "away p99", (double)hist_quantile(&at->away, 0.99) / 1e6, "ms");
    report_value(report, name, "away highest", (double)hist_quantile(&at->away, 1) / 1e6, "ms");
    report_value(report, name, "newcomers", (double)n->lives, "");
    report_value(report, name, "newcomers p50", (double)hist_quantile(&at->door, 0.5) / 1e6, "ms");
    report_value(report, name, "newcomers highest", (double)hist_quantile(&at->door, 1) / 1e6, "ms");
    report_value(report, name, "refused", (double)(c->refused + n->refused), "");
    report_value(report, name, "cut off before they were live", (double)(c->failed + n->failed), "");
    report_check(report, c->returned == c->closed && c->closed > 0,
                 "%s: %" PRIu64 " closed, %" PRIu64 " came back", name, c->closed, c->returned);
    report_check(report, n->lives > 0 && c->refused + n->refused == 0,
                 "%s: %" PRIu64 " newcomers, %" PRIu64 " refused", name, n->lives, c->refused + n->refused);
    report_check(report, killed || c->failed + n->failed == 0, "%s: %" PRIu64 " cut off in the door", name,
                 c->failed + n->failed);
    report_check(report, c->gaps + c->disorder + c->malformed == 0,
                 "%s: gaps %" PRIu64 " out of order %" PRIu64 " malformed %" PRIu64, name, c->gaps,
                 c->disorder, c->malformed);
}

static void measure(struct restart *r, const char *how, bool (*act)(struct restart *), bool killed)
{
    static struct look before, after;
    struct report *report = &r->bench->report;
    char name[96];
    snprintf(name, sizeof name, "%s; %u clients; %u workers", how, r->clients, r->workers);
    note_pids(r);
    look(r, &before);
    bool done = act(r);
    look(r, &after);
    uint64_t took = after.ns - before.ns;
    report_check(report, done, "%s: it did not happen", name);
    report_check(report, all_back(r), "%s: not everybody came back to a new worker", name);
    look(r, &after);
    subtract(&after, &before);
    after.ns = took;
    report_look(r, name, &after, killed);
}

static enum err_e start_clients(struct restart *r)
{
    struct gen_options options = bench_gen(r->bench), door = options;
    options.port = door.port = r->rig.port;
    options.clients = r->clients;
    options.per_address = 100; /* the gate bounds half-open connections of one address */
    door.clients = NEWCOMERS;
    door.per_address = 1;
    door.first_address += ADDRESS_STEP + r->clients / options.per_address;
    door.dialogue = GEN_WELCOME;
    options.core = door.core = -1;
    enum err_e err = fleet_start(&r->fleet, &options);
    if (err == ERR_OK)
        err = fleet_wait_live(&r->fleet, LIVE_MS);
    if (err == ERR_OK)
        err = fleet_start(&r->newcomers, &door);
    fleet_command(&r->fleet, GEN_RETURN);
    fleet_command(&r->newcomers, GEN_CHURN);
    return err;
}

void scenario_restart(struct bench *bench)
{
    static struct restart r;
    r = (struct restart){.bench = bench,
                         .clients = bench_or(bench->options.clients, bench, 1000, 60),
                         .workers = bench_or(bench->options.workers, bench, 2, 2)};
    struct rig_config config = bench_rig(bench);
    config.launcher = config.agents = true;
    config.machines = 1;
    config.workers = r.workers;
    config.poll_ms = config.poll_moving_ms = POLL_MS;
    config.drain_ms = bench->options.smoke ? SMOKE_DRAIN : DRAIN_MS;
    enum err_e err = rig_start(&config, &r.rig);
    if (err == ERR_OK)
        err = start_clients(&r);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK && bench_wanted(bench, "rolling"))
        measure(&r, "rolling", roll, false);
    if (err == ERR_OK && bench_wanted(bench, "killed"))
        measure(&r, "killed", kill_all, true);
    report_check(&bench->report, fleet_stop(&r.newcomers) && fleet_stop(&r.fleet),
                 "a generator did not end cleanly");
    report_check(&bench->report, rig_stop(&r.rig), "a process of the system did not end cleanly");
}
