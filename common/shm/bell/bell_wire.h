/* bell_wire.h — the two messages on bus/bell.sock (a SOCK_SEQPACKET Unix socket: one message per call, whole or not at
 * all). Worker to broker: bell_hello. Broker to worker: bell_welcome, with the eventfd as SCM_RIGHTS. Nothing else is
 * ever sent; whoever sends something else is cut off. Same host, same build of the layout: fixed structs.
 */
#pragma once

#include <stdint.h>

#define BELL_MAGIC   0x314c4c4542524eULL /* "NRBELL1" */
#define BELL_VERSION 1u

struct bell_hello {
    uint64_t magic;
    uint32_t version, slot;
    uint64_t incarnation;
};

struct bell_welcome {
    uint64_t magic;
    uint32_t version, slot;
};

_Static_assert(sizeof(struct bell_hello) == 24 && sizeof(struct bell_welcome) == 16, "no holes");
