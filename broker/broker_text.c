#include "broker_text.h"

#include <string.h>

#include "utf8.h"

bool broker_text_clean(const char *text, size_t len)
{
    return utf8_is_valid(text, len) && (len == 0 || memchr(text, 0, len) == NULL);
}
