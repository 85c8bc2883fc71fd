/* topic.h — the names by which frames find their audiences.
 *
 * A record names every topic it belongs to; a subscription is a set of topics; a frame goes to whoever shares one.
 * "All machines" is a topic of its own ("state/#"), which every state record names too, so that such a subscription also
 * covers machines added later. Only names and their hashes cross processes, never numbers handed out by one of them.
 *
 *     state/<machine>   state/#     a machine's state changed
 *     result/<machine>  result/#    command results and completions
 *     event/<machine>   event/#     it was added or removed; its alarms
 *     stream/<id>                   a stream's messages; <id> is whatever clients agreed on
 *     channel/<name>                an event of a channel; "channel/general", which every event names, is everybody's
 *     endpoint<path>#<name>         what a handler publishes to the connections of an endpoint; "" is everybody's
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

#define TOPIC_MAX               135u /* bytes of a name */
#define STREAM_ID_MAX           128u /* bytes of a stream's id; at least one */
#define TOPIC_PATH_MAX          64u  /* of an endpoint's path */
#define TOPIC_ENDPOINT_NAME_MAX 60u

#define CHANNEL_NAME_MAX 64u
#define CHANNEL_GENERAL  "general"

enum topic_kind_e { TOPIC_STATE, TOPIC_RESULT, TOPIC_EVENT };

struct topic {
    uint64_t hash; /* of the name; never 0 */
    uint8_t len;
    char name[TOPIC_MAX];
};

/* The topic of a machine, or of all machines if `machine` is NULL. `machine` is a valid id. */
void topic_make(struct topic *topic, enum topic_kind_e kind, const char *machine);
/* The topic of a stream; 1 to STREAM_ID_MAX bytes of any value. */
void topic_make_stream(struct topic *topic, const char *id, size_t len);
/* The id within a stream's topic, *len its bytes; NULL: it is no stream's. */
const char *topic_stream_id(const char *name, size_t name_len, size_t *len);
/* True for 1 to CHANNEL_NAME_MAX of A-Z a-z 0-9 _ . : - */
bool channel_name_is_valid(const char *name, size_t len);
/* The topic of a channel with a valid name. */
void topic_make_channel(struct topic *topic, const char *name, size_t len);
/* As topic_stream_id(), of a channel's. */
const char *topic_channel_name(const char *name, size_t name_len, size_t *len);
/* A topic of the endpoint at `path` ("/chat", at most TOPIC_PATH_MAX bytes without '#'); 0 to TOPIC_ENDPOINT_NAME_MAX bytes of UTF-8. */
void topic_make_endpoint(struct topic *topic, const char *path, const char *name, size_t len);
/* As topic_stream_id(), of an endpoint's: its path and name, as they stand behind "endpoint" ("/chat#room"). */
const char *topic_endpoint_id(const char *name, size_t name_len, size_t *len);
uint64_t topic_hash(const char *name, size_t len);
