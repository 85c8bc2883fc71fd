/* conf_fill.c — from the texts of the file to struct conf: sections, environment, lists, then the checks between them
 * (conf_load.h). Machines and profiles have files of their own. */
#include "conf_load.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_check.h"
#include "conf_env.h"
#include "must.h"

/* --- lists ------------------------------------------------------------------------------------------------------ */

struct conf_place conf_child(struct conf_place place, const char *key)
{
    return (struct conf_place){place.outline, conf_outline_child(place.outline, place.node, key)};
}

void conf_places(struct conf_place list, size_t count, struct conf_place *places)
{
    uint32_t at = list.node != CONF_NO_NODE ? list.outline->nodes[list.node].first : CONF_NO_NODE;
    for (size_t i = 0; i < count; i++) {
        MUST(at != CONF_NO_NODE);
        places[i] = (struct conf_place){list.outline, at};
        at = list.outline->nodes[at].next;
    }
}

enum err_e conf_fill_words(struct conf_load *load, const struct conf_key *element, char **raw, size_t count,
                           struct conf_place list, const char *const **words)
{
    const char **own = conf_own(load->owner, (count + 1) * sizeof *own);
    if (own == NULL)
        return ERR_MEMORY;
    uint32_t at = list.node != CONF_NO_NODE ? list.outline->nodes[list.node].first : CONF_NO_NODE;
    for (size_t i = 0; i < count; i++, at = list.outline->nodes[at].next) {
        char path[CONF_KEY_PATH_MAX];
        own[i] = "";
        if (conf_key_store(element, raw[i], &own[i]))
            continue;
        conf_outline_path(list.outline, at, path);
        conf_key_wrong(element, raw[i], conf_outline_line(list.outline, at), path, &load->problems);
    }
    *words = own;
    return ERR_OK;
}

static enum err_e fill_origins(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_websocket *raw = &load->owner->raw->websocket;
    struct conf_place list = conf_child(conf_child(conf_root(load), "websocket"), "allowed_origins");
    conf->allowed_origin_count = raw->allowed_origins_count;
    return conf_fill_words(load, &conf_origin_key, raw->allowed_origins, raw->allowed_origins_count, list,
                           &conf->allowed_origins);
}

/* --- listeners -------------------------------------------------------------------------------------------------- */

bool conf_speaks(const struct conf_listener *listener, const char *dialect, size_t *at)
{
    for (size_t i = 0; i < listener->dialect_count; i++) {
        if (strcmp(listener->dialects[i], dialect) != 0)
            continue;
        if (at != NULL)
            *at = i;
        return true;
    }
    return false;
}

static void check_dialects(struct conf_load *load, const struct conf_listener *listener,
                           struct conf_place place)
{
    for (size_t i = 0; i < listener->dialect_count; i++)
        for (size_t other = 0; other < i; other++)
            if (strcmp(listener->dialects[i], listener->dialects[other]) == 0 &&
                listener->dialects[i][0] != '\0')
                conf_problem_at(&load->problems, place, "dialects", "names %s twice", listener->dialects[i]);
}

static enum err_e fill_dialects(struct conf_load *load, const struct raw_listener *raw,
                                struct conf_listener *listener, struct conf_place place)
{
    static const char *const usual[] = {"carousel"};
    if (raw->dialects_count == 0) {
        listener->dialects = usual;
        listener->dialect_count = 1;
        return ERR_OK;
    }
    listener->dialect_count = raw->dialects_count;
    enum err_e err = conf_fill_words(load, &conf_dialect_key, raw->dialects, raw->dialects_count,
                                     conf_child(place, "dialects"), &listener->dialects);
    if (err == ERR_OK)
        check_dialects(load, listener, place);
    return err;
}

static enum err_e fill_listeners(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    struct conf_place places[CONF_LISTENERS_MAX];
    MUST(raw->listeners_count <= CONF_LISTENERS_MAX);
    conf->listeners = conf_own(load->owner, (raw->listeners_count + 1u) * sizeof *conf->listeners);
    if (conf->listeners == NULL)
        return ERR_MEMORY;
    conf->listener_count = raw->listeners_count;
    conf_places(conf_child(conf_root(load), "listeners"), conf->listener_count, places);
    for (size_t i = 0; i < conf->listener_count; i++) {
        conf_section_apply(&conf_listener_section, &raw->listeners[i], &load->outline, places[i].node,
                           &conf->listeners[i], &load->problems);
        if (fill_dialects(load, &raw->listeners[i], &conf->listeners[i], places[i]) != ERR_OK)
            return ERR_MEMORY;
    }
    conf_check_listeners(conf, places, &load->problems);
    conf_check_login(load, places);
    return ERR_OK;
}

/* --- sections --------------------------------------------------------------------------------------------------- */

