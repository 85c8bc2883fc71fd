/* ring_writer_map.h — the writer's own mapping, for readers in the same process (tests: a thread checker sees order
 * only between accesses to the same addresses). */
#pragma once

struct ring_map;
struct ring_writer;
struct lvt_map;
struct lvt_writer;

const struct ring_map *ring_writer_map(const struct ring_writer *writer);
const struct lvt_map *lvt_writer_map(const struct lvt_writer *writer);
