/* sim_options.h — the command line of plc-sim as checked settings. README.md lists the options; so does --help. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"
#include "profile.h"

struct sim_options {
    const char *conf_file; /* NULL: machines from the options below */
    const char *address;
    uint16_t port;
    uint32_t machines;
    const char *prefix; /* machine k has id PREFIXk, from 1 */
    const struct profile *profile;
    uint32_t positions, pace_ms;
    bool refuse_second;
    uint8_t unlisted;
    const char *log_path; /* NULL: the default of the configuration, or none */
    uint64_t log_max_bytes;
    const char *control_path; /* likewise */
    const char *script_path;  /* NULL: none */
};

enum sim_options_e {
    SIM_OPTIONS_RUN,
    SIM_OPTIONS_DONE,  /* --help or --version was printed */
    SIM_OPTIONS_WRONG, /* the problem was printed on standard error */
};

/* Strings stay argv's. */
enum sim_options_e sim_options_parse(int argc, char **argv, struct sim_options *options);
