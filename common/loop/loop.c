/* Timers stand in a binary heap ordered by (due, sequence) on the injected clock; each knows its index, so that start,
 * stop and free are O(log n) without a search. Rejected: one libevent timer per Noria timer, because libevent reads
 * its own clock, which no test can move. */
#include "loop.h"

#include <event2/event.h>
#include <stdlib.h>

#include "must.h"

#define NOT_IN_HEAP SIZE_MAX

struct loop_timer {
    struct loop *loop;
    loop_callback_f *callback;
    void *arg;
    uint64_t due_ns, sequence;
    size_t index;
};

struct loop_fd {
    struct loop *loop;
    struct event *event;
    int fd;
    short edge; /* EV_ET or 0 */
    loop_fd_f *callback;
    void *arg;
};

struct loop_signal {
    struct event *event;
    loop_callback_f *callback;
    void *arg;
};

struct deferred {
    loop_callback_f *callback;
    void *arg;
};

struct loop {
    struct event_base *base;
    struct event *alarm; /* ends the wait when the earliest timer is due */
    const struct clock *clock;
    struct loop_timer **heap;
    size_t heap_count, heap_cap;
    size_t timer_count; /* made, running or not; heap_cap >= timer_count, so starting cannot fail */
    uint64_t sequence;
    struct deferred *deferred;
    size_t deferred_count, deferred_cap;
    size_t watches;
    bool stopped;
};

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

struct loop *loop_new(const struct clock *clock)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    struct event_config *config = event_config_new();
    if (config != NULL) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (loop->base != NULL)
        loop->alarm = event_new(loop->base, -1, 0, on_alarm, NULL);
    if (loop->alarm == NULL) {
        if (loop->base != NULL)
            event_base_free(loop->base);
        free(loop);
        return NULL;
    }
    loop->clock = clock;
    return loop;
}

void loop_free(struct loop **loop)
{
    struct loop *l = *loop;
    if (l == NULL)
        return;
    MUST(l->timer_count == 0 && l->watches == 0);
    event_free(l->alarm);
    event_base_free(l->base);
    free(l->heap);
    free(l->deferred);
    free(l);
    *loop = NULL;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return clock_mono_ns(loop->clock);
}

/* --- heap ------------------------------------------------------------------------------------------------------- */

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->sequence < b->sequence;
}

static void heap_set(struct loop *loop, size_t index, struct loop_timer *timer)
{
    loop->heap[index] = timer;
    timer->index = index;
}

static void heap_up(struct loop *loop, size_t i, struct loop_timer *timer)
{
    for (; i > 0 && earlier(timer, loop->heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap_set(loop, i, loop->heap[(i - 1) / 2]);
    heap_set(loop, i, timer);
}

static void heap_down(struct loop *loop, size_t i, struct loop_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= loop->heap_count)
            break;
        if (child + 1 < loop->heap_count && earlier(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!earlier(loop->heap[child], timer))
            break;
        heap_set(loop, i, loop->heap[child]);
        i = child;
    }
    heap_set(loop, i, timer);
}

static void heap_remove(struct loop *loop, struct loop_timer *timer)
{
    size_t i = timer->index;
    if (i == NOT_IN_HEAP)
        return;
    struct loop_timer *last = loop->heap[--loop->heap_count];
    timer->index = NOT_IN_HEAP;
    if (last == timer)
        return;
    if (i > 0 && earlier(last, loop->heap[(i - 1) / 2]))
        heap_up(loop, i, last);
    else
        heap_down(loop, i, last);
}

/* --- timers ----------------------------------------------------------------------------------------------------- */

struct loop_timer *loop_timer_new(struct loop *loop, loop_callback_f *callback, void *arg)
{
    if (loop->timer_count == loop->heap_cap) {
        size_t cap = loop->heap_cap ? loop->heap_cap * 2 : 16;
        struct loop_timer **heap = realloc(loop->heap, cap * sizeof *heap);
        if (heap == NULL)
            return NULL;
        loop->heap = heap;
        loop->heap_cap = cap;
    }
    struct loop_timer *timer = calloc(1, sizeof *timer);
    if (timer == NULL)
        return NULL;
    *timer = (struct loop_timer){.loop = loop, .callback = callback, .arg = arg, .index = NOT_IN_HEAP};
    loop->timer_count++;
    return timer;
}

void loop_timer_free(struct loop_timer **timer)
{
    struct loop_timer *t = *timer;
    if (t == NULL)
        return;
    heap_remove(t->loop, t);
    t->loop->timer_count--;
    free(t);
    *timer = NULL;
}

void loop_timer_start_at(struct loop_timer *timer, uint64_t due_mono_ns)
{
    struct loop *loop = timer->loop;
    heap_remove(loop, timer);
    timer->due_ns = due_mono_ns;
    timer->sequence = loop->sequence++;
    heap_up(loop, loop->heap_count++, timer);
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ns)
{
    loop_timer_start_at(timer, loop_now_ns(timer->loop) + delay_ns);
}

void loop_timer_stop(struct loop_timer *timer)
{
    heap_remove(timer->loop, timer);
}

bool loop_timer_active(const struct loop_timer *timer)
{
    return timer->index != NOT_IN_HEAP;
}

/* Timers started by these callbacks run in the next iteration, even if they are due already: no starvation. */
static void run_timers(struct loop *loop)
{
    uint64_t now = loop_now_ns(loop), last_sequence = loop->sequence;
    while (loop->heap_count > 0 && loop->heap[0]->due_ns <= now && loop->heap[0]->sequence < last_sequence) {
        struct loop_timer *timer = loop->heap[0];
        heap_remove(loop, timer);
        timer->callback(timer->arg);
    }
}

/* --- descriptors and signals ------------------------------------------------------------------------------------ */

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct loop_fd *watch = arg;
    watch->callback(watch->arg, (what & EV_READ ? LOOP_READ : 0u) | (what & EV_WRITE ? LOOP_WRITE : 0u));
}

