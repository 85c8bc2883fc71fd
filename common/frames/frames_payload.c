/* One copy: the ring's writer wants header and payload in one piece, and the payload stands in a message of the bus. */
#include "frames_payload.h"

#include <string.h>

struct frame_bytes frames_payload(void *memory, size_t cap, const void *payload, size_t len, bool binary)
{
    if (cap < WS_HEADER_MAX || len > cap - WS_HEADER_MAX)
        return (struct frame_bytes){memory, 0};
    unsigned char *at = (unsigned char *)memory + WS_HEADER_MAX;
    if (len > 0) /* nothing may have no address */
        memcpy(at, payload, len);
    return (struct frame_bytes){ws_frame_prepend(at, len, binary ? WS_BINARY : WS_TEXT),
                                ws_frame_header_len(len) + len};
}
