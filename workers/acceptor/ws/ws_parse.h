/* ws_parse.h — a client's frames (RFC 6455 section 5) from a stream of bytes cut anywhere (Hop: C1). No I/O, no memory.
 *
 *     bytes ──► ws_parse_next() ──► WS_PARSE_PIECE: a frame, or the part of it that has arrived, unmasked in place
 *                                   WS_PARSE_MORE:  the bytes are used up
 *                                   WS_PARSE_BREACH: a rule of section 5 is broken; `breach` names it
 *
 * Refused: an unmasked frame, a reserved bit or opcode, a length in more bytes than it needs or with its top bit set, a
 * control frame that is fragmented or longer than 125 bytes, a continuation of nothing, a message begun inside another.
 * Not its business: sizes, UTF-8, and what a Close says. Every header gives a piece, even if no byte of its payload is
 * there yet, so that a length can be refused before anything of it is kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_parse_e { WS_PARSE_MORE, WS_PARSE_PIECE, WS_PARSE_BREACH };

#define WS_CLIENT_HEADER_MAX 14u

/* All zero: before the first frame. */
struct ws_parser {
    uint64_t left;                              /* bytes of the current frame's payload still to come */
    unsigned char header[WS_CLIENT_HEADER_MAX]; /* of the current frame, as far as it has arrived */
    uint8_t have;                               /* bytes of that */
    uint8_t mask_at;                            /* byte of the mask that the next byte of payload meets */
    bool in_payload;
    uint8_t message; /* opcode of the open message; 0: none */
};

struct ws_piece {
    unsigned char *data; /* unmasked */
    size_t len;
    uint64_t frame_left; /* bytes of this frame that follow */
    uint8_t opcode;      /* WS_TEXT, WS_BINARY (of the message, also in a continuation) or a control opcode */
    bool begins;         /* the first piece of its frame */
    bool ends;           /* the last piece of its message, or of its control frame */
    const char *breach;  /* static text; set with WS_PARSE_BREACH only, and then nothing else is */
};

/* Takes the next piece out of *data, *len, which move on. After a breach the parser is not to be used again. */
enum ws_parse_e ws_parse_next(struct ws_parser *parser, unsigned char **data, size_t *len,
                              struct ws_piece *piece);
