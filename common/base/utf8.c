#include "utf8.h"

#include <string.h>

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

size_t utf8_step(const char *text, size_t len)
{
    return (unsigned char)text[0] < 0x80 ? 1 : sequence((const void *)text, len);
}

size_t utf8_put(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = bytes; --i > 0; code_point >>= 6)
        out[i] = (char)(0x80 | (code_point & 0x3f));
    out[0] = (char)(0xf0u << (4 - bytes) | code_point);
    return bytes;
}

void utf8_make_printable(char *text, size_t len, bool lines)
{
    for (size_t i = 0, step; i < len; i += step) {
        unsigned char first = (unsigned char)text[i];
        step = utf8_step(text + i, len - i);
        if (lines && first == '\n')
            continue;
        bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        if (step != 0 && !control)
            continue;
        step = step == 0 ? 1 : step;
        memset(text + i, '?', step);
    }
}
