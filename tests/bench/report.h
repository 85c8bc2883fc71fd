/* report.h — results: lines for people on standard output, rows for tables in a CSV file, and checks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct report {
    const char *scenario;
    FILE *csv; /* NULL: none; rows: scenario,case,metric,value,unit */
    unsigned passed, failed;
};

/* Appends to `csv_path` (a new file gets a line of headings); NULL: no file. False: it cannot be opened. */
bool report_open(struct report *report, const char *scenario, const char *csv_path);
/* Prints "N passed, N failed"; true if nothing failed. */
bool report_close(struct report *report);

/* One figure. `name` is the case ("1000 clients, 5000/s"); no commas or quotes go into the CSV. */
void report_value(struct report *report, const char *name, const char *metric, double value,
                  const char *unit);

/* A condition that a run must meet whatever the machine's speed. */
__attribute__((format(printf, 3, 4))) void report_check(struct report *report, bool ok, const char *fmt, ...);
