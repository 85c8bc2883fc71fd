/* See told.h (Hop: R1). */
#include "told.h"

void told_reported(struct told *told, const struct outcome *outcome)
{
    if (outcome->recovered)
        told->recovered[outcome->chain]++;
}

void told_acked(struct told *told, const struct outcome *outcome)
{
    enum journal_chain_e chain = outcome->chain;
    if (outcome->recovered) {
        told->recovered[chain]--;
        told->due[chain] = true;
    } else if (outcome->noted > told->upto[chain]) {
        told->upto[chain] = outcome->noted;
        told->due[chain] = true;
    }
}

bool told_due(const struct told *told, enum journal_chain_e chain, struct journal_record *record)
{
    if (!told->due[chain] || told->recovered[chain] > 0)
        return false;
    *record = (struct journal_record){.event = JOURNAL_TOLD, .chain = chain, .upto = told->upto[chain]};
    return true;
}

void told_done(struct told *told, enum journal_chain_e chain)
{
    told->due[chain] = false;
}
