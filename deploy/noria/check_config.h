/* check_config.h — `noria check-config`: is a configuration fine, and what does it amount to on this host? */
#pragma once

#include <stdio.h>

#include "conf.h"

/* Loads `file`. Prints every problem ("FILE:LINE: KEY: what was found, what was expected") to `err`; without one, a
 * summary with warnings to `out`. Returns the exit code: 0 fine (warnings included), 1 problems. */
int check_config(const char *file, FILE *out, FILE *err);
