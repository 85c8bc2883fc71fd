/* reload.c — the transaction (reload.h); reload_check.c has its first two steps.
 *
 *     IDLE ──check, compare──► WAITING ──► PREPARING ──► COMMITTING ──► IDLE
 *      ▲                          └───────────┴─ abort ─┘ (never after the rename)
 *
 * A part is one process, known by its start: a member that died and came back meanwhile is another. Whoever is told COMMIT and is not DONE in
 * time, and whoever started with what was in force before, is restarted: a restart always ends with what is in force.
 */
#include "reload.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family.h"
#include "log.h"
#include "must.h"
#include "reload_check.h"

enum phase_e { RELOAD_IDLE, RELOAD_WAITING, RELOAD_PREPARING, RELOAD_COMMITTING };

enum part_e { PART_ASKED, PART_PREPARED, PART_TOLD, PART_DONE, PART_LOST };

#define ENDED_MEANWHILE "%s has ended meanwhile; nothing has changed"

struct part {
    char name[FAMILY_NAME_MAX];
    uint64_t start;
    enum part_e state;
};

struct reload {
    struct loop *loop;
    struct reload_family family;
    const char *file;
    const struct conf *now;
    struct conf *next; /* from WAITING on, until it is in force */
    enum phase_e phase;
    uint32_t number;
    struct part parts[RELOAD_MEMBERS_MAX];
    size_t part_count;
    struct loop_timer
        *timer; /* WAITING, PREPARING, COMMITTING: until when; IDLE: the next one begins (`again`) */
    bool again;
    bool dry_run;
    uint64_t began_ns;
    reload_line_f *on_line;
    reload_done_f *on_done;
    void *arg;
};

/* --- what is told ----------------------------------------------------------------------------------------------- */

static void tell(void *arg, const char *line)
{
    struct reload *reload = arg;
    log_info("reload-step", "number=%u text=\"%s\"", reload->number, line);
    if (reload->on_line != NULL)
        reload->on_line(reload->arg, line);
}

static void forget_asker(struct reload *reload)
{
    reload->on_line = NULL;
    reload->on_done = NULL;
    reload->arg = NULL;
}

/* Back to IDLE. The asker is called last: it may begin another one. */
static void end(struct reload *reload, const char *problem)
{
    reload_done_f *on_done = reload->on_done;
    void *arg = reload->arg;
    uint64_t took_ms = (loop_now_ns(reload->loop) - reload->began_ns) / NS_PER_MS;
    if (problem == NULL)
        log_info("reload-done", "number=%u took_ms=%" PRIu64 " dry_run=%d", reload->number, took_ms,
                 reload->dry_run);
    else
        log_error("reload-refused", "number=%u took_ms=%" PRIu64 " error=\"%s\"", reload->number, took_ms,
                  problem);
    forget_asker(reload);
    conf_free(&reload->next);
    reload->part_count = 0;
    reload->phase = RELOAD_IDLE;
    loop_timer_stop(reload->timer);
    if (reload->again)
        loop_timer_start(reload->timer, 0);
    if (on_done != NULL)
        on_done(arg, problem);
}

/* --- members ---------------------------------------------------------------------------------------------------- */

/* Who is there now. */
struct roll {
    struct reload_member members[RELOAD_MEMBERS_MAX];
    size_t count;
};

static struct roll call_roll(const struct reload *reload)
{
    struct roll roll;
    roll.count = reload->family.members(reload->family.arg, roll.members);
    MUST(roll.count <= RELOAD_MEMBERS_MAX);
    return roll;
}

/* NULL: none is so. */
static const char *any_member(const struct roll *roll, enum reload_state_e state)
{
    for (size_t i = 0; i < roll->count; i++)
        if (roll->members[i].state == state)
            return roll->members[i].name;
    return NULL;
}

static bool is_there(const struct roll *roll, const struct part *part)
{
    for (size_t i = 0; i < roll->count; i++)
        if (roll->members[i].start == part->start && strcmp(roll->members[i].name, part->name) == 0)
            return roll->members[i].state != RELOAD_AWAY;
    return false;
}

