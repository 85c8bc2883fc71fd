/* noria_main.c — the program `noria`: its subcommands and their options. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "backup.h"
#include "check_config.h"
#include "clock.h"
#include "conf.h"
#include "containers.h"
#include "hash_password.h"
#include "hash_token.h"
#include "look_conf.h"
#include "metrics_page.h"
#include "must.h"
#include "proc.h"
#include "rearm.h"
#include "show_profile.h"
#include "show_stats.h"
#include "show_status.h"
#include "tell_launcher.h"
#include "top.h"
#include "up.h"
#include "watch_machines.h"

static const char help[] =
    "usage: noria up -c FILE [--runtime-dir DIR]\n"
    "       noria check-config FILE\n"
    "       noria profile [NAME] [-c FILE]\n"
    "       noria hash-token [--new] [--principal NAME]\n"
    "       noria hash-password\n"
    "       noria stats -c FILE [--runtime-dir DIR] [--explain] [PREFIX]\n"
    "       noria status -c FILE [--json] [--runtime-dir DIR]\n"
    "       noria watch [MACHINE…] -c FILE [--json] [--runtime-dir DIR]\n"
    "       noria restart [NAME…|workers|agents|handlers] -c FILE [--runtime-dir DIR]\n"
    "       noria drain WORKER -c FILE [--runtime-dir DIR]\n"
    "       noria reload -c FILE [--dry-run] [--runtime-dir DIR]\n"
    "       noria top -c FILE [--runtime-dir DIR]\n"
    "       noria backup FILE -c CONFIG\n"
    "       noria rearm MACHINE… -c FILE [--runtime-dir DIR]\n"
    "       noria audit show|verify -c FILE [...]    (noria audit --help)\n"
    "       noria compose -c FILE [...], noria front, noria health    (noria compose --help)\n"
    "       noria metrics-page\n"
    "       noria reference\n"
    "\n"
    "up            starts the installation that FILE describes and keeps it running: simulators, broker,\n"
    "              an agent per machine, handlers, workers. Prints what to connect to and `noria: ready`. "
    "Ctrl-C "
    "stops\n"
    "              it and leaves nothing behind; a second Ctrl-C kills.\n"
    "check-config  prints every problem of FILE with its line, or a summary of what it amounts to.\n"
    "profile       prints what a profile makes of each of the 256 status bytes: texts, meanings, whether a "
    "move\n"
    "              is admitted. Without NAME, all profiles: the built-in ones, and those of FILE.\n"
    "hash-token    reads a token from standard input and prints its line for auth.tokens; with --new it "
    "makes one.\n"
    "hash-password reads a password, from a terminal without showing it, and prints what "
    "auth.users[].password "
    "holds.\n"
    "stats         prints every counter of every process that runs, one a line; only those whose line "
    "begins\n"
    "              with PREFIX (\"worker.0\", \"broker commands\"). --explain: what each of them means.\n"
    "status        prints every process and machine: state, uptime, deaths; exit code 0: all processes "
    "serve,\n"
    "              1: not. --json: one object.\n"
    "watch         prints a line per change of each MACHINE (none named: of all) as it is published: "
    "states,\n"
    "              alarms, commands' results. --json: an object per line. Disturbs nobody; ends with "
    "Ctrl-C.\n"
    "restart       replaces processes of a running `noria up`, one after the other; a worker's successor "
    "serves "
    "before it\n"
    "              goes, so that nobody is refused. Without NAME: all of them. NAME as in `noria status`.\n"
    "drain         tells a worker to take nobody new and to let its clients go; its successor serves at "
    "once.\n"
    "reload        puts FILE in force in all processes, or in none and says why. --dry-run: says what would "
    "change.\n"
    "top           draws processes and machines with their rates every second; q ends. One picture where the "
    "output\n"
    "              is no terminal. OUT/s of a worker are its writes, which carry one message or many.\n"
    "backup        copies the database of sensors, readings and events to FILE, while it is written to; the "
    "copy is\n"
    "              checked, and an existing FILE never replaced.\n"
    "rearm         lifts the latch that an emergency stop left on each MACHINE, so that moves are admitted "
    "again. "
    "While\n"
    "              the stop is still on it is refused. The agent's journal notes who did it.\n"
    "audit         show: who moved what, when and with what effect, from the agents' journals; verify: is "
    "that\n"
    "              trail whole?\n"
    "metrics-page  prints every metric of every process and what it means, as Markdown.\n"
    "reference     prints every key of the configuration file with bounds and default, as Markdown.\n"
    "\n"
    "  -c, --config FILE      the configuration (YAML), or a file of machines (NAME.json)\n"
    "      --runtime-dir DIR  where sockets and shared memory are, instead of the file's runtime_dir\n"
    "                         (also: environment NORIA_RUNTIME_DIR)\n"
    "      --bin-dir DIR      where the other programs are, instead of beside this one\n"
    "      --help, --version\n"
    "\n"
    "Exit codes: 0 as asked (up: stopped by a signal), 1 cannot start now, problems found, or nothing to "
    "show,\n"
    "2 usage, 78 starting again would not help (configuration, or a process said so).\n";

struct cli {
    struct up_options options;
    const char *principal;
    bool explain; /* stats */
    bool new_token, json, dry_run;
    const char *operand; /* the first; NULL: none */
    const char *const *operands;
    size_t operand_count;
};

