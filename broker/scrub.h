/* scrub.h — looking after shared memory that something else changed (Hop: D7): a flipped bit in a header or slot is put right from
 * what the broker itself knows, before it can matter for long; a file that was cut ends the broker, whose successor makes
 * new ones. Records are not looked at: their readers do that, and nothing here could put them right.
 */
#pragma once

#include "broker.h"

#define SCRUB_SLOTS_PER_TICK 64u

/* One tick: both headers, and some slots of the table. False (logged): ring or table was cut; the broker must end. */
bool scrub_tick(struct broker *broker);
