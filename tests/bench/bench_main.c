/* bench_main.c — noria-bench: the command line, and one scenario per run (README.md lists scenarios and options). */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "stream_text.h"

static const struct {
    const char *name;
    void (*run)(struct bench *bench);
    const char *text;
} scenarios[] = {
    {"fanout", scenario_fanout, "deliveries per worker CPU-second beside the bare sender; gaps, latency"},
    {"streams", scenario_streams, "one sender, one stream: as fanout, and CPU per message on its way to it"},
    {"latency", scenario_latency, "PLC answer to the first and last client, idle system"},
    {"command", scenario_command, "command round trips, simulator answering at once"},
    {"idle", scenario_idle, "memory per idle connection, CPU with pings"},
    {"handshake", scenario_handshake, "new connections per second; all clients reconnecting at once"},
    {"slow", scenario_slow, "a share of the clients never reads: latency of the others, memory"},
    {"sets", scenario_sets,
     "every client another random set of machines: memory, cost per delivery, resuming"},
    {"machines", scenario_machines, "many agents polling: CPU in all, memory each"},
    {"poll_lag", scenario_poll_lag, "one bad PLC of twenty: when the others are polled"},
    {"endpoints", scenario_endpoints,
     "validated round trips beside a bare echo: in-process, handler processes"},
    {"isolation", scenario_isolation,
     "one handler misbehaves: another endpoint's round trips, machines' states"},
    {"restart", scenario_restart,
     "all workers restarted, or killed, under their clients: how long anybody was away"},
    {"reload", scenario_reload,
     "a machine more and less while the states of many flow: the pause that clients see"},
    {"scrape", scenario_scrape, "/metrics with a thousand machines: bytes, CPU, the others' latency"},
    {"store", scenario_store, "durable REST writes beside SQLite alone; write to event"},
    {"selftest", scenario_selftest, "generator and bare sender alone: what the bench itself can do"},
};

static const char help[] =
    "noria-bench: load generator, bare sender and scenarios\n"
    "\n"
    "  noria-bench [SCENARIO] [options]      all scenarios if none is named\n"
    "\n"
    "  --duration MS     of each measured phase\n"
    "  --clients N       connections\n"
    "  --rate N          messages per second; 0: as fast as the clients receive\n"
    "  --window N        messages on their way with --rate 0 (256; streams: at any rate, 128 KiB;\n"
    "                    endpoints: of each client, up to 16, with --clients)\n"
    "  --bytes N         of a stream message (streams; 64 to 4096, 150)\n"
    "  --payload NAME    small, standard or large (standard)\n"
    "  --machines N      machines of the configuration\n"
    "  --workers N       worker processes\n"
    "  --pairs N         interleaved pairs of system and bare sender; medians are reported\n"
    "  --never-read N    clients that do not read (slow)\n"
    "  --samples N       changes or commands (latency, command)\n"
    "  --only WORD       of a scenario, the part whose name begins so (endpoints: small, nested; isolation: "
    "spins …; store: single, bulk, latency)\n"
    "  --smoke           few clients, short phases: does it work at all?\n"
    "  --no-pin          do not pin the worker to core 0 and everything else to core 1\n"
    "  --csv FILE        append figures: scenario,case,metric,value,unit\n"
    "  --bin-dir DIR     programs under test (where noria-bench is)\n"
    "  --keep            leave the runtime directory with configuration and logs\n"
    "  --help, --version\n"
    "\n"
    "scenarios:\n";

enum option_e {
    OPT_CSV = 1,
    OPT_BIN,
    OPT_SMOKE,
    OPT_NO_PIN,
    OPT_KEEP,
    OPT_ONLY,
    OPT_PAYLOAD,
    OPT_HELP,
    OPT_VERSION,
    OPT_NUMBERS
};

struct number_option {
    const char *name;
    size_t offset;
    uint32_t max;
};

#define NUMBER(name, member, max)                                                                            \
    {                                                                                                        \
        name, offsetof(struct bench_options, member), max                                                    \
    }
static const struct number_option numbers[] = {
    NUMBER("duration", duration_ms, 3600000),
    NUMBER("clients", clients, FLEET_MAX *GEN_CLIENTS_MAX),
    NUMBER("rate", rate, 10000000),
    NUMBER("window", window, 65536),
    NUMBER("bytes", bytes, STREAM_TEXT_MAX),
    NUMBER("machines", machines, 4096),
    NUMBER("workers", workers, RIG_WORKERS_MAX),
    NUMBER("pairs", pairs, 100),
    NUMBER("never-read", never_read, GEN_CLIENTS_MAX),
    NUMBER("samples", samples, 4000),
};

