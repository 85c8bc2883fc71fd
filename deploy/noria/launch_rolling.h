/* launch_rolling.h — restarts and drains that somebody asked for: one process after the other, and told when it is over.
 *
 *     worker      its successor is started, ready, takes its sockets; the old one drains; then the next worker
 *     agent       told to end, started; ROLLING_AGENTS at a time, so that not all machines are unwatched at once
 *     all others  told to end, started; one at a time
 *
 * One that does not come up ends it: the processes behind it are left as they are, so that a broken program replaces one worker's
 * successor and nobody who serves. Everything is bounded by the family's own limits (readiness, window of a drain). One order at a time.
 */
#pragma once

#include "family.h"

#define ROLLING_AGENTS 8

struct rolling;

struct rolling *rolling_new(struct family *family); /* NULL: out of memory */
void rolling_free(struct rolling **rolling);        /* before the family */

typedef void rolling_line_f(void *arg, const char *line);    /* "worker.0: restarted (pid 12 → 34)" */
typedef void rolling_done_f(void *arg, const char *problem); /* once, the last; NULL: all as asked */

/* `what` names members, or "workers", "agents", "handlers"; none: all of them, in the order of their start. ERR_BUSY: another order is under way;
 * ERR_NOT_FOUND: `unknown` (if not NULL) is who is not there; ERR_CLOSED: the family stops; ERR_MEMORY. Then nothing is called. */
enum err_e rolling_restart(struct rolling *rolling, const char *const *what, size_t count,
                           const char **unknown, rolling_line_f *on_line, rolling_done_f *on_done, void *arg);
/* A worker; ERR_NOT_FOUND also for who is none. */
enum err_e rolling_drain(struct rolling *rolling, const char *name, rolling_line_f *on_line,
                         rolling_done_f *on_done, void *arg);
bool rolling_busy(const struct rolling *rolling);
/* Who asked with this `arg` is gone; the order goes on. */
void rolling_forget(struct rolling *rolling, const void *arg);
