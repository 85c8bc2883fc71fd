/* The table, and the search in it. */
#include "metric_texts.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

static const struct metric_text texts[] = {
#define M(role, name, KIND, alarm, text) {#role, #name, STATS_##KIND, alarm, text},
    METRIC_TEXTS(M)
#undef M
};

static int compare(const void *a, const void *b)
{
    const struct metric_text *x = a, *y = b;
    int role = strcmp(x->role, y->role);
    return role != 0 ? role : strcmp(x->name, y->name);
}

const struct metric_text *metric_text_find(const char *role, const char *name)
{
    const struct metric_text wanted = {.role = role, .name = name};
    return bsearch(&wanted, texts, ARRAY_LEN(texts), sizeof *texts, compare);
}

const struct metric_text *metric_text_at(size_t i)
{
    return i < ARRAY_LEN(texts) ? &texts[i] : NULL;
}
