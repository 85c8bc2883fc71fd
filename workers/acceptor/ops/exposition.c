/* Buckets: a bound at each power of two from 1 µs to 69 s, of agents, who are many, at every second one. The segment's own buckets end just below
 * powers of two, so that a bound is exact: "le" is the largest value within, in seconds. */
#include "exposition.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "exposition_internal.h"
#include "hash.h"
#include "metric_texts.h"
#include "must.h"

#define LABEL_MAX       160u /* key, quotes and an escaped value */
#define FIRST_POWER     10u
#define LAST_POWER      36u
#define BUCKETS_PER_TWO 4u
#define HEAD_MAX        1024u
#define METRICS_MAX     1024u          /* of a segment; ours have below 400 */
#define METRIC_LINES    16384u         /* room that one metric may need … */
#define SEGMENT_LINES   (512u * 1024u) /* … and one segment */

/* --- making ----------------------------------------------------------------------------------------------------------- */

enum err_e exposition_new(struct exposition **out)
{
    struct exposition *e = calloc(1, sizeof *e);
    *out = e;
    if (e == NULL)
        return ERR_MEMORY;
    map_init(&e->by_name);
    map_init(&e->labels);
    return ERR_OK;
}

void exposition_free(struct exposition **out)
{
    struct exposition *e = *out;
    if (e == NULL)
        return;
    *out = NULL;
    for (uint32_t i = e->next; i < e->count; i++)
        family_free(e->families[i]);
    free(e->families);
    map_fini(&e->by_name);
    map_fini(&e->labels);
    free(e);
}

/* --- names ------------------------------------------------------------------------------------------------------------ */

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

/* A metric that ends so would read as a part of another family; and what this file adds itself. */
static bool is_reserved(const char *role, const char *name)
{
    size_t len = strlen(name);
    if (strcmp(role, "scrape") == 0 || strcmp(role, "build") == 0 ||
        (strcmp(role, "process") == 0 && strcmp(name, "up") == 0))
        return true;
    return ends_with(name, len, "_total") || ends_with(name, len, "_bucket") ||
           ends_with(name, len, "_sum") || ends_with(name, len, "_count") || ends_with(name, len, "_seconds");
}

