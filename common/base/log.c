#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "log_budget.h"
#include "log_line.h"
#include "log_tee.h"
#include "must.h"
#include "utf8.h"

static struct {
    char process[40];
    enum log_level_e level;
    enum log_format_e format;
    const char *about_key; /* NULL: nothing of its own */
    char about[LOG_ABOUT_MAX + 1];
    const struct clock *clock; /* NULL: the system's */
    struct log_budget budget;
    void *tee;
    size_t tee_size;
} log_state = {.process = "noria", .level = LOG_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(const char *process, enum log_level_e level)
{
    snprintf(log_state.process, sizeof log_state.process, "%s", process);
    log_state.level = level;
}

void log_threshold(enum log_level_e level)
{
    log_state.level = level;
}

void log_format(enum log_format_e format)
{
    log_state.format = format;
}

void log_about(const char *key, const char *value)
{
    snprintf(log_state.about, sizeof log_state.about, "%s", value);
    log_state.about_key = key;
}

void log_stopping(void)
{
    log_budget_stopping(&log_state.budget);
}

void log_tee(void *memory, size_t size)
{
    bool fits = memory != NULL && size > sizeof(struct log_tee_head);
    log_state.tee = fits ? memory : NULL;
    log_state.tee_size = fits ? size : 0;
}

void log_clock(const struct clock *clock)
{
    log_state.clock = clock;
    log_state.budget = (struct log_budget){0};
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

static const struct clock *log_time(void)
{
    return log_state.clock != NULL ? log_state.clock : clock_system();
}

/* --- the whole line ------------------------------------------------------------------------------------------------- */

static size_t as_text(const struct log_line *line, const char *level, const char *event, char *out,
                      size_t cap)
{
    char stamp[CLOCK_ISO_LEN + 1];
    clock_iso8601(clock_wall_ms(log_time()), stamp);
    int n = snprintf(out, cap, "%s %-5s %s %.100s ", stamp, level, log_state.process, event);
    size_t len = n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
    size_t room = cap - 1 - len, take = line->len < room ? line->len : room;
    memcpy(out + len, line->text, take);
    len += take;
    utf8_make_printable(out, len, false); /* one event stays one line, whatever it quotes */
    while (len > 0 && out[len - 1] == ' ')
        len--;
    out[len++] = '\n';
    return len;
}

/* {"time":…,"level":…,"process":…,"event":… without its end. */
static size_t json_head(const char *level, const char *event, char *out, size_t cap)
{
    struct out head = out_init(out, cap);
    out_literal(&head, "{\"time\":\"");
    out_timestamp(&head, clock_wall_ms(log_time()));
    out_literal(&head, "\",\"level\":\"");
    out_text(&head, level);
    out_literal(&head, "\",\"process\":");
    head.len += log_json_string(log_state.process, strlen(log_state.process), out + head.len, 256);
    out_literal(&head, ",\"event\":");
    head.len += log_json_string(event, strlen(event), out + head.len, 256);
    return head.len;
}

static size_t as_json(const struct log_line *line, const char *level, const char *event, char *out,
                      size_t cap)
{
    size_t len = json_head(level, event, out, cap);
    len += log_line_json(line, out + len, cap - len - 2);
    out[len++] = '}';
    out[len++] = '\n';
    return len;
}

static void write_line(enum log_level_e level, const char *event, const struct log_line *line)
{
    char out[LOG_JSON_MAX];
    size_t len = log_state.format == LOG_JSON ? as_json(line, level_names[level], event, out, LOG_JSON_MAX)
                                              : as_text(line, level_names[level], event, out, LOG_LINE_MAX);
    if (log_state.tee != NULL)
        log_tee_write(log_state.tee, log_state.tee_size, out, len);
    ssize_t ignored = write(STDERR_FILENO, out, len);
    (void)ignored;
}

static void tell_suppressed(uint64_t now_ns)
{
    uint32_t suppressed;
    const char *of;
    while ((of = log_budget_untold(&log_state.budget, now_ns, &suppressed)) != NULL) {
        struct log_line line = {0};
        log_line_add(&line, "of", of);
        log_line_add_number(&line, "suppressed", suppressed);
        write_line(LOG_WARN, "log-suppressed", &line);
    }
}

void log_write(enum log_level_e level, const char *event, const char *fmt, ...)
{
    if (level > log_state.level)
        return;
    int saved_errno = errno;
    uint64_t now_ns = clock_mono_ns(log_time());
    uint32_t suppressed;
    if (!log_budget_ok(&log_state.budget, event, now_ns, &suppressed))
        return;
    tell_suppressed(now_ns);
    struct log_line line;
    va_list args;
    va_start(args, fmt);
    log_line_print(&line, saved_errno, fmt, args);
    va_end(args);
    if (log_state.about_key != NULL)
        log_line_add(&line, log_state.about_key, log_state.about);
    if (suppressed > 0)
        log_line_add_number(&line, "suppressed", suppressed);
    write_line(level, event, &line);
    errno = saved_errno;
}

/* Only what a signal handler may call: no stdio, no allocation. */
void log_fatal(const char *event, const char *key, const char *text)
{
    char out[LOG_JSON_MAX], flat[LOG_JSON_MAX / 2];
    bool json = log_state.format == LOG_JSON;
    size_t flat_len = 0;
    for (; text[flat_len] != '\0' && flat_len < sizeof flat; flat_len++)
        flat[flat_len] = text[flat_len] == '\n' ? ' ' : text[flat_len];
    while (flat_len > 0 && flat[flat_len - 1] == ' ')
        flat_len--;
    struct out line = out_init(out, sizeof out);
    if (json) {
        line.len = json_head(level_names[LOG_ERROR], event, out, sizeof out);
        out_literal(&line, ",\"");
        out_text(&line, key);
        out_literal(&line, "\":");
        line.len += log_json_string(flat, flat_len, out + line.len, sizeof out - line.len - 4);
        out_literal(&line, "}\n");
    } else {
        out_timestamp(&line, clock_wall_ms(log_time()));
        out_literal(&line, " error ");
        out_text(&line, log_state.process);
        out_char(&line, ' ');
        out_text(&line, event);
        out_char(&line, ' ');
        out_text(&line, key);
        out_literal(&line, "=\"");
        out_bytes(&line, flat, flat_len);
        out_literal(&line, "\"\n");
    }
    ssize_t ignored = write(STDERR_FILENO, out, line.len);
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
