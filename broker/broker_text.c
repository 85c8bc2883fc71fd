/* The table of well-formed sequences of the Unicode Standard (table 3-7), row by row. */
#include "broker_text.h"

#include <stdint.h>

#include "must.h"

static const struct row {
    unsigned char first_from, first_to, second_from, second_to, length;
} rows[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* Length of the well-formed sequence at `at`; 0: none. */
static size_t sequence(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return at[0] != 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        if (at[0] < row->first_from || at[0] > row->first_to)
            continue;
        if (left < row->length || at[1] < row->second_from || at[1] > row->second_to)
            return 0;
        for (size_t k = 2; k < row->length; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return row->length;
    }
    return 0;
}

bool broker_text_clean(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0, n; i < len; i += n)
        if ((n = sequence(at + i, len - i)) == 0)
            return false;
    return true;
}
