/* check_schemas.h — can the endpoints' schemas be read, and do they compile? Asked by `noria check-config` and before `noria up` starts anything; a
 * worker that loads them finds the same faults, in the same words (schema_file.h). */
#pragma once

#include <stdbool.h>

#include "conf.h"

/* Each file once, however many endpoints name it. `report` receives a line for each that is broken. False: one is, or there
 * was no memory (reported, too). Blocks on the disk. */
bool check_schemas(const struct conf *conf, conf_report_f *report, void *arg);
