/* stream_text.c — see stream_text.h. */
#include "stream_text.h"

#include <string.h>

#include "must.h"

static const char head[] = "noria bench ";
static const char tail[] = " t=0000000000000000 n=0000000000000000";

void stream_text_make(char *text, size_t len)
{
    MUST(len >= STREAM_TEXT_MIN && len <= STREAM_TEXT_MAX);
    memset(text, '.', len);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + len - (sizeof tail - 1), tail, sizeof tail - 1);
}

void stream_text_digits(char digits[STREAM_TEXT_DIGITS], uint64_t value)
{
    for (unsigned i = STREAM_TEXT_DIGITS; i-- > 0; value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15u];
}

static bool read_digits(const unsigned char *digits, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < STREAM_TEXT_DIGITS; i++) {
        unsigned char c = digits[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool stream_text_read(const unsigned char *text, size_t len, uint64_t *sent_ns, uint64_t *number)
{
    if (len < STREAM_TEXT_MIN || memcmp(text, head, sizeof head - 1) != 0)
        return false;
    const unsigned char *end = text + len;
    return memcmp(end - STREAM_TEXT_TIME_BACK - 3, " t=", 3) == 0 &&
           memcmp(end - STREAM_TEXT_NUMBER_BACK - 3, " n=", 3) == 0 &&
           read_digits(end - STREAM_TEXT_TIME_BACK, sent_ns) &&
           read_digits(end - STREAM_TEXT_NUMBER_BACK, number);
}
