/* conf_problem.h — collects what is wrong with a configuration, in the form "FILE:LINE: KEY: TEXT".
 *
 * All problems are counted; only the first CONF_PROBLEMS_MAX are told, so that a hostile file cannot make a flood of
 * text. Bytes that are not printable ASCII or UTF-8 continuation are shown as '?': texts end in logs and terminals.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf.h"

#define CONF_PROBLEMS_MAX 50
#define CONF_KEY_PATH_MAX 160
#define CONF_WHAT_MAX     400 /* the text behind file, line and path */

struct conf_problems {
    const char *file; /* the one that is being read or checked */
    conf_report_f *report;
    void *arg;
    size_t count;
};

/* line 0: not known, or not in the file; path "" : the file as a whole. */
__attribute__((format(printf, 4, 5))) void conf_problem(struct conf_problems *problems, uint32_t line,
                                                        const char *path, const char *fmt, ...);

/* The same into `out`, for warnings. */
#define CONF_TOLD_MAX 1024
void conf_problem_text(const char *file, uint32_t line, const char *path, const char *what,
                       char out[CONF_TOLD_MAX]);

/* Says how many problems were not told. ERR_CONFIG if there were any, else ERR_OK. */
enum err_e conf_problems_end(struct conf_problems *problems);
