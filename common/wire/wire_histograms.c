/* See wire_histograms.h. */
#include "wire_histograms.h"

#include <endian.h>

_Static_assert(WIRE_HISTOGRAM_ENTRIES *WIRE_HISTOGRAM_ENTRY == 512, "HEARTBEAT's field in wire.h");

void wire_histogram_encode(const struct wire_histogram_entry *entry,
                           unsigned char bytes[WIRE_HISTOGRAM_ENTRY])
{
    uint64_t value = entry->value < WIRE_HISTOGRAM_VALUE_MAX ? entry->value : WIRE_HISTOGRAM_VALUE_MAX;
    uint64_t word =
        htole64((uint64_t)entry->histogram << 56 | (uint64_t)(entry->bucket & 0xff) << 48 | value);
    memcpy(bytes, &word, sizeof word);
}

bool wire_histogram_next(struct wire_text *rest, struct wire_histogram_entry *entry)
{
    uint64_t word;
    if (rest->len < WIRE_HISTOGRAM_ENTRY)
        return false;
    memcpy(&word, rest->at, sizeof word);
    word = le64toh(word);
    rest->at += sizeof word;
    rest->len -= (uint32_t)sizeof word;
    *entry = (struct wire_histogram_entry){(unsigned)(word >> 56), word >> 48 & 0xff,
                                           word & WIRE_HISTOGRAM_VALUE_MAX};
    return true;
}
