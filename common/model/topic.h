/* topic.h — the names by which frames find their audiences.
 *
 * A record names every topic it belongs to; a subscription is a set of topics; a frame goes to whoever shares one.
 * "All machines" is a topic of its own ("state/#"), which every state record names too, so that such a subscription also
 * covers machines added later. Only names and their hashes cross processes, never numbers handed out by one of them.
 *
 *     state/<machine>   state/#     a machine's state changed
 *     result/<machine>  result/#    command results and completions
 *     event/<machine>   event/#     it was added or removed; its alarms
 */
#pragma once

#include <stdint.h>

#include "machine.h"

#define TOPIC_MAX 80 /* bytes of a name */

enum topic_kind_e { TOPIC_STATE, TOPIC_RESULT, TOPIC_EVENT };

struct topic {
    uint64_t hash; /* of the name; never 0 */
    uint8_t len;
    char name[TOPIC_MAX];
};

/* The topic of a machine, or of all machines if `machine` is NULL. `machine` is a valid id. */
void topic_make(struct topic *topic, enum topic_kind_e kind, const char *machine);
uint64_t topic_hash(const char *name, size_t len);
