/* plc-agent — one process per machine: reads its PLC, reports every change to the broker, writes commands at most once.
 *
 * A process of its own, so that a driver that hangs or crashes takes along one machine and nothing else. It opens the
 * PLC's socket and the broker's, its configuration, and the files of its journal below state_dir/agents/MACHINE_ID, which
 * it makes and locks; it never sees shared memory.
 */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "carousel_driver.h"
#include "control.h"
#include "entropy.h"
#include "log.h"
#include "proc.h"
#include "reload_watch.h"

static const char usage[] = "Usage: plc-agent -c FILE -m MACHINE_ID\n"
                            "Reads one machine's PLC and reports to the broker in FILE's runtime_dir.\n"
                            "\n"
                            "  -c FILE         the installation's configuration\n"
                            "  -m MACHINE_ID   which of its machines\n"
                            "      --help      this text\n"
                            "      --version   the version\n"
                            "\n"
                            "Exit codes: 0 stopped as told; 2 wrong usage; 78 the same start would fail "
                            "again; else: start it again.\n";

struct arguments {
    const char *file, *machine;
    int exit_code; /* with file == NULL: end at once */
};

struct process {
    const char *file;
    const struct conf_machine *machine; /* as this process was started for it */
    struct conf *conf, *latest;         /* which it is of; the newest in force */
    struct loop *loop;
    struct agent *agent;
    struct reload_watch *reloads;
    struct loop_signal *term, *interrupt;
    int exit_code;
};

static struct arguments parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
    struct arguments arguments = {.exit_code = PROC_EXIT_USAGE};
    const char *file = NULL;
    for (int option; (option = getopt_long(argc, argv, "c:m:", options, NULL)) != -1;) {
        if (option == 'c') {
            file = optarg;
        } else if (option == 'm') {
            arguments.machine = optarg;
        } else if (option == 'h' || option == 'v') {
            fputs(option == 'h' ? usage : "plc-agent " NORIA_VERSION "\n", stdout);
            arguments.exit_code = 0;
            return arguments;
        } else {
            return arguments;
        }
    }
    if (file == NULL || arguments.machine == NULL || optind != argc)
        fputs(usage, stderr);
    else
        arguments.file = file;
    return arguments;
}

static void on_ended(void *arg, int exit_code)
{
    struct process *process = arg;
    process->exit_code = exit_code;
    loop_stop(process->loop);
}

static void on_signal(void *arg)
{
    struct process *process = arg;
    log_stopping();
    log_info("stopping", "reason=\"signal\"");
    agent_stop(process->agent);
}

/* --- another configuration ----------------------------------------------------------------------------------------- */

static void forget_latest(struct process *process)
{
    if (process->latest != process->conf)
        conf_free(&process->latest);
    process->latest = NULL;
}

/* An agent is made for one configuration of its machine: for another one it makes way, and is started anew. */
static void on_commit(void *arg, struct conf *next)
{
    struct process *process = arg;
    const struct conf_machine *machine = conf_machine(next, process->machine->info.id);
    forget_latest(process);
    process->latest = next;
    if (machine != NULL && conf_machine_same(process->machine, machine))
        return;
    log_info("leaving", "machine=%s reason=\"%s\"", process->machine->info.id,
             machine != NULL ? "it is configured otherwise now" : "it is not configured any more");
    agent_leave(process->agent);
}

/* By SIGHUP, where no launcher is; a launcher asks no agent, and restarts whom it concerns. */
static bool watch_reloads(struct process *process)
{
    const struct reloader_options options = {.file = process->file,
                                             .control = control_inherited(),
                                             .threaded = true,
                                             .commit = on_commit,
                                             .arg = process};
    return reload_watch_open(process->loop, &options, process->conf, &process->reloads) == ERR_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------------- */

static bool start(struct process *process)
{
    const struct conf *conf = process->conf;
    const struct conf_machine *machine = process->machine;
    char socket[CONF_PATH_MAX], endpoint[CONF_PATH_MAX + 8], journal[PATH_MAX];
    conf_path(conf, "bus/broker.sock", socket);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", socket);
    if ((size_t)snprintf(journal, sizeof journal, "%s/agents/%s", conf->state_dir, machine->info.id) >=
        sizeof journal) {
        log_error("config", "file=%s error=\"state_dir is too long\"", conf->file);
        process->exit_code = PROC_EXIT_PERMANENT;
        return false;
    }
    process->loop = loop_new(clock_system());
    if (process->loop == NULL)
        return false;
    struct agent_config config = {
        .loop = process->loop,
        .machine = machine,
        .endpoint = endpoint,
        .driver = &carousel_driver,
        .incarnation = entropy_u64(),
        .seed = entropy_u64(),
        .journal_directory = journal,
        .journal_keep_bytes = (uint64_t)conf->journal_keep_mib << 20,
        .journal_keep_ms = (uint64_t)conf->journal_keep_days * 24 * 3600 * 1000,
        .ended = on_ended,
        .arg = process,
    };
    if (agent_new(&config, &process->agent) != ERR_OK)
        return false;
    process->term = loop_signal_new(process->loop, SIGTERM, on_signal, process);
    process->interrupt = loop_signal_new(process->loop, SIGINT, on_signal, process);
    return process->term != NULL && process->interrupt != NULL && watch_reloads(process);
}

static void end(struct process *process)
{
    loop_signal_free(&process->term);
    loop_signal_free(&process->interrupt);
    reload_watch_close(&process->reloads);
    agent_free(&process->agent);
    loop_free(&process->loop);
    forget_latest(process);
    log_info("stopped", "exit=%d", process->exit_code);
}

static int run(struct process *process)
{
    const struct conf_machine *machine = process->machine;
    if (start(process)) {
        log_info("started", "version=" NORIA_VERSION " machine=%s plc=%s:%u profile=%s", machine->info.id,
                 machine->connect_host, (unsigned)machine->connect_port,
                 machine->profile != NULL ? machine->profile->name : "unknown");
        proc_ready();
        loop_run(process->loop);
    }
    end(process);
    return process->exit_code;
}

static int run_machine(const char *file, struct conf *conf, const char *id)
{
    char name[MACHINE_ID_MAX + 8];
    struct process process = {.file = file,
                              .conf = conf,
                              .latest = conf,
                              .machine = conf_machine(conf, id),
                              .exit_code = PROC_EXIT_FAILURE};
    if (process.machine == NULL) {
        log_error("config", "file=%s machine=%.64s error=\"there is no such machine\"", conf->file, id);
        return PROC_EXIT_PERMANENT;
    }
    snprintf(name, sizeof name, "agent.%s", process.machine->info.id);
    log_init(name, conf->log_level);
    log_format(conf->log_format);
    log_about("machine", process.machine->info.id);
    return run(&process);
}

int main(int argc, char **argv)
{
    log_init("agent", LOG_INFO);
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    reloader_hold_signal(true);
    struct arguments arguments = parse(argc, argv);
    if (arguments.file == NULL)
        return arguments.exit_code;
    struct conf *conf = NULL;
    if (conf_load(arguments.file, conf_log_problem, NULL, &conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    int exit_code = run_machine(arguments.file, conf, arguments.machine);
    conf_free(&conf);
    return exit_code;
}
