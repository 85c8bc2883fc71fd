/* gate.h — the door of a worker: accepts connections, reads and judges each request's head, answers the bad ones
 * itself and hands the good ones on (Hop: C1, before anything else).
 *
 *                  listening sockets (inherited, one SO_REUSEPORT socket per worker and listener)
 *                        │ accept4, in budgets
 *                        ▼
 *      half-open: reading ──────────── head whole and good ──────────────► accepted(fd, request)
 *                 │   │  handshake limit, peer gone ──► closed
 *                 │   └─ too many: the oldest gives way
 *                 ▼ head bad
 *      half-open: draining (answer sent, sending side shut; what the peer still sends is thrown away so that no
 *                 reset overtakes the answer) ── peer closes, or 2 s, or 64 KiB ──► closed
 *
 * libwebsockets sees no byte of a stranger: what it gets is a head written by ws.c from a judged request. The rules
 * are gate_head.h's. A half-open connection costs 120 bytes here, plus what was read of an incomplete head;
 * their number is bounded, in all and per address (an IPv4 address or an IPv6 /64).
 *
 * Descriptors running out never wedges the loop: the last 64 below the limit are left for the rest of the process (a
 * connection that would get one is answered 503); should accept(2) fail all the same, a reserve descriptor is given up
 * to accept, answer 503 and close, and accepting pauses for 100 ms.
 *
 * One thread, on the worker's libuv loop. gate_free() and gate_pause() may be called from `accepted`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "gate_head.h"

struct gate;
typedef struct uv_loop_s uv_loop_t;

struct gate_listener {
    int fd; /* listening, stays the caller's; made non-blocking, TCP_NODELAY and SO_SNDBUF are set on it and
                      * inherited by what it accepts */
    bool plain_http; /* also takes requests without an upgrade */
    bool own;        /* nobody else holds it: who waits in its queue is lost with it (gate_leave()) */
    bool migrates; /* … unless its network hands them to another socket of the port (proc_tcp_migrates()) */
};

#define GATE_LISTENERS_MAX 64u
#define GATE_DOORS_MAX     256u /* listeners and what was added to them */
#define GATE_LEAVE_NS      (200 * NS_PER_MS)

struct gate_config {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct gate_listener *listeners;
    unsigned listener_count;
    uint32_t handshake_timeout_ms; /* from accept to a whole head; 0: 5000 */
    uint32_t max_half_open;        /* 0: 16384 */
    uint32_t max_per_address;      /* half-open ones of one address, then 429; 0: 8192 */
    uint32_t reserved_descriptors; /* below RLIMIT_NOFILE, left for other uses of the process; 0: 64 */
    uint32_t send_buffer_bytes; /* SO_SNDBUF, 64 to 128 KiB; 0: autotuning, up to 4 MiB for a slow client */
    uint64_t
        max_body_bytes; /* plain requests with more get 413 here; 0: 1 MiB. UINT64_MAX leaves the answer to
                                 * who serves them */
    const char *const *origins; /* allowed beside absent, same host and loopback; live as long as the gate */
    size_t origin_count;

    /* May an upgrade have this path of this listener? NULL: every path. Else 404. Plain requests are not asked for. */
    bool (*path_known)(void *arg, unsigned listener, const char *path);
    /* Is there room for one more connection of this kind? NULL: always. Else 503. */
    bool (*has_room)(void *arg, bool upgrade);
    /* A good request. Takes the descriptor (non-blocking, all read up to request->behind). */
    void (*accepted)(void *arg, int fd, const struct gate_request *request, unsigned listener);
    void *arg;
};

/* Starts accepting. ERR_SYSTEM (logged) or ERR_MEMORY. */
enum err_e gate_new(const struct gate_config *config, struct gate **gate);

/* Closes what is half-open. Its libuv handles are closed by the loop's next iteration. */
void gate_free(struct gate **gate);

/* Stops accepting (connections wait in the kernel's queue, for another process that shares the socket) or goes on;
 * half-open ones go on in either case. */
void gate_pause(struct gate *gate, bool pause);

/* Further sockets of a listener: those of another process, which is away. Whoever comes through one is treated as if it had come
 * through the listener's own. `owner` says whose they are, never UINT32_MAX. Takes the descriptor: it is closed by gate_remove(),
 * gate_leave() and gate_free(), and on an error here. ERR_FULL: GATE_DOORS_MAX; ERR_SYSTEM (logged); ERR_CLOSED: the gate is leaving. */
enum err_e gate_add(struct gate *gate, unsigned listener, int fd, uint32_t owner);
/* All of that owner's go; connections that wait in their queues are for whoever else holds them. Half-open ones stay. Returns how many went. */
unsigned gate_remove(struct gate *gate, uint32_t owner);

/* Nobody comes in any more, for good; half-open ones go on. Closes the descriptors of all doors, the listeners' own, too. What other
 * processes hold as well is closed at once. Of a socket that nobody else holds, what waits in its queue would be refused with it: it begins no new
 * connection (the kernel drops the SYN, so that its sender tries again within a second, and finds another socket of the port), and is
 * closed when those that were being begun have come in, GATE_LEAVE_NS later. */
void gate_leave(struct gate *gate);
bool gate_has_left(const struct gate *gate); /* all doors are closed */

/* Other settings, for whoever comes from now on. `origins` live as long as the gate, or until the next call. */
struct gate_settings {
    uint32_t handshake_timeout_ms; /* 0: 5000 */
    const char *const *origins;
    size_t origin_count;
};
void gate_set(struct gate *gate, const struct gate_settings *settings);

/* Every status that the gate answers with has its counter: refused_400, refused_403, … */
#define GATE_STATUSES(X) X(400) X(403) X(404) X(405) X(413) X(426) X(429) X(431) X(503) X(505)

struct gate_counts {
    uint64_t accepted;        /* connections */
    uint64_t upgrades, plain; /* good requests */
#define X(status) uint64_t refused_##status;
    GATE_STATUSES(X)
#undef X
    uint64_t timeouts;       /* the head was not whole in time */
    uint64_t abandoned;      /* the peer went away before */
    uint64_t evicted;        /* gave way to a newer one; also counted in refused_503 */
    uint64_t no_descriptors; /* EMFILE, ENFILE, or a descriptor of the reserved ones */
    uint64_t accept_errors;  /* others */
    uint64_t half_open;      /* now */
    uint64_t doors_added;    /* gate_add(): now */
    uint64_t accepted_added; /* of `accepted`: through those */
};
const struct gate_counts *gate_counts(const struct gate *gate);
