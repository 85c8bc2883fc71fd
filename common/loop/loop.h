/* loop.h — the event loop of broker, agents, launcher and simulator (libevent underneath, seen nowhere else).
 *
 * Timers run on an injected clock: the loop keeps them in a heap by their due time on `clock`, and libevent only
 * sleeps until the earliest. With a manual clock a test moves time and calls loop_poll(): everything due has run when
 * it returns. One thread. Every function may be called from any callback of the loop unless its comment says
 * otherwise; a callback may free its own timer, descriptor or signal.
 *
 * One iteration: (1) wait for descriptors or the earliest timer; (2) descriptor and signal callbacks; (3) timers that
 * are due, oldest first; (4) what loop_defer() put off, in order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"

struct loop;
struct loop_timer;
struct loop_fd;
struct loop_signal;

enum loop_events_e { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_callback_f(void *arg);
typedef void loop_fd_f(void *arg, unsigned events); /* LOOP_READ | LOOP_WRITE; errors are reported as both */

struct loop *loop_new(const struct clock *clock); /* NULL: out of memory or descriptors */
void loop_free(struct loop **loop);               /* all timers, descriptors and signals were freed before */
const struct clock *loop_clock(const struct loop *loop);
uint64_t loop_now_ns(const struct loop *loop); /* clock_mono_ns() of its clock */

void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_poll(struct loop *loop); /* one iteration that does not wait */
void loop_step(struct loop *loop); /* one iteration that waits for something to do */
void loop_stop(struct loop *loop);

/* Timers: one-shot. start replaces a running one. Objects are made at boot or with what they time; starting and
 * stopping never allocates. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_callback_f *callback, void *arg);
void loop_timer_free(struct loop_timer **timer); /* NULL inside is allowed */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_start_at(struct loop_timer *timer, uint64_t due_mono_ns);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);

/* Descriptors: level-triggered unless `edge`. The descriptor stays the caller's, who frees the watch before closing. */
struct loop_fd *loop_fd_new(struct loop *loop, int fd, unsigned events, loop_fd_f *callback, void *arg);
struct loop_fd *loop_fd_new_edge(struct loop *loop, int fd, unsigned events, loop_fd_f *callback, void *arg);
void loop_fd_set(struct loop_fd *watch, unsigned events); /* 0 pauses */
void loop_fd_free(struct loop_fd **watch);

struct loop_signal *loop_signal_new(struct loop *loop, int signo, loop_callback_f *callback, void *arg);
void loop_signal_free(struct loop_signal **signal);

/* Runs callback(arg) at the end of this iteration: for freeing what the loop may still deliver to, and for going on
 * with work whose budget was used up (the next iteration then does not wait). */
enum err_e loop_defer(struct loop *loop, loop_callback_f *callback, void *arg);
