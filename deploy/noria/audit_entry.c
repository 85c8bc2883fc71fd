/* See audit_entry.h. */
#include "audit_entry.h"

#include <string.h>

#include "must.h"

static bool is_of_command(const struct journal_record *record)
{
    return record->event == JOURNAL_INTENT || record->event == JOURNAL_RESULT ||
           record->event == JOURNAL_COMPLETION;
}

static struct audit_entry *find(struct audit_entries *entries, const struct journal_record *record)
{
    for (size_t i = entries->count; i-- > 0;) {
        struct audit_entry *entry = &entries->open[i];
        const struct journal_record *first = &entry->first;
        if (is_of_command(first) && first->worker == record->worker && first->session == record->session &&
            first->serial == record->serial)
            return entry;
    }
    return NULL;
}

static bool awaits_completion(const struct audit_entry *entry)
{
    const struct journal_record *result = &entry->result;
    return result->command == COMMAND_MOVE && result->sent && result->code == CODE_NONE &&
           !entry->has_completion;
}

static bool is_complete(const struct audit_entry *entry)
{
    return !is_of_command(&entry->first) || entry->has_completion ||
           (entry->has_result && !awaits_completion(entry));
}

bool audit_entries_full(const struct audit_entries *entries)
{
    return entries->count == AUDIT_OPEN_MAX;
}

static void add_to(struct audit_entry *entry, const struct journal_record *record)
{
    if (record->event == JOURNAL_RESULT) {
        entry->has_result = true;
        entry->result = *record;
    } else if (record->event == JOURNAL_COMPLETION) {
        entry->has_completion = true;
        entry->completion = *record;
    }
}

void audit_entries_put(struct audit_entries *entries, const struct journal_record *record)
{
    if (!is_of_command(record) && record->event != JOURNAL_LATCHED && record->event != JOURNAL_REARMED)
        return;
    struct audit_entry *entry =
        is_of_command(record) && record->event != JOURNAL_INTENT ? find(entries, record) : NULL;
    if (entry == NULL) {
        MUST(!audit_entries_full(entries));
        entry = &entries->open[entries->count++];
        *entry = (struct audit_entry){.first = *record};
    }
    add_to(entry, record);
}

bool audit_entries_take(struct audit_entries *entries, bool all, struct audit_entry *entry)
{
    if (entries->count == 0 || (!all && !is_complete(&entries->open[0])))
        return false;
    *entry = entries->open[0];
    memmove(entries->open, entries->open + 1, --entries->count * sizeof entries->open[0]);
    return true;
}

uint64_t audit_entry_time_ms(const struct audit_entry *entry)
{
    return entry->first.arrived_wall_ms != 0 ? entry->first.arrived_wall_ms : entry->first.wall_ms;
}

const struct journal_record *audit_entry_last(const struct audit_entry *entry)
{
    return entry->has_completion ? &entry->completion : entry->has_result ? &entry->result : &entry->first;
}

const char *audit_entry_outcome(const struct audit_entry *entry)
{
    const struct journal_record *last = audit_entry_last(entry);
    if (!is_of_command(last))
        return journal_event_name(last->event);
    if (last->event == JOURNAL_INTENT)
        return "no result";
    if (last->code != CODE_NONE)
        return command_code_name(last->code);
    return last->event == JOURNAL_COMPLETION ? "completed" : awaits_completion(entry) ? "accepted" : "done";
}

const struct journal_reading *audit_entry_before(const struct audit_entry *entry)
{
    return entry->has_result && entry->result.before.known ? &entry->result.before : &entry->first.before;
}

const struct journal_reading *audit_entry_after(const struct audit_entry *entry)
{
    return entry->has_completion && entry->completion.after.known ? &entry->completion.after
                                                                  : &entry->result.after;
}
