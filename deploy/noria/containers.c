/* See containers.h. Options of their own, as `noria audit` has. */
#include "containers.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "compose.h"
#include "compose_text.h"
#include "errcode.h"
#include "front.h"
#include "front_hold.h"
#include "health.h"
#include "log.h"
#include "proc.h"

#define WORKERS_MAX 1024

static const char help[] =
    "usage: noria compose -c FILE [--workers N] [--image NAME] [--conf-dir DIR]\n"
    "       noria front\n"
    "       noria health [ROLE|MACHINE]\n"
    "\n"
    "compose       writes the Compose file of the installation that FILE describes to standard output.\n"
    "front         in a container: makes the workers' sockets in its network, until SIGTERM.\n"
    "health        in a container: is its process 1 well? ROLE: broker, store, worker, front, plc-sim, "
    "launcher.\n"
    "\n"
    "      --workers N     how many workers, instead of workers.count\n"
    "      --image NAME    the image, instead of noria\n"
    "      --conf-dir DIR  how the Compose file is to name FILE's directory, instead of by its absolute "
    "path\n"
    "\n"
    "Exit codes: 0 as asked, 1 not well, or not to be had in containers, 2 usage, 78 configuration.\n";

bool containers_has(const char *name)
{
    return strcmp(name, "compose") == 0 || strcmp(name, "front") == 0 || strcmp(name, "health") == 0;
}

struct cli {
    const char *name, *file, *operand;
    struct compose_options compose;
    FILE *out, *err;
};

static int usage(const struct cli *cli, const char *what)
{
    fprintf(cli->err, "noria %s: %s; see noria %s --help\n", cli->name, what, cli->name);
    return PROC_EXIT_USAGE;
}

static void tell_problem(void *arg, const char *text)
{
    const struct cli *cli = arg;
    fprintf(cli->err, "%s\n", text);
}

static int run_compose(struct cli *cli)
{
    struct conf *conf;
    if (cli->file == NULL || cli->operand != NULL)
        return usage(cli, "expected -c FILE");
    if (conf_load(cli->file, tell_problem, cli, &conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    int code = PROC_EXIT_FAILURE;
    cli->compose.made_from = cli->file;
    if (compose_problems(conf, cli->err) == 0) {
        compose_write(conf, &cli->compose, cli->out);
        code = fflush(cli->out) == 0 && !ferror(cli->out) ? 0 : PROC_EXIT_FAILURE;
    }
    conf_free(&conf);
    return code;
}

static const char *runtime_dir(void)
{
    const char *directory = getenv("NORIA_RUNTIME_DIR");
    return directory != NULL ? directory : COMPOSE_RUNTIME;
}

static int run_front(const struct cli *cli)
{
    if (cli->file != NULL || cli->operand != NULL)
        return usage(cli, "it takes nothing");
    char path[4200];
    snprintf(path, sizeof path, "%s/" FRONT_SOCKET, runtime_dir());
    log_init("noria-front", LOG_INFO);
    return front_hold(path) == ERR_OK ? 0 : PROC_EXIT_FAILURE;
}

static int run_health(const struct cli *cli)
{
    if (cli->file != NULL)
        return usage(cli, "it needs no configuration");
    struct health_request request = {.what = cli->operand,
                                     .process = "/proc/1",
                                     .runtime_dir = runtime_dir(),
                                     .clock = clock_system(),
                                     .turn_ms = HEALTH_TURN_MS,
                                     .out = cli->out,
                                     .err = cli->err};
    return health(&request);
}

enum { OPT_WORKERS = 256, OPT_IMAGE, OPT_CONF_DIR, OPT_HELP };

static bool workers_of(const char *text, uint32_t *workers)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *workers = (uint32_t)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value >= 1 && value <= WORKERS_MAX;
}

/* Returns -1 to go on, else the exit code. */
static int take_option(struct cli *cli, int opt)
{
    switch (opt) {
    case 'c':
        cli->file = optarg;
        return -1;
    case OPT_WORKERS:
        return workers_of(optarg, &cli->compose.workers) ? -1 : usage(cli, "--workers: 1 to 1024");
    case OPT_IMAGE:
        cli->compose.image = optarg;
        return -1;
    case OPT_CONF_DIR:
        cli->compose.conf_dir = optarg;
        return -1;
    case OPT_HELP:
        fputs(help, cli->out);
        return 0;
    default:
        return usage(cli, "unknown option");
    }
}

int containers_main(int argc, char **argv, FILE *out, FILE *err)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},      {"workers", required_argument, NULL, OPT_WORKERS},
        {"image", required_argument, NULL, OPT_IMAGE}, {"conf-dir", required_argument, NULL, OPT_CONF_DIR},
        {"help", no_argument, NULL, OPT_HELP},         {NULL, 0, NULL, 0},
    };
    struct cli cli = {.name = argv[0], .compose = {.image = "noria"}, .out = out, .err = err};
    for (int opt; (opt = getopt_long(argc, argv, "c:", long_options, NULL)) != -1;) {
        int code = take_option(&cli, opt);
        if (code >= 0)
            return code;
    }
    if (optind + 1 < argc)
        return usage(&cli, "too many arguments");
    cli.operand = optind < argc ? argv[optind] : NULL;
    if (strcmp(cli.name, "compose") == 0)
        return run_compose(&cli);
    return strcmp(cli.name, "front") == 0 ? run_front(&cli) : run_health(&cli);
}
