/* entropy.h — random numbers from the kernel, for incarnations, ring ids, hash seeds and jitter. Not for keys. */
#pragma once

#include <stdint.h>

uint64_t entropy_u64(void); /* never 0 */
