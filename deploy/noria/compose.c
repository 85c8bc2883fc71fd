/* compose.c — see compose.h. */
#include "compose.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compose_text.h"

#define GRACE_S       60u /* for a worker's drain, and for what follows it */
#define GRACE_AFTER_S 10u

/* --- texts ---------------------------------------------------------------------------------------------------------- */

void compose_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputs(*text == '$' ? "$" : "", out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void compose_file(FILE *out, const struct conf *conf)
{
    char path[4200];
    snprintf(path, sizeof path, COMPOSE_DIRECTORY "/%s", base_name(conf->file));
    compose_quoted(out, path);
}

/* --- what all have -------------------------------------------------------------------------------------------------- */

static void write_head(const struct conf *conf, const struct compose_options *options, FILE *out)
{
    char absolute[4200];
    snprintf(absolute, sizeof absolute, "%s", conf->directory);
    size_t len = strlen(absolute);
    if (len > 1)
        absolute[len - 1] = '\0'; /* the slash */
    fprintf(out, "# Made by `noria compose -c %s", options->made_from);
    if (options->conf_dir != NULL)
        fprintf(out, " --conf-dir %s", options->conf_dir);
    fprintf(out,
            "`; made anew, not edited: deploy/README.md, \"Docker Compose\".\n"
            "# The environment, or a file .env beside this one, may set: NORIA_IMAGE, NORIA_IMAGE_… of one "
            "agent, NORIA_WORKERS, NORIA_PUBLISH\n"
            "# (address of this host under which listeners are published), NORIA_WORKER_MEMORY, "
            "NORIA_HEALTH_INTERVAL.\n\n"
            "x-noria: &noria\n"
            "  image: ${NORIA_IMAGE:-%s}\n"
            "  user: \"%d:%d\"\n"
            "  read_only: true\n"
            "  cap_drop: [ALL]\n"
            "  security_opt: [\"no-new-privileges:true\"]\n"
            "  restart: always # with unless-stopped, who was sent a SIGHUP would not be restarted any more\n"
            "  stop_signal: SIGTERM # said, so that a SIGHUP is not taken for a stop\n"
            "  pids_limit: 64\n"
            "  logging: {driver: json-file, options: {max-size: 10m, max-file: \"5\"}}\n\n"
            "x-health: &health {interval: \"${NORIA_HEALTH_INTERVAL:-30s}\", timeout: 5s, retries: 3, "
            "start_period: 20s}\n\n"
            "x-configuration: &configuration {type: bind, read_only: true, target: " COMPOSE_DIRECTORY
            ", source: ",
            options->image, COMPOSE_UID, COMPOSE_UID);
    compose_quoted(out, options->conf_dir != NULL ? options->conf_dir : absolute);
    fputs("}\n\nservices:\n", out);
}

static void write_health(FILE *out, const char *role)
{
    fprintf(out, "    healthcheck:\n      <<: *health\n      test: [CMD, noria, health, %s]\n", role);
}

static void write_command(FILE *out, const struct conf *conf, const char *program)
{
    fprintf(out, "    command: [%s, -c, ", program);
    compose_file(out, conf);
    fputs("]\n", out);
}

/* --- handlers of others: a volume per directory of sockets ------------------------------------------------------------ */

static size_t directory_length(const char *socket)
{
    return (size_t)(base_name(socket) - socket) - 1;
}

/* False: a handler before has the same. */
static bool first_of_directory(const struct conf *conf, size_t i)
{
    const char *socket = conf->handlers[i].socket;
    size_t len = directory_length(socket);
    for (size_t k = 0; k < i; k++)
        if (directory_length(conf->handlers[k].socket) == len &&
            memcmp(conf->handlers[k].socket, socket, len) == 0)
            return false;
    return true;
}

static void write_handler_mounts(const struct conf *conf, FILE *out)
{
    for (size_t i = 0; i < conf->handler_count; i++)
        if (first_of_directory(conf, i))
            fprintf(out, "      - handlers-%zu:%.*s\n", i, (int)directory_length(conf->handlers[i].socket),
                    conf->handlers[i].socket);
}

/* --- services ------------------------------------------------------------------------------------------------------- */

static bool published_before(const struct conf *conf, size_t listener)
{
    for (size_t i = 0; i < listener; i++)
        if (conf->listeners[i].port == conf->listeners[listener].port)
            return true;
    return false;
}

static void write_front(const struct conf *conf, FILE *out)
{
    fputs("  front: # makes the workers' sockets, in the network that has the ports; a worker that ends "
          "hands its "
          "waiting connections to another\n"
          "    <<: *noria\n"
          "    command: [noria, front]\n"
          "    networks: [front]\n"
          "    ports:\n",
          out);
    for (size_t i = 0; i < conf->listener_count; i++)
        if (!published_before(conf, i))
            fprintf(out, "      - \"${NORIA_PUBLISH:-127.0.0.1}:%u:%u\" # %s\n", conf->listeners[i].port,
                    conf->listeners[i].port, conf->listeners[i].name);
    fputs("    volumes: [\"front:" COMPOSE_RUNTIME "/front\"] # where workers ask for their sockets\n"
          "    sysctls: {net.ipv4.tcp_migrate_req: \"1\"} # Linux 5.14 or later\n"
          "    mem_limit: 32m\n",
          out);
    write_health(out, "front");
}

static void write_broker(const struct conf *conf, FILE *out)
{
    fputs("\n  broker:\n    <<: *noria\n", out);
    write_command(out, conf, "noria-broker");
    fprintf(out,
            "    network_mode: none\n"
            "    volumes: [*configuration, \"bus:" COMPOSE_RUNTIME "/bus\", \"shm:" COMPOSE_RUNTIME
            "/shm\"]\n"
            "    mem_limit: %um\n",
            2 * conf->ring_mib + 256);
    write_health(out, "broker");
}

static void write_store(const struct conf *conf, FILE *out)
{
    if (!conf_serves(conf, "channels"))
        return;
    fputs("\n  store:\n    <<: *noria\n", out);
    write_command(out, conf, "noria-store");
    fputs("    network_mode: none\n"
          "    volumes: [*configuration, \"bus:" COMPOSE_RUNTIME "/bus\", \"shm:" COMPOSE_RUNTIME
          "/shm\", \"store:" COMPOSE_STATE "\"]\n"
          "    tmpfs: [\"/tmp:size=64m\"] # SQLite's, for large sorts\n"
          "    mem_limit: 512m\n"
          "    healthcheck:\n"
          "      <<: *health\n"
          "      test: [CMD, noria, health, store]\n"
          "      start_period: 600s # it checks its database first\n",
          out);
}

/* In whole minutes: drain_ms can be reloaded, and a small change of it is no reason to make all workers anew. */
static uint32_t grace_s(const struct conf *conf)
{
    return (conf->drain_ms / 1000 + GRACE_AFTER_S + GRACE_S) / GRACE_S * GRACE_S;
}

static void write_worker(const struct conf *conf, const struct compose_options *options, FILE *out)
{
    fputs("\n  worker:\n    <<: *noria\n", out);
    write_command(out, conf, "noria-worker");
    fprintf(
        out,
        "    environment: {NORIA_FRONT: \"1\"}\n"
        "    network_mode: none\n"
        "    scale: ${NORIA_WORKERS:-%u}\n"
        "    stop_signal: SIGUSR1 # its clients are told to come back, 1012, spread over workers.drain_ms\n"
        "    stop_grace_period: %us\n"
        "    volumes:\n"
        "      - *configuration\n"
        "      - front:" COMPOSE_RUNTIME "/front\n"
        "      - bus:" COMPOSE_RUNTIME "/bus\n"
        "      - shm:" COMPOSE_RUNTIME "/shm\n"
        "      - auth:" COMPOSE_STATE "\n",
        options->workers != 0 ? options->workers : conf->workers, grace_s(conf));
    write_handler_mounts(conf, out);
    fputs("    mem_limit: ${NORIA_WORKER_MEMORY:-1g}\n", out);
    write_health(out, "worker");
}

/* --- networks and volumes ------------------------------------------------------------------------------------------- */

static void write_tmpfs(FILE *out, const char *name, uint32_t mib)
{
    fprintf(out,
            "  %s: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: "
            "\"size=%um,mode=0750,uid=%d,gid=%d\"}}\n",
            name, mib, COMPOSE_UID, COMPOSE_UID);
}

/* shm/: the ring, and for a moment its successor; the table; a segment of up to 32 KiB per process. */
static uint32_t shm_mib(const struct conf *conf)
{
    return 2 * conf->ring_mib + 64 + conf->max_machines / 16;
}

static void write_volumes(const struct conf *conf, FILE *out)
{
    char name[MACHINE_ID_MAX + 1];
    fputs("\nvolumes:\n", out);
    write_tmpfs(out, "front", 1);
    write_tmpfs(out, "bus", 8);
    write_tmpfs(out, "shm", shm_mib(conf));
    fputs("  auth: {} # the key with which logins are signed\n", out);
    if (conf_serves(conf, "channels"))
        fputs("  store: {} # the database\n", out);
    for (size_t i = 0; i < conf->handler_count; i++)
        if (first_of_directory(conf, i))
            fprintf(out, "  handlers-%zu: {} # where handler %s listens\n", i, conf->handlers[i].name);
    for (size_t i = 0; i < conf->machine_count; i++) {
        compose_name(conf->machines[i].info.id, name);
        fprintf(out, "  agent-%s: {} # its journal\n", name);
    }
}

void compose_write(const struct conf *conf, const struct compose_options *options, FILE *out)
{
    write_head(conf, options, out);
    write_front(conf, out);
    write_broker(conf, out);
    write_store(conf, out);
    write_worker(conf, options, out);
    compose_agents(conf, options, out);
    compose_simulator(conf, out);
    fputs("\nnetworks:\n  front: {}\n", out);
    compose_plc_network(conf, out);
    write_volumes(conf, out);
}
