/* See owed.h (Hop: C5, R1). */
#include "owed.h"

#include <string.h>

static void take_out(struct owed *owed, size_t i)
{
    owed->count--;
    memmove(&owed->of[i], &owed->of[i + 1], (owed->count - i) * sizeof owed->of[0]);
}

static bool is_latch(const struct journal_record *record)
{
    return record->event == JOURNAL_LATCHED || record->event == JOURNAL_REARMED;
}

void owed_add(struct owed *owed, uint64_t number, const struct journal_record *record)
{
    for (size_t i = owed->count; is_latch(record) && i-- > 0;)
        if (is_latch(&owed->of[i].record))
            take_out(owed, i);
    if (owed->count == OWED_MAX)
        take_out(owed, 0);
    owed->of[owed->count].number = number;
    owed->of[owed->count++].record = *record;
}

void owed_settled(struct owed *owed, uint64_t upto, bool ok)
{
    for (size_t i = owed->count; i-- > 0;) {
        uint64_t *number = &owed->of[i].number;
        if (*number == 0 || *number > upto)
            continue;
        *number = 0;
        if (ok)
            take_out(owed, i);
    }
}

void owed_offer(struct owed *owed, owed_note_f *note, void *arg)
{
    for (size_t i = 0; i < owed->count; i++)
        if (owed->of[i].number == 0)
            owed->of[i].number = note(arg, &owed->of[i].record);
}