static struct part *find_part(struct reload *reload, const char *name, uint64_t start)
{
    for (size_t i = 0; i < reload->part_count; i++)
        if (reload->parts[i].start == start && strcmp(reload->parts[i].name, name) == 0)
            return &reload->parts[i];
    return NULL;
}

static bool all_are(const struct reload *reload, enum part_e state)
{
    for (size_t i = 0; i < reload->part_count; i++)
        if (reload->parts[i].state != state && reload->parts[i].state != PART_LOST)
            return false;
    return true;
}

static enum err_e send(struct reload *reload, const struct part *part, enum control_type_e type)
{
    const struct control_message message = {
        .type = type, .number = reload->number, .digest = reload->next->digest};
    return reload->family.send(reload->family.arg, part->name, &message);
}

/* --- paths ------------------------------------------------------------------------------------------------------ */

static void remove_next(const struct reload *reload)
{
    char path[CONF_PATH_MAX];
    conf_path(reload->now, CONF_COPY_NEXT, path);
    conf_copy_remove(path);
}

static enum err_e write_next(const struct reload *reload)
{
    char path[CONF_PATH_MAX];
    conf_path(reload->now, CONF_COPY_NEXT, path);
    return conf_copy_write(reload->next, path);
}

static enum err_e promote_next(const struct reload *reload)
{
    char next[CONF_PATH_MAX], current[CONF_PATH_MAX];
    conf_path(reload->now, CONF_COPY_NEXT, next);
    conf_path(reload->now, CONF_COPY_CURRENT, current);
    return conf_copy_promote(next, current);
}

enum err_e reload_first_copy(const struct conf *conf)
{
    char path[CONF_PATH_MAX];
    conf_path(conf, CONF_COPY_CURRENT, path);
    return conf_copy_write(conf, path);
}

/* --- the end of it, either way ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void give_up(struct reload *reload, const char *fmt, ...)
{
    char problem[RELOAD_PROBLEM_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(problem, sizeof problem, fmt, args);
    va_end(args);
    for (size_t i = 0; i < reload->part_count; i++)
        if (reload->parts[i].state != PART_LOST)
            (void)send(reload, &reload->parts[i],
                       CONTROL_ABORT); /* who does not read it, is told no COMMIT either */
    remove_next(reload);
    end(reload, problem);
}

static void restart_the_silent(struct reload *reload)
{
    for (size_t i = 0; i < reload->part_count; i++) {
        struct part *part = &reload->parts[i];
        const struct roll roll = call_roll(reload);
        if (part->state != PART_TOLD || !is_there(&roll, part))
            continue;
        log_warn("reload-restart", "name=%s text=\"it did not say that the configuration is in force\"",
                 part->name);
        part->state = PART_LOST;
        reload->family.restart(reload->family.arg, part->name);
    }
}

static void finish(struct reload *reload)
{
    const struct conf *was = reload->now;
    struct conf *is = reload->next;
    restart_the_silent(reload);
    reload->now = is;
    reload->next = NULL;
    reload->family.apply(reload->family.arg, was, is);
    end(reload, NULL);
}

/* --- commit ----------------------------------------------------------------------------------------------------- */

/* They read the copy that was in force when they started. */
static void restart_who_missed_it(struct reload *reload)
{
    const struct roll roll = call_roll(reload);
    struct part missed[RELOAD_MEMBERS_MAX]; /* names go with the family's changes */
    size_t count = 0;
    for (size_t i = 0; i < roll.count; i++)
        if (roll.members[i].state != RELOAD_AWAY &&
            find_part(reload, roll.members[i].name, roll.members[i].start) == NULL)
            snprintf(missed[count++].name, sizeof missed->name, "%s", roll.members[i].name);
    for (size_t i = 0; i < count; i++) {
        log_info("reload-restart", "name=%s text=\"it started with the configuration of before\"",
                 missed[i].name);
        reload->family.restart(reload->family.arg, missed[i].name);
    }
}

