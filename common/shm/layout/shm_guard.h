/* shm_guard.h — what happens when a page of a mapped file is not there: private to shm_file.c.
 *
 * A file is never cut while it is mapped, by Noria. Others can (a truncating shell, a full tmpfs under a hole): then the
 * kernel answers the access with SIGBUS, which would kill a worker with all its clients. Here a handler puts a private
 * page of zeroes under the access, notes the mapping as cut, says so once on stderr, and lets the access be repeated. Whoever owns the mapping asks
 * (shm_file_cut()) before it believes or reports anything, and gives the mapping up.
 *
 * A SIGBUS anywhere else is none of ours: the former disposition is restored, and the access repeated under it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Watches a mapping; installs the handler where it is not. False: no room in the table (the mapping goes unwatched). */
bool shm_guard_add(void *at, uint64_t len, bool writable);
void shm_guard_remove(const void *at); /* before munmap() */
bool shm_guard_cut(const void *at);
