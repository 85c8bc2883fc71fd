#include "audit_time.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool parse_ago(const char *text, uint64_t now_ms, uint64_t *wall_ms)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60 * 1000}, {'h', 3600 * 1000}, {'d', 86400ULL * 1000}};
    char *end;
    unsigned long long count = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || count > 1000000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end[0] == units[i].unit && end[1] == '\0') {
            *wall_ms = now_ms > count * units[i].ms ? now_ms - count * units[i].ms : 0;
            return true;
        }
    return false;
}

/* strptime() takes "2026-2-31" too; timegm() then moves it on, which shows. */
static bool parse_date(const char *text, const char *format, uint64_t *wall_ms)
{
    struct tm parts = {0};
    const char *end = strptime(text, format, &parts);
    if (end == NULL || (*end != '\0' && strcmp(end, "Z") != 0))
        return false;
    struct tm same = parts;
    time_t seconds = timegm(&same);
    *wall_ms = (uint64_t)seconds * 1000;
    return seconds >= 0 && same.tm_mday == parts.tm_mday && same.tm_mon == parts.tm_mon;
}

bool audit_time_parse(const char *text, uint64_t now_ms, uint64_t *wall_ms)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                          "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (parse_date(text, formats[i], wall_ms))
            return true;
    return parse_ago(text, now_ms, wall_ms);
}
