/* plc-sim: boot, machines, log, control socket, script, loop, stop. What it simulates stands in README.md.
 *
 * The order of starting is the order of dependence: the log before the first PLC listens, all PLCs before control and
 * script, readiness last; stopping goes the other way round.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "conf.h"
#include "control.h"
#include "log.h"
#include "loop.h"
#include "proc.h"
#include "reload_watch.h"
#include "sim_control.h"
#include "sim_log.h"
#include "sim_options.h"
#include "sim_script.h"
#include "sim_server.h"

struct sim {
    struct sim_options options;
    struct conf *conf; /* NULL without -c */
    struct loop *loop;
    struct loop_signal *on_term, *on_int;
    int launcher;                 /* control socket; -1: none */
    struct reload_watch *reloads; /* NULL without -c */
    struct sim_change *change;    /* prepared */
    struct sim_log *log;
    struct sim_server *server;
    struct sim_control *control;
    struct sim_script *script;
};

static enum err_e load_conf(struct sim *sim)
{
    if (sim->options.conf_file == NULL)
        return ERR_OK;
    enum err_e err = conf_load(sim->options.conf_file, conf_log_problem, NULL, &sim->conf);
    if (err != ERR_OK)
        return err;
    log_init("plc-sim", sim->conf->log_level);
    log_format(sim->conf->log_format);
    return proc_make_dirs(sim->conf->runtime_dir);
}

static enum err_e open_log(struct sim *sim)
{
    char path[CONF_PATH_MAX];
    const char *file = sim->options.log_path;
    if (file == NULL && sim->conf != NULL) {
        conf_path(sim->conf, "sim.log", path);
        file = path;
    }
    return file == NULL ? ERR_OK : sim_log_open(file, sim->options.log_max_bytes, clock_system(), &sim->log);
}

/* --- machines ------------------------------------------------------------------------------------------------------ */

static struct sim_plc_conf configured(const struct conf_machine *machine)
{
    const struct profile *profile = machine->profile;
    if (profile == NULL) {
        profile = profile_builtin("standard");
        log_warn("sim-profile-unknown", "machine=%s profile=%s instead=%s", machine->info.id,
                 machine->profile_name, profile->name);
    }
    return (struct sim_plc_conf){.id = machine->info.id,
                                 .address = machine->connect_host,
                                 .port = machine->connect_port,
                                 .profile = profile,
                                 .positions = machine->sim_positions,
                                 .pace_ms = machine->sim_ms_per_position};
}

static enum err_e add_all_configured(struct sim *sim)
{
    for (size_t i = 0; i < sim->conf->machine_count; i++) {
        if (!sim->conf->machines[i].info.simulator)
            continue;
        const struct sim_plc_conf plc = configured(&sim->conf->machines[i]);
        enum err_e err = sim_server_add(sim->server, &plc);
        if (err != ERR_OK)
            return err;
    }
    if (sim_server_count(sim->server) > 0)
        return ERR_OK;
    log_error("sim-no-machine", "file=%s reason=\"no machine has simulator: true\"", sim->conf->file);
    return ERR_CONFIG;
}

