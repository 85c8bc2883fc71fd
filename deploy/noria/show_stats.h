/* show_stats.h — `noria stats`: every counter of every shared segment of a running installation. */
#pragma once

#include "conf.h"

/* `explain`: each metric's meaning stands behind its value (metric_texts.h). Prints a line "SEGMENT METRIC VALUE" per counter and gauge, "SEGMENT METRIC count N p50_us N p99_us N" per histogram, and
 * "SEGMENT pid N", "SEGMENT incarnation N", to `fd`; only lines that begin with `prefix` (NULL: all). ERR_NOT_FOUND: there
 * is no segment; ERR_MALFORMED, ERR_VERSION: a segment could not be read (said on standard error; the others are shown). */
enum err_e show_stats(const struct conf *conf, const char *prefix, bool explain, int fd);
