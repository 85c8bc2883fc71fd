/* reload.h — a reload of the whole installation: all processes take the new configuration, or none does.
 *
 *     check ──► compare ──► wait ──► prepare ──► commit ──► agents ──► "ok"
 *       │          │          │         │ REFUSED, death, silence
 *       └ problems └ a key    └ 5 s     └──► ABORT to all ──► "error: worker.0: …"
 *                    that takes a restart
 *
 * check    conf_load() of the file (never of the copy), schemas and keys as at start; every problem is a line.
 * compare  conf_changes() with what is in force; every change is a line, `websocket.max_connections: 100 → 200`; one that is not
 *          reloadable refuses all, and says so in its line, `listeners[0].port: 8765 → 9000: takes a restart`.
 * wait     for members that are just starting or being replaced, at most RELOAD_WAIT_NS: one that starts reads the copy in force, and could
 *          be told nothing yet. Who still starts then is restarted after the commit; who is still being replaced refuses all.
 * prepare  conf/next below runtime_dir is written, RELOAD sent to each member that is READY. All PREPARED within RELOAD_ANSWER_NS, or
 *          it is over.
 * commit   conf/next becomes conf/current by one rename, from which whatever starts from now on reads; COMMIT to all. Who does not say
 *          DONE within RELOAD_ANSWER_NS, or was started in between with the configuration of before, is restarted; who dies comes back
 *          with the new one by itself.
 * agents   of machines that went are stopped, of changed ones (conf_machine_same()) restarted, of new ones started; so is plc-sim.
 *
 * A reload that changes no key runs through, too: workers read the files of keys again. One at a time. It knows no family: whom it asks
 * stands in struct reload_family, so that tests play the processes on a clock of theirs (up_reload.h has the real one). Files are read on
 * the loop: while a disk hangs, nothing that dies could be started from it either.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "control.h"
#include "errcode.h"
#include "loop.h"

#define RELOAD_WAIT_NS   (5 * NS_PER_S)
#define RELOAD_ANSWER_NS (10 * NS_PER_S)

#define RELOAD_MEMBERS_MAX 128  /* that take part */
#define RELOAD_LINES_MAX   200u /* of problems, and of changes */
#define RELOAD_PROBLEM_MAX 700u

enum reload_state_e {
    RELOAD_AWAY, /* no process: takes no part */
    RELOAD_STARTING,
    RELOAD_READY,
    RELOAD_REPLACED /* a successor, which nobody can speak to yet, may have read the copy in force already */
};

struct reload_member {
    const char *name; /* valid until the next change of the family */
    uint64_t start;   /* tells its process from all others; 0: AWAY */
    enum reload_state_e state;
};

/* Whom a reload asks: the processes that take RELOAD, which are plc-sim, broker, store and workers. No call of these comes back
 * into the reload before it has returned. */
struct reload_family {
    void *arg;
    size_t (*members)(void *arg, struct reload_member members[RELOAD_MEMBERS_MAX]); /* returns how many */
    enum err_e (*send)(void *arg, const char *name, const struct control_message *message);
    void (*restart)(void *arg, const char *name); /* a planned end, and a start at once */
    /* False: `next` needs what is not there (a program), `why` says what. NULL: never. */
    bool (*possible)(void *arg, const struct conf *next, char why[RELOAD_PROBLEM_MAX]);
    /* `next` comes into force, nobody was told so yet: from now on the broker may turn agents away whose machines go or change, and that is
     * no death. NULL: nobody cares. */
    void (*expect)(void *arg, const struct conf *now, const struct conf *next);
    /* `is` is in force now. Takes it over: starts, stops and restarts agents and plc-sim. `was` came by an earlier call, or is that of
     * reload_new(). */
    void (*apply)(void *arg, const struct conf *was, struct conf *is);
};

struct reload;

/* `conf`: in force; later what apply() was given. `file` (-c) outlives it. NULL: out of memory. */
struct reload *reload_new(struct loop *loop, const struct reload_family *family, const char *file,
                          const struct conf *conf);
/* One under way is forgotten, and its asker not called: nothing was changed, or all of it. */
void reload_free(struct reload **reload);
bool reload_busy(const struct reload *reload);

/* The configuration of the start becomes conf/current below runtime_dir, before any child starts. ERR_SYSTEM (logged). */
enum err_e reload_first_copy(const struct conf *conf);

typedef void reload_line_f(void *arg, const char *line); /* text without a line's end */
/* Once, and the last: problem NULL: done; else why not, without "error: ". */
typedef void reload_done_f(void *arg, const char *problem);

/* Begins; both may be called before it returns. on_line and on_done may be NULL: everything is logged anyway. `dry_run`: checks,
 * compares, and ends there. ERR_BUSY: one is under way; nothing was called. */
enum err_e reload_begin(struct reload *reload, bool dry_run, reload_line_f *on_line, reload_done_f *on_done,
                        void *arg);
/* SIGHUP: the same with nobody to tell. While one is under way, another follows it: the file may have changed since it was read. */
void reload_signal(struct reload *reload);
/* Who asked with this `arg` is gone; the reload goes on. */
void reload_forget(struct reload *reload, const void *arg);

/* What the member's process `start` said: PREPARED, REFUSED and DONE; others are ignored. */
void reload_heard(struct reload *reload, const char *name, uint64_t start,
                  const struct control_message *message);
/* A member became ready, died, came or went. */
void reload_family_changed(struct reload *reload);
