/* launch_handlers.c — see launch_handlers.h.
 *
 * Blocking sockets, as socket activation has them: a handler need not know that its socket was somebody else's before.
 */
#include "launch_handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "must.h"

#define BACKLOG 256 /* four connections of each of the 64 workers that there may be */

struct launch_handlers {
    const struct conf *conf;
    size_t count;
    int fds[]; /* -1: not open */
};

size_t launch_handlers_count(const struct conf *conf)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->handler_count; i++)
        count += conf->handlers[i].command != NULL ? conf->handlers[i].processes : 0;
    return count;
}

const struct conf_handler *launch_handlers_at(const struct conf *conf, size_t i, uint32_t *k)
{
    for (size_t h = 0; h < conf->handler_count; h++) {
        const struct conf_handler *handler = &conf->handlers[h];
        if (handler->command == NULL)
            continue;
        *k = (uint32_t)i;
        if (i < handler->processes)
            return handler;
        i -= handler->processes;
    }
    MUST_NOT_REACH();
}

static enum err_e failed(const char *path)
{
    log_error("handler-socket", "path=%s error=\"%s\"", path, strerror(errno));
    return ERR_SYSTEM;
}

static enum err_e open_one(struct launch_handlers *handlers, size_t i)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[CONF_PATH_MAX];
    uint32_t k;
    const struct conf_handler *handler = launch_handlers_at(handlers->conf, i, &k);
    conf_handler_socket(handlers->conf, handler, k, path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    int fd = handlers->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0)
        return failed(path);
    return ERR_OK;
}

enum err_e launch_handlers_open(const struct conf *conf, struct launch_handlers **out)
{
    size_t count = launch_handlers_count(conf);
    struct launch_handlers *handlers = malloc(sizeof *handlers + count * sizeof handlers->fds[0]);
    *out = handlers;
    if (handlers == NULL)
        return ERR_MEMORY;
    handlers->conf = conf;
    handlers->count = count;
    for (size_t i = 0; i < count; i++)
        handlers->fds[i] = -1;
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = open_one(handlers, i);
    if (err != ERR_OK)
        launch_handlers_close(out);
    return err;
}

void launch_handlers_close(struct launch_handlers **out)
{
    struct launch_handlers *handlers = *out;
    if (handlers == NULL)
        return;
    for (size_t i = 0; i < handlers->count; i++)
        if (handlers->fds[i] >= 0)
            close(handlers->fds[i]);
    free(handlers);
    *out = NULL;
}

struct child_sockets launch_handlers_of(const struct launch_handlers *handlers, size_t i)
{
    uint32_t k;
    MUST(i < handlers->count);
    return (struct child_sockets){&handlers->fds[i], launch_handlers_at(handlers->conf, i, &k)->name, 1};
}
