/* handler_listen.c — the socket at which workers find this process: passed down (proc.h), or made here.
 *
 * A socket file whose owner is dead is replaced, one that answers is not: two programs at one path would each get some of the
 * workers. Rejected: unlinking before bind() without asking.
 */
#include "handler_process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proc.h"

#define BACKLOG 64

static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool refused = connect(fd, (const void *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static int bind_at(int fd, const struct sockaddr_un *address)
{
    if (bind(fd, (const void *)address, sizeof *address) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -1;
    if (somebody_answers(address)) {
        errno = EADDRINUSE;
        return -1;
    }
    return unlink(address->sun_path) != 0 ? -1 : bind(fd, (const void *)address, sizeof *address);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.sun_path) {
        errno = len == 0 ? EINVAL : ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (bind_at(fd, &address) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int listen_open(const char *path, bool *made)
{
    struct proc_listen_fd passed[PROC_LISTEN_MAX];
    size_t count = proc_listen_fds(passed);
    *made = count == 0;
    if (count == 0)
        return listen_at(path != NULL ? path : "");
    for (size_t i = 1; i < count; i++) {
        log_warn("socket-not-used", "name=%.64s used=%.64s", passed[i].name, passed[0].name);
        close(passed[i].fd);
    }
    return passed[0].fd;
}
