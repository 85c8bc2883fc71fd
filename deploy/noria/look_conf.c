/* look_conf.c — see look_conf.h. The line `runtime_dir:` of a broken file is read as plain text: it only says where to look, and what is found there is
 * checked as any configuration is. */
#include "look_conf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USUAL_DIR "/run/noria"

static void note_problem(void *arg, const char *text)
{
    fprintf(arg, "%s\n", text);
}

static void ignore_problem(void *arg, const char *text)
{
    (void)arg, (void)text;
}

/* Between blanks, or between quotes; cut at a comment. */
static void cut_value(char *text, char dir[CONF_PATH_MAX])
{
    text += strspn(text, " \t");
    bool quoted = *text == '"' || *text == '\'';
    text[strcspn(text + quoted, quoted ? "\"'\n" : " \t#\n") + quoted] = '\0';
    snprintf(dir, CONF_PATH_MAX, "%s", text + quoted);
}

/* False: no line says it. */
static bool read_line(const char *file, char dir[CONF_PATH_MAX])
{
    static const char key[] = "runtime_dir:";
    char line[1024];
    bool found = false;
    FILE *in = fopen(file, "re");
    while (in != NULL && !found && fgets(line, sizeof line, in) != NULL)
        found = strncmp(line, key, sizeof key - 1) == 0;
    if (in != NULL)
        fclose(in);
    if (found)
        cut_value(line + sizeof key - 1, dir);
    return found;
}

static void find_dir(const char *file, char dir[CONF_PATH_MAX])
{
    const char *variable = getenv("NORIA_RUNTIME_DIR");
    if (variable != NULL)
        snprintf(dir, CONF_PATH_MAX, "%s", variable);
    else if (!read_line(file, dir))
        snprintf(dir, CONF_PATH_MAX, "%s", USUAL_DIR);
}

static enum err_e load_in_force(const char *file, FILE *err, struct conf **conf)
{
    char dir[CONF_PATH_MAX], copy[CONF_PATH_MAX + 32], config[CONF_PATH_MAX + 40];
    find_dir(file, dir);
    snprintf(copy, sizeof copy, "%s/" CONF_COPY_CURRENT, dir);
    snprintf(config, sizeof config, "%s/config", copy);
    if (access(config, R_OK) != 0)
        return ERR_CONFIG;
    setenv(CONF_COPY_VARIABLE, copy, 1);
    enum err_e got = conf_load(file, ignore_problem, NULL, conf);
    unsetenv(CONF_COPY_VARIABLE);
    if (got == ERR_OK)
        fprintf(err, "noria: %s has problems (see noria check-config); what is in force in %s is taken\n",
                file, dir);
    return got;
}

enum err_e look_conf_load(const char *file, const char *runtime_dir, FILE *err, struct conf **conf)
{
    char *problems = NULL;
    size_t len = 0;
    FILE *note = open_memstream(&problems, &len);
    *conf = NULL;
    if (note == NULL)
        return ERR_MEMORY;
    if (runtime_dir != NULL)
        setenv("NORIA_RUNTIME_DIR", runtime_dir, 1);
    enum err_e got = conf_load(file, note_problem, note, conf);
    fclose(note);
    if (got != ERR_OK && load_in_force(file, err, conf) == ERR_OK)
        got = ERR_OK;
    else if (got != ERR_OK)
        fputs(problems, err);
    free(problems);
    return got;
}
