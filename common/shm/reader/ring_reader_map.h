/* ring_reader_map.h — readers over a mapping that exists already, in the process of its owner (tests: a thread checker
 * sees order only between accesses to the same addresses). The mapping outlives the reader. */
#pragma once

#include "errcode.h"

struct ring_map;
struct ring_reader;
struct lvt_map;
struct lvt_reader;

enum err_e ring_reader_over(const struct ring_map *map, struct ring_reader **reader);
enum err_e lvt_reader_over(const struct lvt_map *map, struct lvt_reader **reader);
