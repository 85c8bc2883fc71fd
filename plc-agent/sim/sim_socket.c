/* Only a connect() tells a dead socket file from a live one: nobody removes the name of a killed process. Rejected:
 * removing what is there unasked, which would cut off a running simulator without a word. */
#include "sim_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define BACKLOG 64

static enum err_e fail(const struct sim_socket *sock, const char *what)
{
    log_error("sim-control-failed", "path=%s what=%s reason=\"%s\"", sock->address.sun_path, what,
              strerror(errno));
    return ERR_SYSTEM;
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool is_left_behind(const struct sim_socket *sock)
{
    struct stat st;
    if (lstat(sock->address.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = new_socket();
    if (fd < 0)
        return false;
    bool dead = connect(fd, (const struct sockaddr *)&sock->address, sizeof sock->address) != 0 &&
                errno == ECONNREFUSED;
    close(fd);
    return dead;
}

static enum err_e bind_name(struct sim_socket *sock)
{
    const struct sockaddr *address = (const struct sockaddr *)&sock->address;
    if (bind(sock->fd, address, sizeof sock->address) == 0)
        return ERR_OK;
    if (errno != EADDRINUSE)
        return fail(sock, "bind");
    if (!is_left_behind(sock)) {
        log_error("sim-control-taken", "path=%s reason=\"another process listens there, or it is no socket\"",
                  sock->address.sun_path);
        return ERR_EXISTS;
    }
    if (unlink(sock->address.sun_path) != 0 || bind(sock->fd, address, sizeof sock->address) != 0)
        return fail(sock, "bind");
    return ERR_OK;
}

enum err_e sim_socket_open(struct sim_socket *sock, const char *path)
{
    *sock = (struct sim_socket){.fd = -1, .address.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sock->address.sun_path) {
        log_error("sim-control-failed", "path=%s reason=\"longer than %zu bytes\"", path,
                  sizeof sock->address.sun_path - 1);
        return ERR_TOO_LARGE;
    }
    memcpy(sock->address.sun_path, path, len + 1);
    sock->fd = new_socket();
    if (sock->fd < 0)
        return fail(sock, "socket");
    enum err_e err = bind_name(sock);
    struct stat st;
    if (err == ERR_OK && stat(path, &st) == 0) {
        sock->device = st.st_dev;
        sock->inode = st.st_ino;
    }
    if (err == ERR_OK && listen(sock->fd, BACKLOG) != 0)
        err = fail(sock, "listen");
    if (err != ERR_OK)
        sim_socket_close(sock);
    return err;
}

void sim_socket_close(struct sim_socket *sock)
{
    if (sock->fd < 0)
        return;
    struct stat st;
    if (sock->inode != 0 && stat(sock->address.sun_path, &st) == 0 && st.st_dev == sock->device &&
        st.st_ino == sock->inode)
        unlink(sock->address.sun_path);
    close(sock->fd);
    sock->fd = -1;
}
