/* Rejected: O_TMPFILE (linkat cannot replace a name, and a ring must be replaced without a moment in which its name is
 * missing); flock() (inherited and shared like OFD locks, but absent on some network file systems); fcntl() process
 * locks (lost when any descriptor of the file is closed, e.g. by a reader in the same process).
 */
#include "shm_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "shm_guard.h"

#define SHM_FILE_MODE 0640

static enum err_e failed(const char *what, const char *path)
{
    log_error("shm-failed", "call=%s path=%s error=\"%s\"", what, path, strerror(errno));
    return ERR_SYSTEM;
}

static enum err_e lock(int fd, const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return ERR_OK;
    return errno == EAGAIN || errno == EACCES ? ERR_BUSY : failed("F_OFD_SETLK", path);
}

bool shm_file_locked(int fd)
{
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

enum err_e shm_file_reserve(int fd, uint64_t offset, uint64_t len)
{
    int rc;
    do
        rc = fallocate(fd, 0, (off_t)offset, (off_t)len);
    while (rc != 0 && errno == EINTR);
    /* A file system without fallocate allocates on touch; nothing better can be had there. */
    return rc == 0 || errno == EOPNOTSUPP ? ERR_OK : ERR_FULL;
}

static enum err_e draft_fill(const struct shm_draft *draft, uint64_t size, bool reserve)
{
    if (fchmod(draft->fd, SHM_FILE_MODE) != 0)
        return failed("fchmod", draft->path);
    if (ftruncate(draft->fd, (off_t)size) != 0)
        return failed("ftruncate", draft->path);
    if (reserve && shm_file_reserve(draft->fd, 0, size) != ERR_OK)
        return failed("fallocate", draft->path);
    return lock(draft->fd, draft->path);
}

enum err_e shm_file_draft(const char *path, uint64_t size, bool reserve, struct shm_draft *draft)
{
    int n = snprintf(draft->path, sizeof draft->path, "%s.new.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof draft->path) {
        errno = ENAMETOOLONG;
        return failed("mkostemp", path);
    }
    draft->fd = mkostemp(draft->path, O_CLOEXEC);
    if (draft->fd < 0)
        return failed("mkostemp", draft->path);
    enum err_e err = draft_fill(draft, size, reserve);
    if (err != ERR_OK)
        shm_file_discard(draft);
    return err;
}

enum err_e shm_file_publish(const struct shm_draft *draft, const char *path, bool replace)
{
    if (replace)
        return rename(draft->path, path) == 0 ? ERR_OK : failed("rename", path);
    if (link(draft->path, path) != 0)
        return errno == EEXIST ? ERR_EXISTS : failed("link", path);
    unlink(draft->path);
    return ERR_OK;
}

void shm_file_discard(const struct shm_draft *draft)
{
    unlink(draft->path);
    close(draft->fd);
}

static enum err_e open_regular(const char *path, int flags, int *fd, uint64_t *size)
{
    struct stat status;
    *fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : failed("open", path);
    if (fstat(*fd, &status) == 0 && S_ISREG(status.st_mode)) {
        *size = (uint64_t)status.st_size;
        return ERR_OK;
    }
    close(*fd);
    log_error("shm-failed", "call=fstat path=%s error=\"not a regular file\"", path);
    return ERR_SYSTEM;
}

bool shm_file_stands(const char *path, int fd)
{
    struct stat by_name, by_fd;
    return lstat(path, &by_name) == 0 && fstat(fd, &by_fd) == 0 && by_name.st_dev == by_fd.st_dev &&
           by_name.st_ino == by_fd.st_ino;
}

enum err_e shm_file_attach(const char *path, int *fd, uint64_t *size)
{
    enum err_e err = open_regular(path, O_RDWR, fd, size);
    if (err != ERR_OK)
        return err;
    err = lock(*fd, path);
    if (err == ERR_OK && !shm_file_stands(path, *fd))
        err = ERR_BUSY; /* replaced between open and lock, so somebody else is at it */
    if (err != ERR_OK)
        close(*fd);
    return err;
}

enum err_e shm_file_open(const char *path, int *fd, uint64_t *size)
{
    return open_regular(path, O_RDONLY, fd, size);
}

enum err_e shm_file_peek(int fd, void *to, size_t len)
{
    ssize_t n = pread(fd, to, len, 0);
    return n == (ssize_t)len ? ERR_OK : ERR_MALFORMED;
}

bool shm_file_is(int fd, uint64_t size)
{
    struct stat status;
    return fstat(fd, &status) == 0 && (uint64_t)status.st_size == size;
}

static int protection(bool writable)
{
    return writable ? PROT_READ | PROT_WRITE : PROT_READ;
}

enum err_e shm_file_map(int fd, uint64_t size, bool writable, void **at)
{
    *at = mmap(NULL, size, protection(writable), MAP_SHARED, fd, 0);
    if (*at == MAP_FAILED) {
        *at = NULL;
        return failed("mmap", "-");
    }
    (void)shm_guard_add(*at, size, writable);
    return ERR_OK;
}

enum err_e shm_file_map_twice(int fd, uint64_t offset, uint64_t size, bool writable, void **at)
{
    uint64_t once = offset + size;
    char *room = mmap(NULL, once + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *at = NULL;
    if (room == MAP_FAILED)
        return failed("mmap", "-");
    int prot = protection(writable), flags = MAP_SHARED | MAP_FIXED;
    if (mmap(room, once, prot, flags, fd, 0) == MAP_FAILED ||
        mmap(room + once, size, prot, flags, fd, (off_t)offset) == MAP_FAILED) {
        enum err_e err = failed("mmap", "-");
        munmap(room, once + size);
        return err;
    }
    (void)shm_guard_add(room, once + size, writable);
    *at = room;
    return ERR_OK;
}

void shm_file_unmap(void *at, uint64_t len)
{
    if (at == NULL)
        return;
    shm_guard_remove(at);
    munmap(at, len);
}

bool shm_file_cut(const void *at)
{
    return shm_guard_cut(at);
}

void shm_file_unlink(const char *path, int fd)
{
    if (shm_file_stands(path, fd))
        unlink(path);
}
