/* rig.c — starting and stopping the system under test (rig.h). */
#include "rig.h"

#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "rig_conf.h"

#define READY_MS 20000
#define STOP_MS  10000

struct rig_config rig_config_default(const char *bin_dir)
{
    return (struct rig_config){.bin_dir = bin_dir,
                               .worker_program = "noria-worker",
                               .machines = 8,
                               .payload = payload_find("standard"),
                               .dialect = "carousel",
                               .workers = 1,
                               .poll_ms = 250,
                               .poll_moving_ms = 50,
                               .sim_ms_per_position = 400,
                               .ping_interval_ms = 30000,
                               .ping_timeout_ms = 10000,
                               .worker_core = -1,
                               .other_core = -1};
}

void rig_machine_id(uint32_t index, char id[RIG_ID_MAX])
{
    snprintf(id, RIG_ID_MAX, "bench_%u", index);
}

int rig_listen(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        *port = ntohs(address.sin_port);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool open_listeners(struct rig *rig)
{
    if (rig->config.launcher) /* it opens them itself */
        return (rig->port = rig_conf_free_ports(1)) != 0;
    for (uint32_t i = 0; i < rig->config.workers; i++) {
        rig->listen_fds[i] = rig_listen(&rig->port);
        if (rig->listen_fds[i] < 0)
            return false;
    }
    return true;
}

/* --- programs --------------------------------------------------------------------------------------------------------- */

static enum err_e start(struct rig *rig, const char *program, const char *name, const char *machine, int core,
                        const int *listen_fd, struct child *child)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", rig->config.bin_dir, program);
    const char *argv[] = {path, "-c", rig->conf, machine != NULL ? "-m" : NULL, machine, NULL};
    struct child_program p = {.name = name,
                              .log_dir = rig->dir,
                              .argv = argv,
                              .core = core,
                              .listen_fds = listen_fd,
                              .listen_count = listen_fd != NULL ? 1 : 0,
                              .listen_name = rig->config.dialect};
    return child_exec(&p, child);
}

static enum err_e start_one(struct rig *rig, const char *program, int core, struct child *child)
{
    enum err_e err = start(rig, program, program, NULL, core, NULL, child);
    return err == ERR_OK ? child_wait_ready(child, READY_MS) : err;
}