static int usage(const char *what)
{
    fprintf(stderr, "noria: %s; see noria --help\n", what);
    return PROC_EXIT_USAGE;
}

static void tell_problem(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

/* --- subcommands ------------------------------------------------------------------------------------------------ */

static int run_up(const struct cli *cli)
{
    return up_run(&cli->options);
}

/* The configuration of who only looks; NULL: *code is the exit code. */
static struct conf *look_conf(const struct cli *cli, int *code)
{
    struct conf *conf;
    if (look_conf_load(cli->options.file, cli->options.runtime_dir, stderr, &conf) != ERR_OK)
        *code = PROC_EXIT_PERMANENT;
    return conf;
}

static int run_stats(const struct cli *cli)
{
    int code;
    struct conf *conf = look_conf(cli, &code);
    if (conf == NULL)
        return code;
    enum err_e err = show_stats(conf, cli->operand, cli->explain, dup(STDOUT_FILENO));
    if (err == ERR_NOT_FOUND)
        fprintf(stderr, "noria stats: nothing runs in %s (no segments in its shm directory)\n",
                conf->runtime_dir);
    else if (err != ERR_OK)
        fprintf(stderr, "noria stats: %s\n", err_text(err));
    conf_free(&conf);
    return err == ERR_OK ? 0 : PROC_EXIT_FAILURE;
}

static int run_status(const struct cli *cli)
{
    int code;
    bool all_up;
    struct conf *conf = look_conf(cli, &code);
    if (conf == NULL)
        return code;
    enum err_e err =
        show_status(conf->runtime_dir, clock_wall_ms(clock_system()), cli->json, stdout, &all_up);
    if (err == ERR_NOT_FOUND)
        fprintf(stderr, "noria status: nothing runs in %s\n", conf->runtime_dir);
    else if (err != ERR_OK)
        fprintf(stderr, "noria status: %s\n", err_text(err));
    conf_free(&conf);
    return err == ERR_OK && all_up ? 0 : PROC_EXIT_FAILURE;
}

static int run_watch(const struct cli *cli)
{
    int code;
    struct conf *conf = look_conf(cli, &code);
    if (conf == NULL)
        return code;
    for (size_t i = 0; i < cli->operand_count; i++)
        if (conf_machine(conf, cli->operands[i]) == NULL)
            fprintf(stderr, "noria watch: %s has no machine %.64s; waiting for it\n", conf->file,
                    cli->operands[i]);
    struct watch_options options = {.runtime_dir = conf->runtime_dir,
                                    .machines = cli->operands,
                                    .machine_count = cli->operand_count,
                                    .json = cli->json,
                                    .out = stdout,
                                    .clock = clock_system()};
    code = watch_run(&options);
    conf_free(&conf);
    return code;
}

static int run_top(const struct cli *cli)
{
    int code;
    struct conf *conf = look_conf(cli, &code);
    if (conf == NULL)
        return code;
    code = top_run(conf->runtime_dir, STDIN_FILENO, STDOUT_FILENO);
    conf_free(&conf);
    return code;
}

static int run_rearm(const struct cli *cli)
{
    struct conf *conf;
    char socket[CONF_PATH_MAX];
    if (cli->operand_count == 0)
        return usage("which MACHINE?");
    if (look_conf_load(cli->options.file, cli->options.runtime_dir, stderr, &conf) != ERR_OK)
        return PROC_EXIT_FAILURE;
    conf_path(conf, "bus/broker.sock", socket);
    conf_free(&conf);
    struct rearm_request request = {.socket = socket,
                                    .machines = cli->operands,
                                    .machine_count = cli->operand_count,
                                    .timeout_ms = REARM_TIMEOUT_MS,
                                    .uid = getuid(),
                                    .out = stdout,
                                    .err = stderr};
    return rearm(&request);
}

/* With --runtime-dir FILE is not read: a launcher can be told while somebody edits it. False: *code is the exit code. */
static bool find_launcher(const struct cli *cli, char path[CONF_PATH_MAX], int *code)
{
    if (cli->options.runtime_dir != NULL) {
        snprintf(path, CONF_PATH_MAX, "%s/control.sock", cli->options.runtime_dir);
        return true;
    }
    *code = cli->options.file == NULL ? usage("-c FILE is missing") : PROC_EXIT_FAILURE;
    struct conf *conf = cli->options.file != NULL ? look_conf(cli, code) : NULL;
    if (conf == NULL)
        return false;
    conf_path(conf, "control.sock", path);
    conf_free(&conf);
    return true;
}

static int tell(const struct cli *cli, const char *word, const char *const *names, size_t count)
{
    int code;
    char path[CONF_PATH_MAX];
    if (!find_launcher(cli, path, &code))
        return code;
    const struct tell_request request = {path, word, names, count, stdout, stderr};
    return tell_launcher(&request);
}

static int run_restart(const struct cli *cli)
{
    return tell(cli, "restart", cli->operands, cli->operand_count);
}

static int run_drain(const struct cli *cli)
{
    return cli->operand_count == 1 ? tell(cli, "drain", cli->operands, 1) : usage("which worker?");
}

static int run_reload(const struct cli *cli)
{
    static const char *const dry_run[] = {"dry-run"};
    return tell(cli, "reload", dry_run, cli->dry_run ? 1 : 0);
}

static int run_backup(const struct cli *cli)
{
    struct conf *conf;
    if (cli->operand == NULL)
        return usage("which FILE is to be made?");
    if (conf_load(cli->options.file, tell_problem, NULL, &conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    int code = backup(conf, cli->operand, stdout, stderr);
    conf_free(&conf);
    return code;
}

static int run_check_config(const struct cli *cli)
{
    const char *file = cli->operand != NULL ? cli->operand : cli->options.file;
    if (file == NULL)
        return usage("which FILE?");
    if (cli->operand != NULL && cli->options.file != NULL)
        return usage("one FILE at a time");
    if (cli->options.runtime_dir != NULL)
        setenv("NORIA_RUNTIME_DIR", cli->options.runtime_dir, 1);
    return check_config(file, stdout, stderr);
}

static int show_one_profile(const char *name, const struct conf *conf)
{
    const struct profile *profile = conf != NULL ? conf_profile(conf, name) : profile_builtin(name);
    if (profile == NULL) {
        fprintf(stderr, "noria profile: there is no profile %s%s; these are known:\n", name,
                conf == NULL ? " (of your own: -c FILE)" : "");
        show_profiles(conf, stderr);
        return PROC_EXIT_FAILURE;
    }
    show_profile(profile, stdout);
    return 0;
}

static int run_profile(const struct cli *cli)
{
    struct conf *conf = NULL;
    int code = 0;
    if (cli->options.file != NULL && conf_load(cli->options.file, tell_problem, NULL, &conf) != ERR_OK)
        return PROC_EXIT_FAILURE;
    if (cli->operand != NULL)
        code = show_one_profile(cli->operand, conf);
    else
        show_profiles(conf, stdout);
    conf_free(&conf);
    return code;
}

static int run_hash_token(const struct cli *cli)
{
    return hash_token(cli->principal != NULL ? cli->principal : "NAME", cli->new_token ? NULL : stdin, stdout,
                      stderr);
}

static int run_hash_password(const struct cli *cli)
{
    (void)cli;
    return hash_password(stdin, stdout, stderr);
}

static int run_metrics_page(const struct cli *cli)
{
    (void)cli;
    metrics_page(stdout);
    return 0;
}

static int run_reference(const struct cli *cli)
{
    (void)cli;
    conf_reference(STDOUT_FILENO);
    return 0;
}

struct subcommand {
    const char *name;
    bool needs_file;
    int max_operands;
    int (*run)(const struct cli *cli);
};

static const struct subcommand subcommands[] = {
    {"up", true, 0, run_up},
    {"check-config", false, 1, run_check_config},
    {"profile", false, 1, run_profile},
    {"hash-token", false, 0, run_hash_token},
    {"hash-password", false, 0, run_hash_password},
    {"stats", true, 1, run_stats},
    {"status", true, 0, run_status},
    {"watch", true, INT_MAX, run_watch},
    {"top", true, 0, run_top},
    {"reference", false, 0, run_reference},
    {"metrics-page", false, 0, run_metrics_page},
    {"restart", false, INT_MAX, run_restart},
    {"drain", false, 1, run_drain},
    {"reload", false, 0, run_reload},
    {"backup", true, 1, run_backup},
    {"rearm", true, INT_MAX, run_rearm},
};

static int dispatch(int argc, char **argv, struct cli *cli)
{
    const char *name = optind < argc ? argv[optind] : "";
    cli->operand_count = optind + 1 < argc ? (size_t)(argc - optind - 1) : 0;
    cli->operands = (const char *const *)argv + optind + 1;
    cli->operand = cli->operand_count > 0 ? cli->operands[0] : NULL;
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        const struct subcommand *command = &subcommands[i];
        if (strcmp(command->name, name) != 0)
            continue;
        if (command->needs_file && cli->options.file == NULL)
            return usage("-c FILE is missing");
        if (cli->operand_count > (size_t)command->max_operands)
            return usage("too many arguments");
        return command->run(cli);
    }
    return usage(*name == '\0' ? "no command given" : "unknown command");
}

/* --- options ---------------------------------------------------------------------------------------------------- */

enum long_option_e {
    OPT_RUNTIME_DIR = 256,
    OPT_BIN_DIR,
    OPT_NEW,
    OPT_PRINCIPAL,
    OPT_JSON,
    OPT_DRY_RUN,
    OPT_EXPLAIN,
    OPT_HELP,
    OPT_VERSION
};

/* Returns -1 to go on, else the exit code. */
static int take_option(int opt, struct cli *cli)
{
    switch (opt) {
    case 'c':
        cli->options.file = optarg;
        return -1;
    case OPT_RUNTIME_DIR:
        cli->options.runtime_dir = optarg;
        return -1;
    case OPT_BIN_DIR:
        cli->options.bin_dir = optarg;
        return -1;
    case OPT_NEW:
        cli->new_token = true;
        return -1;
    case OPT_PRINCIPAL:
        cli->principal = optarg;
        return -1;
    case OPT_EXPLAIN:
        cli->explain = true;
        return -1;
    case OPT_DRY_RUN:
        cli->dry_run = true;
        return -1;
    case OPT_JSON:
        cli->json = true;
        return -1;
    case OPT_HELP:
        fputs(help, stdout);
        return 0;
    case OPT_VERSION:
        puts("noria " NORIA_VERSION);
        return 0;
    default:
        return usage("unknown option");
    }
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
        {"bin-dir", required_argument, NULL, OPT_BIN_DIR},
        {"new", no_argument, NULL, OPT_NEW},
        {"principal", required_argument, NULL, OPT_PRINCIPAL},
        {"json", no_argument, NULL, OPT_JSON},
        {"dry-run", no_argument, NULL, OPT_DRY_RUN},
        {"explain", no_argument, NULL, OPT_EXPLAIN},
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {NULL, 0, NULL, 0},
    };
    struct cli cli = {0};
    proc_boot_root();
    if (argc > 1 && containers_has(argv[1])) /* options of their own */
        return containers_main(argc - 1, argv + 1, stdout, stderr);
    if (argc > 1 && strcmp(argv[1], "audit") == 0) /* options of its own */
        return audit_main(argc - 1, argv + 1, clock_wall_ms(clock_system()), stdout, stderr);
    for (int opt; (opt = getopt_long(argc, argv, "c:", long_options, NULL)) != -1;) {
        int code = take_option(opt, &cli);
        if (code >= 0)
            return code;
    }
    return dispatch(argc, argv, &cli);
}
