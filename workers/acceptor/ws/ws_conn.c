/* The blocks that connections live in: conn and the caller's bytes side by side, cut from chunks of 64, so that an
 * idle connection costs what it needs and no allocator's overhead. Chunks are kept until the end: a worker that had n
 * connections expects n again. */
#include <stdlib.h>
#include <string.h>

#include "ws_internal.h"

#define BLOCKS_PER_CHUNK 64u

enum err_e conns_init(struct ws *ws)
{
    ws->block_bytes = (sizeof(struct ws_conn) + ws->config.user_bytes + 15) & ~(size_t)15;
    ws->next_serial = 1;
    return ERR_OK;
}

void conns_fini(struct ws *ws)
{
    for (size_t i = 0; i < ws->chunk_count; i++)
        free(ws->chunks[i]);
    free(ws->chunks);
}

static struct ws_conn *block(const struct ws *ws, size_t index)
{
    return (void *)(ws->chunks[index / BLOCKS_PER_CHUNK] + (index % BLOCKS_PER_CHUNK) * ws->block_bytes);
}

static bool add_chunk(struct ws *ws)
{
    char **chunks = realloc(ws->chunks, (ws->chunk_count + 1) * sizeof *chunks);
    if (chunks == NULL)
        return false;
    ws->chunks = chunks;
    chunks[ws->chunk_count] = calloc(BLOCKS_PER_CHUNK, ws->block_bytes);
    if (chunks[ws->chunk_count] == NULL)
        return false;
    size_t first = ws->chunk_count++ * BLOCKS_PER_CHUNK;
    for (size_t i = BLOCKS_PER_CHUNK; i-- > 0;) {
        struct ws_conn *conn = block(ws, first + i);
        conn->wsi = (void *)ws->free;
        ws->free = conn;
    }
    return true;
}

struct ws_conn *conn_new(struct ws *ws)
{
    if (ws->free == NULL && !add_chunk(ws))
        return NULL;
    struct ws_conn *conn = ws->free;
    ws->free = (void *)conn->wsi;
    memset(conn, 0, ws->block_bytes);
    conn->ws = ws;
    conn->fd = -1;
    conn->serial = ws->next_serial++;
    wheel_node_init(&conn->timer);
    conn->state = CONN_ADOPTING;
    return conn;
}

void conn_free(struct ws_conn *conn)
{
    struct ws *ws = conn->ws;
    MUST(conn->state != CONN_FREE && !wheel_node_started(&conn->timer));
    conn->state = CONN_FREE;
    conn->wsi = (void *)ws->free;
    ws->free = conn;
}

void conn_set_state(struct ws_conn *conn, enum conn_state_e state)
{
    MUST(state > conn->state);
    conn->ws->in_open += state == CONN_OPEN;
    conn->ws->in_open -= conn->state == CONN_OPEN;
    conn->state = (uint8_t)state;
    if (state > CONN_OPEN)
        conn_drop_join(conn);
    if (state > CONN_CLOSING)
        conn_drop_control(conn);
}

void conn_gone(struct ws_conn *conn)
{
    struct ws *ws = conn->ws;
    if (conn->state == CONN_GONE)
        return;
    conn_set_state(conn, CONN_GONE);
    wheel_stop(&ws->wheel, &conn->timer);
    conn_stop_reading(conn);
    if (!conn->told_open)
        return;
    ws->open_count--;
    ws->counts.closed++;
    ws->config.events->closed(ws->config.arg, conn);
}

struct ws_conn *conn_next(const struct ws *ws, size_t *cursor)
{
    while (*cursor < ws->chunk_count * BLOCKS_PER_CHUNK) {
        struct ws_conn *conn = block(ws, (*cursor)++);
        if (conn->state == CONN_OPEN)
            return conn;
    }
    return NULL;
}
