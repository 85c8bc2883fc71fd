/* See reload_watch.h. */
#include "reload_watch.h"

#include <signal.h>
#include <stdlib.h>

struct reload_watch {
    struct reloader *reloader;
    struct loop_fd *control, *told; /* NULL: no launcher; no thread */
    struct loop_signal *hangup;
};

static void on_control(void *arg, unsigned events)
{
    struct reload_watch *watch = arg;
    (void)events;
    if (reloader_read(watch->reloader) == ERR_CLOSED)
        loop_fd_free(&watch->control);
}

static void on_told(void *arg, unsigned events)
{
    struct reload_watch *watch = arg;
    (void)events;
    reloader_turn(watch->reloader);
}

static void on_hangup(void *arg)
{
    struct reload_watch *watch = arg;
    reloader_ask(watch->reloader);
}

static bool open_parts(struct reload_watch *watch, struct loop *loop, const struct reloader_options *options,
                       const struct conf *now)
{
    watch->reloader = reloader_new(options, now);
    if (watch->reloader == NULL)
        return false;
    if (options->control >= 0)
        watch->control = loop_fd_new(loop, options->control, LOOP_READ, on_control, watch);
    if (options->threaded)
        watch->told = loop_fd_new(loop, reloader_fd(watch->reloader), LOOP_READ, on_told, watch);
    watch->hangup = loop_signal_new(loop, SIGHUP, on_hangup, watch);
    return (options->control < 0 || watch->control != NULL) && (!options->threaded || watch->told != NULL) &&
           watch->hangup != NULL;
}

enum err_e reload_watch_open(struct loop *loop, const struct reloader_options *options,
                             const struct conf *now, struct reload_watch **out)
{
    struct reload_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return ERR_MEMORY;
    if (!open_parts(watch, loop, options, now)) {
        reload_watch_close(&watch);
        return ERR_MEMORY;
    }
    reloader_hold_signal(false);
    *out = watch;
    return ERR_OK;
}

void reload_watch_close(struct reload_watch **out)
{
    struct reload_watch *watch = *out;
    if (watch == NULL)
        return;
    loop_fd_free(&watch->control);
    loop_fd_free(&watch->told);
    loop_signal_free(&watch->hangup);
    reloader_free(&watch->reloader);
    free(watch);
    *out = NULL;
}
