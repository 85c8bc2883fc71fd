/* sim_codec.h — the simulated PLC's side of the wire: bytes to requests, a machine to its two bytes. No I/O.
 *
 * The protocol has no framing: a request is a command byte, followed by an argument byte only if the command has one.
 *
 *     00       status      no argument
 *     01 pp    move to pp  one argument, which may arrive in a later read
 *     cc [aa]  any other   one argument if a byte follows in the same read, else none; nothing is done
 *
 * The reply to each is two bytes, status and position. Which status bit says what is the profile's; the codec only
 * asks which meanings are true of the machine, so that a new profile needs no code here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "profile.h"
#include "sim_machine.h"

#define SIM_COMMAND_STATUS 0
#define SIM_COMMAND_MOVE   1
#define SIM_REPLY_BYTES    2

struct sim_request {
    uint8_t command;
    uint8_t argument; /* 0 without one */
    bool has_argument;
};

struct sim_decoder {
    bool waiting; /* for the argument of `command` */
    uint8_t command;
};

/* Decodes one read of `len` bytes into at most `len` requests; returns how many. */
size_t sim_decode(struct sim_decoder *decoder, const uint8_t *chunk, size_t len,
                  struct sim_request *requests);

/* True if some bit of the profile can say it. */
bool sim_profile_has(const struct profile *profile, enum meaning_e meaning);

/* The status byte of the machine. Bits that the profile does not list are taken from `unlisted`: a real PLC has them
 * too (218, the API's example of a machine at rest, is ten plus three such bits). An emergency stop, drive fault or
 * positioning error that the profile has no bit for shows as an alarm. */
uint8_t sim_status_byte(const struct sim_machine *machine, const struct profile *profile, uint8_t unlisted);
