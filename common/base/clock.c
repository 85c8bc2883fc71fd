#include "clock.h"

#include <unistd.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t system_mono_ns(const struct clock *clock)
{
    (void)clock;
    return read_ns(CLOCK_MONOTONIC);
}

static uint64_t system_wall_ms(const struct clock *clock)
{
    (void)clock;
    return read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

const struct clock *clock_system(void)
{
    static const struct clock system = {system_mono_ns, system_wall_ms};
    return &system;
}

static uint64_t manual_mono_ns(const struct clock *clock)
{
    return ((const struct clock_manual *)clock)->mono_now_ns;
}

static uint64_t manual_wall_ms(const struct clock *clock)
{
    return ((const struct clock_manual *)clock)->wall_now_ms;
}

void clock_manual_init(struct clock_manual *manual, uint64_t mono_ns, uint64_t wall_ms)
{
    manual->clock = (struct clock){manual_mono_ns, manual_wall_ms};
    manual->mono_now_ns = mono_ns;
    manual->wall_now_ms = wall_ms;
}

void clock_manual_advance_ns(struct clock_manual *manual, uint64_t ns)
{
    uint64_t before = manual->mono_now_ns / NS_PER_MS;
    manual->mono_now_ns += ns;
    manual->wall_now_ms += manual->mono_now_ns / NS_PER_MS - before;
}

static void put_digits(char *out, int width, uint64_t value)
{
    while (width-- > 0) {
        out[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_boot_id(char boot[CLOCK_BOOT_MAX + 1])
{
    ssize_t len = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, boot, CLOCK_BOOT_MAX);
        close(fd);
    }
    boot[len > 0 ? len : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
}

void clock_iso8601(uint64_t wall_ms, char out[CLOCK_ISO_LEN + 1])
{
    uint64_t days = wall_ms / 86400000, ms = wall_ms % 86400000;
    /* Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil inverted. */
    uint64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    uint64_t year = yoe + era * 400 + (month <= 2);

    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_ISO_LEN + 1);
    put_digits(out, 4, year > 9999 ? 9999 : year);
    put_digits(out + 5, 2, month);
    put_digits(out + 8, 2, day);
    put_digits(out + 11, 2, ms / 3600000);
    put_digits(out + 14, 2, ms / 60000 % 60);
    put_digits(out + 17, 2, ms / 1000 % 60);
    put_digits(out + 20, 3, ms % 1000);
}
