#include "log_budget.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

void log_budget_stopping(struct log_budget *budget)
{
    if (!budget->stopping)
        budget->free_lines = LOG_GRACE_LINES;
    budget->stopping = true;
}

/* Lines at start and stop cost nothing, within a bound. */
static bool is_free(struct log_budget *budget, uint64_t now_ns)
{
    if (!budget->started) {
        budget->started = true;
        budget->started_ns = now_ns;
        budget->free_lines = LOG_GRACE_LINES;
    }
    if (budget->free_lines == 0 || (!budget->stopping && now_ns - budget->started_ns >= LOG_GRACE_NS))
        return false;
    budget->free_lines--;
    return true;
}

static struct log_budget_event *event_of(struct log_budget *budget, const char *name)
{
    for (unsigned i = 0; i < budget->count; i++)
        if (strncmp(budget->events[i].name, name, LOG_BUDGET_NAME_MAX) == 0)
            return &budget->events[i];
    if (budget->count == LOG_BUDGET_EVENTS)
        return &budget->events[LOG_BUDGET_EVENTS - 1];
    struct log_budget_event *event = &budget->events[budget->count++];
    snprintf(event->name, sizeof event->name, "%s", name);
    return event;
}

static uint32_t take_dropped(struct log_budget *budget, struct log_budget_event *event)
{
    uint32_t dropped = event->dropped;
    event->dropped = 0;
    budget->dropped -= dropped;
    return dropped;
}

bool log_budget_ok(struct log_budget *budget, const char *event_name, uint64_t now_ns, uint32_t *suppressed)
{
    *suppressed = 0;
    if (is_free(budget, now_ns))
        return true;
    struct log_budget_event *event = event_of(budget, event_name);
    if (event->used == 0 || now_ns - event->period_start_ns >= LOG_BUDGET_NS) {
        event->period_start_ns = now_ns;
        event->used = 0;
        *suppressed = take_dropped(budget, event);
    }
    if (event->used < LOG_BUDGET_LINES) {
        event->used++;
        return true;
    }
    event->dropped++;
    budget->dropped++;
    return false;
}

const char *log_budget_untold(struct log_budget *budget, uint64_t now_ns, uint32_t *suppressed)
{
    if (budget->dropped == 0)
        return NULL;
    for (unsigned i = 0; i < budget->count; i++) {
        struct log_budget_event *event = &budget->events[i];
        bool over = budget->stopping || now_ns - event->period_start_ns >= LOG_BUDGET_NS;
        if (event->dropped == 0 || !over)
            continue;
        *suppressed = take_dropped(budget, event);
        return event->name;
    }
    return NULL;
}
