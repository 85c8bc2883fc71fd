/* journal_store.h — both chains of a journal in their directory, without a thread (Hop: C5).
 *
 *     open ─▶ (put … write, sync, settle)* ─▶ close           false ─▶ why; then open again, later
 *
 * open() locks the directory, reads the chains' ends, and notes START in both, on the disk: that is the proof that it can be
 * written. What was put and not settled when something failed is cut off by the next open().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "journal_chain.h"

#define JOURNAL_WHY_MAX 320

struct journal_store_config {
    const char *directory; /* copied */
    const struct journal_disk *disk;
    const char *plc; /* copied; NULL: not told */
    uint64_t incarnation, keep_bytes, keep_ms;
};

struct journal_store;

struct journal_store *journal_store_new(const struct journal_store_config *config); /* NULL: out of memory */
void journal_store_free(struct journal_store **store); /* closes; syncs nothing; gives the lock back */

/* `replay`: NULL, or receives what is to be replayed of both chains (records: the caller frees them). */
bool journal_store_open(struct journal_store *store, const struct journal_now *now,
                        struct journal_replay *replay);
bool journal_store_put(struct journal_store *store,
                       const struct journal_record *record); /* in record->chain; n: the next */
bool journal_store_write(struct journal_store *store);       /* the kernel has all */
bool journal_store_sync(struct journal_store *store,
                        unsigned chains); /* 1 << chain: so has the disk of these */
void journal_store_settle(struct journal_store *store);

uint64_t journal_store_n(const struct journal_store *store,
                         enum journal_chain_e chain); /* of the last record */
const char *journal_store_why(const struct journal_store *store);
/* What was amiss and did not stop it, to be logged; NULL: nothing more. Valid until the next call. */
const char *journal_store_note(struct journal_store *store);