/* What stands before the first dot of a segment's name: "worker". */
static bool role_of(const char *name, char role[METRIC_ROLE_MAX + 1])
{
    size_t len = strcspn(name, ".");
    if (len == 0 || len > METRIC_ROLE_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz") < len)
        return false;
    memcpy(role, name, len);
    role[len] = '\0';
    return true;
}

static bool put_label(char label[LABEL_MAX], const char *key, const char *value)
{
    struct out out = out_init(label, LABEL_MAX - 1);
    out_text(&out, key);
    out_literal(&out, "=\"");
    for (const char *c = value; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            return false;
        if (*c == '"' || *c == '\\')
            out_char(&out, '\\');
        out_char(&out, *c);
    }
    out_char(&out, '"');
    label[out.len] = '\0';
    return !out.overflow && *value != '\0';
}

/* --- one segment ------------------------------------------------------------------------------------------------------ */

struct adding {
    struct exposition *e;
    const struct stats_view *view;
    char role[METRIC_ROLE_MAX + 1];
    char label[LABEL_MAX];
    bool coarse; /* one of very many */
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void put_seconds(struct out *out, uint64_t ns)
{
    char fraction[10] = ".000000000";
    uint64_t rest = ns % NS_PER_S;
    for (size_t i = sizeof fraction - 1; rest > 0; i--, rest /= 10)
        fraction[i] = (char)('0' + rest % 10);
    out_u64(out, ns / NS_PER_S);
    out_bytes(out, fraction, sizeof fraction);
}

static void put_part(struct out *out, const struct family *family, const char *suffix, const char *label)
{
    out_text(out, family->name);
    out_text(out, suffix);
    out_char(out, '{');
    out_text(out, label);
}

static void put_bucket(struct out *out, const struct family *family, const char *label, unsigned power,
                       uint64_t count)
{
    put_part(out, family, "_bucket", label);
    out_literal(out, ",le=\"");
    if (power > LAST_POWER)
        out_literal(out, "+Inf");
    else
        put_seconds(out, (1ULL << power) - 1);
    out_literal(out, "\"} ");
    out_u64(out, count);
    out_char(out, '\n');
}

static void put_sum_and_count(struct out *out, const struct family *family, const char *label,
                              uint64_t sum_ns, uint64_t count)
{
    put_part(out, family, "_sum", label);
    out_literal(out, "} ");
    put_seconds(out, sum_ns);
    out_char(out, '\n');
    put_part(out, family, "_count", label);
    out_literal(out, "} ");
    out_u64(out, count);
    out_char(out, '\n');
}

/* Buckets of values below 2^power. */
static size_t buckets_below(unsigned power)
{
    return (size_t)(power - 1) * BUCKETS_PER_TWO;
}

static void add_histogram(const struct adding *a, struct family *family, size_t metric)
{
    uint64_t buckets[STATS_BUCKETS], sum_ns, count = 0;
    const size_t most = (LAST_POWER - FIRST_POWER + 4) * (FAMILY_NAME_MAX + LABEL_MAX + 64);
    char *room = family_room(a->e, family, most);
    if (room == NULL || !stats_view_buckets(a->view, metric, buckets, &sum_ns))
        return;
    struct out out = out_init(room, most);
    size_t next = 0;
    for (unsigned power = FIRST_POWER; power <= LAST_POWER; power += a->coarse ? 2 : 1) {
        for (; next < buckets_below(power); next++)
            count = plus(count, buckets[next]);
        put_bucket(&out, family, a->label, power, count);
    }
    for (; next < STATS_BUCKETS; next++)
        count = plus(count, buckets[next]);
    put_bucket(&out, family, a->label, LAST_POWER + 1, count);
    put_sum_and_count(&out, family, a->label, sum_ns, count);
    MUST(!out.overflow);
    family_took(a->e, family, out.len);
}

static void add_up(struct exposition *e, struct family **up, const char *label, bool runs)
{
    if (*up == NULL)
        *up = family_new(e, "noria_process_up", STATS_GAUGE,
                         "1 while the process runs. Of every member where `noria up` runs, else of each that "
                         "shows itself.");
    if (*up != NULL)
        family_line(e, *up, label, runs);
}

static void add_metric(const struct adding *a, size_t i)
{
    char name[STATS_NAME_MAX + 1], full[METRIC_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value;
    if (!stats_view_metric(a->view, i, name, &kind, &value) || is_reserved(a->role, name))
        return;
    metric_family_name(full, a->role, name, kind);
    struct family *family = family_of(a->e, full, kind);
    if (family == NULL)
        return;
    if (family->len == 0) {
        const struct metric_text *text = metric_text_find(a->role, name);
        family->text = text != NULL ? text->text : NULL;
    }
    if (kind == STATS_HISTOGRAM)
        add_histogram(a, family, i);
    else
        family_line(a->e, family, a->label, value);
    if (kind == STATS_GAUGE && strcmp(full, "noria_process_pid") == 0)
        add_up(a->e, &a->e->up, a->label, value != 0);
}

/* False: a segment with this label is in already. */
static bool is_new(struct exposition *e, const struct adding *a)
{
    uint64_t key = hash_bytes(a->label, strlen(a->label), hash_bytes(a->role, strlen(a->role), 1)) | 1;
    if (map_get(&e->labels, key) != NULL)
        return false;
    e->failed = map_put(&e->labels, key, e) != ERR_OK || e->failed;
    return true;
}

/* Who a segment is about: a machine, a member of the launcher's, or the process itself. */
static bool identify(struct adding *a, const char *name, const char *id)
{
    if (strlen(name) > EXPOSITION_NAME_MAX || !role_of(name, a->role))
        return false;
    if (strcmp(a->role, "agent") == 0)
        return put_label(a->label, "machine", id);
    bool member = strncmp(name, "process.", 8) == 0;
    return put_label(a->label, "process", member ? name + 8 : name);
}

enum err_e exposition_add(struct exposition *e, const char *name, const char *id,
                          const struct stats_view *view)
{
    struct adding a = {.e = e, .view = view};
    enum err_e err = !identify(&a, name, id)                     ? ERR_MALFORMED
                     : EXPOSITION_MAX - e->bytes < SEGMENT_LINES ? ERR_FULL
                     : !is_new(e, &a)                            ? ERR_EXISTS
                                                                 : ERR_OK;
    exposition_count(e, err);
    if (err != ERR_OK)
        return err;
    e->segment++;
    a.coarse = strcmp(a.role, "agent") == 0;
    for (size_t i = 0;
         i < view->count && i < METRICS_MAX && !e->failed && EXPOSITION_MAX - e->bytes >= METRIC_LINES; i++)
        add_metric(&a, i);
    if (strcmp(a.role, "agent") != 0 && strcmp(a.role, "process") != 0)
        add_up(e, &e->up_selves, a.label, true);
    return e->failed ? ERR_MEMORY : ERR_OK;
}

void exposition_count(struct exposition *e, enum err_e why)
{
    switch (why) {
    case ERR_OK:
        e->counted[SEGMENTS_SHOWN]++;
        return;
    case ERR_CLOSED:
        e->counted[SEGMENTS_DEAD]++;
        return;
    case ERR_EXISTS:
    case ERR_FULL:
        e->counted[SEGMENTS_LEFT_OUT]++;
        return;
    default:
        e->counted[SEGMENTS_UNREADABLE]++;
    }
}

/* --- the document ----------------------------------------------------------------------------------------------------- */

static void add_segments(struct exposition *e)
{
    static const char *const outcomes[SEGMENTS_COUNTED] = {"outcome=\"shown\"", "outcome=\"dead\"",
                                                           "outcome=\"unreadable\"", "outcome=\"left_out\""};
    struct family *family = family_new(
        e, "noria_scrape_segments", STATS_GAUGE,
        "Segments in shm/ at this scrape: shown; left by a process that is dead; unreadable (another "
        "version, damaged); left out (a machine or name twice, or no room).");
    for (unsigned i = 0; family != NULL && i < SEGMENTS_COUNTED; i++)
        family_line(e, family, outcomes[i], e->counted[i]);
}

static void add_duration(struct exposition *e, uint64_t took_ns)
{
    struct family *family =
        family_new(e, "noria_scrape_seconds", STATS_GAUGE,
                   "How long this document took to make, beside the worker's other work.");
    char *room = family != NULL ? family_room(e, family, 128) : NULL;
    if (room == NULL)
        return;
    struct out out = out_init(room, 128);
    out_text(&out, family->name);
    out_char(&out, ' ');
    put_seconds(&out, took_ns);
    out_char(&out, '\n');
    family_took(e, family, out.len);
}

enum err_e exposition_end(struct exposition *e, uint64_t took_ns)
{
    struct family *build =
        family_new(e, "noria_build_info", STATS_GAUGE, "The worker that made this document.");
    if (build != NULL)
        family_line(e, build, "version=\"" NORIA_VERSION "\"", 1);
    add_segments(e);
    add_duration(e, took_ns);
    struct family *hidden = e->up != NULL ? e->up_selves : NULL;
    if (hidden != NULL) {
        e->bytes -= hidden->len;
        hidden->len = 0; /* its chunks go when its turn comes */
    }
    return e->failed ? ERR_MEMORY : ERR_OK;
}

size_t exposition_length(const struct exposition *e)
{
    size_t total = e->bytes;
    for (uint32_t i = e->next; i < e->count; i++) {
        char head[HEAD_MAX];
        struct out out = out_init(head, sizeof head);
        total += e->families[i]->len > 0 ? family_head(e->families[i], &out) : 0;
        MUST(!out.overflow);
    }
    return total;
}

bool exposition_next(struct exposition *e, struct out *out)
{
    if (e->next == e->count)
        return false;
    struct family *family = e->families[e->next];
    struct family_chunk *chunk = family->len > 0 ? family_take_chunk(family) : NULL;
    if (chunk == NULL) {
        family_free(family);
        e->next++;
        return true;
    }
    if (!family->begun)
        family_head(family, out);
    family->begun = true;
    out_bytes(out, chunk->bytes, chunk->len);
    free(chunk);
    return true;
}
