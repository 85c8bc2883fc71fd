/* Boot order, and the order in which a stop takes things down. */
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "entropy.h"
#include "front.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "worker_metrics.h"

#define TICK_MS 100u
#define STOP_NS (3 * NS_PER_S) /* close handshakes may take that long */

static bool stop_is_done(const struct worker *w)
{
    return worker_doors_empty(w) || clock_mono_ns(w->clock) >= w->stop_deadline_ns;
}

static void serve_tick(struct worker *w)
{
    worker_uplink_tick(w);
    worker_pump_tick(w);
    worker_doors_tick(w);
    if (w->ops != NULL)
        ops_tick(w->ops);
    host_tick(&w->host);
    worker_metrics_copy(w);
}

static void on_tick(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    if (w->link != NULL)
        serve_tick(w);
    worker_control_tick(w);
    worker_reload_tick(w);
    if (w->stopping && stop_is_done(w))
        uv_stop(&w->loop);
}

static void on_before_poll(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;
    for (int rounds = 0; w->link_dirty && rounds < 4; rounds++)
        worker_uplink_service(w);
    if (w->link_dirty)
        link_look(w->link);
}

static void on_after_poll(uv_check_t *check)
{
    struct worker *w = check->data;
    worker_sent_up(w);
    link_flush(w->link);
}

static void on_signal(uv_signal_t *handle, int signo)
{
    struct worker *w = handle->data;
    log_stopping();
    log_info("stopping", "reason=\"signal\" signal=%d", signo);
    worker_stop(w, 0);
}

static void on_sigusr1(uv_signal_t *handle, int signo)
{
    struct worker *w = handle->data;
    (void)signo;
    worker_drain(w, w->conf->drain_ms);
}

static void on_sighup(uv_signal_t *handle, int signo)
{
    struct worker *w = handle->data;
    (void)signo;
    reloader_ask(w->reloader);
}

void worker_end(struct worker *w, int exit_code)
{
    w->stopping = true;
    w->exit_code = exit_code;
    uv_stop(&w->loop);
}

void worker_stop(struct worker *w, int exit_code)
{
    if (w->stopping)
        return;
    w->stopping = true;
    w->exit_code = exit_code;
    w->stop_deadline_ns = clock_mono_ns(w->clock) + STOP_NS;
    uv_timer_stop(&w->drain_timer);
    worker_stop_doors(w);
}

static void start_handles(struct worker *w)
{
    uv_timer_init(&w->loop, &w->tick);
    uv_prepare_init(&w->loop, &w->before_poll);
    uv_idle_init(&w->loop, &w->pump);
    uv_signal_init(&w->loop, &w->sigterm);
    uv_signal_init(&w->loop, &w->sigint);
    uv_signal_init(&w->loop, &w->sigusr1);
    uv_signal_init(&w->loop, &w->sighup);
    uv_timer_init(&w->loop, &w->drain_timer);
    w->sigusr1.data = w->sighup.data = w->drain_timer.data = w;
    w->tick.data = w->before_poll.data = w->after_poll.data = w->pump.data = w->sigterm.data =
        w->sigint.data = w;
    uv_check_init(&w->loop, &w->after_poll);
    uv_timer_start(&w->tick, on_tick, TICK_MS, TICK_MS);
    uv_signal_start(&w->sigterm, on_signal, SIGTERM);
    uv_signal_start(&w->sigint, on_signal, SIGINT);
    uv_signal_start(&w->sigusr1, on_sigusr1, SIGUSR1);
    uv_signal_start(&w->sighup, on_sighup, SIGHUP);
}

/* What the launcher, the engine and the file may ask for from now on. */
static enum err_e start_listening_to_others(struct worker *w, const struct worker_options *options)
{
    enum err_e err = worker_control_start(w);
    return err == ERR_OK ? worker_reload_start(w, options->file) : err;
}

enum err_e worker_introduce(struct worker *w)
{
    enum err_e err = worker_uplink_open(w);
    if (err != ERR_OK)
        return err;
    uv_prepare_start(&w->before_poll, on_before_poll);
    uv_check_start(&w->after_poll, on_after_poll);
    return ERR_OK;
}

enum err_e worker_start(struct worker *w, const struct worker_options *options)
{
    struct conf *conf = options->conf;
    *w = (struct worker){.conf = conf,
                         .clock = clock_system(),
                         .incarnation = entropy_u64(),
                         .slot = UINT32_MAX,
                         .control = options->control};
    front_link_init(&w->front.link, w->clock, w->front.path);
    conf_path(conf, "shm/ring", w->ring_path);
    conf_path(conf, "shm/lvt", w->lvt_path);
    conf_path(conf, "bus/bell.sock", w->bell_path);
    conf_path(conf, FRONT_SOCKET, w->front.path);
    struct host_config host = {.conf = conf,
                               .clock = w->clock,
                               .incarnation = w->incarnation,
                               .loop = &w->loop,
                               .ring_path = w->ring_path,
                               .lvt_path = w->lvt_path,
                               .sink = &worker_sink,
                               .send_up = worker_send_up,
                               .send_message = worker_send_message,
                               .peer_name = worker_peer_name,
                               .hold = worker_hold,
                               .charge = worker_charge,
                               .settles = true,
                               .arg = w};
    enum err_e err = worker_listen(w); /* first: inherited descriptors are taken before others are opened */
    if (err == ERR_OK && !options->front)
        err = worker_listen_own(w, NULL, proc_tcp_migrates());
    if (err == ERR_OK)
        err = host_init(&w->host, &host);
    if (err == ERR_OK && uv_loop_init(&w->loop) != 0)
        err = ERR_SYSTEM;
    if (err == ERR_OK)
        err = worker_start_dialects(w); /* which may put things of their own on the loop */
    if (err != ERR_OK)
        return err;
    start_handles(w);
    err = start_listening_to_others(w, options);
    if (err != ERR_OK)
        return err;
    return options->front ? worker_front_start(w) : worker_introduce(w);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

int worker_run(struct worker *w)
{
    uv_run(&w->loop, UV_RUN_DEFAULT);
    worker_ear_close(w);
    worker_reload_stop(w);
    worker_close_doors(w);
    host_stop(&w->host);
    worker_uplink_close(w);
    uv_walk(&w->loop, close_handle, NULL);
    uv_run(&w->loop,
           UV_RUN_DEFAULT); /* what a dialect closed when it stopped lies in memory that goes next */
    host_fini(&w->host);
    int leftover = uv_loop_close(&w->loop);
    if (leftover != 0)
        log_warn("stopped", "error=\"the event loop still had handles: %s\"", uv_strerror(leftover));
    worker_control_stop(w);
    worker_front_stop(w);
    conf_free(&w->conf);
    return w->exit_code;
}
