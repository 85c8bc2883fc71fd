/* login_limit.c — see login_limit.h (Hop: C1). A bucket is one time: that at which it is full again (GCRA, ITU-T I.371). */
#include "login_limit.h"

#include <string.h>

#include "hash.h"

void login_limit_init(struct login_limit *limit, unsigned burst, uint64_t refill_ns, uint64_t seed)
{
    memset(limit, 0, sizeof *limit);
    limit->burst = burst;
    limit->refill_ns = refill_ns;
    limit->seed = seed;
}

uint64_t login_limit_key(const struct login_limit *limit, const void *bytes, size_t len)
{
    uint64_t key = hash_bytes(bytes, len, limit->seed);
    return key != 0 ? key : 1;
}

static struct login_bucket *bucket_of(struct login_limit *limit, uint64_t key)
{
    struct login_bucket *set = limit->buckets[key % LOGIN_LIMIT_SETS];
    for (unsigned i = 0; i < LOGIN_LIMIT_WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

/* The fullest of the set. */
static struct login_bucket *make_room(struct login_limit *limit, uint64_t key)
{
    struct login_bucket *set = limit->buckets[key % LOGIN_LIMIT_SETS], *fullest = &set[0];
    for (unsigned i = 1; i < LOGIN_LIMIT_WAYS; i++)
        if (set[i].at_ns < fullest->at_ns)
            fullest = &set[i];
    *fullest = (struct login_bucket){.key = key};
    return fullest;
}

uint64_t login_limit_take(struct login_limit *limit, uint64_t key, uint64_t now_ns)
{
    struct login_bucket *bucket = bucket_of(limit, key);
    if (bucket == NULL)
        bucket = make_room(limit, key);
    uint64_t full = (bucket->at_ns > now_ns ? bucket->at_ns : now_ns) + limit->refill_ns;
    uint64_t most = now_ns + limit->burst * limit->refill_ns;
    if (full > most)
        return full - most;
    bucket->at_ns = full;
    return 0;
}

void login_limit_give(struct login_limit *limit, uint64_t key, uint64_t now_ns)
{
    struct login_bucket *bucket = bucket_of(limit, key);
    if (bucket != NULL && bucket->at_ns > now_ns)
        bucket->at_ns -= limit->refill_ns < bucket->at_ns ? limit->refill_ns : bucket->at_ns;
}
