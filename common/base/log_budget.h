/* log_budget.h — how many lines each event has left (log.h); private to log.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOG_BUDGET_EVENTS   128 /* a process has about 40; what finds no place of its own shares the last one */
#define LOG_BUDGET_NAME_MAX 31

struct log_budget_event {
    char name[LOG_BUDGET_NAME_MAX + 1]; /* "": free */
    uint64_t period_start_ns;
    uint32_t used, dropped;
};

struct log_budget {
    struct log_budget_event events[LOG_BUDGET_EVENTS];
    unsigned count;
    uint32_t dropped; /* of all */
    uint64_t started_ns;
    uint32_t free_lines; /* of a start or stop */
    bool started, stopping;
};

void log_budget_stopping(struct log_budget *budget);

/* May a line of this event be written? *suppressed: how many were not before it, to be told with it. */
bool log_budget_ok(struct log_budget *budget, const char *event, uint64_t now_ns, uint32_t *suppressed);

/* An event whose period is over and whose suppressed lines were not told yet; its count is then told. NULL: there is none. */
const char *log_budget_untold(struct log_budget *budget, uint64_t now_ns, uint32_t *suppressed);
