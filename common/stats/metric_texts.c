/* The table, and the search in it. */
#include "metric_texts.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
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

_Static_assert(STATS_NAME_MAX + METRIC_ROLE_MAX + sizeof "noria___seconds" <= METRIC_NAME_MAX, "names fit");

void metric_family_name(char text[METRIC_NAME_MAX + 1], const char *role, const char *name,
                        enum stats_kind_e kind)
{
    struct out out = out_init(text, METRIC_NAME_MAX);
    size_t len = strlen(name);
    if (kind == STATS_HISTOGRAM && len > 3 && memcmp(name + len - 3, "_ns", 3) == 0)
        len -= 3;
    out_literal(&out, "noria_");
    out_text(&out, role);
    out_char(&out, '_');
    out_bytes(&out, name, len);
    if (kind != STATS_GAUGE)
        out_text(&out, kind == STATS_COUNTER ? "_total" : "_seconds");
    MUST(!out.overflow);
    text[out.len] = '\0';
}
