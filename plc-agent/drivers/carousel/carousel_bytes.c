/* See carousel_bytes.h (Hop: D2, C6). */
#include "carousel_bytes.h"

size_t carousel_request(uint8_t command, int argument, uint8_t out[CAROUSEL_REQUEST_MAX])
{
    out[0] = command;
    if (argument < 0 || argument > UINT8_MAX)
        return 1;
    out[1] = (uint8_t)argument;
    return 2;
}

enum carousel_reply_e carousel_reply_feed(struct carousel_reply *reply, const uint8_t *data, size_t len)
{
    if (len > (size_t)(CAROUSEL_REPLY_LEN - reply->have))
        return CAROUSEL_TOO_MANY;
    for (size_t i = 0; i < len; i++)
        reply->bytes[reply->have++] = data[i];
    return reply->have == CAROUSEL_REPLY_LEN ? CAROUSEL_COMPLETE : CAROUSEL_MORE;
}
