/* log.h — one line per event on standard error.
 *
 *     2026-11-22T05:33:27.120Z warn  broker agent-lost machine=lift-1 reason="socket closed"
 *     {"time":"2026-11-22T05:33:27.120Z","level":"warn","process":"broker","event":"agent-lost","machine":"lift-1","reason":"socket closed"}
 *
 * The first word after the process name is the event's fixed name (what deploy/RUNBOOK.md lists); the rest is written with printf
 * as key=value, key="quoted text" and free words. Keys are the same everywhere: machine=, session=, peer=, listener=, command= (its key),
 * request_id=, error="…", reason="…". Which bytes are key and which are value is taken from the format, never from what is
 * quoted: no argument can forge a key. A line is one write(2), at most LOG_LINE_MAX bytes of text (LOG_JSON_MAX of JSON); longer ones are cut, JSON inside a value.
 * No secret, token or client payload is ever passed here. Callable from any callback, not from signal handlers. Single-threaded.
 *
 * Every event name has a budget of LOG_BUDGET_LINES lines per LOG_BUDGET_NS; the rest is counted and told once, as suppressed=N in the event's next
 * line or, when another event is logged first, in a line `log-suppressed of=EVENT suppressed=N`. A process's first LOG_GRACE_LINES
 * lines within LOG_GRACE_NS are free, and the first LOG_GRACE_LINES after log_stopping(): what happens at start and stop is told in full.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

#define LOG_LINE_MAX     1024
#define LOG_JSON_MAX     2048
#define LOG_BUDGET_LINES 20
#define LOG_BUDGET_NS    (10 * NS_PER_S)
#define LOG_GRACE_LINES  2000
#define LOG_GRACE_NS     (10 * NS_PER_S)

enum log_level_e { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* LOG_JSON writes the same line as one JSON object (RFC 8259), whatever is quoted: {"time":…,"level":…,"process":…,"event":…,KEY:VALUE,…}.
 * What the format writes as a number is a number, everything else a string; invalid UTF-8 becomes U+FFFD; words
 * that are no key=value become "text". */
enum log_format_e { LOG_TEXT, LOG_JSON };

/* The process's name in every line, e.g. "worker.0"; copied. The level is LOG_INFO until set. May be called again (a reload). */
void log_init(const char *process, enum log_level_e level);
void log_threshold(enum log_level_e level);                    /* another level, as after a reload */
void log_format(enum log_format_e format);                     /* LOG_TEXT until set */
bool log_level_parse(const char *text, enum log_level_e *out); /* "error", "warn", "info", "debug" */

/* What every line of this process is about, one who serves one machine: `key`=`value` at the end of each, where the line has no such key of its
 * own. `key` is a literal, `value` copied (at most LOG_ABOUT_MAX bytes). */
#define LOG_ABOUT_MAX 80
void log_about(const char *key, const char *value);

/* The process has begun to stop: see the budget above. */
void log_stopping(void);

__attribute__((format(printf, 3, 4))) void log_write(enum log_level_e level, const char *event,
                                                     const char *fmt, ...);

#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_write(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_write(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_write(LOG_DEBUG, event, __VA_ARGS__)

/* The one call that a signal handler may make: an error line whose only key is `key`="text" (newlines become spaces). No budget, no copy
 * to log_tee()'s memory. */
void log_fatal(const char *event, const char *key, const char *text);

/* From now on every line is copied to `memory`, too (8-byte aligned, more than 16 bytes, empty or of a former log_tee()), which keeps the last ones; NULL ends
 * it. What stands there is whole at any instant, so that a copy of it tells the story of a process killed by SIGKILL. */
void log_tee(void *memory, size_t size);
/* The whole lines of such a copy, oldest first, the newest that fit, as a printable text; `memory` may be any garbage. Returns its
 * length. */
size_t log_tee_read(const void *memory, size_t size, char *out, size_t out_size);

/* For tests: what time it is (clock_system() until set). Starts budgets and grace anew. */
void log_clock(const struct clock *clock);

/* A budget of one's own for events that the outside can cause at will: true at most `burst` times per `period_ns`; when a period
 * with suppressed events is over, the next true sets *suppressed to their number (else 0), to be logged with it. */
struct log_limit {
    uint64_t period_start_ns;
    uint32_t used, dropped;
};
bool log_limit_ok(struct log_limit *limit, uint64_t now_ns, uint64_t period_ns, uint32_t burst,
                  uint32_t *suppressed);
