/* conf_problem.c — wording and bounding of configuration errors (conf_problem.h). */
#include "conf_problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "conf.h"
#include "log.h"

static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static void tell(const struct conf_problems *problems, const char *text)
{
    if (problems->report != NULL)
        problems->report(problems->arg, text);
}

void conf_problem_text(const char *file, uint32_t line, const char *path, const char *what,
                       char out[CONF_TOLD_MAX])
{
    char place[16] = "";
    if (line > 0)
        snprintf(place, sizeof place, ":%u", line);
    snprintf(out, CONF_TOLD_MAX, "%.400s%s: %s%s%s", file, place, path, *path != '\0' ? ": " : "", what);
    make_printable(out);
}

void conf_problem(struct conf_problems *problems, uint32_t line, const char *path, const char *fmt, ...)
{
    if (++problems->count > CONF_PROBLEMS_MAX)
        return;
    char what[CONF_WHAT_MAX], text[CONF_TOLD_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    conf_problem_text(problems->file, line, path, what, text);
    tell(problems, text);
}

enum err_e conf_problems_end(struct conf_problems *problems)
{
    if (problems->count > CONF_PROBLEMS_MAX) {
        char text[600];
        snprintf(text, sizeof text, "%.400s: and %zu more problems", problems->file,
                 problems->count - CONF_PROBLEMS_MAX);
        make_printable(text);
        tell(problems, text);
    }
    return problems->count > 0 ? ERR_CONFIG : ERR_OK;
}

void conf_log_problem(void *arg, const char *text)
{
    (void)arg;
    log_error("config", "error=\"%s\"", text);
}
