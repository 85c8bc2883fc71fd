/* launch_rolling.c — see launch_rolling.h. Whether a process is done is read off the family (family_view) after each change; nothing else
 * is remembered of it but which process it was before. */
#include "launch_rolling.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "must.h"

enum target_e { TARGET_TODO, TARGET_BUSY, TARGET_OVER };

struct target {
    char name[FAMILY_NAME_MAX];
    enum family_stage_e stage;
    enum target_e state;
    uint64_t start_before;
    pid_t pid_before;
};

struct rolling {
    struct family *family;
    struct family_listener listener;
    bool stepping;
    bool draining; /* the order is a drain */
    struct target *targets;
    size_t count, next, busy, done;
    char problem[192]; /* the first; "": none */
    rolling_line_f *on_line;
    rolling_done_f *on_done;
    void *arg;
};

/* --- what became of one ----------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(struct rolling *rolling, const char *fmt, ...)
{
    char line[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    log_info("restart", "text=\"%s\"", line);
    if (rolling->on_line != NULL)
        rolling->on_line(rolling->arg, line);
}

__attribute__((format(printf, 2, 3))) static void fail(struct rolling *rolling, const char *fmt, ...)
{
    char line[sizeof rolling->problem];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (rolling->problem[0] == '\0')
        memcpy(rolling->problem, line, sizeof line);
    else
        say(rolling, "%s", line);
}

static void judge(struct rolling *rolling, const struct target *target, const struct family_view *view)
{
    if (view->state == MEMBER_READY && view->start != target->start_before)
        say(rolling, "%s: %s (pid %d → %d)", target->name, rolling->draining ? "drained" : "restarted",
            (int)target->pid_before, (int)view->pid);
    else if (view->state == MEMBER_READY)
        fail(rolling, "%s: its successor failed; the process that was there goes on (pid %d)", target->name,
             (int)view->pid);
    else if (view->state == MEMBER_WAITING)
        say(rolling, "%s: has not been started yet", target->name);
    else
        fail(rolling, "%s: did not come up (%s; the log says why)", target->name,
             member_state_name(view->state));
}

static bool is_over(const struct family_view *view)
{
    return !view->replacing && view->leaving == 0 && view->state != MEMBER_STARTING;
}

static void look(struct rolling *rolling, struct target *target)
{
    struct family_view view;
    bool found = family_find(rolling->family, target->name, &view);
    if (found && !is_over(&view))
        return;
    target->state = TARGET_OVER;
    rolling->busy--;
    rolling->done++;
    if (found)
        judge(rolling, target, &view);
    else
        say(rolling, "%s: was removed meanwhile", target->name);
}

/* --- one after the other ---------------------------------------------------------------------------------------- */

static void begin(struct rolling *rolling, struct target *target)
{
    struct family_view view;
    enum err_e err = ERR_NOT_FOUND;
    target->state = TARGET_BUSY;
    rolling->busy++;
    if (family_find(rolling->family, target->name, &view)) {
        target->start_before = view.start;
        target->pid_before = view.pid;
        err = rolling->draining ? family_drain(rolling->family, target->name)
                                : family_restart(rolling->family, target->name);
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND)
        return; /* judged by looking at it */
    target->state = TARGET_OVER;
    rolling->busy--;
    rolling->done++;
    fail(rolling, "%s: %s", target->name,
         err == ERR_BUSY ? "is not ready, or just being replaced" : err_text(err));
}

static bool may_begin(const struct rolling *rolling)
{
    if (rolling->next == rolling->count || rolling->problem[0] != '\0')
        return false;
    bool agents = rolling->targets[rolling->next].stage == FAMILY_AGENT &&
                  (rolling->busy == 0 || rolling->targets[rolling->next - 1].stage == FAMILY_AGENT);
    return rolling->busy < (agents ? ROLLING_AGENTS : 1);
}

static void finish(struct rolling *rolling)
{
    rolling_done_f *on_done = rolling->on_done;
    size_t left = rolling->count - rolling->done;
    char problem[sizeof rolling->problem + 64];
    snprintf(problem, sizeof problem, "%s", rolling->problem);
    if (problem[0] != '\0' && left > 0)
        snprintf(problem + strlen(problem), 64, "; %zu left as they are", left);
    if (problem[0] != '\0')
        log_warn("restart-failed", "text=\"%s\"", problem);
    free(rolling->targets);
    rolling->targets = NULL;
    if (on_done != NULL)
        on_done(rolling->arg, problem[0] != '\0' ? problem : NULL);
}

static void step(void *arg)
{
    struct rolling *rolling = arg;
    if (rolling->targets == NULL || rolling->stepping)
        return;
    rolling->stepping = true;
    if (family_stops(rolling->family) && rolling->problem[0] == '\0')
        fail(rolling, "Noria stops");
    do {
        for (size_t i = 0; i < rolling->next; i++)
            if (rolling->targets[i].state == TARGET_BUSY)
                look(rolling, &rolling->targets[i]);
        if (may_begin(rolling))
            begin(rolling, &rolling->targets[rolling->next++]);
    } while (may_begin(rolling));
    rolling->stepping = false;
    bool stops = family_stops(rolling->family);
    if (stops || (rolling->busy == 0 && (rolling->next == rolling->count || rolling->problem[0] != '\0')))
        finish(rolling);
}

