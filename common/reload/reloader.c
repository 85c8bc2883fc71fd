/* reloader.c — see reloader.h.
 *
 * At most one configuration is read or kept at a time; a newer wish replaces an older one. What the thread works on (`reading`) is the thread's
 * until it has been joined: meanwhile `next` is empty, `now` cannot change, and wishes wait in `waiting`. The thread neither logs
 * nor calls back.
 */
#include "reloader.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault_point.h"
#include "log.h"
#include "must.h"

#define LINES_MAX    16 /* of problems or changes that are logged */
#define MESSAGES_MAX 16 /* taken at a time */

struct wish {
    bool there;
    bool alone; /* SIGHUP, without a launcher */
    uint32_t number;
    uint64_t digest;
};

struct reading {
    const char *file;
    const struct conf *now;
    struct wish wish;
    struct conf *conf; /* NULL: `why` says why not */
    char why[RELOADER_WHY_MAX];
    char lines[LINES_MAX][CONF_CHANGE_MAX]; /* the problems, or else the changes */
    size_t line_count;                      /* also those that found no room */
};

struct reloader {
    struct reloader_options options;
    const struct conf *now;
    struct reading reading;
    bool busy;      /* reading */
    bool cancelled; /* what is being read is wanted no more */
    struct wish waiting;
    struct conf *next; /* prepared */
    uint32_t number;   /* of `next` */
    pthread_t thread;
    int event_fd; /* -1: not threaded */
};

/* --- reading: no logs and no callbacks, it may be a thread's ---------------------------------------------------- */

static void keep_line(struct reading *reading, const char *text)
{
    if (reading->line_count < LINES_MAX)
        snprintf(reading->lines[reading->line_count], sizeof reading->lines[0], "%s", text);
    reading->line_count++;
}

static void on_problem(void *arg, const char *text)
{
    struct reading *reading = arg;
    keep_line(reading, text);
    if (reading->why[0] == '\0')
        snprintf(reading->why, sizeof reading->why, "%.*s", RELOADER_WHY_MAX - 1, text);
}

/* Once something cannot be taken over, only that is told. */
static void on_change(void *arg, const struct conf_change *change)
{
    struct reading *reading = arg;
    char text[CONF_CHANGE_MAX];
    conf_change_text(change, text);
    if (!change->reloadable && reading->why[0] == '\0') {
        reading->line_count = 0;
        snprintf(reading->why, sizeof reading->why, "%.*s", RELOADER_WHY_MAX - 1, text);
    }
    if (!change->reloadable || reading->why[0] == '\0')
        keep_line(reading, text);
}

static void judge(struct reading *reading)
{
    if (!reading->wish.alone && reading->conf->digest != reading->wish.digest)
        snprintf(reading->why, sizeof reading->why,
                 "what it read (%016" PRIx64 ") is not what is meant (%016" PRIx64 ")", reading->conf->digest,
                 reading->wish.digest);
    else
        conf_changes(reading->now, reading->conf, on_change, reading);
    if (reading->why[0] != '\0')
        conf_free(&reading->conf);
}

static void *read_next(void *arg)
{
    struct reading *reading = arg;
    enum err_e err = conf_load_next(reading->file, on_problem, reading, &reading->conf);
    if (err == ERR_OK)
        judge(reading);
    else if (reading->why[0] == '\0')
        snprintf(reading->why, sizeof reading->why, "%s", err_text(err));
    return NULL;
}

static void *run_thread(void *arg)
{
    struct reloader *reloader = arg;
    const uint64_t one = 1;
    read_next(&reloader->reading);
    ssize_t n = write(reloader->event_fd, &one, sizeof one); /* a counter of one: there is room */
    (void)n;
    return NULL;
}

/* --- what is told ----------------------------------------------------------------------------------------------- */

/* False: the launcher does not read, or is gone. */
static bool answer(struct reloader *reloader, enum control_type_e type, uint32_t number, const char *text)
{
    struct control_message message = {.type = type, .number = number};
    snprintf(message.text, sizeof message.text, "%s", text);
    enum err_e err = control_send(reloader->options.control, &message);
    if (err != ERR_OK && err != ERR_CLOSED)
        log_error("reload-answer", "number=%u answer=%s error=\"%s\"", number, control_type_name(type),
                  err_text(err));
    return err == ERR_OK;
}

