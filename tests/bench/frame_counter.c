/* frame_counter.c — carrying half frames over reads, and building client frames (frame_counter.h). */
#include "frame_counter.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

size_t frame_carry_load(struct frame_carry *carry, unsigned char *buffer, size_t cap)
{
    size_t len = carry->len;
    MUST(len <= cap);
    if (len > 0)
        memcpy(buffer, carry->bytes, len);
    carry->len = 0;
    return len;
}

enum err_e frame_carry_store(struct frame_carry *carry, const unsigned char *bytes, size_t len)
{
    MUST(carry->len == 0 && len <= UINT32_MAX / 2);
    if (len > carry->cap) {
        unsigned char *grown = realloc(carry->bytes, len);
        if (grown == NULL)
            return ERR_MEMORY;
        carry->bytes = grown;
        carry->cap = (uint32_t)len;
    }
    if (len > 0)
        memcpy(carry->bytes, bytes, len);
    carry->len = (uint32_t)len;
    return ERR_OK;
}

void frame_carry_fini(struct frame_carry *carry)
{
    free(carry->bytes);
    *carry = (struct frame_carry){0};
}

static size_t put_head(unsigned char *out, uint8_t opcode, size_t len)
{
    out[0] = (unsigned char)(0x80u | opcode);
    if (len < 126) {
        out[1] = (unsigned char)(0x80u | len);
        return 2;
    }
    size_t size_bytes = len <= 0xffff ? 2 : 8;
    out[1] = size_bytes == 2 ? 0x80u | 126u : 0x80u | 127u;
    for (size_t i = 0; i < size_bytes; i++)
        out[2 + i] = (unsigned char)((uint64_t)len >> (8 * (size_bytes - 1 - i)));
    return 2 + size_bytes;
}

size_t frame_client(unsigned char *out, size_t cap, uint8_t opcode, const void *payload, size_t len,
                    uint32_t mask)
{
    if (cap < FRAME_CLIENT_HEAD || cap - FRAME_CLIENT_HEAD < len)
        return 0;
    size_t at = put_head(out, opcode, len);
    unsigned char key[4];
    memcpy(key, &mask, sizeof key);
    memcpy(out + at, key, sizeof key);
    at += sizeof key;
    const unsigned char *in = payload;
    for (size_t i = 0; i < len; i++)
        out[at + i] = in[i] ^ key[i % 4];
    return at + len;
}
