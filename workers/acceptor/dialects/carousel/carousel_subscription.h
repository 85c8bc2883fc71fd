/* carousel_subscription.h — subscribe, unsubscribe and resuming (Hop: C2).
 *
 * A subscription is a set of topics of the connection: per kind (states, results, events) either single machines or all of
 * them, also those that come later. subscription_type names kinds: status_updates states, command_results results,
 * all_events all three. Subscribing adds topics, unsubscribing takes them away, whichever request had brought them. */
#pragma once

#include "carousel_message.h"
#include "endpoint.h"

void carousel_subscribe(struct endpoint_conn *conn, const struct carousel_message *message);
void carousel_unsubscribe(struct endpoint_conn *conn, const struct carousel_message *message);

/* carousel.auto_subscribe, as the older server did: every client hears every status, without asking. */
void carousel_subscribe_unasked(struct endpoint_conn *conn);
