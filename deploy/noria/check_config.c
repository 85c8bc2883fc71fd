/* check_config.c — see check_config.h.
 *
 * common/conf finds what is wrong with the text, and what is questionable in it. Added here is what depends on the host
 * and the user that ask: they may not be those that will run it, so it makes warnings and never problems.
 */
#include "check_config.h"

#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "check_schemas.h"
#include "keyring.h"
#include "launch_handlers.h"
#include "launch_program.h"
#include "lvt_page.h"
#include "must.h"
#include "ring_page.h"

#define LAUNCHER_BESIDE    64  /* of the launcher: loop, locks, control.sock and who speaks there */
#define DESCRIPTORS_BESIDE 128 /* of a worker, beside its connections: gate, shared memory, bus, logs */
#define DIRECTORY_MAX      256 /* state_dir has at most 200 bytes */
#define NAMES_SHOWN        4   /* machines of one bridge, words of one command */
#define MIB                (1024.0 * 1024.0)

struct report {
    const struct conf *conf;
    FILE *out;
    unsigned warnings;
};

/* --- what there is ---------------------------------------------------------------------------------------------- */

static uint64_t shared_bytes(const struct conf *conf)
{
    return ring_file_bytes((uint64_t)conf->ring_mib << 20) + lvt_file_bytes(conf->max_machines);
}

static uint64_t journal_bytes(const struct conf *conf)
{
    return ((uint64_t)conf->journal_keep_mib << 20) * conf->machine_count;
}

static uint64_t store_bytes(const struct conf *conf)
{
    uint64_t mib = (uint64_t)conf->store.keep_mib + conf->store.events_keep_mib;
    return conf_serves(conf, "channels") ? mib << 20 : 0;
}

static uint64_t descriptor_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_max : 0;
}

static void show_process(const struct report *r)
{
    const struct conf *conf = r->conf;
    fprintf(r->out, "  runtime directory  %s\n", conf->runtime_dir);
    fprintf(r->out, "  state directory    %s; journals of up to %u MiB and %u days per machine\n",
            conf->state_dir, conf->journal_keep_mib, conf->journal_keep_days);
    if (conf_serves(conf, "channels"))
        fprintf(r->out,
                "  store              store/noria.db there, up to %u MiB and %u days; events %u MiB and %u "
                "days\n",
                conf->store.keep_mib, conf->store.keep_days, conf->store.events_keep_mib,
                conf->store.events_keep_days);
    fprintf(r->out, "  workers            %u, each with up to ", conf->workers);
    if (conf->max_connections > 0)
        fprintf(r->out, "%u connections\n", conf->max_connections);
    else
        fprintf(r->out, "as many connections as it may open descriptors (%" PRIu64 " here)\n",
                descriptor_limit());
    fprintf(r->out, "  shared memory      ring %u MiB, table for %u machines up to %.1f MiB\n",
            conf->ring_mib, conf->max_machines, (double)lvt_file_bytes(conf->max_machines) / MIB);
    fprintf(r->out, "  slow clients       closed when owed %u KiB, or %u KiB for %u ms\n",
            conf->slow_hard_bytes / 1024, conf->slow_soft_bytes / 1024, conf->slow_soft_ms);
}

static void show_listener(const struct report *r, const struct conf_listener *listener)
{
    bool v6 = strchr(listener->address, ':') != NULL;
    fprintf(r->out, "    %s  %s%s%s:%u  ", listener->name, v6 ? "[" : "", listener->address, v6 ? "]" : "",
            listener->port);
    for (size_t i = 0; i < listener->dialect_count; i++)
        fprintf(r->out, "%s%s", i > 0 ? ", " : "", listener->dialects[i]);
    fprintf(r->out, "; %s\n", listener->auth_required ? "with a token" : "without authentication");
}

static void show_listeners(const struct report *r)
{
    fprintf(r->out, "  listeners          %zu\n", r->conf->listener_count);
    for (size_t i = 0; i < r->conf->listener_count; i++)
        show_listener(r, &r->conf->listeners[i]);
    if (r->conf->token_count > 0)
        fprintf(r->out, "  tokens             %zu\n", r->conf->token_count);
}

