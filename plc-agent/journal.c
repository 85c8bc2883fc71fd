/* The journal as the loop sees it, and its life; see journal.h (Hop: C5, R1). The thread is journal_thread.c, what goes to and fro between
 * the two journal_parts.h.
 *
 * Rejected: io_uring (one more way into the kernel for an operation that takes 150 µs and more); a pool of threads for all
 * (one agent, one disk); fdatasync by the loop itself (a dying disk would take the machine's states along). */
#include "journal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "journal_parts.h"
#include "must.h"

#define JOURNAL_MAGIC 0x4a4f5552u
#define JOURNAL_LAZY_NS                                                                                      \
    (800 * NS_PER_MS) /* a WRITTEN record is synced by then, and within a second all in all */
#define END_NS NS_PER_S

/* --- the loop hears of it ---------------------------------------------------------------------------------------- */

static void log_state(struct journal *journal, enum log_level_e level, const char *event, const char *text)
{
    uint32_t suppressed;
    if (log_limit_ok(&journal->log_limit, loop_now_ns(journal->config.loop), 60 * NS_PER_S, 10, &suppressed))
        log_write(level, event, "reason=\"%s\" suppressed=%u", text, suppressed);
}

static void hear_replay(struct journal *journal, struct journal_replay *replay)
{
    journal->since_ns = replay->since_ns;
    for (size_t i = 0; i < replay->count; i++)
        journal->config.events->replay(journal->config.arg, &replay->records[i]);
    free(replay->records);
    journal->replayed = true;
}

static void hear_up(struct journal *journal, struct news *news)
{
    for (size_t i = 0; i < JOURNAL_CHAINS; i++) {
        if (!journal->replayed)
            journal->numbers[i].replayed = news->n[i];
        journal_numbers_reset(&journal->numbers[i], news->n[i]);
    }
    if (!journal->replayed)
        hear_replay(journal, &news->replay);
    if (journal->down)
        log_state(journal, LOG_WARN, "journal-up", "is written again");
    journal->up = true;
    journal->down = false;
    journal->config.events->state(journal->config.arg, true, "");
}

/* The thread rests until it is asked to open again, so the ring is ours. */
static void hear_down(struct journal *journal, const struct news *news)
{
    bool same = journal->down && strcmp(journal->why, news->why) == 0;
    if (!journal->down)
        log_state(journal, LOG_ERROR, "journal-down", news->why);
    snprintf(journal->why, sizeof journal->why, "%s", news->why);
    journal->up = false;
    journal->down = true;
    loop_timer_stop(journal->lazy);
    loop_timer_start(journal->retry, JOURNAL_RETRY_NS);
    pthread_mutex_lock(&journal->mutex);
    journal->first = journal->count = 0;
    pthread_mutex_unlock(&journal->mutex);
    if (!same)
        journal->config.events->state(journal->config.arg, false, journal->why);
    if (journal->appended > journal->settled) {
        journal->settled = journal->appended;
        journal->config.events->settled(journal->config.arg, journal->settled, false);
    }
}

static void on_bell(void *arg, unsigned events)
{
    (void)events;
    struct journal *journal = arg;
    uint64_t rung;
    ssize_t n = read(journal->bell, &rung, sizeof rung);
    (void)n;
    pthread_mutex_lock(&journal->mutex);
    struct news news = journal->news;
    journal->news.up = journal->news.down = false;
    journal->news.replay = (struct journal_replay){0};
    journal->news.note[0] = '\0';
    pthread_mutex_unlock(&journal->mutex);
    journal->counts = news.counts;
    if (news.note[0] != '\0')
        log_state(journal, LOG_WARN, "journal", news.note);
    if (news.settled > journal->settled) {
        journal->settled = news.settled;
        journal->config.events->settled(journal->config.arg, news.settled, true);
    }
    if (news.up)
        hear_up(journal, &news);
    if (news.down)
        hear_down(journal, &news);
}

/* --- the loop asks ----------------------------------------------------------------------------------------------- */

static void wish(struct journal *journal, bool *which)
{
    const struct clock *clock = loop_clock(journal->config.loop);
    pthread_mutex_lock(&journal->mutex);
    *which = true;
    journal->now = (struct journal_now){clock_wall_ms(clock), clock_mono_ns(clock)};
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->mutex);
}

static void on_lazy(void *arg)
{
    struct journal *journal = arg;
    wish(journal, &journal->sync_wanted);
}

static void on_retry(void *arg)
{
    struct journal *journal = arg;
    wish(journal, &journal->open_wanted);
}

size_t journal_room(const struct journal *journal)
{
    struct journal *j =
        (struct journal *)journal; /* the mutex is no part of what is promised not to change */
    pthread_mutex_lock(&j->mutex);
    size_t room = j->up ? JOURNAL_ROOM - j->count : 0;
    pthread_mutex_unlock(&j->mutex);
    return room;
}

static void fill_in(struct journal *journal, struct journal_record *record)
{
    const struct clock *clock = loop_clock(journal->config.loop);
    struct journal_numbers *numbers = &journal->numbers[record->chain];
    if (record->event == JOURNAL_TOLD)
        record->upto = journal_numbers_find(numbers, record->upto);
    record->n = journal_numbers_add(numbers, journal->appended + 1);
    record->wall_ms = clock_wall_ms(clock);
    record->mono_ns = clock_mono_ns(clock);
}

