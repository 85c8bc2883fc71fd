/* channel_events.h — what the store has committed, from its outbox into the ring, once (Hops: D6, D7).
 *
 *     SOURCE ──▶ EVENT_ACK: the last number of that database in the ring
 *     EVENT ──▶ above it? ──▶ sane? ──▶ append ──▶ head ──▶ EVENT_ACK with its place (RING-N)
 *                │ no: EVENT_ACK        │ no: counted, logged, acknowledged without a place
 *
 * Numbers are in the records, and read back when a broker starts (sources.h): so each event is in the ring once, whichever broker or store died when. A
 * jump is counted and right: the store's own table has other rows between. What makes no sense is acknowledged, or it would stand in the way of all that follow.
 */
#pragma once

#include "broker.h"

void channel_events_source(struct broker *broker, struct peer *store, const struct wire_message *message);
void channel_events_receive(struct broker *broker, struct peer *store, const struct wire_message *message);