static void commit(struct reload *reload)
{
    const struct roll roll = call_roll(reload);
    const char *replaced = any_member(&roll, RELOAD_REPLACED);
    if (replaced != NULL) {
        give_up(reload, "%s is just being replaced; nothing has changed", replaced);
        return;
    }
    if (promote_next(reload) != ERR_OK) {
        give_up(reload, "the copy of the configuration cannot be replaced; nothing has changed");
        return;
    }
    reload->phase = RELOAD_COMMITTING;
    loop_timer_start(reload->timer, RELOAD_ANSWER_NS);
    if (reload->family.expect != NULL)
        reload->family.expect(reload->family.arg, reload->now, reload->next);
    for (size_t i = 0; i < reload->part_count; i++) {
        reload->parts[i].state = PART_TOLD;
        enum err_e err = send(reload, &reload->parts[i], CONTROL_COMMIT);
        if (err != ERR_OK && err != ERR_CLOSED)
            log_warn("reload-commit", "name=%s error=\"%s\"", reload->parts[i].name, err_text(err));
    }
    restart_who_missed_it(reload);
    if (all_are(reload, PART_DONE))
        finish(reload);
}

/* --- prepare ---------------------------------------------------------------------------------------------------- */

static void collect_parts(struct reload *reload)
{
    const struct roll roll = call_roll(reload);
    for (size_t i = 0; i < roll.count; i++) {
        if (roll.members[i].state != RELOAD_READY)
            continue;
        struct part *part = &reload->parts[reload->part_count++];
        *part = (struct part){.start = roll.members[i].start, .state = PART_ASKED};
        snprintf(part->name, sizeof part->name, "%s", roll.members[i].name);
    }
}

/* A part whose descriptor is closed has ended, and the family has not seen it yet. */
static void give_up_asking(struct reload *reload, const struct part *part, enum err_e err)
{
    if (err == ERR_CLOSED)
        give_up(reload, ENDED_MEANWHILE, part->name);
    else
        give_up(reload, "%s cannot be asked (%s); nothing has changed", part->name, err_text(err));
}

static bool ask_all(struct reload *reload)
{
    for (size_t i = 0; i < reload->part_count; i++) {
        enum err_e err = send(reload, &reload->parts[i], CONTROL_RELOAD);
        if (err != ERR_OK) {
            give_up_asking(reload, &reload->parts[i], err);
            return false;
        }
    }
    return true;
}

static void prepare(struct reload *reload)
{
    if (write_next(reload) != ERR_OK) {
        give_up(reload, "the copy of the configuration cannot be written; nothing has changed");
        return;
    }
    reload->phase = RELOAD_PREPARING;
    loop_timer_start(reload->timer, RELOAD_ANSWER_NS);
    collect_parts(reload);
    if (ask_all(reload) && all_are(reload, PART_PREPARED))
        commit(reload);
}

static bool settled(const struct reload *reload)
{
    const struct roll roll = call_roll(reload);
    return any_member(&roll, RELOAD_STARTING) == NULL && any_member(&roll, RELOAD_REPLACED) == NULL;
}

static void waited(struct reload *reload)
{
    const struct roll roll = call_roll(reload);
    const char *replaced = any_member(&roll, RELOAD_REPLACED);
    if (replaced != NULL)
        give_up(reload, "%s is just being replaced; nothing has changed", replaced);
    else
        prepare(reload);
}

/* --- what happens meanwhile ------------------------------------------------------------------------------------- */

static const struct part *first_in(const struct reload *reload, enum part_e state)
{
    for (size_t i = 0; i < reload->part_count; i++)
        if (reload->parts[i].state == state)
            return &reload->parts[i];
    return NULL;
}

static void on_timer(void *arg)
{
    struct reload *reload = arg;
    const struct part *silent;
    switch (reload->phase) {
    case RELOAD_IDLE:
        reload_signal(reload);
        return;
    case RELOAD_WAITING:
        waited(reload);
        return;
    case RELOAD_PREPARING:
        silent = first_in(reload, PART_ASKED);
        give_up(reload, "%s did not answer within %u s; nothing has changed",
                silent != NULL ? silent->name : "a process", (unsigned)(RELOAD_ANSWER_NS / NS_PER_S));
        return;
    case RELOAD_COMMITTING:
        finish(reload);
        return;
    }
}

