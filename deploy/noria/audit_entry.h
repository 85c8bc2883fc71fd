/* audit_entry.h — one command out of its records: who asked for what, and what became of it.
 *
 *     records ──▶ open entries, in the order in which they began ──▶ an entry, when it is complete
 *
 * An entry is complete with its RESULT, a move that was accepted with its COMPLETION. Later entries wait for an earlier one,
 * so that they come out in the order in which they were asked for; at most AUDIT_OPEN_MAX of them. What is still open at the
 * end comes out as it is. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal_record.h"

#define AUDIT_OPEN_MAX 64

struct audit_entry {
    struct journal_record first; /* INTENT, or RESULT without one; LATCHED, REARMED */
    bool has_result, has_completion;
    struct journal_record result, completion;
};

struct audit_entries {
    struct audit_entry open[AUDIT_OPEN_MAX];
    size_t count;
};

/* Returns true if an entry must go out first: take it with audit_entries_take() and offer the record again. */
bool audit_entries_full(const struct audit_entries *entries);
void audit_entries_put(struct audit_entries *entries, const struct journal_record *record);
/* The oldest, if it is complete (or `all`). */
bool audit_entries_take(struct audit_entries *entries, bool all, struct audit_entry *entry);

uint64_t audit_entry_time_ms(const struct audit_entry *entry); /* when it was asked for */
/* How it ended, for people: "done", "completed", "accepted", "no result", "latched", "rearmed", or a code. */
const char *audit_entry_outcome(const struct audit_entry *entry);
const struct journal_reading *audit_entry_before(const struct audit_entry *entry);
const struct journal_reading *audit_entry_after(const struct audit_entry *entry);
/* The record that says how it ended; `first` if nothing does. */
const struct journal_record *audit_entry_last(const struct audit_entry *entry);
