/* hash.h — 64-bit hashes of bytes and integers.
 *
 * hash_bytes() is stable across processes, builds and hosts of either byte order: topic hashes and record checks in
 * shared memory and on the bus depend on it. It is the multiply-and-fold construction of wyhash (Wang Yi) over
 * 16 bytes a step; it detects damage and spreads keys, and is no defence against an adversary who chooses keys: maps
 * keyed by client data seed it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

static inline uint64_t hash_u64(uint64_t value)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(value ^ 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
