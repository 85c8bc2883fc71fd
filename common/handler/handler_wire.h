/* handler_wire.h — what workers and handler processes say to each other, over a Unix stream socket at which the handler listens.
 *
 *     frame:    4 bytes, big endian: length of what follows (1 to HANDLER_FRAME_MAX)
 *     message:  a msgpack array [type, field, …]; a receiver ignores further fields and types that it does not know
 *
 *     worker                          handler
 *       │ HELLO ───────────────────────▶│  version, which handler, limits, its endpoints
 *       │◀────────────────────── WELCOME│  until then the worker sends nothing else
 *       │ OPEN 1 ──────────────────────▶│  a connection
 *       │◀─────────────────────── TAKEN 1│  "on_connect runs now"
 *       │ MESSAGE 2 ───────────────────▶│  validated
 *       │◀──────────────────── REPLY 2 …│  exactly one for each message, in any order
 *       │ CLOSED 3 ────────────────────▶│  the connection is gone
 *       │◀─────────────────────── TAKEN 3│  "on_disconnect runs now"
 *       ╵ end of the stream             ╵  worker gone: every connection of this link is; handler gone: see pool.h
 *
 * Events (OPEN, MESSAGE, CLOSED) are numbered by the worker from 1 per link. A worker has at most HANDLER_WINDOW events under way
 * that are neither TAKEN nor answered by REPLY. HANDLER.md is the page for people who write the other end in another language.
 *
 * Pure: no I/O, no clock. Decoding takes any bytes and allocates nothing but msgpack-c's zone for `body`.
 */
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "errcode.h"

#define HANDLER_VERSION      1u
#define HANDLER_FRAME_MAX    (20u * 1024u * 1024u)
#define HANDLER_LENGTH_BYTES 4u
#define HANDLER_WINDOW       64u
#define HANDLER_NAME_MAX     64u   /* bytes of handler, worker, program, principal, peer */
#define HANDLER_PATH_MAX     64u   /* bytes of an endpoint's path */
#define HANDLER_QUERY_MAX    8192u /* bytes of what stood behind the '?' */
#define HANDLER_TOPIC_MAX    60u   /* bytes of a topic's name; "" is every connection of the endpoint */
#define HANDLER_REASON_MAX   123u  /* bytes of a close reason */
#define HANDLER_DEPTH_MAX    31u /* arrays and maps of a body within each other; what msgpack-c can decode */
#define HANDLER_VALUES_MAX   (1u << 20) /* values in a body, the members of its maps among them */

/* X(number, NAME, fields as the page shows them) */
#define HANDLER_MESSAGE_TABLE(X)                                                                             \
    X(1, HELLO, "version, handler, worker, max_answer_bytes, deadline_ms, [[path, traditional], …]")         \
    X(2, OPEN, "event, conn, path, query, principal, peer, resumed")                                         \
    X(3, MESSAGE, "event, conn, body")                                                                       \
    X(4, CLOSED, "event, conn")                                                                              \
    X(33, WELCOME, "version, program")                                                                       \
    X(34, TAKEN, "event")                                                                                    \
    X(35, REPLY, "event, status, body")                                                                      \
    X(36, SEND, "conn, status, body")                                                                        \
    X(37, SUBSCRIBE, "conn, topic")                                                                          \
    X(38, UNSUBSCRIBE, "conn, topic")                                                                        \
    X(39, PUBLISH, "path, topic, status, body, except")                                                      \
    X(40, CLOSE, "conn, code, reason")

enum handler_message_e {
#define X(number, NAME, fields) HANDLER_##NAME = number,
    HANDLER_MESSAGE_TABLE(X)
#undef X
};

struct handler_text {
    const char *at; /* not NUL-terminated; points into what was decoded */
    uint32_t len;
};

static inline struct handler_text handler_text(const char *text)
{
    return (struct handler_text){text, (uint32_t)strlen(text)};
}

struct handler_endpoint {
    struct handler_text path;
    bool traditional;
};

/* One for all types; each uses the fields that the table names. */
struct handler_message {
    enum handler_message_e type;
    uint64_t version, event, conn, except;
    uint64_t status, code;
    uint64_t max_answer_bytes, deadline_ms;
    struct handler_text handler, worker, path, query, principal, peer, program, topic, reason;
    bool resumed;
    msgpack_object body;    /* in the zone and in the frame; encoding: used if body_bytes is NULL */
    const char *body_bytes; /* the same as msgpack; decoded: within the frame */
    size_t body_len;
    const struct handler_endpoint *endpoints; /* HELLO; decoded: in the zone */
    uint32_t endpoint_count;
};

/* Looks for a whole frame at the beginning of `bytes`. ERR_OK: *message_len bytes of message stand behind the four of the length.
 * ERR_BUSY: not all of it is there yet. ERR_TOO_LARGE, ERR_MALFORMED (length 0): the peer breaks the protocol. */
enum err_e handler_frame(const void *bytes, size_t len, size_t *message_len);

/* Is this exactly one msgpack value, such as a message may carry as its body? ERR_MALFORMED: no. ERR_TOO_LARGE: deeper than
 * HANDLER_DEPTH_MAX, or more than HANDLER_VALUES_MAX values. Touches no heap; its time is bounded by `len`. */
enum err_e handler_value(const void *bytes, size_t len);

/* Reads a message (without its length). ERR_NOT_FOUND: a type that this version does not know, to be ignored. ERR_MALFORMED: anything
 * that handler_encode() would not write, but for fields behind those that are known. ERR_MEMORY.
 *
 * All texts are UTF-8 without a NUL, and within their limits. The strings of a body are not looked at: a worker sends UTF-8 only, a
 * handler may send anything. Takes at most 24 bytes of the zone for each value, because every field was walked over before msgpack-c
 * saw it: that would allocate what a hostile header claims. What an error has taken of the zone goes with it. */
enum err_e handler_decode(const void *message, size_t len, msgpack_zone *zone, struct handler_message *out);

/* The same in two steps, for receivers that judge a body before it becomes objects: all but `body`, for which the zone is not needed
 * unless it is a HELLO; and the body of what the first step accepted (nothing to do in a message without one). Only ERR_MEMORY
 * is left for the second. */
enum err_e handler_decode_head(const void *message, size_t len, msgpack_zone *zone,
                               struct handler_message *out);
enum err_e handler_decode_body(struct handler_message *message, msgpack_zone *zone);

/* Appends the frame, length and all. ERR_TOO_LARGE: a text, the body (handler_value()) or the whole; ERR_MALFORMED: a text is not UTF-8 or
 * has a NUL in it, the body is not one value; ERR_MEMORY. Nothing was appended then. */
enum err_e handler_encode(const struct handler_message *message, msgpack_sbuffer *out);

const char *handler_message_name(enum handler_message_e type); /* "HELLO"; "?" for none */
