/* The parser of client frames (Hop: C1; RFC 6455 section 5).
 *
 * libwebsockets has one, and until its 200 ns per frame and its gaps were measured it was used: it takes unmasked
 * frames, drops some breaches without a Close, refuses the codes 1012 to 1014 and reports no empty pong (README.md).
 * Two parsers over the same bytes would have to agree on every byte; so there is one. */
#include "ws_parse.h"

#include <string.h>

#include "ws_frame.h"

#define FIN      0x80u
#define RESERVED 0x70u
#define OPCODE   0x0fu
#define MASKED   0x80u
#define CONTROL  0x08u

static size_t length_bytes(const struct ws_parser *parser)
{
    unsigned short_len = parser->header[1] & 0x7fu;
    return short_len == 126 ? 2 : short_len == 127 ? 8 : 0;
}

/* Copies what is there of the header's next bytes; true when it has `want` of them. */
static bool take_header(struct ws_parser *parser, size_t want, unsigned char **data, size_t *len)
{
    size_t missing = want - parser->have, step = missing < *len ? missing : *len;
    memcpy(parser->header + parser->have, *data, step);
    parser->have = (uint8_t)(parser->have + step);
    *data += step;
    *len -= step;
    return step == missing;
}

static const char *judge_control(unsigned first, unsigned second)
{
    if (!(first & FIN))
        return "a fragmented control frame";
    if ((second & 0x7fu) > 125)
        return "a control frame above 125 bytes";
    return (first & OPCODE) > WS_PONG ? "a reserved opcode" : NULL;
}

static const char *judge_data(const struct ws_parser *parser, unsigned opcode)
{
    if (opcode > WS_BINARY)
        return "a reserved opcode";
    if (opcode == 0)
        return parser->message == 0 ? "a continuation of nothing" : NULL;
    return parser->message != 0 ? "a message begun inside another" : NULL;
}

/* The first two bytes say nearly everything. */
static const char *judge_start(const struct ws_parser *parser)
{
    unsigned first = parser->header[0], second = parser->header[1];
    if (first & RESERVED)
        return "a reserved bit";
    if (!(second & MASKED))
        return "an unmasked frame";
    return first & CONTROL ? judge_control(first, second) : judge_data(parser, first & OPCODE);
}

static const char *judge_length(uint64_t length, size_t bytes)
{
    if (length >> 63)
        return "a length with its top bit set";
    if ((bytes == 2 && length < 126) || (bytes == 8 && length < 65536))
        return "a length in more bytes than it needs";
    return NULL;
}

static uint64_t read_length(const struct ws_parser *parser, size_t bytes)
{
    uint64_t length = bytes ? 0 : parser->header[1] & 0x7fu;
    for (size_t i = 0; i < bytes; i++)
        length = length << 8 | parser->header[2 + i];
    return length;
}

static void begin_payload(struct ws_parser *parser, uint64_t length)
{
    unsigned opcode = parser->header[0] & OPCODE;
    parser->left = length;
    parser->mask_at = 0;
    parser->in_payload = true;
    if (opcode == WS_TEXT || opcode == WS_BINARY)
        parser->message = (uint8_t)opcode;
}

/* MORE, BREACH, or PIECE: the header is whole. */
static enum ws_parse_e read_header(struct ws_parser *parser, unsigned char **data, size_t *len,
                                   const char **breach)
{
    if (parser->have < 2) {
        if (!take_header(parser, 2, data, len))
            return WS_PARSE_MORE;
        if ((*breach = judge_start(parser)) != NULL)
            return WS_PARSE_BREACH;
    }
    size_t bytes = length_bytes(parser);
    if (!take_header(parser, 2 + bytes + 4, data, len))
        return WS_PARSE_MORE;
    uint64_t length = read_length(parser, bytes);
    if ((*breach = judge_length(length, bytes)) != NULL)
        return WS_PARSE_BREACH;
    begin_payload(parser, length);
    return WS_PARSE_PIECE;
}

static void unmask(unsigned char *data, size_t len, const unsigned char mask[4], unsigned at)
{
    unsigned char key[8];
    uint64_t key_word, word;
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = mask[(at + i) & 3];
    memcpy(&key_word, key, sizeof key_word);
    size_t i = 0;
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        word ^= key_word;
        memcpy(data + i, &word, sizeof word);
    }
    for (; i < len; i++)
        data[i] ^= key[i & 7];
}

static void take_payload(struct ws_parser *parser, unsigned char **data, size_t *len, struct ws_piece *piece)
{
    size_t step = parser->left < *len ? (size_t)parser->left : *len;
    unsigned opcode = parser->header[0] & OPCODE;
    unmask(*data, step, parser->header + parser->have - 4, parser->mask_at);
    parser->mask_at = (uint8_t)((parser->mask_at + step) & 3);
    parser->left -= step;
    piece->data = *data;
    piece->len = step;
    piece->frame_left = parser->left;
    piece->opcode = (uint8_t)(opcode & CONTROL ? opcode : parser->message);
    piece->ends = parser->left == 0 && (parser->header[0] & FIN);
    *data += step;
    *len -= step;
    if (parser->left > 0)
        return;
    if (piece->ends && !(opcode & CONTROL))
        parser->message = 0;
    parser->in_payload = false;
    parser->have = 0;
}

enum ws_parse_e ws_parse_next(struct ws_parser *parser, unsigned char **data, size_t *len,
                              struct ws_piece *piece)
{
    piece->breach = NULL;
    piece->begins = !parser->in_payload;
    if (*len == 0)
        return WS_PARSE_MORE;
    if (!parser->in_payload) {
        enum ws_parse_e result = read_header(parser, data, len, &piece->breach);
        if (result != WS_PARSE_PIECE)
            return result;
    }
    take_payload(parser, data, len, piece);
    return WS_PARSE_PIECE;
}
