/* launch_crash.c — see launch_crash.h. */
#include "launch_crash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blackbox.h"
#include "log.h"
#include "proc.h"

#define DRAFT         ".draft"
#define COMPLAINTS_NS (60 * NS_PER_S) /* one each */

struct note {
    struct note *next;
    char name[FAMILY_NAME_MAX], next_text[96];
    char told[64];
    pid_t pid;
    int status;
    uint64_t deaths, died_wall_ms, started_wall_ms, uptime_ms;
    bool has_box;
    struct blackbox_story story;
};

struct crash_shelf {
    struct loop *loop;
    char *directory;
    struct note *first, **last;
    size_t waiting;
    bool deferred;
    uint64_t written, failed;
    struct log_limit complaints;
};

static void complain(struct crash_shelf *shelf, const char *name, int error)
{
    uint32_t suppressed;
    shelf->failed++;
    if (log_limit_ok(&shelf->complaints, loop_now_ns(shelf->loop), COMPLAINTS_NS, 1, &suppressed))
        log_warn("crash-record-failed", "name=%s directory=\"%s\" error=\"%s\" suppressed=%" PRIu32, name,
                 shelf->directory, strerror(error), suppressed);
}

/* --- the text --------------------------------------------------------------------------------------------------- */

static void tell_end(FILE *out, int status)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        fprintf(out, "ended:    signal %d (SIG%s)%s\n", WTERMSIG(status), name != NULL ? name : "?",
                WCOREDUMP(status) ? ", core dumped" : "");
    } else {
        fprintf(out, "ended:    exit code %d\n", WEXITSTATUS(status));
    }
}

static void tell(FILE *out, const struct note *note)
{
    char died[CLOCK_ISO_LEN + 1], started[CLOCK_ISO_LEN + 1];
    clock_iso8601(note->died_wall_ms, died);
    clock_iso8601(note->started_wall_ms, started);
    fprintf(out, "process:  %s, pid %d, of Noria " NORIA_VERSION "\n", note->name, (int)note->pid);
    fprintf(out, "when:     %s\n", died);
    tell_end(out, note->status);
    fprintf(out, "uptime:   %" PRIu64 " ms, since %s\n", note->uptime_ms, started);
    fprintf(out, "told:     %s\n", note->told);
    fprintf(out, "next:     %s\n", note->next_text);
    fprintf(out, "deaths:   %" PRIu64 ", this one included, since the launcher started\n", note->deaths);
    if (!note->has_box) {
        fputs("no black box: its last words are in the launcher's output\n", out);
        return;
    }
    fprintf(out, "\nwhere (module+offset for addr2line; empty: no fatal signal was caught):\n%s\n",
            note->story.where);
    fprintf(out, "last log lines:\n%s\n", note->story.lines);
}

/* --- the shelf -------------------------------------------------------------------------------------------------- */

static bool is_record(const char *name)
{
    size_t len = strlen(name);
    return len > 20 && name[0] >= '0' && name[0] <= '9' && name[8] == 'T' &&
           strcmp(name + len - 4, ".txt") == 0;
}

static int keep_record(const struct dirent *entry)
{
    return is_record(entry->d_name);
}

