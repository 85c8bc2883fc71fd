/* powercut: what a disk would hold if the power went now. An LD_PRELOAD library for an agent under test.
 *
 * kill -9 takes nothing away that write(2) has taken; a power cut takes what fdatasync(2) has not confirmed. So this library
 * notes how far each file *.jsonl was when a sync of it was confirmed, and which names a directory had when a sync of the
 * directory was. stagecraft/disk.py cuts the files back to that after the process is dead. The environment says:
 *
 *     POWERCUT_LOG=FILE     notes go there, one line each:  file SIZE PATH | name PATH
 *     POWERCUT_GATE=FILE    while this file exists no sync returns: the disk that hangs; then they go on
 *     POWERCUT_LIES=FILE    while this file exists syncs succeed, and neither happen nor are noted: the disk that lies
 *
 * Noted is the size from before the sync, so that what another thread writes meanwhile does not count. Only a sync that
 * returned 0 is noted. A name counts as soon as its directory was synced while it was there (ext4 and XFS would often have
 * kept it anyway; a test must not count on it).
 *
 * Rejected: a block device that records (dm-log-writes): needs root and a kernel module. A FUSE file system: the same promise
 * with more moving parts; what is tested is the program's use of fsync, not a file system. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int sync_f(int fd);

#define EXPORT __attribute__((visibility("default")))
EXPORT int fdatasync(int fd);
EXPORT int fsync(int fd);

/* One write(2) per line, on a descriptor of its own: nothing is lost by kill -9, nothing stays open. */
static void note(const char *line)
{
    const char *log = getenv("POWERCUT_LOG");
    if (log == NULL)
        return;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, line, strlen(line)) < 0)
        abort(); /* a test that is half blind is none */
    close(fd);
}

static bool is_journal(const char *path)
{
    size_t len = strlen(path);
    return len > 6 && strcmp(path + len - 6, ".jsonl") == 0;
}

static void note_file(const char *path, off_t size)
{
    char line[PATH_MAX + 64];
    snprintf(line, sizeof line, "file %lld %s\n", (long long)size, path);
    note(line);
}

static void note_names(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char line[PATH_MAX + 512];
        snprintf(line, sizeof line, "name %s/%s\n", path, entry->d_name);
        if (is_journal(entry->d_name))
            note(line);
    }
    if (directory != NULL)
        closedir(directory);
}

static bool is_there(const char *variable)
{
    const char *path = getenv(variable);
    return path != NULL && access(path, F_OK) == 0;
}

/* As long as the gate's file is there; removing it is an event. */
static void wait_at_gate(void)
{
    char events[4096];
    const char *path = getenv("POWERCUT_GATE");
    int watch = path != NULL && is_there("POWERCUT_GATE") ? inotify_init1(IN_CLOEXEC) : -1;
    while (watch >= 0 && inotify_add_watch(watch, path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) >= 0 &&
           is_there("POWERCUT_GATE") && read(watch, events, sizeof events) > 0)
        ;
    if (watch >= 0)
        close(watch);
}

static int sync_as(const char *name, int fd)
{
    char link[64], path[PATH_MAX];
    struct stat before;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0 || fstat(fd, &before) != 0)
        return -1;
    path[len] = '\0';
    wait_at_gate();
    if (is_there("POWERCUT_LIES"))
        return 0;
    sync_f *real;
    *(void **)&real = dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (result == 0 && S_ISREG(before.st_mode) && is_journal(path))
        note_file(path, before.st_size);
    if (result == 0 && S_ISDIR(before.st_mode))
        note_names(path);
    return result;
}

int fdatasync(int fd)
{
    return sync_as("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_as("fsync", fd);
}
