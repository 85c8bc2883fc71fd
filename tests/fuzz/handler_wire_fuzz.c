/* Fuzzes the decoder of handler messages, which reads bytes of processes that are not Noria's. Checked beside memory: what is accepted encodes,
 * no longer than it came, to a whole frame that decodes to the same again, from its objects too; memory (libFuzzer's -malloc_limit_mb). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "handler_wire.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `size`: bytes that the message may have; what stood in the widest of forms comes out in the narrowest. */
static void same_again(const struct handler_message *message, size_t size)
{
    msgpack_sbuffer once, twice;
    msgpack_zone zone;
    struct handler_message again;
    size_t len;
    msgpack_sbuffer_init(&once);
    msgpack_sbuffer_init(&twice);
    MUST(msgpack_zone_init(&zone, 512));
    MUST(handler_encode(message, &once) == ERR_OK);
    MUST(once.size - 4 <= size);
    MUST(handler_frame(once.data, once.size, &len) == ERR_OK && len == once.size - 4);
    MUST(handler_decode(once.data + 4, len, &zone, &again) == ERR_OK && again.type == message->type);
    MUST(handler_encode(&again, &twice) == ERR_OK);
    MUST(twice.size == once.size && memcmp(twice.data, once.data, once.size) == 0);
    msgpack_zone_destroy(&zone);
    msgpack_sbuffer_destroy(&once);
    msgpack_sbuffer_destroy(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    msgpack_zone zone;
    struct handler_message message;
    size_t len;
    MUST(msgpack_zone_init(&zone, 512));
    enum err_e err = handler_decode(data, size, &zone, &message);
    MUST(err == ERR_OK || err == ERR_MALFORMED || err == ERR_NOT_FOUND);
    if (err == ERR_OK) {
        same_again(&message, size);
        message.body_bytes = NULL;
        same_again(&message, size);
    }
    if (err != ERR_MALFORMED)
        MUST(handler_value(data, size) != ERR_MALFORMED);
    if (err == ERR_MALFORMED) /* whatever it claims, nothing was allocated for a body */
        MUST(message.body.type == MSGPACK_OBJECT_NIL);
    err = handler_frame(data, size, &len);
    MUST(err != ERR_OK || (len > 0 && len + 4 <= size));
    msgpack_zone_destroy(&zone);
    return 0;
}
