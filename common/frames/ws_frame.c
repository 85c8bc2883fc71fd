#include "ws_frame.h"

size_t ws_frame_header_len(size_t len)
{
    return len < 126 ? 2 : len <= 0xffff ? 4 : 10;
}

unsigned char *ws_frame_prepend(unsigned char *payload, size_t len, enum ws_opcode_e opcode)
{
    unsigned char *frame = payload - ws_frame_header_len(len);
    frame[0] = (unsigned char)(0x80u | opcode);
    if (len < 126) {
        frame[1] = (unsigned char)len;
    } else if (len <= 0xffff) {
        frame[1] = 126;
        frame[2] = (unsigned char)(len >> 8);
        frame[3] = (unsigned char)len;
    } else {
        frame[1] = 127;
        for (unsigned i = 0; i < 8; i++)
            frame[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
    }
    return frame;
}

struct out ws_frame_begin(void *memory, size_t cap)
{
    return cap > WS_HEADER_MAX ? out_init((char *)memory + WS_HEADER_MAX, cap - WS_HEADER_MAX)
                               : out_init(memory, 0);
}

struct frame_bytes ws_frame_end(struct out *payload)
{
    if (payload->overflow)
        return (struct frame_bytes){NULL, 0};
    const unsigned char *at = ws_frame_prepend((unsigned char *)payload->at, payload->len, WS_TEXT);
    return (struct frame_bytes){at, payload->len + ws_frame_header_len(payload->len)};
}

size_t ws_frame_total_len(const unsigned char *frame, size_t available)
{
    if (available < 2)
        return 0;
    size_t len = frame[1] & 0x7fu;
    if (len < 126)
        return 2 + len;
    size_t size_bytes = len == 126 ? 2 : 8;
    if (available < 2 + size_bytes)
        return 0;
    len = 0;
    for (size_t i = 0; i < size_bytes; i++)
        len = len << 8 | frame[2 + i];
    return 2 + size_bytes + len;
}
