/* show_status.h — `noria status`: every process and every machine of an installation, once.
 *
 * Reads shm/ only (sight.h): it works without the launcher, and while processes hang. Numbers of starts and deaths are the launcher's, and
 * stand as "-" without one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "errcode.h"

/* Writes the tables, or one JSON object, to `out`. *all_up: every process serves, and there is a broker and a worker among them. A machine
 * whose PLC is away does not count: that is no process. ERR_NOT_FOUND: nothing runs there. */
enum err_e show_status(const char *runtime_dir, uint64_t wall_ms, bool json, FILE *out, bool *all_up);
