/* reload_check.c — see reload_check.h. The same steps as before a start, plus the comparison. */
#include "reload_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check_schemas.h"
#include "keyring.h"
#include "log.h"

struct telling {
    struct reload_check *check;
    size_t told, lost;
    size_t refused;
    char first[CONF_CHANGE_MAX]; /* key that takes a restart */
};

__attribute__((format(printf, 2, 3))) static void tell(struct telling *telling, const char *fmt, ...)
{
    char line[RELOAD_PROBLEM_MAX];
    va_list args;
    if (telling->told == RELOAD_LINES_MAX) {
        telling->lost++;
        return;
    }
    telling->told++;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    telling->check->tell(telling->check->arg, line);
}

static void tell_rest(struct telling *telling)
{
    char line[64];
    snprintf(line, sizeof line, "and %zu more", telling->lost);
    if (telling->lost > 0)
        telling->check->tell(telling->check->arg, line);
}

static void on_problem(void *arg, const char *text)
{
    tell(arg, "%s", text);
}

static bool keys_are_fine(struct reload_check *check, struct telling *telling)
{
    struct keyring *keyring;
    enum err_e err = keyring_load(check->next, !check->dry_run, on_problem, telling, &keyring);
    keyring_free(&keyring);
    return err == ERR_OK;
}

static enum err_e failed(struct reload_check *check, const char *problem)
{
    conf_free(&check->next);
    snprintf(check->problem, sizeof check->problem, "%s", problem);
    return ERR_CONFIG;
}

static enum err_e load(struct reload_check *check)
{
    struct telling telling = {.check = check};
    char problem[RELOAD_PROBLEM_MAX] = "";
    enum err_e err = conf_load(check->file, on_problem, &telling, &check->next);
    if (err != ERR_OK)
        snprintf(problem, sizeof problem, "%.500s: %s; nothing has changed", check->file, err_text(err));
    else if (!check_schemas(check->next, on_problem, &telling))
        snprintf(problem, sizeof problem, "%.500s: a schema or a key cannot be used; nothing has changed",
                 check->file);
    else if (!keys_are_fine(check, &telling))
        snprintf(problem, sizeof problem, "%.500s: a key of auth.keys cannot be used; nothing has changed",
                 check->file);
    for (size_t i = 0; problem[0] == '\0' && i < check->next->warning_count; i++)
        tell(&telling, "warning: %s", check->next->warnings[i]);
    tell_rest(&telling);
    return problem[0] == '\0' ? ERR_OK : failed(check, problem);
}

static void on_change(void *arg, const struct conf_change *change)
{
    struct telling *telling = arg;
    char text[CONF_CHANGE_MAX];
    conf_change_text(change, text);
    if (!change->reloadable && telling->refused++ == 0)
        snprintf(telling->first, sizeof telling->first, "%s", change->key);
    tell(telling, "%s", text);
}

static enum err_e compare(struct reload_check *check)
{
    struct telling telling = {.check = check};
    char problem[RELOAD_PROBLEM_MAX], more[48] = "";
    size_t refused = conf_changes(check->now, check->next, on_change, &telling);
    tell_rest(&telling);
    if (telling.told == 0)
        tell(&telling, "no key has another value");
    if (refused == 0)
        return ERR_OK;
    snprintf(more, sizeof more, " and %zu more", refused - 1);
    snprintf(problem, sizeof problem, "%.500s%s: takes a restart; nothing has changed", telling.first,
             refused > 1 ? more : "");
    return failed(check, problem);
}

enum err_e reload_check(struct reload_check *check)
{
    enum err_e err = load(check);
    return err == ERR_OK ? compare(check) : err;
}
