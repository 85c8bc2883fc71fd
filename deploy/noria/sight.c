/* sight.c — see sight.h. */
#include "sight.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lvt_reader.h"
#include "must.h"
#include "utf8.h"

#define SEGMENTS_MAX 16384
#define SLOT_RETRIES 100 /* of a slot that is being written */

/* --- segments --------------------------------------------------------------------------------------------------------- */

static void copy_printable(char *to, size_t size, const char *from, size_t from_size)
{
    size_t len = strnlen(from, from_size);
    len = len < size - 1 ? len : size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
    utf8_make_printable(to, len, false);
}

/* The ring and the last-value table are no segments; ".…" are files that are being made. */
static int is_segment(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return name[0] != '.' && strcmp(name, "ring") != 0 && strcmp(name, "lvt") != 0 &&
           strlen(name) <= SIGHT_NAME_MAX;
}

static bool copy_stats(const struct segment_view *view, struct sight_segment *segment)
{
    struct stats_view theirs;
    if (segment_view_stats(view, &theirs) != ERR_OK)
        return false;
    uint64_t *copy = malloc(theirs.total_words * sizeof *copy);
    segment->copy = copy;
    for (size_t i = 0; copy != NULL && i < theirs.total_words; i++)
        copy[i] = atomic_load_explicit(&theirs.words[i], memory_order_relaxed);
    return copy != NULL &&
           stats_view_open(&segment->stats, copy, theirs.total_words * sizeof *copy) == ERR_OK;
}

static void copy_identity(const struct segment_page *page, struct sight_segment *segment)
{
    segment->pid = page->pid;
    segment->incarnation = page->incarnation;
    segment->started_wall_ms = page->started_wall_ms;
    copy_printable(segment->role, sizeof segment->role, page->role, sizeof page->role);
    copy_printable(segment->id, sizeof segment->id, page->id, sizeof page->id);
}

static void read_segment(const char *directory, const char *name, struct sight_segment *segment)
{
    char path[PATH_MAX];
    struct segment_view *view;
    *segment = (struct sight_segment){0};
    copy_printable(segment->name, sizeof segment->name, name, SIGHT_NAME_MAX);
    int len = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (len < 0 || (size_t)len >= sizeof path || segment_view_open_held(path, &view) != ERR_OK)
        return;
    copy_identity(segment_view_page(view), segment);
    segment->held = copy_stats(view, segment);
    segment_view_close(&view);
}

