/* up.h — `noria up`: one host's installation, started, watched and stopped by one process. */
#pragma once

#include <stdint.h>

struct up_options {
    const char *file;        /* -c */
    const char *bin_dir;     /* where the programs are; NULL: beside this one */
    const char *runtime_dir; /* overrides the file's; NULL: as it says */
};

/* Runs until SIGINT or SIGTERM, until its terminal goes away, or until nothing is left to serve; SIGHUP reloads (up_orders.h). Returns the
 * exit code. */
int up_run(const struct up_options *options);
