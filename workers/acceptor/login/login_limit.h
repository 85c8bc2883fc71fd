/* login_limit.h — how often somebody may try (Hop: C1): token buckets by key, in a table of fixed size. Pure; time is an argument.
 *
 *     set = hash mod 512 ──▶ [ key, tries left, when ] × 8      a full bucket is as good as none, so the fullest gives way
 *
 * Whoever wants to push a bucket out must fill its set with keys that have fewer tries left, without knowing the seed. Rejected: a map
 * that grows, which is memory for whoever asks for it; and one bucket for all, with which anybody could keep everybody out.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define LOGIN_LIMIT_SETS 512u
#define LOGIN_LIMIT_WAYS 8u

struct login_bucket {
    uint64_t key;   /* 0: free */
    uint64_t at_ns; /* when it was full, or will be: each try moves that on by one refill */
};

struct login_limit {
    unsigned burst;     /* tries at once */
    uint64_t refill_ns; /* and one more each */
    uint64_t seed;
    struct login_bucket buckets[LOGIN_LIMIT_SETS][LOGIN_LIMIT_WAYS];
};

/* Zeroes it. `seed`: random. */
void login_limit_init(struct login_limit *limit, unsigned burst, uint64_t refill_ns, uint64_t seed);

uint64_t login_limit_key(const struct login_limit *limit, const void *bytes, size_t len); /* never 0 */

/* Takes a try. 0: there was one; else after how many ns there will be one. */
uint64_t login_limit_take(struct login_limit *limit, uint64_t key, uint64_t now_ns);

/* Gives one back. */
void login_limit_give(struct login_limit *limit, uint64_t key, uint64_t now_ns);
