/* schema_unicode.h — the three classes of characters that patterns name: \w, \d and \s. Sorted ranges of code points.
 *
 * As in Rust's regex, which Pydantic uses, they are Unicode's and not ASCII's. Newer Unicode versions know more characters
 * than these tables; such a character is in no class here.
 */
#pragma once

#include <stdint.h>

struct schema_range {
    uint32_t first, last;
};

extern const struct schema_range schema_words[], schema_digits[], schema_spaces[];
extern const unsigned schema_words_count, schema_digits_count, schema_spaces_count;