static void usage(FILE *file)
{
    fputs(help, file);
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        fprintf(file, "  %-10s %s\n", scenarios[i].name, scenarios[i].text);
}

static bool set_number(struct bench_options *options, size_t index, const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > numbers[index].max) {
        fprintf(stderr, "noria-bench: --%s: \"%s\" is not a number up to %u\n", numbers[index].name, text,
                numbers[index].max);
        return false;
    }
    uint32_t number = (uint32_t)value;
    memcpy((char *)options + numbers[index].offset, &number, sizeof number);
    if (options->bytes != 0 && options->bytes < STREAM_TEXT_MIN)
        options->bytes = STREAM_TEXT_MIN;
    options->rate_given =
        options->rate_given || numbers[index].offset == offsetof(struct bench_options, rate);
    return true;
}

static bool set_option(struct bench_options *options, int option, const char *text)
{
    switch (option) {
    case OPT_CSV:
        options->csv = text;
        return true;
    case OPT_BIN:
        snprintf(options->bin_dir, sizeof options->bin_dir, "%s", text);
        return true;
    case OPT_ONLY:
        options->only = text;
        return true;
    case OPT_SMOKE:
        return options->smoke = true;
    case OPT_NO_PIN:
        options->pin = false;
        return true;
    case OPT_KEEP:
        return options->keep = true;
    case OPT_PAYLOAD:
        options->payload = payload_find(text);
        if (options->payload == NULL)
            fprintf(stderr, "noria-bench: --payload: \"%s\" is not small, standard or large\n", text);
        return options->payload != NULL;
    default:
        return option >= OPT_NUMBERS && set_number(options, (size_t)(option - OPT_NUMBERS), text);
    }
}

static size_t long_options(struct option *out)
{
    static const struct option fixed[] = {
        {"csv", required_argument, NULL, OPT_CSV},   {"bin-dir", required_argument, NULL, OPT_BIN},
        {"smoke", no_argument, NULL, OPT_SMOKE},     {"no-pin", no_argument, NULL, OPT_NO_PIN},
        {"keep", no_argument, NULL, OPT_KEEP},       {"payload", required_argument, NULL, OPT_PAYLOAD},
        {"only", required_argument, NULL, OPT_ONLY}, {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION}};
    memcpy(out, fixed, sizeof fixed);
    size_t n = ARRAY_LEN(fixed);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        out[n++] = (struct option){numbers[i].name, required_argument, NULL, OPT_NUMBERS + (int)i};
    out[n] = (struct option){0};
    return n;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct bench_options *options)
{
    struct option table[32];
    long_options(table);
    for (int option; (option = getopt_long(argc, argv, "hV", table, NULL)) != -1;) {
        if (option == OPT_HELP || option == 'h') {
            usage(stdout);
            return 0;
        }
        if (option == OPT_VERSION || option == 'V') {
            puts("noria-bench " NORIA_VERSION);
            return 0;
        }
        if (!set_option(options, option, optarg))
            return PROC_EXIT_USAGE;
    }
    if (optind >= argc - 1)
        return -1;
    usage(stderr);
    return PROC_EXIT_USAGE;
}

static bool default_bin_dir(char *dir, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", dir, cap - 1);
    if (n <= 0)
        return false;
    dir[n] = '\0';
    *strrchr(dir, '/') = '\0';
    return true;
}

static bool run(struct bench *bench, size_t index)
{
    if (!report_open(&bench->report, scenarios[index].name, bench->options.csv)) {
        fprintf(stderr, "noria-bench: cannot write %s\n", bench->options.csv);
        bench->report.failed = 1;
        return false;
    }
    printf("%s\n", scenarios[index].name);
    fflush(stdout);
    scenarios[index].run(bench);
    return report_close(&bench->report);
}

static int run_all(struct bench *bench)
{
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        run(bench, i);
        passed += bench->report.passed;
        failed += bench->report.failed;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : PROC_EXIT_FAILURE;
}

static int run_named(struct bench *bench, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return run(bench, i) ? 0 : PROC_EXIT_FAILURE;
    fprintf(stderr, "noria-bench: \"%s\" is no scenario\n", name);
    return PROC_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct bench bench = {.options = {.pin = true, .payload = payload_find("standard")}};
    proc_boot_root();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    log_init("bench", LOG_INFO);
    bench.options.pin = sysconf(_SC_NPROCESSORS_ONLN) >= 2;
    if (!default_bin_dir(bench.options.bin_dir, sizeof bench.options.bin_dir))
        return PROC_EXIT_FAILURE;
    int code = parse(argc, argv, &bench.options);
    if (code >= 0)
        return code;
    return optind < argc ? run_named(&bench, argv[optind]) : run_all(&bench);
}
