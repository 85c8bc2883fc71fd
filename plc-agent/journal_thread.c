/* The journal's thread: writes the ring's records in batches, syncs them, and opens the files again after a fault; see journal.h (Hop: C5, R1).
 *
 * Where the mutex is given back, and what may be touched meanwhile, stands in journal_parts.h. */
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "fault_point.h"
#include "journal_parts.h"

#define BATCH_MAX 64 /* so that a batch spans two segments at most */

static void ring(const struct journal *journal)
{
    uint64_t one = 1;
    ssize_t n = write(journal->bell, &one, sizeof one); /* EAGAIN: it rings already */
    (void)n;
}

/* With the mutex. */
static void tell_down(struct journal *journal)
{
    journal->open = false;
    journal->news.down = true;
    journal->news.counts.failures++;
    snprintf(journal->news.why, sizeof journal->news.why, "%s", journal_store_why(journal->store));
}

static void tell_note(struct journal *journal)
{
    for (const char *note; (note = journal_store_note(journal->store)) != NULL;)
        snprintf(journal->news.note, sizeof journal->news.note, "%s", note);
}

static bool sync_chains(struct journal *journal, unsigned chains, uint64_t *sync_us)
{
    uint64_t begin = clock_mono_ns(clock_system());
    if (!journal_store_sync(journal->store, chains))
        return false;
    *sync_us = (clock_mono_ns(clock_system()) - begin) / NS_PER_US;
    return true;
}

/* `durable`: chains that are to be synced in any case. */
static bool write_batch(struct journal *journal, size_t first, size_t count, unsigned durable,
                        uint64_t *sync_us)
{
    for (size_t i = 0; i < count; i++) {
        const struct slot *slot = &journal->slots[(first + i) % JOURNAL_ROOM];
        if (!journal_store_put(journal->store, &slot->record))
            return false;
        durable |= slot->durable ? 1u << slot->record.chain : 0;
    }
    if (!journal_store_write(journal->store))
        return false;
    FAULT_POINT(AGENT_JOURNAL_WRITTEN);
    if (durable != 0) {
        if (!sync_chains(journal, durable, sync_us))
            return false;
        FAULT_POINT(AGENT_JOURNAL_SYNCED);
    }
    journal_store_settle(journal->store);
    return true;
}

/* These take the mutex with them and give it back in between. */

static void do_batch(struct journal *journal)
{
    size_t first = journal->first, count = journal->count < BATCH_MAX ? journal->count : BATCH_MAX;
    uint64_t sync_us = journal->news.counts.sync_us;
    unsigned durable = journal->sync_wanted ? ~0u : 0; /* or a flood would keep it waiting for ever */
    journal->sync_wanted = false;
    pthread_mutex_unlock(&journal->mutex);
    bool fine = write_batch(journal, first, count, durable, &sync_us);
    pthread_mutex_lock(&journal->mutex);
    journal->news.counts.sync_us = sync_us;
    if (fine) {
        journal->news.settled = journal->slots[(first + count - 1) % JOURNAL_ROOM].number;
        journal->news.counts.records += count;
        journal->count -= count;
        journal->first =
            journal->count > 0 ? (first + count) % JOURNAL_ROOM : 0; /* few slots are ever touched */
    } else {
        tell_down(journal);
    }
}

static void do_sync(struct journal *journal)
{
    uint64_t sync_us = 0;
    journal->sync_wanted = false;
    pthread_mutex_unlock(&journal->mutex);
    bool fine = sync_chains(journal, ~0u, &sync_us);
    pthread_mutex_lock(&journal->mutex);
    if (fine)
        journal->news.counts.sync_us = sync_us;
    else
        tell_down(journal);
}

static void do_open(struct journal *journal)
{
    struct journal_now now = journal->now;
    struct journal_replay replay = {0};
    journal->open_wanted = journal->sync_wanted = false;
    pthread_mutex_unlock(&journal->mutex);
    bool fine = journal_store_open(journal->store, &now, journal->replay_told ? NULL : &replay);
    pthread_mutex_lock(&journal->mutex);
    if (!fine) {
        tell_down(journal);
        return;
    }
    journal->open = journal->news.up = true;
    for (enum journal_chain_e i = 0; i < JOURNAL_CHAINS; i++)
        journal->news.n[i] = journal_store_n(journal->store, i);
    if (!journal->replay_told)
        journal->news.replay = replay;
    journal->replay_told = true;
}

static bool step(struct journal *journal)
{
    if (journal->open && journal->count > 0)
        do_batch(journal);
    else if (journal->open && journal->sync_wanted)
        do_sync(journal);
    else if (journal->stop)
        return false;
    else if (journal->open_wanted)
        do_open(journal);
    else {
        pthread_cond_wait(&journal->wake, &journal->mutex);
        return true;
    }
    tell_note(journal);
    ring(journal);
    return true;
}

void *journal_thread_run(void *arg)
{
    struct journal *journal = arg;
    pthread_mutex_lock(&journal->mutex);
    while (step(journal))
        ;
    bool open = journal->open;
    pthread_mutex_unlock(&journal->mutex);
    if (open)
        (void)journal_store_sync(journal->store, ~0u); /* nobody is there to be told */
    journal_store_free(&journal->store);
    pthread_mutex_lock(&journal->mutex);
    journal->ended = true;
    pthread_cond_signal(&journal->over);
    pthread_mutex_unlock(&journal->mutex);
    return NULL;
}
