/* The whole file is allocated when it is made, so that no store into it can fail later. A view maps only as much as
 * the file has, whatever its header claims. The lock is the draft's own (shm_file.h), and lives with its descriptor. Rejected:
 * flock() beside it, a second lock that says the same, and that one could only ask for by taking it for a moment.
 */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "must.h"
#include "shm_file.h"

#define SEGMENT_MAGIC     0x3147455341524f4eULL /* "NORASEG1" */
#define SEGMENT_VERSION   1u
#define SEGMENT_BYTES_MAX (16u << 20)

_Static_assert(sizeof(struct segment_page) <= SEGMENT_STATS_OFFSET, "page 0");
_Static_assert(offsetof(struct segment_page, sleeping) == 192, "layout version 1");
_Static_assert(offsetof(struct segment_page, cursor) == 200, "layout version 1");

struct segment {
    struct segment_page *page;
    uint64_t size_bytes;
    int fd;
    char path[PATH_MAX];
};

struct segment_view {
    const struct segment_page *page;
    uint64_t size_bytes;
};

static void page_fill(struct segment *segment, const char *role, const char *id, uint64_t incarnation)
{
    struct segment_page *page = segment->page;
    page->version = SEGMENT_VERSION;
    page->size_bytes = segment->size_bytes;
    page->pid = (uint64_t)getpid();
    page->incarnation = incarnation;
    page->started_wall_ms = clock_wall_ms(clock_system());
    snprintf(page->role, sizeof page->role, "%s", role);
    snprintf(page->id, sizeof page->id, "%s", id);
    page->magic = SEGMENT_MAGIC;
}

enum err_e segment_create(const char *path, const char *role, const char *id, uint64_t incarnation,
                          const struct stats_def *defs, size_t def_count, struct segment **segment,
                          struct stats *stats)
{
    struct shm_draft draft;
    void *at = NULL;
    uint64_t size = SEGMENT_STATS_OFFSET + ((stats_size(defs, def_count) + 4095) & ~4095ULL);
    MUST(size <= SEGMENT_BYTES_MAX && strlen(role) <= SEGMENT_ROLE_MAX);
    struct segment *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_MEMORY;

    enum err_e err = shm_file_draft(path, size, true, &draft);
    if (err != ERR_OK) {
        free(made);
        return err;
    }
    err = shm_file_map(draft.fd, size, true, &at);
    if (err == ERR_OK) {
        *made = (struct segment){.page = at, .size_bytes = size, .fd = draft.fd};
        snprintf(made->path, sizeof made->path, "%s", path);
        page_fill(made, role, id, incarnation);
        stats_init(stats, (char *)at + SEGMENT_STATS_OFFSET, defs, def_count);
        err = shm_file_publish(&draft, path, true);
    }
    if (err != ERR_OK) {
        shm_file_unmap(at, size);
        shm_file_discard(&draft);
        free(made);
        return err;
    }
    *segment = made;
    return ERR_OK;
}

struct segment_page *segment_page(struct segment *segment)
{
    return segment->page;
}

bool segment_stands(const struct segment *segment)
{
    return shm_file_stands(segment->path, segment->fd);
}

void segment_close(struct segment **segment, bool unlink_file)
{
    struct segment *dead = *segment;
    if (dead == NULL)
        return;
    *segment = NULL;
    if (unlink_file)
        shm_file_unlink(dead->path, dead->fd);
    shm_file_unmap(dead->page, dead->size_bytes);
    close(dead->fd);
    free(dead);
}

/* `path` NULL: nothing is logged. */
static enum err_e header_check(const char *path, const struct segment_page *header, uint64_t file_size)
{
    if (header->magic != SEGMENT_MAGIC)
        return ERR_MALFORMED;
    if (header->version != SEGMENT_VERSION) {
        if (path != NULL)
            log_error("shm-version", "path=%s version=%llu expected=%u", path,
                      (unsigned long long)header->version, SEGMENT_VERSION);
        return ERR_VERSION;
    }
    bool fits = header->size_bytes > SEGMENT_STATS_OFFSET && header->size_bytes <= SEGMENT_BYTES_MAX &&
                header->size_bytes <= file_size;
    return fits ? ERR_OK : ERR_MALFORMED;
}

bool segment_is_held(const char *path, uint64_t *incarnation)
{
    struct segment_page page;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *incarnation = 0;
    if (fd < 0)
        return false;
    bool held = shm_file_locked(fd);
    if (held && shm_file_peek(fd, &page, sizeof page) == ERR_OK && page.magic == SEGMENT_MAGIC)
        *incarnation = page.incarnation;
    close(fd);
    return held;
}

static enum err_e view_map(const char *path, int fd, uint64_t file_size, struct segment_view *view)
{
    struct segment_page header;
    void *at;
    enum err_e err = shm_file_peek(fd, &header, sizeof header);
    if (err == ERR_OK)
        err = header_check(path, &header, file_size);
    if (err == ERR_OK)
        err = shm_file_map(fd, header.size_bytes, false, &at);
    if (err == ERR_OK)
        *view = (struct segment_view){.page = at, .size_bytes = header.size_bytes};
    return err;
}

static enum err_e view_new(const char *path, int fd, uint64_t file_size, struct segment_view **view)
{
    struct segment_view *made = calloc(1, sizeof *made);
    enum err_e err = made == NULL ? ERR_MEMORY : view_map(path, fd, file_size, made);
    if (err != ERR_OK) {
        free(made);
        return err;
    }
    *view = made;
    return ERR_OK;
}

enum err_e segment_view_open(const char *path, struct segment_view **view)
{
    int fd;
    uint64_t file_size;
    enum err_e err = shm_file_open(path, &fd, &file_size);
    if (err != ERR_OK)
        return err;
    err = view_new(path, fd, file_size, view);
    close(fd);
    return err;
}

enum err_e segment_view_open_held(const char *path, struct segment_view **view)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
    enum err_e err = fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) ? ERR_MALFORMED
                     : shm_file_locked(fd) ? view_new(NULL, fd, (uint64_t)file.st_size, view)
                                           : ERR_CLOSED;
    close(fd);
    return err;
}

const struct segment_page *segment_view_page(const struct segment_view *view)
{
    return view->page;
}

enum err_e segment_view_stats(const struct segment_view *view, struct stats_view *stats)
{
    return stats_view_open(stats, (const char *)view->page + SEGMENT_STATS_OFFSET,
                           view->size_bytes - SEGMENT_STATS_OFFSET);
}

void segment_view_close(struct segment_view **view)
{
    struct segment_view *dead = *view;
    if (dead == NULL)
        return;
    *view = NULL;
    shm_file_unmap((void *)(uintptr_t)dead->page, dead->size_bytes);
    free(dead);
}
