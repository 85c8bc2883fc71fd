#include "topic.h"

#include <string.h>

#include "hash.h"
#include "must.h"

uint64_t topic_hash(const char *name, size_t len)
{
    uint64_t h = hash_bytes(name, len, 0);
    return h != 0 ? h : 1;
}

void topic_make(struct topic *topic, enum topic_kind_e kind, const char *machine)
{
    static const char *const prefixes[] = {"state/", "result/", "event/"};
    MUST((unsigned)kind < ARRAY_LEN(prefixes));
    struct out out = out_init(topic->name, sizeof topic->name);
    out_text(&out, prefixes[kind]);
    out_text(&out, machine != NULL ? machine : "#");
    MUST(!out.overflow);
    topic->len = (uint8_t)out.len;
    topic->hash = topic_hash(topic->name, topic->len);
}

#define STREAM_PREFIX     "stream/"
#define STREAM_PREFIX_LEN (sizeof STREAM_PREFIX - 1)

_Static_assert(STREAM_PREFIX_LEN + STREAM_ID_MAX <= TOPIC_MAX, "every id fits");

void topic_make_stream(struct topic *topic, const char *id, size_t len)
{
    MUST(len > 0 && len <= STREAM_ID_MAX);
    memcpy(topic->name, STREAM_PREFIX, STREAM_PREFIX_LEN);
    memcpy(topic->name + STREAM_PREFIX_LEN, id, len);
    topic->len = (uint8_t)(STREAM_PREFIX_LEN + len);
    topic->hash = topic_hash(topic->name, topic->len);
}

const char *topic_stream_id(const char *name, size_t name_len, size_t *len)
{
    if (name_len <= STREAM_PREFIX_LEN || memcmp(name, STREAM_PREFIX, STREAM_PREFIX_LEN) != 0)
        return NULL;
    *len = name_len - STREAM_PREFIX_LEN;
    return name + STREAM_PREFIX_LEN;
}
