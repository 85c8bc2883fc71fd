/* bench_util.c — what several scenarios need (bench.h). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define WORKER_CORE    0
#define GENERATOR_CORE 1

struct rig_config bench_rig(const struct bench *bench)
{
    struct rig_config config = rig_config_default(bench->options.bin_dir);
    config.payload = bench->options.payload;
    config.keep = bench->options.keep;
    if (bench->options.pin) {
        config.worker_core = WORKER_CORE;
        config.other_core = GENERATOR_CORE;
    }
    return config;
}

struct gen_options bench_gen(const struct bench *bench)
{
    return (struct gen_options){.first_address = 2,
                                .burst = 256,
                                .dialogue = GEN_SUBSCRIBE,
                                .text = BENCH_SUBSCRIBE,
                                .core = bench->options.pin ? GENERATOR_CORE : -1};
}

bool bench_wanted(const struct bench *bench, const char *name)
{
    const char *only = bench->options.only;
    return only == NULL || strncmp(name, only, strlen(only)) == 0;
}

void bench_sleep_ms(uint32_t ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double bench_median(double *values, uint32_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, by_value);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
