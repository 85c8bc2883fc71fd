/* gate_head.h — the judge of a request's head: bytes in, a checked request or an answer out. No I/O, no clock.
 *
 *     bytes ──► gate_scan_feed()  one byte at a time: line ends, byte classes, sizes; finds the empty line
 *                    │ the whole head, and nothing behind it
 *                    ▼
 *               gate_head_judge()  request line, header table, then the rules of RFC 6455 section 4 and RFC 9112,
 *                    │             each at its strictest; the first breach names the answer
 *                    ▼
 *               struct gate_request, or status and a sentence for the client
 *
 * Feeding in any pieces gives the same verdict as feeding at once. Both steps are linear in the head's size and hold
 * nothing but the head itself. The judge works in the caller's buffer: it ends strings with NUL and moves the token
 * out of the query, so that neither `query` nor gate_request_log_target() can carry a secret to a log.
 *
 * What lenient servers accept and this one refuses, because two programs that read it differently are how requests
 * are smuggled: line ends other than CRLF, folded lines, space before a colon, a second Host, absolute or CONNECT
 * targets, Content-Length beside an upgrade, any Transfer-Encoding, h2c beside websocket, and every method, version,
 * key and Origin that is not exactly as it must be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATE_HEAD_MAX      8192u /* bytes, with the empty line */
#define GATE_HEADERS_MAX   64u
#define GATE_PROTOCOLS_MAX 16u

struct gate_header {
    const char *name;  /* lower case */
    const char *value; /* without white space around it */
};

/* A good request. All strings end with NUL and stand in the buffer that was judged. */
struct gate_request {
    const char *method;
    const char *path;   /* as sent, with %XX: begins with '/', no query */
    const char *query;  /* without '?' and without the token; "" if there is none */
    const char *host;   /* as sent, with port */
    const char *origin; /* NULL: none sent */
    bool
        origin_allowed; /* always for an upgrade; a plain request with another Origin is handed on, and it is for who
                          * serves it to know what a page of a stranger may do */
    const char *token; /* bearer token, from whichever of the three places; NULL: none. Never log it. */
    const char
        *protocols[GATE_PROTOCOLS_MAX]; /* Sec-WebSocket-Protocol as offered; a token is shown as "***" */
    size_t protocol_count;
    const char *protocol;    /* the one to answer with ("bearer"), or NULL */
    bool upgrade;            /* to WebSocket; false: a plain HTTP request, only where the rules allow those */
    const char *key;         /* Sec-WebSocket-Key: 24 characters of base64; NULL without upgrade */
    uint64_t content_length; /* 0 if there is none */
    struct gate_header headers[GATE_HEADERS_MAX];
    size_t header_count;
    const char *behind; /* what arrived behind the head (a first frame sent at once), not ended by NUL; */
    size_t behind_len;  /* set by the gate, 0 by the judge */
};

struct gate_rules {
    bool plain_http; /* a request without upgrade is good too */
    uint64_t max_body_bytes;
    const char *const
        *origins; /* allowed beside absent, same host and loopback; "null" only by standing here */
    size_t origin_count;
    bool (*path_known)(void *arg, const char *path); /* of upgrades; NULL: every path */
    void *arg;
};

/* 0: good. Else an HTTP status and one sentence in plain ASCII, static. */
struct gate_verdict {
    unsigned status;
    const char *reason;
};

enum gate_scan_e { GATE_SCAN_MORE, GATE_SCAN_WHOLE, GATE_SCAN_BAD };

struct gate_scan {
    uint32_t length;             /* bytes of the head seen so far */
    uint16_t lines;              /* complete lines, the request line included */
    uint16_t line_bytes;         /* of the current line */
    bool cr;                     /* the last byte was a CR */
    struct gate_verdict verdict; /* when BAD */
};

void gate_scan_init(struct gate_scan *scan);

/* Looks at the next bytes until the head is whole or bad; scan->length says where the head ends, bytes of `data`
 * behind that are not looked at. Not to be called again after WHOLE or BAD. */
enum gate_scan_e gate_scan_feed(struct gate_scan *scan, const char *data, size_t len);

/* `head` are the scan->length bytes of a WHOLE head; they are changed. On status 0 *request is filled. */
struct gate_verdict gate_head_judge(char *head, size_t len, const struct gate_rules *rules,
                                    struct gate_request *request);

/* The value of a header, by lower-case name; NULL if absent. */
const char *gate_request_header(const struct gate_request *request, const char *name);

/* Copies the (undecoded) value of a query parameter; false if it is absent or does not fit. */
bool gate_request_param(const struct gate_request *request, const char *name, char *out, size_t size);

/* "/path?query" for logs: printable ASCII, cut to `size`; the token is not in it. */
void gate_request_log_target(const struct gate_request *request, char *out, size_t size);

/* The status line's words for a status the gate answers with. */
const char *gate_status_text(unsigned status);
