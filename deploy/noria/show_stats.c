/* show_stats.c — see show_stats.h. Reads what other processes write and trusts nothing in it: names are shown only as far as
 * they are printable, and a file that is no segment is named and passed over. */
#include "show_stats.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "metric_texts.h"
#include "must.h"
#include "segment.h"

#define SEGMENT_NAME_MAX 31

struct output {
    FILE *file;
    const char *prefix;
    bool explain;
};

__attribute__((format(printf, 2, 3))) static void line(const struct output *out, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (out->prefix == NULL || strncmp(text, out->prefix, strlen(out->prefix)) == 0)
        fprintf(out->file, "%s\n", text);
}

static void make_printable(char *name)
{
    for (; *name != '\0'; name++)
        if (*name <= ' ' || *name > '~')
            *name = '?';
}

/* Behind a value: "   # Text. Alarm: rises"; "" if nobody wants to know, or nobody knows. */
static void explain(const struct output *out, const char *segment, const char *name, char meaning[256])
{
    char role[SEGMENT_ROLE_MAX + 1];
    snprintf(role, sizeof role, "%.*s", (int)strcspn(segment, "."), segment);
    const struct metric_text *text = out->explain ? metric_text_find(role, name) : NULL;
    if (text == NULL)
        meaning[0] = '\0';
    else
        snprintf(meaning, 256, "   # %s%s%s", text->text, text->alarm[0] != '\0' ? " Alarm: " : "",
                 text->alarm);
}

static void show_metric(const struct output *out, const char *segment, const struct stats_view *view,
                        size_t i)
{
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value;
    if (!stats_view_metric(view, i, name, &kind, &value))
        return;
    make_printable(name);
    char meaning[256];
    explain(out, segment, name, meaning);
    if (kind == STATS_HISTOGRAM)
        line(out, "%s %s count %" PRIu64 " p50_us %.1f p99_us %.1f%s", segment, name, value,
             (double)stats_view_quantile_ns(view, i, 0.5) / NS_PER_US,
             (double)stats_view_quantile_ns(view, i, 0.99) / NS_PER_US, meaning);
    else
        line(out, "%s %s %" PRIu64 "%s", segment, name, value, meaning);
}

static enum err_e show_segment(const struct output *out, const char *segment, const struct segment_view *view)
{
    struct stats_view stats;
    const struct segment_page *page = segment_view_page(view);
    line(out, "%s pid %" PRIu64, segment, page->pid);
    line(out, "%s incarnation %" PRIu64, segment, page->incarnation);
    enum err_e err = segment_view_stats(view, &stats);
    for (size_t i = 0; err == ERR_OK && i < stats.count; i++)
        show_metric(out, segment, &stats, i);
    return err;
}

static enum err_e show_file(const struct conf *conf, const struct output *out, const char *segment)
{
    char path[CONF_PATH_MAX + 8];
    int len = snprintf(path, sizeof path, "%s/shm/%s", conf->runtime_dir, segment);
    if (len < 0 || (size_t)len >= sizeof path)
        return ERR_TOO_LARGE;
    struct segment_view *view;
    enum err_e err = segment_view_open(path, &view);
    if (err != ERR_OK)
        return err;
    err = show_segment(out, segment, view);
    segment_view_close(&view);
    return err;
}

/* The ring and the last-value table hold no counters; ".…" are files that are being made. */
static int is_segment(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return name[0] != '.' && strcmp(name, "ring") != 0 && strcmp(name, "lvt") != 0 &&
           strlen(name) <= SEGMENT_NAME_MAX;
}

static enum err_e show_all(const struct conf *conf, const struct output *out, struct dirent **names,
                           int count)
{
    enum err_e worst = ERR_OK;
    for (int i = 0; i < count; i++) {
        enum err_e err = show_file(conf, out, names[i]->d_name);
        if (err == ERR_NOT_FOUND) /* ended since the directory was read */
            continue;
        if (err != ERR_OK) {
            fprintf(stderr, "noria stats: %s/shm/%s: %s\n", conf->runtime_dir, names[i]->d_name,
                    err_text(err));
            worst = err;
        }
    }
    return worst;
}

enum err_e show_stats(const struct conf *conf, const char *prefix, bool explained, int fd)
{
    char directory[CONF_PATH_MAX];
    struct dirent **names = NULL;
    conf_path(conf, "shm", directory);
    int count = scandir(directory, &names, is_segment, versionsort);
    if (count <= 0) {
        free(names);
        return ERR_NOT_FOUND;
    }
    struct output out = {fdopen(fd, "w"), prefix, explained};
    enum err_e err = out.file != NULL ? show_all(conf, &out, names, count) : ERR_SYSTEM;
    if (out.file != NULL && fclose(out.file) != 0)
        err = ERR_SYSTEM;
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return err;
}
