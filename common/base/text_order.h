/* text_order.h — the order of texts that have a length: as strcmp() has it, byte by byte, and what a longer one begins with comes before it. They
 * may hold any bytes. Pure.
 */
#pragma once

#include <stddef.h>
#include <string.h>

/* Below 0, 0, above 0. A text of no bytes may be NULL. */
static inline int text_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t both = a_len < b_len ? a_len : b_len;
    int order = both > 0 ? memcmp(a, b, both) : 0;
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}
