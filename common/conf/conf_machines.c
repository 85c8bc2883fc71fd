/* conf_machines.c — all machines: those of the file, then those of machines_from, each over machine_defaults.
 *
 * Both go through the same lines of the table and the same checks; a machine of the second file is one whose values came
 * from JSON. An id that stands in both files is an error: which one is meant is not ours to guess. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_check.h"
#include "conf_load.h"
#include "conf_near.h"
#include "conf_seed.h"

static void complete(struct conf_load *load, struct conf_machine *machine, uint32_t *simulated)
{
    const struct conf *conf = &load->owner->draft.conf;
    if (machine->info.name[0] == '\0')
        memcpy(machine->info.name, machine->info.id, sizeof machine->info.id);
    machine->profile = conf_profile(conf, machine->profile_name);
    if (machine->info.simulator) {
        snprintf(machine->connect_host, sizeof machine->connect_host, "%s", conf->simulator_address);
        machine->connect_port = (uint16_t)(conf->simulator_base_port + (*simulated)++);
    } else {
        memcpy(machine->connect_host, machine->info.ip, sizeof machine->connect_host);
        machine->connect_port = machine->info.port;
    }
}

static void warn_of_profile(struct conf_load *load, const struct conf_machine *machine,
                            struct conf_place place)
{
    const struct conf *conf = &load->owner->draft.conf;
    const char *names[CONF_PROFILES_MAX + 8];
    size_t count = 0;
    for (; profile_builtin_at(count) != NULL && count < 8; count++)
        names[count] = profile_builtin_at(count)->name;
    for (size_t i = 0; i < conf->profile_count; i++)
        if (conf->profiles[i].name != NULL)
            names[count++] = conf->profiles[i].name;
    const char *near = conf_near(machine->profile_name, names, count);
    conf_warn(load, place, "profile", "there is no profile %s%s%s%s: machine %s is read-only",
              machine->profile_name, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "",
              machine->info.id);
}

static void apply(struct conf_load *load, size_t i, const struct raw_machine *raw, struct conf_place place,
                  uint32_t *simulated)
{
    struct conf_machine *machine = &load->owner->draft.conf.machines[i];
    *machine = load->owner->draft.machine;
    load->machine_places[i] = place;
    load->problems.file = place.outline->file;
    conf_section_apply(&conf_machine_section, raw, place.outline, place.node, machine, &load->problems);
    complete(load, machine, simulated);
    if (machine->profile == NULL)
        warn_of_profile(load, machine, place);
}

/* --- machines_from ---------------------------------------------------------------------------------------------- */

/* Beside the configuration, as its name was given: messages are shorter so. */
static char *seed_path(struct conf_owner *owner)
{
    const struct conf *conf = &owner->draft.conf;
    const char *slash = strrchr(conf->file, '/');
    return conf_own_beside(owner, conf->file, slash != NULL ? (size_t)(slash - conf->file) + 1 : 0,
                           conf->machines_from);
}

static enum err_e read_text(struct conf_load *load, struct conf_seed *seed, const char *path,
                            const char *text, size_t len)
{
    if (conf_keep_machines(load, text, len) != ERR_OK)
        return ERR_MEMORY;
    load->problems.file = path;
    enum err_e err = conf_seed_read(seed, text, len, &load->seed_outline, &load->problems);
    load->problems.file = load->owner->draft.conf.file;
    return err;
}

static enum err_e read_named(struct conf_load *load, struct conf_seed *seed, const char *path)
{
    char *text, fault[CONF_FAULT_MAX];
    size_t len;
    enum err_e err = conf_read_file(path, &text, &len, fault);
    if (err == ERR_OK)
        err = read_text(load, seed, path, text, len);
    else if (err == ERR_CONFIG)
        conf_problem_at(&load->problems, conf_root(load), "machines_from", "%s %s", path, fault);
    free(text);
    return err;
}

static enum err_e read_copied(struct conf_load *load, struct conf_seed *seed, const char *path)
{
    if (load->copy->machines != NULL)
        return read_text(load, seed, path, load->copy->machines, load->copy->machines_len);
    conf_problem_at(&load->problems, conf_root(load), "machines_from", "%s is not in the copy", path);
    return ERR_CONFIG;
}

/* ERR_NOT_FOUND: there is none. */
static enum err_e read_seed(struct conf_load *load, struct conf_seed *seed)
{
    struct conf *conf = &load->owner->draft.conf;
    if (load->seed_text != NULL)
        return conf_seed_read(seed, load->seed_text, load->seed_len, &load->seed_outline, &load->problems);
    if (conf->machines_from[0] == '\0')
        return ERR_NOT_FOUND;
    if (load->pure) {
        conf_problem_at(&load->problems, conf_root(load), "machines_from", "no other file is read here");
        return ERR_CONFIG;
    }
    const char *path = seed_path(load->owner);
    if (path == NULL)
        return ERR_MEMORY;
    return load->copy != NULL ? read_copied(load, seed, path) : read_named(load, seed, path);
}

/* --- all of them ------------------------------------------------------------------------------------------------ */

static enum err_e make_room(struct conf_load *load, size_t count)
{
    load->owner->draft.conf.machines = conf_own(load->owner, (count + 1) * sizeof(struct conf_machine));
    load->machine_places = calloc(count + 1, sizeof *load->machine_places);
    return load->owner->draft.conf.machines != NULL && load->machine_places != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err_e fill_from(struct conf_load *load, const struct conf_seed *seed)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    uint32_t simulated = 0;
    if (make_room(load, raw->machines_count + seed->count) != ERR_OK)
        return ERR_MEMORY;
    conf->machine_count = raw->machines_count + seed->count;
    conf->machines_from_count = seed->count;
    conf_places(conf_child(conf_root(load), "machines"), raw->machines_count, load->machine_places);
    for (size_t i = 0; i < raw->machines_count; i++)
        apply(load, i, &raw->machines[i], load->machine_places[i], &simulated);
    for (size_t i = 0; i < seed->count; i++)
        apply(load, raw->machines_count + i, &seed->machines[i],
              (struct conf_place){&load->seed_outline, seed->nodes[i]}, &simulated);
    load->problems.file = conf->file;
    if (seed->has_api_config)
        conf_warn(
            load, (struct conf_place){&load->seed_outline, 0}, "api_config",
            "api_config is ignored: addresses and ports for clients are this configuration's listeners");
    return conf_check_machines(conf, conf_root(load), load->machine_places, &load->problems);
}

enum err_e conf_fill_machines(struct conf_load *load)
{
    struct conf_seed seed = {0};
    enum err_e err = read_seed(load, &seed);
    if (err == ERR_OK || err == ERR_NOT_FOUND ||
        err == ERR_CONFIG) /* the file's own are checked in any case */
        err = fill_from(load, &seed);
    conf_seed_free(&seed);
    return err;
}
