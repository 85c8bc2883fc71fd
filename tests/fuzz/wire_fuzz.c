/* Fuzzes the bus's decoder, which reads bytes of every process that may reach the broker's socket. Checked beside
 * memory: an accepted message encodes within its limits, no longer than it came, and that decodes to the same again. */
#include <stdint.h>
#include <string.h>

#include "must.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message message, same;
    unsigned char once[WIRE_MAX], twice[WIRE_MAX];
    if (wire_decode(data, size, &message) != ERR_OK)
        return 0;
    size_t len = wire_encode(&message, once, sizeof once);
    MUST(len > 0 && len <= size);
    MUST(wire_decode(once, len, &same) == ERR_OK);
    MUST(wire_encode(&same, twice, sizeof twice) == len && memcmp(once, twice, len) == 0);
    MUST(wire_type_name(message.type)[0] != '?');
    return 0;
}
