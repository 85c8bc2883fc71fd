/* See text_file.h. */
#include "text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -1: `fault` says why. */
static int open_file(const char *path, char fault[TEXT_FILE_FAULT_MAX])
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    if (fd < 0) {
        snprintf(fault, TEXT_FILE_FAULT_MAX, "cannot be opened: %s", strerror(errno));
        return -1;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    snprintf(fault, TEXT_FILE_FAULT_MAX, "is not a regular file");
    close(fd);
    return -1;
}

/* Reads at most max + 1, so that a file that grew is found too long. False: errno says why. */
static bool read_whole(int fd, size_t max, char *text, size_t *len)
{
    ssize_t n = 1;
    *len = 0;
    while (*len <= max && n > 0) {
        n = read(fd, text + *len, max + 1 - *len);
        *len += n > 0 ? (size_t)n : 0;
    }
    return n == 0 || *len > max;
}

static bool is_as_before(int fd, const struct stat *before)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_size == before->st_size &&
           now.st_mtim.tv_sec == before->st_mtim.tv_sec && now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

static void read_into(int fd, size_t max, char *text, size_t *len, char fault[TEXT_FILE_FAULT_MAX])
{
    struct stat before = {0};
    if (fstat(fd, &before) != 0 || !read_whole(fd, max, text, len))
        snprintf(fault, TEXT_FILE_FAULT_MAX, "cannot be read: %s", strerror(errno));
    else if (*len > max)
        snprintf(fault, TEXT_FILE_FAULT_MAX, "is longer than %zu bytes", max);
    else if (!is_as_before(fd, &before))
        snprintf(fault, TEXT_FILE_FAULT_MAX, "is being written: it changed while it was read");
}

enum err_e text_file_read(const char *path, size_t max, char **text, size_t *len,
                          char fault[TEXT_FILE_FAULT_MAX])
{
    *text = NULL;
    *len = 0;
    fault[0] = '\0';
    int fd = open_file(path, fault);
    if (fd < 0)
        return ERR_CONFIG;
    *text = malloc(max + 1);
    if (*text != NULL)
        read_into(fd, max, *text, len, fault);
    close(fd);
    if (*text == NULL)
        return ERR_MEMORY;
    return fault[0] != '\0' ? ERR_CONFIG : ERR_OK;
}
