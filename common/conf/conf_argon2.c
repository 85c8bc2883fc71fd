/* conf_argon2.c — the encoded form of an argon2id hash (conf.h), read to the letter: libargon2 belongs to who checks passwords, and a hash that
 * it would refuse is found when the file is read, not when somebody logs in. */
#include <string.h>

#include "conf.h"

static bool take(const char **at, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(*at, text, len) != 0)
        return false;
    *at += len;
    return true;
}

/* Decimal, from 1, without leading zeroes. */
static bool take_number(const char **at, uint32_t *value)
{
    uint64_t number = 0;
    size_t len = strspn(*at, "0123456789");
    if (len == 0 || len > 10 || **at == '0')
        return false;
    for (size_t i = 0; i < len; i++)
        number = number * 10 + (uint64_t)((*at)[i] - '0');
    *at += len;
    *value = (uint32_t)number;
    return number <= UINT32_MAX;
}

/* Base64 without padding, of `least` to `most` bytes; the bits behind the last byte are zero. */
static bool take_base64(const char **at, size_t least, size_t most)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strspn(*at, digits), bytes = len / 4 * 3 + (len % 4 > 0 ? len % 4 - 1 : 0);
    if (len % 4 == 1 || bytes < least || bytes > most)
        return false;
    const char *last = strchr(digits, (*at)[len - 1]);
    unsigned unused = len % 4 == 2 ? 0xf : len % 4 == 3 ? 0x3 : 0;
    *at += len;
    return ((unsigned)(last - digits) & unused) == 0;
}

bool conf_argon2(const char *encoded, struct conf_argon2 *cost)
{
    const char *at = encoded;
    return take(&at, "$argon2id$v=19$m=") && take_number(&at, &cost->kib) && take(&at, ",t=") &&
           take_number(&at, &cost->passes) && take(&at, ",p=") && take_number(&at, &cost->lanes) &&
           take(&at, "$") && take_base64(&at, 8, 64) && take(&at, "$") && take_base64(&at, 16, 64) &&
           *at == '\0' && cost->kib / 8 >= cost->lanes;
}
