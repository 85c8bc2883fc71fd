/* Hop: D7. A round over 4,096 slots takes 64 ticks of 100 ms and 7 µs each. Rejected: putting a slot again each time somebody
 * could not read it (readers have no way to say so, and should have none). */
#include "scrub.h"

static void healed(struct broker *broker, const char *what, uint32_t words)
{
    uint32_t suppressed;
    if (words == 0)
        return;
    stats_add(&broker->stats, BROKER_HEALED_WORDS, words);
    if (broker_may_log(broker, &broker->logs.healed, &suppressed))
        log_error("shm-damaged", "where=%s words=%u action=healed suppressed=%u", what, words, suppressed);
}

static struct machine *machine_of(struct registry *registry, uint32_t slot)
{
    for (size_t i = 0; i < registry->count; i++)
        if (registry->machines[i]->slot == slot)
            return registry->machines[i];
    return NULL;
}

/* A slot in nobody's use is cleared: those whose machine leaves exist only before READY. */
static void slot_restore(struct broker *broker, uint32_t slot)
{
    struct publisher *publisher = &broker->publisher;
    const struct machine *machine = machine_of(&broker->registry, slot);
    uint32_t suppressed;
    if (machine != NULL) {
        publish_fill_slot(machine, &publisher->slot);
        publish_put_slot(publisher, slot, &publisher->slot);
    } else {
        lvt_writer_clear(publisher->lvt, slot);
    }
    stats_add(&broker->stats, BROKER_HEALED_SLOTS, 1);
    if (broker_may_log(broker, &broker->logs.healed, &suppressed))
        log_error("shm-damaged", "where=lvt slot=%u action=\"put again\" suppressed=%u", slot, suppressed);
}

static void scrub_slots(struct broker *broker)
{
    const struct lvt_writer *lvt = broker->publisher.lvt;
    uint32_t used = lvt_writer_used(lvt);
    for (uint32_t i = 0; i < SCRUB_SLOTS_PER_TICK && i < used; i++) {
        uint32_t slot = broker->scrub_slot++ % used;
        if (!lvt_writer_sound(lvt, slot))
            slot_restore(broker, slot);
    }
}

bool scrub_tick(struct broker *broker)
{
    struct publisher *publisher = &broker->publisher;
    uint32_t ring_words = 0, table_words = 0;
    enum err_e ring = ring_writer_scrub(publisher->ring, &ring_words);
    enum err_e table = lvt_writer_scrub(publisher->lvt, &table_words);
    healed(broker, "ring", ring_words);
    healed(broker, "lvt", table_words);
    publisher->bell_due |= ring_words > 0; /* who met a damaged head looks again */
    if (ring == ERR_OK && table == ERR_OK) {
        scrub_slots(broker);
        return true;
    }
    log_error(
        "shm-lost",
        "where=%s reason=\"the file was cut, or its file system is full\" action=\"ending, for a new one\"",
        ring != ERR_OK ? "ring" : "lvt");
    return false;
}
