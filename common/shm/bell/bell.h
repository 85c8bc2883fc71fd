/* bell.h — waking sleeping workers with one system call for all of them.
 *
 * The broker owns one eventfd that nobody ever reads. A worker registers it edge-triggered in a private epoll
 * descriptor, and hangs that one, level-triggered, into its loop: epoll_wait on it consumes the edge. The eventfd
 * travels by SCM_RIGHTS over the Unix socket `bus/bell.sock`: the worker connects, sends its slot and incarnation,
 * and gets the descriptor back once the broker has mapped `shm/worker.<slot>`. The connection stays open: for the
 * broker its end is the worker's death, for the worker the broker's.
 *
 * Going to sleep (sequentially consistent, Dekker's pattern): the worker stores sleeping = 1, then reads the ring's
 * head once more; the broker stores the head, then reads `sleeping` of every worker. One of the two always sees the
 * other. A slow periodic check in the worker repairs a bell that was lost all the same (a broker killed between
 * publish and ring), and counts it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"
#include "segment.h"

/* --- the broker's side: loop-agnostic; everything non-blocking ------------------------------------------------ */

struct bell;

typedef void bell_gone_f(void *arg, uint32_t slot, uint64_t incarnation);

/* Listens on `socket_path` (a stale file is replaced; mode 0660). Workers' segments are looked for as
 * `<shm_dir>/worker.<slot>`. `gone` is told when a worker's connection ends or a newer incarnation takes its slot, not
 * when the same incarnation connects again, and not by bell_close(); it may call anything here but bell_close() and
 * bell_service(). Peers of another uid are refused (SO_PEERCRED). Errors: ERR_SYSTEM (logged), ERR_MEMORY,
 * ERR_TOO_LARGE (a path), ERR_EXISTS (the path is taken by something that is no socket). */
enum err_e bell_open(const char *socket_path, const char *shm_dir, bell_gone_f *gone, void *arg,
                     struct bell **bell);
void bell_close(struct bell **bell); /* closes all, unlinks the socket */

/* One descriptor (epoll) to poll for reading; when it is readable call bell_service(), which accepts, maps, hands
 * the eventfd over, and notices ended connections. */
int bell_fd(const struct bell *bell);
void bell_service(struct bell *bell);

/* After publishing: writes the eventfd if any worker sleeps. Returns true if it did. */
bool bell_ring(struct bell *bell);
uint32_t bell_workers(const struct bell *bell); /* connected and mapped */

struct bell_counts {
    uint64_t welcomed, refused, rung;
};
struct bell_counts bell_counts(const struct bell *bell);

/* --- the worker's side ------------------------------------------------------------------------------------------ */

struct bell_ear;

enum bell_event_e {
    BELL_NOTHING,
    BELL_READY, /* the eventfd has arrived: from now on sleeping is allowed */
    BELL_RANG,
    BELL_LOST /* the broker's end closed: close the ear, open a new one after the next HELLO */
};

/* Connects; ERR_NOT_FOUND or ERR_SYSTEM if nobody listens. `segment` is the worker's own. */
enum err_e bell_ear_open(const char *socket_path, uint32_t slot, uint64_t incarnation,
                         struct segment *segment, struct bell_ear **ear);
void bell_ear_close(struct bell_ear **ear);
int bell_ear_fd(const struct bell_ear *ear);           /* poll for reading, level-triggered */
enum bell_event_e bell_ear_take(struct bell_ear *ear); /* consumes one event; call until BELL_NOTHING */

/* sleeping = 1 / 0. After bell_ear_sleep() the caller must look at the ring's head once more, and call
 * bell_ear_wake() and go on if there is something. */
void bell_ear_sleep(struct bell_ear *ear);
void bell_ear_wake(struct bell_ear *ear);
