/* The first look at a head, byte by byte: may these bytes stand in one, and where does it end? What is refused here
 * is refused as soon as it arrives (a TLS hello at its first byte), before anything is kept. */
#include <string.h>

#include "gate_head.h"

void gate_scan_init(struct gate_scan *scan)
{
    memset(scan, 0, sizeof *scan);
}

static enum gate_scan_e bad(struct gate_scan *scan, unsigned status, const char *reason)
{
    scan->verdict = (struct gate_verdict){status, reason};
    return GATE_SCAN_BAD;
}

static enum gate_scan_e end_of_line(struct gate_scan *scan)
{
    if (scan->line_bytes == 0)
        return scan->lines == 0 ? bad(scan, 400, "the request begins with an empty line") : GATE_SCAN_WHOLE;
    if (++scan->lines > GATE_HEADERS_MAX + 1)
        return bad(scan, 431, "more than 64 header lines");
    scan->line_bytes = 0;
    return GATE_SCAN_MORE;
}

static enum gate_scan_e byte_in_line(struct gate_scan *scan, unsigned char c)
{
    if (c == '\n')
        return bad(scan, 400, "a line that ends with LF alone");
    if (c < 0x20 && c != '\t')
        return bad(scan, 400, "a control character in the request's head");
    if (c == 0x7f)
        return bad(scan, 400, "a control character in the request's head");
    if (scan->line_bytes == 0 && (c == ' ' || c == '\t'))
        return bad(scan, 400, "a line that begins with white space");
    if (scan->lines == 0 && (c == '\t' || c >= 0x80))
        return bad(scan, 400, "a request line that is not plain ASCII");
    scan->line_bytes++;
    return GATE_SCAN_MORE;
}

static enum gate_scan_e next_byte(struct gate_scan *scan, unsigned char c)
{
    scan->length++;
    if (scan->cr) {
        scan->cr = false;
        return c == '\n' ? end_of_line(scan) : bad(scan, 400, "a CR that no LF follows");
    }
    if (c == '\r') {
        scan->cr = true;
        return GATE_SCAN_MORE;
    }
    return byte_in_line(scan, c);
}

enum gate_scan_e gate_scan_feed(struct gate_scan *scan, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (scan->length == GATE_HEAD_MAX)
            return bad(scan, 431, "a request head above 8 KiB");
        enum gate_scan_e result = next_byte(scan, (unsigned char)data[i]);
        if (result != GATE_SCAN_MORE)
            return result;
    }
    return GATE_SCAN_MORE;
}
