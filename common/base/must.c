#include "must.h"

#include <stdlib.h>

#include "log.h"

void must_fail(const char *file, int line, const char *func, const char *what)
{
    log_error("assertion", "file=%s line=%d function=%s failed=\"%s\"", file, line, func, what);
    abort();
}
