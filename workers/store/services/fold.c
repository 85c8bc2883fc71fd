/* fold.c — see fold.h. */
#include "fold.h"

#include <stdint.h>
#include <string.h>

#include "must.h"
#include "utf8.h"

/* Letters under the accents of U+00C0 … U+00FF and U+0100 … U+017F; '?': none, or two. */
static const char latin_1[] = "aaaaaa?ceeeeiiiidnooooo?ouuuuy??"
                              "aaaaaa?ceeeeiiiidnooooo?ouuuuy?y";
static const char latin_extended_a[] = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii??jjkkkllllllllll"
                                       "nnnnnnnnnoooooo??rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof latin_1 == 0x40 + 1 && sizeof latin_extended_a == 0x80 + 1, "a letter each");

static const char *two_letters(uint32_t c)
{
    switch (c) {
    case 0xdf:
    case 0x1e9e:
        return "ss";
    case 0xc6:
    case 0xe6:
        return "ae";
    case 0x132:
    case 0x133:
        return "ij";
    case 0x152:
    case 0x153:
        return "oe";
    default:
        return NULL;
    }
}

static uint32_t fold_latin(uint32_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c + 0x20;
    if (c >= 0xc0 && c <= 0xff && latin_1[c - 0xc0] != '?')
        return (uint32_t)latin_1[c - 0xc0];
    if (c >= 0x100 && c <= 0x17f)
        return (uint32_t)latin_extended_a[c - 0x100];
    return c == 0xde ? 0xfe : c; /* thorn */
}

static uint32_t fold_greek(uint32_t c)
{
    static const struct {
        uint16_t from, to;
    } tonos[] = {{0x386, 0x3b1}, {0x388, 0x3b5}, {0x389, 0x3b7}, {0x38a, 0x3b9}, {0x38c, 0x3bf},
                 {0x38e, 0x3c5}, {0x38f, 0x3c9}, {0x3ac, 0x3b1}, {0x3ad, 0x3b5}, {0x3ae, 0x3b7},
                 {0x3af, 0x3b9}, {0x3c2, 0x3c3}, {0x3cc, 0x3bf}, {0x3cd, 0x3c5}, {0x3ce, 0x3c9}};
    for (unsigned i = 0; i < ARRAY_LEN(tonos); i++)
        if (tonos[i].from == c)
            return tonos[i].to;
    return c >= 0x391 && c <= 0x3a9 && c != 0x3a2 ? c + 0x20 : c; /* no letter has that one */
}

static uint32_t fold_cyrillic(uint32_t c)
{
    if (c == 0x401 || c == 0x451) /* io */
        return 0x435;
    if (c <= 0x40f)
        return c + 0x50;
    if (c <= 0x42f)
        return c + 0x20;
    return c >= 0x460 && (c <= 0x481 || (c >= 0x48a && c <= 0x4bf) || c >= 0x4d0) ? c | 1 : c;
}

static uint32_t fold_one(uint32_t c)
{
    if (c < 0x180)
        return fold_latin(c);
    if (c >= 0x370 && c <= 0x3ff)
        return fold_greek(c);
    if (c >= 0x400 && c <= 0x52f)
        return fold_cyrillic(c);
    if ((c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff))
        return c | 1;
    return c;
}

static uint32_t code_point(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    uint32_t c = bytes == 1 ? at[0] : at[0] & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++)
        c = c << 6 | (at[i] & 0x3fu);
    return c;
}

static size_t fold_character(uint32_t c, char *out)
{
    const char *letters = two_letters(c);
    if (c >= 0x300 && c <= 0x36f)
        return 0;
    if (letters == NULL)
        return utf8_put(fold_one(c), out);
    memcpy(out, letters, 2);
    return 2;
}

size_t fold_text(const char *text, size_t len, char *out)
{
    size_t made = 0, bytes;
    for (size_t at = 0; at < len; at += bytes) {
        char folded[4];
        bytes = utf8_step(text + at, len - at);
        if (bytes == 0) {
            out[made++] = text[at];
            bytes = 1;
            continue;
        }
        size_t n = fold_character(code_point(text + at, bytes), folded);
        MUST(n <= bytes);
        memcpy(out + made, folded, n);
        made += n;
    }
    return made;
}
