#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "must.h"

static struct {
    char process[40];
    enum log_level_e level;
} log_state = {"noria", LOG_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(const char *process, enum log_level_e level)
{
    snprintf(log_state.process, sizeof log_state.process, "%s", process);
    log_state.level = level;
}

bool log_level_parse(const char *text, enum log_level_e *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level_e)i;
            return true;
        }
    }
    return false;
}

void log_write(enum log_level_e level, const char *event, const char *fmt, ...)
{
    if (level > log_state.level)
        return;
    char line[LOG_LINE_MAX], stamp[CLOCK_ISO_LEN + 1];
    clock_iso8601(clock_wall_ms(clock_system()), stamp);
    int n =
        snprintf(line, sizeof line, "%s %-5s %s %s ", stamp, level_names[level], log_state.process, event);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    va_list args;
    va_start(args, fmt);
    n = vsnprintf(line + len, sizeof line - len - 1, fmt, args);
    va_end(args);
    size_t room = sizeof line - len - 2;
    len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20) /* one event stays one line, whatever it quotes */
            line[i] = '?';
    while (len > 0 && line[len - 1] == ' ')
        len--;
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}

bool log_limit_ok(struct log_limit *limit, uint64_t now_ns, uint64_t period_ns, uint32_t burst,
                  uint32_t *suppressed)
{
    *suppressed = 0;
    if (limit->used == 0 || now_ns - limit->period_start_ns >= period_ns) {
        limit->period_start_ns = now_ns;
        limit->used = 0;
        *suppressed = limit->dropped;
        limit->dropped = 0;
    }
    if (limit->used < burst) {
        limit->used++;
        return true;
    }
    limit->dropped++;
    return false;
}
