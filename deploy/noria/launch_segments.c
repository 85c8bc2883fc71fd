/* launch_segments.c — see launch_segments.h. */
#include "launch_segments.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "must.h"
#include "segment.h"

struct member_segment {
    struct segment *segment;
    struct stats stats;
};

struct launcher_segment {
    struct segment *segment;
    struct stats stats;
};

#define X(field, kind) {#field, STATS_##kind},
static const struct stats_def member_defs[] = {MEMBER_METRICS(X)};
static const struct stats_def launcher_defs[] = {LAUNCHER_METRICS(X)};
#undef X

static enum err_e create(const char *directory, const char *role, const char *name,
                         const struct stats_def *defs, size_t count, struct segment **segment,
                         struct stats *stats)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s%s%s", directory, role, *name != '\0' ? "." : "", name);
    enum err_e err =
        len > 0 && (size_t)len < sizeof path
            ? segment_create(path, role, name, clock_wall_ms(clock_system()), defs, count, segment, stats)
            : ERR_TOO_LARGE;
    if (err != ERR_OK)
        log_warn("process-segment", "role=%s name=%s error=\"%s\" text=\"it runs all the same, unseen\"",
                 role, name, err_text(err));
    return err;
}

struct member_segment *member_segment_open(const char *directory, const char *name)
{
    struct member_segment *made = calloc(1, sizeof *made);
    if (made != NULL && create(directory, "process", name, member_defs, ARRAY_LEN(member_defs),
                               &made->segment, &made->stats) == ERR_OK)
        return made;
    free(made);
    return NULL;
}

void member_segment_close(struct member_segment **out)
{
    if (*out == NULL)
        return;
    segment_close(&(*out)->segment, true);
    free(*out);
    *out = NULL;
}

void member_segment_write(struct member_segment *segment, const struct member_record *record)
{
    size_t metric = 0;
    if (segment == NULL)
        return;
#define X(field, kind) stats_set(&segment->stats, metric++, record->field);
    MEMBER_METRICS(X)
#undef X
}

struct launcher_segment *launcher_segment_open(const char *directory)
{
    struct launcher_segment *made = calloc(1, sizeof *made);
    if (made != NULL && create(directory, "launcher", "", launcher_defs, ARRAY_LEN(launcher_defs),
                               &made->segment, &made->stats) == ERR_OK)
        return made;
    free(made);
    return NULL;
}

void launcher_segment_close(struct launcher_segment **out)
{
    if (*out == NULL)
        return;
    segment_close(&(*out)->segment, true);
    free(*out);
    *out = NULL;
}

void launcher_segment_write(struct launcher_segment *segment, const struct launcher_record *record)
{
    size_t metric = 0;
    if (segment == NULL)
        return;
#define X(field, kind) stats_set(&segment->stats, metric++, record->field);
    LAUNCHER_METRICS(X)
#undef X
}