static enum err_e start_workers(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->config.workers; i++) {
        char name[CHILD_NAME_MAX];
        snprintf(name, sizeof name, "noria-worker.%u", i);
        enum err_e err = start(rig, rig->config.worker_program, name, NULL, rig->config.worker_core,
                               &rig->listen_fds[i], &rig->workers[i]);
        if (err != ERR_OK)
            return err;
    }
    for (uint32_t i = 0; i < rig->config.workers; i++) {
        enum err_e err = child_wait_ready(&rig->workers[i], READY_MS);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err_e start_agents(struct rig *rig)
{
    rig->agents = calloc(rig->config.machines, sizeof *rig->agents);
    if (rig->agents == NULL)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < rig->config.machines; i++) {
        char name[CHILD_NAME_MAX], id[RIG_ID_MAX];
        rig_machine_id(i, id);
        snprintf(name, sizeof name, "plc-agent.%u", i);
        enum err_e err = start(rig, "plc-agent", name, id, rig->config.other_core, NULL, &rig->agents[i]);
        if (err != ERR_OK)
            return err;
    }
    for (uint32_t i = 0; i < rig->config.machines; i++) {
        enum err_e err = child_wait_ready(&rig->agents[i], READY_MS);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err_e start_launcher(struct rig *rig)
{
    char path[512];
    snprintf(path, sizeof path, "%s/noria", rig->config.bin_dir);
    const char *argv[] = {path, "up", "-c", rig->conf, NULL};
    struct child_program program = {.name = "noria-up", .log_dir = rig->dir, .argv = argv, .core = -1};
    enum err_e err = child_exec(&program, &rig->launcher);
    return err == ERR_OK ? child_wait_ready(&rig->launcher, READY_MS) : err;
}

static enum err_e start_all(struct rig *rig)
{
    if (rig->config.launcher)
        return start_launcher(rig);
    int core = rig->config.other_core;
    enum err_e err = ERR_OK;
    if (rig->config.agents)
        err = start_one(rig, "plc-sim", core, &rig->sim);
    if (err == ERR_OK)
        err = start_one(rig, "noria-broker", core, &rig->broker);
    if (err == ERR_OK && rig->config.store)
        err = start_one(rig, "noria-store", rig->config.worker_core, &rig->store);
    if (err == ERR_OK)
        err = start_workers(rig);
    if (err == ERR_OK && rig->config.agents)
        err = start_agents(rig);
    return err;
}

enum err_e rig_start(const struct rig_config *config, struct rig *rig)
{
    *rig = (struct rig){.config = *config};
    for (unsigned i = 0; i < RIG_WORKERS_MAX; i++)
        rig->listen_fds[i] = -1;
    strcpy(rig->dir, "/tmp/noria-bench.XXXXXX");
    strcpy(rig->state, "/dev/shm/noria-bench.XXXXXX");
    if (config->workers > RIG_WORKERS_MAX || mkdtemp(rig->dir) == NULL ||
        (config->state_on_tmpfs && mkdtemp(rig->state) == NULL))
        return ERR_SYSTEM;
    if (!config->state_on_tmpfs)
        snprintf(rig->state, sizeof rig->state, "%s/state", rig->dir);
    snprintf(rig->conf, sizeof rig->conf, "%s/noria.yaml", rig->dir);
    snprintf(rig->endpoint, sizeof rig->endpoint, "ipc://%s/bus/broker.sock", rig->dir);
    rig->sim_port = config->agents ? rig_conf_free_ports(config->machines) : 1;
    enum err_e err = rig->sim_port != 0 && open_listeners(rig) ? rig_conf_write(rig) : ERR_SYSTEM;
    if (err == ERR_OK)
        err = start_all(rig);
    if (err == ERR_OK)
        return ERR_OK;
    log_error("bench-rig", "the system did not start: %s; see %s", err_text(err), rig->dir);
    rig->config.keep = true;
    rig_stop(rig);
    return err;
}

bool rig_healthy(struct rig *rig)
{
    if (rig->config.launcher)
        return child_alive(&rig->launcher);
    bool healthy = child_alive(&rig->broker) && (!rig->config.agents || child_alive(&rig->sim)) &&
                   (!rig->config.store || child_alive(&rig->store));
    for (uint32_t i = 0; i < rig->config.workers; i++)
        healthy = healthy && child_alive(&rig->workers[i]);
    for (uint32_t i = 0; rig->agents != NULL && i < rig->config.machines; i++)
        healthy = healthy && child_alive(&rig->agents[i]);
    return healthy;
}

/* --- the end ---------------------------------------------------------------------------------------------------------- */

static void stop(struct rig *rig, struct child *child)
{
    if (child->name[0] == '\0')
        return;
    if (!child_stop(child, STOP_MS)) {
        rig->unclean++;
        rig->config.keep = true;
        log_error("bench-unclean", "process=%s wait-status=%#x log=%s/%s.log", child->name,
                  (unsigned)child->status, rig->dir, child->name);
    }
    child->name[0] = '\0';
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

bool rig_stop(struct rig *rig)
{
    stop(rig, &rig->launcher);
    for (uint32_t i = 0; rig->agents != NULL && i < rig->config.machines; i++)
        stop(rig, &rig->agents[i]);
    for (uint32_t i = 0; i < rig->config.workers; i++)
        stop(rig, &rig->workers[i]);
    stop(rig, &rig->store);
    stop(rig, &rig->broker);
    stop(rig, &rig->sim);
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        if (rig->listen_fds[i] >= 0)
            close(rig->listen_fds[i]);
        rig->listen_fds[i] = -1;
    }
    free(rig->agents);
    rig->agents = NULL;
    if (!rig->config.keep && rig->dir[0] != '\0')
        nftw(rig->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (!rig->config.keep && rig->config.state_on_tmpfs)
        nftw(rig->state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return rig->unclean == 0;
}
