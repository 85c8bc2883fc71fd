/* shm_file.h — files that processes share by mapping: how they come to be, are locked, opened and mapped.
 *
 * A file appears under its name complete or not at all: a draft is made under a temporary name beside it (mode 0640),
 * sized, filled, and then renamed (or linked, where nothing may be replaced). No file is ever truncated or written over
 * while others may map it. The writer of a file holds an open-file-description lock on it (fcntl F_OFD_SETLK), which
 * the kernel drops with the process, however it dies.
 *
 * All errors but ERR_NOT_FOUND, ERR_BUSY and ERR_EXISTS are logged here, with path and errno. Boot-time only.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

struct shm_draft {
    int fd; /* read-write, locked */
    char path[PATH_MAX];
};

/* A new file of `size` bytes beside `path`. With `reserve` its memory is allocated now, so that a full file system is
 * an error here and no SIGBUS at the first store; else pages come when they are touched (shm_file_reserve()). */
enum err_e shm_file_draft(const char *path, uint64_t size, bool reserve, struct shm_draft *draft);
/* Gives the draft its name; `replace` false: ERR_EXISTS if the name is taken. The caller owns draft->fd afterwards. */
enum err_e shm_file_publish(const struct shm_draft *draft, const char *path, bool replace);
void shm_file_discard(const struct shm_draft *draft); /* removes the temporary name, closes the descriptor */

/* Allocates the pages under a range. ERR_FULL if the file system has no room (not logged). */
enum err_e shm_file_reserve(int fd, uint64_t offset, uint64_t len);

/* Opens an existing file read-write as its only writer. ERR_NOT_FOUND; ERR_BUSY: another process holds the lock. */
enum err_e shm_file_attach(const char *path, int *fd, uint64_t *size);
/* Opens an existing regular file read-only. ERR_NOT_FOUND. */
enum err_e shm_file_open(const char *path, int *fd, uint64_t *size);
/* True if a writer, in whatever process, holds the lock on the file behind `fd`; asking takes no lock. */
bool shm_file_locked(int fd);
/* Reads `len` bytes at offset 0, before anything is mapped. ERR_MALFORMED if there are fewer. */
enum err_e shm_file_peek(int fd, void *to, size_t len);

/* True if the file still has `size` bytes. */
bool shm_file_is(int fd, uint64_t size);

/* Maps bytes 0 to `size`. */
enum err_e shm_file_map(int fd, uint64_t size, bool writable, void **at);
/* Maps bytes 0 to offset + size, and behind them bytes offset to offset + size once more, so that what wraps around the
 * end of the data is contiguous. Length of the mapping: offset + 2 * size. */
enum err_e shm_file_map_twice(int fd, uint64_t offset, uint64_t size, bool writable, void **at);
void shm_file_unmap(void *at, uint64_t len);
/* True if a page of this mapping was missing when it was touched: somebody cut the file, or a hole of it found no room. The
 * process is not killed (shm_guard.h): the page reads as zeroes, and what is stored there is seen by nobody. */
bool shm_file_cut(const void *at);

/* The word by which a writer tells readers that a successor stands, or will stand, under the name. A pattern, and read as
 * what it is closer to, so that a flipped bit neither retires a file nor brings it back. */
#define SHM_RETIRED 0x4445524954455221ULL /* "!RETIRED" */
static inline bool shm_retired(uint64_t word)
{
    return __builtin_popcountll(word ^ SHM_RETIRED) <= 8;
}

/* True if `path` still names the file behind `fd`. */
bool shm_file_stands(const char *path, int fd);
/* Removes `path` if it does. */
void shm_file_unlink(const char *path, int fd);
