/* See journal_store.h. */
#include "journal_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

#define SHARE_OF_REFUSALS 4 /* a quarter */

struct journal_store {
    struct journal_store_config config;
    struct journal_segments segments[JOURNAL_CHAINS];
    struct journal_reader reader;
    struct journal_chain chains[JOURNAL_CHAINS];
    char why[JOURNAL_WHY_MAX], note[JOURNAL_WHY_MAX];
    char plc[JOURNAL_PLC_MAX + 1];
    char directory[];
};

#define EACH_CHAIN(store, chain)                                                                             \
    for (struct journal_chain *chain = (store)->chains; chain < (store)->chains + JOURNAL_CHAINS; chain++)

struct journal_store *journal_store_new(const struct journal_store_config *config)
{
    size_t len = strlen(config->directory);
    struct journal_store *store = calloc(1, sizeof *store + len + 1);
    if (store == NULL)
        return NULL;
    memcpy(store->directory, config->directory, len + 1);
    store->config = *config;
    store->config.directory = store->directory;
    snprintf(store->plc, sizeof store->plc, "%s", config->plc != NULL ? config->plc : "");
    store->config.plc = store->plc;
    uint64_t refusals = config->keep_bytes / SHARE_OF_REFUSALS;
    uint64_t limits[JOURNAL_CHAINS] = {config->keep_bytes - refusals, refusals};
    for (enum journal_chain_e i = 0; i < JOURNAL_CHAINS; i++)
        journal_chain_init(&store->chains[i], i, config->disk, &store->segments[i], &store->reader, limits[i],
                           config->keep_ms);
    return store;
}

void journal_store_free(struct journal_store **store)
{
    struct journal_store *s = *store;
    if (s == NULL)
        return;
    EACH_CHAIN(s, chain)
    journal_chain_close(chain);
    s->config.disk->leave(s->config.disk->arg);
    journal_segments_free(s->segments);
    free(s);
    *store = NULL;
}

static bool fail(struct journal_store *store, const char *what, int error)
{
    snprintf(store->why, sizeof store->why, "%s: %.200s: %s", store->directory, what, strerror(error));
    return false;
}

static bool chain_failed(struct journal_store *store, const struct journal_chain *chain)
{
    snprintf(store->why, sizeof store->why, "%s: %s", store->directory, chain->why);
    return false;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static bool enter(struct journal_store *store)
{
    const struct journal_disk *disk = store->config.disk;
    int result = disk->enter(disk->arg, store->directory);
    if (result == -EWOULDBLOCK) {
        snprintf(store->why, sizeof store->why, "%s: another agent of this machine holds it",
                 store->directory);
        return false;
    }
    if (result != 0)
        return fail(store, "cannot be made, opened or locked", -result);
    result = journal_segments_list(&disk->shelf, store->segments);
    return result == 0 ? true : fail(store, "cannot be listed", -result);
}

static bool begin(struct journal_store *store, struct journal_chain *chain, const struct journal_now *now,
                  const char *boot)
{
    struct journal_record start = {
        .event = JOURNAL_START,
        .n = chain->head.n + 1,
        .wall_ms = now->wall_ms,
        .mono_ns = now->mono_ns,
        .incarnation = store->config.incarnation,
    };
    snprintf(start.boot, sizeof start.boot, "%s", boot);
    snprintf(start.plc, sizeof start.plc, "%s", store->plc);
    return journal_chain_put(chain, &start) && journal_chain_sync(chain);
}

static bool open_chains(struct journal_store *store, const struct journal_now *now, const char *boot,
                        struct journal_memory *memories)
{
    for (size_t i = 0; i < JOURNAL_CHAINS; i++) {
        struct journal_chain *chain = &store->chains[i];
        if (!journal_chain_open(chain, boot, store->plc, memories != NULL ? &memories[i] : NULL) ||
            !begin(store, chain, now, boot))
            return chain_failed(store, chain);
    }
    journal_store_settle(store);
    return true;
}

/* Commands before refusals. */
static bool join(struct journal_memory *memories, struct journal_replay *replay)
{
    struct journal_replay refusals;
    bool fine = journal_memory_end(&memories[JOURNAL_COMMANDS], replay);
    fine = journal_memory_end(&memories[JOURNAL_REFUSALS], &refusals) && fine;
    struct journal_record *all = NULL;
    if (fine && refusals.count > 0) {
        all = realloc(replay->records, (replay->count + refusals.count) * sizeof *all);
        fine = all != NULL;
    }
    if (all != NULL) {
        memcpy(all + replay->count, refusals.records, refusals.count * sizeof *all);
        replay->records = all;
        replay->count += refusals.count;
    }
    free(refusals.records);
    if (!fine)
        free(replay->records);
    return fine;
}

bool journal_store_open(struct journal_store *store, const struct journal_now *now,
                        struct journal_replay *replay)
{
    struct journal_memory memories[JOURNAL_CHAINS];
    char boot[JOURNAL_BOOT_MAX + 1];
    if (!enter(store))
        return false;
    store->config.disk->boot(store->config.disk->arg, boot);
    for (size_t i = 0; i < JOURNAL_CHAINS; i++)
        journal_memory_init(&memories[i], now, boot, store->plc);
    bool fine = open_chains(store, now, boot, replay != NULL ? memories : NULL);
    if (fine && replay != NULL && !join(memories, replay))
        fine = fail(store, "cannot be replayed", ENOMEM);
    for (size_t i = 0; i < JOURNAL_CHAINS; i++)
        journal_memory_fini(&memories[i]);
    return fine;
}

/* --- records ----------------------------------------------------------------------------------------------------- */

bool journal_store_put(struct journal_store *store, const struct journal_record *record)
{
    MUST(record->chain < JOURNAL_CHAINS);
    struct journal_chain *chain = &store->chains[record->chain];
    return journal_chain_put(chain, record) || chain_failed(store, chain);
}

bool journal_store_write(struct journal_store *store)
{
    EACH_CHAIN(store, chain)
    if (!journal_chain_write(chain))
        return chain_failed(store, chain);
    return true;
}

bool journal_store_sync(struct journal_store *store, unsigned chains)
{
    EACH_CHAIN(store, chain)
    if ((chains & 1u << chain->chain) != 0 && !journal_chain_sync(chain))
        return chain_failed(store, chain);
    return true;
}

void journal_store_settle(struct journal_store *store)
{
    EACH_CHAIN(store, chain)
    journal_chain_settle(chain);
}

uint64_t journal_store_n(const struct journal_store *store, enum journal_chain_e chain)
{
    return store->chains[chain].head.n;
}

const char *journal_store_why(const struct journal_store *store)
{
    return store->why;
}

const char *journal_store_note(struct journal_store *store)
{
    EACH_CHAIN(store, chain)
    if (chain->note[0] != '\0') {
        snprintf(store->note, sizeof store->note, "%.100s: %s", store->directory, chain->note);
        chain->note[0] = '\0';
        return store->note;
    }
    return NULL;
}
