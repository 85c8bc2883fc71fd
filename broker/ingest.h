/* ingest.h — from the bus to the handler of each message type (Hop: D6). */
#pragma once

#include "broker.h"

extern const struct bus_router_events ingest_events; /* arg: struct broker */

/* One round: up to BROKER_INGEST_BUDGET messages, then one bell for all they published. Called whenever the router's
 * descriptor is readable, which it stays while there is more: timers and other descriptors have their turn in between. */
void ingest_round(void *broker);
