/* See journal_files.h. */
#include "journal_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "must.h"

#define SUFFIX ".jsonl"
#define DIGITS 8

static const char *const chain_names[JOURNAL_CHAINS] = {
    [JOURNAL_COMMANDS] = "commands", [JOURNAL_REFUSALS] = "refusals"};

const char *journal_chain_name(enum journal_chain_e chain)
{
    MUST(chain < JOURNAL_CHAINS);
    return chain_names[chain];
}

void journal_file_name(enum journal_chain_e chain, uint32_t number, char name[JOURNAL_NAME_MAX])
{
    MUST(number > 0 && number <= JOURNAL_NUMBER_MAX);
    snprintf(name, JOURNAL_NAME_MAX, "%s-%0*u" SUFFIX, journal_chain_name(chain), DIGITS, number);
}

bool journal_file_parse(const char *name, enum journal_chain_e *chain, uint32_t *number)
{
    const char *dash = strchr(name, '-');
    if (dash == NULL || strlen(dash + 1) != DIGITS + sizeof SUFFIX - 1 ||
        strcmp(dash + 1 + DIGITS, SUFFIX) != 0)
        return false;
    *number = 0;
    for (const char *digit = dash + 1; digit < dash + 1 + DIGITS; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        *number = *number * 10 + (uint32_t)(*digit - '0');
    }
    for (*chain = 0; *chain < JOURNAL_CHAINS; ++*chain)
        if (strlen(chain_names[*chain]) == (size_t)(dash - name) &&
            memcmp(chain_names[*chain], name, (size_t)(dash - name)) == 0)
            return *number > 0;
    return false;
}

/* --- a real directory -------------------------------------------------------------------------------------------- */

static int directory_list(void *arg, journal_each_f *each, void *each_arg)
{
    int fd = openat(*(int *)arg, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (listing == NULL) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return -error;
    }
    for (const struct dirent *entry; (errno = 0, entry = readdir(listing)) != NULL;) {
        struct stat info;
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode))
            each(each_arg, entry->d_name, (uint64_t)info.st_size);
    }
    int error = errno;
    closedir(listing);
    return -error;
}

/* O_NONBLOCK: something may have become a pipe since it was listed. */
static int directory_open(void *arg, const char *name)
{
    int fd = openat(*(int *)arg, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

static ssize_t directory_read(void *arg, int handle, void *to, size_t len)
{
    (void)arg;
    ssize_t got;
    while ((got = read(handle, to, len)) < 0 && errno == EINTR)
        ;
    return got >= 0 ? got : -errno;
}

static void directory_close(void *arg, int handle)
{
    (void)arg;
    close(handle);
}

struct journal_shelf journal_shelf_of(int *directory)
{
    return (struct journal_shelf){directory, directory_list, directory_open, directory_read, directory_close};
}

/* --- which there are --------------------------------------------------------------------------------------------- */

struct listing {
    struct journal_segments *chains;
    int error;
};

int journal_segments_add(struct journal_segments *segments, uint32_t number, uint64_t bytes)
{
    if (segments->count == JOURNAL_SEGMENTS_MAX)
        return -EFBIG;
    if (segments->count == segments->cap) {
        size_t cap = segments->cap > 0 ? 2 * segments->cap : 16;
        struct journal_segment *list = realloc(segments->list, cap * sizeof *list);
        if (list == NULL)
            return -ENOMEM;
        segments->list = list;
        segments->cap = cap;
    }
    segments->list[segments->count++] = (struct journal_segment){number, bytes};
    return 0;
}

static void note_file(void *arg, const char *name, uint64_t bytes)
{
    struct listing *listing = arg;
    enum journal_chain_e chain;
    uint32_t number;
    if (listing->error == 0 && journal_file_parse(name, &chain, &number))
        listing->error = journal_segments_add(&listing->chains[chain], number, bytes);
}

static int by_number(const void *a, const void *b)
{
    uint32_t left = ((const struct journal_segment *)a)->number,
             right = ((const struct journal_segment *)b)->number;
    return left < right ? -1 : left > right;
}

int journal_segments_list(const struct journal_shelf *shelf, struct journal_segments chains[JOURNAL_CHAINS])
{
    struct listing listing = {chains, 0};
    for (size_t i = 0; i < JOURNAL_CHAINS; i++)
        chains[i].count = 0;
    int error = shelf->list(shelf->arg, note_file, &listing);
    for (size_t i = 0; i < JOURNAL_CHAINS; i++)
        if (chains[i].count > 1)
            qsort(chains[i].list, chains[i].count, sizeof chains[i].list[0], by_number);
    return error != 0 ? error : listing.error;
}

void journal_segments_free(struct journal_segments chains[JOURNAL_CHAINS])
{
    for (size_t i = 0; i < JOURNAL_CHAINS; i++) {
        free(chains[i].list);
        chains[i] = (struct journal_segments){0};
    }
}
