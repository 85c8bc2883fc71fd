/* streams_registry.h — what is open in this process: connections and streams (Hop: C2).
 *
 *     places   0 1 2 3 4 …     a connection, or a stream, keeps its place as long as it is there, so that a survey which
 *              C C - C C       goes on after others came and went tells each that stayed exactly once
 *
 *     id ─▶ stream             how many connections have it open. Only streams that somebody has open are here
 *
 * Which streams a connection has open is known to the endpoint (endpoint_topics()) and not kept a second time: a connection
 * costs the eight bytes of its place, a stream its id and 40 bytes. Everything of a connection goes with it.
 *
 * A channel is one connection with one stream open. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "map.h"
#include "topic.h"

struct streams_places {
    uintptr_t *at; /* a pointer, or twice the number of the next free place, plus one */
    uint32_t used, cap, count, free;
};

struct streams_stream {
    uint64_t born; /* running number: the streams of a process in the order in which they came */
    uint32_t place, channels;
    uint8_t len;
    char id[]; /* without a NUL */
};

struct streams_registry {
    struct streams_places conns, streams;
    struct map by_id; /* seeded hash → struct streams_stream */
    uint64_t seed, born, channels;
};

void streams_registry_init(struct streams_registry *registry, uint64_t seed);
void streams_registry_fini(struct streams_registry *registry);

/* A connection comes (ERR_MEMORY) and goes. */
enum err_e streams_registry_enter(struct streams_registry *registry, void *conn, uint32_t *place);
void streams_registry_leave(struct streams_registry *registry, uint32_t place);

/* A connection opens these streams, each of which it has not open: all or nothing. ERR_MEMORY; ERR_EXISTS: two ids have the
 * same hash. */
enum err_e streams_registry_open(struct streams_registry *registry, const struct topic *topics,
                                 uint32_t count);
/* And closes those, which it has open. */
void streams_registry_close(struct streams_registry *registry, const struct topic *topics, uint32_t count);

/* What stands at the places from `from` on; *place is where. NULL: nothing any more. */
void *streams_registry_conn(const struct streams_registry *registry, uint32_t from, uint32_t *place);
const struct streams_stream *streams_registry_stream(const struct streams_registry *registry, uint32_t from,
                                                     uint32_t *place);

/* Bytes of memory that it holds, for figures. */
size_t streams_registry_bytes(const struct streams_registry *registry);
