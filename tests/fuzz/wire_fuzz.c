/* Fuzzes the bus's decoder, which reads bytes of every process that may reach the broker's socket. Checked beside
 * memory: an accepted message encodes within its limits, no longer than it came, and that decodes to the same again. The
 * topics of a PUBLISH lie inside it, end, and make the same list again; so do a HEARTBEAT's entries of histograms. */
#include <stdint.h>
#include <string.h>

#include "must.h"
#include "wire.h"
#include "wire_histograms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_topics(const struct wire_publish *publish)
{
    static unsigned char again[WIRE_TOPICS_BYTES_MAX];
    struct wire_text topics = publish->topics, name;
    size_t len = 0;
    while (wire_topics_next(&topics, &name)) {
        MUST(name.len > 0 && name.len <= WIRE_TOPIC_MAX);
        MUST(wire_topics_append(again, sizeof again, &len, name.at, (uint8_t)name.len));
    }
    MUST(len + topics.len == publish->topics.len && topics.at == publish->topics.at + len);
    MUST(len == 0 || memcmp(again, publish->topics.at, len) == 0);
}

/* Every entry makes the same word again. */
static void check_histograms(struct wire_text rest)
{
    const char *at = rest.at;
    struct wire_histogram_entry entry;
    unsigned char again[WIRE_HISTOGRAM_ENTRY];
    for (; wire_histogram_next(&rest, &entry); at += sizeof again) {
        wire_histogram_encode(&entry, again);
        MUST(memcmp(at, again, sizeof again) == 0);
    }
    MUST(rest.at == at && rest.len < WIRE_HISTOGRAM_ENTRY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message message, same;
    static unsigned char once[WIRE_MAX], twice[WIRE_MAX];
    if (wire_decode(data, size, &message) != ERR_OK)
        return 0;
    size_t len = wire_encode(&message, once, sizeof once);
    MUST(len > 0 && len <= size);
    MUST(wire_decode(once, len, &same) == ERR_OK);
    MUST(wire_encode(&same, twice, sizeof twice) == len && memcmp(once, twice, len) == 0);
    MUST(wire_type_name(message.type)[0] != '?');
    if (message.type == WIRE_PUBLISH)
        check_topics(&message.publish);
    if (message.type == WIRE_HEARTBEAT)
        check_histograms(message.heartbeat.histograms);
    return 0;
}
