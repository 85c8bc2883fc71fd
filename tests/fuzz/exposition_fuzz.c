/* Segments of anybody, as Prometheus text: what comes out is a document that a strict reader takes, whatever went in.
 *
 * Input: pieces of one byte n and a name of n % 32 bytes, one byte m and an id of m % 72 bytes, two bytes with the block's length (little-endian),
 * the block. Of a block whose magic is wrong, magic and version are put right: random bytes would never pass. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exposition.h"
#include "must.h"
#include "prom_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_text(struct in *in, size_t max, char *text)
{
    size_t len = in_u8(in) % max;
    const char *bytes = in_bytes(in, len);
    if (bytes != NULL)
        memcpy(text, bytes, len);
    text[bytes != NULL ? len : 0] = '\0';
}

static void add_one(struct exposition *e, struct in *in, uint64_t *words, size_t cap)
{
    static const char magic[8] = "NORISTAT";
    char name[33], id[73];
    take_text(in, sizeof name - 1, name);
    take_text(in, sizeof id - 1, id);
    size_t len = in_u8(in);
    len = (len | (size_t)in_u8(in) << 8) % cap;
    len = len < in->left ? len : in->left;
    const void *bytes = in_bytes(in, len);
    memset(words, 0, cap);
    if (bytes != NULL)
        memcpy(words, bytes, len);
    if (memcmp(words, magic, sizeof magic) != 0) {
        memcpy(words, magic, sizeof magic);
        words[1] = 1;
        words[2] %= 8;
        words[3] = cap / 8;
    }
    struct stats_view view;
    if (stats_view_open(&view, words, cap) == ERR_OK)
        (void)exposition_add(e, name, id, &view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { BLOCK = 16384 };
    static uint64_t words[BLOCK / 8];
    struct in in = in_init(data, size);
    struct exposition *e;
    char error[256];
    if (exposition_new(&e) != ERR_OK)
        abort();
    for (unsigned i = 0; i < 16 && in.left > 0 && !in.underflow; i++)
        add_one(e, &in, words, sizeof words);
    if (exposition_end(e, 12345) != ERR_OK)
        abort();
    size_t len = exposition_length(e);
    char *text = malloc(len + 1);
    struct out out = out_init(text, len);
    while (exposition_next(e, &out))
        ;
    text[len] = '\0';
    if (out.overflow || out.len != len || !prom_check(text, len, error)) {
        fprintf(stderr, "%s\n%s", error, text);
        abort();
    }
    free(text);
    exposition_free(&e);
    return 0;
}
