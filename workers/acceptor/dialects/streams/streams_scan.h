/* streams_scan.h — JSON text to tokens (Hop: C2). Pure: no memory of its own, no recursion, one pass, linear.
 *
 * Strict: RFC 8259 to the letter. Numbers are text, of whatever size; strings may hold NUL (\u0000). Refused beside what the
 * RFC refuses: more than STREAMS_SCAN_DEPTH levels, and \u escapes of half a surrogate pair, which have no UTF-8.
 *
 * Lenient, for a text that is not strict: also
 *
 *     {ws_op:"send"}       a member's name without quotes: A-Z a-z 0-9 _ $ - . and every character beyond ASCII
 *     {'ws_op':'it\'s'}    strings and names in single quotes, in which \' is ' and " stands for itself
 *     ["a","b",]           one comma behind the last element or member
 *
 * and nothing else: no comments, no bare words as values, no other numbers. Every strict text has the same tokens in both.
 *
 *     streams_scan_init(&scan, text, len, 0);
 *     while ((token = streams_scan_next(&scan)) > STREAMS_SCAN_DONE)
 *         … scan.token
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAMS_SCAN_DEPTH 512u /* arrays and objects within each other */

enum streams_scan_e {
    STREAMS_SCAN_ERROR, /* `why`, and streams_scan_where() */
    STREAMS_SCAN_DONE,  /* the value is over, and only space follows */
    STREAMS_SCAN_NAME,  /* of a member; its value comes next */
    STREAMS_SCAN_VALUE, /* a string, a number, true, false, null */
    STREAMS_SCAN_OPEN,  /* an array or object begins, */
    STREAMS_SCAN_CLOSE  /* and ends */
};

enum streams_kind_e {
    STREAMS_ABSENT,
    STREAMS_NULL,
    STREAMS_FALSE,
    STREAMS_TRUE,
    STREAMS_NUMBER,
    STREAMS_STRING, /* also a name */
    STREAMS_ARRAY,
    STREAMS_OBJECT
};

/* A stretch of the scanned text: of a string what stands between its quotes, of everything else all of it. */
struct streams_text {
    const char *at;
    size_t len;
    uint8_t kind; /* enum streams_kind_e */
    char quote;   /* of a string: '"', '\'', or 0 for a name without quotes */
    bool escaped; /* of a string: there is a backslash in it */
};

enum streams_scan_flags_e {
    STREAMS_SCAN_LENIENT = 1,
    STREAMS_SCAN_UTF8 = 2 /* the text is known to be valid UTF-8; else that is checked */
};

struct streams_scan {
    const char *text, *at, *end;
    struct streams_text token; /* of CLOSE: kind and the closing bracket */
    const char *why;           /* a static text without a full stop; NULL: no error */
    unsigned flags, depth;
    int expect;                                /* what may follow: streams_scan.c */
    uint64_t objects[STREAMS_SCAN_DEPTH / 64]; /* a bit for each open level: object, else array */
};

void streams_scan_init(struct streams_scan *scan, const char *text, size_t len, unsigned flags);

/* The next token, in scan->token. After ERROR always ERROR, after DONE always DONE. */
enum streams_scan_e streams_scan_next(struct streams_scan *scan);

/* With scan->token an OPEN: goes on to its CLOSE, and makes scan->token all of the value. False: ERROR. */
bool streams_scan_skip(struct streams_scan *scan);

/* Fails where `at` stands, as if the text were wrong there. */
void streams_scan_refuse(struct streams_scan *scan, const char *at, const char *why);

/* Line and column of the error, from 1; columns count characters. */
void streams_scan_where(const struct streams_scan *scan, unsigned *line, unsigned *column);