uint64_t journal_append(struct journal *journal, const struct journal_record *record,
                        enum journal_safety_e safety)
{
    MUST_MAGIC(journal, JOURNAL_MAGIC);
    MUST(record->chain < JOURNAL_CHAINS && record->event > JOURNAL_START &&
         record->event < JOURNAL_EVENT_COUNT);
    if (journal_room(journal) == 0)
        return 0;
    struct journal_record noted = *record;
    fill_in(journal, &noted);
    pthread_mutex_lock(&journal->mutex);
    struct slot *slot = &journal->slots[(journal->first + journal->count++) % JOURNAL_ROOM];
    *slot = (struct slot){noted, ++journal->appended, safety == JOURNAL_DURABLE};
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->mutex);
    if (safety == JOURNAL_WRITTEN && !loop_timer_active(journal->lazy))
        loop_timer_start(journal->lazy, JOURNAL_LAZY_NS);
    return journal->appended;
}

uint64_t journal_since_ns(const struct journal *journal)
{
    return journal->since_ns;
}

const struct journal_counts *journal_counts(const struct journal *journal)
{
    return &journal->counts;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static enum err_e prepare(struct journal *journal)
{
    const struct journal_config *config = &journal->config;
    journal->disk = config->disk != NULL ? *config->disk : journal_disk_real(&journal->directory);
    struct journal_store_config store = {
        .directory = config->directory,
        .disk = &journal->disk,
        .plc = config->plc,
        .incarnation = config->incarnation,
        .keep_bytes = config->keep_bytes,
        .keep_ms = config->keep_ms,
    };
    journal->store = journal_store_new(&store);
    journal->lazy = loop_timer_new(config->loop, on_lazy, journal);
    journal->retry = loop_timer_new(config->loop, on_retry, journal);
    if (journal->store == NULL || journal->lazy == NULL || journal->retry == NULL)
        return ERR_MEMORY;
    journal->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (journal->bell < 0)
        return ERR_SYSTEM;
    journal->watch = loop_fd_new(config->loop, journal->bell, LOOP_READ, on_bell, journal);
    return journal->watch != NULL ? ERR_OK : ERR_MEMORY;
}

/* Signals are the loop's. */
static enum err_e start(struct journal *journal)
{
    sigset_t all, before;
    on_retry(journal);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&journal->thread, NULL, journal_thread_run, journal);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return ERR_SYSTEM;
    pthread_setname_np(journal->thread, "journal");
    return ERR_OK;
}

static void let_go_of_loop(struct journal *journal)
{
    loop_fd_free(&journal->watch);
    loop_timer_free(&journal->lazy);
    loop_timer_free(&journal->retry);
}

static void dispose(struct journal *journal)
{
    journal_store_free(&journal->store);
    if (journal->bell >= 0)
        close(journal->bell);
    free(journal->news.replay.records);
    pthread_mutex_destroy(&journal->mutex);
    pthread_cond_destroy(&journal->wake);
    pthread_cond_destroy(&journal->over);
    journal->magic = 0;
    free(journal);
}

static void init_shared(struct journal *journal)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&journal->mutex, NULL);
    pthread_cond_init(&journal->wake, NULL);
    pthread_cond_init(&journal->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum err_e journal_new(const struct journal_config *config, struct journal **journal)
{
    struct journal *j = calloc(1, sizeof *j);
    if (j == NULL)
        return ERR_MEMORY;
    j->magic = JOURNAL_MAGIC;
    j->config = *config;
    j->bell = -1;
    j->since_ns = loop_now_ns(config->loop);
    init_shared(j);
    enum err_e err = prepare(j);
    if (err == ERR_OK)
        err = start(j);
    if (err != ERR_OK) {
        log_error("journal", "error=\"cannot start: %s\"", err_text(err));
        let_go_of_loop(j);
        dispose(j);
        return err;
    }
    *journal = j;
    return ERR_OK;
}

static bool ends_in_time(struct journal *journal)
{
    uint64_t end = clock_mono_ns(clock_system()) + END_NS;
    struct timespec limit = {(time_t)(end / NS_PER_S), (long)(end % NS_PER_S)};
    int error = 0;
    pthread_mutex_lock(&journal->mutex);
    journal->stop = true;
    pthread_cond_signal(&journal->wake);
    while (!journal->ended && error == 0)
        error = pthread_cond_timedwait(&journal->over, &journal->mutex, &limit);
    bool ended = journal->ended;
    pthread_mutex_unlock(&journal->mutex);
    return ended;
}

void journal_free(struct journal **journal)
{
    struct journal *j = *journal;
    if (j == NULL)
        return;
    MUST_MAGIC(j, JOURNAL_MAGIC);
    *journal = NULL;
    let_go_of_loop(j);
    if (ends_in_time(j)) {
        pthread_join(j->thread, NULL);
        dispose(j);
        return;
    }
    log_error("journal", "error=\"the disk hangs: what was not noted yet is lost\"");
    pthread_detach(j->thread);
}
