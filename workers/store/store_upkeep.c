/* See store_upkeep.h. */
#include "store_upkeep.h"

#include "store_metrics.h"

void store_upkeep_keep(struct store_upkeep *upkeep, const struct conf_store *keep)
{
    upkeep->keep =
        (struct db_keep){keep->keep_days, keep->keep_mib, keep->events_keep_days, keep->events_keep_mib};
    upkeep->due_ns = clock_mono_ns(upkeep->clock);
}

void store_upkeep_init(struct store_upkeep *upkeep)
{
    upkeep->due_ns = clock_mono_ns(upkeep->clock) + UPKEEP_FIRST_NS;
}

static enum err_e step(struct store_upkeep *upkeep, bool *more)
{
    enum err_e err = db_begin(upkeep->db);
    if (err != ERR_OK)
        return err;
    err = db_expire(upkeep->db, &upkeep->keep, UPKEEP_ROWS, more);
    if (err == ERR_OK)
        return db_commit(upkeep->db);
    db_rollback(upkeep->db);
    return err;
}

void store_upkeep_tick(struct store_upkeep *upkeep, bool busy)
{
    bool more = false;
    if (clock_mono_ns(upkeep->clock) < upkeep->due_ns)
        return;
    enum err_e err = step(upkeep, &more);
    stats_add(upkeep->stats, err == ERR_OK ? STORE_EXPIRE_STEPS : STORE_EXPIRE_FAILED, 1);
    uint64_t pause = UPKEEP_PERIOD_NS;
    if (err == ERR_OK && more)
        pause = busy ? UPKEEP_BUSY_NS : UPKEEP_IDLE_NS;
    upkeep->due_ns = clock_mono_ns(upkeep->clock) + pause;
}