static void log_lines(const struct reading *reading, bool refused)
{
    for (size_t i = 0; i < reading->line_count && i < LINES_MAX; i++) {
        if (refused)
            log_error("reload-problem", "text=\"%s\"", reading->lines[i]);
        else
            log_info("reload-change", "text=\"%s\"", reading->lines[i]);
    }
    if (reading->line_count > LINES_MAX)
        log_info("reload-more", "lines=%zu", reading->line_count - LINES_MAX);
}

static void refuse(struct reloader *reloader, const struct wish *wish, const char *why)
{
    if (wish->alone) {
        if (reloader->reading.why[0] != '\0') /* else they are changes, and all fine */
            log_lines(&reloader->reading, true);
        log_error("reload-refused", "file=%s error=\"%s\" text=\"nothing has changed\"",
                  reloader->options.file, why);
    } else {
        log_warn("reload-refused", "number=%u error=\"%s\"", wish->number, why);
        answer(reloader, CONTROL_REFUSED, wish->number, why);
    }
}

/* --- one wish --------------------------------------------------------------------------------------------------- */

static void forget(struct reloader *reloader)
{
    if (reloader->next == NULL)
        return;
    if (reloader->options.abort != NULL)
        reloader->options.abort(reloader->options.arg);
    conf_free(&reloader->next);
}

static void put_in_force(struct reloader *reloader)
{
    struct conf *next = reloader->next;
    reloader->next = NULL;
    reloader->now = next;
    log_threshold(next->log_level);
    log_format(next->log_format);
    log_info("reload", "file=%s digest=%016" PRIx64, next->file, next->digest);
    reloader->options.commit(reloader->options.arg, next);
}

static enum err_e prepare(struct reloader *reloader, char why[RELOADER_WHY_MAX])
{
    why[0] = '\0';
    if (reloader->options.prepare == NULL)
        return ERR_OK;
    return reloader->options.prepare(reloader->options.arg, reloader->now, reloader->next, why);
}

static void offer(struct reloader *reloader, const struct wish *wish)
{
    char why[RELOADER_WHY_MAX];
    FAULT_POINT(RELOAD_READ);
    enum err_e err = prepare(reloader, why);
    if (err != ERR_OK) {
        conf_free(&reloader->next);
        refuse(reloader, wish, why[0] != '\0' ? why : err_text(err));
        return;
    }
    reloader->number = wish->number;
    if (wish->alone) {
        log_lines(&reloader->reading, false);
        put_in_force(reloader);
    } else if (!answer(reloader, CONTROL_PREPARED, wish->number, "")) {
        forget(reloader);
    } else {
        FAULT_POINT(RELOAD_PREPARED);
    }
}

static void begin(struct reloader *reloader, const struct wish *wish);

static void read_is_over(struct reloader *reloader)
{
    struct reading *reading = &reloader->reading;
    const struct wish wish = reading->wish, waiting = reloader->waiting;
    bool wanted = !reloader->cancelled && !waiting.there;
    reloader->busy = reloader->cancelled = false;
    reloader->waiting = (struct wish){0};
    if (!wanted) {
        conf_free(&reading->conf);
    } else if (reading->conf == NULL) {
        refuse(reloader, &wish, reading->why);
    } else {
        reloader->next = reading->conf;
        reading->conf = NULL;
        offer(reloader, &wish);
    }
    if (waiting.there)
        begin(reloader, &waiting);
}

/* Signals are the loop's. False: no thread. */
static bool start_thread(struct reloader *reloader)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&reloader->thread, NULL, run_thread, reloader) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void begin(struct reloader *reloader, const struct wish *wish)
{
    if (reloader->busy) {
        reloader->waiting = *wish;
        return;
    }
    forget(reloader);
    reloader->reading = (struct reading){.file = reloader->options.file, .now = reloader->now, .wish = *wish};
    reloader->busy = true;
    if (reloader->event_fd < 0) {
        read_next(&reloader->reading);
        read_is_over(reloader);
    } else if (!start_thread(reloader)) {
        reloader->busy = false;
        refuse(reloader, wish, "no thread can be started");
    }
}

