/* Fuzzes the two texts that REST reads: a client's body, and a frame in which the broker answered. First byte: which, and
 * whether an Idempotency-Key came along. Checked beside memory: what is accepted is within its bounds, what is refused
 * has a code and a text. */
#include <stdint.h>
#include <string.h>

#include "must.h"
#include "rest_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_body(unsigned kind, const char *text, size_t len)
{
    static const enum rest_body_e kinds[] = {REST_BODY_COMMAND, REST_BODY_MOVE, REST_BODY_REARM};
    struct rest_body body;
    char why[COMMAND_JSON_ERROR_MAX];
    memset(&body, 0xa5, sizeof body);
    memset(why, 0xa5, sizeof why);
    enum command_code_e code = rest_body_parse(text, len,
                                               kinds[kind & 2   ? 1
                                                     : kind & 8 ? 2
                                                                : 0],
                                               "m1", kind & 4 ? "key" : NULL, &body, why);
    if (code != CODE_NONE) {
        MUST(code == CODE_INVALID_COMMAND || code == CODE_INVALID_MESSAGE_FORMAT);
        MUST(memchr(why, '\0', sizeof why) != NULL && why[0] != '\0');
        return;
    }
    MUST(memchr(body.request_id, '\0', sizeof body.request_id) != NULL);
    MUST(body.command <= UINT8_MAX || (body.command == COMMAND_REARM && body.argument == -1));
    MUST(body.argument >= -1 && body.argument <= UINT8_MAX);
    MUST(body.deadline_ms >= -1 && body.deadline_ms <= COMMAND_JSON_DEADLINE_MAX);
    MUST(body.command != COMMAND_MOVE || body.argument >= 0);
}

static void try_reply(const char *frame, size_t len)
{
    struct rest_reply reply;
    memset(&reply, 0xa5, sizeof reply);
    if (!rest_reply_parse(frame, len, &reply))
        return;
    MUST(reply.code < CODE_COUNT);
    MUST(memchr(reply.text, '\0', sizeof reply.text) != NULL);
    MUST(memchr(reply.data, '\0', sizeof reply.data) != NULL);
    MUST(reply.code != CODE_NONE || reply.data[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        try_reply((const char *)data + 1, size - 1);
    else
        try_body(data[0], (const char *)data + 1, size - 1);
    return 0;
}
