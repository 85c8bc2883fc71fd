/* schema_alloc.h — memory from jansson's own functions, so that whoever replaces those (a test that lets the n-th
 * allocation fail) sees all of this module's allocations. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <string.h>

static inline void *schema_alloc(size_t size)
{
    json_malloc_t take;
    json_get_alloc_funcs(&take, NULL);
    return take(size > 0 ? size : 1);
}

static inline void schema_release(void *memory)
{
    json_free_t give;
    json_get_alloc_funcs(NULL, &give);
    if (memory != NULL)
        give(memory);
}

/* `memory` with room for `want` bytes, of which `have` are kept; NULL: no memory, and `memory` stays as it was. */
static inline void *schema_grow(void *memory, size_t have, size_t want)
{
    void *more = schema_alloc(want);
    if (more != NULL && have > 0)
        memcpy(more, memory, have);
    if (more != NULL)
        schema_release(memory);
    return more;
}
