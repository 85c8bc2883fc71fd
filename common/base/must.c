#include "must.h"

#include <stdio.h>
#include <stdlib.h>

void must_fail(const char *file, int line, const char *func, const char *what)
{
    fprintf(stderr, "assertion failed: %s at %s:%d in %s()\n", what, file, line, func);
    abort();
}
