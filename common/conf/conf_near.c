/* conf_near.c — see conf_near.h. */
#include "conf_near.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WORD_MAX         64
#define ALTERNATIVES_MAX 32

/* Changes, insertions, deletions and swaps of neighbours (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], len = strlen(b);
    for (size_t j = 0; j <= len; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *higher = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t drop = (above[j] < row[j - 1] ? above[j] : row[j - 1]) + 1;
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = change < drop ? change : drop;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && higher[j - 2] + 1 < row[j])
                row[j] = higher[j - 2] + 1;
        }
    }
    return rows[strlen(a) % 3][len];
}

/* "warning" for "warn", "interval" for "interval_ms". */
static bool begins_alike(const char *a, const char *b)
{
    size_t len = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    return len >= 3 && memcmp(a, b, len) == 0;
}

const char *conf_near(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    if (strnlen(word, WORD_MAX + 1) > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        if (len > WORD_MAX)
            continue;
        size_t d = distance(word, words[i]);
        bool near = d <= (len <= 4 ? 1 : 1 + len / 4) || begins_alike(word, words[i]);
        if (near && d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

const char *conf_near_choice(const char *word, const char *alternatives, char out[64])
{
    char copies[ALTERNATIVES_MAX][WORD_MAX];
    const char *words[ALTERNATIVES_MAX];
    size_t count = 0;
    for (const char *at = alternatives; *at != '\0' && count < ALTERNATIVES_MAX; count++) {
        size_t len = strcspn(at, "|"), kept = len < WORD_MAX ? len : WORD_MAX - 1;
        memcpy(copies[count], at, kept);
        copies[count][kept] = '\0';
        words[count] = copies[count];
        at += len + (at[len] == '|');
    }
    const char *near = conf_near(word, words, count);
    return near != NULL ? memcpy(out, near, strlen(near) + 1) : NULL;
}
