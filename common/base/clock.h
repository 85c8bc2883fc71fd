/* clock.h — time as a parameter.
 *
 * Everything that has a time limit takes a `const struct clock *`, so that a test drives time by hand
 * (clock_manual_*) and a program passes clock_system(). Monotonic time measures intervals and is comparable between
 * processes of one host (CLOCK_MONOTONIC); wall time is only ever shown.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

struct clock {
    uint64_t (*mono_ns)(const struct clock *clock);
    uint64_t (*wall_ms)(const struct clock *clock); /* Unix time, UTC */
};

static inline uint64_t clock_mono_ns(const struct clock *clock)
{
    return clock->mono_ns(clock);
}

static inline uint64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock);
}

/* The machine's clocks. */
const struct clock *clock_system(void);

/* The kernel's name for this boot of this host (/proc/sys/kernel/random/boot_id): monotonic times of two processes can be
 * compared if theirs is the same. Empty if there is none to be had. */
#define CLOCK_BOOT_MAX 36
void clock_boot_id(char boot[CLOCK_BOOT_MAX + 1]);

/* A clock that stands still until told otherwise. */
struct clock_manual {
    struct clock clock; /* pass &manual.clock on */
    uint64_t mono_now_ns;
    uint64_t wall_now_ms;
};

void clock_manual_init(struct clock_manual *manual, uint64_t mono_ns, uint64_t wall_ms);
void clock_manual_advance_ns(struct clock_manual *manual, uint64_t ns); /* moves both times */

/* Writes ISO 8601 UTC with milliseconds, "2025-01-27T10:30:00.000Z", 24 characters and a NUL. Years past 9999 are
 * shown as 9999. */
#define CLOCK_ISO_LEN 24
void clock_iso8601(uint64_t wall_ms, char out[CLOCK_ISO_LEN + 1]);
