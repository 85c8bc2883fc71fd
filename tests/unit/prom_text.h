/* prom_text.h — a strict reader of Prometheus text 0.0.4, for tests: whatever it lets through, Prometheus takes.
 *
 * Stricter than the format where that only costs mistakes: # TYPE before every family, families whole and once, no series twice, no spaces
 * that need not be, histograms complete, cumulative, and in the order of their bounds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "map.h"

#define PROM_NAME_MAX 200

struct prom_family {
    char name[PROM_NAME_MAX], type[16];
    bool helped, sampled;
    /* a histogram's series under way */
    char labels[512];
    double last_le;
    uint64_t last_count;
    bool in_buckets, infinite, summed;
};

struct prom {
    const char *at, *end;
    struct map families, series;
    struct prom_family now;
    char error[256];
    unsigned line;
};

static inline bool prom_fail(struct prom *p, const char *what)
{
    if (p->error[0] == '\0')
        snprintf(p->error, sizeof p->error, "line %u: %s", p->line, what);
    return false;
}

static inline bool prom_once(struct map *map, const char *text, size_t len)
{
    uint64_t key = hash_bytes(text, len, 7) | 1;
    if (map_get(map, key) != NULL)
        return false;
    return map_put(map, key, map) == ERR_OK;
}

static inline size_t prom_name(const char *at, const char *end, bool colon)
{
    const char *start = at;
    while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_' ||
                        (colon && *at == ':') || (at > start && *at >= '0' && *at <= '9')))
        at++;
    return (size_t)(at - start);
}

static inline bool prom_series_done(struct prom *p)
{
    struct prom_family *f = &p->now;
    if (f->labels[0] == '\0')
        return true;
    f->labels[0] = '\0';
    return prom_fail(p, "a histogram is not complete");
}

static inline bool prom_begin_family(struct prom *p, const char *name, size_t len)
{
    if (strlen(p->now.name) == len && memcmp(p->now.name, name, len) == 0)
        return true;
    if (!prom_series_done(p))
        return false;
    if (p->now.name[0] != '\0' && !p->now.sampled)
        return prom_fail(p, "a family without samples");
    if (len == 0 || len >= PROM_NAME_MAX || !prom_once(&p->families, name, len))
        return prom_fail(p, "no name of a family, or one for the second time");
    p->now = (struct prom_family){0};
    memcpy(p->now.name, name, len);
    return true;
}

static inline bool prom_help(const char *at, const char *end)
{
    for (; at < end; at++)
        if (*at == '\\' && (++at == end || (*at != '\\' && *at != 'n')))
            return false;
    return true;
}

static inline bool prom_comment(struct prom *p, const char *at, const char *end)
{
    bool help = end - at > 7 && memcmp(at, "# HELP ", 7) == 0;
    if (!help && !(end - at > 7 && memcmp(at, "# TYPE ", 7) == 0))
        return prom_fail(p, "a comment that is neither HELP nor TYPE");
    at += 7;
    size_t len = prom_name(at, end, true);
    if (at + len >= end || at[len] != ' ' || !prom_begin_family(p, at, len))
        return prom_fail(p, "HELP or TYPE of nothing");
    at += len + 1;
    if (p->now.sampled || (help ? p->now.helped || p->now.type[0] : p->now.type[0] != '\0'))
        return prom_fail(p, "HELP or TYPE in the wrong place");
    if (help) {
        p->now.helped = true;
        return prom_help(at, end) || prom_fail(p, "a bad escape in HELP");
    }
    snprintf(p->now.type, sizeof p->now.type, "%.*s", (int)(end - at), at);
    return strcmp(p->now.type, "counter") == 0 || strcmp(p->now.type, "gauge") == 0 ||
           strcmp(p->now.type, "histogram") == 0 || prom_fail(p, "an unknown type");
}

