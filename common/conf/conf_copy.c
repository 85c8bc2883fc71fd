/* conf_copy.c — a configuration in force, kept as a directory of its bytes (conf.h).
 *
 *     DIRECTORY/config, DIRECTORY/machines      written to DIRECTORY.new, which is then renamed: exchanged with one that is there, and
 *                                               what was there removed
 *
 * A reader holds the directory open and not its name, so both files are of one configuration; one that is being removed under it (its
 * `config` goes first) is read anew. Whoever is killed at any step leaves DIRECTORY as it was or as it shall be, and perhaps a
 * DIRECTORY.new, which the next write removes.
 *
 * No fsync: the runtime directory ends with the host's power. Rejected: a symbolic link that is replaced (two names for one
 * thing, and one more to clean up); rename() onto the old directory, which the kernel takes only when it is empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_load.h"
#include "fault_point.h"
#include "log.h"

#define CONFIG   "config"
#define MACHINES "machines"
#define ATTEMPTS 100 /* each fails only if a whole reload fell between two system calls */

static enum err_e failed(const char *path, const char *what)
{
    log_error("configuration-copy", "path=%s error=\"%s: %s\"", path, what, strerror(errno));
    return ERR_SYSTEM;
}

/* --- removing --------------------------------------------------------------------------------------------------- */

/* `config` first: that is how readers know. */
static void remove_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    unlinkat(fd, CONFIG, 0);
    unlinkat(fd, MACHINES, 0);
    close(fd);
    rmdir(directory);
}

static bool beside(const char *directory, char path[PATH_MAX])
{
    return (size_t)snprintf(path, PATH_MAX, "%s.new", directory) < PATH_MAX;
}

void conf_copy_remove(const char *directory)
{
    char path[PATH_MAX];
    if (beside(directory, path))
        remove_directory(path);
    remove_directory(directory);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return false;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_file(int directory, const char *name, const char *text, size_t len)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return false;
    bool written = write_all(fd, text, len);
    int error = errno;
    close(fd);
    errno = error;
    return written;
}

static bool write_files(const struct conf *conf, const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool written = write_file(fd, CONFIG, conf->source, conf->source_len) &&
                   (conf->machines_source == NULL ||
                    write_file(fd, MACHINES, conf->machines_source, conf->machines_source_len));
    int error = errno;
    close(fd);
    errno = error;
    return written;
}

enum err_e conf_copy_promote(const char *next, const char *current)
{
    bool first = renameat2(AT_FDCWD, next, AT_FDCWD, current, RENAME_NOREPLACE) == 0;
    if (!first && (errno != EEXIST || renameat2(AT_FDCWD, next, AT_FDCWD, current, RENAME_EXCHANGE) != 0))
        return failed(current, "cannot be replaced");
    FAULT_POINT(CONF_COPY_EXCHANGED);
    if (!first)
        remove_directory(next);
    return ERR_OK;
}

/* Holds hashes of tokens and passwords: for nobody beside the installation's user and group. */
static enum err_e make_directories(const char *directory, const char *fresh)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", directory);
    char *slash = strrchr(parent, '/');
    if (slash != NULL && slash != parent) {
        *slash = '\0';
        if (mkdir(parent, 0750) != 0 && errno != EEXIST)
            return failed(parent, "cannot be made");
    }
    return mkdir(fresh, 0750) == 0 ? ERR_OK : failed(fresh, "cannot be made");
}

enum err_e conf_copy_write(const struct conf *conf, const char *directory)
{
    char fresh[PATH_MAX];
    errno = ENAMETOOLONG;
    if (!beside(directory, fresh))
        return failed(directory, "cannot be named");
    remove_directory(fresh);
    enum err_e err = make_directories(directory, fresh);
    FAULT_POINT(CONF_COPY_MADE);
    if (err == ERR_OK && !write_files(conf, fresh))
        err = failed(fresh, "cannot be written");
    FAULT_POINT(CONF_COPY_WRITTEN);
    if (err == ERR_OK)
        err = conf_copy_promote(fresh, directory);
    if (err != ERR_OK)
        remove_directory(fresh);
    return err;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND: `name` is not there. */
static enum err_e read_file(int directory, const char *name, char **text, size_t *len, int *fd)
{
    *fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
    *text = malloc(CONF_FILE_MAX);
    ssize_t n = 1;
    while (*text != NULL && *len < CONF_FILE_MAX && n > 0) {
        n = read(*fd, *text + *len, CONF_FILE_MAX - *len);
        *len += n > 0 ? (size_t)n : 0;
    }
    return *text == NULL ? ERR_MEMORY : n < 0 ? ERR_SYSTEM : ERR_OK;
}

static bool was_removed(int fd)
{
    struct stat info;
    return fstat(fd, &info) != 0 || info.st_nlink == 0;
}

/* ERR_NOT_FOUND: it was removed meanwhile. */
static enum err_e read_both(int directory, struct conf_copy *copy)
{
    int config = -1, machines = -1;
    enum err_e err = read_file(directory, CONFIG, &copy->source, &copy->source_len, &config);
    if (err == ERR_OK) {
        err = read_file(directory, MACHINES, &copy->machines, &copy->machines_len, &machines);
        if (err == ERR_NOT_FOUND && !was_removed(config))
            err = ERR_OK;
    }
    int error = errno;
    if (config >= 0)
        close(config);
    if (machines >= 0)
        close(machines);
    errno = error;
    return err;
}

static enum err_e read_once(const char *directory, struct conf_copy *copy)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *copy = (struct conf_copy){0};
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
    enum err_e err = read_both(fd, copy);
    int error = errno;
    close(fd);
    errno = error;
    return err;
}

enum err_e conf_copy_read(const char *directory, struct conf_copy *copy, char fault[CONF_FAULT_MAX])
{
    enum err_e err = read_once(directory, copy);
    for (int i = 1; i < ATTEMPTS && err == ERR_NOT_FOUND; i++) {
        conf_copy_free(copy);
        err = read_once(directory, copy);
    }
    if (err == ERR_OK || err == ERR_MEMORY)
        return err;
    snprintf(fault, CONF_FAULT_MAX, "its copy %.100s cannot be read: %s", directory, strerror(errno));
    return ERR_CONFIG;
}

void conf_copy_free(struct conf_copy *copy)
{
    free(copy->source);
    free(copy->machines);
    *copy = (struct conf_copy){0};
}