static void show_machine(const struct report *r, const struct conf_machine *machine)
{
    const struct profile *profile = machine->profile;
    fprintf(r->out, "    %s  \"%s\"  ", machine->info.id, machine->info.name);
    if (machine->info.simulator)
        fprintf(r->out, "simulator at %s:%u, shown as %s:%u", machine->connect_host, machine->connect_port,
                machine->info.ip, machine->info.port);
    else
        fprintf(r->out, "PLC at %s:%u", machine->connect_host, machine->connect_port);
    if (profile != NULL)
        fprintf(r->out, "; profile %s %u", profile->name, profile->version);
    else
        fprintf(r->out, "; unknown profile %s, read-only", machine->profile_name);
    fprintf(r->out, "; read every %u ms, %u moving%s\n", machine->poll_interval_ms, machine->poll_moving_ms,
            machine->persistent ? "" : ", a connection each");
}

static void show_machines(const struct report *r)
{
    const struct conf *conf = r->conf;
    size_t simulated = 0;
    for (size_t i = 0; i < conf->machine_count; i++)
        simulated += conf->machines[i].info.simulator;
    fprintf(r->out, "  machines           %zu", conf->machine_count);
    if (simulated > 0)
        fprintf(r->out, ", of which %zu simulated", simulated);
    if (conf->machines_from_count > 0)
        fprintf(r->out, "; %zu from %s", conf->machines_from_count,
                conf->machines_from[0] != '\0' ? conf->machines_from : conf->file);
    fputc('\n', r->out);
    for (size_t i = 0; i < conf->machine_count; i++)
        show_machine(r, &conf->machines[i]);
}

static void show_bridge(const struct report *r, const struct conf_bridge *bridge)
{
    fprintf(r->out, "    %s of ", conf_bridge_source(bridge->from));
    if (bridge->machine_count == 0)
        fputs("all machines", r->out);
    for (size_t i = 0; i < bridge->machine_count && i < NAMES_SHOWN; i++)
        fprintf(r->out, "%s%s", i > 0 ? ", " : "", bridge->machines[i]);
    if (bridge->machine_count > NAMES_SHOWN)
        fprintf(r->out, " and %zu more", bridge->machine_count - NAMES_SHOWN);
    fprintf(r->out, " to stream \"%s\"\n", bridge->stream);
}

static void show_bridges(const struct report *r)
{
    if (r->conf->bridge_count > 0)
        fprintf(r->out, "  bridges            %zu\n", r->conf->bridge_count);
    for (size_t i = 0; i < r->conf->bridge_count; i++)
        show_bridge(r, &r->conf->bridges[i]);
}

static void show_handler(const struct report *r, const struct conf_handler *handler)
{
    fprintf(r->out, "    %s  ", handler->name);
    if (handler->command == NULL)
        fprintf(r->out, "socket %s", handler->socket);
    for (size_t i = 0; i < handler->command_count && i < NAMES_SHOWN; i++)
        fprintf(r->out, "%s%.200s", i > 0 ? " " : "", handler->command[i]);
    if (handler->command_count > NAMES_SHOWN)
        fputs(" …", r->out);
    if (handler->command != NULL)
        fprintf(r->out, ", %u process%s", handler->processes, handler->processes == 1 ? "" : "es");
    fprintf(r->out, "; answers within %u ms, %s after %u ms without one\n", handler->deadline_ms,
            handler->command != NULL ? "killed" : "left", handler->stuck_ms);
}

static void show_endpoint(const struct report *r, const struct conf_endpoint *endpoint)
{
    fprintf(r->out, "    %s  handler %s; ", endpoint->path, endpoint->handler_name);
    if (endpoint->schema[0] == '\0')
        fputs("traditional", r->out);
    else
        fprintf(r->out, "messages as in %s", endpoint->schema);
    if (endpoint->reply_schema[0] != '\0')
        fprintf(r->out, ", replies as in %s", endpoint->reply_schema);
    fprintf(r->out, "%s%s\n", endpoint->binary ? ", in binary frames" : "",
            endpoint->error_object ? ", errors as a tree, too" : "");
}

