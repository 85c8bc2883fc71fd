/* See store_reload.h. */
#include "store_reload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "reloader.h"
#include "store_metrics.h"

struct store_reload {
    struct store *store;
    struct conf **conf; /* in force */
    int control;
    char *file; /* conf's own name of it goes with conf */
    struct reloader *reloader;
    struct loop_fd *watch;
    struct loop_signal *hup;
};

static void put_in_force(void *arg, struct conf *next)
{
    struct store_reload *reload = arg;
    struct store *store = reload->store;
    store->conf = next;
    store_upkeep_keep(&store->upkeep, &next->store);
    db_set_delete_rows(store->db, next->store.delete_rows);
    store_watch_conf(&store->watch, next);
    stats_add(&store->stats, STORE_RELOADS, 1);
    conf_free(reload->conf);
    *reload->conf = next;
}

static void on_control(void *arg, unsigned events)
{
    struct store_reload *reload = arg;
    (void)events;
    if (reloader_read(reload->reloader) == ERR_CLOSED)
        loop_fd_free(&reload->watch); /* the launcher's end is told by SIGTERM */
}

static void on_hup(void *arg)
{
    struct store_reload *reload = arg;
    reloader_ask(reload->reloader);
}

static enum err_e open_parts(struct store_reload *reload)
{
    const struct reloader_options options = {
        .file = reload->file, .control = reload->control, .commit = put_in_force, .arg = reload};
    struct loop *loop = reload->store->loop;
    reload->reloader = reloader_new(&options, *reload->conf);
    reload->hup = loop_signal_new(loop, SIGHUP, on_hup, reload);
    if (reload->control >= 0)
        reload->watch = loop_fd_new(loop, reload->control, LOOP_READ, on_control, reload);
    bool complete =
        reload->reloader != NULL && reload->hup != NULL && (reload->control < 0 || reload->watch != NULL);
    return complete ? ERR_OK : ERR_MEMORY;
}

enum err_e store_reload_open(struct store *store, struct conf **conf, int control, struct store_reload **out)
{
    struct store_reload *reload = calloc(1, sizeof *reload);
    if (reload == NULL)
        return ERR_MEMORY;
    *reload = (struct store_reload){
        .store = store, .conf = conf, .control = control, .file = strdup((*conf)->file)};
    enum err_e err = reload->file != NULL ? open_parts(reload) : ERR_MEMORY;
    if (err != ERR_OK) {
        store_reload_close(&reload);
        return err;
    }
    reloader_hold_signal(false);
    *out = reload;
    return ERR_OK;
}

void store_reload_close(struct store_reload **out)
{
    struct store_reload *reload = *out;
    if (reload == NULL)
        return;
    if (reload->watch != NULL)
        loop_fd_free(&reload->watch);
    loop_signal_free(&reload->hup);
    reloader_free(&reload->reloader);
    free(reload->file);
    free(reload);
    *out = NULL;
}
