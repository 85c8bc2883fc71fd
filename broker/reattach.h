/* reattach.h — a broker takes up where the one before it was killed (Hop: D7, at boot, before anybody is spoken
 * to).
 *
 * What a dead broker left is read in one pass over the ring, oldest record first: per machine the state that clients
 * saw last, per agent incarnation the last outcome published, and which commands had their answer. Then
 * every machine whose last-value slot does not repeat its last record is published again, and slots of machines that
 * are not configured any more are cleared. Figures in README.md.
 */
#pragma once

#include "command_table.h"
#include "outcome_floor.h"
#include "publish.h"
#include "registry.h"

struct reattach {
    const char *ring_path;
    struct registry *registry;
    struct publisher *publisher;
    struct outcome_floors *floors;
    struct command_table *commands;
    struct stats *stats;
};

/* `ring_continued`: the ring has records of a broker before this one. ERR_FULL: more machines than slots; ERR_MEMORY.
 * A ring that cannot be read back is logged, and every machine published again. */
enum err_e reattach(struct reattach *reattach, bool ring_continued);
