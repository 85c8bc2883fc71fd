/* launch_crash.h — crash records: who died, when, how, and what it said last.
 *
 *     STATE_DIR/crashes/20261123T012829.778Z-worker.0-4711.txt
 *
 * One for each end that nobody had planned (family.h), put there by a rename when it is whole; the newest CRASH_KEEP stay. It is written at the end of the
 * loop's iteration, when the successor has been started already: whoever waits for a process does not wait for a disk. A record that
 * cannot be written costs one log line a minute, and is counted.
 *
 * No fsync(2): a record is about a process, not about a power cut, and the launcher must not hang where a disk does.
 */
#pragma once

#include <stdint.h>

#include "family.h"

#define CRASH_KEEP    100
#define CRASH_WAITING 100 /* records of one iteration; what dies beyond is counted only */

struct crash_shelf;

/* `directory` is copied; it is made with the first record. NULL: out of memory. */
struct crash_shelf *crash_shelf_new(struct loop *loop, const char *directory);
void crash_shelf_free(struct crash_shelf **shelf); /* writes what waits */

/* Reads the black box now, writes the record later. */
void crash_shelf_put(struct crash_shelf *shelf, const struct family_death *death);

uint64_t crash_shelf_written(const struct crash_shelf *shelf);
uint64_t crash_shelf_failed(const struct crash_shelf *shelf);
