#include "entropy.h"

#include <sys/random.h>

#include "must.h"

uint64_t entropy_u64(void)
{
    uint64_t value = 0;
    while (value == 0)
        MUST(getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value);
    return value;
}