static enum err_e add_from_options(struct sim *sim)
{
    const struct sim_options *options = &sim->options;
    for (uint32_t i = 0; i < options->machines; i++) {
        char id[MACHINE_ID_MAX + 1];
        snprintf(id, sizeof id, "%s%u", options->prefix, i + 1);
        enum err_e err =
            sim_server_add(sim->server, &(struct sim_plc_conf){
                                            .id = id,
                                            .address = options->address,
                                            .port = (uint16_t)(options->port == 0 ? 0 : options->port + i),
                                            .profile = options->profile,
                                            .positions = options->positions,
                                            .pace_ms = options->pace_ms,
                                        });
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err_e add_machines(struct sim *sim)
{
    sim->server = sim_server_new(
        sim->loop, sim->log, &(struct sim_server_conf){sim->options.refuse_second, sim->options.unlisted});
    if (sim->server == NULL)
        return ERR_MEMORY;
    return sim->conf != NULL ? add_all_configured(sim) : add_from_options(sim);
}

/* --- another configuration ---------------------------------------------------------------------------------------- */

static enum err_e prepare(void *arg, const struct conf *now, const struct conf *next,
                          char why[RELOADER_WHY_MAX])
{
    struct sim *sim = arg;
    struct sim_plc_conf *list = calloc(next->machine_count + 1, sizeof *list);
    size_t count = 0;
    (void)now;
    if (list == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < next->machine_count; i++)
        if (next->machines[i].info.simulator)
            list[count++] = configured(&next->machines[i]);
    enum err_e err = sim_change_prepare(sim->server, list, count, &sim->change, why);
    free(list);
    return err;
}

static void commit(void *arg, struct conf *next)
{
    struct sim *sim = arg;
    sim_change_commit(&sim->change);
    if (sim->control != NULL)
        sim_control_machines_went(sim->control);
    conf_free(&sim->conf);
    sim->conf = next;
}

static void forget(void *arg)
{
    struct sim *sim = arg;
    sim_change_free(&sim->change);
}

/* Without a file there is nothing to reload, and SIGHUP is what it always was. */
static enum err_e watch_for_reloads(struct sim *sim)
{
    const struct reloader_options options = {.file = sim->options.conf_file,
                                             .control = sim->launcher,
                                             .prepare = prepare,
                                             .commit = commit,
                                             .abort = forget,
                                             .arg = sim};
    if (sim->conf != NULL)
        return reload_watch_open(sim->loop, &options, sim->conf, &sim->reloads);
    reloader_hold_signal(false);
    return ERR_OK;
}

/* --- start and stop ------------------------------------------------------------------------------------------------ */

static enum err_e open_control(struct sim *sim)
{
    char path[CONF_PATH_MAX];
    const char *name = sim->options.control_path;
    if (name == NULL && sim->conf != NULL) {
        conf_path(sim->conf, "sim.sock", path);
        name = path;
    }
    return name == NULL ? ERR_OK : sim_control_open(sim->loop, sim->server, name, &sim->control);
}

static enum err_e load_script(struct sim *sim)
{
    const char *file = sim->options.script_path;
    return file == NULL ? ERR_OK : sim_script_load(file, sim->loop, sim->server, &sim->script);
}

static void on_stop(void *arg)
{
    struct sim *sim = arg;
    log_stopping();
    loop_stop(sim->loop);
}

static enum err_e make_loop(struct sim *sim)
{
    sim->loop = loop_new(clock_system());
    if (sim->loop == NULL)
        return ERR_MEMORY;
    sim->on_term = loop_signal_new(sim->loop, SIGTERM, on_stop, sim);
    sim->on_int = loop_signal_new(sim->loop, SIGINT, on_stop, sim);
    return sim->on_term != NULL && sim->on_int != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err_e start(struct sim *sim)
{
    static enum err_e (*const steps[])(struct sim *) = {
        load_conf, make_loop, open_log, add_machines, open_control, load_script, watch_for_reloads};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        enum err_e err = steps[i](sim);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static void run(struct sim *sim)
{
    if (sim->script != NULL)
        sim_script_start(sim->script);
    log_info("sim-ready", "machines=%zu", sim_server_count(sim->server));
    proc_ready();
    loop_run(sim->loop);
    log_info("sim-stopped", "machines=%zu", sim_server_count(sim->server));
}

static void stop(struct sim *sim)
{
    reload_watch_close(&sim->reloads);
    sim_script_free(&sim->script);
    sim_control_close(&sim->control);
    sim_server_free(&sim->server);
    sim_log_close(&sim->log);
    loop_signal_free(&sim->on_term);
    loop_signal_free(&sim->on_int);
    loop_free(&sim->loop);
    if (sim->conf != NULL)
        conf_free(&sim->conf);
}

static int exit_code(enum err_e err)
{
    switch (err) {
    case ERR_OK:
        return 0;
    case ERR_CONFIG:
    case ERR_MALFORMED:
    case ERR_NOT_FOUND:
    case ERR_TOO_LARGE:
        return PROC_EXIT_PERMANENT; /* configuration, script or path: the next start would fail too */
    default:
        return PROC_EXIT_FAILURE;
    }
}

int main(int argc, char **argv)
{
    struct sim sim = {0};
    log_init("plc-sim", LOG_INFO);
    switch (sim_options_parse(argc, argv, &sim.options)) {
    case SIM_OPTIONS_DONE:
        return 0;
    case SIM_OPTIONS_WRONG:
        return PROC_EXIT_USAGE;
    default:
        break;
    }
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    reloader_hold_signal(true);
    sim.launcher = control_inherited();
    enum err_e err = start(&sim);
    if (err == ERR_OK)
        run(&sim);
    else
        log_error("sim-not-started", "error=\"%s\"", err_text(err));
    stop(&sim);
    return exit_code(err);
}
