/* sources.h — up to which number each source's events are in the ring, and where (part of Hop D7). Pure.
 *
 * A source is a database of the store: a random number that is made with it. It numbers its events and sends them again until they are acknowledged; what
 * is not above the last number was published before. Of the last SOURCES_POSITIONS numbers the place in the ring is known,
 * so that a repeat is acknowledged with its true address.
 *
 *        ring      … E41 ……… E42 ……………………… F42 ………………………
 *                            │◀── half the ring ──▶│  then a RECORD_FLOOR says E42 again: somewhere in the ring there is always
 *                                                     a record that tells a broker that starts the last number of each source
 *
 * Bounded: of SOURCES_MAX sources that whose last event is oldest is forgotten for a new one; that takes as many databases in one ring.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define SOURCES_MAX       16u
#define SOURCES_POSITIONS WIRE_EVENTS_WINDOW
#define SOURCES_NOWHERE   UINT64_MAX

struct source {
    uint64_t id; /* 0: a free place */
    uint64_t last_seq;
    uint64_t record;                       /* position of the newest record that has the last number */
    uint64_t positions[SOURCES_POSITIONS]; /* of events, by number; SOURCES_NOWHERE: not known */
};

struct sources {
    struct source table[SOURCES_MAX];
    uint64_t half;   /* bytes after which a record must be said again */
    uint64_t due_at; /* the head at which the first one is; UINT64_MAX: none */
};

void sources_init(struct sources *sources, uint64_t ring_bytes);

/* NULL: none of its events is known. */
const struct source *sources_find(const struct sources *sources, uint64_t id);
static inline uint64_t sources_last(const struct source *source)
{
    return source != NULL ? source->last_seq : 0;
}
/* Where its event is; SOURCES_NOWHERE: that is not known. */
uint64_t sources_position(const struct source *source, uint64_t seq);

/* The ring has, at `record`, this event or a floor that says that it was at `position`. From oldest to newest at start. `id` and `seq` are not 0. */
void sources_note(struct sources *sources, uint64_t id, uint64_t seq, uint64_t position, uint64_t record);

/* One whose record is so old, at this head, that it must be said again; NULL: none. sources_note() with the new record moves it on. */
const struct source *sources_due(const struct sources *sources, uint64_t head);
