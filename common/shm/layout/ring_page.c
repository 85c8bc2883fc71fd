#include "ring_page.h"

#include "hash.h"
#include "must.h"

uint64_t ring_identity_check(const struct ring_identity *identity)
{
    struct ring_identity copy = *identity;
    copy.check = 0;
    return hash_bytes(&copy, sizeof copy, RING_MAGIC);
}

bool ring_size_valid(uint64_t size_bytes)
{
    return size_bytes >= RING_SIZE_MIN && size_bytes <= RING_SIZE_MAX && (size_bytes & (size_bytes - 1)) == 0;
}

uint64_t ring_record_bytes(uint32_t topic_count, uint32_t meta_len, uint32_t names_len, uint32_t frame_len)
{
    uint64_t meta = ((uint64_t)meta_len + 7) & ~7ULL;
    uint64_t bytes = sizeof(struct ring_record_header) + 9ULL * topic_count + meta + names_len + frame_len;
    return (bytes + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

uint64_t ring_record_check(const uint64_t *words, uint32_t length, uint64_t seed)
{
    return hash_bytes(words, length, seed);
}

uint32_t ring_meta_bytes(enum record_kind_e kind)
{
    switch (kind) {
    case RECORD_STATE:
        return sizeof(struct record_state);
    case RECORD_RESULT:
    case RECORD_COMPLETION:
    case RECORD_REFUSAL:
        return sizeof(struct record_outcome);
    case RECORD_STREAM:
        return sizeof(struct record_stream);
    case RECORD_CHANNEL:
    case RECORD_FLOOR:
        return sizeof(struct record_source);
    case RECORD_EVENT:
    case RECORD_MACHINE:
    case RECORD_KIND_COUNT:
        break;
    }
    return 0;
}