static void commit(struct reloader *reloader, uint32_t number)
{
    if (reloader->next == NULL || reloader->number != number) {
        log_error("reload-unknown", "number=%u error=\"it was not prepared here\"", number);
        return;
    }
    put_in_force(reloader);
    FAULT_POINT(RELOAD_COMMITTED);
    answer(reloader, CONTROL_DONE, number, "");
}

static void give_up(struct reloader *reloader, uint32_t number)
{
    if (reloader->busy && reloader->reading.wish.number == number && !reloader->reading.wish.alone)
        reloader->cancelled = true;
    if (reloader->waiting.there && !reloader->waiting.alone && reloader->waiting.number == number)
        reloader->waiting = (struct wish){0};
    if (reloader->next == NULL || reloader->number != number)
        return;
    log_info("reload-aborted", "number=%u text=\"nothing has changed\"", number);
    forget(reloader);
}

/* --- what comes in ---------------------------------------------------------------------------------------------- */

bool reloader_take(struct reloader *reloader, const struct control_message *message)
{
    switch (message->type) {
    case CONTROL_RELOAD:
        begin(reloader, &(struct wish){true, false, message->number, message->digest});
        return true;
    case CONTROL_COMMIT:
        commit(reloader, message->number);
        return true;
    case CONTROL_ABORT:
        give_up(reloader, message->number);
        return true;
    default:
        return false;
    }
}

static void close_fds(const struct control_message *message)
{
    for (unsigned i = 0; i < message->fd_count; i++)
        close(message->fds[i]);
}

enum err_e reloader_read(struct reloader *reloader)
{
    for (int i = 0; i < MESSAGES_MAX; i++) {
        struct control_message message;
        enum err_e err = control_receive(reloader->options.control, &message);
        if (err == ERR_OK && !reloader_take(reloader, &message)) {
            log_warn("control-strange", "message=%s", control_type_name(message.type));
            close_fds(&message);
        } else if (err == ERR_MALFORMED) {
            log_warn("control-strange", "error=\"%s\"", err_text(err));
        } else if (err != ERR_OK) {
            return err == ERR_BUSY ? ERR_OK : ERR_CLOSED;
        }
    }
    return ERR_OK;
}

void reloader_ask(struct reloader *reloader)
{
    if (reloader->options.control >= 0)
        log_info("reload-ignored", "text=\"SIGHUP: the launcher reloads; send it there, or noria reload\"");
    else
        begin(reloader, &(struct wish){.there = true, .alone = true});
}

void reloader_hold_signal(bool hold)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int reloader_fd(const struct reloader *reloader)
{
    return reloader->event_fd;
}

void reloader_turn(struct reloader *reloader)
{
    uint64_t count;
    if (reloader->event_fd < 0 || read(reloader->event_fd, &count, sizeof count) != sizeof count)
        return;
    MUST(reloader->busy && pthread_join(reloader->thread, NULL) == 0);
    read_is_over(reloader);
}

/* --- its life --------------------------------------------------------------------------------------------------- */

struct reloader *reloader_new(const struct reloader_options *options, const struct conf *now)
{
    struct reloader *reloader = calloc(1, sizeof *reloader);
    if (reloader != NULL) {
        reloader->options = *options;
        reloader->now = now;
        reloader->event_fd = options->threaded ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    }
    if (reloader != NULL && (!options->threaded || reloader->event_fd >= 0))
        return reloader;
    log_error("reload", "error=\"%s\"", reloader == NULL ? "out of memory" : strerror(errno));
    free(reloader);
    return NULL;
}

void reloader_free(struct reloader **out)
{
    struct reloader *reloader = *out;
    if (reloader == NULL)
        return;
    if (reloader->busy)
        pthread_join(reloader->thread, NULL);
    conf_free(&reloader->reading.conf);
    forget(reloader);
    if (reloader->event_fd >= 0)
        close(reloader->event_fd);
    free(reloader);
    *out = NULL;
}
