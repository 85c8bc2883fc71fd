/* text_file.h — a small file that a person wrote (a configuration, a schema), read whole. */
#pragma once

#include <stddef.h>

#include "errcode.h"

#define TEXT_FILE_FAULT_MAX 200

/* Reads a regular file of at most `max` bytes; the text, without a NUL behind it, is the caller's to free, also after an error. ERR_CONFIG:
 * `fault` says why ("cannot be opened: …", "is longer than …", "is being written: …": half of it would be taken for all of it); ERR_MEMORY. Blocks on the disk, never on a FIFO. */
enum err_e text_file_read(const char *path, size_t max, char **text, size_t *len,
                          char fault[TEXT_FILE_FAULT_MAX]);
