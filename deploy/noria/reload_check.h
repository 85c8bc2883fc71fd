/* reload_check.h — the first two steps of a reload: is the file fine, and can what is different be taken over? Private to reload.c. */
#pragma once

#include "reload.h"

struct reload_check {
    const char *file;
    const struct conf *now;
    bool dry_run;        /* makes no key */
    reload_line_f *tell; /* each line: problems, warnings, changes */
    void *arg;
    struct conf *next;                /* ERR_OK: what may come into force; the caller's */
    char problem[RELOAD_PROBLEM_MAX]; /* else: why not */
};

/* ERR_OK; ERR_CONFIG: check->problem. Blocks on the disk. */
enum err_e reload_check(struct reload_check *check);
