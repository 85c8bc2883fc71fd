/* conf.c — reads a configuration file into struct conf (conf.h).
 *
 * Order, each step with its own problems: the text (bounded) → outline (lines, depth, aliases) → shape against the table
 * (unknown keys) → libcyaml (values as texts) → table (each value) → environment → lists and the file of machines →
 * checks between values. As far as a step leaves something sensible for the next, all problems are told in one go.
 */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_load.h"
#include "must.h"

/* --- the text --------------------------------------------------------------------------------------------------- */

/* -1: `fault` says why. */
static int open_file(const char *path, char fault[CONF_FAULT_MAX])
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    if (fd < 0) {
        snprintf(fault, CONF_FAULT_MAX, "cannot be opened: %s", strerror(errno));
        return -1;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    snprintf(fault, CONF_FAULT_MAX, "is not a regular file");
    close(fd);
    return -1;
}

/* Reads at most CONF_FILE_MAX + 1, so that a file that grew is found too long. */
enum err_e conf_read_file(const char *path, char **text, size_t *len, char fault[CONF_FAULT_MAX])
{
    *text = NULL;
    *len = 0;
    fault[0] = '\0';
    int fd = open_file(path, fault);
    if (fd < 0)
        return ERR_CONFIG;
    ssize_t n = 1;
    *text = malloc(CONF_FILE_MAX + 1);
    while (*text != NULL && *len <= CONF_FILE_MAX && n > 0) {
        n = read(fd, *text + *len, CONF_FILE_MAX + 1 - *len);
        *len += n > 0 ? (size_t)n : 0;
    }
    int error = errno;
    close(fd);
    if (*text == NULL)
        return ERR_MEMORY;
    if (n < 0)
        snprintf(fault, CONF_FAULT_MAX, "cannot be read: %s", strerror(error));
    else if (*len > CONF_FILE_MAX)
        snprintf(fault, CONF_FAULT_MAX, "is longer than %u bytes", CONF_FILE_MAX);
    return fault[0] != '\0' ? ERR_CONFIG : ERR_OK;
}

/* --- the steps -------------------------------------------------------------------------------------------------- */

static enum err_e load_yaml(struct conf_load *load, const char *text, size_t len)
{
    if (!conf_outline_read(&load->outline, text, len, &load->problems) ||
        !conf_section_check_shape(&conf_root_section, &load->outline, 0, &load->problems))
        return ERR_CONFIG;
    enum err_e err = conf_raw_load(text, len, &load->owner->raw);
    if (err == ERR_MALFORMED) {
        conf_problem(&load->problems, 0, "", "cannot be read by libcyaml");
        return ERR_CONFIG;
    }
    return err == ERR_OK ? conf_fill(load) : err;
}

static bool is_json(const char *file)
{
    size_t len = strlen(file);
    return len >= 5 && strcmp(file + len - 5, ".json") == 0;
}

static enum err_e load_text(struct conf_load *load, const char *text, size_t len)
{
    static const char around[] = "listeners:\n  - {name: carousel}\n"
                                 "  - {name: http, dialects: [rest], port: 8000}\n";
    if (!is_json(load->problems.file))
        return load_yaml(load, text, len);
    load->seed_text = text;
    load->seed_len = len;
    return load_yaml(load, around, sizeof around - 1);
}

static enum err_e finish(struct conf_load *load, enum err_e err, struct conf **conf)
{
    conf_outline_free(&load->outline);
    conf_outline_free(&load->seed_outline);
    free(load->machine_places);
    enum err_e told = conf_problems_end(&load->problems);
    err = err == ERR_OK ? told : err;
    *conf = &load->owner->draft.conf;
    if (err != ERR_OK)
        conf_free(conf);
    return err;
}

static bool begin(struct conf_load *load, const char *file, conf_report_f *report, void *arg)
{
    *load = (struct conf_load){.owner = calloc(1, sizeof *load->owner),
                               .problems = {.file = file, .report = report, .arg = arg}};
    if (load->owner == NULL)
        return false;
    struct conf *conf = &load->owner->draft.conf;
    conf->machines_from = "";
    conf->file = conf_own_text(load->owner, file);
    if (conf->file != NULL)
        return true;
    free(load->owner);
    return false;
}

enum err_e conf_load(const char *file, conf_report_f *report, void *arg, struct conf **conf)
{
    struct conf_load load;
    char *text, fault[CONF_FAULT_MAX];
    size_t len;
    *conf = NULL;
    if (!begin(&load, file, report, arg))
        return ERR_MEMORY;
    enum err_e err = conf_read_file(file, &text, &len, fault);
    if (err == ERR_OK)
        err = load_text(&load, text, len);
    else if (err == ERR_CONFIG)
        conf_problem(&load.problems, 0, "", "%s", fault);
    free(text);
    return finish(&load, err, conf);
}

enum err_e conf_load_text(const char *file, const char *text, size_t len, conf_report_f *report, void *arg,
                          struct conf **conf)
{
    struct conf_load load;
    *conf = NULL;
    if (!begin(&load, file, report, arg))
        return ERR_MEMORY;
    load.pure = true;
    enum err_e err = ERR_CONFIG;
    if (len > CONF_FILE_MAX)
        conf_problem(&load.problems, 0, "", "is longer than %u bytes", CONF_FILE_MAX);
    else
        err = load_text(&load, text, len);
    return finish(&load, err, conf);
}

/* --- what is asked of it ---------------------------------------------------------------------------------------- */

bool conf_single_mode(const struct conf *conf)
{
    return conf->machine_count == 1 && conf->machines[0].mode_single;
}

const struct conf_machine *conf_machine(const struct conf *conf, const char *id)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        if (strcmp(conf->machines[i].info.id, id) == 0)
            return &conf->machines[i];
    return NULL;
}

const struct profile *conf_profile(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->profile_count; i++)
        if (conf->profiles[i].name != NULL && strcmp(conf->profiles[i].name, name) == 0)
            return &conf->profiles[i];
    return profile_builtin(name);
}

void conf_path(const struct conf *conf, const char *relative, char path[CONF_PATH_MAX])
{
    int len = snprintf(path, CONF_PATH_MAX, "%s/%s", conf->runtime_dir, relative);
    MUST(len > 0 && len < CONF_PATH_MAX);
}
