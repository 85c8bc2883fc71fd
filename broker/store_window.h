/* store_window.h — how much the store has been asked and has not answered (part of Hop C4). Pure.
 *
 * The broker hands requests on and keeps none of them; but a store that falls behind leaves them in its queue, which is the broker's memory
 * until it reads. So what it has not answered is counted, in requests and bytes, and beyond the window it is asked nothing more.
 *
 * Only size and time are kept, by (worker, serial): whether somebody waits for an answer is the worker's to know. What is not answered within
 * STORE_WINDOW_NS (a request's own time limit is far below) no longer counts. All memory is taken at init. Rejected: bounding by ZeroMQ's high-water mark, which counts
 * messages of up to 193 KiB: 790 MiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "list.h"
#include "map.h"

#define STORE_WINDOW_REQUESTS 8192u
#define STORE_WINDOW_BYTES    (64u * 1024u * 1024u)
#define STORE_WINDOW_NS       (60 * NS_PER_S)

struct store_window_entry {
    uint64_t worker, serial;
    uint64_t since_ns;
    uint32_t bytes;
    struct list_node node; /* of the open ones, oldest first; or free */
};

struct store_window {
    struct store_window_entry *entries;
    struct list_node open, free;
    struct map by_key;
    uint64_t seed, bytes;
    size_t count, used;
};

enum err_e store_window_init(struct store_window *window, uint64_t seed); /* ERR_MEMORY */
void store_window_fini(struct store_window *window);

bool store_window_has(const struct store_window *window, uint64_t worker, uint64_t serial);
/* It is asked, and was not before. False: no more until something is answered. */
bool store_window_take(struct store_window *window, uint64_t worker, uint64_t serial, uint32_t bytes,
                       uint64_t now_ns);
void store_window_give(struct store_window *window, uint64_t worker, uint64_t serial); /* answered */
/* One that has waited for too long no longer counts; true: there was one. */
bool store_window_expire(struct store_window *window, uint64_t now_ns);
void store_window_clear(struct store_window *window); /* whom it was asked is gone */
