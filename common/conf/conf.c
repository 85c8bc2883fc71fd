/* conf.c — reads a configuration file into struct conf (conf.h).
 *
 * Order, each step with its own problems: the text (bounded) → outline (lines, depth, aliases) → shape against the table
 * (unknown keys) → libcyaml (values as texts) → table (each value) → environment → checks between values. As far as a
 * step leaves something sensible for the next, all problems are told in one go.
 */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_check.h"
#include "conf_env.h"
#include "conf_raw.h"
#include "must.h"

#define FILE_MAX_BYTES (1u << 20)

struct owner { /* what a struct conf stands in */
    struct conf_draft draft;
    struct raw_root *raw; /* owns the texts */
    char *file, *runtime_dir;
    const char **origins;
};

struct load {
    struct owner *owner;
    struct conf_outline outline;
    struct conf_problems problems;
    uint32_t *listener_nodes, *machine_nodes;
};

/* --- the text --------------------------------------------------------------------------------------------------- */

static bool open_file(struct conf_problems *problems, int *fd)
{
    struct stat info;
    *fd = open(problems->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    if (*fd < 0) {
        conf_problem(problems, 0, "", "cannot be opened: %s", strerror(errno));
        return false;
    }
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode))
        return true;
    conf_problem(problems, 0, "", "is not a regular file");
    close(*fd);
    return false;
}

/* Reads at most FILE_MAX_BYTES + 1, so that a file that grew is found too long. */
static enum err_e read_text(struct conf_problems *problems, char **text, size_t *len)
{
    int fd;
    *text = NULL;
    *len = 0;
    if (!open_file(problems, &fd))
        return ERR_CONFIG;
    ssize_t n = 1;
    *text = malloc(FILE_MAX_BYTES + 1);
    while (*text != NULL && *len <= FILE_MAX_BYTES && n > 0) {
        n = read(fd, *text + *len, FILE_MAX_BYTES + 1 - *len);
        *len += n > 0 ? (size_t)n : 0;
    }
    int error = errno;
    close(fd);
    if (*text == NULL)
        return ERR_MEMORY;
    if (n < 0)
        conf_problem(problems, 0, "", "cannot be read: %s", strerror(error));
    else if (*len > FILE_MAX_BYTES)
        conf_problem(problems, 0, "", "is longer than %u bytes", FILE_MAX_BYTES);
    return problems->count > 0 ? ERR_CONFIG : ERR_OK;
}

/* --- lists ------------------------------------------------------------------------------------------------------ */

/* The outline nodes of a list's entries, one more than needed so that an empty list is no NULL. */
static uint32_t *entry_nodes(const struct conf_outline *outline, uint32_t list, size_t count)
{
    uint32_t *nodes = calloc(count + 1, sizeof *nodes);
    if (nodes == NULL || list == CONF_NO_NODE)
        return nodes;
    size_t i = 0;
    for (uint32_t at = outline->nodes[list].first; at != CONF_NO_NODE && i < count;
         at = outline->nodes[at].next)
        nodes[i++] = at;
    MUST(i == count);
    return nodes;
}

static enum err_e fill_listeners(struct load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    conf->listeners = calloc(raw->listeners_count + 1u, sizeof *conf->listeners);
    load->listener_nodes =
        entry_nodes(&load->outline, conf_outline_child(&load->outline, 0, "listeners"), raw->listeners_count);
    if (conf->listeners == NULL || load->listener_nodes == NULL)
        return ERR_MEMORY;
    conf->listener_count = raw->listeners_count;
    for (size_t i = 0; i < raw->listeners_count; i++)
        conf_section_apply(&conf_listener_section, &raw->listeners[i], &load->outline,
                           load->listener_nodes[i], &conf->listeners[i], &load->problems);
    return ERR_OK;
}

static void complete_machine(const struct conf *conf, struct conf_machine *machine, uint32_t *simulated)
{
    if (machine->info.name[0] == '\0')
        memcpy(machine->info.name, machine->info.id, sizeof machine->info.id);
    machine->profile = profile_builtin(machine->profile_name);
    if (machine->info.simulator) {
        memcpy(machine->connect_host, "127.0.0.1", sizeof "127.0.0.1");
        machine->connect_port = (uint16_t)(conf->simulator_base_port + (*simulated)++);
    } else {
        memcpy(machine->connect_host, machine->info.ip, sizeof machine->connect_host);
        machine->connect_port = machine->info.port;
    }
}

static enum err_e fill_machines(struct load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    uint32_t simulated = 0;
    conf->machines = calloc(raw->machines_count + 1u, sizeof *conf->machines);
    load->machine_nodes =
        entry_nodes(&load->outline, conf_outline_child(&load->outline, 0, "machines"), raw->machines_count);
    if (conf->machines == NULL || load->machine_nodes == NULL)
        return ERR_MEMORY;
    conf->machine_count = raw->machines_count;
    for (size_t i = 0; i < raw->machines_count; i++) {
        conf->machines[i] = load->owner->draft.machine;
        conf_section_apply(&conf_machine_section, &raw->machines[i], &load->outline, load->machine_nodes[i],
                           &conf->machines[i], &load->problems);
        complete_machine(conf, &conf->machines[i], &simulated);
    }
    return ERR_OK;
}

