/* interlock.h — why a reading forbids a move, by the meanings of its profile (Hop: C5). Pure.
 *
 * Interlocks spare people a useless or surprising move and tell them why. They are no safety function: that is the
 * PLC's, which may have changed its mind since the reading.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile.h"

/* The text that clients read ("emergency stop", "manual mode", …), or NULL if nothing forbids it. */
const char *interlock_forbids(const struct profile *profile, uint8_t raw);

/* The same for a move under way: what ends it. Manual mode does not by itself: the machine stops or goes on. */
const char *interlock_stops(const struct profile *profile, uint8_t raw);
