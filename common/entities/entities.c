/* entities.c — see entities.h. */
#include "entities.h"

#include <string.h>

#include "must.h"

#define F(NAME, required, nullable, changeable) {ARG_##NAME, required, nullable, changeable},
#define X(NAME, english, spanish, type, channel)                                                             \
    static const struct entity_field fields_of_##NAME[] = {ENTITY_##NAME##_FIELDS(F)};                       \
    _Static_assert(ARRAY_LEN(fields_of_##NAME) <= ENTITY_FIELDS_MAX, "a bound");
ENTITY_TABLE(X)
#undef X
#undef F

static const struct entity entities[] = {
#define X(NAME, english, spanish, type, channel)                                                             \
    [ENTITY_##NAME] = {english, spanish, type, channel, fields_of_##NAME, ARRAY_LEN(fields_of_##NAME)},
    ENTITY_TABLE(X)
#undef X
};

const struct entity *entity_of(enum entity_e entity)
{
    return entity > ENTITY_NONE && entity < ENTITY_COUNT ? &entities[entity] : NULL;
}

enum entity_e entity_find(const char *segment)
{
    for (int e = ENTITY_NONE + 1; e < ENTITY_COUNT; e++)
        if (strcmp(entities[e].english, segment) == 0 || strcmp(entities[e].spanish, segment) == 0)
            return (enum entity_e)e;
    return ENTITY_NONE;
}
