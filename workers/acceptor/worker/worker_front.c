/* Sockets from front (NORIA_FRONT=1: Compose, where workers have no network; front.h). Everything else of the start waits for them: without the broker's
 * welcome there is no segment, so that a health check sees a worker that has none. SIGTERM and SIGUSR1 end it as ever.
 *
 * When front is gone this worker ends at once, and its engine starts it again. Clients are not told: there is no way to them any more. */
#include <string.h>

#include "front.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "worker.h"

static void on_front(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *w = poll->data;
    if (!front_link_ended(&w->front.link))
        return;
    uv_poll_stop(poll);
    worker_end(w, PROC_EXIT_FAILURE);
}

static enum err_e watch(struct worker *w)
{
    w->front.poll.data = w;
    return uv_poll_init(&w->loop, &w->front.poll, w->front.link.fd) == 0 &&
                   uv_poll_start(&w->front.poll, UV_READABLE, on_front) == 0
               ? ERR_OK
               : ERR_SYSTEM;
}

static void on_retry(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    struct control_message got;
    char families[WORKER_LISTENERS_MAX + 1];
    worker_listen_missing(w, families);
    if (w->stopping || !front_link_seek(&w->front.link, families, &got))
        return;
    uv_timer_stop(timer);
    log_info("front-sockets", "sockets=%u", got.fd_count);
    enum err_e err = worker_listen_own(w, got.fds, got.number != 0);
    if (err == ERR_OK)
        err = watch(w);
    if (err == ERR_OK)
        err = worker_introduce(w);
    if (err == ERR_OK)
        return;
    log_error("start", "error=\"%s\"", err_text(err));
    worker_end(w, PROC_EXIT_FAILURE);
}

enum err_e worker_front_start(struct worker *w)
{
    char families[WORKER_LISTENERS_MAX + 1];
    _Static_assert(WORKER_LISTENERS_MAX <= CONTROL_FDS_MAX, "one request is enough");
    if (worker_listen_missing(w, families) == 0)
        return worker_introduce(w); /* all are inherited */
    w->front.retry.data = w;
    return uv_timer_init(&w->loop, &w->front.retry) == 0 &&
                   uv_timer_start(&w->front.retry, on_retry, 0, FRONT_RETRY_MS) == 0
               ? ERR_OK
               : ERR_SYSTEM;
}

void worker_front_stop(struct worker *w)
{
    front_link_close(&w->front.link);
}
