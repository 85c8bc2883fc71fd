/* log_tee.h — how log.c writes the memory of log_tee(); private to log.c. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct log_tee_head {
    _Atomic uint64_t begun, done; /* bytes ever */
};

void log_tee_write(void *memory, size_t size, const char *line, size_t len);