/* Their names begin with when they were written: the oldest are the first. */
static void forget_old(int dir_fd)
{
    struct dirent **entries;
    int count = scandirat(dir_fd, ".", &entries, keep_record, alphasort);
    for (int i = 0; i < count; i++) {
        if (count - i > CRASH_KEEP)
            unlinkat(dir_fd, entries[i]->d_name, 0);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void make_name(const struct note *note, char name[160])
{
    char iso[CLOCK_ISO_LEN + 1], *to = iso;
    clock_iso8601(note->died_wall_ms, iso);
    for (const char *from = iso; *from != '\0'; from++)
        if (*from != '-' && *from != ':')
            *to++ = *from;
    *to = '\0';
    snprintf(name, 160, "%s-%s-%d.txt", iso, note->name, (int)note->pid);
}

/* 0, or errno. */
static int write_draft(int dir_fd, const struct note *note)
{
    int fd = openat(dir_fd, DRAFT, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return errno;
    FILE *out = fdopen(fd, "w");
    if (out == NULL) {
        close(fd);
        return ENOMEM;
    }
    tell(out, note);
    errno = EIO;
    bool good = !ferror(out);
    return fclose(out) == 0 && good ? 0 : errno;
}

static int write_record(int dir_fd, const struct note *note, char name[160])
{
    make_name(note, name);
    int error = write_draft(dir_fd, note);
    if (error == 0 && renameat(dir_fd, DRAFT, dir_fd, name) != 0)
        error = errno;
    if (error != 0)
        unlinkat(dir_fd, DRAFT, 0);
    return error;
}

static void put_down(struct crash_shelf *shelf, const struct note *note)
{
    char name[160];
    int error = proc_make_dirs_errno(shelf->directory);
    int dir_fd = error == 0 ? open(shelf->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (error == 0)
        error = dir_fd >= 0 ? write_record(dir_fd, note, name) : errno;
    if (error == 0) {
        shelf->written++;
        log_info("crash-record", "name=%s file=\"%s/%s\"", note->name, shelf->directory, name);
        forget_old(dir_fd);
    } else {
        complain(shelf, note->name, error);
    }
    if (dir_fd >= 0)
        close(dir_fd);
}

static void put_all_down(struct crash_shelf *shelf)
{
    while (shelf->first != NULL) {
        struct note *note = shelf->first;
        shelf->first = note->next;
        put_down(shelf, note);
        free(note);
    }
    shelf->last = &shelf->first;
    shelf->waiting = 0;
}

static void on_deferred(void *arg)
{
    struct crash_shelf *shelf = arg;
    shelf->deferred = false;
    put_all_down(shelf);
}

void crash_shelf_put(struct crash_shelf *shelf, const struct family_death *death)
{
    struct note *note = shelf->waiting < CRASH_WAITING ? calloc(1, sizeof *note) : NULL;
    if (note == NULL) {
        complain(shelf, death->member.name, shelf->waiting < CRASH_WAITING ? ENOMEM : EAGAIN);
        return;
    }
    snprintf(note->name, sizeof note->name, "%s", death->member.name);
    snprintf(note->told, sizeof note->told, "%s", death->told);
    snprintf(note->next_text, sizeof note->next_text, "%s", death->next);
    note->pid = death->pid;
    note->status = death->status;
    note->deaths = death->deaths;
    note->uptime_ms = death->uptime_ms;
    note->started_wall_ms = death->started_wall_ms;
    note->died_wall_ms = clock_wall_ms(loop_clock(shelf->loop));
    note->has_box = death->blackbox >= 0;
    if (note->has_box)
        blackbox_read(death->blackbox, &note->story);
    *shelf->last = note;
    shelf->last = &note->next;
    shelf->waiting++;
    if (!shelf->deferred)
        shelf->deferred = loop_defer(shelf->loop, on_deferred, shelf) == ERR_OK;
    if (!shelf->deferred)
        put_all_down(shelf);
}

/* --- as a whole ------------------------------------------------------------------------------------------------- */

struct crash_shelf *crash_shelf_new(struct loop *loop, const char *directory)
{
    struct crash_shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf == NULL)
        return NULL;
    shelf->loop = loop;
    shelf->last = &shelf->first;
    shelf->directory = strdup(directory);
    if (shelf->directory == NULL) {
        free(shelf);
        return NULL;
    }
    return shelf;
}

void crash_shelf_free(struct crash_shelf **out)
{
    struct crash_shelf *shelf = *out;
    if (shelf == NULL)
        return;
    put_all_down(shelf);
    free(shelf->directory);
    free(shelf);
    *out = NULL;
}

uint64_t crash_shelf_written(const struct crash_shelf *shelf)
{
    return shelf->written;
}

uint64_t crash_shelf_failed(const struct crash_shelf *shelf)
{
    return shelf->failed;
}