/* *at behind the labels' brace; `le` points to the bound, if there is one. */
static inline bool prom_labels(struct prom *p, const char **at, const char *end, const char **le)
{
    struct map names;
    bool ok = true;
    map_init(&names);
    for (const char *c = *at + 1; ok;) {
        size_t len = prom_name(c, end, false);
        ok = len > 0 && c + len + 2 < end && c[len] == '=' && c[len + 1] == '"' && prom_once(&names, c, len);
        if (!ok)
            break;
        *le = len == 2 && memcmp(c, "le", 2) == 0 ? c + 4 : NULL;
        for (c += len + 2; c < end && *c != '"'; c++) {
            ok = ok && (unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f;
            if (*c == '\\' && (++c == end || (*c != '\\' && *c != '"' && *c != 'n')))
                ok = false;
        }
        ok = ok && c + 1 < end && (c[1] == ',' || c[1] == '}');
        if (ok && c[1] == '}') {
            *at = c + 2;
            break;
        }
        c += 2;
    }
    map_fini(&names);
    return ok || prom_fail(p, "bad labels");
}

static inline bool prom_bucket(struct prom *p, const char *labels, size_t len, const char *le, double value)
{
    struct prom_family *f = &p->now;
    bool infinite = memcmp(le, "+Inf", 4) == 0;
    double bound = infinite ? 1e300 : atof(le);
    if (!f->in_buckets) {
        if (!prom_series_done(p) || len >= sizeof f->labels)
            return prom_fail(p, "buckets in the wrong place");
        *f->labels = '\0';
        memcpy(f->labels, labels, len);
        f->labels[len] = '\0';
        f->last_le = -1;
        f->last_count = 0;
        f->in_buckets = true;
        f->infinite = f->summed = false;
    }
    if (f->infinite || strlen(f->labels) != len || memcmp(f->labels, labels, len) != 0 ||
        bound <= f->last_le || value < (double)f->last_count)
        return prom_fail(p, "buckets are not cumulative, or mixed up");
    f->last_le = bound;
    f->last_count = strtoull(p->at, NULL, 10);
    f->infinite = infinite;
    return true;
}

static inline bool prom_histogram(struct prom *p, const char *suffix, size_t suffix_len, const char *labels,
                                  size_t len, const char *le, double value)
{
    struct prom_family *f = &p->now;
    if (suffix_len == 7 && memcmp(suffix, "_bucket", 7) == 0)
        return le != NULL ? prom_bucket(p, labels, (size_t)(le - 5 - labels), le, value)
                          : prom_fail(p, "a bucket without a bound");
    bool same = f->in_buckets && f->infinite && strlen(f->labels) == len - 1 &&
                memcmp(f->labels, labels, len - 1) == 0;
    if (suffix_len == 4 && memcmp(suffix, "_sum", 4) == 0 && same && !f->summed) {
        f->summed = true;
        return true;
    }
    if (!(suffix_len == 6 && memcmp(suffix, "_count", 6) == 0 && same && f->summed))
        return prom_fail(p, "no part of a histogram, or in the wrong place");
    if (strtoull(p->at, NULL, 10) != f->last_count)
        return prom_fail(p, "_count is not the last bucket");
    f->in_buckets = false;
    f->labels[0] = '\0';
    return true;
}

static inline bool prom_sample(struct prom *p, const char *at, const char *end)
{
    const char *name = at, *le = NULL;
    size_t name_len = prom_name(at, end, true), family_len = strlen(p->now.name);
    at += name_len;
    const char *labels = at + 1;
    size_t labels_len = 0;
    if (at < end && *at == '{') {
        if (!prom_labels(p, &at, end, &le))
            return false;
        labels_len = (size_t)(at - labels);
    }
    if (!prom_once(&p->series, name, (size_t)(at - name)))
        return prom_fail(p, "a series for the second time");
    char value[64], *behind;
    if (at >= end || *at != ' ' || (size_t)(end - at) > sizeof value)
        return prom_fail(p, "no value");
    snprintf(value, sizeof value, "%.*s", (int)(end - at - 1), at + 1);
    double number = strtod(value, &behind);
    if (*behind != '\0' || value[0] < '0' || value[0] > '9')
        return prom_fail(p, "a value that is no number");
    p->at = at + 1;
    if (p->now.type[0] == '\0' || name_len < family_len || memcmp(name, p->now.name, family_len) != 0)
        return prom_fail(p, "a sample outside of its family");
    p->now.sampled = true;
    if (strcmp(p->now.type, "histogram") == 0)
        return prom_histogram(p, name + family_len, name_len - family_len, labels, labels_len, le, number);
    return name_len == family_len || prom_fail(p, "a sample of another name");
}

/* True: the text is one. Else what is wrong stands in `error`. */
static inline bool prom_check(const char *text, size_t len, char error[256])
{
    struct prom p = {.at = text, .end = text + len};
    bool ok = len > 0 && text[len - 1] == '\n';
    map_init(&p.families);
    map_init(&p.series);
    if (!ok)
        prom_fail(&p, "does not end with a line's end");
    for (const char *line = text; ok && line < p.end;) {
        const char *end = memchr(line, '\n', (size_t)(p.end - line));
        p.line++;
        ok = *line == '#' ? prom_comment(&p, line, end) : prom_sample(&p, line, end);
        line = end + 1;
    }
    ok = ok && prom_series_done(&p) && (p.now.sampled || prom_fail(&p, "a family without samples"));
    map_fini(&p.families);
    map_fini(&p.series);
    memcpy(error, p.error, sizeof p.error);
    return ok;
}

/* The value of a series, as written; false: there is none. */
static inline bool prom_value(const char *text, const char *series, char value[64])
{
    size_t len = strlen(series);
    for (const char *at = text; at != NULL; at = strchr(at, '\n'), at = at != NULL ? at + 1 : NULL) {
        if (strncmp(at, series, len) != 0 || at[len] != ' ')
            continue;
        snprintf(value, 64, "%.*s", (int)strcspn(at + len + 1, "\n"), at + len + 1);
        return true;
    }
    return false;
}
