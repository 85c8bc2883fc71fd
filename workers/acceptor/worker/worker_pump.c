/* Hops: D8–D10. The pump: what is in the ring goes to the audiences, then a slice of rounds goes to the sockets; again
 * while there is more, and asleep on the bell when there is none. Records that arrive during a round are read between
 * slices and go out together in the next: that is the batching. */
#include <stdlib.h>

#include "log.h"
#include "must.h"
#include "worker.h"

#define RECORDS_PER_PUMP 1024u
#define SLICE_NS         (1500 * NS_PER_US)

static void pump(struct worker *w);

static void on_idle(uv_idle_t *idle)
{
    pump(idle->data);
}

static void set_awake(struct worker *w)
{
    if (w->asleep)
        bell_ear_wake(w->ear);
    w->asleep = false;
}

/* True if the bell may be waited for: nothing came between the last look at the ring and `sleeping`. */
static bool fall_asleep(struct worker *w)
{
    if (!w->ear_ready)
        return true; /* no bell: the tick looks */
    if (!w->asleep)
        bell_ear_sleep(w->ear);
    w->asleep = true;
    if (!tail_has_more(&w->host.tail))
        return true;
    set_awake(w);
    return false;
}

static void note_cursor(struct worker *w)
{
    if (w->segment != NULL)
        atomic_store_explicit(&segment_page(w->segment)->cursor, w->host.outbox.position,
                              memory_order_relaxed);
}

static void pump(struct worker *w)
{
    set_awake(w);
    bool more = audiences_pressed(&w->host.audiences) || tail_drain(&w->host.tail, RECORDS_PER_PUMP);
    more |= outbox_slice(&w->host.outbox, SLICE_NS);
    note_cursor(w);
    if (!more && fall_asleep(w))
        uv_idle_stop(&w->pump);
    else
        uv_idle_start(&w->pump, on_idle);
}

void worker_pump_start(struct worker *w)
{
    pump(w);
}

/* --- the bell -------------------------------------------------------------------------------------------------------------- */

/* Takes what the bell has to say. True if it rang. */
static bool listen_to_bell(struct worker *w)
{
    bool rang = false;
    while (w->ear != NULL) {
        switch (bell_ear_take(w->ear)) {
        case BELL_NOTHING:
            return rang;
        case BELL_READY:
            w->ear_ready = true;
            break;
        case BELL_RANG:
            w->bells++;
            rang = true;
            break;
        case BELL_LOST:
            worker_ear_close(w);
            break;
        }
    }
    return rang;
}

static void on_ear(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *w = poll->data;
    listen_to_bell(w);
    pump(w);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void worker_ear_open(struct worker *w)
{
    worker_ear_close(w);
    enum err_e err = bell_ear_open(w->bell_path, w->slot, w->incarnation, w->segment, &w->ear);
    if (err != ERR_OK) {
        log_warn("bell", "path=%s error=\"%s\" looking at the ring ten times a second", w->bell_path,
                 err_text(err));
        return;
    }
    w->ear_poll = calloc(1, sizeof *w->ear_poll);
    if (w->ear_poll == NULL || uv_poll_init(&w->loop, w->ear_poll, bell_ear_fd(w->ear)) != 0) {
        log_error("bell", "error=\"cannot poll the bell\"");
        free(w->ear_poll);
        bell_ear_close(&w->ear);
        return;
    }
    w->ear_poll->data = w;
    MUST(uv_poll_start(w->ear_poll, UV_READABLE, on_ear) == 0);
}

void worker_ear_close(struct worker *w)
{
    if (w->ear == NULL)
        return;
    set_awake(w);
    w->ear_ready = false;
    uv_close((uv_handle_t *)w->ear_poll, free_handle);
    bell_ear_close(&w->ear);
}

/* A bell is lost if a broker dies between publishing and ringing; then this finds the records. */
void worker_pump_tick(struct worker *w)
{
    bool seeded = tail_tick(&w->host.tail);
    if (tail_has_more(&w->host.tail)) {
        if (w->asleep && !listen_to_bell(w))
            w->bells_lost++;
    } else if (!seeded) {
        return;
    }
    pump(w);
}
