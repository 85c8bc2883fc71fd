/* up_plan.c — see up_plan.h. */
#include "up_plan.h"

#include <assert.h>
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

#define STORE_READY_NS                                                                                       \
    (600 * NS_PER_S) /* it checks its database first, which may be large and the disk slow */

static const char *const program_names[FAMILY_STAGES] = {
    [FAMILY_SIM] = "plc-sim",     [FAMILY_BROKER] = "noria-broker", [FAMILY_STORE] = "noria-store",
    [FAMILY_AGENT] = "plc-agent", [FAMILY_WORKER] = "noria-worker",
};

static bool any_simulated(const struct conf *conf)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        if (conf->machines[i].info.simulator)
            return true;
    return false;
}

size_t up_plan_needed(const struct conf *conf, enum family_stage_e stage)
{
    switch (stage) {
    case FAMILY_SIM:
        return any_simulated(conf);
    case FAMILY_STORE:
        return conf_serves(conf, "channels");
    case FAMILY_AGENT:
        return conf->machine_count;
    case FAMILY_HANDLER:
        return launch_handlers_count(conf);
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

static enum err_e find_own(struct up_plan *plan, enum family_stage_e stage, const char *directory)
{
    if (asprintf(&plan->programs[stage], "%s/%s", directory, program_names[stage]) < 0) {
        plan->programs[stage] = NULL;
        return ERR_MEMORY;
    }
    if (up_plan_needed(plan->conf, stage) == 0 || access(plan->programs[stage], X_OK) == 0)
        return ERR_OK;
    log_error("programs", "program=%s error=\"%s\"", plan->programs[stage], strerror(errno));
    return ERR_NOT_FOUND;
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
    for (int stage = 0; stage < FAMILY_STAGES; stage++) {
        enum err_e here = program_names[stage] != NULL
                              ? find_own(plan, (enum family_stage_e)stage, bin_dir != NULL ? bin_dir : own)
                              : ERR_OK;
        err = here != ERR_OK ? here : err;
    }
    if (err != ERR_OK)
        up_plan_fini(plan);
    return err;
}

void up_plan_fini(struct up_plan *plan)
{
    for (int i = 0; i < FAMILY_STAGES; i++) {
        free(plan->programs[i]);
        plan->programs[i] = NULL;
    }
}

static enum err_e add_handler(const struct up_plan *plan, struct family *family, size_t i)
{
    uint32_t k;
    const struct conf_handler *handler = launch_handlers_at(plan->conf, i, &k);
    struct family_member member = {.stage = FAMILY_HANDLER,
                                   .sockets = launch_handlers_of(plan->handlers, i),
                                   .handler = handler->name,
                                   .directory = plan->conf->directory};
    static_assert(CONF_COMMAND_WORDS_MAX < FAMILY_ARGS_MAX, "with the NULL behind the last");
    memcpy(member.argv, handler->command, handler->command_count * sizeof *member.argv);
    snprintf(member.name, sizeof member.name, "handler.%s.%u", handler->name, k);
    return family_add(family, &member);
}

enum err_e up_plan_add_member(const struct up_plan *plan, struct family *family, enum family_stage_e stage,
                              size_t i)
{
    struct family_member member = {.stage = stage, .argv = {plan->programs[stage], "-c", plan->conf->file}};
    switch (stage) {
    case FAMILY_HANDLER:
        return add_handler(plan, family, i);
    case FAMILY_STORE:
        snprintf(member.name, sizeof member.name, "store");
        member.ready_ns = STORE_READY_NS;
        break;
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
    for (int stage = 0; stage < FAMILY_STAGES; stage++)
        for (size_t i = 0; i < up_plan_needed(plan->conf, (enum family_stage_e)stage) && err == ERR_OK; i++)
            err = up_plan_add_member(plan, family, (enum family_stage_e)stage, i);
    return err;
}

enum { SHOWN = 20 }; /* of a list */

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
    return strcmp(dialect, "rest") == 0 || strcmp(dialect, "ops") == 0;
}

static void announce_endpoints_of(const struct up_plan *plan, size_t listener)
{
    const struct conf *conf = plan->conf;
    const char *with = conf->listeners[listener].auth_required ? "; with a token" : "";
    char url[96];
    url_of(plan, "ws", listener, url);
    for (size_t i = 0; i < conf->endpoint_count && i < SHOWN; i++)
        printf("  connect   %s%s   (endpoint, handler %s%s)\n", url, conf->endpoints[i].path,
               conf->endpoints[i].handler_name, with);
    if (conf->endpoint_count > SHOWN)
        printf("  and %zu more endpoints\n", conf->endpoint_count - SHOWN);
}

static void announce_channels_of(const struct up_plan *plan, size_t listener)
{
    bool auth = plan->conf->listeners[listener].auth_required;
    char url[96];
    url_of(plan, "ws", listener, url);
    printf("  connect   %s/api/v1/ws   (channels%s)\n", url, auth ? "; with a token" : "");
    url_of(plan, "http", listener, url);
    printf("  connect   %s/api/v1/sensors   (channels, REST%s)\n", url,
           auth || plan->conf->rest_auth ? "; with a token" : "");
}

static void announce_ops_of(const struct up_plan *plan, size_t listener)
{
    char url[96];
    url_of(plan, "http", listener, url);
    printf("  watch     %s/metrics   (Prometheus%s; /healthz, /readyz)\n", url,
           plan->conf->listeners[listener].auth_required ? "; with a token" : "");
}

static void announce_listener(const struct up_plan *plan, size_t listener)
{
    const struct conf_listener *l = &plan->conf->listeners[listener];
    bool watched = false;
    char url[96];
    for (size_t i = 0; i < l->dialect_count; i++) {
        if (strcmp(l->dialects[i], "endpoints") == 0) {
            announce_endpoints_of(plan, listener);
            continue;
        }
        if (strcmp(l->dialects[i], "channels") == 0) {
            announce_channels_of(plan, listener);
            continue;
        }
        if (is_http(l->dialects[i]) && !watched) {
            announce_ops_of(plan, listener);
            watched = true;
        }
        if (strcmp(l->dialects[i], "ops") == 0)
            continue;
        url_of(plan, is_http(l->dialects[i]) ? "http" : "ws", listener, url);
        printf("  connect   %s%s   (%s%s)\n", url, is_http(l->dialects[i]) ? "/v1/machines" : "",
               l->dialects[i], l->auth_required ? "; with a token" : "");
    }
}

static bool has_own_paths(const char *dialect)
{
    return strcmp(dialect, "endpoints") == 0 || strcmp(dialect, "channels") == 0;
}

/* Whether `before` takes what the other would serve, standing before it in a listener's list. Endpoints and channels have paths of their
 * own; streams leave them those. */
static bool hides(const char *before, const char *dialect)
{
    return !is_http(before) && !is_http(dialect) && !has_own_paths(before) &&
           !(has_own_paths(dialect) && strcmp(before, "streams") == 0);
}

/* Does whoever connects to its plain URL (of endpoints: to one of theirs) get this dialect? */
static bool offers(const struct conf_listener *l, const char *dialect)
{
    for (size_t i = 0; i < l->dialect_count; i++) {
        if (strcmp(l->dialects[i], dialect) == 0)
            return true;
        if (hides(l->dialects[i], dialect))
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

/* An empty object fits any validated endpoint: what is missing is what the answer says. */
static void announce_endpoints(const struct up_plan *plan)
{
    const struct conf *conf = plan->conf;
    char url[96];
    if (conf->endpoint_count == 0 || !open_url(plan, "endpoints", url))
        return;
    const struct conf_endpoint *first = &conf->endpoints[0];
    printf("  try       python3 -m websockets %s%s   then type {}%s\n", url, first->path,
           first->schema[0] != '\0' ? "   (the answer says what is expected)" : "");
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

static void announce_channels(const struct up_plan *plan)
{
    char url[96];
    if (!open_url(plan, "channels", url))
        return;
    printf("  try       python3 -m websockets '%s/api/v1/ws?channel=general'   and meanwhile\n", url);
    if (!plan->conf->rest_auth)
        printf("            curl http%s/api/v1/sensors -H 'Content-Type: application/json' "
               "-d '{\"tipo\":\"DHT22\",\"modelo\":\"AM2302\"}'\n",
               strchr(url, ':'));
}

static void announce_machines(const struct conf *conf)
{
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
    announce_channels(plan);
    announce_endpoints(plan);
    printf("noria: ready\n");
    fflush(stdout);
}
