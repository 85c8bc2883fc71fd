/* conf_value.h — the value of one line of the table, out of a structure that it was stored in: compared, and written as it would stand
 * in the file. The other way round is conf_key_store(). */
#pragma once

#include "conf_key.h"

#define CONF_VALUE_MAX 160 /* bytes with the NUL; what is longer is "…" */

/* A list of words of the table (CONF_STRINGS). */
struct conf_words {
    const char *const *words;
    size_t count;
    bool all; /* everything that there is, without a list */
};
struct conf_words conf_words_of(const struct conf_key *key, const void *target);

/* `key` is one value, or a list of words. */
bool conf_value_same(const struct conf_key *key, const void *a, const void *b);

/* "…" for secrets. */
void conf_value_text(const struct conf_key *key, const void *target, char out[CONF_VALUE_MAX]);
