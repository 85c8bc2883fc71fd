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

/* What stands behind the prefix, at least a byte; NULL: it begins otherwise. */
static const char *behind(const char *prefix, size_t prefix_len, const char *name, size_t name_len,
                          size_t *len)
{
    if (name_len <= prefix_len || memcmp(name, prefix, prefix_len) != 0)
        return NULL;
    *len = name_len - prefix_len;
    return name + prefix_len;
}

const char *topic_stream_id(const char *name, size_t name_len, size_t *len)
{
    return behind(STREAM_PREFIX, STREAM_PREFIX_LEN, name, name_len, len);
}

#define CHANNEL_PREFIX     "channel/"
#define CHANNEL_PREFIX_LEN (sizeof CHANNEL_PREFIX - 1)

bool channel_name_is_valid(const char *name, size_t len)
{
    if (len == 0 || len > CHANNEL_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '.' && c != ':' && c != '-')
            return false;
    }
    return true;
}

void topic_make_channel(struct topic *topic, const char *name, size_t len)
{
    MUST(channel_name_is_valid(name, len));
    memcpy(topic->name, CHANNEL_PREFIX, CHANNEL_PREFIX_LEN);
    memcpy(topic->name + CHANNEL_PREFIX_LEN, name, len);
    topic->len = (uint8_t)(CHANNEL_PREFIX_LEN + len);
    topic->hash = topic_hash(topic->name, topic->len);
}

const char *topic_channel_name(const char *name, size_t name_len, size_t *len)
{
    const char *channel = behind(CHANNEL_PREFIX, CHANNEL_PREFIX_LEN, name, name_len, len);
    return channel != NULL && channel_name_is_valid(channel, *len) ? channel : NULL;
}

#define ENDPOINT_PREFIX     "endpoint"
#define ENDPOINT_PREFIX_LEN (sizeof ENDPOINT_PREFIX - 1)

_Static_assert(ENDPOINT_PREFIX_LEN + TOPIC_PATH_MAX + 1 + TOPIC_ENDPOINT_NAME_MAX <= TOPIC_MAX,
               "every name at every path fits");

void topic_make_endpoint(struct topic *topic, const char *path, const char *name, size_t len)
{
    size_t path_len = strlen(path);
    MUST(path[0] == '/' && path_len <= TOPIC_PATH_MAX && strchr(path, '#') == NULL);
    MUST(len <= TOPIC_ENDPOINT_NAME_MAX);
    struct out out = out_init(topic->name, sizeof topic->name);
    out_text(&out, ENDPOINT_PREFIX);
    out_text(&out, path);
    out_char(&out, '#');
    out_bytes(&out, name, len);
    topic->len = (uint8_t)out.len;
    topic->hash = topic_hash(topic->name, topic->len);
}

const char *topic_endpoint_id(const char *name, size_t name_len, size_t *len)
{
    const char *id = behind(ENDPOINT_PREFIX, ENDPOINT_PREFIX_LEN, name, name_len, len);
    const char *hash = id != NULL ? memchr(id, '#', *len) : NULL;
    if (hash == NULL || id[0] != '/' || (size_t)(hash - id) > TOPIC_PATH_MAX ||
        (size_t)(id + *len - hash) > 1 + TOPIC_ENDPOINT_NAME_MAX)
        return NULL;
    return id;
}
