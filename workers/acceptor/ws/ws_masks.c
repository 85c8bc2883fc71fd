/* Follows the frames of a byte stream from header to header, to see whether each is masked (RFC 6455 section 5.2).
 * Everything else about a frame is libwebsockets' business. */
#include "ws_internal.h"

/* The mask bit stands in a header's second byte; the rest is only length and mask key. */
static bool second_byte(struct mask_scan *scan, unsigned char c)
{
    unsigned len = c & 0x7f;
    scan->length_bytes = len == 126 ? 2 : len == 127 ? 8 : 0;
    scan->payload = scan->length_bytes ? 0 : len;
    return (c & 0x80) != 0;
}

static bool header_byte(struct mask_scan *scan, unsigned char c)
{
    unsigned at = scan->at++;
    if (at == 1)
        return second_byte(scan, c);
    if (at >= 2 && at < 2u + scan->length_bytes)
        scan->payload = scan->payload << 8 | c;
    if (at == 1u + scan->length_bytes + 4u)
        scan->at = 0; /* that was the mask key's last byte */
    return true;
}

bool mask_scan_feed(struct mask_scan *scan, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (scan->at == 0 && scan->payload > 0) {
            size_t step = scan->payload < len - i ? (size_t)scan->payload : len - i;
            scan->payload -= step;
            i += step;
        } else if (!header_byte(scan, data[i++])) {
            return false;
        }
    }
    return true;
}
