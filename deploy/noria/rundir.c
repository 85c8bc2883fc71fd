/* rundir.c — see rundir.h. All work goes through one directory descriptor, so that a renamed path changes nothing.
 *
 * Rejected: a pid file (a reused pid looks alive); flock (one lock per file, and two are needed); removing the directory
 * recursively (a mistyped runtime_dir must not cost anybody's files: only known names are removed).
 */
#include "rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "conf.h"
#include "log.h"
#include "must.h"
#include "proc.h"

#define LOCK_FILE     "launcher.lock"
#define BYTE_LAUNCHER 0
#define BYTE_FAMILY   1
#define ATTEMPTS      10 /* to open a directory that another launcher is just removing */

static const char *const subdirectories[] = {"bus", "shm", "handlers", "conf"};

struct rundir {
    char *path;
    int dir_fd, lock_fd, family_fd;
    bool created;
};

static enum err_e failed(const char *path, const char *what)
{
    log_error("runtime-dir", "path=%s error=\"%s: %s\"", path, what, strerror(errno));
    return ERR_SYSTEM;
}

/* --- the directory ---------------------------------------------------------------------------------------------- */

static enum err_e make_parent(const char *path)
{
    char parent[256];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof parent)
        return ERR_OK;
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    return proc_make_dirs(parent);
}

/* Nobody else may put files where children trust them. */
static enum err_e check_owner(const struct rundir *dir)
{
    struct stat info;
    if (fstat(dir->dir_fd, &info) != 0)
        return failed(dir->path, "cannot be read");
    if ((info.st_uid == geteuid() || info.st_uid == 0) && (info.st_mode & S_IWOTH) == 0)
        return ERR_OK;
    log_error("runtime-dir", "path=%s error=\"belongs to another user or is writable by all\"", dir->path);
    return ERR_SYSTEM;
}

static enum err_e open_directory(struct rundir *dir)
{
    enum err_e err = make_parent(dir->path);
    if (err != ERR_OK)
        return err;
    dir->created = mkdir(dir->path, 0750) == 0;
    if (!dir->created && errno != EEXIST)
        return failed(dir->path, "cannot be made");
    dir->dir_fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->dir_fd < 0)
        return failed(dir->path, "cannot be opened");
    return check_owner(dir);
}

/* --- the locks -------------------------------------------------------------------------------------------------- */

