/* proc.c — start, readiness and the tie to the launcher (proc.h).
 *
 * Parent death is armed first and the parent looked at afterwards: a launcher that dies in between is seen either by
 * the signal or by the changed parent. The launcher's pid comes from the environment, because "my parent is 1" says
 * nothing in a container, where the launcher may be 1 itself, or under a sub-reaper, where an orphan's parent is not.
 * No pid files, no polling of the parent (rejected: late, and wrong once pids are reused).
 */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blackbox.h"
#include "log.h"
#include "proc_env.h"

/* A socket opened as descriptor 2 would receive the log. */
static void fill_standard_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("descriptor-limit", "error=\"%s\"", strerror(errno));
}

void proc_boot_root(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(0027);
    fill_standard_fds();
    raise_descriptor_limit();
}

long proc_env_number(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL || *text < '0' || *text > '9')
        return -1;
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' ? value : -1;
}

bool proc_tie(void)
{
    const char *orphan = getenv("NORIA_ORPHAN");
    if (orphan != NULL && strcmp(orphan, "1") == 0)
        return true;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        log_warn("parent-death", "error=\"%s\"", strerror(errno));
    long launcher = proc_env_number("NORIA_LAUNCHER_PID");
    if (launcher < 0 || launcher == getppid())
        return true;
    log_error("launcher-gone", "launcher=%ld parent=%ld", launcher, (long)getppid());
    return false;
}

bool proc_boot(void)
{
    proc_boot_root();
    blackbox_open();
    long ready = proc_env_number("NORIA_READY_FD");
    if (ready > STDERR_FILENO)
        fcntl((int)ready, F_SETFD, FD_CLOEXEC);
    return proc_tie();
}

void proc_ready(void)
{
    if (getenv("NORIA_READY_FD") == NULL)
        return;
    static const char word[] = "READY\n";
    long fd = proc_env_number("NORIA_READY_FD");
    unsetenv("NORIA_READY_FD");
    if (fd <= STDERR_FILENO || write((int)fd, word, sizeof word - 1) != (ssize_t)sizeof word - 1)
        log_warn("ready-unheard", "descriptor=%ld", fd);
    if (fd > STDERR_FILENO)
        close((int)fd);
}

int proc_make_dirs_errno(const char *path)
{
    char partial[4096];
    struct stat info;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof partial)
        return ENAMETOOLONG;
    memcpy(partial, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        partial[i] = '\0';
        if (mkdir(partial, 0750) != 0 && errno != EEXIST)
            return errno;
        partial[i] = path[i];
    }
    if (stat(path, &info) != 0)
        return errno;
    return S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
}

enum err_e proc_make_dirs(const char *path)
{
    int error = proc_make_dirs_errno(path);
    if (error == 0)
        return ERR_OK;
    log_error("make-directory", "path=\"%.200s\" error=\"%s\"", path, strerror(error));
    return ERR_SYSTEM;
}
