/* store_fold.h — what a record of the ring says that the store keeps: a machine's conditions, an event that is not its own.
 *
 * Pure: no database, no shared memory, no clock.
 *
 * A machine's conditions are those of its last reading, by its profile's meanings, and `conexion_perdida` while it is not connected. A machine
 * that was never read says nothing: what was known of it stays. One whose profile nobody knows has its connection alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "machine.h"
#include "profile.h"
#include "ring_reader.h"

/* Bits DB_…; false: the state says nothing. `profile` NULL: unknown. */
bool store_fold_conditions(const struct machine_state *state, const struct profile *profile,
                           uint32_t *active);

/* RECORD_STATE: which machine's, and its state. ERR_MALFORMED. */
enum err_e store_fold_state(const struct ring_record *record, char id[MACHINE_ID_MAX + 1],
                            struct machine_state *state);

struct store_foreign {
    char channel[65];
    const char *payload; /* within `text` */
    size_t len;
};

/* RECORD_CHANNEL: true if it is an event of the broker's own, whose frame is sound: its payload without "seq", written to `text`. */
#define STORE_FOREIGN_MAX (64u * 1024u)
bool store_fold_foreign(const struct ring_record *record, uint32_t ring_id, char text[STORE_FOREIGN_MAX],
                        struct store_foreign *foreign);