static void show_endpoints(const struct report *r)
{
    const struct conf *conf = r->conf;
    if (conf->handler_count > 0)
        fprintf(r->out, "  handlers           %zu\n", conf->handler_count);
    for (size_t i = 0; i < conf->handler_count; i++)
        show_handler(r, &conf->handlers[i]);
    if (conf->endpoint_count > 0)
        fprintf(r->out, "  endpoints          %zu\n", conf->endpoint_count);
    for (size_t i = 0; i < conf->endpoint_count; i++)
        show_endpoint(r, &conf->endpoints[i]);
}

static void show_rest(const struct report *r)
{
    const struct conf *conf = r->conf;
    for (size_t i = 0; i < conf->profile_count; i++)
        fprintf(r->out, "  own profile        %s %u, %u bits\n", conf->profiles[i].name,
                conf->profiles[i].version, conf->profiles[i].bit_count);
    for (size_t i = 0; i < conf->override_count; i++)
        fprintf(r->out, "  environment        %s=%s wins over %s\n", conf->overrides[i].variable,
                conf->overrides[i].value, conf->overrides[i].key);
}

/* --- what this host says to it ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void warn(struct report *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    r->warnings++;
    fprintf(r->out, "warning: ");
    vfprintf(r->out, fmt, args);
    fputc('\n', r->out);
    va_end(args);
}

/* The directory, or the nearest above it that exists. */
static void nearest_existing(const char *path, char out[DIRECTORY_MAX], struct stat *info)
{
    snprintf(out, DIRECTORY_MAX, "%s", path);
    while (stat(out, info) != 0 && strcmp(out, "/") != 0) {
        char *slash = strrchr(out, '/');
        slash[slash == out] = '\0';
    }
}

/* `key` and `path`: what is configured; `there`: what of it exists. False: nothing more can be said of it. */
static bool look_at_place(struct report *r, const char *key, const char *path, char there[DIRECTORY_MAX],
                          struct stat *info)
{
    nearest_existing(path, there, info);
    if (!S_ISDIR(info->st_mode)) {
        warn(r, "%s %s: %s is no directory", key, path, there);
        return false;
    }
    return true;
}

