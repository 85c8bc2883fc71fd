/* streams_text.h — what is done with a stretch of JSON that the scanner has passed (Hop: C2). Pure.
 *
 * All of it takes texts of streams_scan.h from a scan that went well, so that nothing here can fail; what does not fit
 * `out` shows as its overflow. */
#pragma once

#include "bytes.h"
#include "streams_scan.h"

/* A string's content is this text. */
bool streams_text_is(const struct streams_text *string, const char *text);

/* Appends a string's content, byte for byte: escapes are what they stand for. At most `string->len` bytes. */
void streams_text_bare(const struct streams_text *string, struct out *out);

/* Appends any value as compact strict JSON: without the space outside strings; numbers and escapes as they were written. Of a
 * lenient value the names and strings get their quotes, and commas behind the last go. At most 2 * value->len + 2 bytes. */
void streams_text_compact(const struct streams_text *value, struct out *out);

struct streams_member {
    const char *name;
    struct streams_text value; /* kind STREAMS_ABSENT: the object has none of this name */
};

/* Scans a whole text. If it is an object, those of its members that have one of `count` names are noted; *kind is what it is.
 * False: it is not JSON, or one of these names comes twice, which two readers could understand differently (of other
 * names it may: looking at all of them would not be linear). Then the scan says why and where. */
bool streams_text_scan(struct streams_scan *scan, struct streams_member *members, unsigned count,
                       enum streams_kind_e *kind);
