/* up_reload.c — see up_reload.h. */
#include "up_reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "must.h"

struct up_reload {
    struct family *family;
    struct up_plan *plan;
    uint32_t workers; /* of the start: no reload changes that */
    struct conf *own; /* in force, if it is not that of the start */
    struct family_listener listener;
    struct reload *reload;
};

/* --- what the transaction asks ---------------------------------------------------------------------------------- */

static enum reload_state_e state_of(const struct family_view *view)
{
    if (view->start == 0)
        return RELOAD_AWAY;
    if (view->replacing)
        return RELOAD_REPLACED;
    return view->state == MEMBER_READY ? RELOAD_READY : RELOAD_STARTING;
}

static void add_member(const struct family *family, const char *name, struct reload_member *members,
                       size_t *count)
{
    struct family_view view;
    if (family_find(family, name, &view))
        members[(*count)++] = (struct reload_member){view.name, view.start, state_of(&view)};
}

/* By their names: agents, which may be thousands, take no part. */
static size_t list_members(void *arg, struct reload_member members[RELOAD_MEMBERS_MAX])
{
    const struct up_reload *up_reload = arg;
    static const char *const alone[] = {"plc-sim", "broker", "store"};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(alone); i++)
        add_member(up_reload->family, alone[i], members, &count);
    for (size_t k = 0; k < up_reload->workers && count < RELOAD_MEMBERS_MAX; k++) {
        char name[FAMILY_NAME_MAX];
        snprintf(name, sizeof name, "worker.%zu", k);
        add_member(up_reload->family, name, members, &count);
    }
    return count;
}

static enum err_e send(void *arg, const char *name, const struct control_message *message)
{
    const struct up_reload *up_reload = arg;
    return family_send(up_reload->family, name, message);
}

/* ERR_BUSY: it is being restarted anyway. */
static void restart(void *arg, const char *name)
{
    const struct up_reload *up_reload = arg;
    enum err_e err = family_restart(up_reload->family, name);
    if (err != ERR_OK && err != ERR_BUSY && err != ERR_CLOSED)
        log_error("reload-restart", "name=%s error=\"%s\"", name, err_text(err));
}

static bool possible(void *arg, const struct conf *next, char why[RELOAD_PROBLEM_MAX])
{
    const struct up_reload *up_reload = arg;
    static const enum family_stage_e stages[] = {FAMILY_SIM, FAMILY_AGENT};
    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        const char *program = up_reload->plan->programs[stages[i]];
        if (up_plan_needed(next, stages[i]) == 0 || access(program, X_OK) == 0)
            continue;
        snprintf(why, RELOAD_PROBLEM_MAX, "%.500s: %s; nothing has changed", program, strerror(errno));
        return false;
    }
    return true;
}

/* --- agents and plc-sim ----------------------------------------------------------------------------------------- */

static void add(const struct up_reload *up_reload, enum family_stage_e stage, size_t i)
{
    enum err_e err = up_plan_add_member(up_reload->plan, up_reload->family, stage, i);
    if (err != ERR_OK && err != ERR_CLOSED)
        log_error("reload-add", "machine=%s error=\"%s\"",
                  stage == FAMILY_AGENT ? up_reload->plan->conf->machines[i].info.id : "-", err_text(err));
}

static void expect(void *arg, const struct conf *now, const struct conf *next)
{
    const struct up_reload *up_reload = arg;
    for (size_t i = 0; i < now->machine_count; i++) {
        const struct conf_machine *machine = &now->machines[i], *then = conf_machine(next, machine->info.id);
        char name[FAMILY_NAME_MAX];
        snprintf(name, sizeof name, "agent.%s", machine->info.id);
        if (then == NULL || !conf_machine_same(machine, then))
            (void)family_expect_end(up_reload->family, name); /* ERR_NOT_FOUND: the more so */
    }
}

static void apply_removed(struct up_reload *up_reload, const struct conf *was, const struct conf *is)
{
    for (size_t i = 0; i < was->machine_count; i++) {
        const struct conf_machine *machine = &was->machines[i], *now = conf_machine(is, machine->info.id);
        char name[FAMILY_NAME_MAX];
        snprintf(name, sizeof name, "agent.%s", machine->info.id);
        if (now == NULL)
            (void)family_remove(up_reload->family, name); /* ERR_NOT_FOUND: the more so */
        else if (!conf_machine_same(machine, now))
            restart(up_reload, name);
    }
}

static void apply_added(struct up_reload *up_reload, const struct conf *was, const struct conf *is)
{
    for (size_t i = 0; i < is->machine_count; i++)
        if (conf_machine(was, is->machines[i].info.id) == NULL)
            add(up_reload, FAMILY_AGENT, i);
}

/* One that runs has taken part. */
static void apply_simulator(struct up_reload *up_reload, const struct conf *was, const struct conf *is)
{
    bool before = up_plan_needed(was, FAMILY_SIM) > 0, now = up_plan_needed(is, FAMILY_SIM) > 0;
    if (before && !now)
        (void)family_remove(up_reload->family, "plc-sim");
    if (!before && now)
        add(up_reload, FAMILY_SIM, 0);
}

static void apply(void *arg, const struct conf *was, struct conf *is)
{
    struct up_reload *up_reload = arg;
    up_reload->plan->conf = is;
    log_threshold(is->log_level);
    log_format(is->log_format);
    family_set_drain(up_reload->family, is->drain_ms * NS_PER_MS);
    apply_simulator(up_reload, was, is);
    apply_removed(up_reload, was, is);
    apply_added(up_reload, was, is);
    conf_free(&up_reload->own); /* `was`, unless that is the one of the start */
    up_reload->own = is;
}

/* --- what the family says --------------------------------------------------------------------------------------- */

static void on_message(void *arg, const struct family_view *from, const struct control_message *message)
{
    struct up_reload *up_reload = arg;
    reload_heard(up_reload->reload, from->name, from->start, message);
}

static void on_changed(void *arg)
{
    struct up_reload *up_reload = arg;
    reload_family_changed(up_reload->reload);
}

/* --- its life --------------------------------------------------------------------------------------------------- */

struct up_reload *up_reload_new(struct loop *loop, struct family *family, struct up_plan *plan)
{
    struct up_reload *up_reload = calloc(1, sizeof *up_reload);
    if (up_reload == NULL)
        return NULL;
    const struct reload_family ops = {up_reload, list_members, send, restart, possible, expect, apply};
    up_reload->family = family;
    up_reload->plan = plan;
    up_reload->workers = plan->conf->workers;
    up_reload->reload = reload_new(loop, &ops, plan->conf->file, plan->conf);
    if (up_reload->reload == NULL) {
        free(up_reload);
        return NULL;
    }
    up_reload->listener =
        (struct family_listener){.message = on_message, .changed = on_changed, .arg = up_reload};
    family_listen(family, &up_reload->listener);
    return up_reload;
}

void up_reload_free(struct up_reload **out)
{
    struct up_reload *up_reload = *out;
    if (up_reload == NULL)
        return;
    family_unlisten(up_reload->family, &up_reload->listener);
    reload_free(&up_reload->reload);
    conf_free(&up_reload->own);
    free(up_reload);
    *out = NULL;
}

struct reload *up_reload_transaction(struct up_reload *up_reload)
{
    return up_reload->reload;
}
