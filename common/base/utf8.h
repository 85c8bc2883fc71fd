/* utf8.h — UTF-8 as RFC 3629 and the Unicode standard's table 3-7 have it: no surrogates, nothing overlong, nothing above
 * U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole text, eight ASCII bytes at a time. */
bool utf8_is_valid(const char *text, size_t len);

/* Bytes of the character at `text`, of which `len` (at least 1) may be read; 0: there is none. */
size_t utf8_step(const char *text, size_t len);

/* Writes the character of a code point that is no surrogate and at most U+10FFFF; returns its bytes. */
size_t utf8_put(uint32_t code_point, char out[4]);

/* Makes any bytes fit for a terminal or a log line, in place and in the same length: what is no UTF-8, and every control character (also
 * DEL and U+0080 to U+009F), becomes '?' for each of its bytes; '\n' stays if `lines`. */
void utf8_make_printable(char *text, size_t len, bool lines);
