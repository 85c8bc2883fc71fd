/* UTF-8 as RFC 3629 and the Unicode standard's table 3-7 have it: no surrogates, nothing overlong, nothing above
 * U+10FFFF. On whole messages, eight ASCII bytes at a time; libwebsockets' own check is off, because it also runs over
 * the payload of pongs between fragments and then refuses good text (README.md). */
#include <string.h>

#include "ws_internal.h"

static size_t skip_ascii(const unsigned char *p, size_t len)
{
    size_t i = 0;
    for (uint64_t word; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if (word & 0x8080808080808080ULL)
            break;
    }
    while (i < len && p[i] < 0x80)
        i++;
    return i;
}

/* Length of the character at p, which is not ASCII; 0 if there is none. The second byte's range depends on the first,
 * which is what shuts out everything overlong, surrogates and too large ones. */
static size_t sequence(const unsigned char *p, size_t len)
{
    unsigned char first = p[0], low = 0x80, high = 0xbf;
    size_t need = first >= 0xc2 && first <= 0xdf   ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
    if (need == 0 || len < need)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

bool utf8_is_valid(const char *text, size_t len)
{
    const unsigned char *p = (const void *)text;
    for (size_t i = 0; (i += skip_ascii(p + i, len - i)) < len;) {
        size_t step = sequence(p + i, len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}
