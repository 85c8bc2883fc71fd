/* Fuzzes the configuration's reader: a YAML file, or (first byte odd) a file of machines in JSON, as an integrator wrote it.
 * Checked beside memory: either problems were told, each as one line that names the file, or everything in the result is
 * within its bounds. User profiles are part of it, and with them the linter. */
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "conf.h"
#include "must.h"
#include "topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    const char *file;
    unsigned problems;
};

static void on_problem(void *arg, const char *text)
{
    struct told *told = arg;
    told->problems++;
    MUST(strncmp(text, told->file, strlen(told->file)) == 0);
    for (const char *c = text; *c != '\0'; c++)
        MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_machine(const struct conf *conf, const struct conf_machine *machine)
{
    MUST(machine->info.id[0] != '\0' && machine->info.name[0] != '\0');
    MUST(conf_machine(conf, machine->info.id) == machine); /* unique */
    MUST(machine->profile == conf_profile(conf, machine->profile_name));
    MUST(machine->connect_port != 0 && machine->connect_host[0] != '\0');
    MUST(machine->poll_moving_ms <= machine->poll_interval_ms && machine->poll_moving_ms > 0);
    MUST(machine->sim_positions >= 2 && machine->sim_positions <= 256);
}

/* Whatever the linter let through can be shown: every byte's text fits, and says no two halves of a pair. */
static void check_profile(const struct profile *profile)
{
    MUST(profile->name != NULL && profile->bit_count <= PROFILE_BITS_MAX);
    for (unsigned raw = 0; raw <= UINT8_MAX; raw++) {
        char text[MACHINE_TEXT_MAX];
        struct out out = out_init(text, sizeof text);
        struct machine_state state = {.has_reading = true, .raw_status = (uint8_t)raw, .position = UINT8_MAX};
        machine_state_text(&state, profile, &out);
        MUST(!out.overflow);
        MUST(!(profile_says(profile, (uint8_t)raw, MEANING_MOVING) &&
               profile_says(profile, (uint8_t)raw, MEANING_STOPPED)));
    }
}

static bool reaches(const struct conf_bridge *bridge, const char *machine)
{
    bool named = bridge->machine_count == 0;
    for (size_t i = 0; i < bridge->machine_count && !named; i++)
        named = strcmp(bridge->machines[i], machine) == 0;
    return named;
}

/* The streams of one machine and source fit a record, and none stands there twice. */
static void check_reach(const struct conf *conf, enum conf_bridge_from_e from, const char *machine)
{
    const char *streams[CONF_BRIDGE_STREAMS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < conf->bridge_count; i++) {
        if (conf->bridges[i].from != from || !reaches(&conf->bridges[i], machine))
            continue;
        for (size_t k = 0; k < count; k++)
            MUST(strcmp(streams[k], conf->bridges[i].stream) != 0);
        MUST(count < CONF_BRIDGE_STREAMS_MAX);
        streams[count++] = conf->bridges[i].stream;
    }
}

static void check_bridges(const struct conf *conf)
{
    for (size_t i = 0; i < conf->bridge_count; i++) {
        const struct conf_bridge *bridge = &conf->bridges[i];
        MUST(bridge->stream[0] != '\0' && strlen(bridge->stream) <= STREAM_ID_MAX);
        MUST((bridge->machines == NULL) == (bridge->machine_count == 0));
        for (size_t k = 0; k < bridge->machine_count; k++)
            MUST(conf_machine(conf, bridge->machines[k]) != NULL);
    }
    for (size_t i = 0; i < conf->machine_count && i < 64; i++)
        for (unsigned from = 0; from < CONF_BRIDGE_SOURCES; from++)
            check_reach(conf, from, conf->machines[i].info.id);
}

static void check_handlers(const struct conf *conf)
{
    for (size_t i = 0; i < conf->handler_count; i++) {
        const struct conf_handler *handler = &conf->handlers[i];
        char path[CONF_PATH_MAX];
        MUST((handler->command == NULL) == (handler->socket[0] == '/'));
        MUST((handler->command == NULL) == (handler->command_count == 0));
        MUST(handler->processes >= 1 && handler->processes <= CONF_HANDLER_PROCESSES_MAX);
        MUST(handler->deadline_ms <= handler->stuck_ms && handler->deadline_ms > 0);
        for (uint32_t k = 0; k < handler->processes; k++)
            conf_handler_socket(conf, handler, k, path);
        for (size_t k = 0; k < i; k++)
            MUST(strcmp(handler->name, conf->handlers[k].name) != 0);
        for (size_t k = 0; k < handler->command_count; k++)
            MUST(handler->command[k] != NULL);
        MUST(handler->command == NULL || handler->command[handler->command_count] == NULL);
        MUST(handler->command == NULL || handler->command[0][0] != '\0');
    }
}

static void check_endpoints(const struct conf *conf)
{
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        const struct conf_endpoint *endpoint = &conf->endpoints[i];
        MUST(endpoint->path[0] == '/' && strlen(endpoint->path) <= CONF_ENDPOINT_PATH_MAX);
        MUST(endpoint->handler < conf->handler_count);
        MUST(strcmp(conf->handlers[endpoint->handler].name, endpoint->handler_name) == 0);
        bool validated = endpoint->schema[0] != '\0';
        MUST(validated ||
             (endpoint->reply_schema[0] == '\0' && !endpoint->binary && !endpoint->error_object));
        for (size_t k = 0; k < i; k++)
            MUST(strcmp(endpoint->path, conf->endpoints[k].path) != 0);
    }
}

static void check(const struct conf *conf)
{
    MUST(conf->runtime_dir != NULL && strlen(conf->runtime_dir) <= 80);
    MUST(conf->workers >= 1 && conf->max_machines >= 1 && conf->machine_count <= conf->max_machines);
    MUST((conf->ring_mib & (conf->ring_mib - 1)) == 0 && conf->ring_mib >= 1);
    MUST(conf->slow_soft_bytes <= conf->slow_hard_bytes);
    MUST(conf->max_body_bytes >= 128 && conf->max_message_bytes >= 128);
    for (size_t i = 0; i < conf->listener_count; i++) {
        MUST(conf->listeners[i].dialect_count >= 1);
        MUST(!conf->listeners[i].auth_required || conf->token_count > 0);
    }
    for (size_t i = 0; i < conf->machine_count; i++)
        check_machine(conf, &conf->machines[i]);
    check_bridges(conf);
    check_handlers(conf);
    check_endpoints(conf);
    MUST(conf->streams_max_streams >= 1 && conf->streams_max_streams <= 1000);
    MUST(conf->streams_max_channels >= 1 && conf->streams_max_channels <= 1000000);
    for (size_t i = 0; i < conf->profile_count; i++)
        check_profile(&conf->profiles[i]);
    for (size_t i = 0; i < conf->warning_count; i++)
        MUST(conf->warnings[i] != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = NULL;
    if (size == 0)
        return 0;
    struct told told = {data[0] & 1 ? "machines.json" : "noria.yaml", 0};
    enum err_e err = conf_load_text(told.file, (const char *)data + 1, size - 1, on_problem, &told, &conf);
    MUST((err == ERR_OK) == (conf != NULL));
    MUST(err == ERR_OK || err == ERR_MEMORY || told.problems > 0);
    if (conf != NULL)
        check(conf);
    conf_free(&conf);
    return 0;
}
