/* Another configuration, while clients stay (Hop: C1). The reloader reads, compares and asks (reloader.h); here is what a worker has to make before
 * it may say yes, and what changes at the commit:
 *
 *     prepare   tokens, users and keys (access_new()), streams' bridges             may fail; changes nothing
 *     commit    pointers and numbers only: listeners' names, dialects, slow clients' limits, gate, ws, http, login      cannot fail
 *     review    every open WebSocket, some at a time: its token, user or key is gone, or lets do less: it is closed
 *
 * The configuration before is freed a tick later, when nothing points into it. What may point into one: `conf` here and in the host, each
 * listener's, access, login, the gate's origins, the streams' bridges, endpoints' paths and the pool's handlers: all of them are set below or
 * by the dialects. An attempt to log in, which runs in a thread, has copies. Keys are read on the loop: some small files, once per reload. */
#include <stdio.h>

#include "log.h"
#include "must.h"
#include "worker.h"
#include "worker_metrics.h"

#define REVIEW_NS      (1 * NS_PER_MS)
#define REVIEW_PORTION 64u
#define BAD_TOKEN      "Token inv\xc3\xa1lido"
#define FEWER_GRANTS   "grants changed"

/* --- who may not stay ------------------------------------------------------------------------------------------------- */

static void review_one(struct worker *w, struct client *client)
{
    const char *reason = "";
    switch (access_review(w->access, host_identity(client))) {
    case ACCESS_GONE:
        host_close(client, WS_CLOSE_POLICY, BAD_TOKEN);
        break;
    case ACCESS_LESS:
        host_close(client, WS_CLOSE_RESTARTING, FEWER_GRANTS);
        break;
    case ACCESS_STANDS:
        if (host_still_allowed(client, &reason))
            return;
        host_close(client, WS_CLOSE_POLICY, reason);
        break;
    }
    w->review_closed++;
}

static void on_review(uv_idle_t *idle)
{
    struct worker *w = idle->data;
    uint64_t deadline_ns = clock_mono_ns(w->clock) + REVIEW_NS;
    do {
        for (unsigned i = 0; i < REVIEW_PORTION; i++) {
            struct ws_conn *conn = w->stopping ? NULL : ws_next(w->ws, &w->review_cursor);
            if (conn == NULL) {
                uv_idle_stop(idle);
                return;
            }
            if (worker_client_of(conn) != NULL && !worker_client_of(conn)->closing)
                review_one(w, worker_client_of(conn));
        }
    } while (clock_mono_ns(w->clock) < deadline_ns);
}

/* --- prepare, commit, abort ------------------------------------------------------------------------------------------- */

static enum err_e prepare(void *arg, const struct conf *now, const struct conf *next,
                          char why[RELOADER_WHY_MAX])
{
    struct worker *w = arg;
    (void)now;
    if (w->stopping) {
        snprintf(why, RELOADER_WHY_MAX, "it is stopping");
        return ERR_CLOSED;
    }
    enum err_e err = access_new(next, w->clock, &w->next_access);
    if (err == ERR_CONFIG || err == ERR_SYSTEM)
        snprintf(why, RELOADER_WHY_MAX, "a key of tokens cannot be used; its log says which and why");
    if (err != ERR_OK)
        return err;
    err = host_reload_prepare(&w->host, next);
    if (err != ERR_OK)
        access_free(&w->next_access);
    return err;
}

static void abort_reload(void *arg)
{
    struct worker *w = arg;
    host_reload_abort(&w->host);
    access_free(&w->next_access);
}

static void follow_listeners(struct worker *w)
{
    MUST(w->conf->listener_count == w->listener_count); /* they are not reloadable */
    for (unsigned i = 0; i < w->listener_count; i++) {
        struct worker_listener *listener = &w->listeners[i];
        listener->conf = &w->conf->listeners[i];
        for (unsigned k = 0; k < listener->endpoint_count; k++)
            listener->endpoints[k].listener = listener->conf->name;
    }
}

static void commit(void *arg, struct conf *next)
{
    struct worker *w = arg;
    conf_free(&w->conf_before); /* if the tick has not come since the last one */
    w->conf_before = w->conf;
    w->conf = next;
    follow_listeners(w);
    host_reload_commit(&w->host, next);
    if (w->access != NULL)
        access_succeed(w->next_access, w->access);
    access_free(&w->access);
    w->access = w->next_access;
    w->next_access = NULL;
    worker_follow_doors(w);
    w->reloads++;
    w->review_cursor = 0;
    if (w->ws != NULL && !w->stopping)
        uv_idle_start(&w->review, on_review);
    worker_metrics_copy(w); /* who waits for it need not wait for the tick */
}

/* --- begin and end ---------------------------------------------------------------------------------------------------- */

static void on_told(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *w = poll->data;
    reloader_turn(w->reloader);
}

enum err_e worker_reload_start(struct worker *w, const char *file)
{
    const struct reloader_options options = {.file = file,
                                             .control = w->control,
                                             .threaded = true,
                                             .prepare = prepare,
                                             .commit = commit,
                                             .abort = abort_reload,
                                             .arg = w};
    w->reload_poll.data = w->review.data = w;
    uv_idle_init(&w->loop, &w->review);
    w->reloader = reloader_new(&options, w->conf);
    if (w->reloader == NULL)
        return ERR_MEMORY;
    if (uv_poll_init(&w->loop, &w->reload_poll, reloader_fd(w->reloader)) != 0 ||
        uv_poll_start(&w->reload_poll, UV_READABLE, on_told) != 0)
        return ERR_SYSTEM;
    return ERR_OK;
}

void worker_reload_tick(struct worker *w)
{
    conf_free(&w->conf_before);
}

/* Before the dialects stop: what is prepared is theirs. */
void worker_reload_stop(struct worker *w)
{
    if (w->reloader == NULL)
        return;
    uv_poll_stop(&w->reload_poll);
    uv_idle_stop(&w->review);
    reloader_free(&w->reloader);
    conf_free(&w->conf_before);
}
