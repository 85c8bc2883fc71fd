/* conf_near.h — which of some words another one may have been meant to be. */
#pragma once

#include <stddef.h>

/* The word with the fewest typing errors (a letter changed, missing, too many, or swapped with the next) between it and
 * `word`: at most one, and one more for each four letters of a long one, or any number where one of the two begins
 * with the other. NULL: none. Words longer than 64 bytes are near to nothing. */
const char *conf_near(const char *word, const char *const *words, size_t count);

/* The same for the alternatives of a choice, "a|b|c", copied to `out`. */
const char *conf_near_choice(const char *word, const char *alternatives, char out[64]);
