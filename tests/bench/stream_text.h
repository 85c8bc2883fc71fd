/* stream_text.h — the messages of the streams' bench: text of an exact length that ends in when it was sent and its running
 * number, so that a receiver's common order (ref_log.h) needs nothing else.
 *
 *     noria bench ......................... t=0000012a05f20000 n=00000000000003e8
 *
 * Plain ASCII without quotes or backslashes: the text inside the JSON string is, byte for byte, what receivers get. Times
 * and numbers are 16 lower-case hexadecimal digits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_TEXT_MIN    64u /* bytes */
#define STREAM_TEXT_MAX    4096u
#define STREAM_TEXT_DIGITS 16u
/* Where the digits begin, counted from the end of the text. */
#define STREAM_TEXT_NUMBER_BACK 16u
#define STREAM_TEXT_TIME_BACK   35u

/* A message of `len` bytes, time and number 0. */
void stream_text_make(char *text, size_t len);

/* The digits of a value. */
void stream_text_digits(char digits[STREAM_TEXT_DIGITS], uint64_t value);

/* False: not of this form. */
bool stream_text_read(const unsigned char *text, size_t len, uint64_t *sent_ns, uint64_t *number);
