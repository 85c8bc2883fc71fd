/* house.c — see house.h. */
#include "house.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ask_text.h"
#include "log.h"

#define STOP_MS 10000
#define BACKLOG 64

enum err_e house_write_schemas(const struct rig *rig)
{
    for (enum ask_text_e text = 0; text < ASK_TEXTS; text++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s.json", rig->dir, ask_text_name(text));
        FILE *file = fopen(path, "we");
        if (file == NULL)
            return ERR_SYSTEM;
        bool ok = fputs(ask_text_schema(text), file) >= 0;
        ok = fclose(file) == 0 && ok;
        if (!ok)
            return ERR_SYSTEM;
    }
    return ERR_OK;
}

/* --- handler processes -------------------------------------------------------------------------------------------------- */

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static enum err_e start_handler(const struct rig *rig, const char *name, unsigned k, struct child *child)
{
    char path[108], program[512], process[CHILD_NAME_MAX];
    snprintf(path, sizeof path, "%s/handlers/%s.%u", rig->dir, name, k);
    snprintf(program, sizeof program, "%s/bench-handler", rig->config.bin_dir);
    snprintf(process, sizeof process, "handler.%s.%u", name, k);
    int fd = listen_at(path);
    if (fd < 0)
        return ERR_SYSTEM;
    const char *argv[] = {program, NULL};
    struct child_program p = {.name = process,
                              .log_dir = rig->dir,
                              .argv = argv,
                              .core = rig->config.other_core,
                              .listen_fds = &fd,
                              .listen_count = 1,
                              .listen_name = name};
    enum err_e err = child_exec(&p, child);
    close(fd);
    return err;
}

static enum err_e start_handlers(const struct rig *rig, struct child *handlers)
{
    char dir[96];
    snprintf(dir, sizeof dir, "%s/handlers", rig->dir);
    if (mkdir(dir, 0700) != 0)
        return ERR_SYSTEM;
    enum err_e err = start_handler(rig, "one", 0, &handlers[0]);
    for (unsigned k = 0; k < 2 && err == ERR_OK; k++)
        err = start_handler(rig, "two", k, &handlers[1 + k]);
    return err;
}

/* --- the configuration -------------------------------------------------------------------------------------------------- */

static void write_endpoints(FILE *file, const char *bin_dir)
{
    fprintf(file, "handlers:\n");
    fprintf(file, "  - {name: one, command: [%s/bench-handler]}\n", bin_dir);
    fprintf(file, "  - {name: two, command: [%s/bench-handler], processes: 2}\n", bin_dir);
    fprintf(file, "endpoints:\n");
    for (enum ask_text_e text = 0; text < ASK_TEXTS; text++) {
        const char *name = ask_text_name(text);
        fprintf(file, "  - {path: /one/%s, handler: one, schema: %s.json}\n", name, name);
        fprintf(file, "  - {path: /two/%s, handler: two, schema: %s.json}\n", name, name);
        fprintf(file, "  - {path: /raw/%s, handler: one}\n", name);
    }
}

static enum err_e extend(const struct rig *rig, FILE *file, void *arg)
{
    struct house *house = arg;
    enum err_e err = house_write_schemas(rig);
    if (err != ERR_OK || house->kind == HOUSE_IN_PROCESS)
        return err;
    write_endpoints(file, rig->config.bin_dir);
    return start_handlers(rig, house->handlers);
}

enum err_e house_start(struct house *house, const struct bench *bench, enum house_kind_e kind)
{
    struct rig_config config = bench_rig(bench);
    *house = (struct house){.kind = kind, .started = true};
    config.machines = 1;
    config.dialect = "endpoints";
    config.any_rate = true;
    config.worker_program = kind == HOUSE_IN_PROCESS ? "bench-worker" : "noria-worker";
    config.extend = extend;
    config.extend_arg = house;
    return rig_start(&config, &house->rig);
}

bool house_stop(struct house *house)
{
    if (!house->started)
        return true;
    bool clean = rig_stop(&house->rig);
    for (unsigned i = 0; i < HOUSE_HANDLERS; i++) {
        if (house->handlers[i].name[0] == '\0' || child_stop(&house->handlers[i], STOP_MS))
            continue;
        log_error("bench-unclean", "process=%s wait-status=%#x", house->handlers[i].name,
                  (unsigned)house->handlers[i].status);
        clean = false;
    }
    house->started = false;
    return clean;
}
