/* See text_file.h. */
#include "text_file.h"

#include <errno.h>
#include <fcntl.h>
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

/* Reads at most max + 1, so that a file that grew is found too long. */
enum err_e text_file_read(const char *path, size_t max, char **text, size_t *len,
                          char fault[TEXT_FILE_FAULT_MAX])
{
    *text = NULL;
    *len = 0;
    fault[0] = '\0';
    int fd = open_file(path, fault);
    if (fd < 0)
        return ERR_CONFIG;
    ssize_t n = 1;
    *text = malloc(max + 1);
    while (*text != NULL && *len <= max && n > 0) {
        n = read(fd, *text + *len, max + 1 - *len);
        *len += n > 0 ? (size_t)n : 0;
    }
    int error = errno;
    close(fd);
    if (*text == NULL)
        return ERR_MEMORY;
    if (n < 0)
        snprintf(fault, TEXT_FILE_FAULT_MAX, "cannot be read: %s", strerror(error));
    else if (*len > max)
        snprintf(fault, TEXT_FILE_FAULT_MAX, "is longer than %zu bytes", max);
    return fault[0] != '\0' ? ERR_CONFIG : ERR_OK;
}
