/* keyring_file.c — keys on the disk: read whole with what the file's mode says, and one made where there is none (keyring.h).
 *
 * Rejected: text_file.h, which does not tell the mode of the very file it read, and leaves its memory to free(). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring_internal.h"
#include "proc.h"

void keyring_wipe(unsigned char **bytes, size_t len)
{
    if (*bytes != NULL)
        explicit_bzero(*bytes, len);
    free(*bytes);
    *bytes = NULL;
}

/* Up to `size` bytes; -1: errno. */
static ssize_t read_all(int fd, unsigned char *bytes, size_t size)
{
    size_t have = 0;
    for (ssize_t n = 1; n != 0 && have<size; have += n> 0 ? (size_t)n : 0) {
        n = read(fd, bytes + have, size - have);
        if (n < 0 && errno != EINTR)
            return -1;
    }
    return (ssize_t)have;
}

static enum err_e read_file(int fd, struct keyring_bytes *bytes, char fault[KEYRING_FAULT_MAX])
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        snprintf(fault, KEYRING_FAULT_MAX, "is not a regular file");
        return ERR_CONFIG;
    }
    bytes->mode = info.st_mode & 07777;
    bytes->at = malloc(KEYRING_FILE_MAX + 1);
    if (bytes->at == NULL)
        return ERR_MEMORY;
    ssize_t n = read_all(fd, bytes->at, KEYRING_FILE_MAX + 1);
    if (n < 0)
        snprintf(fault, KEYRING_FAULT_MAX, "cannot be read: %s", strerror(errno));
    else if (n > (ssize_t)KEYRING_FILE_MAX)
        snprintf(fault, KEYRING_FAULT_MAX, "is longer than %u bytes", KEYRING_FILE_MAX);
    bytes->len = n > 0 ? (size_t)n : 0;
    return fault[0] == '\0' ? ERR_OK : ERR_CONFIG;
}

enum err_e keyring_read(const char *path, struct keyring_bytes *bytes, char fault[KEYRING_FAULT_MAX])
{
    *bytes = (struct keyring_bytes){0};
    fault[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    if (fd < 0) {
        snprintf(fault, KEYRING_FAULT_MAX, "cannot be opened: %s", strerror(errno));
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_CONFIG;
    }
    enum err_e err = read_file(fd, bytes, fault);
    close(fd);
    if (err != ERR_OK)
        keyring_wipe(&bytes->at, bytes->len);
    return err;
}

/* --- one is made --------------------------------------------------------------------------------------------------- */

void keyring_own_path(const struct conf *conf, char path[KEYRING_PATH_MAX])
{
    snprintf(path, KEYRING_PATH_MAX, "%s/auth/hs256.key", conf->state_dir);
}

/* 256 random bits as hexadecimal digits, so that the file can be shown to other programs. */
static bool write_secret(int fd)
{
    unsigned char random[32];
    char text[2 * sizeof random + 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    text[2 * sizeof random] = '\n';
    bool written = write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 && fsync(fd) == 0;
    explicit_bzero(random, sizeof random);
    explicit_bzero(text, sizeof text);
    return written;
}

static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* Written beside its place, then linked there unless somebody was first. False: errno. */
static bool put_in_place(const char *directory, const char *path)
{
    char beside[KEYRING_PATH_MAX + 8];
    snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    int fd = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return false;
    bool written = write_secret(fd);
    int error = errno;
    if (written && link(beside, path) != 0) {
        error = errno;
        written = error == EEXIST;
    }
    close(fd);
    unlink(beside);
    sync_directory(directory);
    errno = error;
    return written;
}

enum err_e keyring_make(const struct conf *conf, char fault[KEYRING_FAULT_MAX])
{
    char path[KEYRING_PATH_MAX], directory[KEYRING_PATH_MAX];
    keyring_own_path(conf, path);
    snprintf(directory, sizeof directory, "%s/auth", conf->state_dir);
    int error = proc_make_dirs_errno(conf->state_dir);
    if (error == 0 && mkdir(directory, 0700) != 0 && errno != EEXIST)
        error = errno;
    if (error == 0 && !put_in_place(directory, path))
        error = errno;
    if (error != 0)
        snprintf(fault, KEYRING_FAULT_MAX, "cannot be made: %s", strerror(error));
    return error == 0 ? ERR_OK : ERR_SYSTEM;
}
