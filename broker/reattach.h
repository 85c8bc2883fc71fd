/* reattach.h — a broker takes up where the one before it was killed (Hop: D7, at boot, before anybody is spoken
 * to).
 *
 * What a dead broker left is read in one pass over the ring, oldest record first: per machine the state that clients
 * saw last, per agent incarnation the last outcome published, per worker incarnation its last stream message, per source its last events, which commands had their answer, and who came or went. Then,
 * in this order:
 *
 *     0. how this broker begins is told (system_events.h): the first record of a new ring
 *     1. machines in the table that are not configured any more, or otherwise described (name, ip, port, type), are
 *        removed: machine_removed
 *     2. configured machines that the table does not have are added: machine_added and a first state (machine_set.h
 *        says what is guaranteed when this is interrupted)
 *     3. every other machine whose slot does not repeat its last record is published again
 *
 * In a new table nothing is news: only 3. A slot is a machine's as long as it is configured, also when its description
 * changes. Figures in README.md.
 */
#pragma once

#include "command_table.h"
#include "seq_floor.h"
#include "publish.h"
#include "registry.h"
#include "system_events.h"

struct reattach {
    const char *ring_path;
    struct registry *registry;
    struct publisher *publisher;
    struct seq_floors *floors, *stream_floors; /* of outcomes; of stream messages */
    struct command_table *commands;
    struct system_events *system; /* NULL: nothing of that is read or told */
    struct stats *stats;
    bool ring_continued;  /* the ring has records of a broker before this one */
    bool table_continued; /* and the table its machines */
};

/* ERR_FULL: more machines than slots; ERR_MEMORY. A ring that cannot be read back is logged, and every machine published
 * again. */
enum err_e reattach(struct reattach *reattach);
