/* carousel_bytes.h — the carousel PLC's bytes (Hop: D2, C6): requests out of commands, replies out of bytes. No I/O.
 *
 *     request   command [argument]      one byte, or two if there is an argument
 *     reply     status position         exactly two bytes, which may arrive split
 *
 * There is no framing, length or request id: only a count of bytes tells a reply from a mistake, so that one byte too
 * many spoils the whole reply (nobody can say which two of the three were meant).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CAROUSEL_REQUEST_MAX 2
#define CAROUSEL_REPLY_LEN   2

/* `argument` 0..255, anything else: none. Returns the number of bytes. */
size_t carousel_request(uint8_t command, int argument, uint8_t out[CAROUSEL_REQUEST_MAX]);

struct carousel_reply {
    uint8_t bytes[CAROUSEL_REPLY_LEN]; /* status, position */
    uint8_t have;
};

enum carousel_reply_e { CAROUSEL_MORE, CAROUSEL_COMPLETE, CAROUSEL_TOO_MANY };

/* Adds what one read brought. COMPLETE: both bytes and no other. TOO_MANY: not a reply. */
enum carousel_reply_e carousel_reply_feed(struct carousel_reply *reply, const uint8_t *data, size_t len);
