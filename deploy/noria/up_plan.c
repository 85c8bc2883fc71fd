/* up_plan.c — see up_plan.h. */
#include "up_plan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "log.h"
#include "must.h"
#include "topic.h"

static const char *const program_names[UP_PROGRAMS] = {
    [FAMILY_SIM] = "plc-sim",
    [FAMILY_BROKER] = "noria-broker",
    [FAMILY_AGENT] = "plc-agent",
    [FAMILY_WORKER] = "noria-worker",
};

static bool any_simulated(const struct conf *conf)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        if (conf->machines[i].info.simulator)
            return true;
    return false;
}

static size_t needed(const struct conf *conf, enum family_stage_e stage)
{
    switch (stage) {
    case FAMILY_SIM:
        return any_simulated(conf);
    case FAMILY_AGENT:
        return conf->machine_count;
    case FAMILY_WORKER:
        return conf->workers;
    default:
        return 1;
    }
}

/* The directory of /proc/self/exe. */
static bool own_directory(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

enum err_e up_plan_init(struct up_plan *plan, const struct conf *conf, const char *bin_dir)
{
    char own[PATH_MAX];
    *plan = (struct up_plan){.conf = conf};
    if (bin_dir == NULL && !own_directory(own)) {
        log_error("programs", "error=\"/proc/self/exe cannot be read: %s\"", strerror(errno));
        return ERR_SYSTEM;
    }
    enum err_e err = ERR_OK;
    for (int stage = 0; stage < UP_PROGRAMS; stage++) {
        if (asprintf(&plan->programs[stage], "%s/%s", bin_dir != NULL ? bin_dir : own, program_names[stage]) <
            0) {
            plan->programs[stage] = NULL;
            err = ERR_MEMORY;
        } else if (needed(conf, (enum family_stage_e)stage) > 0 && access(plan->programs[stage], X_OK) != 0) {
            log_error("programs", "program=%s error=\"%s\"", plan->programs[stage], strerror(errno));
            err = ERR_NOT_FOUND;
        }
    }
    if (err != ERR_OK)
        up_plan_fini(plan);
    return err;
}

void up_plan_fini(struct up_plan *plan)
{
    for (int i = 0; i < UP_PROGRAMS; i++) {
        free(plan->programs[i]);
        plan->programs[i] = NULL;
    }
}

static enum err_e add_one(const struct up_plan *plan, struct family *family, enum family_stage_e stage,
                          size_t i)
{
    struct family_member member = {.stage = stage, .argv = {plan->programs[stage], "-c", plan->conf->file}};
    switch (stage) {
    case FAMILY_AGENT:
        snprintf(member.name, sizeof member.name, "agent.%s", plan->conf->machines[i].info.id);
        member.argv[3] = "-m";
        member.argv[4] = plan->conf->machines[i].info.id;
        break;
    case FAMILY_WORKER:
        snprintf(member.name, sizeof member.name, "worker.%zu", i);
        member.sockets = launch_sockets_of(plan->sockets, i);
        break;
    default:
        snprintf(member.name, sizeof member.name, "%s", stage == FAMILY_SIM ? "plc-sim" : "broker");
    }
    return family_add(family, &member);
}

enum err_e up_plan_add(const struct up_plan *plan, struct family *family)
{
    enum err_e err = ERR_OK;
    for (int stage = 0; stage < UP_PROGRAMS; stage++)
        for (size_t i = 0; i < needed(plan->conf, (enum family_stage_e)stage) && err == ERR_OK; i++)
            err = add_one(plan, family, (enum family_stage_e)stage, i);
    return err;
}

/* --- what the user is told -------------------------------------------------------------------------------------- */

static void url_of(const struct up_plan *plan, const char *scheme, size_t listener, char url[96])
{
    const struct conf_listener *l = &plan->conf->listeners[listener];
    bool v6 = strchr(l->address, ':') != NULL;
    snprintf(url, 96, "%s://%s%s%s:%u", scheme, v6 ? "[" : "", l->address, v6 ? "]" : "",
             launch_sockets_port(plan->sockets, listener));
}

static bool is_http(const char *dialect)
{
    return strcmp(dialect, "rest") == 0;
}

static void announce_listener(const struct up_plan *plan, size_t listener)
{
    const struct conf_listener *l = &plan->conf->listeners[listener];
    char url[96];
    for (size_t i = 0; i < l->dialect_count; i++) {
        url_of(plan, is_http(l->dialects[i]) ? "http" : "ws", listener, url);
        printf("  connect   %s%s   (%s%s)\n", url, is_http(l->dialects[i]) ? "/v1/machines" : "",
               l->dialects[i], l->auth_required ? "; with a token" : "");
    }
}

/* Does whoever connects to its plain URL get this dialect? Of several WebSocket dialects it is the first. */
static bool offers(const struct conf_listener *l, const char *dialect)
{
    for (size_t i = 0; i < l->dialect_count; i++) {
        if (strcmp(l->dialects[i], dialect) == 0)
            return true;
        if (!is_http(l->dialects[i]) && !is_http(dialect))
            return false;
    }
    return false;
}

/* The URL of the first listener without a token that offers it; false: there is none. */
static bool open_url(const struct up_plan *plan, const char *dialect, char url[96])
{
    const struct conf *conf = plan->conf;
    for (size_t i = 0; i < conf->listener_count; i++) {
        if (conf->listeners[i].auth_required || !offers(&conf->listeners[i], dialect))
            continue;
        url_of(plan, is_http(dialect) ? "http" : "ws", i, url);
        return true;
    }
    return false;
}

static void announce_carousel(const struct up_plan *plan, const char *machine)
{
    char url[96];
    if (!open_url(plan, "carousel", url))
        return;
    printf("  try       python3 -m websockets %s   (Debian: python3-websockets), then type\n"
           "            {\"type\":\"subscribe\"}\n",
           url);
    if (machine != NULL)
        printf("            {\"type\":\"send_command\",\"machine_id\":\"%s\",\"command\":1,\"argument\":7}\n",
               machine);
}

/* With the stream of the first bridge, if there is one. */
static void announce_streams(const struct up_plan *plan)
{
    const struct conf *conf = plan->conf;
    const char *stream = conf->bridge_count > 0 ? conf->bridges[0].stream : "any name";
    char url[96], quoted[6 * STREAM_ID_MAX + 2];
    struct out out = out_init(quoted, sizeof quoted);
    if (!open_url(plan, "streams", url))
        return;
    out_json_string(&out, stream, strlen(stream));
    printf("  try       python3 -m websockets %s   then type {\"ws_op\":\"open\",\"ws_stream_ids\":[%.*s]}\n",
           url, (int)out.len, out.at);
}

static void announce_http(const struct up_plan *plan, const char *machine)
{
    char url[96];
    if (machine == NULL || !open_url(plan, "rest", url))
        return;
    printf(
        "  try       curl %s/v1/machines/%s/status\n"
        "            curl %s/v1/machines/%s/move -H 'Content-Type: application/json' -d '{\"position\":7}'\n",
        url, machine, url, machine);
}

static void announce_machines(const struct conf *conf)
{
    enum { SHOWN = 20 };
    for (size_t i = 0; i < conf->machine_count && i < SHOWN; i++) {
        const struct conf_machine *m = &conf->machines[i];
        printf("  machine   %s \"%s\", %s at %s port %u\n", m->info.id, m->info.name,
               m->info.simulator ? "simulated" : "PLC", m->connect_host, m->connect_port);
    }
    if (conf->machine_count > SHOWN)
        printf("  and %zu more machines\n", conf->machine_count - SHOWN);
}

void up_plan_announce(const struct up_plan *plan)
{
    const struct conf *conf = plan->conf;
    printf("\nNoria " NORIA_VERSION " runs (%u worker%s, runtime directory %s)\n", conf->workers,
           conf->workers == 1 ? "" : "s", conf->runtime_dir);
    for (size_t i = 0; i < conf->listener_count; i++)
        announce_listener(plan, i);
    announce_machines(conf);
    const char *machine = conf->machine_count > 0 ? conf->machines[0].info.id : NULL;
    announce_carousel(plan, machine);
    announce_streams(plan);
    announce_http(plan, machine);
    printf("noria: ready\n");
    fflush(stdout);
}
