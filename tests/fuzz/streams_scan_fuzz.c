/* Fuzzes the streams dialect's scanner: any bytes. Strict it is of jansson's opinion; what it accepts, leniently too, is written
 * as strict JSON that says the same again; every strict text is read leniently with the same result; an error stands
 * within the text. */
#include <stdint.h>

#include "streams_jansson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool check(const char *text, size_t len, unsigned flags)
{
    bool ok;
    unsigned line, column;
    struct streams_scan scan = scan_all(text, len, flags, &ok);
    MUST(ok == (scan.why == NULL) && scan.at >= text && scan.at <= text + len);
    streams_scan_where(&scan, &line, &column);
    MUST(line > 0 && column > 0 && line + column <= len + 2);
    if (ok)
        expect_compact(text, len, flags);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    bool strict = expect_like_jansson(text, size), lenient = check(text, size, STREAMS_SCAN_LENIENT);
    MUST(check(text, size, 0) == strict && lenient >= strict);
    if (strict) {
        struct out a = compacted(text, size, 0), b = compacted(text, size, STREAMS_SCAN_LENIENT);
        MUST(a.len == b.len && memcmp(a.at, b.at, a.len) == 0);
        free(a.at);
        free(b.at);
    }
    return 0;
}
