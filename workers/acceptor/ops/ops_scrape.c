/* How a document is made: file by file out of shm/, then family by family into one piece of memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "ops_internal.h"
#include "segment.h"

enum err_e scrape_begin(struct scrape *s, const char *shm_dir, uint64_t now_ns)
{
    *s = (struct scrape){.phase = SCRAPE_READING, .shm_dir = shm_dir, .began_ns = now_ns};
    enum err_e err = exposition_new(&s->exposition);
    if (err != ERR_OK)
        return err;
    s->dir = opendir(shm_dir);
    if (s->dir != NULL)
        return ERR_OK;
    log_error("scrape", "path=%s error=\"%s\"", shm_dir, strerror(errno));
    scrape_end(s);
    return ERR_NOT_FOUND;
}

void scrape_end(struct scrape *s)
{
    if (s->dir != NULL)
        closedir(s->dir);
    exposition_free(&s->exposition);
    free(s->bytes);
    *s = (struct scrape){.phase = SCRAPE_IDLE};
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

/* The ring and the last-value table hold no counters; ".…" are files that are being made. */
static bool is_segment(const char *name)
{
    return name[0] != '.' && strcmp(name, "ring") != 0 && strcmp(name, "lvt") != 0;
}

/* The page changes under our eyes if its owner wants: what is judged is a copy. */
static enum err_e add_view(struct exposition *exposition, const char *name, const struct segment_view *view)
{
    struct stats_view stats;
    struct segment_page page;
    enum err_e err = segment_view_stats(view, &stats);
    if (err != ERR_OK) {
        exposition_count(exposition, err);
        return err;
    }
    memcpy(&page, segment_view_page(view), sizeof page);
    page.id[sizeof page.id - 1] = '\0';
    return exposition_add(exposition, name, page.id, &stats);
}

static enum err_e add_file(struct scrape *s, const char *name)
{
    char path[PATH_MAX];
    struct segment_view *view;
    int len = snprintf(path, sizeof path, "%s/%s", s->shm_dir, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return ERR_OK;
    enum err_e err = segment_view_open_held(path, &view);
    if (err == ERR_NOT_FOUND) /* gone since the directory was read */
        return ERR_OK;
    if (err != ERR_OK) {
        exposition_count(s->exposition, err);
        return ERR_OK;
    }
    err = add_view(s->exposition, name, view);
    segment_view_close(&view);
    return err == ERR_MEMORY ? err : ERR_OK;
}

/* --- joining ---------------------------------------------------------------------------------------------------------- */

static enum err_e begin_joining(struct scrape *s, uint64_t now_ns)
{
    closedir(s->dir);
    s->dir = NULL;
    enum err_e err = exposition_end(s->exposition, now_ns - s->began_ns);
    if (err != ERR_OK)
        return err;
    size_t len = exposition_length(s->exposition);
    s->bytes = malloc(len);
    if (s->bytes == NULL)
        return ERR_MEMORY;
    s->out = out_init(s->bytes, len);
    s->phase = SCRAPE_JOINING;
    return ERR_BUSY;
}

enum err_e scrape_step(struct scrape *s, uint64_t now_ns)
{
    if (s->phase == SCRAPE_JOINING)
        return exposition_next(s->exposition, &s->out) ? ERR_BUSY : ERR_OK;
    const struct dirent *entry = readdir(s->dir);
    if (entry == NULL)
        return begin_joining(s, now_ns);
    enum err_e err = is_segment(entry->d_name) ? add_file(s, entry->d_name) : ERR_OK;
    return err == ERR_OK ? ERR_BUSY : err;
}
