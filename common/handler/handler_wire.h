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

#include "errcode.h"

#define HANDLER_VERSION   1u
#define HANDLER_FRAME_MAX (20u * 1024u * 1024u)
#define HANDLER_WINDOW    64u
#define HANDLER_TOPIC_MAX                                                                                    \
    60u /* bytes of a topic's name, which is UTF-8; "" is every connection of the endpoint */
#define HANDLER_REASON_MAX 123u /* bytes of a close reason */

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
    msgpack_object
        body; /* decoded: lives in the zone and in the frame; encoded: used unless body_bytes is set */
    const char *body_bytes; /* encoding: the body as msgpack already */
    size_t body_len;
    const struct handler_endpoint *endpoints; /* HELLO; decoded: in the zone */
    uint32_t endpoint_count;
};

/* Looks for a whole frame at the beginning of `bytes`. ERR_OK: *message_len bytes of message stand behind the four of the length.
 * ERR_BUSY: not all of it is there yet. ERR_TOO_LARGE, ERR_MALFORMED (length 0): the peer breaks the protocol. */
enum err_e handler_frame(const void *bytes, size_t len, size_t *message_len);

/* Reads a message (without its length). ERR_NOT_FOUND: a type that this version does not know, to be ignored. ERR_MALFORMED. ERR_MEMORY. */
enum err_e handler_decode(const void *message, size_t len, msgpack_zone *zone, struct handler_message *out);

/* Appends the frame, length and all. ERR_TOO_LARGE, ERR_MEMORY: nothing was appended. */
enum err_e handler_encode(const struct handler_message *message, msgpack_sbuffer *out);
