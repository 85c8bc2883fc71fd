/* launch_program.h — where a handler's program is, as execvp(3) would find it, before anything is forked: so that what is missing
 * can be said in words, once, and is no death. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#define PROGRAM_FAULT_MAX 160

/* A `name` with a slash is a path; another is looked for in the directories of `path` ("a:b:c"; an empty one is the working
 * directory; NULL: confstr(_CS_PATH)). True: `found` is a file that may be executed, absolute unless `name` is a relative path.
 * False: `fault` says why not. */
bool program_find(const char *name, const char *path, char found[PATH_MAX], char fault[PROGRAM_FAULT_MAX]);
