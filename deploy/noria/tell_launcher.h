/* tell_launcher.h — `noria restart`, `noria drain`, `noria reload`: a request on control.sock (launch_control.h), and its answer shown. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct tell_request {
    const char *socket; /* RUNTIME_DIR/control.sock */
    const char *word;   /* "restart" */
    const char *const *names;
    size_t name_count;
    FILE *out, *err; /* what the launcher says line by line, what went wrong */
};

/* Waits as long as the launcher works on it. Names that have no room in one request go in several, one after the other, until one fails.
 * Returns 0: ok; PROC_EXIT_FAILURE: it says error, or ended meanwhile, or there is none; PROC_EXIT_USAGE: a name that cannot be one. */
int tell_launcher(const struct tell_request *request);