static struct loop_fd *fd_new(struct loop *loop, int fd, unsigned events, short edge, loop_fd_f *callback,
                              void *arg)
{
    struct loop_fd *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    *watch = (struct loop_fd){loop, NULL, fd, edge, callback, arg};
    watch->event = event_new(loop->base, fd, EV_PERSIST, on_fd, watch);
    if (watch->event == NULL) {
        free(watch);
        return NULL;
    }
    loop->watches++;
    loop_fd_set(watch, events);
    return watch;
}

struct loop_fd *loop_fd_new(struct loop *loop, int fd, unsigned events, loop_fd_f *callback, void *arg)
{
    return fd_new(loop, fd, events, 0, callback, arg);
}

struct loop_fd *loop_fd_new_edge(struct loop *loop, int fd, unsigned events, loop_fd_f *callback, void *arg)
{
    return fd_new(loop, fd, events, EV_ET, callback, arg);
}

void loop_fd_set(struct loop_fd *watch, unsigned events)
{
    event_del(watch->event);
    if (events == 0)
        return;
    short what = (short)(EV_PERSIST | watch->edge | (events & LOOP_READ ? EV_READ : 0) |
                         (events & LOOP_WRITE ? EV_WRITE : 0));
    MUST(event_assign(watch->event, watch->loop->base, watch->fd, what, on_fd, watch) == 0);
    MUST(event_add(watch->event, NULL) == 0);
}

void loop_fd_free(struct loop_fd **watch)
{
    struct loop_fd *w = *watch;
    if (w == NULL)
        return;
    event_free(w->event);
    w->loop->watches--;
    free(w);
    *watch = NULL;
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    (void)signo;
    (void)what;
    struct loop_signal *signal = arg;
    signal->callback(signal->arg);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_callback_f *callback, void *arg)
{
    struct loop_signal *signal = calloc(1, sizeof *signal);
    if (signal == NULL)
        return NULL;
    *signal = (struct loop_signal){NULL, callback, arg};
    signal->event = evsignal_new(loop->base, signo, on_signal, signal);
    if (signal->event == NULL || event_add(signal->event, NULL) != 0) {
        free(signal);
        return NULL;
    }
    return signal;
}

void loop_signal_free(struct loop_signal **signal)
{
    if (*signal == NULL)
        return;
    event_free((*signal)->event);
    free(*signal);
    *signal = NULL;
}

/* --- deferred work and the iteration ---------------------------------------------------------------------------- */

enum err_e loop_defer(struct loop *loop, loop_callback_f *callback, void *arg)
{
    if (loop->deferred_count == loop->deferred_cap) {
        size_t cap = loop->deferred_cap ? loop->deferred_cap * 2 : 16;
        struct deferred *grown = realloc(loop->deferred, cap * sizeof *grown);
        if (grown == NULL)
            return ERR_MEMORY;
        loop->deferred = grown;
        loop->deferred_cap = cap;
    }
    loop->deferred[loop->deferred_count++] = (struct deferred){callback, arg};
    return ERR_OK;
}

/* What these callbacks defer again runs in the next iteration. */
static void run_deferred(struct loop *loop)
{
    size_t count = loop->deferred_count;
    for (size_t i = 0; i < count; i++) {
        struct deferred d = loop->deferred[i];
        d.callback(d.arg);
    }
    loop->deferred_count -= count;
    for (size_t i = 0; i < loop->deferred_count; i++)
        loop->deferred[i] = loop->deferred[count + i];
}

static void wait_and_dispatch(struct loop *loop, bool wait)
{
    if (!wait || loop->deferred_count > 0) {
        event_base_loop(loop->base,
                        EVLOOP_ONCE | EVLOOP_NONBLOCK); /* without ONCE it repeats until all is quiet */
        return;
    }
    if (loop->heap_count > 0) {
        uint64_t now = loop_now_ns(loop), due = loop->heap[0]->due_ns;
        uint64_t us = due > now ? (due - now + NS_PER_US - 1) / NS_PER_US : 0;
        if (us > 3600ULL * 1000000)
            us = 3600ULL * 1000000;
        struct timeval delay = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
        MUST(event_add(loop->alarm, &delay) == 0);
    }
    event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    event_del(loop->alarm);
}

static void iterate(struct loop *loop, bool wait)
{
    wait_and_dispatch(loop, wait);
    run_timers(loop);
    run_deferred(loop);
}

void loop_poll(struct loop *loop)
{
    iterate(loop, false);
}

void loop_step(struct loop *loop)
{
    iterate(loop, true);
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped)
        iterate(loop, true);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
