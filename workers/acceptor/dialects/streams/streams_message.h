/* streams_message.h — what a client of the streams dialect says, as structs (Hop: C2). Pure: bytes in, struct out.
 *
 *     {"ws_op":"open","ws_stream_ids":["a","b"]}     also "ws_stream_id", each a string or an array; both: all of them
 *     {"ws_op":"send","ws_msg":…}                    any value
 *     {"ws_op":"close"}
 *     {"ws_op":"admin","ws_msg":"getnumchannels()"}
 *
 * Read as strict JSON, and if it is not, leniently (streams_scan.h). Members that an operation does not need are ignored,
 * whatever they hold; what it needs and lacks makes an error whose text names the member. Source:
 * stream-message-protocol, "Öffnen, Senden und Schließen von Nachrichten". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "streams_scan.h"
#include "topic.h"

#define STREAMS_ERROR_MAX 160 /* bytes of an error text with its NUL */

enum streams_op_e { STREAMS_OPEN, STREAMS_SEND, STREAMS_CLOSE, STREAMS_ADMIN };

/* Points into the message's text. */
struct streams_message {
    enum streams_op_e op;
    struct streams_text msg;           /* send: any value; admin: a string */
    struct streams_text stream_ids[2]; /* open: streams_message_ids() reads them */
};

/* False: `error` says why; `op` is STREAMS_ADMIN if it was to be a question, which is always answered. `utf8`: the text is
 * known to be valid UTF-8; any bytes are safe. */
bool streams_message_parse(const char *text, size_t len, bool utf8, struct streams_message *message,
                           char error[STREAMS_ERROR_MAX]);

/* The streams that an open names, as topics in the order of the message, the same one possibly several times; *count of
 * them, at most `max`, at least one. False: `error` says which is wrong, and nothing of `topics` counts. */
bool streams_message_ids(const struct streams_message *message, struct topic *topics, uint32_t max,
                         uint32_t *count, char error[STREAMS_ERROR_MAX]);

/* At most 40 bytes of a string as it was written, cut between characters: for "%.*s" in error texts. */
int streams_message_excerpt(const struct streams_text *string);
