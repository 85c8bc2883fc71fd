/* blackbox.c — the launcher's side of a black box, and what a process keeps in it (blackbox.h).
 *
 * The file is `where` (what blackbox_fatal.c wrote, text) and behind it the memory of log_tee(). It is sealed against cutting, so that the
 * process cannot be hit by a mapping without pages behind it, and the launcher only ever reads it with pread(2).
 */
#include "blackbox.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blackbox_fatal.h"
#include "log.h"
#include "proc_env.h"
#include "utf8.h"

struct box {
    char where[BLACKBOX_WHERE];
    _Alignas(8) char lines[BLACKBOX_BYTES];
};

static_assert(sizeof(((struct blackbox_story *)NULL)->where) == BLACKBOX_WHERE, "the story holds it all");

/* --- the launcher --------------------------------------------------------------------------------------------------- */

int blackbox_new(void)
{
    int fd = memfd_create("noria-blackbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, sizeof(struct box)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    log_warn("blackbox", "error=\"%s\"", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

void blackbox_read(int fd, struct blackbox_story *story)
{
    struct box box;
    memset(story, 0, sizeof *story);
    ssize_t got = pread(fd, &box, sizeof box, 0);
    if (got != (ssize_t)sizeof box)
        return;
    box.where[sizeof box.where - 1] = '\0';
    size_t len = strlen(box.where);
    memcpy(story->where, box.where, len);
    utf8_make_printable(story->where, len, true);
    log_tee_read(box.lines, sizeof box.lines, story->lines, sizeof story->lines);
}

/* --- the process ---------------------------------------------------------------------------------------------------- */

static struct box *inherited(void)
{
    long fd = proc_env_number("NORIA_BLACKBOX_FD");
    unsetenv("NORIA_BLACKBOX_FD");
    struct stat info;
    if (fd <= STDERR_FILENO || fstat((int)fd, &info) != 0)
        return NULL;
    void *memory = MAP_FAILED;
    if (info.st_size == (off_t)sizeof(struct box))
        memory = mmap(NULL, sizeof(struct box), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
    if (memory == MAP_FAILED)
        log_warn("blackbox", "descriptor=%ld bytes=%lld is none that was handed down", fd,
                 (long long)info.st_size);
    close((int)fd);
    return memory == MAP_FAILED ? NULL : memory;
}

void blackbox_open(void)
{
    struct box *box = inherited();
    if (box != NULL)
        log_tee(box->lines, sizeof box->lines);
    blackbox_fatal_install(box != NULL ? box->where : NULL);
}
