/* The real disk; see journal_disk.h.
 *
 * The lock is flock() on a file of its own: on the directory itself it would not work over NFS. It belongs to the open file,
 * so the kernel drops it however the process ends. No preallocation: it would leave zeros to tell from torn tails, and
 * fdatasync() must write the size anyway. */
#include "journal_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "proc.h"

#define LOCK_FILE "lock"

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void real_leave(void *arg)
{
    struct journal_directory *state = arg;
    close_fd(&state->lock);
    close_fd(&state->directory);
}

static int sync_fd(int fd)
{
    return fsync(fd) == 0 ? 0 : -errno;
}

/* A directory that was just made must not vanish with the power, nor those above it. What may not be opened was there
 * before: it is somebody else's. */
static void sync_above(int directory)
{
    static const char *const above[] = {"..", "../..", "../../.."};
    for (size_t i = 0; i < sizeof above / sizeof above[0]; i++) {
        int fd = openat(directory, above[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        (void)sync_fd(fd);
        close(fd);
    }
}

static bool still_there(const struct journal_directory *state, const char *directory)
{
    char path[4096];
    struct stat held, named;
    snprintf(path, sizeof path, "%s/" LOCK_FILE, directory);
    return state->lock >= 0 && fstat(state->lock, &held) == 0 && lstat(path, &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static int take(struct journal_directory *state, const char *directory)
{
    int error = proc_make_dirs_errno(directory);
    if (error != 0)
        return -error;
    state->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state->directory < 0)
        return -errno;
    sync_above(state->directory);
    state->lock =
        openat(state->directory, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (state->lock < 0 || flock(state->lock, LOCK_EX | LOCK_NB) != 0)
        return -errno;
    return 0;
}

static int real_enter(void *arg, const char *directory)
{
    struct journal_directory *state = arg;
    if (still_there(state, directory))
        return 0;
    real_leave(state);
    int result = take(state, directory);
    if (result != 0)
        real_leave(state);
    return result;
}

static void real_boot(void *arg, char boot[JOURNAL_BOOT_MAX + 1])
{
    (void)arg;
    clock_boot_id(boot);
}

static int real_create(void *arg, const char *name)
{
    const struct journal_directory *state = arg;
    int fd = openat(state->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    return fd >= 0 ? fd : -errno;
}

static int real_open(void *arg, const char *name, uint64_t bytes)
{
    const struct journal_directory *state = arg;
    int fd = openat(state->directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static ssize_t real_write(void *arg, int handle, uint64_t at, const void *data, size_t len)
{
    (void)arg;
    ssize_t done;
    while ((done = pwrite(handle, data, len, (off_t)at)) < 0 && errno == EINTR)
        ;
    return done >= 0 ? done : -errno;
}

static int real_sync(void *arg, int handle)
{
    (void)arg;
    return fdatasync(handle) == 0 ? 0 : -errno;
}

static int real_sync_directory(void *arg)
{
    return sync_fd(((const struct journal_directory *)arg)->directory);
}

static int real_remove(void *arg, const char *name)
{
    return unlinkat(((const struct journal_directory *)arg)->directory, name, 0) == 0 ? 0 : -errno;
}

static void real_close(void *arg, int handle)
{
    (void)arg;
    close(handle);
}

struct journal_disk journal_disk_real(struct journal_directory *state)
{
    *state = (struct journal_directory){-1, -1};
    return (struct journal_disk){
        .arg = state,
        .shelf = journal_shelf_of(&state->directory),
        .enter = real_enter,
        .leave = real_leave,
        .boot = real_boot,
        .create = real_create,
        .open = real_open,
        .write = real_write,
        .sync = real_sync,
        .sync_directory = real_sync_directory,
        .remove = real_remove,
        .close = real_close,
    };
}
