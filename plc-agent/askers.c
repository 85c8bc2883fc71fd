/* See askers.h (Hop: C5, R1). */
#include "askers.h"

bool askers_add(struct askers *askers, const struct outcome *asked, const struct evidence *evidence)
{
    if (askers->count == ASKERS_MAX)
        return false;
    askers->of[askers->count++] = (struct asker){asked->key, asked->dialect, *evidence};
    return true;
}

bool askers_have(const struct askers *askers, const struct command_key *key)
{
    for (size_t i = 0; i < askers->count; i++)
        if (command_key_equals(&askers->of[i].key, key))
            return true;
    return false;
}

struct outcome asker_outcome(const struct outcome *answer, const struct command_key *key, uint64_t dialect)
{
    struct outcome repeat = *answer;
    repeat.key = *key;
    repeat.dialect = dialect;
    repeat.repeat = true;
    return repeat;
}
