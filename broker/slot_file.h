/* slot_file.h — shm/worker.N tells whose slot N is, whoever is introduced (part of Hop D6).
 *
 * A worker's process lives as long as its segment's file is locked (segment.h). A broker that has just started, or has given a
 * worker up because it stood still, learns from the files who else is there: their slots are given to nobody else, their files are
 * not taken away, and a survey without them is not complete. Nothing here blocks; a look at all slots takes as many open()
 * calls (0.1 ms, or 0.5 under a slow kernel), at a HELLO of a worker without a slot, and ten times a second at most for surveys.
 */
#pragma once

#include "broker.h"

void slot_file_path(const struct broker *broker, uint32_t slot, char path[CONF_PATH_MAX]);
/* A living process holds the slot's file; *incarnation is which, 0 if that cannot be read. */
bool slot_file_held(const struct broker *broker, uint32_t slot, uint64_t *incarnation);

/* Bit N: a process other than this incarnation holds slot N's file. */
uint64_t slot_files_of_others(const struct broker *broker, uint64_t incarnation);
/* Every process that holds a file is introduced. */
bool slot_files_introduced(const struct broker *broker);
