/* launch_sockets.c — see launch_sockets.h. */
#include "launch_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "must.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

struct launch_sockets {
    size_t worker_count, listener_count;
    uint16_t *ports; /* per listener */
    char *names;     /* "a:b" */
    int *fds;        /* worker after worker; -1: not open */
};

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

static struct address make_address(const char *text, uint16_t port)
{
    struct address address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.storage;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address.size = sizeof *v4;
    } else {
        MUST(inet_pton(AF_INET6, text, &v6->sin6_addr) == 1); /* conf_load() checked it */
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address.size = sizeof *v6;
    }
    return address;
}

static bool set_option(int fd, int option)
{
    int one = 1;
    return setsockopt(fd, SOL_SOCKET, option, &one, sizeof one) == 0;
}

/* A bound socket, or -1 and errno. SO_REUSEADDR lets a restart ignore connections in TIME_WAIT, never a listener. */
static int bound_socket(const struct address *address, bool share)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (set_option(fd, SO_REUSEADDR) && (!share || set_option(fd, SO_REUSEPORT)) &&
        bind(fd, (const struct sockaddr *)&address->storage, address->size) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum err_e failed(const struct conf_listener *listener)
{
    int error = errno;
    bool taken = error == EADDRINUSE;
    log_error("listener", "name=%s address=%s port=%u error=\"%s\"", listener->name, listener->address,
              listener->port,
              taken ? "the port is in use by another program, or by another Noria" : strerror(error));
    return taken ? ERR_EXISTS : ERR_SYSTEM;
}

static enum err_e probe(const struct conf_listener *listener)
{
    struct address address = make_address(listener->address, listener->port);
    int fd = bound_socket(&address, false);
    if (fd < 0)
        return failed(listener);
    int error = listen(fd, 1) == 0 ? 0 : errno; /* sockets that are bound but do not listen show only here */
    close(fd);
    errno = error;
    return error == 0 ? ERR_OK : failed(listener);
}

static enum err_e open_one(struct launch_sockets *sockets, const struct conf_listener *listener, size_t l,
                           size_t worker)
{
    struct address address = make_address(listener->address, sockets->ports[l]);
    int fd = bound_socket(&address, true);
    if (fd < 0)
        return failed(listener);
    sockets->fds[worker * sockets->listener_count + l] = fd;
    if (listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&address.storage, &address.size) != 0)
        return failed(listener);
    sockets->ports[l] =
        ntohs(address.storage.ss_family == AF_INET ? ((struct sockaddr_in *)&address.storage)->sin_port
                                                   : ((struct sockaddr_in6 *)&address.storage)->sin6_port);
    return ERR_OK;
}

static enum err_e open_listener(struct launch_sockets *sockets, const struct conf_listener *listener,
                                size_t l)
{
    sockets->ports[l] = listener->port;
    enum err_e err = listener->port != 0 ? probe(listener) : ERR_OK;
    for (size_t worker = 0; worker < sockets->worker_count && err == ERR_OK; worker++)
        err = open_one(sockets, listener, l, worker);
    return err;
}

static char *join_names(const struct conf *conf)
{
    size_t size = 1, at = 0;
    for (size_t l = 0; l < conf->listener_count; l++)
        size += strlen(conf->listeners[l].name) + 1;
    char *names = calloc(1, size);
    for (size_t l = 0; l < conf->listener_count && names != NULL; l++)
        at += (size_t)snprintf(names + at, size - at, "%s%s", l > 0 ? ":" : "", conf->listeners[l].name);
    return names;
}

enum err_e launch_sockets_open(const struct conf *conf, struct launch_sockets **out)
{
    struct launch_sockets *sockets = calloc(1, sizeof *sockets);
    *out = sockets;
    if (sockets == NULL)
        return ERR_MEMORY;
    size_t count = conf->workers * conf->listener_count;
    sockets->fds = calloc(count + 1, sizeof *sockets->fds);
    for (size_t i = 0; i < count && sockets->fds != NULL; i++)
        sockets->fds[i] = -1;
    sockets->worker_count = conf->workers;
    sockets->listener_count = conf->listener_count;
    sockets->ports = calloc(conf->listener_count + 1, sizeof *sockets->ports);
    sockets->names = join_names(conf);
    enum err_e err = sockets->fds && sockets->ports && sockets->names ? ERR_OK : ERR_MEMORY;
    for (size_t l = 0; l < conf->listener_count && err == ERR_OK; l++)
        err = open_listener(sockets, &conf->listeners[l], l);
    if (err != ERR_OK)
        launch_sockets_close(out);
    return err;
}

void launch_sockets_close(struct launch_sockets **out)
{
    struct launch_sockets *sockets = *out;
    if (sockets == NULL)
        return;
    for (size_t i = 0; sockets->fds != NULL && i < sockets->worker_count * sockets->listener_count; i++)
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
    free(sockets->fds);
    free(sockets->ports);
    free(sockets->names);
    free(sockets);
    *out = NULL;
}

struct child_sockets launch_sockets_of(const struct launch_sockets *sockets, size_t worker)
{
    MUST(worker < sockets->worker_count);
    return (struct child_sockets){sockets->fds + worker * sockets->listener_count, sockets->names,
                                  sockets->listener_count};
}

uint16_t launch_sockets_port(const struct launch_sockets *sockets, size_t listener)
{
    MUST(listener < sockets->listener_count);
    return sockets->ports[listener];
}
