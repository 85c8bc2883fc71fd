#include "hash.h"

#include <endian.h>
#include <string.h>

static uint64_t load64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const uint64_t k0 = 0xa0761d6478bd642fULL, k1 = 0xe7037ed1a0b428dbULL, k2 = 0x8ebc6af09c88c6e3ULL;
    const unsigned char *p = data;
    uint64_t h = seed ^ k0;
    size_t left = len;

    for (; left >= 16; left -= 16, p += 16)
        h = fold(load64(p) ^ k1, load64(p + 8) ^ h);
    unsigned char tail[16] = {0};
    if (left > 0)
        memcpy(tail, p, left);
    h = fold(load64(tail) ^ k1, load64(tail + 8) ^ h);
    return fold(h ^ k2, (uint64_t)len ^ k1);
}
