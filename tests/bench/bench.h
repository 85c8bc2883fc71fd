/* bench.h — what every scenario gets: options of the command line and the report. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fleet.h"
#include "payload.h"
#include "report.h"
#include "rig.h"

/* Values of 0 mean "not given": the scenario's own default, or its small one with --smoke. */
struct bench_options {
    uint32_t duration_ms, clients, machines, workers, pairs, never_read, samples;
    uint32_t rate, window;
    uint32_t bytes;  /* of a stream message */
    bool rate_given; /* --rate 0 is as fast as possible */
    const struct payload *payload;
    bool smoke, pin, keep;
    const char *csv;
    const char *only; /* a part of a scenario, by the beginning of its name; NULL: all of it */
    char bin_dir[256];
};

struct bench {
    struct bench_options options;
    struct report report;
};

/* Each starts and stops its own processes, and reports; what fails is a failed check. */
void scenario_fanout(struct bench *bench);
void scenario_latency(struct bench *bench);
void scenario_command(struct bench *bench);
void scenario_idle(struct bench *bench);
void scenario_handshake(struct bench *bench);
void scenario_slow(struct bench *bench);
void scenario_sets(struct bench *bench);
void scenario_machines(struct bench *bench);
void scenario_poll_lag(struct bench *bench);
void scenario_streams(struct bench *bench);
void scenario_endpoints(struct bench *bench);
void scenario_isolation(struct bench *bench);
void scenario_store(struct bench *bench);
void scenario_restart(struct bench *bench);
void scenario_reload(struct bench *bench);
void scenario_scrape(struct bench *bench);
void scenario_selftest(struct bench *bench);

static inline uint32_t bench_or(uint32_t given, const struct bench *bench, uint32_t full, uint32_t smoke)
{
    return given != 0 ? given : bench->options.smoke ? smoke : full;
}

struct rig_config bench_rig(const struct bench *bench);  /* defaults, payload and cores of the options */
struct gen_options bench_gen(const struct bench *bench); /* subscribing clients, on the generator's core */
bool bench_wanted(const struct bench *bench, const char *name); /* by --only */
void bench_sleep_ms(uint32_t ms);
double bench_median(double *values, uint32_t count); /* sorts them */

#define BENCH_SUBSCRIBE "{\"type\":\"subscribe\",\"subscription_type\":\"status_updates\"}"
