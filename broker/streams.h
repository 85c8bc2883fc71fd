/* streams.h — what a client, or a handler, says to clients, from its worker into the ring (Hops: D6, D7).
 *
 *     PUBLISH ──▶ sane? ──▶ above the floor? ──▶ append, in parts ──▶ head ──▶ floor
 *                  │ no: counted, dropped  │ no: it is in the ring already
 *
 * Of whichever dialect they are, a worker numbers these messages in one row, keeps each until it has read it in the ring, and sends what it keeps again after each HELLO:
 * so the ring is the acknowledgement, and there is none on the bus. The broker keeps one number per worker incarnation, and
 * rebuilds it from the ring when it starts; so each message is in the ring once, whichever broker died when. What makes no
 * sense is not published, and does not stand in the way of later numbers.
 */
#pragma once

#include "broker.h"

void streams_receive(struct broker *broker, struct peer *worker, const struct wire_message *message);
