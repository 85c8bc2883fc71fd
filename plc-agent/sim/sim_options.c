/* Options are checked one by one as they come, then once together; every problem names the option and what was
 * expected. Rejected: taking machine options beside -c, because two sources for one setting need a rule to remember. */
#include "sim_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "must.h"
#include "sim_command.h"
#include "sim_machine.h"
#include "sim_server.h"

#define LOG_MIB_DEFAULT 64
#define LOG_MIB_MAX     (1024 * 1024)

enum option_e {
    OPTION_CONF = 'c',
    OPTION_HELP = 'h',
    OPTION_VERSION = 'V',
    OPTION_PORT = 256,
    OPTION_MACHINES,
    OPTION_ADDRESS,
    OPTION_PREFIX,
    OPTION_PROFILE,
    OPTION_POSITIONS,
    OPTION_PACE,
    OPTION_SECOND,
    OPTION_UNLISTED,
    OPTION_LOG,
    OPTION_LOG_MAX,
    OPTION_CONTROL,
    OPTION_SCRIPT,
};

static const struct option long_options[] = {
    {"conf", required_argument, NULL, OPTION_CONF},
    {"port", required_argument, NULL, OPTION_PORT},
    {"machines", required_argument, NULL, OPTION_MACHINES},
    {"address", required_argument, NULL, OPTION_ADDRESS},
    {"id-prefix", required_argument, NULL, OPTION_PREFIX},
    {"profile", required_argument, NULL, OPTION_PROFILE},
    {"positions", required_argument, NULL, OPTION_POSITIONS},
    {"ms-per-position", required_argument, NULL, OPTION_PACE},
    {"second", required_argument, NULL, OPTION_SECOND},
    {"unlisted-bits", required_argument, NULL, OPTION_UNLISTED},
    {"log", required_argument, NULL, OPTION_LOG},
    {"log-max-mib", required_argument, NULL, OPTION_LOG_MAX},
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"script", required_argument, NULL, OPTION_SCRIPT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static const char help[] =
    "plc-sim: simulated carousel PLCs on TCP\n"
    "\n"
    "  plc-sim -c FILE [options]            the machines with `simulator: true` of a Noria configuration\n"
    "  plc-sim --port P [--machines N] …    N machines on consecutive ports from P\n"
    "\n"
    "Machines without -c:\n"
    "  --port P               first port (0: any free ones; the control command `list` tells)\n"
    "  --machines N           how many (1)\n"
    "  --address A            numeric address to listen on (127.0.0.1)\n"
    "  --id-prefix TEXT       ids are TEXT1, TEXT2, … (machine_)\n"
    "  --profile NAME         status byte: standard, delta-as (standard)\n"
    "  --positions N          2 to 256 (26)\n"
    "  --ms-per-position MS   0 to 3600000 (400)\n"
    "Always:\n"
    "  --second wait|refuse   a second client of a machine waits unaccepted, or is reset (wait)\n"
    "  --unlisted-bits HH     status bits that the profile does not list, in hex (d0)\n"
    "  --log FILE             log of every byte (with -c: RUNTIME_DIR/sim.log, else none)\n"
    "  --log-max-mib N        then it is renamed to FILE.1 (64)\n"
    "  --control PATH         control socket (with -c: RUNTIME_DIR/sim.sock, else none)\n"
    "  --script FILE          control commands on the clock: at MS COMMAND\n"
    "  --help, --version\n";

static bool wrong(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "plc-sim: %s: \"%s\" is not %s\n", option, value, expected);
    return false;
}

static bool number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    if (sim_number_parse(text, min, max, value))
        return true;
    char expected[80];
    snprintf(expected, sizeof expected, "a number from %llu to %llu", (unsigned long long)min,
             (unsigned long long)max);
    return wrong(option, text, expected);
}

static bool number32(const char *option, const char *text, uint32_t min, uint32_t max, uint32_t *value)
{
    uint64_t n;
    if (!number(option, text, min, max, &n))
        return false;
    *value = (uint32_t)n;
    return true;
}

static bool set_port(struct sim_options *options, const char *text)
{
    uint32_t port;
    if (!number32("--port", text, 0, 65535, &port))
        return false;
    options->port = (uint16_t)port;
    return true;
}

static bool set_prefix(struct sim_options *options, const char *text)
{
    size_t len = strlen(text);
    if (!machine_id_valid(text, len) || len > MACHINE_ID_MAX - 5)
        return wrong("--id-prefix", text, "1 to 59 of A-Z a-z 0-9 _ . : -");
    options->prefix = text;
    return true;
}

