/* image.h — what this agent knows of its machine, and what of it the broker has not been told (Hop: D3, D4). Pure.
 *
 * The diff is one comparison: the state now against the state last sent, as clients would see it. A birth sends the
 * whole state whatever was sent before; after it, only differences go.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"
#include "wire.h"

struct image {
    struct machine_state now, sent;
    bool ever_sent;
    uint64_t read_ns;   /* monotonic: the last reading */
    uint64_t source_ns; /* monotonic: what changed `now` last */
    uint64_t seq;       /* of the last state sent; 0: none */
};

/* Disconnected, never read. */
void image_init(struct image *image);

void image_reading(struct image *image, uint8_t raw, uint8_t position, uint64_t read_ns, uint64_t wall_ms);
void image_connection(struct image *image, enum connection_e connection, uint64_t now_ns);

bool image_differs(const struct image *image);
int64_t image_age_ms(const struct image *image, uint64_t now_ns); /* of the last reading; -1: never */

/* Writes the next STATE (machine and agent_gen are the caller's); image_was_sent() once it has gone. */
void image_state(const struct image *image, bool birth, uint64_t now_ns, struct wire_state *state);
void image_was_sent(struct image *image);