static enum err_e read_segments(const char *directory, struct sight *sight)
{
    struct dirent **names = NULL;
    int count = scandir(directory, &names, is_segment, versionsort);
    if (count < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
    size_t taken = (size_t)count < SEGMENTS_MAX ? (size_t)count : SEGMENTS_MAX;
    sight->segments = calloc(taken + 1, sizeof *sight->segments);
    for (size_t i = 0; sight->segments != NULL && i < taken; i++)
        read_segment(directory, names[i]->d_name, &sight->segments[sight->segment_count++]);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return sight->segments != NULL ? ERR_OK : ERR_MEMORY;
}

const struct sight_segment *sight_segment(const struct sight *sight, const char *name)
{
    for (size_t i = 0; i < sight->segment_count; i++)
        if (strcmp(sight->segments[i].name, name) == 0)
            return &sight->segments[i];
    return NULL;
}

/* --- machines --------------------------------------------------------------------------------------------------------- */

/* Agents' segments by slot, so that a thousand machines are not a million comparisons. */
static const struct sight_segment **agents_by_slot(const struct sight *sight, uint32_t slots)
{
    const struct sight_segment **agents = calloc(slots, sizeof *agents);
    for (size_t i = 0; agents != NULL && i < sight->segment_count; i++) {
        const struct sight_segment *segment = &sight->segments[i];
        char *end;
        if (!segment->held || strncmp(segment->name, "agent.", 6) != 0)
            continue;
        unsigned long slot = strtoul(segment->name + 6, &end, 10);
        if (*end == '\0' && slot < slots)
            agents[slot] = segment;
    }
    return agents;
}

static enum lvt_status_e read_slot(const struct lvt_reader *lvt, uint32_t slot, struct lvt_machine *content)
{
    enum lvt_status_e status = LVT_BUSY;
    for (int i = 0; i < SLOT_RETRIES && status == LVT_BUSY; i++)
        status = lvt_reader_get(lvt, slot, content);
    return status;
}

static int by_id(const void *a, const void *b)
{
    return strverscmp(((const struct sight_machine *)a)->id, ((const struct sight_machine *)b)->id);
}

static void take_machine(struct sight *sight, uint32_t slot, const struct lvt_machine *content,
                         const struct sight_segment *agent)
{
    struct sight_machine *machine = &sight->machines[sight->machine_count++];
    *machine = (struct sight_machine){.slot = slot, .state = content->state};
    copy_printable(machine->id, sizeof machine->id, content->info.id, sizeof content->info.id);
    if (agent != NULL && strcmp(agent->id, machine->id) == 0)
        machine->agent = agent;
}

static enum err_e read_table(const struct lvt_reader *lvt, struct sight *sight)
{
    uint32_t used = lvt_reader_used(lvt);
    struct lvt_machine *content = malloc(sizeof *content);
    const struct sight_segment **agents = agents_by_slot(sight, used + 1);
    sight->machines = calloc(used + 1, sizeof *sight->machines);
    bool room = content != NULL && agents != NULL && sight->machines != NULL;
    for (uint32_t slot = 0; room && slot < used; slot++)
        if (read_slot(lvt, slot, content) == LVT_OK)
            take_machine(sight, slot, content, agents[slot]);
    if (room)
        qsort(sight->machines, sight->machine_count, sizeof *sight->machines, by_id);
    free(content);
    free(agents);
    return room ? ERR_OK : ERR_MEMORY;
}

/* Without a table there are processes all the same. */
static enum err_e read_machines(const char *directory, struct sight *sight)
{
    char path[PATH_MAX];
    struct lvt_reader *lvt;
    int len = snprintf(path, sizeof path, "%s/lvt", directory);
    if (len < 0 || (size_t)len >= sizeof path || lvt_reader_open(path, &lvt) != ERR_OK)
        return ERR_OK;
    sight->ring_id = lvt_reader_ring_id(lvt);
    enum err_e err = read_table(lvt, sight);
    lvt_reader_close(&lvt);
    return err;
}

enum err_e sight_take(const char *runtime_dir, uint64_t wall_ms, struct sight **sight)
{
    char directory[PATH_MAX];
    int len = snprintf(directory, sizeof directory, "%s/shm", runtime_dir);
    if (len < 0 || (size_t)len >= sizeof directory)
        return ERR_TOO_LARGE;
    struct sight *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_MEMORY;
    made->wall_ms = wall_ms;
    enum err_e err = read_segments(directory, made);
    if (err == ERR_OK)
        err = read_machines(directory, made);
    if (err == ERR_OK && made->segment_count == 0 && made->machine_count == 0)
        err = ERR_NOT_FOUND;
    if (err != ERR_OK)
        sight_free(&made);
    *sight = made;
    return err;
}

void sight_free(struct sight **sight)
{
    struct sight *gone = *sight;
    *sight = NULL;
    if (gone == NULL)
        return;
    for (size_t i = 0; i < gone->segment_count; i++)
        free(gone->segments[i].copy);
    free(gone->segments);
    free(gone->machines);
    free(gone);
}

/* --- values ----------------------------------------------------------------------------------------------------------- */

static bool find(const struct sight_segment *segment, const char *metric, size_t *index,
                 enum stats_kind_e *kind, uint64_t *value)
{
    char name[STATS_NAME_MAX + 1];
    if (segment == NULL || !segment->held)
        return false;
    for (size_t i = 0; i < segment->stats.count; i++) {
        if (!stats_view_metric(&segment->stats, i, name, kind, value) || strcmp(name, metric) != 0)
            continue;
        *index = i;
        return true;
    }
    return false;
}

bool sight_has(const struct sight_segment *segment, const char *metric, uint64_t *value)
{
    size_t index;
    enum stats_kind_e kind;
    return find(segment, metric, &index, &kind, value);
}

uint64_t sight_value(const struct sight_segment *segment, const char *metric)
{
    uint64_t value;
    return sight_has(segment, metric, &value) ? value : 0;
}

double sight_quantile_ms(const struct sight_segment *segment, const char *metric, double q)
{
    size_t index;
    enum stats_kind_e kind;
    uint64_t count;
    if (!find(segment, metric, &index, &kind, &count) || kind != STATS_HISTOGRAM || count == 0)
        return -1;
    return (double)stats_view_quantile_ns(&segment->stats, index, q) / NS_PER_MS;
}

static bool buckets_of(const struct sight_segment *segment, const char *metric,
                       uint64_t buckets[STATS_BUCKETS])
{
    size_t index;
    enum stats_kind_e kind;
    uint64_t count, sum_ns;
    return find(segment, metric, &index, &kind, &count) &&
           stats_view_buckets(&segment->stats, index, buckets, &sum_ns);
}

double sight_quantile_since_ms(const struct sight_segment *segment, const struct sight_segment *before,
                               const char *metric, double q)
{
    uint64_t now[STATS_BUCKETS], then[STATS_BUCKETS], added = 0, seen = 0;
    bool same = before != NULL && segment != NULL && before->incarnation == segment->incarnation;
    if (!same || !buckets_of(segment, metric, now) || !buckets_of(before, metric, then))
        return sight_quantile_ms(segment, metric, q);
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        added += now[i] -= then[i] < now[i] ? then[i] : now[i];
    for (size_t i = 0; i < STATS_BUCKETS && added > 0; i++) {
        seen += now[i];
        if ((double)seen >= q * (double)added)
            return (double)stats_bucket_top_ns(i) / NS_PER_MS;
    }
    return sight_quantile_ms(segment, metric, q);
}

/* The agent tells its last reading with each heartbeat; the table knows only the last that changed something. */
int64_t sight_age_ms(const struct sight *sight, const struct sight_machine *machine)
{
    uint64_t read_wall_ms = machine->state.has_reading ? machine->state.read_wall_ms : 0, told;
    if (sight_has(machine->agent, "reading_wall_ms", &told) && told > read_wall_ms)
        read_wall_ms = told;
    if (read_wall_ms == 0)
        return -1;
    return read_wall_ms < sight->wall_ms ? (int64_t)(sight->wall_ms - read_wall_ms) : 0;
}
