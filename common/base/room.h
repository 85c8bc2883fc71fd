/* room.h — memory that grows by doubling, for texts and rows whose end is not known while they are gathered. Whoever gathers holds the bound.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* What *cap becomes for `need` bytes: doubled as often as it takes; the first time (0), from `first` on. */
static inline size_t room_cap(size_t cap, size_t need, size_t first)
{
    if (cap == 0)
        cap = first;
    while (cap < need)
        cap *= 2;
    return cap;
}

/* Makes *memory (NULL at first; free() ends it) hold `need` bytes at least. False: out of memory, and nothing has changed. */
static inline bool room_make(char **memory, size_t *cap, size_t need, size_t first)
{
    size_t wanted = room_cap(*cap, need, first);
    if (wanted == *cap)
        return true;
    char *grown = realloc(*memory, wanted);
    if (grown == NULL)
        return false;
    *memory = grown;
    *cap = wanted;
    return true;
}
