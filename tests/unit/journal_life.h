/* journal_life.h — for the tests of the journal's store: an agent's life on a disk in memory, what it was promised, and whether
 * the files keep it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "journal_store.h"
#include "memory_disk.h"
#include "must.h"

#define KEEP_BYTES   (256u * 1024) /* segments of 16 and 48 KiB */
#define PROMISES_MAX 4096
#define BATCHES      50 /* of a life */
#define LONG_LIFE    700

struct promise {
    enum journal_chain_e chain;
    uint64_t n, tag;
    bool durable, revoked; /* revoked: told that it is not safe */
};

struct play {
    struct memory_disk disk;
    struct journal_disk ops;
    struct journal_store *store;
    struct journal_now now;
    uint64_t random, tags;
    unsigned length; /* of a life, in batches */
    struct promise promises[PROMISES_MAX];
    size_t count, pending; /* pending: from here on not settled */
    char problem[300];
};

static struct play play = {.length = BATCHES};

static inline uint64_t draw(void)
{
    return play.random = hash_u64(play.random + 1);
}

static inline void begin(uint64_t seed)
{
    memory_disk_init(&play.disk, seed);
    play.ops = memory_disk_ops(&play.disk);
    play.random = seed;
    play.now = (struct journal_now){1700000000000, 5000000000};
    play.count = play.pending = 0;
    play.tags = 0;
    play.problem[0] = '\0';
}

static inline void end(void)
{
    journal_store_free(&play.store);
    memory_disk_fini(&play.disk);
}

static inline void agent_starts(void)
{
    struct journal_store_config config = {.directory = "/j",
                                          .disk = &play.ops,
                                          .incarnation = 7,
                                          .keep_bytes = KEEP_BYTES,
                                          .keep_ms = 86400000};
    play.store = journal_store_new(&config);
    assert_non_null(play.store);
}

/* Without a word to the disk: a process that is killed closes nothing. */
static inline void agent_dies(void)
{
    play.disk.dies_at = 1;
    journal_store_free(&play.store);
    play.disk.dies_at = 0;
}

static inline bool opens(void)
{
    struct journal_replay replay;
    bool fine = journal_store_open(play.store, &play.now, &replay);
    if (fine)
        free(replay.records);
    return fine;
}

/* --- acts -------------------------------------------------------------------------------------------------------- */

static inline struct journal_record make_record(enum journal_chain_e chain, uint64_t tag)
{
    struct journal_record record = {
        .event = chain == JOURNAL_COMMANDS && tag % 2 == 0 ? JOURNAL_INTENT : JOURNAL_RESULT,
        .chain = chain,
        .n = journal_store_n(play.store, chain) + 1,
        .wall_ms = play.now.wall_ms,
        .mono_ns = play.now.mono_ns,
        .worker = 1,
        .session = 2,
        .serial = tag,
        .command = COMMAND_MOVE,
        .argument = 3,
        .position = 4,
    };
    snprintf(record.request_id, sizeof record.request_id, "request %llu", (unsigned long long)tag);
    return record;
}

static inline bool put_one(enum journal_chain_e chain, bool durable)
{
    struct journal_record record = make_record(chain, ++play.tags);
    MUST(play.count < PROMISES_MAX);
    play.promises[play.count++] = (struct promise){chain, record.n, record.serial, durable, false};
    return journal_store_put(play.store, &record);
}

/* As the thread does it: a batch, its sync if somebody asked for it, and now and then a lazy one. */
static inline bool one_batch(void)
{
    unsigned durable = 0;
    for (uint64_t left = 1 + draw() % 3; left > 0; left--) {
        enum journal_chain_e chain = draw() % 3 == 0 ? JOURNAL_REFUSALS : JOURNAL_COMMANDS;
        bool wants = draw() % 3 == 0;
        durable |= wants ? 1u << chain : 0;
        if (!put_one(chain, wants))
            return false;
    }
    if (!journal_store_write(play.store) || (durable != 0 && !journal_store_sync(play.store, durable)))
        return false;
    journal_store_settle(play.store);
    play.pending = play.count;
    play.now.mono_ns += 1000000;
    play.now.wall_ms += 1;
    return draw() % 8 != 0 || journal_store_sync(play.store, ~0u);
}

static inline bool batches(unsigned count)
{
    while (count > 0 && one_batch())
        count--;
    return count == 0;
}

static inline void revoke_pending(void)
{
    for (; play.pending < play.count; play.pending++)
        play.promises[play.pending].revoked = true;
}

static inline void forget_pending(void)
{
    play.count = play.pending;
}

/* --- the check --------------------------------------------------------------------------------------------------- */

struct seen {
    uint64_t first, last;       /* numbers in the files */
    uint64_t tag[PROMISES_MAX]; /* by n */
};

static inline bool problem(const char *text, unsigned long long a, unsigned long long b)
{
    snprintf(play.problem, sizeof play.problem, "%s (%llu, %llu)", text, a, b);
    return false;
}

static inline bool read_chain(enum journal_chain_e chain, struct journal_segments *segments,
                              struct seen *seen)
{
    static struct journal_reader reader;
    enum journal_read_e read = JOURNAL_READ_END;
    struct journal_record record;
    *seen = (struct seen){0};
    journal_reader_init(&reader, &play.ops.shelf, chain);
    for (size_t i = 0; i < segments->count; i++) {
        if (journal_reader_open(&reader, segments->list[i].number, i + 1 == segments->count) != 0)
            return problem("a segment cannot be opened", segments->list[i].number, 0);
        while ((read = journal_reader_next(&reader, &record)) == JOURNAL_READ_RECORD) {
            if (record.event == JOURNAL_SEGMENT)
                continue;
            MUST(record.n < PROMISES_MAX);
            seen->first = seen->first == 0 ? record.n : seen->first;
            seen->last = record.n;
            seen->tag[record.n] = record.serial;
        }
        journal_reader_close(&reader);
        if (read == JOURNAL_READ_BROKEN || read == JOURNAL_READ_FAILED)
            return problem(reader.why != NULL ? reader.why : "cannot be read", segments->list[i].number,
                           reader.line + 1);
    }
    if (seen->first > 1 && play.disk.removed == 0)
        return problem("the beginning is gone", seen->first, 0);
    return true;
}

/* `killed`: what was only written must be there, too. */
static inline bool keeps_promises(bool killed)
{
    static struct seen seen[JOURNAL_CHAINS];
    struct journal_segments segments[JOURNAL_CHAINS] = {0};
    bool fine = journal_segments_list(&play.ops.shelf, segments) == 0;
    for (enum journal_chain_e i = 0; i < JOURNAL_CHAINS && fine; i++)
        fine = read_chain(i, &segments[i], &seen[i]);
    journal_segments_free(segments);
    for (const struct promise *p = play.promises; p < play.promises + play.count && fine; p++) {
        const struct seen *in = &seen[p->chain];
        bool there = p->n >= in->first && p->n <= in->last && in->tag[p->n] == p->tag;
        bool retired = p->n < in->first;
        if (p->revoked && there)
            fine = problem("told not to be safe, and there", p->n, p->tag);
        else if (!p->revoked && (p->durable || killed) && !there && !retired)
            fine = problem("settled, and not there", p->n, p->tag);
    }
    return fine;
}

static inline void must_keep(bool killed, unsigned cut, unsigned mode)
{
    if (!keeps_promises(killed))
        fail_msg("cut at operation %u, mode %u: %s", cut, mode, play.problem);
}
