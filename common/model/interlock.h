/* interlock.h — why a reading forbids a move, by the meanings of its profile. Pure.
 *
 * The agent decides by it, and `noria profile` prints it, so that what people look up in the table is what
 * happens. Interlocks spare people a useless or surprising move and tell them why. They are no safety function: that is
 * the PLC's, which may have changed its mind since the reading.
 *
 * One thing that forbids a move is not in the reading: with `rearm: manual` an emergency stop that was seen is latched by the
 * agent (plc-agent/latch.h) until COMMAND_REARM; moves are then INTERLOCK "emergency stop: not rearmed", named after
 * "emergency stop" itself and before every other condition. So it stands in no table here, and `noria profile` does not show it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "profile.h"

/* The text that clients read ("emergency stop", "manual mode", …), or NULL if nothing forbids it. The gravest condition
 * is named first. */
const char *interlock_forbids(const struct profile *profile, uint8_t raw);

/* The same for a move under way: what ends it. Manual mode does not by itself: the machine stops or goes on. */
const char *interlock_stops(const struct profile *profile, uint8_t raw);

/* May a move begin on this reading? CODE_NONE: yes, as far as the reading goes. CODE_INTERLOCK with *text: a condition, or `profile` is NULL
 * (unknown). CODE_BUSY: the machine moves; *text is NULL. What else is known (age of the reading, a command in flight, the
 * latch) is the caller's. */
enum command_code_e interlock_admits(const struct profile *profile, uint8_t raw, const char **text);