static void look_for_deaths(struct reload *reload)
{
    const struct roll roll = call_roll(reload);
    for (size_t i = 0; i < reload->part_count; i++) {
        struct part *part = &reload->parts[i];
        if (part->state == PART_LOST || is_there(&roll, part))
            continue;
        part->state = PART_LOST;
        if (reload->phase != RELOAD_PREPARING)
            continue; /* it comes back with what is in force now */
        give_up(reload, ENDED_MEANWHILE, part->name);
        return;
    }
    if (reload->phase == RELOAD_COMMITTING && all_are(reload, PART_DONE))
        finish(reload);
}

void reload_family_changed(struct reload *reload)
{
    if (reload->phase == RELOAD_WAITING && settled(reload))
        prepare(reload);
    else if (reload->phase == RELOAD_PREPARING || reload->phase == RELOAD_COMMITTING)
        look_for_deaths(reload);
}

void reload_heard(struct reload *reload, const char *name, uint64_t start,
                  const struct control_message *message)
{
    struct part *part = find_part(reload, name, start);
    if (part == NULL || message->number != reload->number)
        return;
    if (reload->phase == RELOAD_PREPARING && message->type == CONTROL_REFUSED) {
        part->state = PART_LOST; /* nothing is kept there */
        give_up(reload, "%s: %.500s; nothing has changed", part->name, message->text);
    } else if (reload->phase == RELOAD_PREPARING && message->type == CONTROL_PREPARED) {
        part->state = PART_PREPARED;
        if (all_are(reload, PART_PREPARED))
            commit(reload);
    } else if (reload->phase == RELOAD_COMMITTING && message->type == CONTROL_DONE) {
        part->state = PART_DONE;
        if (all_are(reload, PART_DONE))
            finish(reload);
    }
}

/* --- its beginning ---------------------------------------------------------------------------------------------- */

static bool is_possible(struct reload *reload, char why[RELOAD_PROBLEM_MAX])
{
    return reload->family.possible == NULL || reload->family.possible(reload->family.arg, reload->next, why);
}

static void run(struct reload *reload)
{
    struct reload_check check = {
        .file = reload->file, .now = reload->now, .dry_run = reload->dry_run, .tell = tell, .arg = reload};
    enum err_e err = reload_check(&check);
    reload->next = check.next;
    if (err != ERR_OK || !is_possible(reload, check.problem)) {
        end(reload, check.problem);
    } else if (reload->dry_run) {
        end(reload, NULL);
    } else {
        loop_timer_start(reload->timer, RELOAD_WAIT_NS);
        reload_family_changed(reload);
    }
}

enum err_e reload_begin(struct reload *reload, bool dry_run, reload_line_f *on_line, reload_done_f *on_done,
                        void *arg)
{
    if (reload->phase != RELOAD_IDLE)
        return ERR_BUSY;
    reload->phase = RELOAD_WAITING;
    reload->number++;
    reload->dry_run = dry_run;
    reload->began_ns = loop_now_ns(reload->loop);
    reload->on_line = on_line;
    reload->on_done = on_done;
    reload->arg = arg;
    run(reload);
    return ERR_OK;
}

void reload_signal(struct reload *reload)
{
    reload->again = reload->phase != RELOAD_IDLE;
    if (!reload->again)
        (void)reload_begin(reload, false, NULL, NULL, NULL); /* it is idle */
}

void reload_forget(struct reload *reload, const void *arg)
{
    if (reload->phase != RELOAD_IDLE && reload->arg == arg)
        forget_asker(reload);
}

bool reload_busy(const struct reload *reload)
{
    return reload->phase != RELOAD_IDLE;
}

/* --- its life --------------------------------------------------------------------------------------------------- */

struct reload *reload_new(struct loop *loop, const struct reload_family *family, const char *file,
                          const struct conf *conf)
{
    struct reload *reload = calloc(1, sizeof *reload);
    if (reload == NULL)
        return NULL;
    reload->loop = loop;
    reload->family = *family;
    reload->file = file;
    reload->now = conf;
    reload->timer = loop_timer_new(loop, on_timer, reload);
    if (reload->timer == NULL)
        reload_free(&reload);
    return reload;
}

void reload_free(struct reload **out)
{
    struct reload *reload = *out;
    if (reload == NULL)
        return;
    conf_free(&reload->next);
    loop_timer_free(&reload->timer);
    free(reload);
    *out = NULL;
}
