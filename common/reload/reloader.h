/* reloader.h — a process's side of a reload (control.h): it reads the next configuration, says whether it can take it, and does.
 *
 *     launcher's RELOAD ─► read (conf_load_next) ─► digest ─► conf_changes: reloadable? ─► prepare() ─► PREPARED ─► COMMIT ─► commit() ─► DONE
 *                             └─ any of them fails ─► REFUSED with the reason; nothing has changed ◄─ ABORT, or another RELOAD ─► abort()
 *     SIGHUP, where no launcher is: the same by itself: prepare() and commit() at once, or log lines that say why not
 *
 * It has no loop of its own: the process feeds it. With `threaded`, reading and comparing happen in a thread for as long as a reload is
 * prepared, and the loop waits for no disk: it polls reloader_fd(), and calls reloader_turn() when that is readable. Callbacks
 * always come in the loop's thread, out of the calls below. log.level and log.format are put in force here, just before commit().
 *
 * What feeds it (watch/reload_watch.h on libevent; the worker itself on libuv):
 *
 *     struct reloader_options options = {.file = file, .control = control_inherited(), .threaded = true, …};
 *     reloader = reloader_new(&options, conf);
 *     control fd readable:   reloader_read(reloader);                  all of the control socket is for reloads (all but workers)
 *                      or:   reloader_take(reloader, &message);        the process reads it itself (worker: DRAIN, ADOPT …)
 *     reloader_fd() readable: reloader_turn(reloader);
 *     SIGHUP:                reloader_ask(reloader);
 */
#pragma once

#include <stdbool.h>

#include "conf.h"
#include "control.h"
#include "errcode.h"

#define RELOADER_WHY_MAX 512

struct reloader_options {
    const char *file; /* -c; outlives it */
    int control;      /* control_inherited(); -1: no launcher. Stays the caller's */
    bool threaded;
    /* All that can fail: memory, slots, files of keys. `now` is in force and stays so; `next` stays valid until commit() or abort(). ERR_OK:
     * commit() cannot fail. Else nothing is kept (abort() is not called), and `why` may say why in one line, without the process's name
     * ("" : err_text). NULL: nothing to prepare. */
    enum err_e (*prepare)(void *arg, const struct conf *now, const struct conf *next,
                          char why[RELOADER_WHY_MAX]);
    /* In force from now on. The process takes `next`, and frees what was in force when nothing of its own points into it any more: not
     * before this returns. */
    void (*commit)(void *arg, struct conf *next);
    /* Forgets what prepare() made; `next` is freed afterwards. NULL: nothing to forget. */
    void (*abort)(void *arg);
    void *arg;
};

struct reloader;

/* `now`: in force; later that which commit() was given. NULL: out of memory or descriptors (logged). */
struct reloader *reloader_new(const struct reloader_options *options, const struct conf *now);
/* Waits for its thread, forgets (with abort()) what is prepared. */
void reloader_free(struct reloader **reloader);

/* True: the message is RELOAD, COMMIT or ABORT and was taken. */
bool reloader_take(struct reloader *reloader, const struct control_message *message);
/* Takes what stands in the control socket, at most 16 messages; others than its own are closed and dropped. ERR_CLOSED: the launcher's
 * end is gone, watch it no more; else ERR_OK. */
enum err_e reloader_read(struct reloader *reloader);

/* Keeps SIGHUP pending, which would otherwise end a process that starts: true before the configuration is read, false once its handler is there. So
 * none that comes after the file was read is lost. */
void reloader_hold_signal(bool hold);

/* SIGHUP. With a launcher nothing (it tells by RELOAD); while one is being read, once more afterwards. */
void reloader_ask(struct reloader *reloader);

/* Readable when the thread has something to tell; -1: not threaded. The reloader's. */
int reloader_fd(const struct reloader *reloader);
void reloader_turn(struct reloader *reloader);