static enum err_e fill_origins(struct load *load)
{
    static const struct conf_key origin = {
        .type = CONF_ORIGIN, .min = 1, .max = 255, .size = sizeof(char *), .store = CONF_STORE_POINTER};
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_websocket *raw = &load->owner->raw->websocket;
    load->owner->origins = calloc(raw->allowed_origins_count + 1u, sizeof *load->owner->origins);
    if (load->owner->origins == NULL)
        return ERR_MEMORY;
    uint32_t section = conf_outline_child(&load->outline, 0, "websocket");
    uint32_t *nodes =
        entry_nodes(&load->outline, conf_outline_child(&load->outline, section, "allowed_origins"),
                    raw->allowed_origins_count);
    for (size_t i = 0; nodes != NULL && i < raw->allowed_origins_count; i++) {
        char path[CONF_KEY_PATH_MAX];
        conf_outline_path(&load->outline, nodes[i], path);
        if (!conf_key_store(&origin, raw->allowed_origins[i], &load->owner->origins[i]))
            conf_key_wrong(&origin, raw->allowed_origins[i], conf_outline_line(&load->outline, nodes[i]),
                           path, &load->problems);
    }
    conf->allowed_origins = load->owner->origins;
    conf->allowed_origin_count = raw->allowed_origins_count;
    free(nodes);
    return nodes != NULL ? ERR_OK : ERR_MEMORY;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static uint32_t cpu_count(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

/* NORIA_RUNTIME_DIR points into the environment, which the process may change. */
static enum err_e own_runtime_dir(struct owner *owner)
{
    owner->runtime_dir = strdup(owner->draft.conf.runtime_dir);
    owner->draft.conf.runtime_dir = owner->runtime_dir;
    return owner->runtime_dir != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err_e fill(struct load *load)
{
    struct owner *owner = load->owner;
    struct conf *conf = &owner->draft.conf;
    conf_section_apply(&conf_root_section, owner->raw, &load->outline, 0, &owner->draft, &load->problems);
    conf_env_apply(&owner->draft, &load->problems);
    if (conf->workers == 0)
        conf->workers = cpu_count();
    enum err_e err = own_runtime_dir(owner);
    if (err == ERR_OK)
        err = fill_origins(load);
    if (err == ERR_OK)
        err = fill_listeners(load);
    if (err == ERR_OK)
        err = fill_machines(load);
    if (err != ERR_OK)
        return err;
    conf_check_listeners(conf, &load->outline, load->listener_nodes, &load->problems);
    conf_check_times(&owner->draft.machine, &load->outline,
                     conf_outline_child(&load->outline, 0, "machine_defaults"), true, &load->problems);
    return conf_check_machines(conf, &load->outline, load->machine_nodes, &load->problems);
}

static enum err_e load_text(struct load *load, const char *text, size_t len)
{
    if (!conf_outline_read(&load->outline, text, len, &load->problems) ||
        !conf_section_check_shape(&conf_root_section, &load->outline, 0, &load->problems))
        return ERR_CONFIG;
    enum err_e err = conf_raw_load(text, len, &load->owner->raw);
    if (err == ERR_MALFORMED) {
        conf_problem(&load->problems, 0, "", "cannot be read by libcyaml");
        return ERR_CONFIG;
    }
    return err == ERR_OK ? fill(load) : err;
}

static enum err_e load_file(struct load *load)
{
    char *text;
    size_t len;
    enum err_e err = read_text(&load->problems, &text, &len);
    if (err == ERR_OK)
        err = load_text(load, text, len);
    free(text);
    conf_outline_free(&load->outline);
    free(load->listener_nodes);
    free(load->machine_nodes);
    enum err_e told = conf_problems_end(&load->problems);
    return err == ERR_OK ? told : err;
}

enum err_e conf_load(const char *file, conf_report_f *report, void *arg, struct conf **conf)
{
    struct owner *owner = calloc(1, sizeof *owner);
    *conf = NULL;
    if (owner == NULL)
        return ERR_MEMORY;
    *conf = &owner->draft.conf;
    owner->file = strdup(file);
    owner->draft.conf.file = owner->file;
    struct load load = {.owner = owner, .problems = {.file = file, .report = report, .arg = arg}};
    enum err_e err = owner->file != NULL ? load_file(&load) : ERR_MEMORY;
    if (err != ERR_OK)
        conf_free(conf);
    return err;
}

void conf_free(struct conf **conf)
{
    if (*conf == NULL)
        return;
    struct owner *owner = (struct owner *)(void *)*conf; /* draft.conf is its first member */
    conf_raw_free(&owner->raw);
    free(owner->file);
    free(owner->runtime_dir);
    free(owner->origins);
    free(owner->draft.conf.listeners);
    free(owner->draft.conf.machines);
    free(owner);
    *conf = NULL;
}

const struct conf_machine *conf_machine(const struct conf *conf, const char *id)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        if (strcmp(conf->machines[i].info.id, id) == 0)
            return &conf->machines[i];
    return NULL;
}

void conf_path(const struct conf *conf, const char *relative, char path[CONF_PATH_MAX])
{
    int len = snprintf(path, CONF_PATH_MAX, "%s/%s", conf->runtime_dir, relative);
    MUST(len > 0 && len < CONF_PATH_MAX);
}
