/* scratch_dir.h — a directory of the test's own below /tmp, and texts in files there. Who makes a file removes it: scratch_remove() fails if one is left.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch_dir[64];

/* As a cmocka set-up and tear-down return: 0, or -1. */
static inline int scratch_make(const char *test)
{
    snprintf(scratch_dir, sizeof scratch_dir, "/tmp/%s.XXXXXX", test);
    return mkdtemp(scratch_dir) != NULL ? 0 : -1;
}

static inline int scratch_remove(void)
{
    return rmdir(scratch_dir);
}

/* The path of a name in it; good for the next three calls. */
static inline const char *scratch_file(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_dir, name);
    return path;
}

static inline void scratch_write(const char *name, const char *text)
{
    FILE *out = fopen(scratch_file(name), "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}
