/* sim_socket.h — a listening Unix socket that owns its file name: replaces one left by a dead process, never a live
 * one's, and removes only its own. */
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include "errcode.h"

struct sim_socket {
    int fd; /* -1: closed */
    struct sockaddr_un address;
    dev_t device;
    ino_t inode;
};

/* ERR_TOO_LARGE: the path; ERR_EXISTS: somebody listens there, or it is no socket; ERR_SYSTEM. All logged. */
enum err_e sim_socket_open(struct sim_socket *sock, const char *path);
void sim_socket_close(struct sim_socket *sock);
