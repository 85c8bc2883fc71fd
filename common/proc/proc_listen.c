/* proc_listen.c — listening sockets that a launcher or systemd opened for this process (proc.h).
 *
 * Follows sd_listen_fds_with_names(3) without libsystemd. A descriptor of the range that is no listening socket (a
 * stale LISTEN_FDS of a grandparent) is left alone, neither used nor closed.
 */
#include "proc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "proc_env.h"

#define FIRST_FD 3

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0;
}

static bool prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* How many descriptors the environment promises to this very process. */
static long promised(void)
{
    const char *pid = getenv("LISTEN_PID");
    if (pid != NULL && proc_env_number("LISTEN_PID") != (long)getpid())
        return 0;
    long count = proc_env_number("LISTEN_FDS");
    if (count <= PROC_LISTEN_MAX)
        return count;
    log_warn("listen-fds-refused", "count=%ld most=%d", count, PROC_LISTEN_MAX);
    return 0;
}

size_t proc_listen_fds(struct proc_listen_fd fds[PROC_LISTEN_MAX])
{
    static char names[4096];
    const char *given = getenv("LISTEN_FDNAMES");
    if (given != NULL && strlen(given) >= sizeof names) {
        log_warn("listen-fdnames", "error=\"longer than %zu bytes\"", sizeof names - 1);
        given = NULL;
    }
    if (given == NULL)
        given = "";
    memcpy(names, given, strlen(given) + 1);
    char *next = names;
    long count = promised();
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        char *name = strsep(&next, ":");
        if (!is_listening(FIRST_FD + i) || !prepare(FIRST_FD + i)) {
            log_warn("listen-fd-refused", "descriptor=%d error=\"no listening socket\"", FIRST_FD + i);
            continue;
        }
        fds[used++] = (struct proc_listen_fd){FIRST_FD + i, name != NULL && *name != '\0' ? name : "unknown"};
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return used;
}

bool proc_tcp_migrates(void)
{
    char digit = '0';
    int fd = open("/proc/sys/net/ipv4/tcp_migrate_req", O_RDONLY | O_CLOEXEC);
    bool yes = fd >= 0 && read(fd, &digit, 1) == 1 && digit == '1';
    if (fd >= 0)
        close(fd);
    return yes;
}