static bool set_profile(struct sim_options *options, const char *text)
{
    options->profile = profile_builtin(text);
    return options->profile != NULL || wrong("--profile", text, "a known profile");
}

static bool set_second(struct sim_options *options, const char *text)
{
    options->refuse_second = strcmp(text, "refuse") == 0;
    return options->refuse_second || strcmp(text, "wait") == 0 || wrong("--second", text, "wait or refuse");
}

static bool set_unlisted(struct sim_options *options, const char *text)
{
    unsigned byte;
    if (strlen(text) != 2 || strspn(text, "0123456789abcdefABCDEF") != 2 || sscanf(text, "%2x", &byte) != 1)
        return wrong("--unlisted-bits", text, "two hex digits");
    options->unlisted = (uint8_t)byte;
    return true;
}

static bool set_log_max(struct sim_options *options, const char *text)
{
    uint64_t mib;
    if (!number("--log-max-mib", text, 1, LOG_MIB_MAX, &mib))
        return false;
    options->log_max_bytes = mib << 20;
    return true;
}

static bool set_path(const char **path, const char *text)
{
    *path = text;
    return true;
}

static bool set_option(struct sim_options *options, int option, const char *text)
{
    switch (option) {
    case OPTION_CONF:
        return set_path(&options->conf_file, text);
    case OPTION_PORT:
        return set_port(options, text);
    case OPTION_MACHINES:
        return number32("--machines", text, 1, SIM_PLCS_MAX, &options->machines);
    case OPTION_ADDRESS:
        return set_path(&options->address, text);
    case OPTION_PREFIX:
        return set_prefix(options, text);
    case OPTION_PROFILE:
        return set_profile(options, text);
    case OPTION_POSITIONS:
        return number32("--positions", text, SIM_POSITIONS_MIN, SIM_POSITIONS_MAX, &options->positions);
    case OPTION_PACE:
        return number32("--ms-per-position", text, 0, SIM_PACE_MAX_MS, &options->pace_ms);
    case OPTION_SECOND:
        return set_second(options, text);
    case OPTION_UNLISTED:
        return set_unlisted(options, text);
    case OPTION_LOG:
        return set_path(&options->log_path, text);
    case OPTION_LOG_MAX:
        return set_log_max(options, text);
    case OPTION_CONTROL:
        return set_path(&options->control_path, text);
    case OPTION_SCRIPT:
        return set_path(&options->script_path, text);
    default:
        return false; /* getopt_long() has said why */
    }
}

static bool is_about_machines(int option)
{
    return option >= OPTION_PORT && option <= OPTION_PACE;
}

static enum sim_options_e complain(const char *text)
{
    fprintf(stderr, "plc-sim: %s (plc-sim --help)\n", text);
    return SIM_OPTIONS_WRONG;
}

static enum sim_options_e check(const struct sim_options *options, bool port_given, bool machines_given)
{
    if (options->conf_file != NULL && machines_given)
        return complain("with -c the machines come from the configuration");
    if (options->conf_file == NULL && !port_given)
        return complain("-c FILE or --port P is needed");
    if (options->port != 0 && options->port + options->machines - 1 > 65535)
        return complain("the last machine's port would be above 65535");
    return SIM_OPTIONS_RUN;
}

enum sim_options_e sim_options_parse(int argc, char **argv, struct sim_options *options)
{
    *options = (struct sim_options){.address = "127.0.0.1",
                                    .machines = 1,
                                    .prefix = "machine_",
                                    .profile = profile_builtin("standard"),
                                    .positions = 26,
                                    .pace_ms = 400,
                                    .unlisted = SIM_UNLISTED_DEFAULT,
                                    .log_max_bytes = (uint64_t)LOG_MIB_DEFAULT << 20};
    bool port_given = false, machines_given = false;
    optind = 0; /* glibc: begin anew */
    int option;
    while ((option = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1) {
        if (option == OPTION_HELP || option == OPTION_VERSION) {
            fputs(option == OPTION_HELP ? help : "plc-sim " NORIA_VERSION "\n", stdout);
            return SIM_OPTIONS_DONE;
        }
        if (!set_option(options, option, optarg))
            return SIM_OPTIONS_WRONG;
        port_given |= option == OPTION_PORT;
        machines_given |= is_about_machines(option);
    }
    if (optind < argc)
        return complain("only options are expected");
    return check(options, port_given, machines_given);
}
