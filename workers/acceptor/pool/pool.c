/* Handlers and their links, made and unmade; the loop's callbacks. Everything that one iteration of the loop brought goes out together, at
 * its end and before the loop sleeps. */
#include "pool.h"

#include <stdlib.h>

#include "must.h"
#include "pool_internal.h"

/* --- the loop's callbacks -------------------------------------------------------------------------------------------------- */

static void flush(struct pool *pool)
{
    while (!list_empty(&pool->dirty))
        pool_link_flush(LIST_ENTRY(pool->dirty.next, struct pool_link, dirty));
    pool_event_tell_failed(pool); /* what could not be encoded */
    pool_event_drained(pool);
}

static void resume_paused(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->link_count && pool->paused > 0; i++) {
        if (pool->links[i].pause != PAUSE_NONE)
            pool_link_resume(&pool->links[i]);
    }
}

static void on_before_poll(uv_prepare_t *handle)
{
    flush(((struct pool_uv *)handle->data)->pool);
}

static void on_after_poll(uv_check_t *handle)
{
    struct pool *pool = ((struct pool_uv *)handle->data)->pool;
    resume_paused(pool);
    flush(pool);
}

static void on_more(uv_idle_t *handle)
{
    struct pool *pool = ((struct pool_uv *)handle->data)->pool;
    for (uint32_t i = 0; i < pool->link_count; i++)
        if (pool->links[i].more)
            pool_link_serve(&pool->links[i]);
}

void pool_serve_more(struct pool *pool)
{
    if (pool->more > 0)
        uv_idle_start(&pool->uv->more, on_more);
    else
        uv_idle_stop(&pool->uv->more);
}

static void on_retry(uv_timer_t *handle)
{
    struct pool *pool = ((struct pool_uv *)handle->data)->pool;
    for (uint32_t i = 0; i < pool->link_count; i++)
        if (pool->links[i].state == LINK_DOWN)
            pool_link_tick(&pool->links[i]);
    resume_paused(pool);
    pool_arm(pool);
}

void pool_arm(struct pool *pool)
{
    uint64_t now = pool_now(pool), wait = UINT64_MAX;
    for (uint32_t i = 0; i < pool->link_count; i++) {
        uint64_t due = pool_link_due(&pool->links[i]);
        uint64_t left = due > now ? due - now : 0;
        wait = due != UINT64_MAX && left < wait ? left : wait;
    }
    if (wait == UINT64_MAX)
        uv_timer_stop(&pool->uv->retry);
    else
        uv_timer_start(&pool->uv->retry, on_retry, (wait + NS_PER_MS - 1) / NS_PER_MS, 0);
}

void pool_tick(struct pool *pool)
{
    uint64_t now = pool_now(pool), passed = now - pool->last_tick_ns;
    pool->last_tick_ns = now;
    pool->awake_ns += passed < POOL_STRIDE_NS ? passed : POOL_STRIDE_NS;
    for (size_t i = 0; i < pool->handler_count; i++)
        pool_event_timeouts(&pool->handlers[i]);
    resume_paused(pool);
    for (uint32_t i = 0; i < pool->link_count; i++)
        pool_link_tick(&pool->links[i]);
}

