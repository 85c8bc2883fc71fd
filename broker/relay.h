/* relay.h — between workers and the store (Hops: C4, R2): the broker hands on, checks who says it, and keeps nothing but sizes.
 *
 *     STORE_REQUEST ──▶ the sender's own? ──▶ a store, and room in its window? ──▶ store
 *                        │ no: dropped          │ no: STORE_REPLY 503, at once
 *     STORE_REPLY ────▶ sane? ──▶ its worker, if it is introduced and reads
 *     the store leaves, in whatever way, or says HELLO again ──▶ STORE_LOST to every worker
 *
 * A request that is answered 503 here was certainly not begun. One that was handed on is answered by the store, or given up by STORE_LOST, or by its worker's
 * deadline.
 */
#pragma once

#include "broker.h"

void relay_request(struct broker *broker, struct peer *worker, const struct wire_message *message);
void relay_reply(struct broker *broker, struct peer *store, const struct wire_message *message);

/* The store that had this incarnation will not answer what it has been asked. */
void relay_store_lost(struct broker *broker, uint64_t incarnation);

void relay_tick(struct broker *broker, uint64_t now_ns);
