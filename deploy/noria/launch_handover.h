/* launch_handover.h — the listening sockets of a worker that is away too long, lent to one that is there.
 *
 *     worker.1 away, FAMILY_ABSENT_NS ──► ADOPT 1, names, descriptors ──► worker.0 accepts for it, too
 *     worker.1 READY                  ──► DISOWN 1                    ──► worker.0
 *
 * Connections that were waiting are then accepted, and nobody new waits: the kernel goes on spreading them over all SO_REUSEPORT sockets,
 * whoever accepts. If the one that adopted dies or drains, another adopts at once. The ready worker with the fewest adopted ones is
 * asked; if none is ready, they wait in the backlog. Private to deploy/noria.
 *
 * Rejected: adopting at once (a worker is back within 0.1 s, and its clients would then be on a neighbour for as long as they live); closing the missing
 * worker's sockets, so that the kernel spreads no more to them (that resets what waits in their queues).
 */
#pragma once

#include "errcode.h"

struct family;
struct loop_timer;

struct handover {
    struct loop_timer *timer; /* to the end of the first absence that is none yet */
};

enum err_e handover_init(struct family *family); /* ERR_MEMORY */
void handover_fini(struct family *family);

/* After members changed. */
void handover_review(struct family *family);