/* --- orders ----------------------------------------------------------------------------------------------------- */

static bool is_group(const char *word, enum family_stage_e stage)
{
    return (strcmp(word, "workers") == 0 && stage == FAMILY_WORKER) ||
           (strcmp(word, "agents") == 0 && stage == FAMILY_AGENT) ||
           (strcmp(word, "handlers") == 0 && stage == FAMILY_HANDLER);
}

static bool has(const struct rolling *rolling, const char *name)
{
    for (size_t i = 0; i < rolling->count; i++)
        if (strcmp(rolling->targets[i].name, name) == 0)
            return true;
    return false;
}

static bool add(struct rolling *rolling, const struct family_view *view)
{
    struct target *targets = realloc(rolling->targets, (rolling->count + 1) * sizeof *targets);
    if (targets == NULL)
        return false;
    rolling->targets = targets;
    targets[rolling->count] = (struct target){.stage = view->stage};
    snprintf(targets[rolling->count].name, sizeof targets->name, "%s", view->name);
    rolling->count++;
    return true;
}

/* All members that `word` means; NULL: all that there are. */
static enum err_e add_word(struct rolling *rolling, const char *word)
{
    struct family_view view;
    bool any = false;
    for (size_t i = 0; family_at(rolling->family, i, &view); i++) {
        if (word != NULL && !is_group(word, view.stage) && strcmp(word, view.name) != 0)
            continue;
        any = true;
        if ((word == NULL || !has(rolling, view.name)) && !add(rolling, &view))
            return ERR_MEMORY;
    }
    return any ? ERR_OK : ERR_NOT_FOUND;
}

static enum err_e open_order(struct rolling *rolling, bool draining)
{
    if (rolling->targets != NULL)
        return ERR_BUSY;
    if (family_stops(rolling->family))
        return ERR_CLOSED;
    rolling->draining = draining;
    rolling->count = rolling->next = rolling->busy = rolling->done = 0;
    rolling->problem[0] = '\0';
    return ERR_OK;
}

static enum err_e go(struct rolling *rolling, enum err_e err, rolling_line_f *on_line,
                     rolling_done_f *on_done, void *arg)
{
    if (err != ERR_OK) {
        free(rolling->targets);
        rolling->targets = NULL;
        return err;
    }
    rolling->on_line = on_line;
    rolling->on_done = on_done;
    rolling->arg = arg;
    step(rolling);
    return ERR_OK;
}

static int by_stage(const void *a, const void *b)
{
    const struct target *left = a, *right = b;
    if (left->stage != right->stage)
        return left->stage < right->stage ? -1 : 1;
    return strcmp(left->name, right->name);
}

enum err_e rolling_restart(struct rolling *rolling, const char *const *what, size_t count,
                           const char **unknown, rolling_line_f *on_line, rolling_done_f *on_done, void *arg)
{
    enum err_e err = open_order(rolling, false);
    if (err != ERR_OK)
        return err;
    if (count == 0) {
        err = add_word(rolling, NULL);
        if (err == ERR_OK)
            qsort(rolling->targets, rolling->count, sizeof *rolling->targets, by_stage);
    }
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = add_word(rolling, what[i]);
        if (err == ERR_NOT_FOUND && unknown != NULL)
            *unknown = what[i];
    }
    return go(rolling, err, on_line, on_done, arg);
}

enum err_e rolling_drain(struct rolling *rolling, const char *name, rolling_line_f *on_line,
                         rolling_done_f *on_done, void *arg)
{
    struct family_view view;
    enum err_e err = open_order(rolling, true);
    if (err != ERR_OK)
        return err;
    if (!family_find(rolling->family, name, &view) || view.stage != FAMILY_WORKER)
        err = ERR_NOT_FOUND;
    else
        err = add(rolling, &view) ? ERR_OK : ERR_MEMORY;
    return go(rolling, err, on_line, on_done, arg);
}

bool rolling_busy(const struct rolling *rolling)
{
    return rolling->targets != NULL;
}

void rolling_forget(struct rolling *rolling, const void *arg)
{
    if (rolling->arg != arg)
        return;
    rolling->on_line = NULL;
    rolling->on_done = NULL;
    rolling->arg = NULL;
}

struct rolling *rolling_new(struct family *family)
{
    struct rolling *rolling = calloc(1, sizeof *rolling);
    if (rolling == NULL)
        return NULL;
    rolling->family = family;
    rolling->listener = (struct family_listener){.changed = step, .arg = rolling};
    family_listen(family, &rolling->listener);
    return rolling;
}

void rolling_free(struct rolling **out)
{
    struct rolling *rolling = *out;
    if (rolling == NULL)
        return;
    family_unlisten(rolling->family, &rolling->listener);
    free(rolling->targets);
    free(rolling);
    *out = NULL;
}