static uint32_t cpu_count(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

static enum err_e fill_sections(struct conf_load *load)
{
    struct conf_owner *owner = load->owner;
    struct conf *conf = &owner->draft.conf;
    conf_section_apply(&conf_root_section, owner->raw, &load->outline, 0, &owner->draft, &load->problems);
    enum err_e err = load->pure ? ERR_OK : conf_env_apply(load);
    if (conf->workers == 0)
        conf->workers = cpu_count();
    conf_check_limits(conf, conf_child(conf_root(load), "slow_clients"), &load->problems);
    conf_check_times(&owner->draft.machine, conf_child(conf_root(load), "machine_defaults"), true,
                     &load->problems);
    return err;
}

/* --- worth a look ----------------------------------------------------------------------------------------------- */

/* What somebody without a token can do at a listener. */
static const char *open_to_anyone(const struct conf_listener *listener)
{
    bool metrics_alone = listener->dialect_count == 1 && conf_speaks(listener, "ops", NULL);
    return metrics_alone ? "read all counters, and which machines there are" : "move machines";
}

static void look_at_listeners(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    struct conf_place places[CONF_LISTENERS_MAX];
    conf_places(conf_child(conf_root(load), "listeners"), conf->listener_count, places);
    for (size_t i = 0; i < conf->listener_count; i++)
        if (!conf->listeners[i].auth_required && !conf_is_loopback(conf->listeners[i].address))
            conf_warn(load, places[i], "address", "whoever reaches %s port %u can %s: no token is asked for",
                      conf->listeners[i].address, conf->listeners[i].port,
                      open_to_anyone(&conf->listeners[i]));
    if (conf->listener_count == 0)
        conf_warn(load, conf_root(load), "listeners", "there are no listeners: nobody can connect");
    else if (conf_child(conf_root(load), "store").node != CONF_NO_NODE && !conf_serves(conf, "channels"))
        conf_warn(load, conf_root(load), "store", "no listener has the dialect channels: there is no store");
}

static void look_at_machines(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    if (conf->machine_count == 0)
        conf_warn(load, conf_root(load), "machines", "there are no machines");
    for (size_t i = 0; i < conf->machine_count && conf->machine_count > 1; i++)
        if (conf->machines[i].mode_single) {
            conf_warn(load, load->machine_places[i], "mode",
                      "mode: single of %s has no effect, because it is not the only machine",
                      conf->machines[i].info.id);
            return;
        }
}

/* --- warnings --------------------------------------------------------------------------------------------------- */

#define WARNINGS_MAX 50

/* The slot of the next warning; the one behind the last is for the number of those that found no room. */
static const char **warning_slot(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    if (load->warnings == NULL) {
        load->warnings = conf_own(load->owner, (WARNINGS_MAX + 1) * sizeof *load->warnings);
        conf->warnings = load->warnings;
    }
    return load->warnings != NULL ? &load->warnings[conf->warning_count] : NULL;
}

static void keep_warning(struct conf_load *load, const char *text)
{
    const char **slot = warning_slot(load);
    if (slot == NULL)
        return;
    *slot = conf_own_text(load->owner, text);
    if (*slot != NULL)
        load->owner->draft.conf.warning_count++;
}

void conf_warn(struct conf_load *load, struct conf_place place, const char *key, const char *fmt, ...)
{
    char what[CONF_WHAT_MAX], path[CONF_KEY_PATH_MAX], text[CONF_TOLD_MAX];
    struct conf_place at = conf_place_of(place, key);
    if (load->owner->draft.conf.warning_count == WARNINGS_MAX) {
        load->warnings_lost++;
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    conf_outline_path(at.outline, at.node, path);
    conf_problem_text(at.outline->file, conf_outline_line(at.outline, at.node), path, what, text);
    keep_warning(load, text);
}

static void end_warnings(struct conf_load *load)
{
    char text[600];
    snprintf(text, sizeof text, "%.400s: and %zu more warnings", load->owner->draft.conf.file,
             load->warnings_lost);
    if (load->warnings_lost > 0)
        keep_warning(load, text);
}

/* --- files that cannot be read ---------------------------------------------------------------------------------- */

/* There are two schemas of an endpoint and one file of a key. */
static const char **unreadable_slot(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    size_t most = 2u * raw->endpoints_count + raw->auth.keys_count;
    if (load->unreadable == NULL) {
        load->unreadable = conf_own(load->owner, most * sizeof *load->unreadable);
        conf->unreadable = load->unreadable;
    }
    MUST(conf->unreadable_count < most);
    return load->unreadable != NULL ? &load->unreadable[conf->unreadable_count] : NULL;
}

enum err_e conf_note_unreadable(struct conf_load *load, struct conf_place place, const char *key,
                                const char *file, const char *fault)
{
    char what[CONF_WHAT_MAX], path[CONF_KEY_PATH_MAX], text[CONF_TOLD_MAX];
    struct conf_place at = conf_place_of(place, key);
    const char **slot = unreadable_slot(load);
    snprintf(what, sizeof what, "%.250s %.140s", file, fault);
    conf_outline_path(at.outline, at.node, path);
    conf_problem_text(at.outline->file, conf_outline_line(at.outline, at.node), path, what, text);
    if (slot == NULL || (*slot = conf_own_text(load->owner, text)) == NULL)
        return ERR_MEMORY;
    load->owner->draft.conf.unreadable_count++;
    return ERR_OK;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static enum err_e fill_machines_and_bridges(struct conf_load *load)
{
    size_t before = load->problems.count;
    enum err_e err = conf_fill_machines(load);
    return err == ERR_OK ? conf_fill_bridges(load, load->problems.count == before) : err;
}

enum err_e conf_fill(struct conf_load *load)
{
    enum err_e err = fill_sections(load);
    if (err == ERR_OK)
        err = fill_origins(load);
    if (err == ERR_OK)
        err = conf_fill_auth(load);
    if (err == ERR_OK)
        err = fill_listeners(load);
    if (err == ERR_OK)
        err = conf_fill_profiles(load);
    if (err == ERR_OK)
        err = fill_machines_and_bridges(load);
    if (err == ERR_OK)
        err = conf_fill_endpoints(load);
    if (err != ERR_OK || load->problems.count > 0)
        return err;
    look_at_listeners(load);
    conf_look_at_auth(load);
    look_at_machines(load);
    conf_look_at_bridges(load);
    conf_look_at_endpoints(load);
    end_warnings(load);
    return ERR_OK;
}
