/* noria_main.c — the program `noria`: its subcommands and their options. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "must.h"
#include "proc.h"
#include "show_stats.h"
#include "up.h"

static const char help[] =
    "usage: noria up -c FILE [--runtime-dir DIR]\n"
    "       noria stats -c FILE [--runtime-dir DIR] [PREFIX]\n"
    "       noria reference\n"
    "\n"
    "up         starts the installation that FILE describes and keeps it running: simulators, broker,\n"
    "           an agent per machine, workers. Prints what to connect to and `noria: ready`. Ctrl-C stops\n"
    "           it and leaves nothing behind; a second Ctrl-C kills.\n"
    "stats      prints every counter of every process that runs, one a line; only those whose line begins\n"
    "           with PREFIX (\"worker.0\", \"broker commands\").\n"
    "reference  prints every key of the configuration file with bounds and default, as Markdown.\n"
    "\n"
    "  -c, --config FILE      the configuration (YAML)\n"
    "      --runtime-dir DIR  where sockets and shared memory are, instead of the file's runtime_dir\n"
    "                         (also: environment NORIA_RUNTIME_DIR)\n"
    "      --bin-dir DIR      where the other programs are, instead of beside this one\n"
    "      --help, --version\n"
    "\n"
    "Exit codes of up: 0 stopped by a signal, 1 cannot start now, 2 usage, 78 starting again would not help\n"
    "(configuration, or a process said so).\n";

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

static int run_stats(const struct up_options *options, const char *prefix)
{
    struct conf *conf;
    if (options->runtime_dir != NULL)
        setenv("NORIA_RUNTIME_DIR", options->runtime_dir, 1);
    enum err_e err = conf_load(options->file, tell_problem, NULL, &conf);
    if (err != ERR_OK) {
        fprintf(stderr, "noria stats: %s: %s\n", options->file, err_text(err));
        return PROC_EXIT_PERMANENT;
    }
    err = show_stats(conf, prefix, dup(STDOUT_FILENO));
    if (err == ERR_NOT_FOUND)
        fprintf(stderr, "noria stats: nothing runs in %s (no segments in its shm directory)\n",
                conf->runtime_dir);
    else if (err != ERR_OK)
        fprintf(stderr, "noria stats: %s\n", err_text(err));
    conf_free(&conf);
    return err == ERR_OK ? 0 : PROC_EXIT_FAILURE;
}

enum long_option_e { OPT_RUNTIME_DIR = 256, OPT_BIN_DIR, OPT_HELP, OPT_VERSION };

/* Returns -1 to go on, else the exit code. */
static int parse(int argc, char **argv, struct up_options *options)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
        {"bin-dir", required_argument, NULL, OPT_BIN_DIR},
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {NULL, 0, NULL, 0},
    };
    for (int opt; (opt = getopt_long(argc, argv, "c:", long_options, NULL)) != -1;) {
        switch (opt) {
        case 'c':
            options->file = optarg;
            break;
        case OPT_RUNTIME_DIR:
            options->runtime_dir = optarg;
            break;
        case OPT_BIN_DIR:
            options->bin_dir = optarg;
            break;
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
    return -1;
}

int main(int argc, char **argv)
{
    struct up_options options = {0};
    proc_boot_root();
    int code = parse(argc, argv, &options);
    if (code >= 0)
        return code;
    const char *command = optind < argc ? argv[optind] : "";
    const char *operand = optind + 1 < argc ? argv[optind + 1] : NULL;
    bool up = strcmp(command, "up") == 0, stats = strcmp(command, "stats") == 0;
    if (strcmp(command, "reference") == 0) {
        conf_reference(STDOUT_FILENO);
        return 0;
    }
    if (!up && !stats)
        return usage(*command == '\0' ? "no command given" : "unknown command");
    if (options.file == NULL)
        return usage("-c FILE is missing");
    if ((up && operand != NULL) || argc - optind > 2)
        return usage("too many arguments");
    return up ? up_run(&options) : run_stats(&options, operand);
}
