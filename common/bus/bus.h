/* bus.h — the broker's end of the bus: one ZeroMQ ROUTER (Hops: C4, D6).
 *
 * Peers are DEALERs (link.h). A peer is named by its routing identity, which it chooses uniquely per process start, so
 * that an identity never means two processes. When the connection under a peer ends, `closed` tells so at once: the
 * end of its socket is the event, not a missing heartbeat.
 *
 * What bounds memory: BUS_HIGH_WATER messages per peer and direction, each of at most WIRE_MAX bytes up and WIRE_DOWN_MAX
 * down (ZMQ_MAXMSGSIZE: whoever sends more is hung up on). Of the large ones few can wait. PUBLISH: a worker sends nothing that it does
 * not keep itself, 4 MiB at most, until it reads it in the ring. SURVEY_ROWS: the asker draws them one by one. STORE_REQUEST and STORE_REPLY: the
 * broker counts what is unanswered and unheard (broker/relay.h). EVENT: WIRE_EVENTS_WINDOW of 17 KiB. All others stay below
 * 1 KiB: 4 MiB per peer, and of a worker what its pending commands take (what a link gathers counts as one, BUS_GATHER_MAX
 * messages at most). The count alone would bound a peer that is none of ours to gigabytes; what keeps such a one out is the mode of
 * the socket's directory.
 *
 * Nothing blocks. Loop-agnostic: poll bus_router_fd() for reading and call bus_router_service(); nothing else is
 * needed. The descriptor is level-triggered: readable as long as there is something to do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "wire.h"

#define BUS_IDENTITY_MAX 32
#define BUS_HIGH_WATER   4096 /* messages queued per peer and direction; beyond it sends answer ERR_FULL */

#define BUS_GATHER_MAX 64 /* messages that a link hands over as one */

struct bus_router;

struct bus_identity {
    uint8_t len;
    unsigned char bytes[BUS_IDENTITY_MAX];
};

struct bus_router_events {
    /* A well-formed message. `connection` names the transport connection it came by; it is what `closed` will name.
     * Texts inside are valid during the call. */
    void (*message)(void *arg, const struct bus_identity *from, int connection,
                    const struct wire_message *message);
    /* Bytes that are no message (counted and logged by the receiver, who knows the peer). */
    void (*malformed)(void *arg, const struct bus_identity *from, size_t len);
    /* The connection has ended; what its peer said last was delivered before. Descriptors are reused: a HELLO of a
     * successor with the same number comes after this, never before. */
    void (*closed)(void *arg, int connection);
};

/* Binds `endpoint` ("ipc:///…/bus/broker.sock"); a stale socket file is replaced. ERR_SYSTEM (logged). */
enum err_e bus_router_open(const char *endpoint, const struct bus_router_events *events, void *arg,
                           struct bus_router **router);
void bus_router_close(struct bus_router **router);

int bus_router_fd(const struct bus_router *router); /* level-triggered (an epoll descriptor), for reading */

/* Delivers up to `budget` messages. True: there are more (the descriptor is readable then, too). Not from within its own
 * events. */
bool bus_router_service(struct bus_router *router, unsigned budget);

/* ERR_NOT_FOUND: no such peer is connected. ERR_FULL: the peer does not read; the message is dropped, the caller
 * counts it. ERR_OK promises nothing: what is on its way when a connection ends is lost, and for a moment after
 * `closed` messages are still taken. May be called from the events. */
enum err_e bus_router_send(struct bus_router *router, const struct bus_identity *to,
                           const struct wire_message *message);
