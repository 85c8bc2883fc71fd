/* conf.c — reads a configuration file into struct conf (conf.h).
 *
 * Order, each step with its own problems: the text (bounded) → outline (lines, depth, aliases) → shape against the table
 * (unknown keys) → libcyaml (values as texts) → table (each value) → environment → lists and the file of machines →
 * checks between values. As far as a step leaves something sensible for the next, all problems are told in one go.
 */
#include "conf.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_load.h"
#include "hash.h"
#include "must.h"
#include "text_file.h"

/* --- the text --------------------------------------------------------------------------------------------------- */

enum err_e conf_read_file(const char *path, char **text, size_t *len, char fault[CONF_FAULT_MAX])
{
    static_assert(CONF_FAULT_MAX == TEXT_FILE_FAULT_MAX, "told in the same words");
    return text_file_read(path, CONF_FILE_MAX, text, len, fault);
}

/* --- where the bytes come from ---------------------------------------------------------------------------------- */

static enum err_e keep(struct conf_load *load, const char *text, size_t len, const char **place,
                       size_t *place_len)
{
    char *own = conf_own(load->owner, len + 1);
    if (own == NULL)
        return ERR_MEMORY;
    memcpy(own, text, len);
    *place = own;
    *place_len = len;
    return ERR_OK;
}

enum err_e conf_keep_source(struct conf_load *load, const char *text, size_t len)
{
    struct conf *conf = &load->owner->draft.conf;
    conf->digest = hash_bytes(text, len, 0);
    return keep(load, text, len, &conf->source, &conf->source_len);
}

enum err_e conf_keep_machines(struct conf_load *load, const char *text, size_t len)
{
    struct conf *conf = &load->owner->draft.conf;
    conf->digest = hash_bytes(text, len, conf->digest);
    return keep(load, text, len, &conf->machines_source, &conf->machines_source_len);
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
    if (conf_keep_source(load, text, len) != ERR_OK)
        return ERR_MEMORY;
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

/* The directory of the file, absolute unless nothing outside may be asked. */
static char *own_directory(struct conf_load *load, const char *file)
{
    const char *slash = strrchr(file, '/');
    char here[PATH_MAX + 1] = "", *named = conf_own(load->owner, strlen(file) + 1);
    if (named == NULL)
        return NULL;
    memcpy(named, file, slash != NULL ? (size_t)(slash - file) + 1 : 0);
    if (!load->pure && getcwd(here, PATH_MAX) != NULL)
        strcat(here, "/");
    return conf_own_beside(load->owner, here, strlen(here), named);
}

static bool begin(struct conf_load *load, const char *file, bool pure, conf_report_f *report, void *arg)
{
    *load = (struct conf_load){.owner = calloc(1, sizeof *load->owner),
                               .pure = pure,
                               .problems = {.file = file, .report = report, .arg = arg}};
    if (load->owner == NULL)
        return false;
    struct conf *conf = &load->owner->draft.conf;
    conf->machines_from = conf->jwt_issuer = conf->jwt_audience = conf->jwt_sign_with = "";
    conf->file = conf_own_text(load->owner, file);
    conf->directory = own_directory(load, file);
    if (conf->file != NULL && conf->directory != NULL)
        return true;
    conf_free(&conf);
    return false;
}

static enum err_e load_file(struct conf_load *load, const char *file)
{
    char *text, fault[CONF_FAULT_MAX];
    size_t len;
    enum err_e err = conf_read_file(file, &text, &len, fault);
    if (err == ERR_OK)
        err = load_text(load, text, len);
    else if (err == ERR_CONFIG)
        conf_problem(&load->problems, 0, "", "%s", fault);
    free(text);
    return err;
}

static enum err_e load_copy(struct conf_load *load, const char *directory)
{
    char fault[CONF_FAULT_MAX];
    struct conf_copy copy;
    enum err_e err = conf_copy_read(directory, &copy, fault);
    load->copy = &copy;
    if (err == ERR_OK)
        err = load_text(load, copy.source, copy.source_len);
    else if (err == ERR_CONFIG)
        conf_problem(&load->problems, 0, "", "%s", fault);
    load->copy = NULL;
    conf_copy_free(&copy);
    return err;
}

/* `copy`: a directory; NULL: the files themselves. */
static enum err_e load_either(const char *file, const char *copy, conf_report_f *report, void *arg,
                              struct conf **conf)
{
    struct conf_load load;
    *conf = NULL;
    if (!begin(&load, file, false, report, arg))
        return ERR_MEMORY;
    return finish(&load, copy != NULL ? load_copy(&load, copy) : load_file(&load, file), conf);
}

static const char *copy_in_force(void)
{
    const char *directory = getenv(CONF_COPY_VARIABLE);
    return directory != NULL && *directory != '\0' ? directory : NULL;
}

enum err_e conf_load(const char *file, conf_report_f *report, void *arg, struct conf **conf)
{
    return load_either(file, copy_in_force(), report, arg, conf);
}

enum err_e conf_load_next(const char *file, conf_report_f *report, void *arg, struct conf **conf)
{
    static const char name[] = "/next";
    char next[PATH_MAX];
    const char *current = copy_in_force(), *slash = current != NULL ? strrchr(current, '/') : NULL;
    if (slash == NULL)
        return load_either(file, current, report, arg, conf);
    if ((size_t)(slash - current) + sizeof name > sizeof next)
        return ERR_CONFIG;
    memcpy(next, current, (size_t)(slash - current));
    memcpy(next + (slash - current), name, sizeof name);
    return load_either(file, next, report, arg, conf);
}

enum err_e conf_load_text(const char *file, const char *text, size_t len, conf_report_f *report, void *arg,
                          struct conf **conf)
{
    struct conf_load load;
    *conf = NULL;
    if (!begin(&load, file, true, report, arg))
        return ERR_MEMORY;
    enum err_e err = ERR_CONFIG;
    if (len > CONF_FILE_MAX)
        conf_problem(&load.problems, 0, "", "is longer than %u bytes", CONF_FILE_MAX);
    else
        err = load_text(&load, text, len);
    return finish(&load, err, conf);
}

/* --- what is asked of it ---------------------------------------------------------------------------------------- */

bool conf_serves(const struct conf *conf, const char *dialect)
{
    for (size_t i = 0; i < conf->listener_count; i++)
        if (conf_speaks(&conf->listeners[i], dialect, NULL))
            return true;
    return false;
}

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

/* conf_fill_endpoints() made sure that it fits. */
void conf_handler_socket(const struct conf *conf, const struct conf_handler *handler, uint32_t k,
                         char path[CONF_PATH_MAX])
{
    MUST(k < handler->processes);
    int len = handler->command == NULL
                  ? snprintf(path, CONF_PATH_MAX, "%s", handler->socket)
                  : snprintf(path, CONF_PATH_MAX, "%s/handlers/%s.%u", conf->runtime_dir, handler->name, k);
    MUST(len > 0 && len < CONF_PATH_MAX);
}
