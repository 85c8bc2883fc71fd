/* rig_conf.c — see rig_conf.h. Keys and their bounds: common/conf/conf_table.h. */
#include "rig_conf.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "entropy.h"

#define PORT_FIRST 10000u
#define PORT_LAST  32000u

static bool port_free(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

uint16_t rig_conf_free_ports(uint32_t count)
{
    if (count >= PORT_LAST - PORT_FIRST)
        return 0;
    for (unsigned tries = 0; tries < 50; tries++) {
        uint32_t first = PORT_FIRST + (uint32_t)(entropy_u64() % (PORT_LAST - PORT_FIRST - count)), i = 0;
        while (i < count && port_free((uint16_t)(first + i)))
            i++;
        if (i == count)
            return (uint16_t)first;
    }
    return 0;
}

static void write_settings(FILE *file, const struct rig *rig)
{
    const struct rig_config *config = &rig->config;
    fprintf(file, "runtime_dir: %s\nstate_dir: %s\n", rig->dir, rig->state);
    fprintf(file, "max_machines: %u\n", config->machines < 4096 ? 4096 : config->machines);
    fprintf(file, "log: {level: warn}\n");
    fprintf(file, "workers: {count: %u", config->workers);
    if (config->drain_ms != 0)
        fprintf(file, ", drain_ms: %u", config->drain_ms);
    fprintf(file, "}\n");
    fprintf(file, "websocket: {ping_interval_ms: %u, ping_timeout_ms: %u%s}\n", config->ping_interval_ms,
            config->ping_timeout_ms, config->any_rate ? ", max_messages_per_s: 0" : "");
    fprintf(file, "simulator: {base_port: %u, ms_per_position: %u}\n", rig->sim_port,
            config->sim_ms_per_position);
    fprintf(file, "machine_defaults: {profile: %s, poll_interval_ms: %u, poll_moving_ms: %u",
            config->payload->profile, config->poll_ms, config->poll_moving_ms);
    if (config->backoff_max_ms != 0)
        fprintf(file, ", backoff_min_ms: %u, backoff_max_ms: %u", config->backoff_max_ms / 2,
                config->backoff_max_ms);
    fprintf(file, "}\n");
    fprintf(file, "listeners:\n  - {name: %s, dialects: [%s], address: 127.0.0.1, port: %u}\n",
            config->dialect, config->dialects != NULL ? config->dialects : config->dialect, rig->port);
}

static void write_machines(FILE *file, const struct rig *rig)
{
    fprintf(file, "machines:\n");
    for (uint32_t i = 0; i < rig->config.machines; i++) {
        char id[RIG_ID_MAX];
        rig_machine_id(i, id);
        fprintf(file, "  - {id: %s, ip: 127.0.0.1, port: %u, simulator: %s}\n", id, 1024 + i,
                rig->config.agents ? "true" : "false"); /* ports are only shown: nobody connects to them */
    }
}

enum err_e rig_conf_write(const struct rig *rig)
{
    FILE *file = fopen(rig->conf, "we");
    if (file == NULL)
        return ERR_SYSTEM;
    write_settings(file, rig);
    write_machines(file, rig);
    enum err_e err =
        rig->config.extend != NULL ? rig->config.extend(rig, file, rig->config.extend_arg) : ERR_OK;
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    return failed ? ERR_SYSTEM : err;
}
