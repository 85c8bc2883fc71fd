/* journal_parts.h — what the journal's two halves share; for journal.c (the loop's) and journal_thread.c alone.
 *
 * One mutex guards the mailbox: a ring of records, wishes (open, sync, stop), and what the thread has to say. The thread
 * works on the ring's oldest entries without the mutex: the loop only adds behind them. It never logs (log.h is the loop's)
 * and never reads the loop's clock (tests move that by hand): times come with the records and the wishes.
 */
#pragma once

#include <pthread.h>

#include "journal.h"
#include "journal_disk.h"
#include "journal_numbers.h"
#include "journal_store.h"
#include "log.h"

struct slot {
    struct journal_record record;
    uint64_t number;
    bool durable;
};

struct news { /* from the thread */
    bool up, down;
    uint64_t settled, n[JOURNAL_CHAINS];
    struct journal_counts counts;
    struct journal_replay replay;
    char why[JOURNAL_WHY_MAX], note[JOURNAL_WHY_MAX];
};

struct journal {
    uint32_t magic;
    struct journal_config config;
    /* the loop's */
    struct loop_fd *watch;
    struct loop_timer *lazy, *retry;
    uint64_t appended, settled, since_ns;
    bool up, down, replayed; /* neither up nor down: just begun */
    struct journal_counts counts;
    struct journal_numbers numbers[JOURNAL_CHAINS];
    struct log_limit log_limit;
    char why[JOURNAL_WHY_MAX];
    /* under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t wake, over;
    size_t first, count;
    bool open_wanted, sync_wanted, stop, ended;
    struct journal_now now;
    struct news news;
    bool open; /* the thread has the files open */
    /* the thread's */
    pthread_t thread;
    int bell;
    struct journal_directory directory;
    struct journal_disk disk;
    struct journal_store *store;
    bool replay_told;
    struct slot slots[JOURNAL_ROOM];
};

/* The thread: works until `stop` is set and nothing is left to write; rings journal->bell when it has news. */
void *journal_thread_run(void *journal);