static bool lock_byte(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Whether `fd` is what LOCK_FILE names now: its last owner may have removed it after it was opened here. */
static bool still_named(const struct rundir *dir, int fd)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && fstatat(dir->dir_fd, LOCK_FILE, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

static enum err_e refuse_second(const struct rundir *dir)
{
    char text[64] = "";
    ssize_t n = pread(dir->lock_fd, text, sizeof text - 1, 0);
    (void)n;
    log_error("runtime-dir",
              "path=%s error=\"another noria up runs here (pid %d); stop it, or choose another directory "
              "with --runtime-dir\"",
              dir->path, atoi(text));
    return ERR_BUSY;
}

static enum err_e wait_for_family(const struct rundir *dir, uint32_t wait_ms)
{
    static const struct timespec pause = {0, 20 * 1000 * 1000};
    uint64_t end = clock_mono_ns(clock_system()) + wait_ms * NS_PER_MS;
    for (bool said = false; !lock_byte(dir->family_fd, BYTE_FAMILY); said = true) {
        if (!said)
            log_warn("runtime-dir",
                     "path=%s waiting=\"processes of a launcher that was killed are stopping\"", dir->path);
        if (clock_mono_ns(clock_system()) >= end) {
            log_error("runtime-dir",
                      "path=%s error=\"processes of a launcher that was killed do not stop; end them\"",
                      dir->path);
            return ERR_BUSY;
        }
        nanosleep(&pause, NULL);
    }
    return ERR_OK;
}

static enum err_e take_locks(struct rundir *dir, uint32_t wait_ms)
{
    dir->lock_fd = openat(dir->dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    dir->family_fd = openat(dir->dir_fd, LOCK_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (dir->lock_fd < 0 || dir->family_fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : failed(dir->path, LOCK_FILE " cannot be opened");
    if (!lock_byte(dir->lock_fd, BYTE_LAUNCHER))
        return refuse_second(dir);
    if (!still_named(dir, dir->lock_fd) || !still_named(dir, dir->family_fd))
        return ERR_NOT_FOUND;
    return wait_for_family(dir, wait_ms);
}

/* "PID made" or "PID found": whether this launcher, or one before it that was killed, made the directory. */
static enum err_e write_lock_file(struct rundir *dir)
{
    char text[64] = "";
    if (pread(dir->lock_fd, text, sizeof text - 1, 0) > 0 && strstr(text, " made") != NULL)
        dir->created = true;
    int len = snprintf(text, sizeof text, "%d %s\n", (int)getpid(), dir->created ? "made" : "found");
    if (ftruncate(dir->lock_fd, 0) != 0 || pwrite(dir->lock_fd, text, (size_t)len, 0) != len)
        return failed(dir->path, LOCK_FILE " cannot be written");
    return ERR_OK;
}

/* --- content ---------------------------------------------------------------------------------------------------- */

static void empty_subdirectory(const struct rundir *dir, const char *name)
{
    int fd = openat(dir->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (listing == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(fd, entry->d_name, 0);
    closedir(listing);
}

static void remove_copies(const struct rundir *dir)
{
    static const char *const copies[] = {CONF_COPY_CURRENT, CONF_COPY_NEXT};
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(copies); i++)
        if (snprintf(path, sizeof path, "%s/%s", dir->path, copies[i]) < (int)sizeof path)
            conf_copy_remove(path);
}

static void remove_stale(const struct rundir *dir)
{
    remove_copies(dir);
    for (size_t i = 0; i < ARRAY_LEN(subdirectories); i++)
        empty_subdirectory(dir, subdirectories[i]);
    unlinkat(dir->dir_fd, "sim.sock", 0);
    unlinkat(dir->dir_fd, "control.sock", 0);
}

static enum err_e make_subdirectory(const struct rundir *dir, const char *name)
{
    if (mkdirat(dir->dir_fd, name, 0750) == 0 || errno == EEXIST)
        return ERR_OK;
    return failed(dir->path, name);
}

/* --- as a whole ------------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_all(struct rundir *dir)
{
    close_fd(&dir->family_fd);
    close_fd(&dir->lock_fd);
    close_fd(&dir->dir_fd);
}

static enum err_e attempt(struct rundir *dir, uint32_t wait_ms)
{
    enum err_e err = open_directory(dir);
    if (err == ERR_OK)
        err = take_locks(dir, wait_ms);
    if (err == ERR_OK)
        err = write_lock_file(dir);
    if (err != ERR_OK)
        return err;
    remove_stale(dir);
    for (size_t i = 0; i < ARRAY_LEN(subdirectories) && err == ERR_OK; i++)
        err = make_subdirectory(dir, subdirectories[i]);
    return err;
}

enum err_e rundir_open(const char *path, uint32_t wait_ms, struct rundir **rundir)
{
    struct rundir *dir = calloc(1, sizeof *dir);
    char *copy = strdup(path);
    *rundir = NULL;
    if (dir == NULL || copy == NULL) {
        free(dir);
        free(copy);
        return ERR_MEMORY;
    }
    *dir = (struct rundir){copy, -1, -1, -1, false};
    enum err_e err = ERR_NOT_FOUND;
    for (int i = 0; i < ATTEMPTS && err == ERR_NOT_FOUND; i++) {
        close_all(dir);
        err = attempt(dir, wait_ms);
    }
    if (err == ERR_OK) {
        *rundir = dir;
        return ERR_OK;
    }
    if (err == ERR_NOT_FOUND)
        log_error("runtime-dir", "path=%s error=\"is being removed by another process\"", path);
    close_all(dir);
    free(dir->path);
    free(dir);
    return err;
}

int rundir_family_fd(const struct rundir *rundir)
{
    return rundir->family_fd;
}

void rundir_close(struct rundir **rundir)
{
    struct rundir *dir = *rundir;
    if (dir == NULL)
        return;
    remove_stale(dir);
    for (size_t i = 0; i < ARRAY_LEN(subdirectories); i++)
        unlinkat(dir->dir_fd, subdirectories[i], AT_REMOVEDIR);
    if (dir->created) {
        unlinkat(dir->dir_fd, "sim.log", 0);
        unlinkat(dir->dir_fd, "sim.log.1", 0);
    }
    unlinkat(dir->dir_fd, LOCK_FILE, 0);
    if (dir->created && rmdir(dir->path) != 0 && errno != ENOENT)
        log_warn("runtime-dir", "path=%s left=\"%s\"", dir->path, strerror(errno));
    close_all(dir);
    free(dir->path);
    free(dir);
    *rundir = NULL;
}
