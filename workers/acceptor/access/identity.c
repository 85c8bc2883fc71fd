/* identity.c — see identity.h (Hops: C1, C2). One allocation holds everything: the struct, then pointers, sorted by what they point to, then texts. */
#include "identity.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "text_order.h"

struct identity {
    uint64_t expires_ms, source_id;
    enum identity_source_e source;
    uint32_t references; /* UINT32_MAX: lives for ever */
    char name[IDENTITY_NAME_MAX + 1];
    bool all[GRANT_COUNT];
    uint32_t counts[GRANT_COUNT];
    const char *const *names[GRANT_COUNT];
};

static struct identity nobody = {.expires_ms = IDENTITY_NEVER, .references = UINT32_MAX};

const struct identity *identity_nobody(void)
{
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        nobody.all[g] = true;
    return &nobody;
}

static size_t bytes_of(const struct identity_draft *draft)
{
    size_t bytes = sizeof(struct identity);
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        for (size_t i = 0; draft->names[g] != IDENTITY_ALL && i < draft->counts[g]; i++)
            bytes += sizeof(char *) + strlen(draft->names[g][i]) + 1;
    return bytes;
}

static size_t names_of(const struct identity_draft *draft)
{
    size_t count = 0;
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        count += draft->names[g] == IDENTITY_ALL ? 0 : draft->counts[g];
    return count;
}

static int by_name(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return text_order(x, strlen(x), y, strlen(y));
}

const struct identity *identity_new(const struct identity_draft *draft)
{
    struct identity *identity = calloc(1, bytes_of(draft));
    if (identity == NULL)
        return NULL;
    const char **names = (const char **)(identity + 1);
    char *text = (char *)(names + names_of(draft));
    MUST(strlen(draft->name) <= IDENTITY_NAME_MAX);
    memcpy(identity->name, draft->name, strlen(draft->name));
    identity->expires_ms = draft->expires_ms;
    identity->source = draft->source;
    identity->source_id = draft->source_id;
    identity->references = 1;
    for (unsigned g = 0; g < GRANT_COUNT; g++) {
        identity->all[g] = draft->names[g] == IDENTITY_ALL;
        identity->counts[g] = identity->all[g] ? 0 : (uint32_t)draft->counts[g];
        identity->names[g] = names;
        for (uint32_t i = 0; i < identity->counts[g]; i++) {
            size_t len = strlen(draft->names[g][i]) + 1;
            memcpy(text, draft->names[g][i], len);
            *names++ = text;
            text += len;
        }
        qsort(names - identity->counts[g], identity->counts[g], sizeof *names, by_name);
    }
    return identity;
}

const struct identity *identity_get(const struct identity *identity)
{
    struct identity *counted = (struct identity *)(uintptr_t)identity;
    if (identity->references != UINT32_MAX)
        counted->references++;
    return identity;
}

void identity_put(const struct identity **identity)
{
    struct identity *counted = (struct identity *)(uintptr_t)*identity;
    *identity = NULL;
    if (counted != NULL && counted->references != UINT32_MAX && --counted->references == 0)
        free(counted);
}

const char *identity_name(const struct identity *identity)
{
    return identity->name;
}

uint64_t identity_expires_ms(const struct identity *identity)
{
    return identity->expires_ms;
}

enum identity_source_e identity_source(const struct identity *identity)
{
    return identity->source;
}

uint64_t identity_source_id(const struct identity *identity)
{
    return identity->source_id;
}

/* Whoever may command a machine sees it. */
static bool implied(const struct identity *identity, enum grant_e grant, const char *name, size_t len)
{
    return grant == GRANT_MACHINES_VIEW && identity_may(identity, GRANT_MACHINES_COMMAND, name, len);
}

bool identity_may_all(const struct identity *identity, enum grant_e grant)
{
    return identity->all[grant] || (grant == GRANT_MACHINES_VIEW && identity->all[GRANT_MACHINES_COMMAND]);
}

bool identity_may(const struct identity *identity, enum grant_e grant, const char *name, size_t len)
{
    if (identity->all[grant])
        return true;
    for (uint32_t low = 0, high = identity->counts[grant]; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        const char *here = identity->names[grant][middle];
        int order = text_order(name, len, here, strlen(here));
        if (order == 0)
            return true;
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return implied(identity, grant, name, len);
}

const char *const *identity_names(const struct identity *identity, enum grant_e grant, uint32_t *count)
{
    *count = identity->counts[grant];
    return identity->names[grant];
}

bool identity_covers(const struct identity *identity, const struct identity *less)
{
    for (unsigned g = 0; g < GRANT_COUNT; g++) {
        if (less->all[g] && !identity_may_all(identity, g))
            return false;
        for (uint32_t i = 0; i < less->counts[g]; i++)
            if (!identity_may(identity, g, less->names[g][i], strlen(less->names[g][i])))
                return false;
    }
    return true;
}
