/* compose_check.c — what a configuration for one host says that containers cannot do. Better told by whoever writes the file than found in a log. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

#include "compose_text.h"

struct check {
    const struct conf *conf;
    FILE *err;
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *check, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("noria compose: ", check->err);
    vfprintf(check->err, fmt, args);
    fputc('\n', check->err);
    va_end(args);
    check->count++;
}

static bool loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static void check_listeners(struct check *check)
{
    for (size_t i = 0; i < check->conf->listener_count; i++) {
        const struct conf_listener *listener = &check->conf->listeners[i];
        if (loopback(listener->address))
            problem(check, "listeners[%zu] (%s): %s is the container's own loopback; use 0.0.0.0", i,
                    listener->name, listener->address);
        if (listener->port == 0)
            problem(check, "listeners[%zu] (%s): a port that is published needs a number", i, listener->name);
    }
}

static void check_simulator(struct check *check)
{
    struct in_addr address;
    if (!compose_simulates(check->conf))
        return;
    if (inet_pton(AF_INET, check->conf->simulator_address, &address) != 1 ||
        loopback(check->conf->simulator_address)) {
        problem(check,
                "simulator.address: %s is not reached from other containers; choose an IPv4 address of a "
                "network that nothing else uses, like 10.213.7.10",
                check->conf->simulator_address);
        return;
    }
    uint32_t host = ntohl(address.s_addr) & 0xff;
    if (host < 2 || host > 126)
        problem(check, "simulator.address: %s: its last number must be 2 to 126; agents get those above",
                check->conf->simulator_address);
}

static bool same_name(const struct conf *conf, size_t i, size_t k)
{
    char a[MACHINE_ID_MAX + 1], b[MACHINE_ID_MAX + 1];
    compose_name(conf->machines[i].info.id, a);
    compose_name(conf->machines[k].info.id, b);
    return strcmp(a, b) == 0;
}

static void check_machines(struct check *check)
{
    const struct conf *conf = check->conf;
    if (conf->machine_count > COMPOSE_MACHINES_MAX) {
        problem(check, "%zu machines: a network of containers has room for %u; `noria up` has no such limit",
                conf->machine_count, COMPOSE_MACHINES_MAX);
        return;
    }
    for (size_t i = 0; i < conf->machine_count; i++)
        for (size_t k = 0; k < i; k++)
            if (same_name(conf, i, k))
                problem(check, "machines %s and %s: names of services have no ':', so that both are the same",
                        conf->machines[k].info.id, conf->machines[i].info.id);
}

static void check_handlers(struct check *check)
{
    for (size_t i = 0; i < check->conf->handler_count; i++)
        if (check->conf->handlers[i].command != NULL)
            problem(check,
                    "handlers[%zu] (%s): nobody starts its command here; give it `socket:`, and a service of "
                    "your own that listens there (deploy/README.md)",
                    i, check->conf->handlers[i].name);
}

/* Containers see the directory of the configuration, and nothing else of this host. */
static bool inside(const char *directory, const char *path)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && strstr(path + len, "../") == NULL;
}

static void check_file(struct check *check, const char *what, size_t i, const char *path)
{
    const char *directory = check->conf->directory;
    if (path != NULL && *path != '\0' && !inside(directory, path))
        problem(check, "%s[%zu]: %s is outside of %s, which is all that containers see", what, i, path,
                directory);
}

static void check_files(struct check *check)
{
    const struct conf *conf = check->conf;
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        check_file(check, "endpoints", i, conf->endpoints[i].schema);
        check_file(check, "endpoints", i, conf->endpoints[i].reply_schema);
    }
    for (size_t i = 0; i < conf->jwt_key_count; i++)
        check_file(check, "auth.keys", i, conf->jwt_keys[i].file);
    if (strchr(conf->machines_from, '/') != NULL)
        problem(check, "machines_from: %s: it must stand beside the configuration", conf->machines_from);
}

size_t compose_problems(const struct conf *conf, FILE *err)
{
    struct check check = {conf, err, 0};
    check_listeners(&check);
    check_simulator(&check);
    check_machines(&check);
    check_handlers(&check);
    check_files(&check);
    return check.count;
}
