/* log.h — one line per event on standard error.
 *
 *     2026-11-22T05:33:27.120Z warn  broker agent-lost machine=machine_1 reason="socket closed"
 *
 * The first word after the process name is the event's fixed name (what a runbook lists); the rest is written with
 * printf as key=value. A line is one write(2), at most LOG_LINE_MAX bytes; longer ones are cut. No secret, token or
 * client payload is ever passed here. Callable from any callback, not from signal handlers. Single-threaded.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 1024

enum log_level_e { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* LOG_JSON writes the same line as one JSON object per line: {"time":…,"level":…,"process":…,"event":…,KEY:VALUE,…}; text that is no
 * key=value becomes "text". */
enum log_format_e { LOG_TEXT, LOG_JSON };

/* The process's name in every line, e.g. "worker.0"; copied. The level is LOG_INFO until set. */
void log_init(const char *process, enum log_level_e level);
void log_format(enum log_format_e format);                     /* LOG_TEXT until set */
bool log_level_parse(const char *text, enum log_level_e *out); /* "error", "warn", "info", "debug" */

__attribute__((format(printf, 3, 4))) void log_write(enum log_level_e level, const char *event,
                                                     const char *fmt, ...);

#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_write(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_write(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_write(LOG_DEBUG, event, __VA_ARGS__)

/* A budget for events that the outside can cause at will: true at most `burst` times per `period_ns`; when a period
 * with suppressed events is over, the next true sets *suppressed to their number (else 0), to be logged with it. */
struct log_limit {
    uint64_t period_start_ns;
    uint32_t used, dropped;
};
bool log_limit_ok(struct log_limit *limit, uint64_t now_ns, uint64_t period_ns, uint32_t burst,
                  uint32_t *suppressed);