static void look_at_space(struct report *r, const char *key, const char *path, const char *there,
                          uint64_t needed, const char *what)
{
    struct statvfs space;
    if (statvfs(there, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < needed)
        warn(r, "%s %s: %.0f MiB are free there, and %s may take %.0f MiB", key, path,
             (double)space.f_bavail * (double)space.f_frsize / MIB, what, (double)needed / MIB);
}

static void look_at_runtime_dir(struct report *r)
{
    const char *path = r->conf->runtime_dir;
    char there[DIRECTORY_MAX];
    struct stat info;
    if (!look_at_place(r, "runtime_dir", path, there, &info))
        return;
    if (access(there, W_OK | X_OK) != 0)
        warn(r,
             "runtime_dir %s: this user may not write %s; --runtime-dir or NORIA_RUNTIME_DIR choose another",
             path, there);
    else if (strcmp(there, path) == 0 && (info.st_mode & S_IWOTH) != 0)
        warn(r, "runtime_dir %s: is writable by all, and will be refused", path);
    look_at_space(r, "runtime_dir", path, there, shared_bytes(r->conf), "shared memory");
}

/* Without their journal agents refuse to move anything; without its database there is no store. */
static void look_at_state_dir(struct report *r)
{
    const char *path = r->conf->state_dir;
    char there[DIRECTORY_MAX];
    struct stat info;
    struct statfs system;
    bool agents = r->conf->machine_count > 0, store = conf_serves(r->conf, "channels");
    if (!(agents || store) || !look_at_place(r, "state_dir", path, there, &info))
        return;
    if (access(there, W_OK | X_OK) != 0)
        warn(r,
             "state_dir %s: this user may not write %s, and %s; "
             "NORIA_STATE_DIR chooses another",
             path, there,
             agents ? "an agent that cannot note a command refuses it"
                    : "without its database the store does not start");
    else if (strcmp(there, path) == 0 && (info.st_mode & S_IWOTH) != 0)
        warn(r, "state_dir %s: is writable by all, who could rewrite the audit trail", path);
    if (statfs(there, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC))
        warn(r, "state_dir %s: is on a tmpfs: %s do not survive a restart of the host or a power cut", path,
             !store   ? "the journals"
             : agents ? "the journals and the database"
                      : "the database's rows");
    look_at_space(r, "state_dir", path, there, journal_bytes(r->conf) + store_bytes(r->conf),
                  !store   ? "the journals"
                  : agents ? "journals and database"
                           : "the database");
}

/* Three for each process (launch_process.c, launch_segments.c), one more while it starts, and the sockets that it keeps. */
static uint64_t launcher_descriptors(const struct conf *conf)
{
    uint64_t handlers = launch_handlers_count(conf);
    uint64_t processes = conf->machine_count + conf->workers + handlers + 3;
    return 4 * processes + handlers + (uint64_t)conf->workers * conf->listener_count + LAUNCHER_BESIDE;
}

static void look_at_descriptors(struct report *r)
{
    uint64_t limit = descriptor_limit();
    uint64_t needed = (uint64_t)r->conf->max_connections + DESCRIPTORS_BESIDE;
    if (limit > 0 && needed > limit)
        warn(r,
             "websocket.max_connections %u: a process may open %" PRIu64
             " descriptors here (ulimit -Hn), and %" PRIu64 " would be needed",
             r->conf->max_connections, limit, needed);
    needed = launcher_descriptors(r->conf);
    if (limit > 0 && needed > limit)
        warn(r,
             "%zu machines: `noria up` may open %" PRIu64 " descriptors here (ulimit -Hn), and %" PRIu64
             " would be needed",
             r->conf->machine_count, limit, needed);
}

/* Whoever runs it may have another PATH. */
static void look_at_programs(struct report *r)
{
    for (size_t i = 0; i < r->conf->handler_count; i++) {
        const struct conf_handler *handler = &r->conf->handlers[i];
        char found[PATH_MAX], fault[PROGRAM_FAULT_MAX];
        if (handler->command != NULL && !program_find(handler->command[0], getenv("PATH"), found, fault))
            warn(r, "handler %s: %.500s %s; its endpoints would answer 503", handler->name,
                 handler->command[0], fault);
    }
}

static void show_warnings(struct report *r)
{
    for (size_t i = 0; i < r->conf->warning_count; i++)
        warn(r, "%s", r->conf->warnings[i]);
    look_at_runtime_dir(r);
    look_at_state_dir(r);
    look_at_descriptors(r);
    look_at_programs(r);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static void on_problem(void *arg, const char *text)
{
    fprintf(arg, "%s\n", text);
}

/* Those of JWTs. None is made here. */
static bool check_keys(const struct conf *conf, FILE *err)
{
    struct keyring *keyring;
    enum err_e loaded = keyring_load(conf, false, on_problem, err, &keyring);
    keyring_free(&keyring);
    return loaded == ERR_OK;
}

int check_config(const char *file, FILE *out, FILE *err)
{
    struct conf *conf;
    enum err_e loaded = conf_load(file, on_problem, err, &conf);
    if (loaded != ERR_OK) {
        if (loaded != ERR_CONFIG)
            fprintf(err, "%s: %s\n", file, err_text(loaded));
        return 1;
    }
    if (!check_schemas(conf, on_problem, err) || !check_keys(conf, err)) {
        conf_free(&conf);
        return 1;
    }
    struct report report = {.conf = conf, .out = out};
    fprintf(out, "%s is fine\n", file);
    show_process(&report);
    show_listeners(&report);
    show_machines(&report);
    show_bridges(&report);
    show_endpoints(&report);
    show_rest(&report);
    show_warnings(&report);
    conf_free(&conf);
    return 0;
}