/* --- making and unmaking --------------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct pool_uv *uv = handle->data;
    if (--uv->handles == 0)
        free(uv);
}

static enum err_e start_uv(struct pool *pool)
{
    struct pool_uv *uv = calloc(1, sizeof *uv);
    if (uv == NULL)
        return ERR_MEMORY;
    uv_prepare_init(pool->config.loop, &uv->before_poll);
    uv_check_init(pool->config.loop, &uv->after_poll);
    uv_idle_init(pool->config.loop, &uv->more);
    uv_timer_init(pool->config.loop, &uv->retry);
    uv->before_poll.data = uv->after_poll.data = uv->more.data = uv->retry.data = uv;
    uv->handles = 4;
    uv->pool = pool;
    uv_prepare_start(&uv->before_poll, on_before_poll);
    uv_check_start(&uv->after_poll, on_after_poll);
    pool->uv = uv;
    return ERR_OK;
}

static uint32_t count_links(const struct conf *conf)
{
    uint32_t count = 0;
    for (size_t i = 0; i < conf->handler_count; i++)
        count += conf->handlers[i].command != NULL ? conf->handlers[i].processes : 1;
    return count;
}

static void handler_init(struct pool *pool, size_t index, struct pool_link *links)
{
    const struct conf_handler *conf = &pool->config.conf->handlers[index];
    struct pool_handler *handler = &pool->handlers[index];
    *handler = (struct pool_handler){.pool = pool,
                                     .conf = conf,
                                     .index = index,
                                     .links = links,
                                     .link_count = conf->command != NULL ? conf->processes : 1,
                                     .deadline_ns = conf->deadline_ms * NS_PER_MS,
                                     .stuck_ns = conf->stuck_ms * NS_PER_MS};
    list_init(&handler->homeless);
    list_init(&handler->due);
    for (uint32_t i = 0; i < handler->link_count; i++)
        pool_link_init(pool, handler, &links[i], i);
}

static enum err_e make_links(struct pool *pool)
{
    const struct conf *conf = pool->config.conf;
    pool->handlers = calloc(conf->handler_count + 1, sizeof *pool->handlers);
    pool->links = calloc(count_links(conf) + 1, sizeof *pool->links);
    if (pool->handlers == NULL || pool->links == NULL)
        return ERR_MEMORY;
    for (; pool->handler_count < conf->handler_count; pool->handler_count++) {
        handler_init(pool, pool->handler_count, &pool->links[pool->link_count]);
        pool->link_count += pool->handlers[pool->handler_count].link_count;
    }
    for (uint32_t i = 0; i < pool->link_count; i++)
        if (map_reserve(&pool->links[i].window, HANDLER_WINDOW) != ERR_OK)
            return ERR_MEMORY;
    return ERR_OK;
}

void pool_set_conf(struct pool *pool, const struct conf *conf)
{
    MUST(conf->handler_count == pool->handler_count); /* neither they nor endpoints are reloadable */
    pool->config.conf = conf;
    for (size_t i = 0; i < pool->handler_count; i++)
        pool->handlers[i].conf = &conf->handlers[i];
}

enum err_e pool_new(const struct pool_config *config, struct pool **out)
{
    struct pool *pool = calloc(1, sizeof *pool);
    *out = NULL;
    if (pool == NULL)
        return ERR_MEMORY;
    pool->config = *config;
    pool->last_tick_ns = pool_now(pool);
    map_init(&pool->conns);
    list_init(&pool->dirty);
    list_init(&pool->failed);
    if (!msgpack_zone_init(&pool->zone, MSGPACK_ZONE_CHUNK_SIZE)) {
        free(pool);
        return ERR_MEMORY;
    }
    enum err_e err = start_uv(pool);
    if (err == ERR_OK)
        err = make_links(pool);
    if (err != ERR_OK) {
        pool_free(&pool);
        return err;
    }
    pool_arm(pool);
    *out = pool;
    return ERR_OK;
}

static void stop_uv(struct pool_uv *uv)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&uv->before_poll, (uv_handle_t *)&uv->after_poll,
                              (uv_handle_t *)&uv->more, (uv_handle_t *)&uv->retry};
    for (size_t i = 0; i < ARRAY_LEN(handles); i++)
        uv_close(handles[i], on_handle_closed);
}

/* Those whose CLOSED was not TAKEN: the end of the stream tells it. */
static void free_conns(struct pool *pool)
{
    while (pool->conns.count > 0) {
        size_t i = 0;
        while (pool->conns.entries[i].key == 0)
            i++;
        struct pool_conn *conn = pool->conns.entries[i].value;
        MUST(conn->gone);
        pool_conn_free(conn);
    }
}

void pool_free(struct pool **pool)
{
    struct pool *p = *pool;
    if (p == NULL)
        return;
    *pool = NULL;
    for (uint32_t i = 0; i < p->link_count; i++)
        pool_link_fini(&p->links[i]);
    free_conns(p);
    map_fini(&p->conns);
    msgpack_zone_destroy(&p->zone);
    if (p->uv != NULL)
        stop_uv(p->uv);
    free(p->links);
    free(p->handlers);
    free(p);
}

const struct pool_counts *pool_counts(const struct pool *pool)
{
    return &pool->counts;
}
