/* Listening sockets: inherited from the launcher or systemd by name; or, under Compose, made by front (worker_front.c); or made here. What is not
 * inherited gets SO_REUSEPORT, so that the workers of one network share the port. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carousel.h"
#include "channels_dialect.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "streams_dialect.h"
#include "validated.h"
#include "worker.h"

static const struct endpoint_dialect *const dialects[] = {&carousel_dialect, &streams_dialect,
                                                          &validated_dialect, &channels_dialect};

static const struct endpoint_dialect *dialect_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    return NULL;
}

/* False: this program has no such dialect. */
static bool add_dialect(struct worker *w, struct worker_listener *listener, const char *name)
{
    const struct endpoint_dialect *dialect = dialect_named(name);
    listener->login = listener->login || strcmp(name, "channels") == 0;
    listener->sensors = listener->login;
    listener->rest = listener->rest || strcmp(name, "rest") == 0;
    listener->ops = listener->rest || strcmp(name, "ops") == 0 || listener->ops;
    if (strcmp(name, "rest") == 0 || strcmp(name, "ops") == 0)
        return true;
    if (dialect != NULL && listener->endpoint_count < WORKER_DIALECTS_MAX)
        listener->endpoints[listener->endpoint_count++] =
            (struct endpoint){.host = &w->host, .dialect = dialect, .listener = listener->conf->name};
    else
        return false;
    return true;
}

static enum err_e describe(struct worker *w, struct worker_listener *listener,
                           const struct conf_listener *conf)
{
    *listener = (struct worker_listener){.conf = conf};
    for (size_t i = 0; i < conf->dialect_count; i++) {
        if (!add_dialect(w, listener, conf->dialects[i])) {
            log_error("listen", "listener=%s error=\"unknown dialect %s\"", conf->name, conf->dialects[i]);
            return ERR_CONFIG;
        }
    }
    return ERR_OK;
}

static int inherited(const struct proc_listen_fd *fds, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fds[i].name, name) == 0)
            return fds[i].fd;
    return -1;
}

/* Takes `fd`, a socket that front made; -1: it is made here. */
static int open_socket(const struct addrinfo *address, int fd)
{
    int on = 1;
    if (fd < 0)
        fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 4096) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int own_socket(const struct conf_listener *listener, int fd)
{
    char port[8];
    snprintf(port, sizeof port, "%u", listener->port);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *address;
    int failed = getaddrinfo(listener->address, port, &hints, &address);
    if (failed != 0) {
        log_error("listen", "listener=%s address=%s error=\"%s\"", listener->name, listener->address,
                  gai_strerror(failed));
        return -1;
    }
    fd = open_socket(address, fd);
    if (fd < 0)
        log_error("listen", "listener=%s address=%s port=%u error=\"%s\"", listener->name, listener->address,
                  listener->port, strerror(errno));
    freeaddrinfo(address);
    return fd;
}

enum err_e worker_listen(struct worker *w)
{
    struct proc_listen_fd fds[PROC_LISTEN_MAX];
    size_t count = proc_listen_fds(fds);
    if (w->conf->listener_count > WORKER_LISTENERS_MAX) {
        log_error("listen", "error=\"more than %u listeners\"", WORKER_LISTENERS_MAX);
        return ERR_CONFIG;
    }
    for (size_t i = 0; i < w->conf->listener_count; i++) {
        const struct conf_listener *listener = &w->conf->listeners[i];
        if (describe(w, &w->listeners[i], listener) != ERR_OK)
            return ERR_CONFIG;
        int fd = inherited(fds, count, listener->name);
        w->sockets[i] = (struct gate_listener){
            .fd = fd, .plain_http = w->listeners[i].ops || w->listeners[i].login, .own = fd < 0};
        w->listener_count = (unsigned)i + 1;
    }
    return ERR_OK;
}

unsigned worker_listen_missing(const struct worker *w, char families[WORKER_LISTENERS_MAX + 1])
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->listener_count; i++)
        if (w->sockets[i].fd < 0)
            families[count++] = strchr(w->listeners[i].conf->address, ':') != NULL ? '6' : '4';
    families[count] = '\0';
    return count;
}

enum err_e worker_listen_own(struct worker *w, const int *fds, bool migrates)
{
    for (unsigned i = 0; i < w->listener_count; i++) {
        struct gate_listener *socket = &w->sockets[i];
        if (socket->fd >= 0)
            continue;
        socket->fd = own_socket(w->listeners[i].conf, fds != NULL ? *fds++ : -1);
        socket->migrates = migrates;
        if (socket->fd < 0)
            return ERR_SYSTEM;
    }
    return ERR_OK;
}

enum err_e worker_start_dialects(struct worker *w)
{
    for (unsigned i = 0; i < w->listener_count; i++) {
        struct worker_listener *listener = &w->listeners[i];
        for (unsigned k = 0; k < listener->endpoint_count; k++) {
            enum err_e err = host_join(&listener->endpoints[k]);
            if (err != ERR_OK) {
                log_error("dialect", "listener=%s error=\"%s\"", listener->conf->name, err_text(err));
                return err;
            }
        }
    }
    return host_start(&w->host);
}
