#include "topic.h"

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
