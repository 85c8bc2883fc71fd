/* introduction.h — HELLO, RE_HELLO, REFUSED and every way a peer leaves (part of Hop D6). */
#pragma once

#include "broker.h"

/* A HELLO, from whomever: HELLO_OK or REFUSED. */
void introduction_hello(struct broker *broker, const struct bus_identity *from, int connection,
                        const struct wire_message *message);

/* Asks somebody who has not introduced itself, or to another broker, to do so; bounded per peer. */
void introduction_again(struct broker *broker, const struct bus_identity *from);

enum leave_e {
    LEAVE_LOST,
    LEAVE_ON_PURPOSE /* it said GOODBYE */
};

/* The peer is gone: a worker's slot is free, an agent's machine disconnected, workers know that the store is. `peer` is not valid afterwards. */
void introduction_end(struct broker *broker, struct peer *peer, enum leave_e how, const char *why);

/* An agent that does not count any more: REFUSED for this reason, or, without one, only forgotten. `peer` is not valid afterwards. */
void introduction_dismiss(struct broker *broker, struct peer *peer, const char *reason);
