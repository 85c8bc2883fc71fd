/* watch.h — the one move whose end is still to be reported (Hop: R1); judged by completion.h, limited in time here.
 * Used by queue.c alone. While it is active the poller polls at the moving rate. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "queue.h"

struct watch;

#define WATCH_LOOK_NS (3 * NS_PER_S)

/* The move has ended, so or so, by this reading (not known: by time); it is not active any more. */
typedef void watch_end_f(void *arg, const struct outcome *completion, struct journal_reading reading);

/* ERR_MEMORY */
enum err_e watch_new(const struct queue_config *config, watch_end_f *on_end, void *arg, struct watch **watch);
void watch_free(struct watch **watch);

/* A move with this (successful) result was written at `written_ns`; `first` is the reading that its result came with,
 * which may already show it done. None is active. A move that a dead agent began may be over its time: it is given
 * WATCH_LOOK_NS all the same, so that a reading can tell how it ended. */
void watch_start(struct watch *watch, const struct outcome *result, uint64_t written_ns,
                 const struct driver_answer *first);
void watch_reading(struct watch *watch, const struct driver_answer *reading);
bool watch_active(const struct watch *watch);
/* Active, and with the move that was asked for by this request. */
bool watch_has(const struct watch *watch, const struct outcome *asked);
