/* rest_text.h — the two texts that REST reads: a client's body, and the broker's answer to a command. Pure; any bytes are
 * safe (tests/fuzz/rest_text_fuzz.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "command_json.h"

enum rest_body_e {
    REST_BODY_COMMAND, /* {"command","argument"} */
    REST_BODY_MOVE,    /* {"position"} */
    REST_BODY_REARM    /* {}, or nothing at all */
};

struct rest_body {
    uint16_t command;                    /* 0..255, or COMMAND_REARM */
    int argument;                        /* -1: none */
    int64_t deadline_ms;                 /* -1: none */
    char request_id[REQUEST_ID_MAX + 1]; /* "": none */
};

/* Reads a body for the machine `machine`; `key` is the Idempotency-Key header (NULL: none). A request_id in the body must
 * be the same, a machine_id that of the path. CODE_NONE, or why not; then `text` says so. */
enum command_code_e rest_body_parse(const char *body, size_t len, enum rest_body_e kind, const char *machine,
                                    const char *key, struct rest_body *out,
                                    char text[COMMAND_JSON_ERROR_MAX]);

#define REST_TEXT_MAX 512u

struct rest_reply {
    enum command_code_e code; /* CODE_NONE: success */
    char text[REST_TEXT_MAX]; /* why not, as the broker said it; valid UTF-8 */
    char data[REST_TEXT_MAX]; /* of a success: a JSON object */
};

/* Reads a command_result or error of the carousel dialect, a whole unmasked WebSocket frame. False: it is none. */
bool rest_reply_parse(const void *frame, size_t len, struct rest_reply *reply);
